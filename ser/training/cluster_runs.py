"""Runs of a study trained over a Dask cluster, each by a process of its own beside a worker.

Not by the worker itself: TensorFlow would keep it from telling the scheduler that it lives, and a
process gives back all its memory.  Folds and seeds share nothing, so nothing but names is sent;
corpus and runs lie on a disk that all machines share.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from ser.errors import RunError, Stopped
from ser.evaluation.report import Report
from ser.shards.cluster import opened
from ser.training.runs import Run
from ser.utils.parallel import bar_of

_WAIT_SECONDS = 2.0


def train_runs(runs: Sequence[Run], *, cluster: str, n_jobs: int = -1) -> None:
    """Train those of some runs that are not finished.

    Parameters
    ----------
    runs : sequence of Run
        In folders that every worker sees.
    cluster : str
        See `ser.shards.cluster.opened`.
    n_jobs : int
        Workers of a local cluster, each of which trains one run at a time; -1 is one per core.

    Raises
    ------
    SerError
        See `ser.shards.cluster.opened`; or what a training fails with.  The other runs can be
        resumed.
    Stopped
        If Ctrl-C was pressed; the runs are asked to stop after their epoch.
    """
    left = [run for run in runs if not _is_finished(run)]
    if not left:
        return
    folders = [str(run.folder.absolute()) for run in left]
    done = len(runs) - len(left)
    try:
        with (
            opened(cluster, n_jobs=n_jobs) as spread,
            bar_of(len(runs), "Training", done=done, unit="run") as bar,
        ):
            for _ in spread(partial(train_run, cwd=os.getcwd()), folders):
                bar.update()
    except KeyboardInterrupt:
        for run in left:
            with suppress(RunError):  # it is not running
                run.ask_to_stop()
        raise Stopped(
            "Stopped; trainings that are running end after their epoch. Go on with the same "
            "command and --resume."
        ) from None


def train_run(folder: str, *, cwd: str) -> str:
    """Train a run in a process of its own, unless it is finished; returns its folder.

    Relative paths in its configuration, such as that of the corpus, lie in `cwd`.

    Raises
    ------
    RunError
        If the training fails, in its words.
    """
    run = Run(Path(folder))
    while not _is_finished(run):
        command = [sys.executable, "-m", "ser", "train", "--resume", folder, "--n-jobs", "1"]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode and not run.is_held():
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise RunError(said[-1].removeprefix("ser: "))
        if done.returncode:  # Dask may start a task twice, and then the first is at work
            time.sleep(_WAIT_SECONDS)
    return folder


def _is_finished(run: Run) -> bool:
    return Report.find(run.folder / "report.json") is not None
