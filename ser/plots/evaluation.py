"""Charts of a training and of a report."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import altair as alt
import numpy as np
import pandas as pd

from ser.labels import EMOTIONS
from ser.plots.base import TRAINING, VALIDATION, WIDTH, Chart, chance_line, emotion_scale


def confusion(
    matrix: Sequence[Sequence[int]],
    labels: Sequence[str],
    *,
    rates: bool = False,
    chosen: tuple[str, str] | None = None,
) -> Chart:
    """Draw a confusion matrix; its colour is the share of the true class.

    Parameters
    ----------
    matrix : sequence of sequence of int
        Rows: truth, columns: predicted.
    labels : sequence of str
        Of rows and columns.
    rates : bool
        Write the share of the true class in per cent into the cells, instead of the number of
        clips.
    chosen : (str, str), optional
        Truth and answer of the cell to frame.  A click selects another; the selection is called
        ``cell`` and has the fields ``truth`` and ``predicted``.
    """
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    table = pd.DataFrame(
        [
            {
                "truth": t,
                "predicted": p,
                "count": int(counts[i, j]),
                "share": shares[i, j],
                "shown": f"{100 * shares[i, j]:.0f}" if rates else str(counts[i, j]),
                "chosen": (t, p) == chosen,
            }
            for i, t in enumerate(labels)
            for j, p in enumerate(labels)
        ]
    )
    base = alt.Chart(table).encode(
        x=alt.X(
            "predicted:N",
            sort=list(labels),
            title="Predicted",
            axis=alt.Axis(labelAngle=-45, labelOverlap=False),
            scale=alt.Scale(padding=0.04),
        ),
        y=alt.Y("truth:N", sort=list(labels), title="Truth", scale=alt.Scale(padding=0.04)),
        tooltip=[
            alt.Tooltip("truth:N", title="Truth"),
            alt.Tooltip("predicted:N", title="Predicted"),
            alt.Tooltip("count:Q", title="Clips"),
            alt.Tooltip("share:Q", title="Share of the true class", format=".1%"),
        ],
    )
    cells = base.mark_rect(cornerRadius=3, cursor="pointer", strokeWidth=3).encode(
        color=alt.Color(
            "share:Q", scale=alt.Scale(type="sqrt", range=_SHARES, domain=[0, 1]), legend=None
        ),
        opacity=alt.condition("datum.count > 0", alt.value(1), alt.value(0.15)),
        stroke=alt.condition("datum.chosen", alt.value(VALIDATION), alt.value("transparent")),
    )
    numbers = (
        base.transform_filter("datum.count > 0")
        .mark_text(color="white", cursor="pointer")
        .encode(text="shown:N")
    )
    cell = alt.selection_point(name="cell", fields=["truth", "predicted"], toggle=False)
    side = 46 * len(labels)
    unit = "per cent of the true emotion" if rates else "number of clips"
    return alt.layer(cells.add_params(cell), numbers).properties(
        width=side, height=0.75 * side, description=f"Confusion matrix, {unit}"
    )


def transfer(table: pd.DataFrame) -> Chart:
    """Draw which corpus teaches what about which: rows train, columns are tested.

    Parameters
    ----------
    table : DataFrame
        ``trained_on``, ``tested_on``, ``n``, ``accuracy`` with its interval ``low`` to ``high``.
    """
    tested, trained = (list(dict.fromkeys(table[c])) for c in ("tested_on", "trained_on"))
    table = table.assign(shown=[f"{100 * share:.0f}" for share in table["accuracy"]])
    base = alt.Chart(table).encode(
        x=alt.X(
            "tested_on:N",
            sort=tested,
            title="Tested on",
            axis=alt.Axis(labelAngle=-45, labelOverlap=False),
            scale=alt.Scale(padding=0.04),
        ),
        y=alt.Y("trained_on:N", sort=trained, title="Trained on", scale=alt.Scale(padding=0.04)),
        tooltip=[
            alt.Tooltip("trained_on:N", title="Trained on"),
            alt.Tooltip("tested_on:N", title="Tested on"),
            alt.Tooltip("n:Q", title="Clips"),
            alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
            alt.Tooltip("low:Q", title="95% from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
        ],
    )
    return _numbered_cells(base, "accuracy").properties(
        width=60 * len(tested),
        height=40 * len(trained),
        description="Accuracy in per cent by the corpus trained on and the corpus tested on",
    )


def _numbered_cells(base: alt.Chart, share: str) -> Chart:
    """Draw cells coloured by a share, with what is to be read in each."""
    cells = base.mark_rect(cornerRadius=3).encode(
        color=alt.Color(f"{share}:Q", scale=alt.Scale(range=_SHARES, domain=[0, 1]), legend=None)
    )
    return alt.layer(cells, base.mark_text(color="white").encode(text="shown:N"))


# White reads on all of them, and they stand out on white and on near-black.
_SHARES = ["#64748b", "#1d4ed8"]


def speakers_by_emotion(table: pd.DataFrame, *, shares: bool) -> Chart:
    """Draw a number for every speaker and emotion.

    Parameters
    ----------
    table : DataFrame
        ``speaker``, ``emotion``, ``clips``, and of shares ``value`` in [0, 1].
    shares : bool
        Whether the cells show ``value`` in per cent, or the number of clips.
    """
    emotions = [e for e in EMOTIONS if e in set(table["emotion"])]
    emotions += sorted(set(table["emotion"]) - set(emotions))
    value = table["value"] if shares else table["clips"] / max(table["clips"].max(), 1)
    shown = (100 * value).round() if shares else table["clips"]
    table = table.assign(value=value, shown=shown.astype(int).astype(str))
    base = alt.Chart(table).encode(
        x=alt.X(
            "emotion:N",
            sort=emotions,
            title=None,
            axis=alt.Axis(labelAngle=-45, labelOverlap=False, orient="top"),
            scale=alt.Scale(padding=0.04),
        ),
        y=alt.Y(
            "speaker:N",
            title=None,
            axis=alt.Axis(labelOverlap=False, labelLimit=180),
            scale=alt.Scale(padding=0.04),
        ),
        tooltip=[
            alt.Tooltip("speaker:N", title="Speaker"),
            alt.Tooltip("emotion:N", title="Emotion"),
            alt.Tooltip("clips:Q", title="Clips"),
            *([alt.Tooltip("value:Q", title="Right", format=".0%")] if shares else []),
        ],
    )
    what = "Recall in per cent" if shares else "Clips"
    return _numbered_cells(base, "value").properties(
        width=60 * len(emotions),
        height=24 * table["speaker"].nunique(),
        description=f"{what} by speaker and emotion",
    )


def recalls(table: pd.DataFrame, goal: float) -> Chart:
    """Draw the recall of every emotion with its interval, against a goal and chance.

    Parameters
    ----------
    table : DataFrame
        See `ser.evaluation.report.Report.per_class`.
    goal : float
        In [0, 1].
    """
    emotions = table["emotion"].tolist()
    base = alt.Chart(table).encode(
        y=alt.Y(
            "emotion:N",
            sort=emotions,
            title=None,
            axis=alt.Axis(labelFlush=False, labelOverlap=False),
        ),
        tooltip=[
            alt.Tooltip("emotion:N", title="Emotion"),
            alt.Tooltip("recall:Q", title="Recall", format=".1%"),
            alt.Tooltip("low:Q", title="95% from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
            alt.Tooltip("clips:Q", title="Clips"),
        ],
    )
    colour = alt.Color("emotion:N", scale=emotion_scale(emotions), legend=None)
    bars = base.mark_bar(opacity=0.45, cornerRadiusEnd=3, height={"band": 0.7}).encode(
        color=colour,
        x=alt.X(
            "recall:Q",
            title="Recall",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%"),
        ),
    )
    spread = base.mark_rule(strokeWidth=3).encode(x="low:Q", x2="high:Q", color=colour)
    line = (
        alt.Chart(pd.DataFrame({"goal": [goal]}))
        .mark_rule(color=VALIDATION, strokeDash=[4, 4], strokeWidth=2)
        .encode(x="goal:Q")
    )
    chance = 1 / len(emotions)
    return alt.layer(bars, spread, line, chance_line(chance)).properties(
        width=WIDTH,
        height=30 * len(table),
        description=f"Recall by emotion, against a goal of {goal:.0%} and chance, {chance:.1%}",
    )


def recall_pairs(table: pd.DataFrame, names: tuple[str, str]) -> Chart:
    """Draw the recalls of two reports beside each other, a row per emotion.

    Parameters
    ----------
    table : DataFrame
        See `ser.evaluation.comparison.Comparison.recalls`.
    names : tuple of str
        Of the two reports.
    """
    emotions = table["emotion"].tolist()
    rows = alt.Y("emotion:N", sort=emotions, title=None, axis=alt.Axis(labelOverlap=False))
    long = pd.concat(
        [
            table[["emotion"]].assign(recall=table[side], report=name)
            for side, name in zip(("first", "second"), names, strict=True)
        ]
    )
    lines = alt.Chart(table).mark_rule(color=_SPEAKERS[0], strokeWidth=2)
    # Colour and shape say the same, for who does not see the one.
    kinds = alt.Scale(domain=list(names), range=[TRAINING, VALIDATION])
    shapes = alt.Scale(domain=list(names), range=["circle", "triangle-up"])
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=400)
    dots = (
        alt.Chart(long)
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            y=rows,
            x=alt.X(
                "recall:Q",
                title="Recall",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%"),
            ),
            color=alt.Color("report:N", title=None, scale=kinds, legend=legend),
            shape=alt.Shape("report:N", title=None, scale=shapes, legend=legend),
            tooltip=[
                alt.Tooltip("report:N", title="Report"),
                alt.Tooltip("emotion:N", title="Emotion"),
                alt.Tooltip("recall:Q", title="Recall", format=".1%"),
            ],
        )
    )
    return alt.layer(lines.encode(y=rows, x="first:Q", x2="second:Q"), dots).properties(
        width=WIDTH,
        height=30 * len(table) + 60,
        description=f"Recall by emotion: {names[0]} and {names[1]}",
    )


def intervals(
    table: pd.DataFrame,
    column: str,
    *,
    line: float | None = None,
    chance: float | None = None,
    by: Sequence[str] = (),
    step: int = 22,
) -> Chart:
    """Draw accuracies as dots on their 95% intervals, one row under the other.

    Parameters
    ----------
    table : DataFrame
        With ``accuracy``, ``low`` and ``high`` in [0, 1], and what names a row.
    column : str
        What names a row.
    line : float, optional
        An accuracy to compare with, in [0, 1].
    chance : float, optional
        What guessing would reach, in [0, 1].
    by : sequence of str
        Values of the column ``speakers``, to colour the rows by.  Names are then broken into lines.
    step : int
        Height of a row in pixels.
    """
    used = [speakers for speakers in by if speakers in set(table["speakers"])]
    lines = [
        fill(name, _LINE, break_on_hyphens=False) if by else name
        for name in table[column].astype(str)
    ]
    base = alt.Chart(table.assign(lines=lines)).encode(
        y=alt.Y(
            "lines:N",
            sort=None,
            title=None,
            axis=alt.Axis(
                labelLimit=180,
                labelFlush=False,
                labelOverlap=False,
                labelExpr="split(datum.label, '\\n')",
            ),
        ),
        color=alt.Color(
            "speakers:N",
            title=None,
            scale=alt.Scale(domain=used, range=[_SPEAKERS[by.index(kind)] for kind in used]),
            # Close together, so that on a phone the longest word is not cut off.
            legend=alt.Legend(orient="bottom", columns=1, labelLimit=250, labelOffset=1, padding=0),
        )
        if by
        else alt.value(TRAINING),
        tooltip=[
            alt.Tooltip(f"{column}:N", title=column.capitalize()),
            alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
            alt.Tooltip("low:Q", title="95% from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
            *([alt.Tooltip("clips:Q", title="Clips")] if "clips" in table else []),
        ],
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X(
            "accuracy:Q",
            title="Accuracy",
            scale=alt.Scale(zero=False),
            # On a phone the labels would touch: nearer than this, every second one goes.
            axis=alt.Axis(format=".0%", tickCount=6, labelSeparation=12),
        )
    )
    layers = [base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"), dots]
    if line is not None:
        compared = alt.Chart(pd.DataFrame({"line": [line]})).mark_rule(
            color=VALIDATION, strokeDash=[4, 4], strokeWidth=2
        )
        layers.insert(0, compared.encode(x="line:Q"))
    if chance is not None:
        layers.insert(0, chance_line(chance))
    return alt.layer(*layers).properties(
        width=WIDTH,
        height=step * len(table) + 26 * len(used),  # the legend takes its share of the height
        description=f"Accuracy by {column}",
    )


_LINE = 32  # characters of a row's name beside a chart on a phone
# As many as `ser.evaluation.report.Speakers`.
_SPEAKERS = ["#7d8590", "#4a7fd4", "#c98500", "#d9539b"]


def reliability(table: pd.DataFrame) -> Chart:
    """Draw how often answers of each confidence were right; on the diagonal they are honest.

    Parameters
    ----------
    table : DataFrame
        See `ser.evaluation.metrics.reliability`.
    """
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


def coverage(table: pd.DataFrame) -> Chart:
    """Draw how right the answers are if only the surest share of the clips is answered.

    Parameters
    ----------
    table : DataFrame
        See `ser.evaluation.metrics.coverage`.
    """
    chart = (
        alt.Chart(table)
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
                alt.Tooltip("confidence:Q", title="Lowest confidence", format=".1%"),
            ],
        )
    )
    return alt.layer(chart).properties(
        width=WIDTH // 2 - 40, height=220, description="Accuracy against coverage"
    )


def beside(left: Chart, right: Chart) -> Chart:
    """Draw two charts side by side."""
    return alt.hconcat(left, right)


def robustness(table: pd.DataFrame, *, chance: float | None = None) -> Chart:
    """Draw the accuracy under each condition with its interval, against the clean one.

    Parameters
    ----------
    table : DataFrame
        See `ser.evaluation.report.Report.conditions`; the first row is the clean one.
    chance : float, optional
        What guessing would reach, in [0, 1].
    """
    return intervals(table, "condition", line=float(table["accuracy"].iloc[0]), chance=chance)
