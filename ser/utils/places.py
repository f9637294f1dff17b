"""Addresses in an object store, such as ``s3://bucket/folder``, beside local paths.

A `Path` never is an address, since it has no ``//``; a text is one if it has a scheme.  What is not
there is a FileNotFoundError as it is locally, and a store that does not answer is a `DataError`.
Credentials come from the environment or ``~/.aws`` alone: an address that holds some is refused.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ser.errors import DataError, OutputError
from ser.utils.extras import need

Place = str | Path
"""A local path, or an address as a text."""


def is_url(place: Place) -> bool:
    """Say whether a place is an address.

    Examples
    --------
    >>> is_url("s3://bucket/clips"), is_url("clips"), is_url(Path("s3://bucket/clips"))
    (True, False, False)
    """
    return isinstance(place, str) and "://" in place


def to_place(text: str) -> Place:
    """Return what somebody named on the command line or in a manifest.

    Raises
    ------
    DataError
        If it is an address of another kind, or one with credentials, which are not repeated.

    Examples
    --------
    >>> to_place("s3://bucket/clips/")
    's3://bucket/clips'
    """
    if not is_url(text):
        return Path(text)
    if (
        "::" in text
    ):  # a chain of stores, for who knows fsspec; names that a store lists may hold it
        raise _unknown(text)
    _key(text)
    return text.rstrip("/")


def join(folder: Place, *names: str) -> Any:
    """Return a place within a folder: a path in a path, and an address in an address.

    Examples
    --------
    >>> join("s3://bucket/out", "parts", "a.parquet")
    's3://bucket/out/parts/a.parquet'
    """
    return "/".join([str(folder), *names]) if is_url(folder) else Path(folder, *names)


def shown(place: Place) -> str:
    r"""Return a path as text that any table can hold: of UTF-8, without carriage returns.

    Examples
    --------
    >>> print(shown("caf\udce9.wav"))
    caf\udce9.wav
    """
    text = str(place).encode("utf-8", "backslashreplace").decode("utf-8")
    return text.replace("\r", "\\r")  # at which a row of a CSV file would end


@contextmanager
def opened(place: Place) -> Iterator[BinaryIO]:
    """Open a file to read any part of it.

    Raises
    ------
    OSError
        If it is not there, or is local and cannot be read.
    DataError
        If a store does not answer, or refuses.
    """
    if not is_url(place):
        with Path(place).open("rb") as local:
            yield local
        return
    try:
        file = _store().open(_key(place), "rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreachable(place, error) from error
    with file:
        yield file


@contextmanager
def sent(url: str) -> Iterator[Path]:
    """Give a local temporary file that is put into a store when the block ends well.

    A store shows an object whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be put there, or the local disk is full.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="ser-") as folder:
            temporary = Path(folder) / url.rsplit("/", 1)[-1]
            temporary.touch()
            yield temporary
            with temporary.open("rb") as file, _store().open(_key(url), "wb") as remote:
                shutil.copyfileobj(file, remote, 1 << 20)
    except OSError as error:
        raise OutputError(f"Cannot write {url}: {_reason(error)}.") from error


def listed(folder: str) -> list[dict[str, Any]]:
    """Return ``url``, ``type``, ``size`` and ``mtime`` of what is in a folder, by name.

    Of a file it is that file, and of a folder that is not there nothing.

    Raises
    ------
    DataError
        If a store does not answer, refuses, or has no such bucket.
    """
    key = _key(folder)
    try:
        found = _store().ls(key, detail=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreachable(folder, error) from error
    entries = [entry | {"url": f"s3://{entry['name']}"} for entry in found]
    # Some programs keep an empty object in the name of a folder.
    return sorted(
        (e for e in entries if e["name"].rstrip("/") != key or e["type"] == "file"),
        key=lambda entry: entry["url"],
    )


@lru_cache(maxsize=1)
def _store() -> Any:
    """Return fsspec's view of S3.

    Arrow's client, which comes with pyarrow: s3fs needs botocore, which asks for older libraries
    than the rest of this project.
    """
    need("large", "fsspec", "pyarrow")
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    # Stores other than Amazon's do not all take a body that comes in pieces with checksums.
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    settings: dict[str, Any] = {"connect_timeout": 10, "request_timeout": 60}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        settings |= {"scheme": urlsplit(endpoint).scheme, "endpoint_override": _host(endpoint)}
    return ArrowFSWrapper(S3FileSystem(**settings))


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).netloc.rpartition("@")[2]


def _key(url: Place) -> str:
    """Return bucket and name of an address.

    Raises
    ------
    DataError
        If it is none of S3.
    """
    scheme, _, rest = str(url).partition("://")
    bucket = rest.split("/")[0]
    if "@" in bucket or ":" in bucket:
        raise DataError(
            "An address must not hold a user name or password. Give s3://BUCKET/FOLDER, and the "
            "credentials by the environment or ~/.aws."
        )
    if scheme != "s3" or not bucket:
        raise _unknown(url)
    return rest.rstrip("/")


def _unknown(url: Place) -> DataError:
    return DataError(f"{url} is not a known address. Give s3://BUCKET/FOLDER.")


def _unreachable(url: Place, error: OSError) -> DataError:
    return DataError(f"{url} cannot be read: {_reason(error)}.")


def _reason(error: OSError) -> str:
    return " ".join((error.strerror or str(error)).split()).rstrip(".")
