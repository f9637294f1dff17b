"""A model for browsers: a folder with a page that runs it there, on the microphone.

The page is made of ``web/`` (TypeScript) and ships with the package.  Beside it are put the model,
as one packed ONNX graph from the features of a clip to its logits and its out-of-distribution
distance, and ``model.json``, which says what else belongs to its answers.
"""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser import assets
from ser.audio import log_mel
from ser.errors import BundleError, DataError, OutputError
from ser.labels import COLORS
from ser.models import runtime
from ser.models.bundle import load_embedding, load_runtime, runtime_contents
from ser.models.embedding import OOD_EXPONENT, Embedding
from ser.models.manifest import Manifest, read_manifest
from ser.models.onnx_export import OPSET
from ser.models.streaming import quiet_dbfs
from ser.models.voice import ENOUGH, known_factor
from ser.utils.files import atomic_folder, atomic_path, read_json, write_json

MODEL_FILE = "model.onnx.gzip"
# Not ``.gz``: some servers would let the browser unpack that, and some would not.
RUNTIME_FILE = "onnxruntime.wasm.gzip"
PAGE_FILES = (
    *("index.html", "style.css", "page.js", "listener.js", "microphone.js", RUNTIME_FILE),
    "licences.txt",
)
"""Made by ``npm run build`` in ``web/``."""


def write_web(folder: Path, out: Path) -> Path:
    """Write a page with a model into a folder, which is made.

    Parameters
    ----------
    folder : Path
        A bundle whose network begins with an encoder.
    out : Path
        New folder, or that of the page itself, `ser.assets.DEMO`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    BundleError
        If the bundle cannot be used.
    DataError
        If the model reads features that the page does not make.
    OutputError
        If the folder exists or cannot be written.
    """
    manifest = read_manifest(folder)
    if not isinstance(manifest.features, log_mel.LogMelFeatures):
        raise DataError(
            f"{manifest.name} reads {manifest.features.description}, which the page in the browser "
            "does not make. Export a model with an encoder, such as everyday."
        )
    if missing := [name for name in PAGE_FILES if not (assets.DEMO / name).is_file()]:
        raise BundleError(f"{assets.DEMO} lacks {missing[0]}. Install ser again.")
    content = gzip.compress(whole_graph(folder, manifest), mtime=0)
    sizes = {RUNTIME_FILE: (assets.DEMO / RUNTIME_FILE).stat().st_size, MODEL_FILE: len(content)}
    about = _description(manifest, load_embedding(folder, manifest).voice.count)
    about |= {"files": sizes, "strangers": _strangers(folder)}
    if out.resolve() == assets.DEMO.resolve():
        _put(out, content, about)
        return out / "index.html"
    if os.path.exists(out):
        raise OutputError(f"{out} exists already. Give a new folder.")
    with atomic_folder(out) as work:
        for name in PAGE_FILES:
            shutil.copyfile(assets.DEMO / name, work / name)
        _put(work, content, about)
    return out / "index.html"


def _put(folder: Path, content: bytes, about: dict[str, Any]) -> None:
    with atomic_path(folder / MODEL_FILE) as temporary:
        temporary.write_bytes(content)
    write_json(folder / "model.json", about)


def limits(manifest: Manifest, known: int) -> dict[str, float]:
    """Return temperature and bound of a model that knows a voice by so many clips."""
    factor = float(known_factor(manifest.voice_temperature, known))
    bound = float(known_factor(manifest.voice_confidence, min(known, ENOUGH)))
    return {
        "temperature": manifest.temperature * factor,
        "min_confidence": manifest.min_confidence * bound,
    }


def _description(manifest: Manifest, known: int) -> dict[str, Any]:
    return {
        **limits(manifest, known),
        "name": manifest.name,
        "labels": list(manifest.labels),
        "colors": {label: COLORS[label] for label in manifest.labels if label in COLORS},
        "ood_exponent": OOD_EXPONENT,
        "quiet_dbfs": quiet_dbfs(manifest),
        "clip": manifest.clip.model_dump(mode="json"),
        "features": {
            "name": manifest.features.name,
            "n_fft": log_mel.N_FFT,
            "hop_length": log_mel.HOP_LENGTH,
            "n_mels": log_mel.N_MELS,
        },
        "sources": [
            {
                "what": f"Model {manifest.name}",
                "licence": "CC BY-NC-SA 4.0, if it began with a shipped model or with RAVDESS",
                "where": "Its MODEL_CARD.md names the recordings that it learned from.",
            },
            {
                "what": "Encoder of Whisper tiny.en, copyright 2022 OpenAI",
                "licence": "MIT",
                "where": "https://github.com/openai/whisper",
            },
            {
                "what": "ONNX Runtime Web, copyright Microsoft Corporation",
                "licence": "MIT",
                "where": "https://github.com/microsoft/onnxruntime",
            },
            {
                "what": "This page, copyright the contributors of ser",
                "licence": "MIT",
                "where": "It is made of the folder web of the project.",
            },
        ],
    }


def _strangers(folder: Path) -> dict[str, Any] | None:
    """Return how a shipped model does with people it has never heard, as it is published."""
    if folder.resolve() != assets.DEFAULT_MODEL.resolve():
        return None
    report = read_json(assets.REPORTS / "corpora.json")
    return {
        "accuracy": report["mean"]["accuracy"],  # the corpora count alike, as everywhere
        "clips": report["n_test"],
        "report": "reports/corpora.json",
    }


