"""Writing files so that a reader never meets half of one, and naming them by content."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ser.errors import OutputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends well.

    A crash, an exception or a full disk leaves the old file (or none) and no temporary file.

    Parameters
    ----------
    path : str or Path
        The file to write.  Missing parent folders are made.

    Yields
    ------
    Path
        Write here.  It has the same suffix as `path`, since some writers look at it.

    Raises
    ------
    OutputError
        If the folder cannot be made or written to, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "figures" / "a.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("done")
    >>> target.read_text(), len(list(target.parent.iterdir()))
    ('done', 1)
    """
    path = Path(path)
    if os.path.isdir(path):
        raise OutputError(f"Cannot write {path}: it is a folder. Give the name of a file.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OutputError(f"Cannot write {path}: it is a device or pipe. Give the name of a file.")
    temporary = path.with_name(f".writing-{secrets.token_hex(8)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile's: its mode 0600 would hide results from colleagues.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"Cannot write {path}: {reason}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically.

    Raises
    ------
    OutputError
        See `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write `value` as strict JSON (no NaN), atomically.

    Raises
    ------
    OutputError
        See `atomic_path`.
    ValueError
        If `value` holds a NaN or an infinity, which JSON does not know.
    """
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a table of JSON from a file that may come from anyone.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no JSON, holds NaN or infinity, nests absurdly deep, or is no table.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"it holds {constant}, which is no JSON")

    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=refuse)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    if not isinstance(value, dict):
        raise ValueError("it holds no table")
    return value


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
