"""Charts of a person's own recordings, and of what a model learned from them."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ser.plots.base import TRAINING, VALIDATION, Chart, emotion_scale, sized


def recordings_per_emotion(table: pd.DataFrame, wanted: int) -> Chart:
    """Draw how many takes there are of every emotion, against how many are wanted.

    Parameters
    ----------
    table : DataFrame
        Columns ``emotion`` and ``recordings``, in the order to draw.
    wanted : int
        Per emotion.
    """
    emotions = table["emotion"].tolist()
    most = max(int(table["recordings"].max()), wanted)
    bars = (
        alt.Chart(table)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            y=alt.Y("emotion:N", sort=emotions, title=None, axis=alt.Axis(labelOverlap=False)),
            x=alt.X(
                "recordings:Q",
                title="Recordings",
                scale=alt.Scale(domain=[0, most]),
                axis=alt.Axis(tickMinStep=1, format="d"),
            ),
            color=alt.Color("emotion:N", scale=emotion_scale(emotions), legend=None),
            tooltip=[
                alt.Tooltip("emotion:N", title="Emotion"),
                alt.Tooltip("recordings:Q", title="Recordings"),
            ],
        )
    )
    goal = (
        alt.Chart(pd.DataFrame({"wanted": [wanted]}))
        .mark_rule(color=VALIDATION, strokeDash=[4, 4])
        .encode(x="wanted:Q", tooltip=[alt.Tooltip("wanted:Q", title="Wanted")])
    )
    return sized(alt.layer(bars, goal), "", 22 * len(emotions))


def learning_curve(curve: pd.DataFrame) -> Chart:
    """Draw how right a model was after learning so many recordings per emotion.

    Parameters
    ----------
    curve : DataFrame
        ``recordings`` and ``accuracy``, see `ser.evaluation.few_shot.learning_curve`.
    """
    chart = (
        alt.Chart(curve)
        .mark_line(color=TRAINING, point=True)
        .encode(
            x=alt.X(
                "recordings:Q",
                title="Recordings learned per emotion",
                axis=alt.Axis(tickMinStep=1, format="d"),
            ),
            y=alt.Y(
                "accuracy:Q",
                title="Right on the other recordings",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%"),
            ),
            tooltip=[
                alt.Tooltip("recordings:Q", title="Recordings per emotion"),
                alt.Tooltip("accuracy:Q", title="Right", format=".0%"),
            ],
        )
    )
    return sized(alt.layer(chart), "", 180)