def whole_graph(folder: Path, manifest: Manifest) -> bytes:
    """Return one graph from features to logits and distance, which does what a recogniser does.

    It is for models with an encoder, and takes off what the model knows of a voice.
    """
    import onnx
    from onnx import helper

    network, embedding = load_runtime(folder, manifest), load_embedding(folder, manifest)
    contents = runtime_contents(folder, manifest)
    parts = {name: onnx.load_from_string(content) for name, content in contents.items()}
    encoder, head = parts[runtime.ENCODER].graph, parts[runtime.NETWORK].graph
    ((name, shape),) = manifest.features.shapes.items()
    graph = helper.make_graph(
        [],
        "ser",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["clips", *shape])],
        [
            helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["clips", None]),
            helper.make_tensor_value_info("distance", onnx.TensorProto.FLOAT, ["clips", 1]),
        ],
    )
    between = {"frames": "frames", "summary": "summary"}
    _add_weights(graph, encoder, runtime.ENCODER)
    _add_weights(graph, head, runtime.NETWORK)
    _append(graph, encoder, runtime.ENCODER, "encoder", {name: name} | between)
    if embedding.voice.count:
        # As it answers: what is known of the voice changes the logits, and not the distance.
        offset = embedding.voice.offset(network.typical)
        for each in between:
            _weigh(graph, f"{each}_offset", offset[each][None])
            taken_off = helper.make_node("Sub", [each, f"{each}_offset"], [f"{each}_expected"])
            graph.node.append(taken_off)
        expected = {each: f"{each}_expected" for each in between}
        _append(graph, head, runtime.NETWORK, "answer", expected | {"logits": "logits"})
        _append(graph, head, runtime.NETWORK, "place", between | {"activations": "activations"})
    else:
        outputs = {"logits": "logits", "activations": "activations"}
        _append(graph, head, runtime.NETWORK, "answer", between | outputs)
    _append_distance(graph, embedding)
    opset = helper.make_opsetid("", OPSET)
    made = helper.make_model(
        graph,
        producer_name="ser",
        opset_imports=[opset],
        ir_version=parts[runtime.NETWORK].ir_version,
    )
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def _add_weights(graph: Any, part: Any, source: str) -> None:
    for weight in part.initializer:
        added = graph.initializer.add()
        added.CopyFrom(weight)
        added.name = f"{source}/{weight.name}"


def _append(graph: Any, part: Any, source: str, prefix: str, names: dict[str, str]) -> None:
    """Append the nodes of a part, whose inputs and outputs are called as `names` says.

    All else of them is called after the prefix, and weights after the file they come from, so that
    of a part that is there twice they are there once.
    """
    weights = {weight.name: f"{source}/{weight.name}" for weight in part.initializer}
    names = names | weights | {"": ""}  # an input that was left out has no name
    for node in part.node:
        added = graph.node.add()
        added.CopyFrom(node)
        added.name = ""  # which must be unique, and is not needed
        for values in (added.input, added.output):
            values[:] = [names.get(value, f"{prefix}/{value}") for value in values]


def _append_distance(graph: Any, embedding: Embedding) -> None:
    """Append what `Embedding.transform` and `Embedding.distances` do."""
    from onnx import TensorProto, helper

    squares = np.square(embedding.points.astype(np.float64)).sum(axis=1)
    _weigh(graph, "mean", embedding.mean)
    _weigh(graph, "components", embedding.components)
    _weigh(graph, "points", np.ascontiguousarray(embedding.points))
    _weigh(graph, "squares", squares.astype(np.float32))
    _weigh(graph, "minus_two", np.array(-2, np.float32))
    _weigh(graph, "nothing", np.array(0, np.float32))
    _weigh(graph, "threshold", np.array(embedding.threshold, np.float32))
    _weigh(graph, "last", np.array([1], np.int64))
    graph.node.extend(
        [
            helper.make_node("Sub", ["activations", "mean"], ["centred"]),
            helper.make_node("MatMul", ["centred", "components"], ["embedding"]),
            helper.make_node("Cast", ["points"], ["known"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["known"], ["known_across"], perm=[1, 0]),
            helper.make_node("MatMul", ["embedding", "known_across"], ["products"]),
            helper.make_node("Mul", ["products", "minus_two"], ["mixed"]),
            helper.make_node("Add", ["mixed", "squares"], ["partial"]),
            helper.make_node("ReduceMin", ["partial", "last"], ["nearest"], keepdims=1),
            helper.make_node("Mul", ["embedding", "embedding"], ["own"]),
            helper.make_node("ReduceSum", ["own", "last"], ["own_square"], keepdims=1),
            helper.make_node("Add", ["nearest", "own_square"], ["square"]),
            helper.make_node("Max", ["square", "nothing"], ["positive"]),
            helper.make_node("Sqrt", ["positive"], ["apart"]),
            helper.make_node("Div", ["apart", "threshold"], ["distance"]),
        ]
    )


def _weigh(graph: Any, name: str, values: npt.NDArray) -> None:
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(values, name))
