"""What is on record of a test, as types: figures in [0, 1], checked wherever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ser.errors import ReportError
from ser.utils.files import write_json
from ser.utils.validation import first_problem

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(ge=1)]
Interval = tuple[Share, Share]


class Record(BaseModel):
    """Something on record: never changed, and nothing in it that is not declared."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    def to_json(self) -> dict[str, Any]:
        """Return the values as what JSON can hold; what is not known or not there is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


class StoredRecord(Record):
    """A record with a file of its own."""

    @classmethod
    def load(cls, file: str | Path) -> Self:
        """Read a record that may come from anyone: it has all parts, and they fit each other.

        Parameters
        ----------
        file : str or Path
            As `save` writes it.

        Raises
        ------
        ReportError
            If there is none, or it is damaged, or contradicts itself.
        """
        try:
            # Strict: a number in quotation marks is none.
            return cls.model_validate_json(Path(file).read_bytes(), strict=True)
        except FileNotFoundError:
            raise ReportError(f"There is no report at {file}.") from None
        except OSError as error:
            raise ReportError(f"{file} cannot be read: {error}. Copy or make it again.") from error
        except ValidationError as error:
            raise ReportError(
                f"{file} is not a report of this program ({first_problem(error)}). Make it again."
            ) from error

    @classmethod
    def find(cls, file: str | Path) -> Self | None:
        """Return the record in a file as `load` does, or None if there is none that can be read."""
        try:
            return cls.load(file)
        except ReportError:
            return None

    def save(self, file: str | Path) -> None:
        """Write the record as JSON, atomically.

        Parameters
        ----------
        file : str or Path
            The file to write.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_json(file, self.to_json(), indent=None)


def as_table(rows: Sequence[Record]) -> pd.DataFrame:
    """Return records of one kind as a table, one row for each; an interval becomes two columns.

    Returns
    -------
    DataFrame
        A column per field; of ``accuracy_interval`` the bounds are called ``low`` and ``high``.
    """
    table = pd.DataFrame([row.model_dump() for row in rows])
    if "accuracy_interval" in table:
        table["low"], table["high"] = zip(*table.pop("accuracy_interval"), strict=True)
    return table


class ClassFigures(Record):
    """How one emotion was recognised, in ``support`` clips of it."""

    precision: Share
    recall: Share
    f1: Share
    support: Some


class GroupFigures(Record):
    """How the clips of one group were answered, such as those of one speaker."""

    n: Count
    accuracy: Share
    accuracy_interval: Interval
    uar: Share


class Transfer(GroupFigures):
    """How a model of one corpus, or of all others, answers the clips of a corpus.

    On the corpus it was trained on itself, these are clips of speakers it has not seen.
    """

    trained_on: str
    tested_on: str


class ReliabilityBin(Record):
    """Answers whose confidence lies from ``low`` to ``high``: its mean, and how many were right."""

    low: Share
    high: Share
    n: Count
    confidence: Share
    accuracy: Share


class CoveragePoint(Record):
    """The surest answers, a share ``coverage`` of all: how right, and how sure at least."""

    coverage: Share
    accuracy: Share
    confidence: Share


class Figures(Record):
    """What predictions are worth, see `ser.evaluation.metrics.evaluate`.

    Attributes
    ----------
    n_test : int
        How many clips were tested.
    accuracy, weighted_f1, macro_f1, uar : float
        In [0, 1], each with a 95 % interval; ``uar`` is the unweighted average recall.  Averages
        are over the labels that occur in the truth.
    ece : float
        Expected calibration error, in [0, 1].
    reliability, coverage : list
        See the functions of those names in `ser.evaluation.metrics`.
    classes : dict
        Of every label that occurs in the truth; called ``per_class`` in a file.
    confusion_matrix : list of list of int
        Rows: truth, columns: predicted.
    labels : list of str
        The model's labels in order, which are those of the matrix.
    by : dict
        For each kind of group (gender, channel, intensity, speaker) the figures of its members.
    """

    n_test: Some
    accuracy: Share
    accuracy_interval: Interval
    weighted_f1: Share
    weighted_f1_interval: Interval
    macro_f1: Share
    macro_f1_interval: Interval
    uar: Share
    uar_interval: Interval
    ece: Share
    reliability: Annotated[list[ReliabilityBin], Field(min_length=1)]
    coverage: Annotated[list[CoveragePoint], Field(min_length=1)]
    classes: Annotated[dict[str, ClassFigures], Field(min_length=1, alias="per_class")]
    confusion_matrix: list[list[Count]]
    labels: Annotated[list[str], Field(min_length=1)]
    by: dict[str, dict[str, GroupFigures]]


