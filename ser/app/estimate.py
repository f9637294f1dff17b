"""How long a training will take on this machine, from a short measurement.

The measurement runs the code that trains, on a few clips, in a process of its own: it takes a
moment, and nobody should wait for it.  ``python -m ser.app.estimate`` is that process.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser import assets
from ser.app import processes, workspace
from ser.audio.features import SPECTRAL
from ser.data import feature_cache
from ser.data.feature_cache import Features
from ser.errors import SerError
from ser.evaluation import robustness
from ser.models.networks import ModelConfig
from ser.training import pipeline
from ser.training.pipeline import TrainingConfig
from ser.training.runs import Run
from ser.utils.files import read_json, write_json

_CLIPS, _COPIES = 8, 3
_STEPS = 6
_MEMBERS = (1, 2)  # one network, and two that share the cores


class EstimateError(SerError):
    """The speed of this machine could not be measured."""

    code = "estimate"


@dataclass(frozen=True)
class Speed:
    """What a training is made of, in seconds on this machine.

    Attributes
    ----------
    start : float
        To load the libraries.
    build : float
        To compile the training step of one network.
    inputs : float
        To compute one model input on one core.
    clip : float
        To train on one clip, whatever the number of networks.
    member : float
        To train one network on one clip.
    """

    start: float
    build: float
    inputs: float
    clip: float
    member: float


def seconds(config: TrainingConfig, clips: int, speed: Speed) -> float:
    """Return how long a training will take if none of its features are known yet.

    Parameters
    ----------
    config : TrainingConfig
        What to train.
    clips : int
        Size of the corpus.
    speed : Speed
        See `known_speed`.

    Examples
    --------
    >>> speed = Speed(start=10, build=5, inputs=0.005, clip=0.0, member=0.001)
    >>> config = TrainingConfig(data="x", protocol="unseen-speakers", epochs=20, copies=0)
    >>> round(seconds(config, 1000, speed) - seconds(config, 0, speed)) in range(90, 98)
    True
    """
    test = clips / (5 if config.protocol == "random" else config.folds)
    heard = clips - test
    sounds = config.nonspeech * heard
    trusted = 1 + len(robustness.CONDITIONS) if config.protocol == "random" else 1
    inputs = (heard + sounds) * (1 + config.copies) + test * trusted
    members = config.model.members
    step = speed.clip + members * speed.member
    times = 1 + config.refit
    return (
        speed.start
        + times * members * speed.build
        + inputs * speed.inputs / (os.cpu_count() or 1)
        + times * config.epochs * (heard + sounds) * step
    )


def in_words(duration: float) -> str:
    """Say a duration as roughly as an estimate is meant.

    Examples
    --------
    >>> [in_words(s) for s in (3, 47, 100, 4000, 90_000)]
    ['a few seconds', '50 s', '2 min', '1 h 10 min', '25 h']
    """
    if duration < 8:
        return "a few seconds"
    if duration < 55:
        return f"{10 * max(round(duration / 10), 1)} s"
    minutes = max(round(duration / 60), 1)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 600:
        hours, rest = divmod(10 * round(minutes / 10), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(minutes / 60)} h"


def known_speed() -> Speed | None:
    """Return what was measured on this machine with these versions, if it was."""
    try:
        found = read_json(_file())
        if found["machine"] != _machine():
            return None
        speed = Speed(**{key: float(value) for key, value in found["speed"].items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return speed if all(0 <= value < 3600 for value in asdict(speed).values()) else None


def measure_apart() -> Speed:
    """Measure in a process of its own and keep the result; takes half a minute.

    Raises
    ------
    EstimateError
        If it did not work.
    """
    done = subprocess.run(
        [sys.executable, "-m", "ser.app.estimate"],
        cwd=processes.working_folder(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    speed = known_speed()
    if speed is None:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise EstimateError(f"The speed of this machine could not be measured: {reason}")
    return speed


def measure() -> Speed:
    """Measure in this process, which must not have loaded TensorFlow yet."""
    began = time.monotonic()
    pipeline.share_cores(max(_MEMBERS))
    clips = sorted(str(path) for path in assets.SAMPLES.rglob("*.flac"))[: 1 + _CLIPS]
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "cache"
        # The first clip is paid for by librosa, which compiles itself.
        feature_cache.compute_features(clips[:1], copies=_COPIES, cache=empty, n_jobs=1)
        start = time.monotonic() - began
        durations = []
        for clip in clips[1:]:
            began = time.monotonic()
            feature_cache.compute_features([clip], copies=_COPIES, cache=empty, n_jobs=1)
            durations.append(time.monotonic() - began)
        # The median: some kinds of augmentation are slow the first time.
        inputs = float(np.median(durations)) / (1 + _COPIES)

        later, builds = [], []
        for members in _MEMBERS:
            first, second = _two_epochs(members, Path(folder) / str(members))
            builds.append(max(first - second, 0.0) / members)
            later.append(second)
    size = _STEPS * TrainingConfig(data="").batch_size
    member = max(later[1] - later[0], 0.0) / (_MEMBERS[1] - _MEMBERS[0]) / size
    each = max(later[0] / size - _MEMBERS[0] * member, 0.0)
    return Speed(start=start, build=max(builds), inputs=inputs, clip=each, member=member)


def _two_epochs(members: int, folder: Path) -> list[float]:
    """Train on noise; returns the seconds of an epoch that compiles, and of one that does not."""
    config = TrainingConfig(data="", epochs=2, copies=1, model=ModelConfig(members=members))
    rng = np.random.default_rng(0)
    count, labels = _STEPS * config.batch_size, 8
    clean = rng.normal(size=(count, *SPECTRAL.shapes["features"])).astype(np.float32)
    truth = rng.integers(0, labels, count)
    run = Run(folder)
    pipeline.fit(
        Features(clean, clean[:, None].astype(np.float16)),
        np.eye(labels, dtype=np.float32)[truth],
        clean[: 2 * labels],
        truth[: 2 * labels],
        config=config,
        run=run,
    )
    return [float(epoch["seconds"]) for epoch in run.read_epochs()]


def _file() -> Path:
    return workspace.folder() / "speed.json"


def _machine() -> dict[str, Any]:
    return {"name": platform.node(), "cores": os.cpu_count(), **pipeline.environment()}


def main() -> int:
    """Measure and keep the result, unless a training has slowed the measurement down."""
    speed = measure()
    if any(run.is_held() for run in workspace.runs()):
        print("a training was running. It is measured when the app starts again.", file=sys.stderr)
        return 1
    write_json(_file(), {"machine": _machine(), "speed": asdict(speed)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
