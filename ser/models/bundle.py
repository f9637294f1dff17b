"""A model bundle: ``model.keras``, the same for predicting, its embedding, and a manifest of all.

The files are ``model.keras``, ``network.onnx`` and perhaps ``encoder.onnx`` (`ser.models.runtime`),
``embedding.npz`` and ``manifest.json``.  A model that has learned a voice has one more layer in
``network.onnx``; its ``model.keras`` is still that of its parent, and `load_bundle` adds the layer.

A bundle may come from anyone, so nothing in it is believed before it is checked: the model must be
the file the manifest was written for (SHA-256), may consist of Keras' own layers only, and is read
in Keras' safe mode.  There is no pickle in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

import ser
from ser.assets import ENCODER_ONNX, MODELS
from ser.audio.features import SPECTRAL, FeatureExtractor
from ser.errors import BundleError
from ser.labels import EMOTIONS
from ser.models import runtime
from ser.models.embedding import EMBEDDING_FILE, Embedding, read_embedding, write_embedding
from ser.models.manifest import (
    MANIFEST_FILE,
    ClipFormat,
    File,
    Manifest,
    ModelFile,
    TrainingClips,
    read_manifest,
)
from ser.models.networks import with_activations, with_adaptation_layer
from ser.models.runtime import Runtime
from ser.utils.extras import need
from ser.utils.files import atomic_path, sha256_of, write_json

if TYPE_CHECKING:
    import keras

__all__ = [
    "MANIFEST_FILE",
    "MODEL_FILE",
    "Manifest",
    "find_bundles",
    "load_bundle",
    "load_embedding",
    "read_manifest",
    "save_bundle",
]

MODEL_FILE = "model.keras"
_WEIGHTS = "model.weights.h5"  # within it
_MAX_MODEL_BYTES = 100_000_000
_MAX_CONFIG_BYTES = 1_000_000
_FEW = 1000  # numbers that a model makes and does not store, such as states of random generators
_MAX_SIZE = 10_000  # of any number in the configuration: units, filters, frames

# What `ser.models.networks` uses.  Loading runs the constructors that a model file names, so
# a file that names others is refused before Keras sees it.
_ALLOWED_CLASSES = {
    "Functional",
    "Add",
    "Average",
    "AveragePooling1D",
    "Concatenate",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "InputLayer",
    "LayerNormalization",
    "MultiHeadAttention",
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
    "ZeroPadding1D",
    # Parts of layers.
    "DTypePolicy",
    "GlorotUniform",
    "OrthogonalInitializer",
    "Orthogonal",
    "Zeros",
    "Ones",
}


def save_bundle(
    folder: str | Path,
    model: keras.Model,
    embedding: Embedding,
    *,
    name: str,
    temperature: float,
    min_confidence: float,
    voice_temperature: float = 1.0,
    voice_confidence: float = 1.0,
    extractor: FeatureExtractor = SPECTRAL,
    labels: Sequence[str] = EMOTIONS,
    training: dict[str, Any] | None = None,
    training_clips: TrainingClips | None = None,
    versions: dict[str, str] | None = None,
) -> Manifest:
    """Write a model, its embedding and its manifest; the last one makes the folder a bundle.

    Parameters
    ----------
    folder : str or Path
        Made if missing.
    model : keras.Model
        Maps the extractor's inputs to logits.
    embedding : Embedding
        Of the clips it was trained on.
    name, temperature, min_confidence, voice_temperature, voice_confidence
        See `ser.models.manifest.Manifest`.
    labels, training, training_clips, versions
        See `ser.models.manifest.Manifest`.
    extractor : FeatureExtractor
        Makes its inputs.

    Returns
    -------
    Manifest

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    with TemporaryDirectory() as place:
        file = Path(place) / MODEL_FILE
        model.save(file)
        _halve(file)
        content = file.read_bytes()
    return write_bundle(
        folder,
        {MODEL_FILE: content} | runtime.convert(model),
        embedding,
        name=name,
        temperature=temperature,
        voice_temperature=voice_temperature,
        min_confidence=min_confidence,
        voice_confidence=voice_confidence,
        parameters=model.count_params(),
        labels=tuple(labels),
        features=extractor,
        training=training or {},
        versions=versions or {},
        training_clips=training_clips or TrainingClips(ids=[], audio=[]),
    )


