"""What adapting a model to speakers gave, on record and in words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ser.evaluation.figures import Count, Interval, Record, Share, Some, StoredRecord

_WORTHWHILE = 0.05  # what twice the recordings must bring


class CurvePoint(Record):
    """How right a model is that learned so many recordings per emotion; 0: as it was."""

    recordings: Count
    accuracy: Share


class RecordingFigures(Record):
    """How recordings were answered; rows of the confusion matrix: truth, columns: answer."""

    right: Count
    accuracy: Share
    accuracy_interval: Interval
    uar: Share
    confusion_matrix: list[list[Count]]

    @property
    def in_words(self) -> str:
        """How many were right, with the interval of their share."""
        low, high = self.accuracy_interval
        return f"{self.right} ({self.accuracy:.0%}; 95 %: {low:.0%} to {high:.0%})"


class Adaptation(StoredRecord):
    """What learning recordings gave a model, each left out in turn of what is learned.

    Attributes
    ----------
    n : int
        How many recordings there are.
    recordings : dict of str to int
        How many of each of the model's labels.
    speakers : list of str
        Who speaks in them.
    n_seen_in_training : int
        How many of them the model had been trained on before.
    before, after : RecordingFigures
        Of the model as it was, and as it is when it has learned the other recordings.
    labels : list of str
        Of the confusion matrices.
    curve : list of CurvePoint
        See `ser.evaluation.few_shot.learning_curve`.
    """

    n: Some
    recordings: dict[str, Count]
    speakers: list[str]
    n_seen_in_training: Count
    before: RecordingFigures
    after: RecordingFigures
    labels: list[str]
    curve: list[CurvePoint]

    @property
    def sentence(self) -> str:
        """What was gained, for people."""
        return (
            f"Of {self.n} recordings it named {self.before.in_words} rightly before, and names "
            f"{self.after.in_words} now, when each is answered by what was learned from the others."
        )

    @property
    def advice(self) -> str:
        """What further recordings would give, as far as those at hand can tell, for people."""
        learned = [point for point in self.curve if point.recordings > 0]
        if len(learned) < 2:
            most = max(self.recordings.values())
            return (
                "Whether more recordings would help cannot be known yet: that takes three or more "
                f"of every emotion ({most} at most so far)."
            )
        last = learned[-1]
        earlier = [p for p in learned[:-1] if p.recordings <= max(last.recordings / 2, 1)][-1]
        measured = (
            f"learning from {earlier.recordings} recordings per emotion it was right on "
            f"{earlier.accuracy:.0%} of the others, from {last.recordings} on {last.accuracy:.0%}"
        )
        if last.accuracy - earlier.accuracy >= _WORTHWHILE:
            return (
                f"More recordings would probably help: {measured}. Twice as many may bring as much "
                "again at best."
            )
        return f"More recordings of this kind would hardly help: {measured}."

    @property
    def notes(self) -> list[str]:
        """What limits these figures, for people."""
        notes = []
        if missing := [label for label in self.labels if not self.recordings.get(label)]:
            notes.append(
                f"There is no recording of {', '.join(missing)}: there it relies on what it knew, "
                "moved to this voice, and is right less often than with recordings."
            )
        if len(self.speakers) > 1:
            notes.append(
                f"The recordings are of {len(self.speakers)} speakers; each would gain more from a "
                "model adapted to that voice alone."
            )
        if self.n_seen_in_training:
            notes.append(
                f"{self.n_seen_in_training} of the recordings were seen in training already, so "
                "the figure before learning looks better than it should."
            )
        return notes


class Rates(Record):
    """Accuracy and unweighted average recall of one speaker, the means over draws."""

    accuracy: Share
    uar: Share


class MeanRates(Rates):
    """Means over speakers, with 95 % intervals from resampling speakers; None for one speaker."""

    accuracy_interval: Interval | None = None
    uar_interval: Interval | None = None


class Gain(Record):
    """What adaptation added to the mean over speakers."""

    accuracy: Annotated[float, Field(ge=-1, le=1)]
    uar: Annotated[float, Field(ge=-1, le=1)]


class SpeakerRates(Record):
    """One speaker of ``n`` clips, and how many were ``learned`` and ``tested`` on average."""

    speaker: str
    n: Some
    learned: Annotated[float, Field(ge=0)]
    tested: Annotated[float, Field(ge=0)]
    before: Rates
    after: Rates


class LeftOut(Record):
    """A speaker who could not be tested, and why."""

    speaker: str
    reason: str


class FewShotReport(StoredRecord):
    """What adapting a model to each speaker of a corpus gives, see `ser.evaluation.few_shot.study`.

    Attributes
    ----------
    shots : int
        How many recordings per emotion were learned, where there were enough.
    repeats : int
        How often, with other recordings.
    seed : int
        Of the draws.
    corpora : list of str
        What was tested on.
    model, model_sha256 : str
        What was adapted.
    n_clips, n_seen_in_training : int
        Clips of the corpus, and how many of them the model was trained on.
    before, after : MeanRates
        Of the model as it was, and adapted.
    gain : Gain
        The difference.
    speakers : list of SpeakerRates
        The same for each.
    left_out : list of LeftOut
        Who could not be tested.
    """

    protocol: Literal["few-shot"]
    shots: Some
    repeats: Some
    seed: Count
    corpora: list[str]
    model: str
    model_sha256: str
    n_clips: Some
    n_seen_in_training: Count
    before: MeanRates
    after: MeanRates
    gain: Gain
    speakers: Annotated[list[SpeakerRates], Field(min_length=1)]
    left_out: list[LeftOut]

    @property
    def protocol_in_words(self) -> str:
        """How it was tested, for people."""
        return (
            f"for every speaker {self.shots} recordings per emotion are learned (fewer where fewer "
            f"would leave none to test) and all others tested, {self.repeats} times with other "
            "recordings"
        )
