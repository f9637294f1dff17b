"""How much memory a training takes at most, and what reading features from files costs it.

    python -m benchmarks.training_memory FOLDER [--clips 1000 10000] [--json FILE]

FOLDER holds recordings of a corpus, which are listed again and again until there are as many as
asked for. Each is learned from with the copies of the preset `full`, by one network for one epoch,
in a process of its own, whose most memory is read (VmHWM, so only on Linux). Then networks learn
from 2000 of them, with their features in files and in memory by turns: seconds per epoch, and
whether both end with the same weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.timing import megabytes
from ser.audio import EXTENSIONS
from ser.data.feature_cache import compute_features
from ser.data.features import Features, StoredFeatures, store_features
from ser.labels import EMOTIONS
from ser.training import fitting, pipeline
from ser.training.config import configure
from ser.utils.files import read_json, write_json

TURNS = 10
EPOCHS = 3
BESIDE = 2000  # clips, about as many as a training on RAVDESS has


def learn(
    features: Features | StoredFeatures, epochs: int, folder: Path
) -> tuple[Any, list[float]]:
    """Learn from clips with labels in turn; returns the network and the seconds of each epoch."""
    config = configure({"data": "unused"}, {"epochs": epochs, "model": {"members": 1}})
    count = len(features.clean)
    targets = np.eye(len(EMOTIONS), dtype=np.float32)[np.arange(count) % len(EMOTIONS)]
    y_true = targets[:8].argmax(axis=1)
    model, records = fitting.fit(
        {"features": features},
        targets,
        {"features": features.clean[:8]},
        y_true,
        config=config,
        run=pipeline.start(folder, config),
    )
    return model, [each["seconds"] for each in records]


def store(folder: Path, files: list[Path], count: int) -> StoredFeatures:
    """Compute the features of so many clips into files."""
    copies = configure({"data": "unused"}).copies
    paths = [str(file) for file in itertools.islice(itertools.cycle(files), count)]
    compute = partial(compute_features, copies=copies)
    shapes = {"features": (32, 94, 2)}
    return store_features(folder, paths, compute, shapes, copies=copies)["features"]


def most_memory(files: list[Path], count: int) -> dict[str, Any]:
    """Learn from so many clips in this process; returns what it took."""
    with tempfile.TemporaryDirectory() as folder:
        features = store(Path(folder) / "features", files, count)
        stored = sum(file.stat().st_size for file in (Path(folder) / "features").iterdir())
        _, (seconds,) = learn(features, 1, Path(folder) / "run")
    return {
        "clips": count,
        "features (MB)": round(stored / 1e6),
        "most memory (MB)": round(megabytes(os.getpid(), "VmHWM")),
        "epoch (s)": round(seconds, 1),
    }


def side_by_side(files: list[Path]) -> dict[str, Any]:
    """Learn from files and from memory by turns."""
    with tempfile.TemporaryDirectory() as folder:
        stored = store(Path(folder) / "features", files, BESIDE)
        in_memory = Features(stored.clean[:], stored.copies[:])
        seconds: dict[str, list[float]] = {"files": [], "memory": []}
        weights = {}
        for turn in range(TURNS):
            ways: list[tuple[str, Features | StoredFeatures]]
            ways = [("files", stored), ("memory", in_memory)]
            for name, features in ways if turn % 2 else reversed(ways):  # who is first may wait
                model, taken = learn(features, EPOCHS, Path(folder) / f"{name}-{turn}")
                seconds[name] += taken[1:]  # the first is spent on tracing
                weights[name] = model.get_weights()
    same = all(map(np.array_equal, weights["files"], weights["memory"]))
    epoch = {name: median(each) for name, each in seconds.items()}
    return {
        "clips": BESIDE,
        "epoch from files (s)": round(epoch["files"], 2),
        "epoch from memory (s)": round(epoch["memory"], 2),
        "ratio": round(epoch["files"] / epoch["memory"], 3),
        "same weights": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--clips", type=int, nargs="*", default=[1000, 10_000], help="none: as known"
    )
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = sorted(p.resolve() for p in options.folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    if options.only:
        print(json.dumps(most_memory(files, options.only)))
        return
    result: dict[str, Any] = {"recordings": len(files), "memory": []}
    if not options.clips and options.json:
        result["memory"] = read_json(options.json)["memory"]
    for count in options.clips:
        again = ["-m", "benchmarks.training_memory", str(options.folder), "--only", str(count)]
        done = subprocess.run([sys.executable, *again], stdout=subprocess.PIPE, check=True)
        result["memory"].append(json.loads(done.stdout.splitlines()[-1]))
        print(result["memory"][-1], flush=True)
        if options.json:
            write_json(options.json, result)
    result["side by side"] = side_by_side(files)
    print(result["side by side"], flush=True)
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
