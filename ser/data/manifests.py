"""Manifests: Parquet files that list clips, see docs/scale.md; only some rows are ever held.

They may come from anyone, and a few bytes of Parquet can stand for much text.  So equal texts are
read once, and too long ones refused before they are written out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import DataError
from ser.utils.extras import need
from ser.utils.places import Place, is_url, join, opened, to_place

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("path", "offset", "emotion", "speaker", "corpus", "hash")
"""Of a manifest; all but ``offset`` are text."""
MOST_CLIPS = 1_000_000
"""Rows of a manifest that is read whole."""
MOST_BYTES = 4096
"""Longest text of a row; no path of a file is longer on Linux."""

_BATCH = 500  # rows that are read at once


def schema(names: Sequence[str] = COLUMNS) -> pa.Schema:
    """Return what columns of a manifest hold, none of them nothing."""
    import pyarrow as pa

    kinds = dict.fromkeys(COLUMNS, pa.string()) | {"offset": pa.float64()}
    return pa.schema([pa.field(name, kinds[name], nullable=False) for name in names])


def read_rows(
    file: Place, needed: Sequence[str], *, most: int | None = None
) -> Iterator[dict[str, Any]]:
    """Read the rows of a manifest, which anybody may have made.

    Parameters
    ----------
    file : str or Path
        It may be an address in an object store.
    needed : sequence of str
        Columns that it must have.
    most : int, optional
        Refuse more rows than that before any is read.

    Yields
    ------
    dict
        What it has of `COLUMNS`, with an absolute ``path`` (or an address).

    Raises
    ------
    DataError
        If it is not a manifest, has too many rows or a text of more than `MOST_BYTES`, or a clip
        that begins within a file.
    """
    import pyarrow as pa

    folder = str(file).rpartition("/")[0] if is_url(file) else os.path.abspath(Path(file).parent)
    with opened_manifest(file, needed) as parquet:
        groups = map(parquet.metadata.row_group, range(parquet.num_row_groups))
        count = sum(group.num_rows for group in groups)
        if most is not None and count > most:
            raise DataError(
                f"{file} holds {count} clips, more than the {most} that are read at once. Cut it "
                "into parts, or work on it by shards (--out)."
            )
        there = [name for name in COLUMNS if name in parquet.schema_arrow.names]
        try:
            for batch in parquet.iter_batches(_BATCH, columns=there):
                _refuse_long_texts(file, batch)
                table = pa.Table.from_batches([batch]).select(there)
                for row in _filled(table, schema(there)).to_pylist():
                    if row.get("offset", 0) != 0:
                        raise DataError(
                            f"{file} has a clip that begins {row['offset']:g} s into "
                            f"{row['path']}. Clips within files are not read; cut the file."
                        )
                    yield row | {"path": _within(folder, row["path"])}
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{file} is not a manifest: {first_line(error)}.") from error


def _filled(table: pa.Table, kinds: pa.Schema) -> pa.Table:
    """Return a table with columns of these kinds, and what is empty in it as it is meant."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.cast(pa.schema([field.with_nullable(True) for field in kinds]))
    for number, name in enumerate(table.column_names):
        if name != "path":
            empty = 0.0 if name == "offset" else ""
            table = table.set_column(number, name, pc.fill_null(table[name], empty))
    return table.cast(kinds)


def _refuse_long_texts(file: Place, batch: pa.RecordBatch) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            if longest > MOST_BYTES:
                raise DataError(f"{file} holds a text of {longest} bytes; no name is that long.")


def _within(folder: str, path: str) -> str:
    if is_url(path):
        return str(to_place(path))  # which checks that it is one and holds no password
    return str(join(folder, path)) if is_url(folder) else os.path.join(folder, path)


@contextmanager
def opened_manifest(file: Place, needed: Sequence[str] = COLUMNS) -> Iterator[Any]:
    """Open a manifest as a ``pyarrow.parquet.ParquetFile``.

    Raises
    ------
    DataError
        If it cannot be read, or has not the columns that are needed.
    MissingExtraError
        If pyarrow is not installed.
    """
    need("large", "pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    with ExitStack() as open_files:
        try:
            source = open_files.enter_context(opened(file)) if is_url(file) else file
            metadata = pq.read_metadata(source)
            columns = {metadata.schema.column(i).path for i in range(metadata.num_columns)}
            texts = [name for name in COLUMNS if name in columns and name != "offset"]
            parquet = open_files.enter_context(
                pq.ParquetFile(source, metadata=metadata, read_dictionary=texts)
            )
            there = parquet.schema_arrow.names
        except (pa.ArrowException, OSError, ValueError) as error:  # names may be no UTF-8
            reason = first_line(error)
            raise DataError(f"{file} cannot be read as a manifest: {reason}.") from error
        if missing := [name for name in needed if name not in there]:
            raise DataError(
                f"{file} has no column {' and no column '.join(missing)}; it has: "
                f"{', '.join(there)}. Name them {', '.join(needed)}."
            )
        yield parquet


def first_line(error: Exception) -> str:
    """Return what an error of Arrow says in its first line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