def write_bundle(
    folder: str | Path,
    files: Mapping[str, bytes],
    embedding: Embedding,
    *,
    parameters: int,
    **about: Any,
) -> Manifest:
    """Write a bundle of networks that are files already, see `bundle_files`.

    Parameters
    ----------
    folder : str or Path
        Made if missing.
    files : mapping of str to bytes
        Content of ``model.keras`` and of the files of `ser.models.runtime`, by name.
    embedding : Embedding
        Of the clips it was trained on.
    parameters : int
        How many weights ``model.keras`` has.
    **about
        What else the manifest says, see `ser.models.manifest.Manifest`.

    Returns
    -------
    Manifest

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    folder = Path(folder)
    hashes = write_files(folder, files)
    write_embedding(folder / EMBEDDING_FILE, embedding)
    values: dict[str, Any] = {
        "ser": ser.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": ModelFile(
            file=MODEL_FILE,
            sha256=hashes.pop(MODEL_FILE),
            bytes=len(files[MODEL_FILE]),
            parameters=parameters,
        ),
        "embedding": File(file=EMBEDDING_FILE, sha256=sha256_of(folder / EMBEDDING_FILE)),
        "runtime": hashes,
        "clip": ClipFormat(),
    }
    manifest = Manifest(**(about | values))
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    return manifest


def write_files(folder: Path, files: Mapping[str, bytes]) -> dict[Any, str]:
    """Write networks into a bundle's folder; returns the SHA-256 of each."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in files.items():
        if name == runtime.ENCODER and _is_shipped(hashes[name]):
            continue  # as all models have that were not trained from the encoder on
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)
    return hashes


def bundle_files(folder: str | Path, manifest: Manifest) -> dict[str, bytes]:
    """Return the content of a bundle's networks by name, as `write_bundle` takes them.

    Raises
    ------
    BundleError
        If one is missing, damaged, or not the one the manifest describes.
    """
    file = check_model_file(folder, manifest)
    return {MODEL_FILE: file.read_bytes()} | runtime_contents(Path(folder), manifest)


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
    need("train", "keras", "h5py")
    import keras

    manifest = read_manifest(folder)
    file = check_model_file(folder, manifest)
    config = _check_layers(file)
    stored = _check_weights(file)
    try:
        if _weights_asked_for(config) > stored + _FEW:
            raise BundleError("it asks for more weights than it holds, which could fill the memory")
        model = keras.models.load_model(file, compile=False, safe_mode=True)
        for kernel, bias in _layers(Path(folder), manifest):
            model = with_adaptation_layer(with_activations(model), kernel, bias)
    except Exception as error:  # Keras raises whatever the damage happens to cause
        raise BundleError(f"{file} cannot be loaded: {_first_line(error)}") from error
    if not all(np.isfinite(values).all() for values in model.get_weights()):
        raise BundleError(f"{file} holds weights that are not numbers. Train or copy it again.")
    (shape,) = manifest.features.shapes.values()
    shapes = (model.input_shape, model.output_shape)
    expected = ((None, *shape), (None, len(manifest.labels)))
    if shapes != expected:
        raise BundleError(
            f"{file} maps {shapes[0]} to {shapes[1]}, but its manifest promises {expected[0]} to "
            f"{expected[1]}. Copy the bundle again, or train again."
        )
    if not _normalises_rows(model, shape):
        raise BundleError(
            f"{file} does not normalise its rows as the models of this project do. Train again."
        )
    return model, manifest


