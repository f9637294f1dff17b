"""Predicting with ONNX Runtime beside Keras: the same numbers, and how long each takes.

    python -m benchmarks.runtime FOLDER [--json FILE]

FOLDER holds recordings, of which 500 are drawn. Measured for both shipped models: how far
probabilities differ; one clip from its bytes to its answer, warm; whole processes of
``ser predict`` with one clip (time and most memory), and with all the recordings drawn (clips per
second). Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import milliseconds
from ser.assets import DEFAULT_MODEL, RAVDESS_MODEL, SAMPLES
from ser.audio import EXTENSIONS
from ser.models.bundle import load_bundle
from ser.models.inference import Network
from ser.models.networks import with_activations
from ser.models.recognizer import Recognizer
from ser.utils.files import write_json

CLIP = SAMPLES / "Actor_27" / "03-01-06-02-02-01-27.flac"
COUNT = 500
CALLS = 50


def process(*arguments: str | Path) -> dict[str, float]:
    """Run ``ser`` with these arguments three times; returns the median of time and most memory."""
    found = []
    for _ in range(3):
        begun = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "ser", *map(str, arguments)], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(f"ser {' '.join(map(str, arguments))} failed")
        found.append((time.perf_counter() - begun, usage.ru_maxrss / 1000))
    seconds, megabytes = np.median(found, axis=0)
    return {"seconds": round(float(seconds), 2), "megabytes": round(float(megabytes))}


def compare(folder: Path, clips: list[Path]) -> dict[str, Any]:
    """Return how far a model's two networks are apart, and how long each takes for one clip."""
    recognizer = Recognizer.load(folder)
    _, inputs = recognizer.prepare(clips)
    own, own_distances = recognizer.answers(inputs)
    content = CLIP.read_bytes()
    result: dict[str, Any] = {"one clip (ms)": milliseconds(
        lambda: recognizer.predict(content), calls=CALLS
    )}  # fmt: skip
    keras_network = Network(with_activations(load_bundle(folder)[0]))
    recognizer._network = keras_network  # type: ignore[assignment]
    theirs, their_distances = recognizer.answers(inputs)
    result["one clip, Keras (ms)"] = milliseconds(lambda: recognizer.predict(content), calls=CALLS)
    result = {name: round(value, 1) for name, value in result.items()}
    return result | {
        "clips": len(own),
        "largest difference of a probability": float(np.abs(own - theirs).max()),
        "largest difference of a distance": float(np.abs(own_distances - their_distances).max()),
        "other answers": int((own.argmax(axis=1) != theirs.argmax(axis=1)).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    clips = random.Random(0).sample(files, min(COUNT, len(files)))
    models = (DEFAULT_MODEL, RAVDESS_MODEL)
    result: dict[str, Any] = {}
    # First of all: a child's memory counts from that of this process, which grows later.
    for folder in models:
        one = process("predict", "--model", folder, CLIP)
        many = process("predict", "--model", folder, *clips)
        many["clips per second"] = round(len(clips) / many["seconds"], 1)
        result[folder.name] = {"ser predict, one clip": one, "ser predict, all": many}
    for folder in models:
        result[folder.name] |= compare(folder, clips)
        print(folder.name, *result[folder.name].items(), sep="\n    ")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
