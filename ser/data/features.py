"""Features of clips and of augmented copies of them, in memory or in files.

A training keeps them in files, from which a step reads what it learns from: so it needs no more
memory for a large corpus than for a small one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.errors import OutputError
from ser.utils.files import read_json, write_json
from ser.utils.parallel import Progress

CHUNK = 512
"""Clips whose features are in memory while they are computed."""


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Rows of NumPy files, read where they are asked for.

    Files are opened for every reading: what stays mapped would count as memory of the process.

    Attributes
    ----------
    files : tuple of Path
        Files of arrays (.npy) that are alike but for their length.
    rows : ndarray of int64
        Which rows of all of them, one file after another.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = Path(folder.name) / "squares.npy"
    >>> np.save(file, np.arange(6.0) ** 2)
    >>> stored = StoredRows.of(file).joined(StoredRows.of(file))
    >>> stored[np.array([7, 2])].tolist()
    [1.0, 4.0]
    >>> stored.select(np.array([3, 4, 5]))[:2].tolist()
    [9.0, 16.0]
    >>> folder.cleanup()
    """

    files: tuple[Path, ...]
    rows: npt.NDArray[np.int64]

    @classmethod
    def of(cls, file: Path) -> StoredRows:
        """Return all rows of a file."""
        return cls((file,), np.arange(_Layout.of(file).shape[0]))

    def joined(self, other: StoredRows) -> StoredRows:
        """Return the rows of both."""
        behind = sum(self._lengths)
        return StoredRows(
            self.files + other.files, np.concatenate([self.rows, other.rows + behind])
        )

    def select(self, rows: npt.NDArray[Any]) -> StoredRows:
        """Return some of the rows, by number or a mask, without reading them."""
        return StoredRows(self.files, self.rows[rows])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.rows)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """As of one array."""
        return (len(self.rows), *self._layouts[0].shape[1:])

    @cached_property
    def _layouts(self) -> list[_Layout]:
        return [_Layout.of(file) for file in self.files]

    @property
    def _lengths(self) -> list[int]:
        return [layout.shape[0] for layout in self._layouts]

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Read rows as of one array; the first of one or two indices says which."""
        first, *inner = key if isinstance(key, tuple) else (key,)
        wanted = self.rows[first]
        shape, dtype = self._layouts[0].shape, self._layouts[0].dtype
        if inner:  # a row within each row
            inside = np.broadcast_to(inner[0], wanted.shape)
        found = np.empty((len(wanted), *shape[1 + len(inner) :]), dtype)
        begin = 0
        for file, layout in zip(self.files, self._layouts, strict=True):
            own = np.flatnonzero((wanted >= begin) & (wanted < begin + layout.shape[0]))
            rows = wanted[own] - begin
            if inner:
                rows = rows * shape[1] + inside[own]
            if len(own):
                _read(file, layout.offset, rows, found, own)
            begin += layout.shape[0]
        return found


@dataclass(frozen=True)
class _Layout:
    """Where and how an array lies in its file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @classmethod
    def of(cls, file: Path) -> _Layout:
        array: np.memmap[Any, Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return cls(array.shape, array.dtype, array.offset)


def _read(
    file: Path,
    offset: int,
    rows: npt.NDArray[np.int64],
    found: npt.NDArray[Any],
    places: npt.NDArray[np.int64],
) -> None:
    """Read some rows of a file to their places in an array.

    Not mapped: a page fault for every 4 kB takes three times as long.
    """
    contents = found.reshape(len(found), -1).view(np.uint8)
    with file.open("rb", buffering=0) as stream:
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            stream.seek(offset + row * contents.shape[1])
            if stream.readinto(contents[place]) != contents.shape[1]:
                raise OutputError(f"{file} is cut off. Delete its folder and begin again.")


@dataclass(frozen=True)
class Features:
    """One of a model's inputs for some clips, in the order of the clips.

    Attributes
    ----------
    clean : ndarray of float32, shape (clips, 32, 94, 2)
        Each clip as it is.
    copies : ndarray of float16, shape (clips, copies, 32, 94, 2)
        Augmented copies; half precision (about .03 dB) takes half the space.
    """

    clean: npt.NDArray[np.float32]
    copies: npt.NDArray[np.float16]

    def select(self, rows: npt.NDArray[Any]) -> Features:
        """Return some of the clips, by number or a mask."""
        return Features(self.clean[rows], self.copies[rows])


@dataclass(frozen=True)
class StoredFeatures:
    """The same in files.

    Attributes
    ----------
    clean : StoredRows of float32
    copies : StoredRows of float16
        See `Features`.
    """

    clean: StoredRows
    copies: StoredRows

    def joined(self, other: StoredFeatures) -> StoredFeatures:
        """Return the clips of both; each must have as many copies."""
        return StoredFeatures(self.clean.joined(other.clean), self.copies.joined(other.copies))

    def select(self, rows: npt.NDArray[Any]) -> StoredFeatures:
        """Return some of the clips, by number or a mask, without reading them."""
        return StoredFeatures(self.clean.select(rows), self.copies.select(rows))


def store_features(
    folder: Path,
    items: Sequence[Any],
    compute: Callable[..., Mapping[str, Features]],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    copies: int,
    progress: Progress | None = None,
) -> dict[str, StoredFeatures]:
    """Compute features some clips at a time and keep them in files; or go on where that stopped.

    Parameters
    ----------
    folder : Path
        Of these files, for these items alone.
    items : sequence
        Such as paths of clips.
    compute : callable
        Returns the features of some items, given them and ``progress``.
    shapes : dict of str to tuple of int
        Shape of each input of one clip, by name.
    copies : int
        Augmented copies per clip.
    progress : callable, optional
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    dict of str to StoredFeatures
        Of all items.

    Raises
    ------
    OutputError
        If they cannot be written, such as on a full disk.
    """
    kinds: dict[Path, tuple[tuple[int, ...], type]] = {}
    for name, shape in shapes.items():
        kinds[folder / f"{name}-clean.npy"] = shape, np.float32
        kinds[folder / f"{name}-copies.npy"] = (copies, *shape), np.float16
    marker = folder / "done.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = _done(marker)
        for first in range(done, len(items), CHUNK):
            some = items[first : first + CHUNK]
            found = compute(some, progress=_within(progress, first, len(items)))
            arrays = [rows for name in shapes for rows in (found[name].clean, found[name].copies)]
            for (file, (shape, dtype)), rows in zip(kinds.items(), arrays, strict=True):
                _write(file, first, np.asarray(rows, dtype), (len(items), *shape))
            write_json(marker, {"clips": first + len(some)})
        if not items:
            for file, (shape, dtype) in kinds.items():
                _write(file, 0, np.empty((0, *shape), dtype), (0, *shape))
    except OSError as error:
        raise OutputError(f"Cannot keep features in {folder}: {error.strerror}.") from error
    stored = [StoredRows.of(file) for file in kinds]
    return {
        name: StoredFeatures(*pair)
        for name, pair in zip(shapes, zip(stored[::2], stored[1::2], strict=True), strict=True)
    }


def _done(marker: Path) -> int:
    """Return how many clips were kept before."""
    try:
        return int(read_json(marker)["clips"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _within(progress: Progress | None, first: int, total: int) -> Progress:
    def within(what: str, done: int, _: int) -> None:
        if progress is not None:
            progress(what, first + done, total)

    return within


def _write(file: Path, first: int, rows: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    """Put rows where they belong into a file that will hold an array of a shape.

    Written, not mapped: a full disk is then an error rather than the end of the process.
    """
    kind = {
        "descr": np.lib.format.dtype_to_descr(rows.dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with file.open("r+b" if first else "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, kind)
        stream.seek(stream.tell() + first * rows.dtype.itemsize * int(np.prod(shape[1:])))
        stream.write(np.ascontiguousarray(rows).data)
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())  # before the marker says that it is there
