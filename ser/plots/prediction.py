"""Charts of an answer: its probabilities, a timeline of them, and what moved it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ser.models.recognizer import NO_SPEECH, SURE, UNCERTAIN
from ser.plots.base import AXIS, TRAINING, VALIDATION, WIDTH, Chart, emotion_scale, sized


def probabilities(row: pd.Series, labels: Sequence[str]) -> Chart:
    """Draw the probabilities of one prediction as bars with their values.

    Parameters
    ----------
    row : Series
        A row of a table of predictions.
    labels : sequence of str
        The model's labels in order.
    """
    table = pd.DataFrame({"emotion": list(labels), "p": [float(row[la]) for la in labels]})
    base = alt.Chart(table).encode(
        y=alt.Y("emotion:N", sort=list(labels), title=None, axis=alt.Axis(labelOverlap=False)),
        x=alt.X(
            "p:Q",
            title="Probability",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%", tickCount=5),
        ),
        tooltip=[
            alt.Tooltip("emotion:N", title="Emotion"),
            alt.Tooltip("p:Q", title="Probability", format=".1%"),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=3).encode(
        color=alt.Color("emotion:N", scale=emotion_scale(labels), legend=None)
    )
    values = base.mark_text(align="left", dx=4, color="#7d8590").encode(
        text=alt.Text("p:Q", format=".0%")
    )
    return sized(alt.layer(bars, values), "", 28 * len(labels))


def timeline(
    table: pd.DataFrame, labels: Sequence[str], *, hop: float, seconds: float | None = None
) -> alt.Chart:
    """Draw the probabilities of every window of a recording over time.

    A click on a window is the selection ``window``, with its ``start``.

    Parameters
    ----------
    table : DataFrame
        As `ser.models.recognizer.Recognizer.timeline` returns it.
    labels : sequence of str
        The model's labels in order.
    hop : float
        Seconds from one window to the next: each is drawn so wide, around its middle.
    seconds : float, optional
        Length of the time axis; by default the end of the last window.
    """
    windows = table[table["verdict"] != NO_SPEECH]
    shares = windows[list(labels)].to_numpy(float)
    tops = shares.cumsum(axis=1)
    middle = ((windows["start"] + windows["end"]) / 2).to_numpy(float)
    left, right = middle - hop / 2, middle + hop / 2
    left[1:] = np.maximum(left[1:], right[:-1])  # the last window may begin less than a hop later
    each = len(labels)
    cells = pd.DataFrame(
        {
            "start": windows["start"].repeat(each).round(2).to_numpy(),
            "end": windows["end"].repeat(each).round(2).to_numpy(),
            "left": left.repeat(each).round(2),
            "right": right.repeat(each).round(2),
            "emotion": list(labels) * len(windows),
            "p": shares.round(4).ravel(),
            "bottom": (tops - shares).round(4).ravel(),
            "top": tops.round(4).ravel(),
            "verdict": windows["verdict"].repeat(each).to_numpy(),
        }
    )
    last = seconds if seconds is not None else float(table["end"].max())
    first = max(float(table["start"].min()), 0.0) if seconds is None else 0.0
    chosen = alt.selection_point(name="window", fields=["start"])
    return (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X(
                "left:Q",
                title="Time (s)",
                scale=alt.Scale(domain=[first, last], nice=False, clamp=True),
            ),
            x2="right:Q",
            y=alt.Y(
                "bottom:Q",
                title="Probability",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", minExtent=AXIS),
            ),
            y2="top:Q",
            color=alt.Color(
                "emotion:N",
                scale=emotion_scale(labels),
                sort=list(labels),
                legend=alt.Legend(orient="bottom", columns=4, title=None),
            ),
            opacity=alt.Opacity(
                "verdict:N",
                scale=alt.Scale(domain=[SURE, UNCERTAIN], range=[1, 0.4]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("start:Q", title="From (s)", format=".1f"),
                alt.Tooltip("end:Q", title="To (s)", format=".1f"),
                alt.Tooltip("emotion:N", title="Emotion"),
                alt.Tooltip("p:Q", title="Probability", format=".1%"),
                alt.Tooltip("verdict:N", title="Verdict"),
            ],
        )
        .add_params(chosen)
        .properties(
            width=WIDTH,
            height=160,
            description="Probabilities of the emotions over time, one bar per window of 3 s",
        )
    )


def why_time(time: pd.DataFrame) -> Chart:
    """Draw which part of the clip spoke for the answer, and which against it.

    Parameters
    ----------
    time : DataFrame
        See `ser.models.explanation.Explanation`.
    """
    table = time.assign(middle=(time["start"] + time["end"]) / 2)
    chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("middle:Q", title="Time in the model's 3 s (s)", scale=alt.Scale(nice=False)),
            y=alt.Y("effect:Q", title="Evidence (log-odds)"),
            color=_effect_colour(),
            tooltip=[
                alt.Tooltip("start:Q", title="From (s)", format=".2f"),
                alt.Tooltip("end:Q", title="To (s)", format=".2f"),
                alt.Tooltip("effect:Q", title="Evidence", format="+.2f"),
            ],
        )
    )
    return sized(alt.layer(chart), "Evidence over time", 140)


def why_rows(rows: pd.DataFrame, *, most: int = 12) -> Chart:
    """Draw the rows of the input that moved the answer most.

    Parameters
    ----------
    rows : DataFrame
        See `ser.models.explanation.Explanation`.
    most : int
        How many rows.
    """
    strongest = rows.loc[rows["effect"].abs().nlargest(most).index]
    chart = (
        alt.Chart(strongest.sort_values("effect", ascending=False))
        .mark_bar()
        .encode(
            x=alt.X("effect:Q", title="Evidence (log-odds)"),
            # Every row is named: Vega-Lite would leave out each second one here.
            y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelOverlap=False)),
            color=_effect_colour(),
            tooltip=[
                alt.Tooltip("name:N", title="Row"),
                alt.Tooltip("effect:Q", title="Evidence", format="+.2f"),
            ],
        )
    )
    return sized(alt.layer(chart), "Rows that moved the answer most", 18 * len(strongest))


def _effect_colour() -> Any:
    return alt.condition("datum.effect >= 0", alt.value(TRAINING), alt.value(VALIDATION))
