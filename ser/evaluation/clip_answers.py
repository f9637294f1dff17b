"""What a model answers for each clip of a corpus, kept on disk, so that it is asked once."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import pandas as pd

from ser.data.cache import cache_folder
from ser.errors import OutputError
from ser.models.recognizer import REFUSED, Recognizer
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress

_CHUNK = 200  # clips asked about at a time: what an interruption can cost
_WRITE_EVERY = 5000  # clips
_COLUMNS = ["audio", "answer", "probability", "verdict"]


def answers_for(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    location: str | Path,
    *,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Ask a model about each clip of a corpus that it has not answered before.

    What is done is kept whenever this is interrupted, also by an exception of `progress`.

    Parameters
    ----------
    recognizer : Recognizer
        The model, as it answers strangers.
    clips : DataFrame
        As `ser.data.inspection.inspect_corpus` finds them.
    location : str or Path
        Their corpus.
    n_jobs, progress
        See `ser.utils.parallel.map_items`; counts all clips.

    Returns
    -------
    DataFrame
        A row per clip, in order: ``answer`` (the likeliest emotion), its ``probability``, and
        ``verdict``, see `ser.models.recognizer`.  A clip that cannot be used has none of these.
    """
    file = _file(recognizer, location)
    known = _read(file)
    left = clips[~clips["audio"].isin(known["audio"])].drop_duplicates("audio")
    done = len(clips) - len(left)

    def report(count: int) -> None:
        if progress is not None:
            progress("Asking the model", done + count, len(clips))

    try:
        for first in range(0, len(left), _CHUNK):
            report(first)
            some = left.iloc[first : first + _CHUNK]
            found = recognizer.predict_files(some["path"].tolist(), n_jobs=n_jobs)
            probability = found[list(recognizer.labels)].max(axis=1)
            fresh = pd.DataFrame(
                {
                    "audio": some["audio"].astype(str).to_numpy(),
                    "answer": found["emotion"].fillna("").astype(str).to_numpy(),
                    "probability": probability.to_numpy(float),
                    "verdict": found["verdict"].astype(str).to_numpy(),
                }
            )
            # What cannot be used is tried again: a disk may have been away.
            fresh = fresh[fresh["verdict"] != REFUSED]
            known = fresh if known.empty else pd.concat([known, fresh], ignore_index=True)
            if (first + _CHUNK) % _WRITE_EVERY == 0:
                _write(file, known)
    finally:
        if len(left):
            with suppress(OutputError):  # what was answered is no less true for not being kept
                _write(file, known)
    table = known.drop_duplicates("audio").set_index("audio")
    return table.reindex(clips["audio"].astype(str)).reset_index(drop=True)


def _file(recognizer: Recognizer, location: str | Path) -> Path:
    # A voice that it has listened to is in its embedding.
    parts = recognizer.manifest.model_sha256, recognizer.manifest.embedding.sha256
    model = f"{' '.join(parts)} {recognizer.labels}"
    whose = f"{model} {os.path.abspath(location)}"
    return cache_folder("answers") / f"{hashlib.sha256(os.fsencode(whose)).hexdigest()[:24]}.csv"


def _read(file: Path) -> pd.DataFrame:
    try:
        kinds = dict.fromkeys(_COLUMNS, "str") | {"probability": "float64"}
        table = pd.read_csv(file, dtype=kinds, keep_default_na=False, na_values={"probability": ""})
        if list(table.columns) == _COLUMNS:
            return table[table["verdict"] != REFUSED]
    except (OSError, ValueError):  # none yet, or damaged: it can be made again
        pass
    return pd.DataFrame(columns=_COLUMNS)


def _write(file: Path, table: pd.DataFrame) -> None:
    with atomic_path(file) as temporary:
        table.to_csv(temporary, index=False, float_format="%.5f")
