"""What a test of a model found: figures, and every prediction they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, model_validator

from ser.evaluation import metrics
from ser.evaluation.few_shot_report import Adaptation
from ser.evaluation.figures import (
    ConditionFigures,
    Count,
    CoveragePoint,
    Figures,
    Fold,
    FoldAverages,
    Record,
    RejectionFigures,
    Share,
    StoredRecord,
    Transfer,
    as_table,
)
from ser.models.recognizer import SURE
from ser.utils.files import atomic_path, json_text

GOAL = 0.75
"""What every emotion's recall should reach."""

_LARGEST = 1e300
_AT_ONCE = 1000  # predictions that are written together


class Speakers(StrEnum):
    """Who speaks in the clips of a test, from the easiest to the hardest."""

    SEEN_CLIPS = "seen-clips"
    SEEN_SPEAKERS = "seen-speakers"
    UNSEEN_SPEAKERS = "unseen-speakers"
    OTHER_CORPUS = "other-corpus"

    @property
    def words(self) -> str:
        """What people call it."""
        return _SPEAKERS_IN_WORDS[self]

    @property
    def difficulty(self) -> int:
        """Its place in this list."""
        return list(Speakers).index(self)


_SPEAKERS_IN_WORDS = {
    Speakers.SEEN_CLIPS: "clips it was trained on",
    Speakers.SEEN_SPEAKERS: "speakers seen in training",
    Speakers.UNSEEN_SPEAKERS: "unseen speakers",
    Speakers.OTHER_CORPUS: "another corpus",
}

_PROTOCOLS = {
    "random": (
        Speakers.SEEN_SPEAKERS,
        "a random fifth of the clips, stratified by emotion; the same speakers are in "
        "training and test",
    ),
    "unseen-speakers": (
        Speakers.UNSEEN_SPEAKERS,
        "clips of speakers who were never seen in training",
    ),
    "luna-jimenez": (
        Speakers.UNSEEN_SPEAKERS,
        "speech of actors who were never seen in training, in the five folds of Luna-Jiménez et "
        "al. 2021",
    ),
    "corpora": (
        Speakers.OTHER_CORPUS,
        "speech of a corpus that was not in training, each corpus by a model of the others",
    ),
    "kfold-speech": (
        Speakers.SEEN_SPEAKERS,
        "speech clips in random folds, stratified by emotion; the same actors are in "
        "training and test",
    ),
    "all": (Speakers.OTHER_CORPUS, "every clip of the corpus"),
    "few-shot": (
        Speakers.SEEN_SPEAKERS,
        "recordings, each answered by what was learned from the others",
    ),
}
_RANDOM_ELSEWHERE = (
    "a random fifth of the clips, stratified by emotion, of a corpus that the model "
    "was not trained on (protocol all tests on every clip)"
)


def speakers_of(protocol: str) -> Speakers:
    """Return who speaks in the test clips of a protocol, if the model has seen none of the clips.

    For ``random`` and the like, the model must have been trained on the rest of the same corpus.

    Examples
    --------
    >>> speakers_of("luna-jimenez").words
    'unseen speakers'
    """
    return _PROTOCOLS[protocol][0]


def _check_protocol(protocol: str) -> str:
    if protocol not in _PROTOCOLS:
        raise ValueError(f"{protocol!r} is none of {', '.join(_PROTOCOLS)}")
    return protocol


