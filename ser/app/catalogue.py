"""Every report at hand: of the shipped models, of the app's runs, made in the app, and published.

An `Entry` only says where a report is expected; `load_report` reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from ser import assets, audio
from ser.app import access, evaluations, workspace
from ser.data.corpora import TABLES
from ser.errors import ReportError, RunError
from ser.evaluation import metrics
from ser.evaluation.report import Report, Speakers
from ser.models import bundle
from ser.training.runs import Run, Status
from ser.utils.files import read_json

REPORTS = assets.REPORTS
"""The published reports."""


@dataclass(frozen=True)
class Entry:
    """A place where a report is expected.

    Attributes
    ----------
    key : str
        Its name in addresses, such as ``published/emodb``.
    kind : str
        What sort of report it is, for people.
    title : str
        Its name for people.
    file : Path
        The report, which a run that is not finished does not have yet.
    """

    key: str
    kind: str
    title: str
    file: Path

    @property
    def label(self) -> str:
        """Kind and title."""
        return f"{self.kind}: {self.title}"

    @property
    def folder(self) -> Path:
        """Where it lies, with the run or bundle it belongs to."""
        return self.file.parent


@dataclass(frozen=True)
class Gap:
    """What one recipe reaches on seen speakers, and on unseen ones.

    Attributes
    ----------
    recipe : str
        In words.
    seen, unseen : float
        Accuracies in [0, 1].
    clear : bool
        Whether they differ by more than chance explains, see `ser.evaluation.metrics.differ`.
    """

    recipe: str
    seen: float
    unseen: float
    clear: bool


def load_report(file: Path) -> Report:
    """Return a report, read once as long as its file stays as it is.

    Raises
    ------
    ReportError
        See `ser.evaluation.report.Report.load`.
    """
    try:
        stat = file.stat()
    except OSError:
        raise ReportError(f"There is no report at {file}.") from None
    return _load(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _load(file: Path, changed: int, size: int) -> Report:
    return Report.load(file)


def find_report(file: Path) -> Report | None:
    """Return a report as `load_report` does, or None if there is none that can be read."""
    try:
        return load_report(file)
    except ReportError:
        return None


def on_strangers(model: Path) -> Report | None:
    """Return the published report of how a shipped model does with people it has never heard.

    That is one on other corpora than it learned from; None for other models.
    """
    names = {assets.DEFAULT_MODEL: "corpora", assets.RAVDESS_MODEL: "emodb"}
    return find_report(REPORTS / f"{names[model]}.json") if model in names else None


def entries() -> list[Entry]:
    """Return shipped models, the app's runs and evaluations, what a team shares, the published."""
    shipped = bundle.find_bundles(assets.MODELS)
    own = {run.folder for run in workspace.runs()} | set(bundle.find_bundles(workspace.folder()))
    made = [
        run.folder
        for run in evaluations.find_evaluations()
        if (run.folder / "report.json").is_file()
    ]
    return [
        *(_entry("model", "Shipped model", folder) for folder in shipped),
        *(_entry("run", "Run", folder) for folder in sorted(own)),
        *(_entry("evaluation", "Evaluation", folder) for folder in made),
        *(_entry("shared", "Shared", folder) for folder in workspace.shared_models()),
        *(_published(file) for file in sorted(REPORTS.glob("*.json"))),
    ]


def _entry(address: str, kind: str, folder: Path) -> Entry:
    return Entry(f"{address}/{folder.name}", kind, folder.name, folder / "report.json")


def _published(file: Path) -> Entry:
    report = find_report(file)
    title = file.stem if report is None else report.title
    return Entry(f"published/{file.stem}", "Published", title, file)


def finished_on(entry: Entry) -> str:
    """Return the day on which a run or evaluation ended as ``2026-11-22``, or nothing."""
    if entry.folder == REPORTS:
        return ""
    return Status.read(entry.folder / "status.json").updated[:10]


def epochs_of(entry: Entry) -> list[dict[str, Any]]:
    """Return the epochs of the training that a report belongs to, if it belongs to one.

    Raises
    ------
    ReportError
        If the record of them is damaged.
    """
    if entry.folder == REPORTS:
        return []
    try:
        return Run(entry.folder).read_epochs()
    except RunError as error:
        raise ReportError(str(error)) from error


def corpora_at_hand(entry: Entry | None = None) -> list[Path]:
    """Return corpora that may hold the clips of a report, the likeliest first.

    They are the corpus its run or evaluation names, those of `ser.app.workspace.corpora`, and the
    samples.
    """
    named = []
    if entry is not None and entry.folder != REPORTS:
        try:
            data = read_json(entry.folder / "config.json").get("data")
        except (OSError, ValueError):
            data = None
        # Those of shipped models are relative to the project.
        each = data if isinstance(data, list) else [data]
        named = [assets.ROOT / location for location in each if isinstance(location, str)]
    found = [*named, *workspace.corpora(), assets.SAMPLES]
    return list(dict.fromkeys(p for p in found if access.may_read(p) and _is_corpus(p)))


