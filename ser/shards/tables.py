"""Parts as tables: written by a worker, read one after the other at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from ser.shards.manifest import write_parquet
from ser.shards.store import Job
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress, counting
from ser.utils.places import Place, opened

if TYPE_CHECKING:
    import pyarrow as pa


def write_part(part: Path, table: pd.DataFrame, kinds: Mapping[str, pa.DataType]) -> None:
    """Write the table of a part, with columns of these names and kinds.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import pyarrow as pa

    schema = pa.schema(kinds)
    columns = {name: pa.array(table[name]).cast(kind) for name, kind in kinds.items()}
    write_parquet(f"{part}.parquet", [pa.table(columns, schema=schema)], schema)


def read_parts(job: Job, *, progress: Progress | None = None) -> Iterator[pd.DataFrame]:
    """Read the tables of a finished job, one part at a time; `progress` is called after each."""
    import pyarrow.parquet as pq

    with counting(job.clips, "Reading parts", progress=progress) as count:
        for number in range(job.shards):
            with opened(job.part(number, ".parquet")) as file:
                table = pq.read_table(file).to_pandas()
            yield table
            count(len(table))


class Counts(NamedTuple):
    """What became of the files of a job.

    Attributes
    ----------
    used, refused : int
        Clips that could be used, and that could not.
    others : int
        Files that are left out since they are no clips of an emotion.
    """

    used: int
    refused: int
    others: int


def write_tables(
    job: Job,
    used: Place,
    left_out: Place,
    is_used: Callable[[pd.DataFrame], pd.Series],
    *,
    emotion: str | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Write all parts of a finished job as two CSV tables, holding one part at a time.

    Parameters
    ----------
    job : Job
        All of whose shards are finished.
    used : str or Path
        Gets a row per clip that could be used, in the order of the parts.
    left_out : str or Path
        Gets path and ``reason`` of every other one.
    is_used : callable
        Says which rows of a part could be used.
    emotion : str, optional
        Column of what is known of a clip: without that, a file that is left out is none.
    progress : callable, optional
        Called after every part.

    Returns
    -------
    Counts
        How many clips could be used, and how many not.

    Raises
    ------
    OutputError
        If one of them cannot be written.
    """
    counts = Counts(0, 0, 0)
    with (
        atomic_path(used) as first,
        atomic_path(left_out) as second,
        first.open("w", newline="", encoding="utf-8") as good,
        second.open("w", newline="", encoding="utf-8") as bad,
    ):
        for number, table in enumerate(read_parts(job, progress=progress)):
            which = is_used(table)
            rest = table.loc[~which, [table.columns[0], "reason"]]
            for file, rows in ((good, table[which]), (bad, rest)):
                rows.to_csv(file, header=number == 0, index=False, float_format="%.5f")
            refused = int((~which & (table[emotion] != "")).sum()) if emotion else len(rest)
            counts = Counts(
                counts.used + int(which.sum()),
                counts.refused + refused,
                counts.others + len(rest) - refused,
            )
    return counts
