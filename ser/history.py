"""What is known of the trainings so far, read so that a damaged run is a row and not an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from ser import report
from ser.errors import RunError, SerError
from ser.runs import BUSY_STATES, Run, find_runs
from ser.training import PRESETS, TrainingConfig

DAMAGED = "damaged"
"""State of a run whose settings or records cannot be read by this version of ser."""

EPOCH_COLUMNS = (
    "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
)  # fmt: skip

FIGURES = {"accuracy": "Accuracy", "weighted_f1": "Weighted F1", "uar": "UAR", "ece": "ECE"}
"""What a finished training is judged by, and what people call it."""


@dataclass(frozen=True)
class Training:
    """A run as far as it can be read.

    Attributes
    ----------
    run : Run
        Its folder.
    status : dict
        See `ser.runs.Run.read_status`; the state may also be `DAMAGED`.
    started : datetime
        When its settings were written.
    config : TrainingConfig or None
        Its settings; None if they cannot be read.
    epochs : DataFrame
        One row per finished epoch with the columns `EPOCH_COLUMNS`.
    figures : dict of str to float
        Of `FIGURES`, on the test clips; empty unless it is finished.
    """

    run: Run
    status: dict[str, Any]
    started: datetime
    config: TrainingConfig | None = None
    epochs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=EPOCH_COLUMNS))
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.run.folder.name

    @property
    def state(self) -> str:
        """One of `ser.runs.STATES`, or `DAMAGED`."""
        return str(self.status["state"])

    @property
    def is_busy(self) -> bool:
        """Whether a process works on it, or waits to."""
        return self.state in BUSY_STATES

    @property
    def seconds(self) -> float:
        """How long the epochs have taken so far."""
        return float(self.epochs["seconds"].sum())

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the lowest loss on the validation clips, if there is one yet."""
        if self.epochs.empty:
            return None
        return int(self.epochs.loc[self.epochs["val_loss"].idxmin(), "epoch"])


def read(run: Run) -> Training:
    """Read a run; whatever is wrong with it becomes its state."""
    try:
        started = datetime.fromtimestamp((run.folder / "config.json").stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        started = datetime.fromtimestamp(0, UTC)
    status = run.read_status()
    try:
        config = TrainingConfig.from_json(run.read_config())
        epochs = read_epochs(run)
    except SerError as error:
        return Training(run, status | {"state": DAMAGED, "message": str(error)}, started)
    figures = _figures(run.folder / "report.json") if status["state"] == "finished" else {}
    return Training(run, status, started, config, epochs, figures)


def read_all(runs: Sequence[Run]) -> list[Training]:
    """Read runs, the newest first; folders of a cross-validation are left out."""
    trainings = [read(run) for run in runs if not find_runs(run.folder)]
    return sorted(trainings, key=lambda training: training.started, reverse=True)


def read_epochs(run: Run) -> pd.DataFrame:
    """Return the records of the epochs as a table with the columns `EPOCH_COLUMNS`.

    Raises
    ------
    RunError
        If a figure is missing or no number.
    """
    rows = run.read_epochs()
    try:
        table = [[float(row[column]) for column in EPOCH_COLUMNS] for row in rows]
    except (TypeError, ValueError, KeyError) as error:
        raise RunError(
            f"{run.folder / 'epochs.jsonl'} is damaged: {error}. Copy the run again."
        ) from error
    return pd.DataFrame(table, columns=EPOCH_COLUMNS, dtype=float).astype({"epoch": int})


def settings(config: TrainingConfig | None) -> dict[str, str]:
    """Return what people choose of a training, in their words."""
    if config is None:
        return {}
    preset = next(
        (
            name
            for name, values in PRESETS.items()
            if all(getattr(config, key) == value for key, value in values.items())
        ),
        "own",
    )
    return {
        "Corpus": Path(config.data).name,
        "Protocol": {"speakers": "unheard speakers"}.get(config.protocol, config.protocol),
        "Preset": preset,
        "Epochs": str(config.epochs),
        "Batch size": str(config.batch_size),
        "Learning rate": f"{config.learning_rate:g}",
        "Copies": str(config.copies),
        "Networks": str(config.model.members),
        "Seed": str(config.seed),
    }


def table(trainings: Sequence[Training]) -> pd.DataFrame:
    """Return one row per training: state, figures, settings, time, in the order given."""
    rows = [
        {
            "Name": training.name,
            "State": training.state,
            **{word: training.figures.get(key) for key, word in FIGURES.items()},
            **(settings(training.config) or dict.fromkeys(settings(TrainingConfig(data="x")))),
            "Training time (s)": training.seconds or None,
            "Started": training.started,
        }
        for training in trainings
    ]
    return pd.DataFrame(rows)


def differences(trainings: Sequence[Training]) -> pd.DataFrame:
    """Return the figures of trainings and the settings in which they differ, a column for each."""
    columns = {}
    for training in trainings:
        figures = {
            word: f"{training.figures[key]:.3f}" if key in training.figures else "–"
            for key, word in FIGURES.items()
        }
        best = training.best_epoch
        columns[training.name] = {
            **figures,
            "Epochs done": str(len(training.epochs)),
            "Best epoch": str(best or "–"),
            "Training time": f"{training.seconds:.0f} s",
            **settings(training.config),
        }
    rows = pd.DataFrame(columns).fillna("–")
    chosen = list(settings(TrainingConfig(data="x")))
    alike = [row for row in chosen if row in rows.index and rows.loc[row].nunique() == 1]
    return rows.drop(index=alike).rename_axis("").reset_index()


def _figures(file: Path) -> dict[str, float]:
    try:
        return _figures_of(file, file.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=512)
def _figures_of(file: Path, changed: int) -> dict[str, float]:
    """Read a report once: it holds every prediction, and the app looks at it again and again."""
    found = report.read_report(file.parent, file.name) or {}
    return {
        key: float(value)
        for key in FIGURES
        if isinstance(value := found.get(key), int | float) and math.isfinite(value)
    }
