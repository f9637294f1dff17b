"""A model bundle: ``model.keras``, ``embedding.npz``, and a ``manifest.json`` that describes both.

A bundle may come from anyone, so nothing in it is believed before it is checked: the model must be
the file the manifest was written for (SHA-256), may consist of Keras' own layers only, and is read
in Keras' safe mode.  There is no pickle in it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ser
from ser.audio.config import CONTRACT, Contract
from ser.errors import BundleError
from ser.models.embedding import EMBEDDING_FILE, Embedding, read_embedding, write_embedding
from ser.utils.files import atomic_path, read_json, sha256_of, write_json

if TYPE_CHECKING:
    import keras

MODEL_FILE = "model.keras"
MANIFEST_FILE = "manifest.json"
FORMAT = 4
_MAX_MODEL_BYTES = 100_000_000
_MAX_CONFIG_BYTES = 1_000_000
_MAX_MANIFEST_BYTES = 20_000_000
_MAX_SIZE = 10_000  # of any number in the configuration: units, filters, frames

# What `ser.models.networks` uses.  Loading runs the constructors that a model file names, so
# a file that names others is refused before Keras sees it.
_ALLOWED_CLASSES = {
    "Functional",
    "Average",
    "Concatenate",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "InputLayer",
    "Normalization",
    "Permute",
    "Reshape",
    "Conv1D",
    "Conv2D",
    "BatchNormalization",
    "Activation",
    "ReLU",
    "Subtract",
    "Cropping1D",
    "MaxPooling1D",
    "MaxPooling2D",
    "SpatialDropout1D",
    "Dropout",
    "Bidirectional",
    "LSTM",
    "Dense",
    "Softmax",
    "Dot",
    "Flatten",
    # Parts of layers.
    "DTypePolicy",
    "GlorotUniform",
    "OrthogonalInitializer",
    "Orthogonal",
    "Zeros",
    "Ones",
}


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    Attributes
    ----------
    name : str
        For people.
    contract : Contract
        What the model is fed.
    model_sha256 : str
        Of ``model.keras``.
    embedding_sha256 : str
        Of ``embedding.npz``, see `ser.models.embedding`.
    temperature : float
        Logits are divided by it before the softmax (Guo et al. 2017, *On calibration of modern
        neural networks*); fitted on validation clips.
    min_confidence : float
        Answers whose largest probability is below it are called uncertain; set on validation
        clips (`ser.evaluation.metrics.fit_min_confidence`).
    created : str
        ISO 8601, UTC.
    training : dict
        Configuration of the run and the size of its parts.
    training_clips : dict of str to list of str
        ``ids`` and ``audio`` (`ser.audio.audio_hash`) of the training and validation clips, so
        that no report can call them unseen.
    versions : dict of str to str
        Of the libraries that trained it.
    """

    name: str
    contract: Contract
    model_sha256: str
    embedding_sha256: str
    temperature: float
    min_confidence: float
    created: str
    training: dict[str, Any] = field(default_factory=dict)
    training_clips: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def save_bundle(
    folder: str | Path,
    model: keras.Model,
    embedding: Embedding,
    *,
    name: str,
    temperature: float,
    min_confidence: float,
    contract: Contract = CONTRACT,
    training: dict[str, Any] | None = None,
    training_clips: dict[str, list[str]] | None = None,
    versions: dict[str, str] | None = None,
) -> Manifest:
    """Write a model, its space and its manifest; the last one makes the folder a bundle.

    Parameters
    ----------
    folder : str or Path
        Made if missing.
    model : keras.Model
        Maps features to logits.
    embedding : Embedding
        Where the clips it heard lie.
    name, temperature, min_confidence, contract, training, heard, versions
        See `Manifest`.

    Returns
    -------
    Manifest

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    folder = Path(folder)
    with atomic_path(folder / MODEL_FILE) as temporary:
        model.save(temporary)
    write_embedding(folder / EMBEDDING_FILE, embedding)
    manifest = Manifest(
        name=name,
        contract=contract,
        model_sha256=sha256_of(folder / MODEL_FILE),
        embedding_sha256=sha256_of(folder / EMBEDDING_FILE),
        temperature=temperature,
        min_confidence=min_confidence,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        training=training or {},
        training_clips=training_clips or {},
        versions=versions or {},
    )
    values = {
        "format": FORMAT,
        "ser": ser.__version__,
        **{k: getattr(manifest, k) for k in ("name", "created", "temperature", "min_confidence")},
        "model": {
            "file": MODEL_FILE,
            "sha256": manifest.model_sha256,
            "bytes": (folder / MODEL_FILE).stat().st_size,
            "parameters": model.count_params(),
        },
        "embedding": {"file": EMBEDDING_FILE, "sha256": manifest.embedding_sha256},
        "contract": contract.to_json(),
        "training": manifest.training,
        "versions": manifest.versions,
        "training_clips": manifest.training_clips,
    }
    write_json(folder / MANIFEST_FILE, values)
    return manifest


def read_manifest(folder: str | Path) -> Manifest:
    """Read and check the manifest of a bundle, without loading the model.

    Raises
    ------
    BundleError
        If there is none, or it is damaged or of a later format.
    """
    file = Path(folder) / MANIFEST_FILE
    if not file.is_file():
        raise BundleError(
            f"{folder} is no model bundle: it has no {MANIFEST_FILE}. Bundles are folders such "
            "as models/ravdess, or finished training runs."
        )
    try:
        if file.stat().st_size > _MAX_MANIFEST_BYTES:
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
        temperature = float(values["temperature"])
        min_confidence = float(values["min_confidence"])
        training_clips = values["training_clips"]
        if not all(isinstance(training_clips[kind], list) for kind in ("ids", "audio")):
            raise TypeError("training_clips")
        manifest = Manifest(
            name=str(values["name"]),
            contract=Contract.from_json(values["contract"]),
            model_sha256=str(values["model"]["sha256"]),
            embedding_sha256=str(values["embedding"]["sha256"]),
            temperature=temperature,
            min_confidence=min_confidence,
            created=str(values["created"]),
            training=dict(values["training"]),
            training_clips={k: [str(v) for v in training_clips[k]] for k in ("ids", "audio")},
            versions=dict(values["versions"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(
            f"{file} lacks or garbles {error}. Copy the bundle again, or train again."
        ) from error
    if not 0.05 <= temperature <= 20:  # what fitting can give
        raise BundleError(f"{file} has an impossible temperature: {temperature}.")
    if not 0 <= min_confidence <= 1:
        raise BundleError(f"{file} has an impossible min_confidence: {min_confidence}.")
    return manifest


def load_bundle(folder: str | Path) -> tuple[keras.Model, Manifest]:
    """Load a model after checking that it is the one its manifest describes.

    Returns
    -------
    model : keras.Model
        Maps (batch, 32, 94, 2) features to (batch, 8) logits.
    manifest : Manifest

    Raises
    ------
    BundleError
        If a file is missing, damaged, not the one described, or not made of known layers.
    """
    import keras

    manifest = read_manifest(folder)
    file = Path(folder) / MODEL_FILE
    if not file.is_file():
        raise BundleError(f"{folder} has no {MODEL_FILE}. Copy the bundle again.")
    if sha256_of(file) != manifest.model_sha256:
        raise BundleError(
            f"{file} is not the model its manifest describes (its SHA-256 differs): one of the "
            "two was changed or damaged. Copy the bundle again."
        )
    _check_layers(file)
    try:
        model = keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the damage happens to cause
        raise BundleError(f"{file} cannot be loaded: {_first_line(error)}") from error
    shapes = (model.input_shape, model.output_shape)
    expected = (
        (None, *manifest.contract.input_shape),
        (None, len(manifest.contract.labels)),
    )
    if shapes != expected:
        raise BundleError(
            f"{file} maps {shapes[0]} to {shapes[1]}, but its manifest promises {expected[0]} to "
            f"{expected[1]}. Copy the bundle again, or train again."
        )
    rows, _, channels = manifest.contract.input_shape
    statistics = {layer.name: getattr(layer, "mean", None) for layer in model.layers}.get("rows")
    if statistics is None or tuple(statistics.shape) != (1, rows, 1, channels):
        raise BundleError(
            f"{file} does not normalise its rows as the models of this project do. Train again."
        )
    return model, manifest


def load_embedding(folder: str | Path, manifest: Manifest) -> Embedding:
    """Load the space of a bundle after checking that it is the one its manifest describes.

    Raises
    ------
    BundleError
        If the file is missing, damaged, or not the one described.
    """
    file = Path(folder) / EMBEDDING_FILE
    if not file.is_file():
        raise BundleError(f"{folder} has no {EMBEDDING_FILE}. Copy the bundle again.")
    if sha256_of(file) != manifest.embedding_sha256:
        raise BundleError(
            f"{file} is not the one its manifest describes (its SHA-256 differs): one of the two "
            "was changed or damaged. Copy the bundle again."
        )
    return read_embedding(file, labels=len(manifest.contract.labels))


def find_bundles(folder: str | Path) -> list[Path]:
    """Return the bundles directly inside a folder, sorted by name."""
    return sorted(file.parent for file in Path(folder).glob(f"*/{MANIFEST_FILE}"))


def _check_layers(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if sum(sizes.values()) > _MAX_MODEL_BYTES or sizes["config.json"] > _MAX_CONFIG_BYTES:
                raise BundleError(f"{file} unpacks to more than a model of this kind can have.")
            config = json.loads(archive.read("config.json"))
            largest = _largest_number(config)
    except BundleError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise BundleError(f"{file} is no Keras model file ({_first_line(error)}).") from error
    if largest > _MAX_SIZE:
        raise BundleError(
            f"{file} asks for a layer of size {largest:g}, more than any model of this project "
            "has. It is not loaded, since it could fill the memory."
        )
    for module, name in _classes(config):
        own = name in _ALLOWED_CLASSES and (module or "").split(".")[0] == "keras"
        if not own and (module, name) != (None, "__keras_tensor__"):
            raise BundleError(
                f"{file} contains {module}.{name}, which no model of this project has. It is not "
                "loaded, since loading could run foreign code."
            )


def _classes(config: Any) -> Iterator[tuple[str | None, str]]:
    """Yield (module, class) of everything a Keras configuration would construct."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config.get("module"), str(config["class_name"])
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _classes(value)


def _largest_number(config: Any) -> float:
    """Return the largest number that could be a size; names and seeds are as large as they like."""
    if isinstance(config, dict):
        config = [v for k, v in config.items() if k not in ("shared_object_id", "seed")]
    if isinstance(config, list):
        return max(map(_largest_number, config), default=0.0)
    return abs(config) if isinstance(config, int | float) else 0.0


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
