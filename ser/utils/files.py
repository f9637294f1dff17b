"""Writing files so that a reader never meets half of one, and naming them by content."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from ser.errors import OutputError
from ser.utils.places import is_url, opened, sent


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends well.

    A crash, an exception or a full disk leaves the old file (or none) and no temporary file.

    Parameters
    ----------
    path : str or Path
        The file to write.  Missing parent folders are made.  It may be an address in an object
        store, see `ser.utils.places.sent`.

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
    if is_url(path):
        with sent(str(path)) as temporary:
            yield temporary
        return
    path = Path(path)
    if os.path.isdir(path):
        raise OutputError(f"Cannot write {path}: it is a folder. Give the name of a file.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OutputError(f"Cannot write {path}: it is a device or pipe. Give the name of a file.")
    temporary = path.with_name(f".writing-{os.getpid()}-{secrets.token_hex(8)}{path.suffix}")
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


def is_being_written(temporary: Path) -> bool:
    """Say whether the process that made a temporary file of `atomic_path` still lives here."""
    number = temporary.name.split("-")[1]
    if os.name != "posix" or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)  # asks alone
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # of somebody else
    return True


@contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Give a temporary folder whose files come to `folder`, all of them, when the block ends well.

    If `folder` exists, files of the same names are replaced and others stay.

    Parameters
    ----------
    folder : str or Path
        Missing parent folders are made.

    Yields
    ------
    Path
        A new folder beside `folder`: write here.

    Raises
    ------
    OutputError
        If the folder cannot be made or written to, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "figures"
    >>> with atomic_folder(target) as temporary:
    ...     write_text(temporary / "a.txt", "done")
    >>> [file.name for file in target.iterdir()], len(list(target.parent.iterdir()))
    (['a.txt'], 1)
    """
    folder = Path(os.path.abspath(folder))  # "." has no name to put a temporary one beside
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"Cannot write {folder}: it is a file. Give the name of a folder.")
    temporary = folder.with_name(f".writing-{secrets.token_hex(8)}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if folder.exists():
            for file in temporary.iterdir():
                file.replace(folder / file.name)
        else:
            temporary.rename(folder)
    except OSError as error:
        raise OutputError(f"Cannot write {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(folder: Path, *, timeout: float = 30, name: str = ".lock") -> Iterator[None]:
    """Make a folder unless it is there, and let no other process or thread in meanwhile.

    Parameters
    ----------
    folder : Path
        Everybody who locks it waits for each other.
    timeout : float
        Seconds to wait.
    name : str
        Of the file that is held.

    Raises
    ------
    OutputError
        If the folder cannot be written to, or others keep it for longer than that.
    """
    lock = FileLock(folder / name, timeout=timeout)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except TimeoutError as error:
        raise OutputError(f"{folder} is in use by another process. Try again later.") from error
    except OSError as error:
        raise OutputError(f"Cannot write {folder}: {error.strerror or error}.") from error
    try:
        yield
    finally:
        lock.release()


def free_path(folder: Path, name: str, *, taken: Collection[str] = ()) -> Path:
    """Return a path in a folder that does not exist yet: of this name, or with a number added.

    Parameters
    ----------
    folder : Path
        Need not exist.
    name : str
        The one wished for.
    taken : collection of str
        Names that are not to be had either.

    Examples
    --------
    >>> free_path(Path("nowhere"), "voice", taken={"voice", "voice-2"}).name
    'voice-3'
    """
    path, number = folder / name, 1
    while path.name in taken or path.exists():
        number += 1
        path = folder / f"{name}-{number}"
    return path


def delete_folder(folder: Path) -> None:
    """Delete a folder with everything in it.

    Raises
    ------
    OutputError
        If something in it cannot be deleted.
    """
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(
            f"{folder.name} cannot be deleted: {error.strerror or error}. Try again, or delete "
            f"{folder} by hand."
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically.

    Raises
    ------
    OutputError
        See `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, whole or not at all: half a one would spoil the next.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    data = line.encode() + b"\n"
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        if file.write(data) < len(data):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as strict JSON: a NaN or an infinity is a `ValueError`."""
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write `value` as strict JSON (no NaN), atomically.

    Raises
    ------
    OutputError
        See `atomic_path`.
    ValueError
        If `value` holds a NaN or an infinity, which JSON does not know.
    """
    write_text(path, json_text(value, indent=indent) + "\n")


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
        raise ValueError(f"it holds {constant}, which is not JSON")

    try:
        with opened(path) as file:
            value = json.loads(file.read().decode("utf-8"), parse_constant=refuse)
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
    digest = hashlib.sha256()
    with opened(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
