"""What is kept on disk to save time and can be made again: features, corpora, maps, answers.

It lies in one folder: ``SER_CACHE`` if set, else the user's cache folder.  Features take 0.4 GB per
seed and preset of a corpus such as RAVDESS, so of them only what was used lately is kept.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import platformdirs

from ser.errors import OutputError

KINDS = ("features", "corpora", "maps", "answers")
"""Folders of the cache."""

LIMIT_BYTES = 5_000_000_000
"""Size that `prune` brings the features down to."""


def cache_folder(kind: str = "") -> Path:
    """Return the folder of the cache, or of one of its `KINDS`; it may not exist yet."""
    return Path(os.environ.get("SER_CACHE") or platformdirs.user_cache_dir("ser")) / kind


def usage() -> dict[str, tuple[int, int]]:
    """Return the number of files and of bytes of each of the `KINDS`."""
    return {kind: _totals(_files(cache_folder(kind))) for kind in KINDS}


def prune(folder: str | Path | None = None, *, limit: int = LIMIT_BYTES) -> int:
    """Delete what was not used for longest until the features fit into a limit.

    Another process may be reading or writing there: what it misses, it makes again.

    Parameters
    ----------
    folder : str or Path, optional
        By default that of the features.
    limit : int
        Bytes that may stay.

    Returns
    -------
    int
        Bytes that were freed.
    """
    files = sorted(_files(Path(folder or cache_folder("features"))))
    excess = _totals(files)[1] - limit
    freed = 0
    for _, size, path in files:
        if freed >= excess:
            break
        with suppress(OSError):  # another process has it open, or nothing can be deleted here
            path.unlink(missing_ok=True)
            freed += size
    return freed


def clear() -> int:
    """Delete everything in the cache; returns how many bytes that were.

    Raises
    ------
    OutputError
        If something is left.
    """
    freed = sum(size for _, size in usage().values())
    for kind in KINDS:
        shutil.rmtree(cache_folder(kind), ignore_errors=True)
    if left := sum(files for files, _ in usage().values()):
        raise OutputError(
            f"{left} files in {cache_folder()} cannot be deleted. Mend its permissions, or see "
            "whether something else works there."
        )
    return freed


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """Return when files were used last, their sizes and their paths."""
    found = []
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except OSError:  # deleted meanwhile
            continue
        if path.is_file():
            found.append((status.st_mtime, status.st_size, path))
    return found


def _totals(files: list[tuple[float, int, Path]]) -> tuple[int, int]:
    return len(files), sum(size for _, size, _ in files)
