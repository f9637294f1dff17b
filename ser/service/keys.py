"""API keys: who may ask, kept as hashes in a file of ``name sha256`` lines.

A key is 32 random bytes, so a plain hash of it cannot be guessed back; a slow one, as passwords
need it, would add nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from ser.errors import DataError
from ser.utils.files import write_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,59}")
_HASH = re.compile(r"[0-9a-f]{64}")


class Keys:
    """The keys in a file, read once.

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
        self._hashes: dict[str, str] = {}
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
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
            self._hashes[name] = digest

    def owner(self, key: str) -> str | None:
        """Return whose key it is, or None if it is nobody's."""
        digest = _digest(key)
        found = None
        for name, known in self._hashes.items():  # all of them, so that the time tells nothing
            if hmac.compare_digest(known, digest):
                found = name
        return found


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
    text = ""
    if os.path.exists(file):
        if name in Keys(file)._hashes:
            raise DataError(f"{name} has a key in {file} already. Delete its line first.")
        text = file.read_text(encoding="utf-8").rstrip("\n") + "\n"
    key = secrets.token_urlsafe(32)
    write_text(file, f"{text}{name} {_digest(key)}\n")
    return key


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
