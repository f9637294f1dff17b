"""API keys: who may ask, kept as hashes in a file of ``name sha256`` lines.

A key is 32 random bytes, so a plain hash of it cannot be guessed back; a slow one, as passwords
need it, would add nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path

from ser.errors import DataError, OutputError
from ser.utils.files import append_line

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,59}")
_HASH = re.compile(r"[0-9a-f]{64}")


class Keys:
    """The keys in a file, read again whenever it has changed.

    Parameters
    ----------
    file : str or Path
        See `add`.

    Raises
    ------
    DataError
        If it cannot be read, or a line of it is something else.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> file = Path(mkdtemp()) / "keys.txt"
    >>> key = add(file, "laptop")
    >>> Keys(file).owner(key), Keys(file).owner("guessed")
    ('laptop', None)
    """

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)
        self._seen = _state(self._file)
        self._hashes = _read(self._file)

    def owner(self, key: str) -> str | None:
        """Return whose key it is, or None if it is nobody's.

        While the file cannot be read, what it said last is what holds.
        """
        if (state := _state(self._file)) != self._seen:
            self._seen = state
            try:
                self._hashes = _read(self._file)
            except DataError as error:
                _LOG.error("%s Until then the keys are those of before.", error)
        digest = _digest(key)
        found = None
        for name, known in self._hashes.items():  # all of them, so that the time tells nothing
            if hmac.compare_digest(known, digest):
                found = name
        return found


def _state(file: Path) -> tuple[int, ...] | None:
    """Return what is another one once the file has changed."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _read(file: Path) -> dict[str, str]:
    """Return the hash of each name's key."""
    hashes = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The keys in {file} cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        name, _, digest = line.strip().partition(" ")
        if not name or name.startswith("#"):
            continue
        if not _NAME.fullmatch(name) or not _HASH.fullmatch(digest):
            raise DataError(
                f"{file}, line {number}: this is not a key. Make keys with ser key NAME {file}."
            )
        hashes[name] = digest
    return hashes


def add(file: str | Path, name: str) -> str:
    """Make a key and add its hash to a file; returns the key, which is kept nowhere.

    Raises
    ------
    DataError
        If the name is impossible or taken, or the file is no file of keys.
    OutputError
        If it cannot be written.
    """
    file = Path(file)
    if not _NAME.fullmatch(name):
        raise DataError(f"{name!r} cannot be a name. Use letters, digits and _.@-, at most 60.")
    key = secrets.token_urlsafe(32)
    line = f"{name} {_digest(key)}"
    try:
        if file.exists():
            if name in _read(file):
                raise DataError(f"{name} has a key in {file} already. Delete its line first.")
            text = file.read_text(encoding="utf-8")
            if text and not text.endswith("\n"):
                line = "\n" + line
        # At its end: two made at the same moment are both kept, and rights and links stay.
        append_line(file, line)
    except OSError as error:
        raise OutputError(f"Cannot write {file}: {error.strerror or error}.") from error
    return key


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
