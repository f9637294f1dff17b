"""Reading zip archives that come from anybody."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ser.errors import DataError
from ser.utils.files import atomic_folder
from ser.utils.parallel import Progress

DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError),
    *(RuntimeError, ValueError, IndexError, OSError),
)
"""What Python's zipfile raises for an archive whose bytes have been changed."""

MOST_FILES, LARGEST_FILE, MOST_BYTES = 100_000, 100 * 10**6, 4 * 10**9
_PIECE = 1 << 20


def wanted_files(archive: zipfile.ZipFile, suffixes: Collection[str]) -> list[zipfile.ZipInfo]:
    """Return the entries of an archive that are files with one of some suffixes, in lower case."""
    return [
        entry
        for entry in archive.infolist()
        if not entry.is_dir()
        and (name := PurePosixPath(entry.filename)).suffix.lower() in suffixes
        and not name.name.startswith(".")
    ]


def unpack(
    data: BinaryIO, folder: Path, suffixes: Collection[str], *, progress: Progress | None = None
) -> int:
    """Unpack the files with some suffixes into a new folder, all of them or none.

    Parameters
    ----------
    data : file object
        The archive.
    folder : Path
        Does not exist yet.
    suffixes : collection of str
        In lower case; what else is in the archive is left there.
    progress : callable, optional
        See `ser.utils.parallel.Progress`; what it raises ends the unpacking.

    Returns
    -------
    int
        How many files there are.

    Raises
    ------
    DataError
        If it is no zip, is damaged, holds no such file, two of one name, or more than
        `MOST_FILES`, or unpacks to more than `LARGEST_FILE` each or `MOST_BYTES` in all.
    OutputError
        If it cannot be written.
    """
    with atomic_folder(folder) as work:
        return _unpack(data, work, suffixes, progress)


def _unpack(
    data: BinaryIO, work: Path, suffixes: Collection[str], progress: Progress | None
) -> int:
    try:
        archive = zipfile.ZipFile(data)
        entries = wanted_files(archive, suffixes)
    except DAMAGED as error:
        raise _damaged(error) from error
    if not entries:
        raise DataError(f"The archive holds no file that ends in {', '.join(sorted(suffixes))}.")
    if len(entries) > MOST_FILES:
        raise DataError(f"The archive holds {len(entries)} files, more than {MOST_FILES}.")
    left = MOST_BYTES
    for number, entry in enumerate(entries):
        if progress is not None:
            progress("Unpacking", number, len(entries))
        # Nothing in a name leads out of the folder.
        parts = [part for part in PurePosixPath(entry.filename).parts if part not in ("/", "..")]
        target = work.joinpath(*(re.sub(r'[\\:*?"<>|\x00-\x1f]', "_", part) for part in parts))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:
                left -= _copy(archive, entry, file, min(left, LARGEST_FILE))
        except FileExistsError:
            raise DataError(f"The archive holds {entry.filename!r} twice.") from None
    return len(entries)


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: BinaryIO, most: int) -> int:
    """Write what an entry holds; the size that an archive announces is never trusted."""
    size = 0
    try:
        packed = archive.open(entry)
    except DAMAGED as error:
        raise _damaged(error) from error
    with packed:
        while True:
            try:
                piece = packed.read(_PIECE)
            except DAMAGED as error:
                raise _damaged(error) from error
            if not piece:
                return size
            size += len(piece)
            if size > most:
                raise DataError(
                    f"{entry.filename!r} unpacks to more than there may be: "
                    f"{LARGEST_FILE / 1e6:.0f} MB in a file, {MOST_BYTES / 1e9:.0f} GB in all. Put "
                    "the folder on the computer that runs the app, and open it there."
                )
            file.write(piece)


def _damaged(error: Exception) -> DataError:
    return DataError(
        f"The archive cannot be read ({error}). Zip the folder again, without a password."
    )
