"""Load a model once, then ask it about clips, folders of clips, and long recordings.

Every answer has one shape: a table with ``file``, ``start`` and ``end`` (seconds), ``emotion``
(the most probable label), ``verdict`` (`SURE`, `UNCERTAIN` or `NO_SPEECH`) with its ``reason``, and
one column of probabilities per label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio, features
from ser.bundle import Manifest, load_bundle
from ser.parallel import Progress, map_items

if TYPE_CHECKING:
    import keras

Source = str | Path | bytes | audio.Samples
"""A recording: its file, the content of that, or mono samples at the contract's rate."""

Logits = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

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

    Attributes
    ----------
    logits : callable
        The model itself, see `logits_function`.
    usual : ndarray of float32, shape (32, 1, 2)
        Mean of every row of the input over what trained the model.
    """

    def __init__(self, model: keras.Model, manifest: Manifest) -> None:
        self.manifest = manifest
        self.contract = manifest.contract
        self.labels = manifest.contract.labels
        self.logits = logits_function(model)
        self.usual = np.asarray(model.get_layer("rows").mean, np.float32)[0]

    @classmethod
    def load(cls, folder: str | Path) -> Recognizer:
        """Load the bundle in a folder.

        Raises
        ------
        BundleError
            See `ser.bundle.load_bundle`.
        """
        return cls(*load_bundle(folder))

    def probabilities(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, 8); each row sums to 1."""
        return softmax(shifted_logits(self.logits, inputs) / self.manifest.temperature)

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
        return self._table([file], [clip.start], [clip.end], self.probabilities(inputs[None]))

    def predict_files(
        self,
        paths: Sequence[str | Path],
        *,
        jobs: int = -1,
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
        found = map_items(_Prepare(self.manifest), paths, "Listening", jobs=jobs, progress=progress)
        good = [(str(p), f) for p, f in zip(paths, found, strict=True) if not isinstance(f, str)]
        bad = [(str(p), f) for p, f in zip(paths, found, strict=True) if isinstance(f, str)]
        inputs = np.array([f[2] for _, f in good], np.float32)
        table = self._table(
            [p for p, _ in good],
            [f[0] for _, f in good],
            [f[1] for _, f in good],
            self.probabilities(inputs.reshape(-1, *self.contract.input_shape)),
        )
        return table, pd.DataFrame(bad, columns=["path", "reason"])

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
            See `ser.parallel.map_items`; called after every minute or so of the recording.

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
        spoken = np.flatnonzero(speaking)
        for some in np.split(spoken, range(_BATCH, len(spoken), _BATCH)):
            clips = [audio.prepare_clip(windows[i], contract=contract).samples for i in some]
            inputs = np.array([features.model_input(c, contract=contract) for c in clips])
            probabilities[some] = self.probabilities(inputs)
            if progress is not None:
                progress("Listening", int(some[-1]) + 1, len(windows))
        file = name or _name_of(source)
        begin = [s / contract.sample_rate for s in starts]
        end = [b + len(w) / contract.sample_rate for b, w in zip(begin, windows, strict=True)]
        return self._table([file] * len(windows), begin, end, probabilities)

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
    ) -> pd.DataFrame:
        verdicts = self.verdicts(probabilities)
        rows = list(zip(verdicts, probabilities, strict=True))
        table: dict[str, Any] = {"file": files, "start": starts, "end": ends}
        table["emotion"] = pd.Series(
            [None if v == NO_SPEECH else self.labels[int(p.argmax())] for v, p in rows],
            dtype=object,
        )
        table["verdict"] = verdicts
        table["reason"] = [self._reason(v, p) for v, p in rows]
        return pd.DataFrame(
            table | {label: probabilities[:, i] for i, label in enumerate(self.labels)}
        )

    def _reason(self, verdict: str, probabilities: npt.NDArray[np.float64]) -> str:
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
        if confidence < _LIKE_NOTHING:
            reason += " It sounds like none of the speech the model learned."
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


def logits_function(model: keras.Model) -> Logits:
    """Return a function from features, shape (n, 32, 94, 2), to the model's logits, (n, 8).

    ``model.predict`` spends far longer on its own machinery than on one clip.
    """
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.float32)])
    def call(inputs: tf.Tensor) -> tf.Tensor:
        return model(inputs, training=False)

    def logits(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        batches = [call(inputs[i : i + 256]).numpy() for i in range(0, len(inputs), 256)]
        return np.concatenate([np.zeros((0, model.output_shape[-1]), np.float32), *batches])

    return logits


def shifted_logits(logits: Logits, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of the logits over the clip moved by `SHIFTS` frames, shape (n, 8).

    Where a frame begins says nothing about an emotion, so the answers only differ by error.
    """
    parts = [np.zeros((0, logits(inputs[:0]).shape[1]), np.float32)]
    for i in range(0, len(inputs), 64):
        some = inputs[i : i + 64]
        moved = np.concatenate([np.roll(some, shift, axis=2) for shift in SHIFTS])
        parts.append(logits(moved).reshape(len(SHIFTS), len(some), -1).mean(axis=0))
    return np.concatenate(parts)


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return probabilities for logits, along the last axis."""
    from scipy.special import softmax as scipy_softmax

    return np.asarray(scipy_softmax(np.asarray(logits, np.float64), axis=-1))
