"""Load a model once, then ask it about clips, folders of clips, and long recordings.

Every answer has one shape: a table with ``file``, ``start`` and ``end`` (seconds), ``emotion``
(the most probable label), ``verdict`` (`SURE`, `UNCERTAIN`, `NO_SPEECH` or `REFUSED`) with its
``reason``, ``distance`` (how far out of distribution it lies; beyond 1 the answer is less sure for
it, see `ser.models.embedding`), and one column of probabilities per label.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio
from ser.audio.features import FeatureExtractor, Inputs
from ser.errors import BundleError, DataError
from ser.models.bundle import (
    MODEL_FILE,
    bundle_files,
    check_model_file,
    load_embedding,
    load_runtime,
    read_manifest,
    write_bundle,
)
from ser.models.embedding import Embedding, ood_temperature
from ser.models.inference import Answers, above_chance, averaged, calibrated
from ser.models.manifest import Manifest
from ser.models.runtime import ENCODER, NETWORK, Layer, Runtime, with_layer
from ser.models.voice import (
    ENOUGH,
    Voice,
    known_factor,
    without_chosen,
    without_each_other,
)
from ser.utils.files import atomic_folder
from ser.utils.parallel import Progress, map_items
from ser.utils.places import shown

if TYPE_CHECKING:
    from ser.models.explanation import Explanation

Source = str | Path | bytes | BinaryIO | npt.NDArray[np.floating]
"""A recording: its file, the content of that, an open file, or samples with their rate."""

SURE, UNCERTAIN, NO_SPEECH, REFUSED = "sure", "uncertain", "no speech", "refused"
"""What a recogniser makes of its own answer; a refused recording could not be used at all."""

HOP_SECONDS = 1.0
"""Step between the windows of a timeline, in seconds."""
# Of eight labels: non-speech was taught to mean the same for every one, an eighth.
_LIKE_NOTHING = 0.2
_BATCH = 64  # windows of a timeline that are asked about at once
_QUIET_DB = 40.0  # a window this far below the recording's loudest one is a pause


class Recognizer:
    """A model with everything that belongs to its answers.

    Parameters
    ----------
    network : Runtime
        Maps the extractor's inputs to logits and activations.
    manifest : Manifest
        What it is fed and how it was calibrated.
    embedding : Embedding
        Of the clips it was trained on.
    files : callable
        Returns the content of the networks by name, which is needed to adapt or to save them, see
        `ser.models.bundle.bundle_files`.

    Attributes
    ----------
    labels : tuple of str
        What it can answer, in the order of its columns.
    extractor : FeatureExtractor
        Turns audio into its inputs.
    feature_means : ndarray of float32, shape (rows, 1, channels)
        Mean of every row of the input over what trained the model: (32, 1, 2) of spectral features,
        (96, 1, 1) of what an encoder gives out.
    voice : Voice
        Whose clips it expects, see `knowing`; by default nobody's.

    Examples
    --------
    >>> import ser
    >>> from ser.assets import SAMPLES
    >>> model = ser.load()
    >>> clip = SAMPLES / "Actor_27" / "03-01-06-02-02-01-27.flac"
    >>> answer = model.predict(clip).iloc[0]
    >>> answer["emotion"], answer["verdict"], float(answer["fearful"].round(1))
    ('fearful', 'sure', 0.8)
    """

    def __init__(
        self,
        network: Runtime,
        manifest: Manifest,
        embedding: Embedding,
        *,
        files: Callable[[], dict[str, bytes]],
    ) -> None:
        self.manifest = manifest
        self.labels = manifest.labels
        self.extractor: FeatureExtractor = manifest.features
        self.embedding = embedding
        self._network = network
        self._files = files
        self._columns = list(range(len(self.labels)))  # of the network's logits
        self._typical = network.typical
        self.feature_means = self._typical["frames"]
        self.voice = embedding.voice

    @classmethod
    def load(cls, folder: str | Path) -> Recognizer:
        """Load the bundle in a folder, such as a finished run.

        Raises
        ------
        BundleError
            See `ser.models.bundle.load_runtime` and `ser.models.bundle.load_embedding`.
        """
        manifest = read_manifest(folder)
        check_model_file(folder, manifest)
        recognizer = cls(
            load_runtime(folder, manifest),
            manifest,
            load_embedding(folder, manifest),
            files=partial(bundle_files, folder, manifest),
        )
        voice = recognizer.voice.sums
        expected = {name: values.shape for name, values in recognizer._typical.items()}
        if voice is not None and {n: v.shape for n, v in voice.items()} != expected:
            raise BundleError(
                f"The voice that the embedding in {folder} holds is not one that its model can "
                "know. Copy the bundle again, or train again."
            )
        _, activations = recognizer._network.output_sizes
        if activations != len(recognizer.embedding.mean):
            raise BundleError(
                f"The model in {folder} has {activations} activations and its embedding "
                f"{len(recognizer.embedding.mean)}. Copy the bundle again, or train again."
            )
        return recognizer

    def predict(
        self, source: Source, *, sampling_rate: int | None = None, name: str | None = None
    ) -> pd.DataFrame:
        """Name the emotion of one clip: of the 3 s that hold most of its energy.

        Parameters
        ----------
        source : str, Path, bytes, file or ndarray of float
            See `Source`; an array has the shape (n,) or (channels, n), nominally in [-1, 1].
        sampling_rate : int
            Of an array, in Hz.
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
        TypeError
            If an array comes without its rate, or a file with one.
        """
        samples = _samples(source, sampling_rate)
        clip = audio.prepare_clip(samples)
        inputs = self.extractor.batch([self.extractor.extract(clip.samples)])
        return self.table(
            [name or _name_of(source)],
            [clip.start],
            [clip.end],
            *self.answers(inputs),
            [self.voice.count],
        )

    def predict_files(
        self,
        paths: Sequence[str | Path],
        *,
        same_voice: bool = False,
        known_by: Sequence[npt.NDArray[np.integer]] | None = None,
        n_jobs: int = -1,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """Name the emotion of many clips.

        Parameters
        ----------
        paths : sequence of str or Path
            Audio files.
        same_voice : bool
            Whether one person speaks in all of them: then each is heard against the others, see
            `ser.models.voice`.
        known_by : sequence of ndarray of int, optional
            Of several voices: for each file the numbers of those in which the same person speaks,
            and which it is to be heard against.
        n_jobs, progress
            See `ser.utils.parallel.map_items`.

        Returns
        -------
        DataFrame
            One row per path, in order.  A file that cannot be used has the verdict `REFUSED`, the
            reason, no emotion, and NaN for all numbers.

        Raises
        ------
        DataError
            If the voice is to be listened to by a model that does not, see `listens`.
        """
        clips, inputs = self.prepare(paths, n_jobs=n_jobs, progress=progress)
        good = (clips["reason"] == "").to_numpy()
        probabilities = np.full((len(clips), len(self.labels)), np.nan)
        distances = np.full(len(clips), np.nan)
        known = np.full(len(clips), self.voice.count)
        if same_voice or known_by is not None:
            self._need_listening()
            encoded = self._network.encode(inputs)
            counts = np.full(good.sum(), good.sum() - 1)
            if known_by is None:
                expecting = without_each_other(encoded, self._typical)
            else:
                place = np.cumsum(good) - 1  # of a file among those that can be used
                chosen = [place[rows[good[rows]]] for rows in itertools.compress(known_by, good)]
                counts = np.array([len(rows) for rows in chosen])
                expecting = without_chosen(encoded, self._typical, chosen)
            probabilities[good], distances[good] = self._answers_to(encoded, expecting, counts)
            known[good] = counts
        else:
            probabilities[good], distances[good] = self.answers(inputs)
        table = self.table(
            clips["path"].tolist(),
            clips["start"].tolist(),
            clips["end"].tolist(),
            probabilities,
            distances,
            known,
        )
        table.loc[~good, "verdict"] = REFUSED
        table.loc[~good, "reason"] = clips.loc[~good, "reason"]
        return table

    def timeline(
        self,
        source: Source,
        *,
        sampling_rate: int | None = None,
        name: str | None = None,
        hop: float = HOP_SECONDS,
        same_voice: bool = False,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """Name the emotion of every 3 s window of a recording.

        Parameters
        ----------
        source, sampling_rate, name
            See `predict`.
        hop : float
            Seconds from one window to the next, above 0; the last window ends with the recording.
        same_voice : bool
            Whether one person speaks throughout: then each window is heard against all of them,
            see `ser.models.voice`.
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
        DataError
            If the voice is to be listened to by a model that does not, see `listens`; or the
            windows do not go forward.
        """
        if same_voice:
            self._need_listening()
        if not 0 < hop < math.inf:
            raise DataError(f"Windows cannot be {hop} seconds apart. Use a number above 0.")
        samples = _samples(source, sampling_rate)
        audio.find_speech(samples)  # refuses silence
        last = max(len(samples) - audio.CLIP_SAMPLES, 0)
        starts = [*range(0, last, max(round(hop * audio.SAMPLING_RATE), 1)), last]
        windows = [samples[s : s + audio.CLIP_SAMPLES] for s in starts]
        levels = np.array([audio.speech_level_dbfs(w) for w in windows])
        speaking = (levels > levels.max() - _QUIET_DB) & (levels > audio.SILENCE_DBFS)
        probabilities = np.full((len(windows), len(self.labels)), np.nan)
        distances = np.full(len(windows), np.nan)
        spoken = np.flatnonzero(speaking)
        if not len(spoken):
            raise audio.SilentAudioError(
                "No speech found: the recording is as good as silent throughout. Check that the "
                "microphone was not muted, and record again."
            )
        known = self.voice.count
        found = []
        for some in np.split(spoken, range(_BATCH, len(spoken), _BATCH)):
            inputs = self.extractor.batch([self.extractor(windows[i]) for i in some])
            if same_voice:
                found.append(self._network.encode(inputs))
            else:
                probabilities[some], distances[some] = self.answers(inputs)
            if progress is not None:
                progress("Listening", int(some[-1]) + 1, len(windows))
        if same_voice:
            encoded = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
            voice = Voice().heard(encoded)
            # Windows overlap: what counts is how many would stand side by side.
            count = max(round(len(spoken) * min(hop / audio.CLIP_SECONDS, 1.0)), 1)
            expecting = self._without(voice.counting(count), encoded)
            probabilities[spoken], distances[spoken] = self._answers_to(encoded, expecting, count)
            known = count
        begin = [s / audio.SAMPLING_RATE for s in starts]
        end = [b + len(w) / audio.SAMPLING_RATE for b, w in zip(begin, windows, strict=True)]
        files = [name or _name_of(source)] * len(windows)
        return self.table(files, begin, end, probabilities, distances, [known] * len(windows))

    def among(self, emotions: Sequence[str]) -> Recognizer:
        """Return the same model, asked which of some emotions it is.

        Where it is known which emotions can occur, the others are left out before the softmax.  A
        sure answer must lie as far above chance as before.

        Parameters
        ----------
        emotions : sequence of str
            Two or more of `labels`; those that are possible.

        Returns
        -------
        Recognizer
            Its ``labels`` are the possible ones.  It shares the network with this one, and can be
            neither adapted nor saved.

        Raises
        ------
        DataError
            If there are fewer than two, or one is none of the model's labels.

        Examples
        --------
        >>> import ser
        >>> from ser.assets import SAMPLES
        >>> clip = SAMPLES / "Actor_27" / "03-01-06-02-02-01-27.flac"
        >>> answer = ser.load().among(["happy", "fearful"]).predict(clip).iloc[0]
        >>> answer["emotion"], float(answer[["happy", "fearful"]].sum().round(6))
        ('fearful', 1.0)
        """
        self.check_labels(emotions)
        if len(set(emotions)) < 2:
            raise DataError("Which emotions are possible? Name two or more of them.")
        possible = [i for i, label in enumerate(self.labels) if label in set(emotions)]
        few, many = len(possible), len(self.labels)
        bound = above_chance(self.manifest.min_confidence, many=many, few=few)
        other = copy(self)
        other.labels = tuple(self.labels[i] for i in possible)
        other._columns = [self._columns[i] for i in possible]
        other.manifest = self.manifest.model_copy(update={"min_confidence": bound})
        return other

    @property
    def encodes(self) -> bool:
        """Whether an encoder comes first; only then there is a voice to take off."""
        return self._network.encodes

    @property
    def listens(self) -> bool:
        """Whether it gets used to a voice by listening, see `listen`.

        Without an encoder it cannot; if it has learned a voice, it need not.
        """
        return self.encodes and not self.embedding.voice.count

    def listen(self, paths: Sequence[str | Path], *, n_jobs: int = -1) -> Voice:
        """Get to know a voice from clips of it, whatever emotions they have.

        Parameters
        ----------
        paths : sequence of str or Path
            Audio files in which the same person speaks; ten of mixed emotions are enough.
        n_jobs : int
            See `ser.utils.parallel.map_items`.

        Returns
        -------
        Voice
            To be given to `knowing`.

        Raises
        ------
        DataError
            If there is no file, one cannot be used, or this model does not listen, see `listens`.
        """
        self._need_listening()
        if not paths:
            raise DataError("No recording of the voice was given. Give one or more.")
        clips, inputs = self.prepare(paths, n_jobs=n_jobs)
        for path, reason in clips.loc[clips["reason"] != "", ["path", "reason"]].to_numpy():
            raise DataError(f"{path}: {reason}")
        return self.heard(Voice(), inputs)

    def heard(self, voice: Voice, inputs: Inputs) -> Voice:
        """Return what is known of a voice after further clips of it, as inputs."""
        return voice.heard(self._network.encode(inputs))

    def knowing(self, voice: Voice) -> Recognizer:
        """Return the same model, expecting a voice that was listened to.

        Parameters
        ----------
        voice : Voice
            See `listen`.

        Returns
        -------
        Recognizer
            It shares the network with this one.

        Raises
        ------
        DataError
            If it has no encoder, see `encodes`.
        """
        self._need_encoder()
        other = copy(self)
        other.voice = voice
        return other

    def explain(self, source: Source, *, sampling_rate: int | None = None) -> Explanation:
        """Say which time and which rows of its input moved the answer for one clip.

        Parameters
        ----------
        source, sampling_rate
            See `predict`.

        Returns
        -------
        Explanation

        Raises
        ------
        AudioError
            If the recording cannot be used.
        """
        from ser.models.explanation import explain

        return explain(self, _samples(source, sampling_rate))

    def adapt(self, recordings: str | Path | Mapping[str, str], *, n_jobs: int = -1) -> Recognizer:
        """Return a copy that has learned a voice from a few labelled recordings of it.

        Few-shot adaptation: five recordings of each emotion are a good start, see
        `ser.models.adaptation`.  This model stays as it is.

        Parameters
        ----------
        recordings : str, Path, or mapping of str to str
            A corpus (`ser.data.corpora.scan`), or the emotion of each file by its path.
        n_jobs : int
            See `ser.utils.parallel.map_items`.

        Returns
        -------
        Recognizer
            Keep it with `save`.

        Raises
        ------
        DataError
            If a file cannot be used, all recordings are of one emotion, or some of the model's
            own were left out (`among`).
        """
        self._need_all_labels()
        from ser.data import corpora
        from ser.models.adaptation import adapt, enrol

        corpus = (
            corpora.scan(recordings)
            if isinstance(recordings, str | Path)
            else corpora.from_labels(recordings)
        )
        inspected = corpora.inspect(corpus, n_jobs=n_jobs)
        if len(inspected.clips) < len(corpus.clips):
            path, reason = inspected.skipped.iloc[-1]
            raise DataError(f"{path}: {reason}")
        return adapt(self, enrol(self, inspected.clips, n_jobs=n_jobs)).recognizer

    def save(self, folder: str | Path, *, name: str = "") -> Manifest:
        """Write the model, with the voice it knows, as a bundle that `load` reads.

        Parameters
        ----------
        folder : str or Path
            A new folder, or one whose bundle is replaced.
        name : str
            Of the model; by default that of the folder.

        Returns
        -------
        Manifest
            Of the bundle.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        DataError
            If some emotions were left out (`among`).
        """
        self._need_all_labels()
        about = dict(self.manifest) | {"name": name or Path(folder).resolve().name}
        del about["embedding"]
        parameters = self.manifest.model.parameters
        embedding = replace(self.embedding, voice=self.voice)
        with atomic_folder(folder) as work:  # a bundle that is there stays until this one is whole
            return write_bundle(work, self._files(), embedding, parameters=parameters, **about)

    def with_layer(self, layer: Layer, embedding: Embedding, **about: Any) -> Recognizer:
        """Return a model that answers what one more layer makes of this one.

        Parameters
        ----------
        layer : Layer
            See `ser.models.runtime.with_layer`.
        embedding : Embedding
            What it knows.
        **about
            What its manifest says otherwise, see `ser.models.manifest.Manifest`.
        """
        files = self._files()
        files[NETWORK] = with_layer(files[NETWORK], layer)
        network = Runtime(files[NETWORK], files.get(ENCODER), trusted=[ENCODER])
        hashes = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in files.items()
            if name != MODEL_FILE
        }
        layers = self.manifest.layers + 1
        manifest = self.manifest.model_copy(update=about | {"runtime": hashes, "layers": layers})
        return type(self)(network, manifest, embedding, files=files.copy)

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return what the model itself says of inputs as they stand, shape (n, labels)."""
        return self._ask(inputs)[0][:, self._columns]

    def logits_and_embeddings(
        self, inputs: Inputs
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return logits, (n, labels), and whitened embeddings, (n, dimensions), of clips.

        The embeddings are those of clips by themselves, whatever is known of their voice.
        """
        logits, activations = averaged(self._network, self.extractor, inputs)
        if self.voice.count:
            logits, _ = self._ask(inputs)
        return logits[:, self._columns], self.embedding.transform(activations)

    def _ask(self, inputs: Inputs) -> Answers:
        return self._network.answer(self._without(self.voice, self._network.encode(inputs)))

    def encode(self, inputs: Inputs) -> Inputs:
        """Return what the encoder gives out for inputs, or these themselves if there is none."""
        return self._network.encode(inputs)

    def of_encoded(
        self, encoded: Inputs
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return logits, (n, labels), and whitened embeddings of encoded clips of its voice."""
        logits, activations = self._network.answer(self._without(self.voice, encoded))
        return logits[:, self._columns], self.embedding.transform(activations)

    def _without(self, voice: Voice, encoded: Inputs) -> Inputs:
        """Take off what is known of a voice."""
        if not voice.count:
            return encoded
        offset = voice.offset(self._typical)
        return {name: values - offset[name] for name, values in encoded.items()}

    def answers(self, inputs: Inputs) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return calibrated probabilities, (n, labels), and out-of-distribution distances, (n,)."""
        if self.encodes:
            encoded = self._network.encode(inputs)
            expecting = self._without(self.voice, encoded)
            return self._answers_to(encoded, expecting, self.voice.count)
        return self._calibrated(*averaged(self._network, self.extractor, inputs))

    def _answers_to(
        self, encoded: Inputs, expecting: Inputs, counts: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the answers to encoded clips once what is known of their voices is taken off.

        `counts` are the clips that they are known by.  How unlike training a clip is does not
        change by knowing its voice.
        """
        logits, activations = self._network.answer(expecting)
        if expecting is not encoded:
            _, activations = self._network.answer(encoded)
        factor = known_factor(self.manifest.voice_temperature, counts).reshape(-1, 1)
        return self._calibrated(logits / factor, activations)

    def _calibrated(
        self, logits: npt.NDArray[np.floating], activations: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        distances = self.embedding.distances(self.embedding.transform(activations))
        temperature = self.manifest.temperature
        return calibrated(logits[:, self._columns], distances, temperature), distances

    def temperatures(self, distances: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return what the logits of clips at these distances are divided by, shape (n,)."""
        factor = known_factor(self.manifest.voice_temperature, self.voice.count)
        return np.asarray(self.manifest.temperature * factor * ood_temperature(distances))

    def probabilities(self, inputs: Inputs) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, labels); each row sums to 1."""
        return self.answers(inputs)[0]

    def verdicts(
        self, probabilities: npt.NDArray[np.floating], known: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.str_]:
        """Say of each row of probabilities whether it is an answer, by the model's own measure.

        An answer is uncertain where the largest probability is below `bounds`; a row of NaN is no
        speech.

        Parameters
        ----------
        probabilities : ndarray of float, shape (n, labels)
        known : int or array of int, optional
            By how many clips each one's voice is known; by default by those of `voice`.
        """
        silent = np.isnan(probabilities).any(axis=1)
        confidence = np.where(silent, 0.0, probabilities.max(axis=1))
        known = self.voice.count if known is None else known
        unsure = np.where(confidence < self.bounds(known), UNCERTAIN, SURE)
        return np.where(silent, NO_SPEECH, unsure)

    def bounds(self, known: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return below which probability an answer is uncertain if its voice is known so well.

        Parameters
        ----------
        known : int or array of int
            By how many clips; more than `ENOUGH` change nothing.
        """
        factor = known_factor(self.manifest.voice_confidence, np.minimum(known, ENOUGH))
        return np.asarray(np.minimum(self.manifest.min_confidence * factor, 1.0))

    def prepare(
        self, paths: Sequence[str | Path], *, n_jobs: int = -1, progress: Progress | None = None
    ) -> tuple[pd.DataFrame, Inputs]:
        """Decode clips and extract their features; nothing of it is kept anywhere.

        Returns
        -------
        clips : DataFrame
            One row per path, in order: ``path``, ``start`` and ``end`` (s), and ``reason``, which
            is empty if the clip can be used.
        inputs : dict of str to ndarray of float32
            Those of the clips that can be used, in order.
        """
        one = partial(_prepare, extractor=self.extractor)
        found = map_items(one, paths, "Listening", n_jobs=n_jobs, progress=progress)
        rows = [(shown(path), *each[:3]) for path, each in zip(paths, found, strict=True)]
        clips = pd.DataFrame(rows, columns=["path", "start", "end", "reason"])
        clips = clips.astype({"start": float, "end": float, "reason": "str"})
        return clips, self.extractor.batch([each[3] for each in found if each[3] is not None])

    def check_labels(self, emotions: Iterable[str]) -> None:
        """Refuse emotions that this model cannot answer.

        Raises
        ------
        DataError
            Naming them.
        """
        if unknown := sorted(set(emotions) - set(self.labels)):
            raise DataError(
                f"The model has no label for: {', '.join(unknown)}. It knows: "
                f"{', '.join(self.labels)}. Leave such clips out, or take another model."
            )

    def _need_listening(self) -> None:
        self._need_encoder()
        if not self.listens:
            raise DataError(
                f"{self.manifest.name} knows the voice that it has learned, and gets used to no "
                "other. Use the model that it was made of."
            )

    def _need_encoder(self) -> None:
        if not self.encodes:
            raise DataError(
                f"{self.manifest.name} does not get used to a voice by listening; it answers each "
                "clip by itself. Use a model with an encoder, such as everyday."
            )

    def _need_all_labels(self) -> None:
        if self.labels != self.manifest.labels:
            raise DataError(
                f"This model is asked about {', '.join(self.labels)} alone. Adapt or save the one "
                "that knows all its emotions."
            )

    def table(
        self,
        files: list[str],
        starts: list[float],
        ends: list[float],
        probabilities: npt.NDArray[np.float64],
        distances: npt.NDArray[np.float64],
        known: Iterable[int] | None = None,
    ) -> pd.DataFrame:
        """Return the answers of `answers` as a table of predictions.

        Parameters
        ----------
        files : list of str
            What the column ``file`` says.
        starts, ends : list of float
            Where the clips lie in their recordings, in seconds.
        probabilities, distances : ndarray of float64
            See `answers`.
        known : iterable of int, optional
            By how many clips each one's voice is known; by default by those of `voice`.

        Returns
        -------
        DataFrame
            One row per clip.
        """
        known = [self.voice.count] * len(files) if known is None else list(known)
        verdicts = self.verdicts(probabilities, known)
        rows = list(zip(verdicts, probabilities, distances, known, strict=True))
        table: dict[str, Any] = {"file": files, "start": starts, "end": ends}
        table["emotion"] = pd.Series(
            [None if v == NO_SPEECH else self.labels[int(p.argmax())] for v, p, *_ in rows],
            dtype=object,
        )
        table["verdict"] = verdicts
        table["reason"] = [self._reason(*row) for row in rows]
        table["distance"] = distances
        return pd.DataFrame(
            table | {label: probabilities[:, i] for i, label in enumerate(self.labels)}
        )

    def _reason(
        self, verdict: str, probabilities: npt.NDArray[np.float64], distance: float, known: int
    ) -> str:
        if verdict == NO_SPEECH:
            return "Nobody speaks here."
        if verdict == SURE:
            return ""
        confidence = float(probabilities.max())
        best = self.labels[int(probabilities.argmax())]
        reason = (
            f"No emotion stands out: {best} is likeliest with {confidence:.1%}; below "
            f"{float(self.bounds(known)):.1%} the model is too unsure to answer."
        )
        unlike = above_chance(_LIKE_NOTHING, many=8, few=len(self.labels))
        if distance > 1 or confidence < unlike:
            reason += " It is unlike anything this model was trained on."
        if known < ENOUGH and "adapted" not in self.manifest.training:
            listen = "let the model listen to a few sentences, or " if self.listens else ""
            reason += f" For a new voice, {listen}teach it your voice."
        return reason


def _samples(source: Source, sampling_rate: int | None) -> audio.Samples:
    if isinstance(source, np.ndarray):
        if sampling_rate is None:
            raise TypeError("An array needs its rate: predict(samples, sampling_rate=44_100).")
        return audio.mono_samples(source, sampling_rate)
    if sampling_rate is not None:
        raise TypeError("sampling_rate is for arrays; a file says its rate itself.")
    return audio.load_audio(source if isinstance(source, str | Path | bytes) else source.read())


def _name_of(source: Source) -> str:
    return shown(source) if isinstance(source, str | Path) else "recording"


def _prepare(
    path: str | Path, *, extractor: FeatureExtractor
) -> tuple[float, float, str, Inputs | None]:
    """Decode one file and extract its features; in a worker process, so without the model."""
    try:
        clip = audio.prepare_clip(audio.load_audio(path))
    except audio.AudioError as error:
        return np.nan, np.nan, str(error), None
    return clip.start, clip.end, "", extractor.extract(clip.samples)
