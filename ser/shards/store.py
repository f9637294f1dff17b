"""The store: a folder (or address) in which a job is described and finished shards are kept.

    job.json                what is done to which clips
    manifest.parquet        the clips, see `ser.shards.manifest`
    parts/part-00012.*      what became of shard 12
    finished/00012.json     its receipt, written last: whose shard it is, and what the files hash to

A shard is finished if its receipt is of this job and its files are what the receipt says.  Anything
else is done again, and as a shard done twice gives the same bytes, nothing needs to be locked.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits

import ser
from ser.errors import DataError, OutputError, RunError
from ser.shards.manifest import Clip, count_shards, read_shard, write_manifest
from ser.utils.files import atomic_path, is_being_written, read_json, sha256_of, write_json
from ser.utils.places import Place, is_url, join, listed, sent

if TYPE_CHECKING:
    import pyarrow as pa

JOB, MANIFEST, PARTS, FINISHED = "job.json", "manifest.parquet", "parts", "finished"
"""Files and folders of a store."""

_TEMPORARY = ".writing-*"  # see ser.utils.files: what a killed process leaves


class Work(Protocol):
    """What is done to a shard; an object that can be sent to another process."""

    @property
    def suffixes(self) -> Sequence[str]:
        """Of the files of a part."""

    def describe(self) -> Mapping[str, str]:
        """Return everything but the clips that the results depend on."""

    def __call__(self, clips: pa.Table, part: Path) -> None:
        """Work on clips and write the files of their part, `part` with each of the suffixes."""


class Receipt(BaseModel):
    """What is known of a finished shard, and all that a worker returns.

    Attributes
    ----------
    job : str
        See `Job.key`.
    shard, clips : int
        Its number, and how many clips it has.
    sha256 : dict of str to str
        Of its files, by suffix.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    job: str
    shard: int
    clips: int
    sha256: dict[str, str]


@dataclass(frozen=True)
class Job:
    """A store that was begun.

    Attributes
    ----------
    folder : Path, or str for an address
        The store.
    key : str
        Hash of the description: another one for other clips, another model or other settings.
    clips, shards : int
        How many there are.
    """

    folder: Place
    key: str
    clips: int
    shards: int

    def part(self, number: int, suffix: str) -> Any:
        """Return where a file of a shard is kept."""
        return join(self.folder, PARTS, f"part-{number:05}{suffix}")

    def receipt(self, number: int) -> Any:
        """Return where the receipt of a shard is kept."""
        return join(self.folder, FINISHED, f"{number:05}.json")

    def finished(self, number: int, suffixes: Iterable[str]) -> Receipt | None:
        """Return the receipt of a shard, or None if the shard must be done (again)."""
        try:
            receipt = Receipt.model_validate(read_json(self.receipt(number)))
            if (receipt.job, receipt.shard) != (self.key, number):
                return None
            found = {suffix: sha256_of(self.part(number, suffix)) for suffix in suffixes}
        except (OSError, ValueError):  # pydantic's error is one too
            return None
        return receipt if receipt.sha256 == found else None

    def tidy(self) -> None:
        """Delete what killed processes left half-written; others may be at work here."""
        if is_url(self.folder):  # nothing is ever half-written there
            return
        here = Path(self.folder)
        for folder in (here, here / PARTS, here / FINISHED):
            for rest in folder.glob(_TEMPORARY):
                with suppress(OSError):
                    if not is_being_written(rest):
                        rest.unlink()


def begin(folder: Place, clips: Iterable[Clip], work: Work, *, resume: bool, size: int) -> Job:
    """Begin a job, or find one that was begun and is the same.

    Parameters
    ----------
    folder : Path, or str for an address
        The store.
    clips : iterable of Clip
        What to work on.
    work : Work
        What to do.
    resume : bool
        Whether there may be such a job already.
    size : int
        Clips of a shard.

    Returns
    -------
    Job

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something else.
    RunError
        If a job was begun in it and is not to be resumed, or is another one.
    DataError
        If there are no clips, see `ser.shards.manifest`.
    """
    _check_folder(folder, resume=resume)
    with atomic_path(join(folder, MANIFEST)) as temporary:
        write_manifest(temporary, clips, size=size)
        count, shards = count_shards(temporary)
        if not count:
            raise DataError("There are no clips to work on.")
        description = {
            "pyarrow": version("pyarrow"),  # another one writes other bytes of the same rows
            "number of clips per shard": str(size),
            "manifest": sha256_of(temporary),
            "clips": str(count),
            **work.describe(),
            "ser": ser.__version__,
        }
        # Within the block: the manifest of another job is not replaced.
        _check_same(folder, description)
    write_json(join(folder, JOB), description)
    return Job(folder, _key(description), count, shards)


