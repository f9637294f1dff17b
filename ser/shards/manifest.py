"""The manifest: which clips a job is about, in one Parquet file whose row groups are its shards.

Whoever works on a shard reads its row group and no more, so nobody ever holds all clips.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ser.audio import EXTENSIONS
from ser.data.manifests import first_line, opened_manifest, read_rows, schema
from ser.errors import DataError, SerError
from ser.utils.extras import installing
from ser.utils.files import atomic_path
from ser.utils.places import is_url, listed, shown

if TYPE_CHECKING:
    import pyarrow as pa


class Clip(NamedTuple):
    """A row of a manifest.

    Attributes
    ----------
    path : str
        Absolute, or an address in an object store.
    offset : float
        Where the clip begins in its file, in seconds.  So far a clip is a file, and this is 0.
    emotion, speaker, corpus : str
        As far as they are known, otherwise empty.
    hash : str
        Another one whenever the clip is: of what is heard (`ser.audio.audio_hash`) if somebody has
        opened it, otherwise the file's size and time of change.
    """

    path: str
    offset: float = 0.0
    emotion: str = ""
    speaker: str = ""
    corpus: str = ""
    hash: str = ""


def need_pyarrow() -> None:
    """Refuse to go on where Parquet cannot be written.

    Raises
    ------
    SerError
        Saying what to install.
    """
    if find_spec("pyarrow") is None:
        raise SerError(
            "Work over many clips keeps its results as Parquet and needs pyarrow, which is not "
            f"installed: {installing('large')}"
        )


def write_parquet(path: str | Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables as the row groups of a Parquet file, atomically.

    One version of pyarrow gives the same bytes for the same rows: nothing in the file says when it
    was written.

    Raises
    ------
    OutputError
        See `ser.utils.files.atomic_path`.
    """
    import pyarrow.parquet as pq

    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="zstd", write_statistics=False, store_schema=False
        ) as writer,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=max(len(table), 1))


def write_manifest(path: str | Path, clips: Iterable[Clip], *, size: int) -> None:
    """Write a manifest while its clips are being found; only one shard of them is held.

    Parameters
    ----------
    path : str or Path
        The file, which is written atomically.
    clips : iterable of Clip
        In the order in which results will have them.
    size : int
        Clips of a shard.

    Raises
    ------
    OutputError
        If it cannot be written.
    DataError
        If the name of a clip is not UTF-8.
    """
    import pyarrow as pa

    clips = iter(clips)

    def tables() -> Iterator[pa.Table]:
        while some := list(islice(clips, size)):
            for clip in some:
                _check_name(clip.path)
            yield pa.table(
                {k: [getattr(c, k) for c in some] for k in Clip._fields}, schema=schema()
            )

    write_parquet(path, tables(), schema())


def count_shards(path: str | Path) -> tuple[int, int]:
    """Return how many clips and shards a manifest has.

    Raises
    ------
    DataError
        If it is not a manifest.
    """
    with opened_manifest(path) as file:
        return file.metadata.num_rows, file.metadata.num_row_groups


def read_shard(path: str | Path, number: int) -> pa.Table:
    """Return the clips of one shard, a row each.

    Raises
    ------
    DataError
        If it is not a manifest, or has no such shard.
    """
    import pyarrow as pa

    with opened_manifest(path) as file:
        try:
            return file.read_row_group(number).cast(schema())
        except (pa.ArrowException, OSError, IndexError) as error:
            raise DataError(f"{path} is damaged: {first_line(error)}. Make it again.") from error


def find_clips(places: Sequence[str | Path]) -> Iterator[Clip]:
    """Find the audio files of folders, with all their sub-folders, in an order that never changes.

    Parameters
    ----------
    places : sequence of str or Path
        Folders (links to folders within them are not followed), audio files, and manifests, whose
        names end in .parquet; each of them may be an address in an object store.

    Yields
    ------
    Clip
        Of a folder or file path and hash are known; nothing is opened.

    Raises
    ------
    DataError
        If a place does not exist, holds no audio file, or is not a manifest.
    """
    for named in places:
        if is_url(named):
            yield from _in_store(str(named))
            continue
        place = Path(named)
        if os.path.isdir(place):
            found = 0
            for found, clip in enumerate(_in_folder(place), 1):  # noqa: B007
                yield clip
            if not found:
                raise DataError(f"{place} holds no audio file.")
        elif place.suffix.lower() == ".parquet":
            yield from map(_listed, read_rows(place, ("path",)))
        elif os.path.isfile(place):
            yield _file(os.path.abspath(place))
        else:
            raise DataError(f"{place} does not exist. Check the name of the folder.")


def _in_folder(folder: Path) -> Iterator[Clip]:
    def unreadable(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error

    for parent, subfolders, names in os.walk(os.path.abspath(folder), onerror=unreadable):
        subfolders.sort()
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith("."):
                yield _file(os.path.join(parent, name))


def _in_store(place: str) -> Iterator[Clip]:
    if place.lower().endswith(".parquet"):
        yield from map(_listed, read_rows(place, ("path",)))
        return
    found = 0
    for found, clip in enumerate(_objects(place), 1):  # noqa: B007
        yield clip
    if not found:
        raise DataError(f"{place} does not exist, or holds no audio file. Check the name.")


def _objects(folder: str) -> Iterator[Clip]:
    """Find the audio files of a folder; only the list of one folder is held."""
    entries = listed(folder)
    for entry in entries:
        url = entry["url"]
        name = url.rpartition("/")[2]
        is_audio = os.path.splitext(name)[1].lower() in EXTENSIONS and not name.startswith(".")
        if entry["type"] == "file" and is_audio:
            changed = round(entry["mtime"].timestamp() * 1e9) if entry["mtime"] else ""
            yield Clip(url, hash=f"{entry['size']}-{changed}")
    for entry in entries:
        if entry["type"] == "directory":
            yield from _objects(entry["url"])


def _listed(row: Mapping[str, Any]) -> Clip:
    """Return the clip of a row; what the row says of its content and what its file says now."""
    clip = Clip(**row)
    if is_url(clip.path):
        return clip
    now = _file(clip.path).hash
    return clip if clip.hash == now else clip._replace(hash=f"{clip.hash} {now}".strip())


def _file(path: str) -> Clip:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # it vanished, or cannot be a file; opening it will say so
        return Clip(path)
    return Clip(path, hash=f"{status.st_size}-{status.st_mtime_ns}")


def _check_name(path: str) -> None:
    if shown(path) != path:
        raise DataError(
            f"{shown(path)}: the name is not UTF-8 or has a carriage return, so no table can "
            "hold it. Rename the file."
        )
