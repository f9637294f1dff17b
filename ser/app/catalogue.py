"""Every report at hand: of the shipped model, of the app's runs, made in the app, and published.

An `Entry` only says where a report is expected; `ser.evaluation.report.load_report` reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from ser import assets, audio
from ser.app import evaluations, workspace
from ser.errors import ReportError, RunError
from ser.evaluation import report, tables
from ser.models import bundle
from ser.training.runs import Run, Status
from ser.utils.files import read_json

REPORTS = assets.REPORTS
"""The published reports."""

_TITLES = {
    "quick": "Quick preset, random split",
    "seed-7": "Full preset, another random split (seed 7)",
    "seed-2024": "Full preset, another random split (seed 2024)",
    "speakers-quick": "Quick preset, unseen actors",
    "speakers": "Preset for unseen speakers, unseen actors",
    "luna-jimenez": "Preset for unseen speakers, speech only, folds of Luna-Jiménez",
    "kfold-speech-quick": "Quick preset, speech only, random folds",
    "kfold-speech": "Three networks and 60 epochs, speech only, random folds",
    "emodb": "Shipped model, EMO-DB (German)",
    "samples": "Shipped model, synthetic samples",
}
# The two reports of one recipe differ in the protocol only, so their gap is that of the protocol.
_RECIPES = {
    "quick": "quick preset",
    "speakers-quick": "quick preset",
}
SEEN_CLIPS, SEEN_SPEAKERS = "clips it was trained on", "voices it knows"
UNSEEN_SPEAKERS, OTHER_CORPUS = "voices it never heard", "another corpus"
SPEAKER_KINDS = (SEEN_CLIPS, SEEN_SPEAKERS, UNSEEN_SPEAKERS, OTHER_CORPUS)
"""Who speaks in the clips of a test, from the easiest to the hardest."""
_PROTOCOL_VOICES = {
    "random": SEEN_SPEAKERS,
    "kfold-speech": SEEN_SPEAKERS,
    "unseen-speakers": UNSEEN_SPEAKERS,
    "luna-jimenez": UNSEEN_SPEAKERS,
}


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
    folder : Path
        Where it lies, with the run or bundle it belongs to.
    name : str
        File name of the report, which a run that is not finished does not have yet.
    """

    key: str
    kind: str
    title: str
    folder: Path
    name: str = "report.json"

    @property
    def label(self) -> str:
        """Kind and title."""
        return f"{self.kind}: {self.title}"

    @property
    def file(self) -> Path:
        """The report."""
        return self.folder / self.name


@dataclass(frozen=True)
class Gap:
    """What one recipe reaches on voices it knows, and on voices it never heard.

    Attributes
    ----------
    recipe : str
        In words.
    heard, unseen : float
        Accuracies in [0, 1].
    clear : bool
        Whether they differ by more than chance explains, see `ser.evaluation.tables.differ`.
    """

    recipe: str
    heard: float
    unseen: float
    clear: bool


def entries() -> list[Entry]:
    """Return the shipped models, the app's runs and evaluations, then what is published."""
    shipped = [
        Entry(f"model/{folder.name}", "Shipped model", folder.name, folder)
        for folder in bundle.find_bundles(assets.MODELS)
    ]
    own = {run.folder for run in workspace.runs()} | set(bundle.find_bundles(workspace.folder()))
    runs = [Entry(f"run/{folder.name}", "Run", folder.name, folder) for folder in sorted(own)]
    made = [
        Entry(f"evaluation/{run.folder.name}", "Evaluation", run.folder.name, run.folder)
        for run in evaluations.find_evaluations()
        if (run.folder / "report.json").is_file()
    ]
    published = [
        Entry(
            f"published/{file.stem}",
            "Published",
            _TITLES.get(file.stem, file.stem),
            REPORTS,
            file.name,
        )
        for file in sorted(REPORTS.glob("*.json"))
    ]
    return [*shipped, *runs, *made, *published]


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
        if isinstance(data, str):
            # The shipped model's is relative to the project.
            named = [assets.ROOT / data]
    found = [*named, *workspace.corpora(), assets.SAMPLES]
    return list(dict.fromkeys(path for path in found if _is_corpus(path)))


