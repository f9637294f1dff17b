"""What is known about a corpus, kept on disk, so that a second look at it costs nothing.

A clip is opened once; while its path, size and time of change stay as they are, what was measured
then holds.  The table is one CSV file per corpus in the cache folder, replaced as a whole.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.data import corpora
from ser.data.cache import cache_folder
from ser.data.corpora import Corpus, Location
from ser.errors import OutputError
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress
from ser.utils.places import is_url

PENDING = "not opened yet: the scan was stopped"
"""Why a clip is left out while nobody has opened it."""

# Raise when code changes what is measured.
_RECIPE = 3
_CHUNK = 250  # clips opened at a time: what an interruption can cost
_WRITE_EVERY = 5000  # clips: what a crash can cost; writing 100 000 rows takes a second
_NUMBERS = list(corpora.NUMBERS)
_PRINTS = list(corpora.PRINTS)
_MEASURED = [*_NUMBERS, *_PRINTS, "reason"]
_COLUMNS = [*corpora.COLUMNS, "size", "mtime_ns", *_MEASURED]
_WORDS = [c for c in corpora.COLUMNS if c not in ("path", "name", "clip_id")]


@dataclass(frozen=True)
class Inspection:
    """A corpus whose clips were opened.

    Attributes
    ----------
    clips : DataFrame
        As `ser.data.corpora.inspect` returns it; columns with few values are categories.
    skipped : DataFrame
        What was left out, with the columns ``path`` and ``reason``.
    key : str
        Changes whenever anything here does.
    """

    clips: pd.DataFrame
    skipped: pd.DataFrame
    key: str

    @property
    def complete(self) -> bool:
        """Whether every clip was opened."""
        return PENDING not in set(self.skipped["reason"])


def inspection_file(location: str | Path) -> Path:
    """Return where the table of a corpus is kept, whether or not it is there."""
    name = hashlib.sha256(os.fsencode(os.path.abspath(location))).hexdigest()[:24]
    return cache_folder("corpora") / f"{name}-{_RECIPE}.csv"


def read_inspection(location: str | Path) -> Inspection | None:
    """Return what is known about a corpus without looking at it, or None."""
    try:
        data = inspection_file(location).read_bytes()
        table = _parse(data)
    except (OSError, ValueError):  # none yet, or damaged: it can be made again
        return None
    good = table["reason"] == ""
    named = table["emotion"] != ""
    clips = table.loc[good & named].drop(columns=["size", "mtime_ns", "reason"])
    skipped = table.loc[~good, ["path", "reason"]].reset_index(drop=True)
    words = dict.fromkeys(_WORDS, "category")
    key = hashlib.sha256(data).hexdigest()[:24]
    return Inspection(clips.reset_index(drop=True).astype(words), skipped, key)


def update_inspection(
    location: str | Path, *, n_jobs: int = -1, progress: Progress | None = None
) -> Inspection:
    """Look at a corpus and open the clips that are new or changed.

    What is done is written after some hundred clips, then ever more rarely, and whenever this is
    interrupted, also by an exception of `progress`; the next call goes on from there.  Clips are
    opened in random order, so that those of any time stand for all.

    Parameters
    ----------
    location : str or Path
        A folder or a ``.csv`` file, see `ser.data.corpora.scan`.
    n_jobs : int
        Parallel workers; -1 is one per core.
    progress : callable, optional
        See `ser.utils.parallel.map_items`; counts all clips of the corpus.

    Returns
    -------
    Inspection

    Raises
    ------
    DataError
        If the location does not exist, cannot be read, or holds no clip at all.
    OutputError
        If the table cannot be written.
    """
    if not is_url(location):  # which `scan` refuses
        location = os.path.abspath(location)  # what is kept must hold wherever it is read
    corpus = corpora.scan(location)
    table = _remembered(corpus.clips, inspection_file(location))
    left = np.random.default_rng(0).permutation(np.flatnonzero(table["reason"] == PENDING))
    done = len(table) - len(left)
    written = 0

    def report(what: str, count: int, total: int) -> None:
        if progress is not None:
            progress(what, done + count, len(table))

    try:
        report("Opening clips", 0, 0)
        for first in range(0, len(left), _CHUNK):
            chunk = left[first : first + _CHUNK]
            found = corpora.measure(table["path"].iloc[chunk], n_jobs=n_jobs, progress=report)
            table.loc[chunk, _MEASURED] = found.set_index(chunk)
            done += len(chunk)
            if first + _CHUNK >= min(2 * written, written + _WRITE_EVERY):
                _write(location, table, corpus.skipped)
                written = first + _CHUNK
    finally:
        _write(location, table, corpus.skipped)
    index = read_inspection(location)
    if index is None:
        raise OutputError(
            f"{inspection_file(location)} cannot be read back. Is the disk full or another program "
            "cleaning the folder? Set SER_CACHE to another folder."
        )
    return index


def inspect_corpus(
    location: Location | Sequence[Location],
    *,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> Corpus:
    """Scan a corpus and inspect its clips, opening only those that are new or changed.

    Parameters
    ----------
    location : str, Path, or sequence of these
        See `ser.data.corpora.scan`.
    n_jobs, progress
        See `update_inspection`.

    Returns
    -------
    Corpus
        What ``corpora.inspect(corpora.scan(location))`` returns: text in text columns, and paths
        that begin with `location` as it was given.

    Raises
    ------
    DataError, OutputError
        See `update_inspection`.
    """
    if not isinstance(location, str | Path):
        each = [inspect_corpus(one, n_jobs=n_jobs, progress=progress) for one in location]
        return corpora.joined(each)
    found = update_inspection(location, n_jobs=n_jobs, progress=progress)
    clips = found.clips.astype(dict.fromkeys(_WORDS, "str"))
    given = Path(location) if os.path.isdir(location) else Path(location).parent
    absolute = os.path.abspath(given)

    def as_given(path: str) -> str:
        inside = Path(path).is_relative_to(absolute)
        return str(given / Path(path).relative_to(absolute)) if inside else path

    return Corpus(
        *(
            table.assign(path=table["path"].map(as_given).astype("str"))
            for table in (clips, found.skipped)
        )
    )


def _remembered(clips: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Return the clips with what was measured of them; the others are `PENDING`."""
    table = clips.assign(**_stamps(clips["path"]))
    try:
        old = _parse(file.read_bytes())
    except (OSError, ValueError):
        old = pd.DataFrame(columns=_COLUMNS).astype({"size": "int64", "mtime_ns": "int64"})
    # Clips that could not be used are tried again: the reason may be gone, such as a permission.
    old = old.loc[old["reason"] == ""].drop_duplicates("path")
    stamp = ["path", "size", "mtime_ns"]
    table = table.merge(old[[*stamp, *_MEASURED]], on=stamp, how="left")
    table[_NUMBERS] = table[_NUMBERS].astype("float64")
    table[_PRINTS] = table[_PRINTS].astype("str").fillna("")
    table["reason"] = table["reason"].astype("str").fillna(PENDING)
    return table


