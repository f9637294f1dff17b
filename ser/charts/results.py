"""Charts of a training and of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ser.charts.base import TRAINING, VALIDATION, WIDTH, Chart, sized


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Chart:
    """Draw a confusion matrix: counts as numbers, the share of each true class as colour."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    table = pd.DataFrame(
        [
            {"truth": t, "predicted": p, "count": int(counts[i, j]), "share": shares[i, j]}
            for i, t in enumerate(labels)
            for j, p in enumerate(labels)
        ]
    )
    base = alt.Chart(table).encode(
        x=alt.X("predicted:N", sort=list(labels), title="Predicted"),
        y=alt.Y("truth:N", sort=list(labels), title="Truth"),
        tooltip=[
            alt.Tooltip("truth:N", title="Truth"),
            alt.Tooltip("predicted:N", title="Predicted"),
            alt.Tooltip("count:Q", title="Clips"),
            alt.Tooltip("share:Q", title="Share of the class", format=".1%"),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title="Share of the true class",
            scale=alt.Scale(scheme="blues", domain=[0, 1]),
            legend=alt.Legend(format=".0%"),
        )
    )
    numbers = base.mark_text().encode(
        text="count:Q",
        color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("#1b2430")),
    )
    side = 46 * len(labels)
    return alt.layer(cells, numbers).properties(width=side, height=0.75 * side)


def reliability(rows: Sequence[dict[str, float]]) -> Chart:
    """Draw how often answers of each confidence were right; on the diagonal they are honest.

    Parameters
    ----------
    rows : sequence of dict
        See `ser.evaluation.reliability`.
    """
    table = pd.DataFrame(list(rows))
    share = alt.Scale(domain=[0, 1])
    bars = (
        alt.Chart(table)
        .mark_rect(color=TRAINING, stroke="white")
        .encode(
            x=alt.X("low:Q", title="Confidence", scale=share, axis=alt.Axis(format=".0%")),
            x2="high:Q",
            y=alt.Y("accuracy:Q", title="Accuracy", scale=share, axis=alt.Axis(format=".0%")),
            y2=alt.datum(0),
            opacity=alt.Opacity("n:Q", legend=None, scale=alt.Scale(range=[0.35, 1])),
            tooltip=[
                alt.Tooltip("confidence:Q", title="Mean confidence", format=".1%"),
                alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
                alt.Tooltip("n:Q", title="Clips"),
            ],
        )
    )
    honest = (
        alt.Chart(pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]}))
        .mark_line(color=VALIDATION, strokeDash=[4, 4])
        .encode(x="x:Q", y="y:Q")
    )
    return alt.layer(bars, honest).properties(
        width=WIDTH // 2 - 40, height=220, description="Accuracy against confidence"
    )


def coverage(rows: Sequence[dict[str, float]]) -> Chart:
    """Draw how right the answers are if only the surest share of the clips is answered.

    Parameters
    ----------
    rows : sequence of dict
        See `ser.evaluation.coverage`.
    """
    chart = (
        alt.Chart(pd.DataFrame(list(rows)))
        .mark_line(color=TRAINING, point=True)
        .encode(
            x=alt.X(
                "coverage:Q",
                title="Clips answered, surest first",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%"),
            ),
            y=alt.Y(
                "accuracy:Q",
                title="Accuracy on them",
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format=".0%"),
            ),
            tooltip=[
                alt.Tooltip("coverage:Q", title="Clips answered", format=".0%"),
                alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
                alt.Tooltip("confidence:Q", title="Least confidence", format=".1%"),
            ],
        )
    )
    return alt.layer(chart).properties(
        width=WIDTH // 2 - 40, height=220, description="Accuracy against coverage"
    )


def beside(left: Chart, right: Chart) -> Chart:
    """Draw two charts side by side."""
    return alt.hconcat(left, right)


def robustness(rows: Sequence[dict[str, Any]]) -> Chart:
    """Draw the accuracy under each condition with its interval, against the clean one.

    Parameters
    ----------
    rows : sequence of dict
        See `ser.robustness.measure`; the first is the clean one.
    """
    table = pd.DataFrame(
        [r | dict(zip(("low", "high"), r["accuracy_interval"], strict=True)) for r in rows]
    )
    base = alt.Chart(table).encode(y=alt.Y("condition:N", sort=None, title=None))
    dots = base.mark_point(filled=True, size=60, color=TRAINING).encode(
        x=alt.X(
            "accuracy:Q", title="Accuracy", scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%")
        ),
        tooltip=[
            alt.Tooltip("condition:N", title="Condition"),
            alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
            alt.Tooltip("uar:Q", title="UAR", format=".1%"),
            alt.Tooltip("uncertain:Q", title="Uncertain", format=".1%"),
        ],
    )
    intervals = base.mark_rule(color=TRAINING).encode(x="low:Q", x2="high:Q")
    clean = alt.Chart(table.head(1)).mark_rule(color=VALIDATION, strokeDash=[4, 4])
    return sized(alt.layer(clean.encode(x="accuracy:Q"), intervals, dots), "", 22 * len(table))
