"""What a model bundle says of itself: ``manifest.json``, checked before anything is believed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from ser import audio
from ser.audio.extractors import read_extractor
from ser.audio.features import FeatureExtractor
from ser.errors import BundleError
from ser.utils.files import read_json
from ser.utils.validation import first_problem

MANIFEST_FILE = "manifest.json"
FORMAT = 4
MOST_LABELS = 10
"""Labels that a model may have."""

_LABEL = re.compile(r"\w[\w -]{0,39}")
_MAX_BYTES = 60_000_000  # 42 of each training clip, of which there may be a million
# Columns of predictions, beside which every label has one of its own.
_COLUMNS = (
    *("file", "start", "end", "emotion", "verdict", "reason", "distance", "truth", "speaker"),
    *("gender", "channel", "intensity", "statement", "corpus", "fold"),
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class ClipFormat(_Part):
    """What a clip is; a model that learned from others would not know these.

    Attributes
    ----------
    sampling_rate : int
        Hz.
    samples : int
        Length.
    trim_db : float
        See `ser.audio.TRIM_DB`.
    level_dbfs : float
        See `ser.audio.LEVEL_DBFS`.
    """

    sampling_rate: int = audio.SAMPLING_RATE
    samples: int = audio.CLIP_SAMPLES
    trim_db: float = audio.TRIM_DB
    level_dbfs: float = audio.LEVEL_DBFS


class File(_Part):
    """A file of the bundle and its SHA-256."""

    file: str
    sha256: str


class ModelFile(File):
    """The network: its file, that file's size, and its number of weights."""

    bytes: int
    parameters: int


class TrainingClips(_Part):
    """The training and validation clips, so that no report can call them unseen.

    Attributes
    ----------
    ids : list of str
        Of those whose name is their identity.
    audio : list of str
        `ser.audio.audio_hash` of all of them.
    """

    ids: list[str]
    audio: list[str]


class Manifest(_Part):
    """What a bundle says of itself.

    Attributes
    ----------
    format : int
        Of this file.
    ser : str
        Version that wrote it.
    name : str
        For people.
    created : str
        ISO 8601, UTC.
    temperature : float
        Logits are divided by it before the softmax (Guo et al. 2017, *On calibration of modern
        neural networks*); fitted on validation clips.  In [.05, 20], which is what fitting can
        give.
    voice_temperature : float
        What the temperature is multiplied by where the voice is known by ten clips, see
        `ser.models.voice`: without it the logits are smaller, and more often right.
    min_confidence : float
        Answers whose largest probability is below it are called uncertain; set on validation
        clips (`ser.evaluation.metrics.fit_min_confidence`).
    voice_confidence : float
        What `min_confidence` is multiplied by where the voice is known by ten clips: answers about
        it are more often right, so less confidence is enough.
    model : ModelFile
        ``model.keras``.
    embedding : File
        ``embedding.npz``, see `ser.models.embedding`.
    runtime : dict of str to str, optional
        SHA-256 of each file that predicts without TensorFlow, see `ser.models.runtime`; models of
        older versions have none.
    layers : int
        How many layers, of voices or of classes of one's own, ``network.onnx`` has beyond
        ``model.keras``, which stays that of the model they were added to.
    labels : tuple of str
        Names of the model's outputs, in order: emotions, or classes of one's own
        (`ser.evaluation.own_classes`).
    clip : ClipFormat
        What a clip is.
    features : FeatureExtractor
        Makes the model's inputs.
    training : dict
        Configuration of the run and the size of its parts.
    versions : dict of str to str
        Of the libraries that trained it.
    training_clips : TrainingClips
        What it was trained and calibrated on.
    """

    format: int = FORMAT
    ser: str
    name: str
    created: str
    temperature: float = Field(ge=0.05, le=20)
    voice_temperature: float = Field(default=1.0, ge=0.05, le=20)
    min_confidence: float = Field(ge=0, le=1)
    voice_confidence: float = Field(default=1.0, ge=0.05, le=20)
    model: ModelFile
    embedding: File
    runtime: dict[Literal["network.onnx", "encoder.onnx"], str] | None = None
    layers: int = Field(default=0, ge=0, le=100)
    labels: tuple[str, ...]
    clip: ClipFormat
    features: Annotated[SerializeAsAny[FeatureExtractor], BeforeValidator(lambda v: _extractor(v))]
    training: dict[str, Any]
    versions: dict[str, str]
    training_clips: TrainingClips

    @field_validator("labels")
    @classmethod
    def _labels_are_names(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if not 2 <= len(set(labels)) == len(labels) <= MOST_LABELS:
            raise ValueError(f"must be two to {MOST_LABELS} different names, not {labels}")
        for label in labels:
            check_label(label)
        return labels

    @field_validator("clip")
    @classmethod
    def _clip_is_ours(cls, clip: ClipFormat) -> ClipFormat:
        for name, ours in ClipFormat().model_dump().items():
            if (theirs := getattr(clip, name)) != ours:
                raise ValueError(f"its model learned from clips with a {name} of {theirs}")
        return clip

    @model_validator(mode="after")
    def _layers_are_somewhere(self) -> Manifest:
        if self.layers and "network.onnx" not in (self.runtime or {}):
            raise ValueError("it has layers, but no network.onnx that holds them")
        return self

    @property
    def model_sha256(self) -> str:
        """SHA-256 that tells models apart: of ``model.keras``, or of what has more layers."""
        return self.runtime["network.onnx"] if self.runtime and self.layers else self.model.sha256


def check_label(label: str) -> None:
    """Refuse what cannot be a label.

    Raises
    ------
    ValueError
        Saying what can.
    """
    if not _LABEL.fullmatch(label):
        raise ValueError(f"{label!r} must be letters, digits, spaces, - and _, at most 40")
    if label in _COLUMNS:
        raise ValueError(f"{label!r} is the name of a column of predictions")


def _extractor(values: object) -> FeatureExtractor:
    return values if isinstance(values, FeatureExtractor) else read_extractor(values)


def read_manifest(folder: str | Path) -> Manifest:
    """Read and check the manifest of a bundle, without loading the model.

    Raises
    ------
    BundleError
        If there is none, or it is damaged or of another format.
    """
    file = Path(folder) / MANIFEST_FILE
    if not file.is_file():
        raise BundleError(
            f"{folder} is not a model bundle: it has no {MANIFEST_FILE}. Bundles are folders such "
            "as models/ravdess, or finished training runs."
        )
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise BundleError(f"{file} is too large to be a manifest.")
        values = read_json(file)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{file} is damaged ({error}). Copy the bundle again, or train again."
        ) from error
    if values.get("format") != FORMAT:
        raise BundleError(
            f"{file} has another format than this version of ser reads ({FORMAT}). Update ser, "
            "or train again."
        )
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        raise BundleError(
            f"{file} does not fit: {first_problem(error)}. Copy the bundle again, or train again."
        ) from error
