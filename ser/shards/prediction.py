"""What a model answers for more clips than memory holds, shard by shard, and as tables at the end.

The files of a part are one table, ``part-00012.parquet``, with the columns that predictions have
everywhere; a clip that cannot be used has its row too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ser.errors import BundleError
from ser.models.manifest import MANIFEST_FILE
from ser.models.recognizer import REFUSED, Recognizer
from ser.shards.manifest import write_parquet
from ser.shards.store import Job
from ser.utils.files import atomic_path, sha256_of
from ser.utils.places import Place, opened

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 25  # clips held at once; a shard of 500 is a whole number of them


@dataclass(frozen=True)
class Prediction:
    """The work of predicting, see `ser.shards.store.Work`.

    Parameters
    ----------
    model : str
        Folder of the bundle, the same for all workers.
    sha256 : str
        Of the bundle's manifest, which has those of its other files.
    emotions : tuple of str
        Which are possible; none given, all are.
    """

    model: str
    sha256: str
    emotions: tuple[str, ...] = ()

    suffixes = (".parquet",)

    @classmethod
    def by(cls, model: str | Path, emotions: tuple[str, ...] = ()) -> Prediction:
        """Return the work of a model, once it is known that it can be loaded here.

        Raises
        ------
        BundleError, DataError
            See `ser.models.recognizer.Recognizer.load` and ``among``.
        """
        _load(work := cls(str(Path(model).resolve()), _sha256(Path(model)), emotions))
        return work

    def describe(self) -> dict[str, str]:
        """Return what the answers depend on; where the model lies is no part of it."""
        return {
            "command": "predict",
            "model": self.sha256,
            "choice of emotions": ", ".join(self.emotions) or "all",
        }

    def __call__(self, clips: pa.Table, part: Path) -> None:
        """Answer clips and write the table.

        Raises
        ------
        BundleError
            If the model is missing here, or another one.
        OutputError
            If the table cannot be written.
        """
        import pyarrow as pa

        recognizer = _load(self)
        kinds = {
            **{"file": pa.string(), "start": pa.float64(), "end": pa.float64()},
            **dict.fromkeys(["emotion", "verdict", "reason"], pa.string()),
            **dict.fromkeys(["distance", *recognizer.labels], pa.float32()),
        }
        paths = clips["path"].to_pylist()
        answers = pd.concat(
            [
                recognizer.predict_files(paths[i : i + _CHUNK], n_jobs=1)
                for i in range(0, len(paths), _CHUNK)
            ],
            ignore_index=True,
        )
        columns = {name: pa.array(answers[name]).cast(kind) for name, kind in kinds.items()}
        schema = pa.schema(kinds)
        table = pa.table(columns, schema=schema)
        write_parquet(f"{part}.parquet", [table], schema)


def write_tables(job: Job, predictions: Place, refused: Place) -> tuple[int, int]:
    """Write all parts of a finished job as two CSV tables, holding one part at a time.

    Parameters
    ----------
    job : Job
        All of whose shards are finished.
    predictions : str or Path
        Gets a row per clip that could be used, in the order of the manifest.
    refused : str or Path
        Gets ``file`` and ``reason`` of every other one.

    Returns
    -------
    tuple of int
        How many clips each of them has.

    Raises
    ------
    OutputError
        If one of them cannot be written.
    """
    counts = [0, 0]
    with atomic_path(predictions) as good, atomic_path(refused) as bad:
        for number, table in enumerate(_tables(job)):
            used = table["verdict"] != REFUSED
            for i, (file, rows) in enumerate(
                [(good, table[used]), (bad, table.loc[~used, ["file", "reason"]])]
            ):
                rows.to_csv(file, mode="a", header=number == 0, index=False, float_format="%.5f")
                counts[i] += len(rows)
    return counts[0], counts[1]


def _tables(job: Job) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet as pq

    for number in range(job.shards):
        with opened(job.part(number, ".parquet")) as file:
            yield pq.read_table(file).to_pandas()


@lru_cache(maxsize=1)
def _load(work: Prediction) -> Recognizer:
    """Load a model once in each process."""
    folder = Path(work.model)
    if not folder.is_dir():
        raise BundleError(f"The model {folder} is missing on a worker. Copy it to the same place.")
    if (found := _sha256(folder)) != work.sha256:
        raise BundleError(
            f"The model in {folder} has changed: {work.sha256} at first, and now {found}. Put the "
            "first one back."
        )
    recognizer = Recognizer.load(folder)
    return recognizer.among(work.emotions) if work.emotions else recognizer


def _sha256(folder: Path) -> str:
    """Return the hash of a bundle's manifest, or nothing if there is none (`_load` will say so)."""
    file = folder / MANIFEST_FILE
    return sha256_of(file) if file.is_file() else ""
