"""A model for other programs: one file for any ONNX runtime, or for LiteRT on phones.

Beside it lies ``model.json``, which says how the input is made of sound and what the output means,
and a snippet that asks it.  For browsers there is a whole page, see `ser.models.web_export`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ser.errors import DataError, OutputError
from ser.models import runtime
from ser.models.bundle import load_bundle, load_embedding, runtime_contents
from ser.models.manifest import Manifest, read_manifest
from ser.models.web_export import limits, whole_graph, write_web
from ser.utils.extras import need
from ser.utils.files import atomic_folder, write_json, write_text

FORMATS = ("onnx", "litert", "web")
_FILES = {"onnx": "model.onnx", "litert": "model.tflite"}


def export(folder: str | Path, out: str | Path, *, form: str = "onnx") -> Path:
    """Write a model for other programs.

    It maps the features of clips to logits.  What a recogniser adds is in ``model.json``: the
    temperature, the least probability of a sure answer, and the labels.  Two things are not: a
    recogniser is less sure of clips that are unlike its training (the page for browsers is too),
    and one such as `ravdess` averages over a clip moved in time.

    Parameters
    ----------
    folder : str or Path
        A bundle.
    out : str or Path
        New folder.
    form : str
        One of `FORMATS`: ``onnx`` and ``web`` need no TensorFlow, ``litert`` does.

    Returns
    -------
    Path
        The model's file; for ``web`` the page.

    Raises
    ------
    BundleError
        If the bundle cannot be used.
    DataError
        If the format is unknown, or the model cannot have it.
    OutputError
        If the folder exists or cannot be written.
    """
    if form not in FORMATS:
        raise DataError(f"{form!r} is not a format to export to. There are: {', '.join(FORMATS)}.")
    folder, out = Path(folder), Path(out)
    if form == "web":
        return write_web(folder, out)
    manifest = read_manifest(folder)
    content = _onnx(folder, manifest) if form == "onnx" else _litert(folder, manifest)
    if os.path.exists(out):
        raise OutputError(f"{out} exists already. Give a new folder.")
    name = _FILES[form]
    with atomic_folder(out) as work:
        (work / name).write_bytes(content)
        known = load_embedding(folder, manifest).voice.count
        write_json(work / "model.json", _description(manifest, name, known))
        write_text(work / "example.py", _SNIPPETS[form])
    return out / name


def _description(manifest: Manifest, file: str, known: int) -> dict[str, Any]:
    ((name, shape),) = manifest.features.shapes.items()
    return {
        "file": file,
        "name": manifest.name,
        "input": {"name": name, "shape": [None, *shape], "dtype": "float32"},
        "output": {"name": "logits", "shape": [None, len(manifest.labels)], "dtype": "float32"},
        "labels": list(manifest.labels),
        **limits(manifest, known),
        "clip": manifest.clip.model_dump(mode="json"),
        "features": manifest.features.model_dump(mode="json"),
    }


def _onnx(folder: Path, manifest: Manifest) -> bytes:
    """Return one graph that gives out logits alone."""
    import onnx
    from onnx import utils

    contents = runtime_contents(folder, manifest)
    content = contents[runtime.NETWORK]
    if runtime.ENCODER in contents:
        content = whole_graph(folder, manifest)
    graph = onnx.load_from_string(content)
    (name,) = manifest.features.shapes
    (given,) = (value.name for value in graph.graph.input)
    alone = utils.Extractor(graph).extract_model([given], ["logits"])
    return bytes(_renamed(alone, {given: name}).SerializeToString())


def _renamed(model: Any, names: dict[str, str]) -> Any:
    """Give inputs and outputs of a graph other names."""
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    return model


def _litert(folder: Path, manifest: Manifest) -> bytes:
    if load_embedding(folder, manifest).voice.count:
        raise DataError(
            f"{folder} knows a voice, which only onnx and web take along. Export those."
        )
    need("train", "tensorflow")
    import tensorflow as tf

    model, _ = load_bundle(folder)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    return bytes(converter.convert())


_SNIPPET = '''\
"""Ask the model about a recording: python example.py clip.wav

It needs ser and {package}.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ser.audio import load_audio
from ser.audio.extractors import read_extractor
{imports}

here = Path(__file__).parent
about = json.loads((here / "model.json").read_text(encoding="utf-8"))
extractor = read_extractor(about["features"])
(values,) = extractor(load_audio(sys.argv[1])).values()
{ask}
scaled = logits[0] / about["temperature"]
probabilities = np.exp(scaled - scaled.max())
probabilities /= probabilities.sum()
for label, probability in zip(about["labels"], probabilities):
    print(f"{{label:10}} {{probability:.0%}}")
'''
_ONNX = {
    "package": "onnxruntime, which comes with it",
    "imports": "import onnxruntime",
    "ask": """\
session = onnxruntime.InferenceSession(here / about["file"])
(logits,) = session.run(None, {about["input"]["name"]: values[None]})""",
}
_LITERT = {
    "package": "ai-edge-litert (pip install ai-edge-litert)",
    "imports": "from ai_edge_litert.interpreter import Interpreter",
    "ask": """\
network = Interpreter(str(here / about["file"]))
network.allocate_tensors()
network.set_tensor(network.get_input_details()[0]["index"], values[None])
network.invoke()
logits = network.get_tensor(network.get_output_details()[0]["index"])""",
}
_SNIPPETS = {"onnx": _SNIPPET.format(**_ONNX), "litert": _SNIPPET.format(**_LITERT)}
