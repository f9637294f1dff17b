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
    values = base.mark_text(align="left", dx=4).encode(text=alt.Text("p:Q", format=".0%"))
    return sized(alt.layer(bars, values), "", 28 * len(labels))


_CLOCK = "floor(datum.value / 60) + ':' + format(floor(datum.value % 60), '02d')"
_SHORT_CLOCK = "format(datum.value, '.1~f') + ' s'"


def time_axis(title: str, first: float, last: float) -> alt.X:
    """Return the horizontal axis of a recording: minutes and seconds, or seconds of a short one."""
    labels = _CLOCK if last - first > 20 else _SHORT_CLOCK
    return alt.X(
        "left:Q",
        title=title,
        scale=alt.Scale(domain=[first, last], nice=False, clamp=True),
        axis=alt.Axis(labelExpr=labels, tickMinStep=1 if last - first > 20 else 0.1),
    )


def timeline(
    table: pd.DataFrame, labels: Sequence[str], *, hop: float, seconds: float | None = None
) -> alt.Chart:
    """Draw the likeliest emotion of every window of a recording over time, a row per emotion.

    A click on a window is the selection ``window``, with its ``start``; the chosen one is framed.

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
    middle = ((windows["start"] + windows["end"]) / 2).to_numpy(float)
    left, right = middle - hop / 2, middle + hop / 2
    left[1:] = np.maximum(left[1:], right[:-1])  # the last window may begin less than a hop later
    shares = windows[list(labels)].to_numpy(float)
    cells = pd.DataFrame(
        {
            "start": windows["start"].round(2).to_numpy(),
            "left": left.round(2),
            "right": right.round(2),
            "from": [clock(start) for start in windows["start"]],
            "to": [clock(end) for end in windows["end"]],
            "emotion": windows["emotion"].to_numpy(),
            "p": shares.max(axis=1).round(4) if len(windows) else [],
            "verdict": windows["verdict"].to_numpy(),
        }
    )
    last = seconds if seconds is not None else float(table["end"].max())
    first = max(float(table["start"].min()), 0.0) if seconds is None else 0.0
    chosen = alt.selection_point(name="window", fields=["start"])
    return (
        alt.Chart(cells)
        .mark_rect(cursor="pointer")
        .encode(
            x=time_axis("Time", first, last),
            x2="right:Q",
            y=alt.Y(
                "emotion:N",
                title=None,
                sort=list(labels),
                scale=alt.Scale(domain=list(labels)),
                axis=alt.Axis(labelOverlap=False, minExtent=AXIS, grid=True),
            ),
            color=alt.Color("emotion:N", scale=emotion_scale(labels), legend=None),
            opacity=alt.Opacity(
                "verdict:N",
                scale=alt.Scale(domain=[SURE, UNCERTAIN], range=[1, 0.45]),
                legend=None,
            ),
            stroke=alt.condition(chosen, alt.value("#7d8590"), alt.value(None), empty=False),
            strokeWidth=alt.condition(chosen, alt.value(4), alt.value(0), empty=False),
            tooltip=[
                alt.Tooltip("from:N", title="From"),
                alt.Tooltip("to:N", title="To"),
                alt.Tooltip("emotion:N", title="Emotion"),
                alt.Tooltip("p:Q", title="Probability", format=".0%"),
                alt.Tooltip("verdict:N", title="Verdict"),
            ],
        )
        .add_params(chosen)
        .properties(
            width=WIDTH,
            height=20 * len(labels),
            description="The likeliest emotion over time, one mark per window of 3 s",
        )
    )


def clock(seconds: float) -> str:
    """Return a moment of a recording as minutes and seconds.

    Examples
    --------
    >>> clock(65.4), clock(0)
    ('1:05', '0:00')
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def why_time(time: pd.DataFrame, *, between: tuple[float, float]) -> Chart:
    """Draw which part of a recording spoke for the answer, and which against it.

    Parameters
    ----------
    time : DataFrame
        See `ser.models.explanation.Explanation`.
    between : (float, float)
        Ends of the time axis, in seconds of the recording.
    """
    table = time.assign(left=(time["start"] + time["end"]) / 2)
    chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=time_axis("Time in the recording", *between),
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
                alt.Tooltip("name:N", title="Feature"),
                alt.Tooltip("effect:Q", title="Evidence", format="+.2f"),
            ],
        )
    )
    return sized(alt.layer(chart), "Features that moved the answer most", 18 * len(strongest))


def _effect_colour() -> Any:
    return alt.condition("datum.effect >= 0", alt.value(TRAINING), alt.value(VALIDATION))
