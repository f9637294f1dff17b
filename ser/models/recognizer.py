"""Load a model once, then ask it about clips, folders of clips, and long recordings.

Every answer has one shape: a table with ``file``, ``start`` and ``end`` (seconds), ``emotion``
(the most probable label), ``verdict`` (`SURE`, `UNCERTAIN` or `NO_SPEECH`) with its ``reason``,
``distance`` (how unlike the training clips it is; beyond 1 the answer is less sure for it, see
`ser.models.embedding`), and one column of probabilities per label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio
from ser.audio import features
from ser.errors import BundleError
from ser.models.bundle import Manifest, load_bundle, load_embedding
from ser.models.embedding import Embedding, ood_temperature
from ser.models.networks import with_activations
from ser.utils.parallel import Progress, map_items

if TYPE_CHECKING:
    import keras

Source = str | Path | bytes | audio.Samples
"""A recording: its file, the content of that, or mono samples at the contract's rate."""

Array = npt.NDArray[np.float32]
Network = Callable[[Array], tuple[Array, Array]]

SURE, UNCERTAIN, NO_SPEECH = "sure", "uncertain", "no speech"
"""What a recogniser makes of its own answer."""

SHIFTS = (-4, -2, 0, 2, 4)
"""Frames by which a clip is moved; the logits are averaged over them."""

HOP_SECONDS = 1.0
"""Step between the windows of a timeline, in seconds."""
# Non-speech was taught to mean an eighth for every label.
_LIKE_NOTHING = 0.2
_BATCH = 64  # windows of a timeline that are asked about at once
_QUIET_DB = 40.0  # a window this far below the recording's loudest one is a pause