def _layers(folder: Path, manifest: Manifest) -> list[runtime.Layer]:
    """Return the layers that a bundle's network has beyond its Keras model."""
    if not manifest.layers:
        return []
    layers = runtime.layers_of(runtime_contents(folder, manifest)[runtime.NETWORK])
    if len(layers) != manifest.layers:
        raise BundleError(
            f"{runtime.NETWORK} has {len(layers)} layers of its own, not {manifest.layers}"
        )
    return layers


def _is_shipped(sha256: str) -> bool:
    return ENCODER_ONNX.is_file() and sha256_of(ENCODER_ONNX) == sha256


def load_runtime(folder: str | Path, manifest: Manifest) -> Runtime:
    """Load what predicts without TensorFlow; of an older bundle it is made of its model.

    Raises
    ------
    BundleError
        If a file is missing, damaged, not the one the manifest describes, or no network of this
        project.
    """
    folder = Path(folder)
    contents = runtime_contents(folder, manifest)
    trusted = set()
    if not (folder / runtime.ENCODER).exists():
        trusted.add(runtime.ENCODER)  # the one that ships was taken
    if folder.resolve().parent == MODELS.resolve():
        trusted |= {runtime.NETWORK, runtime.ENCODER}
    loaded = Runtime(contents[runtime.NETWORK], contents.get(runtime.ENCODER), trusted=trusted)
    if loaded.input_shapes != tuple(manifest.features.shapes.values()) or (
        loaded.output_sizes[0] != len(manifest.labels)
    ):
        raise BundleError(
            f"{folder / runtime.NETWORK} does not map the features of its manifest to its labels. "
            "Copy the bundle again, or train again."
        )
    nothing = {n: np.zeros((1, *s), np.float32) for n, s in manifest.features.shapes.items()}
    if not all(np.isfinite(output).all() for output in loaded(nothing)):
        raise BundleError(
            f"{folder} answers with something that is not a number. Train or copy it again."
        )
    return loaded


