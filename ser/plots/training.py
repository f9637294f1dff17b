"""Charts of trainings: how figures change from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from ser.labels import EMOTIONS
from ser.plots.base import TRAINING, VALIDATION, WIDTH, Chart, chance_line

TITLES = {
    "accuracy": ("Accuracy", ".0%"),
    "loss": ("Loss (cross-entropy)", ".2f"),
    "learning_rate": ("Learning rate", ".4f"),
    "seconds": ("Time per epoch (s)", ".1f"),
}
"""What can be drawn over the epochs, with its title and number format."""

RUNS = ("#4a7fd4", "#c98500", "#2f9e77", "#b8549b", "#7d8590", "#c2543f", "#6a5fc7", "#5f8f2a")
"""One colour per run of a comparison; none of them is an emotion's here, since no emotion is."""

_HEIGHT = 220
_EPOCHS = alt.X(
    "epoch:Q",
    title="Epoch",
    axis=alt.Axis(tickMinStep=1, format="d"),
    scale=alt.Scale(zero=False, nice=False),
)


def curves(epochs: Sequence[dict[str, Any]]) -> Chart:
    """Draw accuracy and loss over the epochs side by side, training and validation in each.

    Parameters
    ----------
    epochs : sequence of dict
        Records of ``epochs.jsonl``, at least one.
    """
    table = pd.DataFrame(list(epochs))
    return alt.hconcat(curve(table, "accuracy"), curve(table, "loss"))


def curve(epochs: pd.DataFrame, figure: str, *, best: int | None = None) -> Chart:
    """Draw one figure over the epochs, for the validation clips as well where there is one.

    Parameters
    ----------
    epochs : DataFrame
        Records of ``epochs.jsonl``, at least one.
    figure : {'accuracy', 'loss', 'learning_rate', 'seconds'}
        What is drawn.
    best : int, optional
        An epoch to mark.
    """
    title, number = TITLES[figure]
    names = {figure: "training", f"val_{figure}": "validation"}
    long = epochs.rename(columns=names).melt(
        "epoch", [name for name in names.values() if name in epochs.rename(columns=names)], "part"
    )
    both = long["part"].nunique() > 1
    lines = (
        alt.Chart(long)
        .mark_line(point=len(epochs) < 3)
        .encode(
            x=_EPOCHS,
            y=alt.Y(
                "value:Q", title=title, axis=alt.Axis(format=number), scale=alt.Scale(zero=False)
            ),
            color=alt.Color(
                "part:N",
                title=None,
                scale=alt.Scale(domain=["training", "validation"], range=[TRAINING, VALIDATION]),
                legend=alt.Legend(orient="top") if both else None,
            ),
            tooltip=[
                alt.Tooltip("epoch:Q", title="Epoch"),
                *([alt.Tooltip("part:N", title="Clips")] if both else []),
                alt.Tooltip("value:Q", title=title, format=".4f"),
            ],
        )
    )
    layers = [lines]
    if best is not None:
        rule = alt.Chart(pd.DataFrame({"epoch": [best]})).mark_rule(
            color=VALIDATION, strokeDash=[4, 4]
        )
        layers.append(rule.encode(x="epoch:Q"))
    return alt.layer(*layers).properties(width=WIDTH // 2 - 40, height=_HEIGHT)


def comparison(runs: Mapping[str, pd.DataFrame], figure: str) -> Chart:
    """Draw one figure on the validation clips of several runs, a colour for each.

    Parameters
    ----------
    runs : mapping of str to DataFrame
        The records of each run by its name.
    figure : {'accuracy', 'loss'}
        What is drawn.
    """
    title, number = TITLES[figure]
    table = pd.concat(
        [
            pd.DataFrame({"run": name, "epoch": epochs["epoch"], "value": epochs[f"val_{figure}"]})
            for name, epochs in runs.items()
        ],
        ignore_index=True,
    )
    few = table["epoch"].max() < 3
    lines = (
        alt.Chart(table)
        .mark_line(point=bool(few))
        .encode(
            x=_EPOCHS,
            y=alt.Y(
                "value:Q",
                title=f"Validation {title[0].lower()}{title[1:]}",
                axis=alt.Axis(format=number),
                scale=alt.Scale(zero=False),
            ),
            color=_colours(runs),
            tooltip=[
                alt.Tooltip("run:N", title="Run"),
                alt.Tooltip("epoch:Q", title="Epoch"),
                alt.Tooltip("value:Q", title=title, format=".4f"),
            ],
        )
    )
    return alt.layer(lines).properties(width=WIDTH // 2 - 40, height=_HEIGHT)


def recall_comparison(runs: Mapping[str, pd.DataFrame]) -> Chart:
    """Draw the recall of every emotion in several runs, bars side by side with their intervals.

    Parameters
    ----------
    runs : mapping of str to DataFrame
        Of each run by its name, see `ser.evaluation.report.Report.per_class`.
    """
    table = pd.concat([each.assign(run=name) for name, each in runs.items()], ignore_index=True)
    base = alt.Chart(table).encode(
        x=alt.X(
            "emotion:N",
            sort=list(EMOTIONS),
            title=None,
            axis=alt.Axis(labelAngle=-40, labelOverlap=False),  # on a phone as well
        ),
        xOffset=alt.XOffset("run:N", sort=list(runs)),
        color=_colours(runs),
        tooltip=[
            alt.Tooltip("run:N", title="Run"),
            alt.Tooltip("emotion:N", title="Emotion"),
            alt.Tooltip("recall:Q", title="Recall", format=".1%"),
            alt.Tooltip("low:Q", title="95% from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
        ],
    )
    bars = base.mark_bar(opacity=0.45, cornerRadiusEnd=2).encode(
        y=alt.Y(
            "recall:Q",
            title="Recall",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%"),
        )
    )
    spread = base.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q")
    chance = 1 / table["emotion"].nunique()
    return alt.layer(bars, spread, chance_line(chance, axis="y")).properties(
        width=WIDTH,
        height=_HEIGHT,
        description=f"Recall by emotion in {len(runs)} runs, and chance, {chance:.1%}",
    )


def _colours(runs: Mapping[str, pd.DataFrame]) -> alt.Color:
    """Return a colour for each run, the same in every chart of them."""
    colours = [RUNS[i % len(RUNS)] for i in range(len(runs))]
    return alt.Color(
        "run:N",
        title=None,
        scale=alt.Scale(domain=list(runs), range=colours),
        legend=alt.Legend(orient="top", columns=2, labelLimit=160),
    )
