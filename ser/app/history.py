"""What is known of the trainings so far, read so that a damaged run is a row and not an error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pandas as pd

from ser.errors import RunError, SerError
from ser.evaluation.report import Report
from ser.training import runs
from ser.training.config import PRESETS, TrainingConfig
from ser.training.ensembles import MEMBERS
from ser.training.runs import BUSY_STATES, Epoch, Run, Status, find_runs

DAMAGED = "damaged"
"""State of a run whose settings or records cannot be read by this version of ser."""

EPOCH_COLUMNS = tuple(Epoch.__annotations__)

_PRESETS = {name: TrainingConfig(data=("",), **values) for name, values in PRESETS.items()}
_CHOSEN = {key for values in PRESETS.values() for key in values}

_LITTLE_SPACE = 100_000_000  # bytes; a checkpoint has up to 40 MB and is written beside the old one

FIGURES = {
    "accuracy": "Accuracy",
    "weighted_f1": "Weighted F1",
    "uar": "Average recall",
    "ece": "Calibration error",
}
"""What a finished training is judged by, and what people call it."""


@dataclass(frozen=True)
class Training:
    """A run as far as it can be read.

    Attributes
    ----------
    run : Run
        Its folder.
    status : Status
        See `ser.training.runs.Run.read_status`; the state may also be `DAMAGED`.
    started : datetime
        When its settings were written.
    config : TrainingConfig or None
        Its settings; None if they cannot be read.
    epochs : DataFrame
        One row per finished epoch with the columns `EPOCH_COLUMNS`.
    figures : dict of str to float
        Of `FIGURES`, on the test clips, and ``training_seconds``; empty unless it is finished.
    """

    run: Run
    status: Status
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
        """One of `ser.training.runs.STATES`, or `DAMAGED`."""
        return self.status.state

    @property
    def is_busy(self) -> bool:
        """Whether a process works on it, or waits to."""
        return self.state in BUSY_STATES

    @property
    def is_running(self) -> bool:
        """Whether a process works on it now."""
        return self.is_busy and self.state != "queued"

    @property
    def seconds(self) -> float:
        """How long the epochs have taken so far, and once it is finished, also those of a refit."""
        return self.figures.get("training_seconds", float(self.epochs["seconds"].sum()))

    @property
    def by_members(self) -> bool:
        """Whether its members are trained one by one, see `ser.training.ensembles`."""
        return (self.run.folder / MEMBERS).exists()

    @property
    def clips(self) -> int:
        """How many clips its corpus had; 0 if that is not known."""
        try:
            split = self.run.read_split()
        except RunError:
            return 0
        return len(split.train) + len(split.validation) + len(split.test)

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the lowest loss on the validation clips, if there is one yet."""
        if self.epochs.empty:
            return None
        return int(self.epochs["epoch"].iloc[int(self.epochs["val_loss"].to_numpy().argmin())])


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
        status = status.model_copy(update={"state": DAMAGED, "message": str(error)})
        return Training(run, status, started)
    figures = _figures(run.folder / "report.json") if status.state == "finished" else {}
    return Training(run, status, started, config, epochs, figures)


def read_all(runs: Sequence[Run]) -> list[Training]:
    """Read runs, the newest first; folders of a cross-validation are left out."""
    trainings = [read(run) for run in runs if not find_runs(run.folder)]
    return sorted(trainings, key=lambda training: training.started, reverse=True)


def seconds_left(training: Training) -> float | None:
    """Return how long the epochs, or what else is being done, will still take; None if unknown."""
    status = training.status
    if training.state == "training" and not training.epochs.empty and not training.by_members:
        encoded = training.config is not None and training.config.model.encoder
        if encoded and status.stage < status.stages:  # epochs of fine-tuning take far longer
            return None
        left = status.total - status.done
        left += (status.stages - status.stage) * status.total  # the refit has as many
        return float(left * training.epochs["seconds"].tail(5).mean())
    return runs.seconds_left(status)