def _is_corpus(path: Path) -> bool:
    return os.path.isdir(path) or (path.suffix.lower() == ".csv" and os.path.isfile(path))


def find_clip(file: str, corpora: Iterable[Path]) -> Path | None:
    """Return the first clip of this name, or None.

    Parameters
    ----------
    file : str
        As predictions name it: relative to the folder of the corpus.  A report may come from
        anyone, so a name that leads out of the folder, or is no audio file, is never found.
    corpora : iterable of Path
        Where to look: folders, or CSV files in them.
    """
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in audio.EXTENSIONS:
        return None
    places = ((c if os.path.isdir(c) else c.parent) / path for c in corpora)
    # os.path, since pathlib raises where a name is too long or a parent may not be searched.
    return next((place for place in places if os.path.isfile(place)), None)


def compare(chosen: Entry | None = None) -> pd.DataFrame:
    """Return the figures of the shipped and published reports side by side.

    Parameters
    ----------
    chosen : Entry, optional
        Shown among them, if it is none of them.

    Returns
    -------
    DataFrame
        One row per report that can be read: ``key``, ``title``, ``recipe`` (or empty), ``voices``
        (one of `SPEAKER_KINDS`), ``corpora``, ``n``, ``accuracy``, ``low`` and ``high``
        (its interval), ``weighted_f1``, ``uar``, ``ece``, best accuracy of each kind first.
    """
    shown = [e for e in entries() if e.key.startswith(("model/", "published/"))]
    if chosen is not None and chosen not in shown:
        shown.append(chosen)
    rows = []
    for entry in shown:
        found = report.read_report(entry.folder, entry.name)
        if found is None:
            continue
        low, high = found["accuracy_interval"]
        rows.append(
            {
                "key": entry.key,
                "title": entry.title if entry.kind == "Published" else entry.label,
                "recipe": _RECIPES.get(_stem(entry), ""),
                "voices": _voices(found),
                "corpora": ", ".join(found["corpora"]),
                "n": found["n_test"],
                "low": low,
                "high": high,
                **{key: found[key] for key in ("accuracy", "weighted_f1", "uar", "ece")},
            }
        )
    rows.sort(key=lambda row: (SPEAKER_KINDS.index(row["voices"]), -row["accuracy"]))
    return pd.DataFrame(rows)


def gaps(table: pd.DataFrame) -> list[Gap]:
    """Say for each recipe what knowing the voices is worth.

    Parameters
    ----------
    table : DataFrame
        See `compare`.
    """
    found = []
    for recipe, rows in table[table["recipe"] != ""].groupby("recipe", sort=False):
        heard, unseen = (
            rows[rows["voices"] == voices] for voices in (SEEN_SPEAKERS, UNSEEN_SPEAKERS)
        )
        if len(heard) and len(unseen):
            first, second = heard.iloc[0], unseen.iloc[0]
            found.append(
                Gap(
                    recipe=str(recipe),
                    heard=float(first["accuracy"]),
                    unseen=float(second["accuracy"]),
                    clear=tables.differ(
                        [first["accuracy"], second["accuracy"]], [first["n"], second["n"]]
                    ),
                )
            )
    return found


def _stem(entry: Entry) -> str:
    kind, name = entry.key.split("/", 1)
    return name if kind in ("model", "published") else ""


def _voices(found: dict[str, Any]) -> str:
    if found.get("n_seen_in_training"):
        return SEEN_CLIPS
    if (
        "not trained on" in found["protocol_in_words"]
    ):  # see `ser.evaluation.report.evaluate_corpus`
        return OTHER_CORPUS
    return _PROTOCOL_VOICES.get(found["protocol"], OTHER_CORPUS)