def _stamps(paths: Iterable[str]) -> dict[str, npt.NDArray[np.int64]]:
    sizes, times = [], []
    for path in paths:
        try:
            status = os.stat(path)
            sizes.append(status.st_size)
            times.append(status.st_mtime_ns)
        except (OSError, ValueError):  # it vanished, or cannot be a file; opening it will say so
            sizes.append(-1)
            times.append(-1)
    return {"size": np.array(sizes, np.int64), "mtime_ns": np.array(times, np.int64)}


def _write(location: str | Path, table: pd.DataFrame, skipped: pd.DataFrame) -> None:
    """Write everything that is known; a file that already says so is left alone."""
    everything = pd.concat([table, skipped.assign(size=-1, mtime_ns=-1)], ignore_index=True)
    data = everything[_COLUMNS].to_csv(index=False, lineterminator="\n").encode()
    file = inspection_file(location)
    if file.is_file() and file.read_bytes() == data:
        return
    with atomic_path(file) as temporary:
        temporary.write_bytes(data)


def _parse(data: bytes) -> pd.DataFrame:
    """Read a table that was written by `_write`.

    Raises
    ------
    ValueError
        If it was not.
    """
    kinds = dict.fromkeys(_COLUMNS, "str") | dict.fromkeys(_NUMBERS, "float64")
    kinds |= {"size": "int64", "mtime_ns": "int64"}
    table = pd.read_csv(
        io.BytesIO(data),
        dtype=kinds,
        keep_default_na=False,
        na_values={column: [""] for column in _NUMBERS},
        index_col=False,
    )
    if list(table.columns) != _COLUMNS:
        raise ValueError("it has other columns")
    return table