def count_kept(folder: Path, *, size: int) -> tuple[int, int]:
    """Return how many clips of a local store have receipts, and how many it has; 0, 0 if unknown.

    What the receipts say is only believed where the work goes on, see `Job.finished`.
    """
    try:
        clips = int(read_json(folder / JOB)["clips"])
        names = [int(file.stem) for file in (folder / FINISHED).glob("[0-9]*.json")]
    except (OSError, ValueError, KeyError):
        return 0, 0
    return sum(min(size, clips - size * number) for number in names), clips


def run_shard(number: int, *, job: Job, work: Work) -> Receipt:
    """Work on one shard: a pure function of manifest, number and work, in any process.

    Raises
    ------
    SerError
        If it cannot be done or written; nothing is left half-written.
    """
    _check_shared(job)
    clips = read_shard(join(job.folder, MANIFEST), number)
    # Sums of several threads end in other bits; the other cores have workers of their own.
    with _writing(job.part(number, ""), work.suffixes) as part:
        with threadpool_limits(1):
            work(clips, part)
        hashes = {suffix: sha256_of(f"{part}{suffix}") for suffix in work.suffixes}
    receipt = Receipt(job=job.key, shard=number, clips=len(clips), sha256=hashes)
    write_json(job.receipt(number), receipt.model_dump())
    return receipt


@contextmanager
def _writing(part: Place, suffixes: Iterable[str]) -> Iterator[Path]:
    """Give the local path at which a part is written; an object store gets its files at the end."""
    if not is_url(part):
        yield Path(part)
        return
    with tempfile.TemporaryDirectory(prefix="ser-") as folder:
        local = Path(folder) / "part"
        yield local
        for suffix in suffixes:
            with sent(f"{part}{suffix}") as temporary:
                os.replace(f"{local}{suffix}", temporary)


def _key(description: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _check_shared(job: Job) -> None:
    """Refuse to work where another folder, or none, has the name of the store."""
    with suppress(OSError, ValueError):
        if _key(read_json(join(job.folder, JOB))) == job.key:
            return
    raise OutputError(
        f"The store {job.folder} is not there for a worker. It must lie on a disk that all "
        "machines share, under the same name."
    )


def _check_folder(folder: Place, *, resume: bool) -> None:
    if is_url(folder):
        names = {entry["url"].rpartition("/")[2] for entry in listed(str(folder))}
        return _check_names(folder, names, resume=resume)
    if not os.path.isdir(folder):
        if os.path.lexists(folder):
            raise OutputError(f"Cannot write into {folder}: it is not a folder. Give a new folder.")
        return
    try:
        names = set(os.listdir(folder))
    except OSError as error:
        raise OutputError(f"{folder} cannot be read: {error.strerror}.") from error
    _check_names(folder, names, resume=resume)


def _check_names(folder: Place, names: set[str], *, resume: bool) -> None:
    if JOB in names:
        if not resume:
            raise RunError(
                f"{folder} holds a job already. Go on with it by --resume, or give a new folder."
            )
    # What a process leaves that is killed before it has described the job.
    elif any(name != MANIFEST and not name.startswith(".writing-") for name in names):
        raise OutputError(f"{folder} holds something else. Give a new folder.")


def _check_same(folder: Place, description: Mapping[str, Any]) -> None:
    """Refuse to go on with another job than the one that was begun, if one was."""
    file = join(folder, JOB)
    try:
        begun = read_json(file)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read: {error}. Give a new folder.") from error
    for name in [*description, *begun]:
        if begun.get(name) != description.get(name):
            raise RunError(
                f"{folder} was begun with another {name}: {begun.get(name)}, and now it is "
                f"{description.get(name)}. Give a new folder, or what it was begun with."
            )