class Fold(Record):
    """The figures of one fold of a cross-validation, or of one seed, counted from 1.

    Where every fold tests another corpus, ``corpus`` names it; where every run has another seed,
    ``seed`` is that.
    """

    fold: int
    corpus: str = ""
    seed: int | None = None
    n_test: Some
    accuracy: Share
    uar: Share
    weighted_f1: Share
    ece: Share

    @property
    def label(self) -> str:
        """What people call it."""
        return self.corpus or str(self.fold if self.seed is None else self.seed)


class FoldAverages(Record):
    """The mean of the folds' figures, or their standard deviation."""

    accuracy: Share
    uar: Share
    weighted_f1: Share
    ece: Share


# What can happen to a clip, for people, and the parameter that says how much.
_CONDITIONS = {
    "clean": ("clean", None),
    "gain": ("gain {:+g} dB", "gain_db"),
    "random-offset": ("random offset", None),
    "silence-around": ("silence around", None),
    "white-noise": ("white noise, {:g} dB", "snr_db"),
    "babble": ("babble, {:g} dB", "snr_db"),
    "room": ("room, RT60 {:g} s", "rt60"),
    "telephone": ("telephone, 8 kHz", None),
    "mp3": ("MP3, 64 kbit/s", None),
}


class Condition(Record):
    """What happens to a clip on its way to the model, see `ser.evaluation.robustness`.

    Attributes
    ----------
    kind : str
        What happens.
    gain_db : float, optional
        How much louder a ``gain`` makes it, in dB.
    snr_db : float, optional
        How far ``white-noise`` or ``babble`` lies below the speech, in dB.
    rt60 : float, optional
        In how many seconds a ``room`` falls by 60 dB.

    Examples
    --------
    >>> Condition(kind="babble", snr_db=20).label
    'babble, 20 dB'
    >>> Condition(kind="gain", gain_db=-10).label
    'gain −10 dB'
    """

    kind: Literal[
        "clean",
        "gain",
        "random-offset",
        "silence-around",
        "white-noise",
        "babble",
        "room",
        "telephone",
        "mp3",
    ]
    gain_db: float | None = None
    snr_db: float | None = None
    rt60: float | None = None

    @model_validator(mode="after")
    def _has_its_parameter(self) -> Self:
        needed = _CONDITIONS[self.kind][1]
        for name in ("gain_db", "snr_db", "rt60"):
            if (getattr(self, name) is not None) != (name == needed):
                raise ValueError(f"{self.kind} {'needs' if name == needed else 'has no'} {name}")
        return self

    @property
    def label(self) -> str:
        """Its name for people."""
        words, parameter = _CONDITIONS[self.kind]
        if parameter is None:
            return words
        return words.format(getattr(self, parameter)).replace("-", "\N{MINUS SIGN}")


class ConditionFigures(Condition):
    """How the test clips were answered under a condition.

    ``uncertain`` is the share of clips that got no sure answer.
    """

    n: Count
    accuracy: Share
    accuracy_interval: Interval
    uar: Share
    ece: Share
    uncertain: Share


class RejectionFigures(Record):
    """How sounds without speech were answered.

    Attributes
    ----------
    kind : str
        Of sound.
    like_training : bool
        Whether training sees sounds of this kind.
    n, sure : int
        How many there were, and how many of them got a sure answer.
    confidence : float or None
        The mean of the largest probability of those that are not silent, if one is not.
    """

    kind: str
    like_training: bool
    n: Count
    sure: Count
    confidence: Share | None = None
