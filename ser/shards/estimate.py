"""What work over many clips will take here: tried on some of them, drawn at random."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, nan
from pathlib import Path

from ser.shards.manifest import Clip
from ser.shards.store import Job, Work, begin, run_shard
from ser.utils.parallel import bar_of, in_new_processes

PER_WORKER = 76
"""Clips that are tried: one while things are loaded, and so many that memory no longer grows."""


@dataclass(frozen=True)
class Estimate:
    """What a command takes.

    Attributes
    ----------
    command : str
    start : float
        Seconds until workers have loaded what they need.
    rate : float
        Clips per second, all workers together.
    megabytes : float
        The most memory that a worker took; NaN where the system does not say.
    """

    command: str
    start: float
    rate: float
    megabytes: float

    def seconds(self, clips: int) -> float:
        """Return how long so many clips take."""
        return self.start + clips / self.rate


def draw(clips: Iterable[Clip], most: int) -> tuple[list[Clip], int]:
    """Draw clips at random, always the same of the same, without holding all of them.

    Returns
    -------
    tuple of list of Clip and int
        At most so many, and how many there are.
    """
    rng = random.Random(0)
    drawn: list[Clip] = []
    found = 0
    for found, clip in enumerate(clips, 1):
        # A reservoir: of the first n clips each is in it with the same probability.
        if len(drawn) < most:
            drawn.append(clip)
        elif (place := rng.randrange(found)) < most:
            drawn[place] = clip
    rng.shuffle(drawn)  # few clips would otherwise be in the order of the folder
    return drawn, found


def estimates(
    works: Mapping[str, Work], clips: Sequence[Clip], *, workers: int
) -> Iterator[Estimate]:
    """Do the work of commands with some clips, each command in processes that are new.

    Parameters
    ----------
    works : mapping of str to Work
        What the commands do to a shard.
    clips : sequence of Clip
        Drawn at random.
    workers : int
        That work at the same time.

    Raises
    ------
    SerError
        What the work raises, or see `ser.utils.parallel.in_new_processes`.
    """
    with bar_of(len(works) * len(clips), "Trying") as bar:
        for command, work in works.items():
            bar.set_description(f"Trying {command}")
            with tempfile.TemporaryDirectory(prefix="ser-") as folder:
                yield _estimate(command, work, clips, workers, Path(folder))
            bar.update(len(clips))


def _estimate(
    command: str, work: Work, clips: Sequence[Clip], workers: int, folder: Path
) -> Estimate:
    # With one clip a worker loads libraries and the model; of a single clip there is no rest.
    workers = min(workers, ceil(len(clips) / 2))
    first, rest = clips[:workers], clips[workers:] or clips
    loading = begin(folder / "first", first, work, resume=False, size=1)
    job = begin(folder / "rest", rest, work, resume=False, size=ceil(len(rest) / workers))
    one = partial(_try, loading=loading, job=job, work=work)
    begun = time.perf_counter()
    tried = list(in_new_processes(one, range(job.shards)))
    seconds = time.perf_counter() - begun
    return Estimate(
        command,
        start=seconds - max(trial.seconds for trial in tried),
        rate=sum(trial.clips / trial.seconds for trial in tried),
        megabytes=max(trial.megabytes for trial in tried),
    )


@dataclass(frozen=True)
class _Trial:
    clips: int
    seconds: float
    megabytes: float


def _try(number: int, *, loading: Job, job: Job, work: Work) -> _Trial:
    run_shard(number, job=loading, work=work)
    begun = time.perf_counter()
    receipt = run_shard(number, job=job, work=work)
    return _Trial(receipt.clips, time.perf_counter() - begun, _most_memory())


def _most_memory() -> float:
    """Return the most memory that this process has had, in MB."""
    if sys.platform == "linux":  # where resource also counts the process that started this one
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return nan
