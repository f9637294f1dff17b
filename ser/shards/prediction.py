"""What a model answers for more clips than memory holds, shard by shard, and as tables at the end.

The files of a part are one table, ``part-00012.parquet``, with the columns that predictions have
everywhere; a clip that cannot be used has its row too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ser.errors import BundleError
from ser.models.manifest import MANIFEST_FILE
from ser.models.recognizer import REFUSED, Recognizer
from ser.shards.manifest import find_clips
from ser.shards.tables import write_part, write_tables
from ser.shards.work import GO_ON, work_through
from ser.utils.files import sha256_of
from ser.utils.parallel import Progress
from ser.utils.places import Place, join

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTIONS, LEFT_OUT = "predictions.csv", "refused.csv"
"""The tables in a finished store: the answers, and the clips that cannot be used."""

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
        work = cls(str(Path(model).resolve()), _sha256(Path(model)), emotions)
        labels = load(work).labels
        # In the model's order: in which they were typed makes no difference.
        return replace(work, emotions=labels if emotions else ())

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
        write_part(part, self.answers(clips["path"].to_pylist()), self.kinds())

    def answers(self, paths: list[str]) -> pd.DataFrame:
        """Return what the model says of files, asked about few at a time."""
        recognizer = load(self)
        chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)] or [[]]
        found = [recognizer.predict_files(some, n_jobs=1) for some in chunks]
        return pd.concat(found, ignore_index=True)

    def kinds(self) -> dict[str, pa.DataType]:
        """Return the columns of the answers and what they hold."""
        import pyarrow as pa

        return {
            **{"file": pa.string(), "start": pa.float64(), "end": pa.float64()},
            **dict.fromkeys(["emotion", "verdict", "reason"], pa.string()),
            **dict.fromkeys(["distance", *load(self).labels], pa.float32()),
        }


def predict_into(
    folder: Place,
    places: Sequence[str | Path],
    *,
    model: str | Path,
    emotions: Sequence[str] = (),
    resume: bool,
    size: int,
    n_jobs: int = -1,
    cluster: str = "",
    progress: Progress | None = None,
    go_on: str = GO_ON,
) -> tuple[int, int]:
    """Ask a model about all clips in some places, and write the tables of its answers.

    Parameters
    ----------
    folder, resume, size, n_jobs, cluster, progress, go_on
        See `ser.shards.work.work_through`.
    places : sequence of str or Path
        See `ser.shards.manifest.find_clips`.
    model, emotions
        See `Prediction.by`.

    Returns
    -------
    tuple of int
        How many clips were answered, and how many cannot be used.

    Raises
    ------
    SerError, Stopped
        See `ser.shards.work.work_through`, `find_clips` and `Prediction.by`.
    """
    job = work_through(
        folder,
        find_clips(places),
        Prediction.by(model, tuple(emotions)),
        "Listening",
        resume=resume,
        size=size,
        n_jobs=n_jobs,
        cluster=cluster,
        progress=progress,
        go_on=go_on,
    )
    tables = join(folder, PREDICTIONS), join(folder, LEFT_OUT)
    counts = write_tables(job, *tables, was_answered, progress=progress)
    return counts.used, counts.refused


def was_answered(table: pd.DataFrame) -> pd.Series:
    """Say which clips of a part could be used."""
    return table["verdict"] != REFUSED


@lru_cache(maxsize=1)
def load(work: Prediction) -> Recognizer:
    """Load a model once in each process.

    Raises
    ------
    BundleError
        If it is missing here, or another one.
    """
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
    """Return the hash of a bundle's manifest, or nothing if there is none (`load` will say so)."""
    file = folder / MANIFEST_FILE
    return sha256_of(file) if file.is_file() else ""
