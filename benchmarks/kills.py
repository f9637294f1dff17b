"""What work comes to that is killed at random moments, and begun again after each.

    python -m benchmarks.kills [--kinds predict scan …] [--kills 25] [--json FILE]

Every kind of work is done once undisturbed, and then killed (SIGKILL) so many times at moments
drawn evenly from the time that it took.  After each kill the files that it is to leave must be
absent or whole; in the end it is done to its end, and they must be those of the undisturbed work.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ser import assets
from ser.utils.files import write_json

_MODEL = str(assets.RAVDESS_MODEL)
_SAMPLES = str(assets.SAMPLES / "Actor_25")


def _command(*words: str) -> None:
    from ser.cli import main

    if code := main(words):
        sys.exit(code)


def predict(folder: Path) -> None:
    """Answer a folder's recordings, into a CSV file."""
    _command(
        "evaluate",
        _MODEL,
        "--data",
        _SAMPLES,
        "--protocol",
        "all",
        "--csv",
        str(folder / "answers.csv"),
    )


def scan(folder: Path) -> None:
    """Open every clip of a corpus; what is found is kept in the cache, and written."""
    _command("scan", _SAMPLES, "--csv", str(folder / "clips.csv"))


def features(folder: Path) -> None:
    """Compute features with copies by way of the cache."""
    from ser.data.feature_cache import compute_features, save_features

    clips = sorted(Path(_SAMPLES).glob("*.flac"))
    found = compute_features([str(clip) for clip in clips], copies=2, n_jobs=1)
    save_features(folder / "features.npz", found, ["angry"] * len(clips), [c.name for c in clips])


def teach(folder: Path) -> None:
    """Keep recordings of a voice; those that are there already are not taken twice."""
    from ser.data.recordings import Voice

    Voice(folder / "voice").import_clips(_SAMPLES)


def adapt(folder: Path) -> None:
    """Save a model that learned a voice, over the one that may be there."""
    _command("adapt", _MODEL, "--data", _SAMPLES, "--out", str(folder / "adapted"))


def train(folder: Path) -> None:
    """Train a small network, going on from the last epoch."""
    from ser.training import pipeline
    from tests.tiny import SAMPLES, tiny_config

    run = pipeline.start_or_resume(folder / "run", tiny_config(SAMPLES / "Actor_25", epochs=20))
    if run.read_status().state != "finished":
        pipeline.train(run, n_jobs=1)


def crossval(folder: Path) -> None:
    """Train and test in two folds."""
    from ser.training.cross_validation import cross_validate
    from tests.tiny import SAMPLES, tiny_config

    config = tiny_config(SAMPLES, protocol="speakers", folds=2)
    there = (folder / "study" / "config.json").exists()
    cross_validate(folder / "study", config, resume=there, n_jobs=1)


WORK: dict[str, tuple[Callable[[Path], None], tuple[str, ...], int]] = {
    "predict": (predict, ("answers.csv",), 25),
    "scan": (scan, ("clips.csv",), 25),
    "features": (features, ("features.npz",), 20),
    "teach": (teach, ("voice/*.wav",), 20),
    "train": (train, ("run/network.onnx", "run/embedding.npz"), 5),
    "adapt": (adapt, ("adapted/network.onnx", "adapted/embedding.npz"), 5),
    "crossval": (crossval, ("study/*/network.onnx",), 5),
}
"""Of each kind what it does, which files must come out the same, and how often it is killed."""


def _start(kind: str, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    own = {"SER_CACHE": str(folder / "cache"), "SER_HOME": str(folder / "home")}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kills", "--work", kind, str(folder)],
            env={**os.environ, **own},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _prints(kind: str, folder: Path) -> dict[str, str]:
    """Return what the files hold that must come out the same."""
    found = sorted(file for pattern in WORK[kind][1] for file in folder.glob(pattern))
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in found
    }


def killed(kind: str, count: int) -> dict[str, Any]:
    """Kill one kind of work so many times, and say what came of it."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        begun = time.monotonic()
        if _start(kind, Path(place) / "undisturbed").wait():
            raise SystemExit((Path(place) / "undisturbed" / "log.txt").read_text())
        seconds = time.monotonic() - begun
        expected = _prints(kind, Path(place) / "undisturbed")
        folder = Path(place) / "killed"
        half, kills, ended = 0, 0, 0
        for moment in tqdm(rng.uniform(0, seconds, count), kind, mininterval=10):
            process = _start(kind, folder)
            try:
                if process.wait(timeout=moment):
                    raise SystemExit((folder / "log.txt").read_text())
                ended += 1  # before the moment came, as most was done already
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
            found = _prints(kind, folder)
            half += any(expected.get(name) != print for name, print in found.items())
        if _start(kind, folder).wait():
            raise SystemExit((folder / "log.txt").read_text())
        same = bool(expected) and _prints(kind, folder) == expected
    return {
        "kills": kills,
        "ended before the moment": ended,
        "half-written or other files": half,
        "same as undisturbed": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--kills", type=int, help="of each kind (by default as in the code)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        WORK[options.work[0]][0](Path(options.work[1]))
        return
    result = {}
    for kind in options.kinds:
        result[kind] = killed(kind, options.kills or WORK[kind][2])
        print(kind, result[kind], flush=True)
        if options.json:
            write_json(options.json, result)


if __name__ == "__main__":
    main()