def runtime_contents(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Return the files that predict without TensorFlow, by name; of an older bundle, made anew.

    Raises
    ------
    BundleError
        If one is missing, damaged, or not the one the manifest describes.
    """
    if manifest.runtime is None:
        need("train", "keras")
        return runtime.convert(load_bundle(folder)[0])
    contents: dict[str, bytes] = {}
    for name, sha256 in manifest.runtime.items():
        file = folder / name
        if name == runtime.ENCODER and not file.is_file():
            file = ENCODER_ONNX
        elif name == runtime.ENCODER and sha256_of(file) != sha256 and _is_shipped(sha256):
            file = ENCODER_ONNX  # the other one was left by a model that was replaced
        contents[name] = runtime.read(file)
        if hashlib.sha256(contents[name]).hexdigest() != sha256:
            raise BundleError(_differs(file))
    if runtime.NETWORK not in contents:
        raise BundleError(f"{folder} names no {runtime.NETWORK}. Copy the bundle again.")
    return contents


def check_model_file(folder: str | Path, manifest: Manifest) -> Path:
    """Return a bundle's model file after checking that it is the one its manifest describes.

    Raises
    ------
    BundleError
        If it is missing or another one.
    """
    file = Path(folder) / MODEL_FILE
    if not file.is_file():
        raise BundleError(f"{folder} has no {MODEL_FILE}. Copy the bundle again.")
    if sha256_of(file) != manifest.model.sha256:
        raise BundleError(_differs(file))
    return file


def _differs(file: Path) -> str:
    return (
        f"{file} is not the one its manifest describes (its SHA-256 differs): one of the two was "
        "changed or damaged. Copy the bundle again."
    )


def load_embedding(folder: str | Path, manifest: Manifest) -> Embedding:
    """Load the embedding of a bundle after checking that it is the one its manifest describes.

    Raises
    ------
    BundleError
        If the file is missing, damaged, or not the one described.
    """
    file = Path(folder) / EMBEDDING_FILE
    if not file.is_file():
        raise BundleError(f"{folder} has no {EMBEDDING_FILE}. Copy the bundle again.")
    if sha256_of(file) != manifest.embedding.sha256:
        raise BundleError(_differs(file))
    return read_embedding(file, labels=len(manifest.labels))


def find_bundles(folder: str | Path) -> list[Path]:
    """Return the bundles directly inside a folder, sorted by name."""
    # A name with a dot is of one that is still being written, or never will be.
    return sorted(file.parent for file in Path(folder).glob(f"[!.]*/{MANIFEST_FILE}"))


def _normalises_rows(model: keras.Model, shape: tuple[int, ...]) -> bool:
    """Say whether a model knows mean and spread of every row of its features, or of an encoder's.

    Spectral features, `shape`, have rows and channels; an encoder gives out one channel.
    """
    statistics = {layer.name: getattr(layer, "mean", None) for layer in model.layers}.get("rows")
    if statistics is None or len(statistics.shape) != 4:
        return False
    rows, channels = (shape[0], shape[-1]) if len(shape) == 3 else (statistics.shape[1], 1)
    return tuple(statistics.shape) == (1, rows, 1, channels)


def _halve(file: Path) -> None:
    """Store weights that half precision holds exactly in half the space, as an encoder's are."""
    import h5py

    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    smaller = io.BytesIO()
    with h5py.File(io.BytesIO(parts[_WEIGHTS])) as old, h5py.File(smaller, "w") as new:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                values = item[()]
                half = values.astype(np.float16) if values.dtype == np.float32 else values
                new.create_dataset(name, data=half if np.array_equal(half, values) else values)
            else:
                new.require_group(name)
            new[name].attrs.update(item.attrs)

        old.visititems(copy)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (parts | {_WEIGHTS: smaller.getvalue()}).items():
            archive.writestr(name, data)


def _check_layers(file: Path) -> dict[str, Any]:
    """Return the configuration of a model file that is safe to be built.

    Raises
    ------
    BundleError
        If it is not.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            sizes = {entry.filename: entry.file_size for entry in entries}
            # Keras writes files as they are; compressed ones could be far larger than they say.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise BundleError(f"{file} is compressed, as no model of this project is.")
            if sum(sizes.values()) > _MAX_MODEL_BYTES or sizes["config.json"] > _MAX_CONFIG_BYTES:
                raise BundleError(f"{file} unpacks to more than a model of this kind can have.")
            config = json.loads(archive.read("config.json"))
            if not isinstance(config, dict):
                raise ValueError("its configuration is not a table")
            largest = _largest_number(config)
    except BundleError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise BundleError(f"{file} is not a Keras model file ({_first_line(error)}).") from error
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
    return config


def _check_weights(file: Path) -> int:
    """Return how many weights a model file really holds.

    Raises
    ------
    BundleError
        If they are damaged, or would take more memory than the file has bytes.
    """
    import h5py

    counts: list[int] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            if item.id.get_storage_size() < item.nbytes or item.external or item.is_virtual:
                raise BundleError(f"{file} unpacks to more than a model of this kind can have.")
            counts.append(item.size)

    try:
        with (
            zipfile.ZipFile(file) as archive,
            h5py.File(io.BytesIO(archive.read(_WEIGHTS))) as stored,
        ):
            stored.visititems(look)
    except BundleError:
        raise
    except Exception as error:  # whatever a damaged file causes
        raise BundleError(f"{file} cannot be loaded: {_first_line(error)}") from error
    return sum(counts)


def _weights_asked_for(config: dict[str, Any]) -> int:
    """Return how many weights the layers of a configuration have, without making any."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    return sum(math.prod(variable.shape) for variable in model.variables)


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
    if isinstance(config, float) and not math.isfinite(config):
        return math.inf  # NaN is larger than nothing
    return abs(config) if isinstance(config, int | float) else 0.0


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
