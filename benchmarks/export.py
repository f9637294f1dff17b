"""A model as ONNX and as LiteRT: how exact, how large and how fast.

    python -m benchmarks.export FOLDER [--json FILE]

FOLDER holds recordings, of which 200 are drawn. Both shipped models are exported in both formats
and asked about each clip, features to logits, one at a time: how far probabilities lie from
Keras', the size of the file, and the median time of a clip on one thread. Run it on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from scipy.special import softmax

from ser.assets import DEFAULT_MODEL, RAVDESS_MODEL
from ser.audio import EXTENSIONS
from ser.models.bundle import load_bundle
from ser.models.export import export
from ser.models.recognizer import Recognizer
from ser.utils.files import write_json

COUNT = 200
Array = npt.NDArray[np.float32]


def onnx(file: Path, about: dict[str, Any]) -> Callable[[Array], Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    return lambda values: session.run(None, {about["input"]["name"]: values[None]})[0][0]


def litert(file: Path, about: dict[str, Any]) -> Callable[[Array], Array]:
    import tensorflow as tf

    network = tf.lite.Interpreter(str(file), num_threads=1)
    network.allocate_tensors()
    (given,), (answer,) = network.get_input_details(), network.get_output_details()

    def ask(values: Array) -> Array:
        network.set_tensor(given["index"], values[None])
        network.invoke()
        return network.get_tensor(answer["index"])[0]

    return ask


def measure(folder: Path, form: str, clips: Array, logits: Array) -> dict[str, float]:
    """Ask an exported model about clips, whose logits Keras gave."""
    with tempfile.TemporaryDirectory() as directory:
        file = export(folder, Path(directory) / "out", form=form)
        about = json.loads((file.parent / "model.json").read_text())
        ask = {"onnx": onnx, "litert": litert}[form](file, about)
        ask(clips[0])
        found, seconds = [], []
        for clip in clips:
            begun = time.perf_counter()
            found.append(ask(clip))
            seconds.append(time.perf_counter() - begun)
        scaled = [answer / about["temperature"] for answer in (np.array(found), logits)]
        probabilities = [softmax(each, axis=1) for each in scaled]
        return {
            "largest difference of a probability": float(np.abs(np.subtract(*probabilities)).max()),
            "megabytes": round(file.stat().st_size / 1e6, 1),
            "one clip (ms)": round(1000 * float(np.median(seconds)), 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    chosen = random.Random(0).sample(files, min(COUNT, len(files)))
    result: dict[str, Any] = {}
    for folder in (DEFAULT_MODEL, RAVDESS_MODEL):
        _, inputs = Recognizer.load(folder).prepare(chosen)
        (clips,) = inputs.values()
        logits = load_bundle(folder)[0].predict(clips, batch_size=32, verbose=0)
        result[folder.name] = {"clips": len(clips)}
        for form in ("onnx", "litert"):
            result[folder.name][form] = measure(folder, form, clips, logits)
            print(folder.name, form, result[folder.name][form])
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