def _read_table(value: Any) -> pd.DataFrame:
    """Return predictions as a table, rounded to 5 digits, or from what a file holds of one.

    Raises
    ------
    ValueError
        If it is no table whose columns hold texts or numbers.
    """
    if isinstance(value, pd.DataFrame):
        return value.round(5)
    if not isinstance(value, dict) or set(value) != {"columns", "rows"}:
        raise ValueError("predictions are no table of columns and rows")
    columns, rows = value["columns"], value["rows"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise ValueError("the columns of the predictions have no names")
    if len(set(columns)) < len(columns):
        raise ValueError("a column of the predictions occurs twice")
    if not isinstance(rows, list) or any(
        not isinstance(row, list) or len(row) != len(columns) for row in rows
    ):
        raise ValueError("predictions: rows are missing or have the wrong length")
    for column, cells in zip(columns, zip(*rows, strict=True), strict=False):
        if not all(isinstance(cell, str) for cell in cells) and not all(map(_is_number, cells)):
            raise ValueError(f"predictions: {column} holds more than texts or numbers alone")
    return pd.DataFrame(rows, columns=columns)


def _rows(table: pd.DataFrame) -> list[list[Any]]:
    """Return the rows of a table as what JSON can hold."""
    return table.astype(object).to_numpy().tolist()


def _as_json(table: pd.DataFrame) -> dict[str, Any]:
    return {"columns": list(table), "rows": _rows(table)}


Predictions = Annotated[pd.DataFrame, PlainValidator(_read_table), PlainSerializer(_as_json)]
"""A table of predictions, which a file holds as its ``columns`` and its ``rows``."""


class Origin(StoredRecord):
    """What was tested, and how.

    Attributes
    ----------
    title : str
        Its name for people.
    recipe : str, optional
        How the model was made, in a few words: reports of one recipe differ in the protocol only,
        so the gap between their figures is that of the protocol.
    protocol : str
        How the test clips were chosen: ``random``, ``unseen-speakers``, ``luna-jimenez``,
        ``kfold-speech``, ``all``, or ``few-shot`` for an adapted model.
    speakers : Speakers
        Who speaks in the test clips.
    seed : int, optional
        Of the split, if there was one.
    corpora : list of str
        What was tested on.
    model, model_sha256 : str, optional
        What was tested; a cross-validation has a model per fold.
    temperature, min_confidence : float, optional
        Of the model, see `ser.models.bundle.Manifest`.
    n_seen_in_training : int, optional
        How many of the test clips the model was trained or calibrated on.
    n_train, n_validation : int, optional
        Clips that trained and calibrated the model.
    refit : bool
        Whether it was trained anew on the validation clips as well.
    config : dict, optional
        The training configuration that all folds of a cross-validation share.
    """

    title: Annotated[str, Field(min_length=1)]
    recipe: str | None = None
    protocol: Annotated[str, AfterValidator(_check_protocol)]
    speakers: Speakers
    seed: int | None = None
    corpora: list[str]
    model: str | None = None
    model_sha256: str | None = None
    temperature: float | None = None
    min_confidence: Share | None = None
    n_seen_in_training: Count | None = None
    n_train: Count | None = None
    n_validation: Count | None = None
    refit: bool = False
    config: dict[str, Any] | None = None

    @property
    def protocol_in_words(self) -> str:
        """How the test clips were chosen, for people."""
        if self.protocol == "random" and self.speakers is Speakers.OTHER_CORPUS:
            return _RANDOM_ELSEWHERE
        return _PROTOCOLS[self.protocol][1]


class LabelReview(Record):
    """How many labels of the corpora a person has decided about, see `ser.data.label_review`."""

    keep: Count = 0
    correct: Count = 0
    exclude: Count = 0

    def __str__(self) -> str:
        """Say it in a sentence."""
        return (
            f"Labels were reviewed by ear: {self.keep} kept, {self.correct} corrected, "
            f"{self.exclude} clips left out (label-review.csv)."
        )


@dataclass(frozen=True)
class SureAnswers:
    """What a model said without a doubt: the figure to trust it by.

    Attributes
    ----------
    n, right, of : int
        Sure answers, those of them that are right, and all answers.
    clips : int
        How many different clips the sure answers are about.
    """

    n: int
    right: int
    of: int
    clips: int

    @property
    def accuracy(self) -> float | None:
        """Share of the sure answers that are right; None without any."""
        return self.right / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval (Wilson)."""
        share = self.right / max(self.n, 1)
        return metrics.wilson_interval(share * self.clips, self.clips)

    def __str__(self) -> str:
        """Say it in a sentence."""
        words = f"{self.n} of {self.of} answers are sure"
        if self.accuracy is None:
            return words
        low, high = self.interval
        return (
            f"{words}; {100 * self.accuracy:.1f} % of these are right ({100 * low:.1f} % to "
            f"{100 * high:.1f} %)"
        )


class Report(Figures, Origin):
    """What a test of a model found.

    Its figures are those of its predictions, which is checked wherever it comes from.  It has the
    attributes of `Origin` and of `ser.evaluation.figures.Figures` (accuracy, uar, …), and these:

    Attributes
    ----------
    n_uncertain : int, optional
        How many got an uncertain answer; they count as answered all the same.
    training_seconds : float, optional
        How long the epochs took.
    folds, mean, std : optional
        Figures of each fold of a cross-validation, or of each seed of a study, their mean and
        standard deviation.
    transfer : tuple of Transfer
        Which corpus teaches what about which; of the protocol ``corpora``.
    robustness, rejection : optional
        See `ser.evaluation.robustness`.
    label_review : LabelReview, optional
        What a person decided about the labels of the corpora, whichever part was tested.
    adaptation : Adaptation, optional
        What an adapted model was before and is after learning.
    versions : dict of str to str
        Of Python and the libraries that made it; empty in older reports.
    predictions : DataFrame
        One row per clip: file, start and end (s), ``emotion`` (predicted), ``verdict``,
        ``truth``, what is known of the clip, and one column of probabilities per label.

    Examples
    --------
    >>> from ser import assets
    >>> report = Report.load(assets.REPORTS / "samples.json")
    >>> report.title, report.n_test, round(report.accuracy, 3)
    ('Model everyday, synthetic samples (made to be recognised)', 120, 0.817)
    >>> report.per_class()[["emotion", "recall", "clips"]].head(2)
       emotion  recall  clips
    0  neutral   0.875      8
    1     calm   1.000     16
    """

    n_uncertain: Count | None = None
    training_seconds: Annotated[float, Field(ge=0)] | None = None
    folds: tuple[Fold, ...] = ()
    mean: FoldAverages | None = None
    std: FoldAverages | None = None
    transfer: tuple[Transfer, ...] = ()
    robustness: tuple[ConditionFigures, ...] = ()
    rejection: tuple[RejectionFigures, ...] = ()
    label_review: LabelReview | None = None
    adaptation: Adaptation | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    predictions: Predictions

    def save(self, file: str | Path) -> None:
        """Write the report as JSON, atomically; see `StoredRecord.save`.

        Predictions are written a thousand at a time: there may be very many.
        """
        table = self.predictions
        empty = self.model_copy(update={"predictions": table.iloc[:0]}).to_json()
        before, after = json_text(empty).rsplit("[]", 1)
        with atomic_path(file) as temporary, temporary.open("w", encoding="utf-8") as out:
            out.write(before)
            for start in range(0, len(table), _AT_ONCE):
                rows = json_text(_rows(table.iloc[start : start + _AT_ONCE]))
                out.write((", " if start else "[") + rows[1:-1])
            out.write(f"]{after}\n")

    def __eq__(self, other: object) -> bool:
        """Say whether both would be the same file."""
        return isinstance(other, Report) and self.to_json() == other.to_json()

    @property
    def command(self) -> str:
        """The command that makes such a report again, for who has the corpora; or empty.

        Examples
        --------
        >>> from ser import assets
        >>> print(Report.load(assets.REPORTS / "luna-jimenez.json").command)
        ser crossval --config REPORT.json --data path/to/ravdess --out runs/again
        """
        if self.adaptation is not None:
            return ""
        data = " ".join(f"--data path/to/{'-'.join(name.split())}" for name in self.corpora)
        if listened := re.search(r"after (\d+|ten) unlabelled clips", self.title):
            data += f" --listen {listened[1].replace('ten', '10')}"
        if self.training_seconds is not None:
            config = f"path/to/{self.model}" if self.config is None else "REPORT.json"
            return f"ser train --config {config} {data} --out runs/again"
        if self.config is not None:
            seeds = f" --seeds {len(self.folds)}" if self.part == "seed" else ""
            return f"ser crossval --config REPORT.json {data}{seeds} --out runs/again"
        if self.model is None:  # of a cross-validation of an older version
            return ""
        seed = "" if self.seed is None else f" --seed {self.seed}"
        some = f" --emotions {','.join(self.labels)}" if ", possible: " in self.title else ""
        more = " --robustness" if self.robustness else ""
        return (
            f"ser evaluate path/to/{self.model} {data} --protocol {self.protocol}{seed}{some}{more}"
        )

    @property
    def headline(self) -> float:
        """The accuracy, of a cross-validation the mean over its folds, which count alike."""
        return self.accuracy if self.mean is None else self.mean.accuracy

    @property
    def n_clips(self) -> int:
        """How many different clips were tested: with several seeds some come again."""
        return self._count_clips(self.predictions)

    def sure_answers(self) -> SureAnswers:
        """Return how many answers were sure, and how often these were right.

        Examples
        --------
        >>> from ser import assets
        >>> print(Report.load(assets.REPORTS / "samples.json").sure_answers())
        15 of 120 answers are sure; 100.0 % of these are right (79.6 % to 100.0 %)
        """
        sure = self.predictions[self.predictions["verdict"] == SURE]
        right = int((sure["emotion"] == sure["truth"]).sum())
        return SureAnswers(n=len(sure), right=right, of=self.n_test, clips=self._count_clips(sure))

    def _count_clips(self, rows: pd.DataFrame) -> int:
        """Return how many clips rows of predictions are of: with other seeds, some come again."""
        if self.part != "seed":
            return len(rows)
        return len(rows[["corpus", "file"]].drop_duplicates())

    def per_class(self) -> pd.DataFrame:
        """Return the classification report.

        Returns
        -------
        DataFrame
            One row per emotion that occurs: ``emotion``, ``precision``, ``recall`` with its 95 %
            interval ``low`` to ``high`` (Wilson), ``f1``, ``clips``, and the ``answer`` it was
            most often mistaken for, or empty.
        """
        rows = []
        for emotion, values in self.classes.items():
            total = self._count_clips(self.predictions[self.predictions["truth"] == emotion])
            low, high = metrics.wilson_interval(values.recall * total, total)
            counts = zip(self.labels, self._answers(emotion), strict=True)
            wrong = {answer: n for answer, n in counts if answer != emotion and n}
            rows.append(
                {
                    "emotion": emotion,
                    "precision": values.precision,
                    "recall": values.recall,
                    "low": low,
                    "high": high,
                    "f1": values.f1,
                    "clips": total,
                    "answer": max(wrong, key=lambda a: wrong[a], default=""),
                }
            )
        return pd.DataFrame(rows)

    def _answers(self, truth: str) -> list[int]:
        return self.confusion_matrix[self.labels.index(truth)]

    def confusion(self) -> pd.DataFrame:
        """Return the confusion matrix with its labels; rows: truth, columns: predicted."""
        return pd.DataFrame(
            self.confusion_matrix, pd.Index(self.labels, name="truth"), columns=self.labels
        )

    def commonest_mistake(self) -> tuple[str, str]:
        """Return the (truth, answer) that was mixed up most often, or the first label right."""
        counts = np.array(self.confusion_matrix)
        np.fill_diagonal(counts, 0)
        i, j = np.unravel_index(counts.argmax(), counts.shape)
        return self.labels[i], self.labels[j]

    def clips(self, truth: str, answer: str) -> pd.DataFrame:
        """Return the predictions in one cell of the confusion matrix, the surest first.

        Returns
        -------
        DataFrame
            As `predictions`, with the ``probability`` of the answer.
        """
        table = self.predictions
        table = table[(table["truth"] == truth) & (table["emotion"] == answer)]
        table = table.assign(probability=table[answer])
        return table.sort_values("probability", ascending=False, ignore_index=True)

    def groups(self) -> dict[str, pd.DataFrame]:
        """Return the figures of every group that has at least two members.

        Returns
        -------
        dict of str to DataFrame
            By ``gender``, ``channel``, ``intensity`` and ``speaker``, as far as the corpus knows
            them: ``group``, ``clips``, ``accuracy`` with its 95 % interval ``low`` to ``high``,
            and ``uar``.
        """
        tables = {}
        for name in ("gender", "channel", "intensity", "speaker"):
            members = self.by.get(name, {})
            if len(members) > 1:
                table = as_table(list(members.values())).rename(columns={"n": "clips"})
                rows = [self.predictions[self.predictions[name] == member] for member in members]
                table["clips"] = [self._count_clips(each) for each in rows]
                called = self._speaker_names() if name == "speaker" else {}
                table.insert(0, "group", [called.get(member, member) for member in members])
                tables[name] = table
        return tables

    def by_speaker_and_emotion(self) -> pd.DataFrame:
        """Return how often each speaker's clips of each emotion are answered rightly.

        Returns
        -------
        DataFrame
            ``speaker``, ``emotion``, ``clips`` and ``value`` (recall in [0, 1]); empty if less than
            two speakers are known.
        """
        table = self.predictions
        known = table[table["speaker"].fillna("") != ""]
        if known["speaker"].nunique() < 2:
            return pd.DataFrame()
        right = known.assign(right=known["emotion"] == known["truth"])
        cells = right.groupby(["speaker", "truth"])["right"].agg(["size", "mean"]).reset_index()
        cells.columns = pd.Index(["speaker", "emotion", "clips", "value"])
        return cells.assign(speaker=cells["speaker"].replace(self._speaker_names()))

    def _speaker_names(self) -> dict[str, str]:
        """Say of which corpus a speaker is, where there are several and the name does not."""
        if len(self.corpora) < 2:
            return {}
        pairs = self.predictions[["speaker", "corpus"]].dropna().drop_duplicates()
        one = pairs.drop_duplicates("speaker", keep=False)  # who is called so in one corpus alone
        return {
            speaker: f"{corpus} {speaker}"
            for speaker, corpus in zip(one["speaker"], one["corpus"], strict=True)
            if speaker and not speaker.startswith(corpus)
        }

    def conditions(self) -> pd.DataFrame:
        """Return the robustness table; empty if it was not measured.

        Returns
        -------
        DataFrame
            One row per condition, clean first: ``condition`` (for people), ``clips``,
            ``accuracy`` with its 95 % interval ``low`` to ``high``, ``uar``, ``ece`` and
            ``uncertain``, the share of clips without a sure answer.
        """
        if not self.robustness:
            return pd.DataFrame()
        table = as_table(self.robustness).rename(columns={"n": "clips"})
        table["condition"] = [row.label for row in self.robustness]
        columns = ("condition", "clips", "accuracy", "low", "high", "uar", "ece", "uncertain")
        return table[list(columns)]

    @property
    def surer_half(self) -> CoveragePoint:
        """How right the answers are on the half of the clips the model is surest of."""
        return min(self.coverage, key=lambda point: abs(point.coverage - 0.5))

    def sounds(self) -> pd.DataFrame:
        """Return the answers to non-speech, see `ser.evaluation.figures.RejectionFigures`."""
        return as_table(self.rejection)

    @property
    def part(self) -> str:
        """What the runs of a study are called: ``fold`` or ``seed``."""
        return "seed" if self.folds and self.folds[0].seed is not None else "fold"

    def by_fold(self) -> pd.DataFrame:
        """Return the figures of each run of a cross-validation or study; empty if it is none.

        Returns
        -------
        DataFrame
            ``fold`` (its number, corpus or seed), ``clips``, ``accuracy`` with its 95 % interval
            ``low`` to ``high`` (Wilson), ``uar``, ``weighted_f1`` and ``ece``.
        """
        rows = []
        for fold in self.folds:
            right = round(fold.accuracy * fold.n_test)
            low, high = metrics.wilson_interval(right, fold.n_test)
            values = fold.model_dump(include={"accuracy", "uar", "weighted_f1", "ece"})
            rows.append(
                {"fold": fold.label, "clips": fold.n_test, "low": low, "high": high} | values
            )
        return pd.DataFrame(rows)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.folds and (self.mean is None or self.std is None):
            raise ValueError("folds without their mean and std")
        if bool(self.robustness) != bool(self.rejection):
            raise ValueError("robustness and rejection belong together")
        if bool(self.n_seen_in_training) != (self.speakers is Speakers.SEEN_CLIPS):
            raise ValueError(
                f"n_seen_in_training is {self.n_seen_in_training} but speakers {self.speakers}"
            )
        self._check_predictions()
        return self

    def _check_predictions(self) -> None:
        """Refuse figures that are not those of the predictions.

        Raises
        ------
        ValueError
            Saying what in a report of the right form cannot be true.
        """
        labels, table = self.labels, self.predictions
        needed = ["file", "start", "end", "emotion", "verdict", "truth", "speaker", "corpus"]
        needed += [*labels, *self.by]
        if missing := [column for column in needed if column not in table]:
            raise ValueError(f"predictions have no column {missing[0]}")
        if len(set(labels)) < len(labels):
            raise ValueError("a label occurs twice")
        if len(table) != self.n_test:
            raise ValueError("predictions: rows are missing")
        if table.isna().any(axis=None):
            raise ValueError("predictions: a cell is empty")
        for column in table:
            number = is_numeric_dtype(table[column])
            if number != (column in ("start", "end", "fold", *labels)):
                word = "text" if number else "number"
                raise ValueError(f"predictions: {column} holds something that is not a {word}")
        truth, answers = (
            pd.Index(labels).get_indexer(pd.Index(table[name].astype(str)))
            for name in ("truth", "emotion")
        )
        if min(truth.min(), answers.min()) < 0:
            raise ValueError("predictions name something that is not a label")
        matrix = metrics.count_answers(truth, answers, len(labels))
        if matrix.tolist() != self.confusion_matrix:
            raise ValueError("the confusion matrix is not that of the predictions")
        if not set(self.classes) <= set(labels):
            raise ValueError("per_class names something that is not a label")
        if abs(np.trace(matrix) / self.n_test - self.accuracy) > 1e-9:
            raise ValueError("the accuracy is not that of the predictions")


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and -_LARGEST < cell < _LARGEST


def on_unseen_speakers(reports: Iterable[Report]) -> Report | None:
    """Return the report that says best what to expect for a voice that is not in the corpus.

    Of those on unseen speakers it is the one of the most clips, and of those the most accurate
    one, since that is the recipe one would use.
    """
    unseen = [report for report in reports if report.speakers is Speakers.UNSEEN_SPEAKERS]
    return max(unseen, key=lambda report: (report.n_test, report.accuracy), default=None)