def what_to_do(training: Training) -> str:
    """Say how to go on with a training that did not finish; empty if there is nothing to say."""
    if training.state == DAMAGED:
        return "Delete it, or look at it with the version of ser that made it."
    if training.is_busy or training.state == "finished" or training.config is None:
        return ""
    for location in training.config.data:
        if not os.path.exists(location):
            return f"Its corpus {location} is gone. Put it back and resume, or delete it."
    with suppress(OSError):
        if (free := shutil.disk_usage(training.run.folder).free) < _LITTLE_SPACE:
            return f"The disk has only {free / 1e6:.0f} MB left. Free some space, then resume."
    done = len(training.epochs)
    kept = f"goes on after epoch {done}" if done else "begins again, since no epoch had ended"
    if training.by_members:
        kept = "goes on where its members stopped"
    if training.state == "interrupted":
        return (
            "That happens when the memory runs out, the computer restarts, or somebody ends the "
            f"process. Resume {kept}."
        )
    if training.state == "failed":
        return f"Fix that if you can. Resume {kept}."
    return f"Resume {kept}."


def read_epochs(run: Run) -> pd.DataFrame:
    """Return the records of the epochs as a table with the columns `EPOCH_COLUMNS`.

    Raises
    ------
    RunError
        If a figure is missing or no number.
    """
    table = pd.DataFrame(run.read_epochs(), columns=EPOCH_COLUMNS, dtype=float)
    return table.astype({"epoch": int})


def preset_of(config: TrainingConfig) -> str:
    """Return the name of the preset that a training was made with; ``custom`` if with none."""
    for name, preset in _PRESETS.items():
        if all(getattr(config, key) == getattr(preset, key) for key in _CHOSEN):
            return name
    return "custom"


def last_finished(trainings: Sequence[Training], preset: str) -> Training | None:
    """Return the training with a preset that was finished last, if its duration is known."""
    finished = [
        training
        for training in trainings
        if training.state == "finished"
        and training.config is not None
        and preset_of(training.config) == preset
        and training.status.worked
    ]
    return max(finished, key=lambda training: training.status.updated, default=None)


def settings(config: TrainingConfig | None) -> dict[str, str]:
    """Return what people choose of a training, in their words."""
    if config is None:
        return {}
    return {
        "Corpus": ", ".join(Path(location).name for location in config.data),
        "Protocol": {"unseen-speakers": "unseen speakers"}.get(config.protocol, config.protocol),
        "Preset": preset_of(config),
        "Epochs": str(config.epochs),
        "Batch size": str(config.batch_size),
        "Learning rate": f"{config.learning_rate:g}",
        "Augmented copies": str(config.copies),
        "Networks": str(config.model.members),
        "Seed": str(config.seed),
        "Fold": "" if config.protocol == "random" else str(config.fold),
    }


def table(trainings: Sequence[Training]) -> pd.DataFrame:
    """Return one row per training: state, figures, settings, time, in the order given."""
    rows = [
        {
            "Name": training.name,
            "State": "running" if training.is_running else training.state,
            **{word: training.figures.get(key) for key, word in FIGURES.items()},
            "Training time (s)": training.seconds or None,
            "Started": training.started,
            **(settings(training.config) or dict.fromkeys(settings(TrainingConfig(data=("x",))))),
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
    rows = pd.DataFrame(columns)
    chosen = list(settings(TrainingConfig(data=("x",))))
    # What cannot be read of a damaged run is no difference.
    alike = [row for row in chosen if row in rows.index and rows.loc[row].nunique() < 2]
    return rows.drop(index=alike).fillna("–").rename_axis("").reset_index()


def _figures(file: Path) -> dict[str, float]:
    try:
        return _figures_of(file, file.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=512)
def _figures_of(file: Path, changed: int) -> dict[str, float]:
    """Read a report once: it holds every prediction, and the app looks at it again and again."""
    report = Report.find(file)
    if report is None:
        return {}
    found = {key: getattr(report, key) for key in (*FIGURES, "training_seconds")}
    return {key: value for key, value in found.items() if value is not None}
