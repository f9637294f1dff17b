"""From clips and what is to be done with them to a store whose shards are all finished."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from ser.errors import SerError, Stopped
from ser.shards.cluster import Spread, opened
from ser.shards.manifest import Clip, need_pyarrow
from ser.shards.store import Job, Work, begin, run_shard
from ser.utils.parallel import Progress, counting, unordered
from ser.utils.places import Place, is_url

GO_ON = "Go on with the same command and --resume."
"""How to go on with what was stopped, on the command line."""


def work_through(
    folder: Place,
    clips: Iterable[Clip],
    work: Work,
    description: str,
    *,
    resume: bool,
    size: int,
    n_jobs: int = -1,
    cluster: str = "",
    progress: Progress | None = None,
    go_on: str = GO_ON,
) -> Job:
    """Do what is not done yet, over all workers, and show how far it is.

    Parameters
    ----------
    folder : str or Path
        The store; it may be an address in an object store.
    clips, work, resume, size
        See `ser.shards.store.begin`.
    description : str
        Words for the bar.
    n_jobs : int
        Parallel workers; -1 is one per core.
    cluster : str
        See `ser.shards.cluster.opened`; without it processes of this machine do the work.
    progress : callable, optional
        Called after every shard.  A bar is drawn as well where a terminal can show one.
    go_on : str
        Says how, where the work is stopped or fails.

    Returns
    -------
    Job
        All of whose shards are finished.

    Raises
    ------
    SerError
        See `ser.shards.store.begin`, `ser.utils.parallel.unordered` and
        `ser.shards.cluster.opened`, and what `work` raises.  Finished shards are kept.
    Stopped
        If Ctrl-C was pressed; finished shards are kept.
    """
    need_pyarrow()
    here: Spread = partial(unordered, n_jobs=n_jobs)
    workers: AbstractContextManager[Spread] = nullcontext(here)
    if cluster:
        workers = opened(cluster, n_jobs=n_jobs)
    with workers as spread:
        return _work_through(
            folder, clips, work, description, spread, resume, size, progress, go_on
        )


def _work_through(
    folder: Place,
    clips: Iterable[Clip],
    work: Work,
    description: str,
    spread: Spread,
    resume: bool,
    size: int,
    progress: Progress | None,
    go_on: str,
) -> Job:
    try:
        store = folder if is_url(folder) else Path(folder).absolute()
        job = begin(store, clips, work, resume=resume, size=size)
    except KeyboardInterrupt:
        raise Stopped(f"Stopped before anything was done. {go_on}") from None
    one = partial(run_shard, job=job, work=work)
    done = 0
    try:
        with counting(job.clips, "Looking at what is done", progress=progress) as count:
            left = []
            for number in range(job.shards):
                receipt = job.finished(number, work.suffixes)
                if receipt is None:
                    left.append(number)
                else:
                    done += receipt.clips
                    count(receipt.clips)
        with counting(job.clips, description, done=done, progress=progress) as count:
            for receipt in spread(one, left):
                done += receipt.clips
                count(receipt.clips)
    except KeyboardInterrupt:
        raise Stopped(
            f"Stopped. Of {job.clips} clips {done} are done and kept in {folder}. {go_on}"
        ) from None
    except SerError as error:
        raise type(error)(f"{error} What is done is kept in {folder}. {go_on}") from error
    job.tidy()
    return job
