"""Trainings over a Dask cluster, each by a process of its own beside a worker.

Not by the worker itself: TensorFlow would keep it from telling the scheduler that it lives, and a
process gives back all its memory.  Folds, seeds and members of an ensemble share nothing while they
learn, so nothing but names is sent; corpus and runs lie on a disk that all machines share.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
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
    train = partial(train_run, cwd=os.getcwd())
    try:
        spread_runs(train, left, cluster=cluster, n_jobs=n_jobs, done=len(runs) - len(left))
    except KeyboardInterrupt:
        raise Stopped(
            "Stopped; trainings that are running end after their epoch. Go on with the same "
            "command and --resume."
        ) from None


def spread_runs(
    train: Callable[[str], str],
    runs: Sequence[Run],
    *,
    cluster: str,
    n_jobs: int = -1,
    done: int = 0,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Train runs by tasks of a cluster, and ask them to stop if Ctrl-C is pressed.

    Parameters
    ----------
    train : callable
        Of the name of a run's folder, by a process of its own.
    done : int
        How many are finished already, for the bar.
    progress : callable, optional
        Called with how many are.

    Raises
    ------
    SerError
        See `train_runs`.
    """
    folders = [str(run.folder.absolute()) for run in runs]
    try:
        with (
            opened(cluster, n_jobs=n_jobs) as spread,
            bar_of(done + len(runs), "Training", done=done, unit="run") as bar,
        ):
            for count, _ in enumerate(spread(train, folders), done + 1):
                bar.update()
                if progress:
                    progress(count)
    except KeyboardInterrupt:
        for run in runs:
            with suppress(RunError):  # it is not running
                run.ask_to_stop()
        raise


def train_run(folder: str, *, cwd: str) -> str:
    """Train a run in a process of its own, unless it is finished; returns its folder.

    Relative paths in its configuration, such as that of the corpus, lie in `cwd`.

    Raises
    ------
    RunError
        If the training fails, in its words.
    """
    run = Run(Path(folder))
    by_process(run, _is_finished, "ser", "train", "--resume", folder, "--n-jobs", "1", cwd=cwd)
    return folder


def by_process(
    run: Run, is_finished: Callable[[Run], bool], module: str, *arguments: str, cwd: str
) -> None:
    """Have a process of its own work on a run until it is finished, by this one or another.

    Raises
    ------
    RunError
        If the work fails, in its words.
    """
    while not is_finished(run):
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode and not run.is_held():
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise RunError(said[-1].removeprefix("ser: "))
        if done.returncode:  # Dask may start a task twice, and then the first is at work
            time.sleep(_WAIT_SECONDS)


def _is_finished(run: Run) -> bool:
    return Report.find(run.folder / "report.json") is not None
