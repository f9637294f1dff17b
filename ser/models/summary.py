"""What a long recording comes to: how much of it was which emotion, and where it was most agitated.

How agitated a window is, is the probability of the emotions of high arousal together (Russell 1980,
*A circumplex model of affect*).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.audio import CLIP_SECONDS
from ser.models.recognizer import NO_SPEECH, SURE

AROUSED = ("happy", "angry", "fearful", "surprised")
"""Emotions of high arousal."""

_STRETCHES = ((180.0, 60.0), (30.0, 10.0))  # of a recording so long, parts so long are compared


@dataclass(frozen=True)
class Stretch:
    """A part of a recording.

    Attributes
    ----------
    start, end : float
        In seconds.
    agitated : float
        Mean probability of the emotions of high arousal, in [0, 1].
    """

    start: float
    end: float
    agitated: float


@dataclass(frozen=True)
class Summary:
    """What a timeline comes to.

    Attributes
    ----------
    shares : Series of float
        Share of the spoken windows by their likeliest emotion, largest first; sums to 1.
    sure : float
        Share of the spoken windows with a sure answer.
    spoken : float
        Share of all windows in which somebody speaks.
    calmest, most_agitated : Stretch or None
        None for a recording shorter than 30 s, or labels that say nothing about arousal.
    """

    shares: pd.Series
    sure: float
    spoken: float
    calmest: Stretch | None
    most_agitated: Stretch | None


def summarise(table: pd.DataFrame, labels: Sequence[str]) -> Summary:
    """Sum up a timeline.

    Parameters
    ----------
    table : DataFrame
        As `ser.models.recognizer.Recognizer.timeline` returns it.
    labels : sequence of str
        The model's labels.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"start": [0.0, 1.0, 2.0, 3.0], "end": [3.0, 4.0, 5.0, 6.0]}
    ...     | {"emotion": ["sad", "angry", "sad", None], "angry": [0.2, 0.9, 0.3, np.nan]}
    ...     | {"sad": [0.8, 0.1, 0.7, np.nan], "verdict": ["sure", "sure", "sure", "no speech"]}
    ... )
    >>> found = summarise(table, ["sad", "angry"])
    >>> found.shares.round(2).to_dict(), found.sure, found.spoken, found.calmest
    ({'sad': 0.67, 'angry': 0.33}, 1.0, 0.75, None)
    """
    spoken = table[table["verdict"] != NO_SPEECH]
    shares = spoken["emotion"].value_counts(normalize=True)
    calmest, most_agitated = _extremes(spoken, float(table["end"].max()), labels)
    return Summary(
        shares=shares[shares > 0],
        sure=float((spoken["verdict"] == SURE).mean()) if len(spoken) else 0.0,
        spoken=len(spoken) / len(table),
        calmest=calmest,
        most_agitated=most_agitated,
    )


def _extremes(
    spoken: pd.DataFrame, seconds: float, labels: Sequence[str]
) -> tuple[Stretch | None, Stretch | None]:
    aroused = [label for label in labels if label in AROUSED]
    length = next((part for least, part in _STRETCHES if seconds >= least), None)
    if length is None or spoken.empty or not aroused or len(aroused) == len(labels):
        return None, None
    middle = ((spoken["start"] + spoken["end"]) / 2).to_numpy(float)
    agitated = spoken[aroused].sum(axis=1).to_numpy(float)
    found = []
    for start in np.arange(0.0, seconds - length + 0.5, CLIP_SECONDS):
        inside = (middle >= start) & (middle < start + length)
        if inside.sum() >= length / 4:  # of a pause nothing can be said
            found.append(Stretch(float(start), start + length, float(agitated[inside].mean())))
    if len(found) < 2:
        return None, None
    by = sorted(found, key=lambda stretch: stretch.agitated)
    return by[0], by[-1]