def _is_corpus(path: Path) -> bool:
    return os.path.isdir(path) or (path.suffix.lower() in TABLES and os.path.isfile(path))


def find_clip(file: str, corpora: Iterable[Path]) -> Path | None:
    """Return the first clip of this name, or None.

    Parameters
    ----------
    file : str
        As predictions name it, see `ser.data.corpora.places`.  A report may come from
        anyone, so a name that leads out of the folder, or is no audio file, is never found, nor
        is what whoever is served may not read.
    corpora : iterable of Path
        Where to look: folders, or CSV files in them.
    """
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in audio.EXTENSIONS:
        return None
    folders = [c if os.path.isdir(c) else c.parent for c in corpora]
    places = [folder / path for folder in folders]
    # Where several corpora were tested, the place begins with the name of one's folder.
    places += [f / PurePosixPath(*path.parts[1:]) for f in folders if f.name == path.parts[0]]
    # os.path, since pathlib raises where a name is too long or a parent may not be searched.
    return next((p for p in places if os.path.isfile(p) and access.may_read(p)), None)


def compare(chosen: Entry | None = None) -> pd.DataFrame:
    """Return the figures of the shipped and published reports side by side.

    Parameters
    ----------
    chosen : Entry, optional
        Shown among them, if it is none of them.

    Returns
    -------
    DataFrame
        One row per report that can be read: ``key``, ``title``, ``recipe`` (or empty),
        ``speakers`` (`ser.evaluation.report.Speakers`), ``corpora``, ``n``, ``accuracy``, ``low``
        and ``high`` (its interval), ``weighted_f1``, ``uar``, ``ece``, best accuracy of each kind
        first.
    """
    shown = [e for e in entries() if e.key.startswith(("model/", "published/"))]
    if chosen is not None and chosen not in shown:
        shown.append(chosen)
    rows: list[dict[str, Any]] = []
    for entry in shown:
        report = find_report(entry.file)
        if report is None:
            continue
        low, high = report.accuracy_interval
        rows.append(
            {
                "key": entry.key,
                "title": entry.title if entry.kind == "Published" else entry.label,
                "recipe": report.recipe or "",
                "speakers": report.speakers,
                "corpora": ", ".join(report.corpora),
                "n": report.n_test,
                "low": low,
                "high": high,
                "accuracy": report.accuracy,
                "weighted_f1": report.weighted_f1,
                "uar": report.uar,
                "ece": report.ece,
            }
        )
    rows.sort(key=lambda row: (row["speakers"].difficulty, -row["accuracy"]))
    return pd.DataFrame(rows)


def settings_that_differ(first: Entry, second: Entry) -> pd.DataFrame:
    """Return the settings in which the trainings of two reports differ.

    Returns
    -------
    DataFrame
        ``setting`` and a column per report, named by its label; empty if one of them is not known.
    """
    known = [_config_of(entry) for entry in (first, second)]
    if not all(known):
        return pd.DataFrame()
    rows = [
        {"Setting": name, first.label: str(a), second.label: str(b)}
        for name in sorted(set(known[0]) | set(known[1]))
        if (a := known[0].get(name, "–")) != (b := known[1].get(name, "–"))
    ]
    return pd.DataFrame(rows)


def _config_of(entry: Entry) -> dict[str, Any]:
    """Return what a model was trained with, as flat names and values; {} if that is not known."""
    try:
        config = (
            load_report(entry.file).config or {}
            if entry.folder == REPORTS
            else read_json(entry.folder / "config.json")
        )
    except (OSError, ValueError, ReportError):
        return {}
    model = config.get("model")
    if not isinstance(model, dict):  # of an evaluation, not of a training
        return {}
    sizes = {f"model.{name}": value for name, value in model.items()}
    return {name: value for name, value in config.items() if name != "model"} | sizes


def gaps(table: pd.DataFrame) -> list[Gap]:
    """Say for each recipe what knowing the speakers is worth.

    Parameters
    ----------
    table : DataFrame
        See `compare`.
    """
    found = []
    for recipe, rows in table[table["recipe"] != ""].groupby("recipe", sort=False):
        seen, unseen = (
            rows[rows["speakers"] == speakers]
            for speakers in (Speakers.SEEN_SPEAKERS, Speakers.UNSEEN_SPEAKERS)
        )
        if len(seen) and len(unseen):
            first, second = seen.iloc[0], unseen.iloc[0]
            found.append(
                Gap(
                    recipe=str(recipe),
                    seen=float(first["accuracy"]),
                    unseen=float(second["accuracy"]),
                    clear=metrics.differ(
                        [first["accuracy"], second["accuracy"]], [first["n"], second["n"]]
                    ),
                )
            )
    return found