class Recognizer:
    """A model with its contract and temperature, ready to answer.

    Parameters
    ----------
    model : keras.Model
        Maps features to logits.
    manifest : Manifest
        What it is fed and how it was calibrated.
    embedding : Embedding
        Where the clips it was trained on lie.

    Attributes
    ----------
    opened : keras.Model
        The model, see `ser.models.networks.with_activations`.
    network : callable
        The same, see `network_function`.
    feature_means : ndarray of float32, shape (32, 1, 2)
        Mean of every row of the input over what trained the model.
    """

    def __init__(self, model: keras.Model, manifest: Manifest, embedding: Embedding) -> None:
        self.manifest = manifest
        self.contract = manifest.contract
        self.labels = manifest.contract.labels
        self.embedding = embedding
        self.opened = with_activations(model)
        self.network = network_function(self.opened)
        self.feature_means = np.asarray(model.get_layer("rows").mean, np.float32)[0]

    @classmethod
    def load(cls, folder: str | Path) -> Recognizer:
        """Load the bundle in a folder.

        Raises
        ------
        BundleError
            See `ser.models.bundle.load_bundle` and `ser.models.bundle.load_embedding`.
        """
        model, manifest = load_bundle(folder)
        embedding = load_embedding(folder, manifest)
        recognizer = cls(model, manifest, embedding)
        activations = recognizer.network(np.zeros((0, *model.input_shape[1:]), np.float32))[1]
        if activations.shape[1] != len(embedding.mean):
            raise BundleError(
                f"The model in {folder} has {activations.shape[1]} activations and its embedding "
                f"{len(embedding.mean)}. Copy the bundle again, or train again."
            )
        return recognizer

    def logits(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return what the model itself says of inputs as they stand, shape (n, 8)."""
        return self.network(inputs)[0]

    def logits_and_embeddings(
        self, inputs: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return logits, shape (n, 8), and whitened embeddings, (n, coordinates), of clips."""
        logits, activations = shifted(self.network, inputs)
        return logits, self.embedding.transform(activations)

    def answers(
        self, inputs: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return calibrated probabilities, shape (n, 8), and distances from training, (n,)."""
        logits, embeddings = self.logits_and_embeddings(inputs)
        distances = self.embedding.distances(embeddings)
        return calibrated(logits, distances, self.manifest.temperature), distances

    def probabilities(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, 8); each row sums to 1."""
        return self.answers(inputs)[0]

    def verdicts(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.str_]:
        """Say of each row of probabilities whether it is an answer, by the model's own measure.

        An answer is uncertain where the largest probability is below the manifest's
        ``min_confidence``; a row of NaN is no speech.
        """
        silent = np.isnan(probabilities).any(axis=1)
        confidence = np.where(silent, 0.0, probabilities.max(axis=1))
        unsure = np.where(confidence < self.manifest.min_confidence, UNCERTAIN, SURE)
        return np.where(silent, NO_SPEECH, unsure)

    def predict(self, source: Source, *, name: str | None = None) -> pd.DataFrame:
        """Name the emotion of one clip: of the 3 s that hold most of its energy.

        Parameters
        ----------
        source : str, Path, bytes or ndarray of float32, shape (n,)
            See `Source`.
        name : str, optional
            What the column ``file`` says; by default the path.

        Returns
        -------
        DataFrame
            One row.

        Raises
        ------
        AudioError
            If the recording cannot be used.
        """
        samples = self._samples(source)
        clip = audio.prepare_clip(samples, contract=self.contract)
        inputs = features.model_input(clip.samples, contract=self.contract)
        file = name or _name_of(source)
        return self._table([file], [clip.start], [clip.end], *self.answers(inputs[None]))

    def predict_files(
        self,
        paths: Sequence[str | Path],
        *,
        n_jobs: int = -1,
        progress: Progress | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Name the emotion of many clips.

        Returns
        -------
        predictions : DataFrame
            One row per clip that could be used, in order.
        refused : DataFrame
            Columns ``path`` and ``reason``.
        """
        embeddings, inputs, refused = self.prepare(paths, n_jobs=n_jobs, progress=progress)
        table = self._table(
            embeddings["path"].tolist(),
            embeddings["start"].tolist(),
            embeddings["end"].tolist(),
            *self.answers(inputs),
        )
        return table, refused

    def prepare(
        self, paths: Sequence[str | Path], *, n_jobs: int = -1, progress: Progress | None = None
    ) -> tuple[pd.DataFrame, npt.NDArray[np.float32], pd.DataFrame]:
        """Decode clips and compute their features; nothing of it is kept anywhere.

        Returns
        -------
        clips : DataFrame
            One row per clip that could be used, in order: ``path``, ``start`` and ``end`` (s).
        inputs : ndarray of float32, shape (n, 32, 94, 2)
            Their features.
        refused : DataFrame
            Columns ``path`` and ``reason``.
        """
        found = map_items(
            _Prepare(self.manifest), paths, "Listening", n_jobs=n_jobs, progress=progress
        )
        good = [(str(p), f) for p, f in zip(paths, found, strict=True) if not isinstance(f, str)]
        bad = [(str(p), f) for p, f in zip(paths, found, strict=True) if isinstance(f, str)]
        clips = pd.DataFrame([(p, f[0], f[1]) for p, f in good], columns=["path", "start", "end"])
        inputs = np.array([f[2] for _, f in good], np.float32)
        refused = pd.DataFrame(bad, columns=["path", "reason"])
        return clips, inputs.reshape(-1, *self.contract.input_shape), refused

    def timeline(
        self,
        source: Source,
        *,
        name: str | None = None,
        hop: float = HOP_SECONDS,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """Name the emotion of every 3 s window of a recording.

        Parameters
        ----------
        source : str, Path, bytes or ndarray of float32, shape (n,)
            See `Source`.
        name : str, optional
            What the column ``file`` says; by default the path.
        hop : float
            Seconds from one window to the next; the last window ends with the recording.
        progress : callable, optional
            See `ser.utils.parallel.map_items`; called after every minute or so of the recording.

        Returns
        -------
        DataFrame
            One row per window; where nobody speaks, ``emotion`` is None and the probabilities
            are NaN.

        Raises
        ------
        AudioError
            If the recording cannot be used, or is silent throughout.
        """
        contract = self.contract
        samples = self._samples(source)
        audio.find_speech(samples, contract=contract)  # refuses silence
        last = max(len(samples) - contract.clip_samples, 0)
        starts = [*range(0, last, max(round(hop * contract.sample_rate), 1)), last]
        windows = [samples[s : s + contract.clip_samples] for s in starts]
        levels = np.array([audio.level_dbfs(w) for w in windows])
        speaking = levels > levels.max() - _QUIET_DB
        probabilities = np.full((len(windows), len(self.labels)), np.nan)
        distances = np.full(len(windows), np.nan)
        spoken = np.flatnonzero(speaking)
        for some in np.split(spoken, range(_BATCH, len(spoken), _BATCH)):
            clips = [audio.prepare_clip(windows[i], contract=contract).samples for i in some]
            inputs = np.array([features.model_input(c, contract=contract) for c in clips])
            probabilities[some], distances[some] = self.answers(inputs)
            if progress is not None:
                progress("Listening", int(some[-1]) + 1, len(windows))
        file = name or _name_of(source)
        begin = [s / contract.sample_rate for s in starts]
        end = [b + len(w) / contract.sample_rate for b, w in zip(begin, windows, strict=True)]
        return self._table([file] * len(windows), begin, end, probabilities, distances)

    def _samples(self, source: Source) -> audio.Samples:
        if isinstance(source, np.ndarray):
            return source
        return audio.load_audio(source, sample_rate=self.contract.sample_rate)

    def _table(
        self,
        files: list[str],
        starts: list[float],
        ends: list[float],
        probabilities: npt.NDArray[np.float64],
        distances: npt.NDArray[np.float64],
    ) -> pd.DataFrame:
        verdicts = self.verdicts(probabilities)
        rows = list(zip(verdicts, probabilities, distances, strict=True))
        table: dict[str, Any] = {"file": files, "start": starts, "end": ends}
        table["emotion"] = pd.Series(
            [None if v == NO_SPEECH else self.labels[int(p.argmax())] for v, p, _ in rows],
            dtype=object,
        )
        table["verdict"] = verdicts
        table["reason"] = [self._reason(v, p, d) for v, p, d in rows]
        table["distance"] = distances
        return pd.DataFrame(
            table | {label: probabilities[:, i] for i, label in enumerate(self.labels)}
        )

    def _reason(self, verdict: str, probabilities: npt.NDArray[np.float64], distance: float) -> str:
        if verdict == NO_SPEECH:
            return "Nobody speaks here."
        if verdict == SURE:
            return ""
        confidence = float(probabilities.max())
        best = self.labels[int(probabilities.argmax())]
        reason = (
            f"No emotion stands out: {best} is likeliest with {confidence:.1%}, and below "
            f"{self.manifest.min_confidence:.1%} this model is not believed."
        )
        if distance > 1 or confidence < _LIKE_NOTHING:
            reason += " It is unlike anything this model was trained on."
        return reason


def _name_of(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else "recording"


class _Prepare:
    """Decode one file and compute its features; in a worker process, so without the model."""

    def __init__(self, manifest: Manifest) -> None:
        self.contract = manifest.contract

    def __call__(self, path: str | Path) -> tuple[float, float, npt.NDArray[np.float32]] | str:
        try:
            samples = audio.load_audio(path, sample_rate=self.contract.sample_rate)
            clip = audio.prepare_clip(samples, contract=self.contract)
        except audio.AudioError as error:
            return str(error)
        return clip.start, clip.end, features.model_input(clip.samples, contract=self.contract)


def network_function(opened: keras.Model) -> Network:
    """Return a function from features, shape (n, 32, 94, 2), to logits, (n, 8), and activations.

    ``model.predict`` spends far longer on its own machinery than on one clip.

    Parameters
    ----------
    opened : keras.Model
        See `ser.models.networks.with_activations`.
    """
    import tensorflow as tf

    widths = [output.shape[-1] for output in opened.outputs]

    @tf.function(input_signature=[tf.TensorSpec(opened.input_shape, tf.float32)])
    def call(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return opened(inputs, training=False)

    def network(inputs: npt.NDArray[np.float32]) -> tuple[Array, Array]:
        batches = [call(inputs[i : i + 256]) for i in range(0, len(inputs), 256)]
        logits, activations = (
            np.concatenate([np.zeros((0, width), np.float32), *(b[k].numpy() for b in batches)])
            for k, width in enumerate(widths)
        )
        return logits, activations

    return network


def shifted(network: Network, inputs: npt.NDArray[np.float32]) -> tuple[Array, Array]:
    """Return logits and activations averaged over the clip moved by `SHIFTS` frames.

    Where a frame begins says nothing about an emotion, so the answers only differ by error.
    """
    found = [network(inputs[:0])]
    for i in range(0, len(inputs), 64):
        some = inputs[i : i + 64]
        outputs = network(np.concatenate([np.roll(some, shift, axis=2) for shift in SHIFTS]))
        logits, activations = (o.reshape(len(SHIFTS), len(some), -1).mean(axis=0) for o in outputs)
        found.append((logits, activations))
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def calibrated(
    logits: npt.NDArray[np.floating], distances: npt.NDArray[np.floating], temperature: float
) -> npt.NDArray[np.float64]:
    """Return probabilities that are the less sure the farther a clip is from training."""
    return softmax(logits / (temperature * ood_temperature(distances))[:, None])


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return probabilities for logits, along the last axis."""
    from scipy.special import softmax as scipy_softmax

    return np.asarray(scipy_softmax(np.asarray(logits, np.float64), axis=-1))
