"""What a person decided about labels: clips kept as they are, corrected, or left out.

The decisions lie beside the corpus in a CSV file: ``label-review.csv`` in its folder, or
``<name>-label-review.csv`` beside its CSV file or manifest, with the columns ``path`` (relative to
the corpus), ``emotion`` (as it was), ``decision`` (keep, correct, exclude) and ``corrected``.
Whatever reads the corpus respects them (`ser.data.corpora.scan`); the recordings stay untouched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ser.errors import DataError, OutputError
from ser.labels import EMOTIONS
from ser.utils.files import atomic_path

FILE = "label-review.csv"
KEEP, CORRECT, EXCLUDE = "keep", "correct", "exclude"
DECISIONS = (KEEP, CORRECT, EXCLUDE)
EXCLUDED = "left out in label review"
"""Why an excluded clip is not a clip of its corpus."""

_COLUMNS = ["path", "emotion", "decision", "corrected"]


@dataclass(frozen=True)
class Decision:
    """What was decided about one clip.

    Attributes
    ----------
    emotion : str
        The label it had.
    decision : str
        One of `DECISIONS`.
    corrected : str
        The label it has now, if it was corrected; else empty.
    """

    emotion: str
    decision: str
    corrected: str = ""


def review_file(location: str | Path) -> Path:
    """Return where the decisions about a corpus are kept, whether or not there are any."""
    location = Path(location)
    if location.suffix.lower() in (".csv", ".parquet") and not location.is_dir():
        return location.with_name(f"{location.stem}-{FILE}")
    return location / FILE


def read_review(location: str | Path) -> dict[str, Decision]:
    """Return the decisions about a corpus by the clips' paths relative to it; {} if none.

    Raises
    ------
    DataError
        If the file cannot be read, or a line holds no decision.
    """
    file = review_file(location)
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as decisions about labels: {error}.") from error
    if list(table.columns) != _COLUMNS:
        raise DataError(
            f"{file} has the columns {', '.join(map(str, table.columns))}; decisions about labels "
            f"have {', '.join(_COLUMNS)}. Mend it, or move it away."
        )
    found = {}
    for number, (path, emotion, decision, corrected) in enumerate(table.to_numpy().tolist(), 2):
        right = corrected in EMOTIONS if decision == CORRECT else corrected == ""
        if decision not in DECISIONS or not right:
            raise DataError(
                f"{file}, line {number}: {decision!r} with {corrected!r} is not a decision. It is "
                f"{KEEP}, {EXCLUDE}, or {CORRECT} with one of {', '.join(EMOTIONS)}."
            )
        found[path] = Decision(emotion, decision, corrected)
    return found


def decide(
    location: str | Path, path: str | Path, decision: Decision | None, *, named: str = ""
) -> None:
    """Keep a decision about a clip beside its corpus; None takes it back.

    Parameters
    ----------
    location : str or Path
        The corpus.
    path : str or Path
        The clip, in the corpus.
    decision : Decision or None
        What was decided about the label that was shown.
    named : str
        The label that name, folder or table give the clip, where a correction may have been shown.

    Raises
    ------
    DataError
        See `read_review`; or if the corpus is gone.
    OutputError
        If the corpus' folder cannot be written.
    """
    file = review_file(location)
    if not file.parent.is_dir():
        raise DataError(f"{location} is gone, so nothing can be decided about its labels.")
    review = read_review(location)
    place = place_of(path, location)
    review.pop(place, None)
    if decision is not None:
        review[place] = _about(named or decision.emotion, decision)
    rows = [(name, d.emotion, d.decision, d.corrected) for name, d in sorted(review.items())]
    try:
        with atomic_path(file) as temporary:
            pd.DataFrame(rows, columns=_COLUMNS).to_csv(temporary, index=False)
    except OutputError as error:
        raise OutputError(f"{error} Decisions about labels are kept beside the corpus.") from error


def _about(named: str, decision: Decision) -> Decision:
    """Return a decision about a shown label as one about the label that the clip's name says."""
    if decision.emotion == named or decision.decision == EXCLUDE:
        return replace(decision, emotion=named)
    wanted = decision.corrected or decision.emotion
    return Decision(named, KEEP) if wanted == named else Decision(named, CORRECT, wanted)


def place_of(path: str | Path, location: str | Path) -> str:
    """Return a clip's path relative to its corpus, or whole if it lies elsewhere."""
    base = review_file(location).parent.absolute()
    path = Path(path).absolute()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()


def reviewed(
    clips: pd.DataFrame, skipped: pd.DataFrame, location: str | Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Apply what was decided about a corpus to its clips.

    A decision about a clip whose label has changed since is not about this label, and is passed
    over.

    Returns
    -------
    clips, skipped : DataFrame
        Of `ser.data.corpora.Corpus`: corrected clips with the corrected emotion, excluded ones
        among what is skipped.

    Raises
    ------
    DataError
        See `read_review`.
    """
    review = read_review(location)
    skipped = skipped[skipped["path"] != str(review_file(location))].reset_index(drop=True)
    if not review:
        return clips, skipped
    decisions = [review.get(place_of(path, location)) for path in clips["path"]]
    valid = [
        decision if decision and decision.emotion == emotion else None
        for decision, emotion in zip(decisions, clips["emotion"], strict=True)
    ]
    emotions = [
        decision.corrected if decision and decision.corrected else emotion
        for decision, emotion in zip(valid, clips["emotion"], strict=True)
    ]
    # A table may list a clip twice, with what two people heard: it is left out as a whole.
    excluded = {p for p, d in zip(clips["path"], valid, strict=True) if d and d.decision == EXCLUDE}
    kept = ~clips["path"].isin(excluded)
    out = pd.DataFrame({"path": clips.loc[~kept, "path"], "reason": EXCLUDED}, dtype=str)
    changed = clips.assign(emotion=pd.Series(emotions, index=clips.index, dtype="str"))
    return (
        changed[kept].reset_index(drop=True),
        pd.concat([skipped, out], ignore_index=True),
    )


def counts(location: str | Path) -> dict[str, int]:
    """Return how many clips of a corpus were decided about, by decision; {} without a review."""
    made = [decision.decision for decision in read_review(location).values()]
    return {name: made.count(name) for name in DECISIONS} if made else {}
