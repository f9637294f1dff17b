"""Charts of a whole corpus: how many clips of what, how long and loud, and what they sound like."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.audio.features import SPECTRAL, SpectralFeatures
from ser.labels import EMOTIONS
from ser.plots.base import TRAINING, Chart, emotion_scale, sized
from ser.plots.clip import mel_axis
from ser.plots.heatmaps import heatmap

UNKNOWN = "unknown"
"""What is said of a clip whose corpus does not know it."""


def clips_per_emotion(clips: pd.DataFrame, *, by: str | None = None) -> tuple[Chart, pd.DataFrame]:
    """Draw how many clips each emotion has.

    Parameters
    ----------
    clips : DataFrame
        With ``emotion``.
    by : str, optional
        A column whose values part the bars, such as ``gender``.

    Returns
    -------
    chart
    DataFrame
        Its numbers: a row per emotion, a column per group.
    """
    group = "clips" if by is None else by
    if by is None:
        counts = clips["emotion"].value_counts().to_frame("all")
    else:
        counts = clips.groupby(["emotion", by], observed=True).size().unstack(fill_value=0)
        counts = counts.rename(columns=lambda value: str(value) or UNKNOWN)
    counts.columns = pd.Index(counts.columns.astype(str))
    counts.index = counts.index.astype(str)
    counts = counts.reindex([e for e in EMOTIONS if e in counts.index and counts.loc[e].any()])
    counts = counts[sorted(counts.columns)]
    groups = list(counts.columns)
    long = counts.rename_axis("emotion").reset_index().melt("emotion", groups, group, "count")
    bars = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=alt.X("count:Q", title="Clips", axis=alt.Axis(tickCount=5, tickMinStep=1)),
            y=alt.Y(
                "emotion:N",
                sort=list(EMOTIONS),
                title=None,
                axis=alt.Axis(labelOverlap=False),
            ),
            color=alt.Color("emotion:N", scale=emotion_scale(EMOTIONS), legend=None),
            opacity=alt.Opacity(
                f"{group}:N",
                title=None,
                scale=alt.Scale(domain=groups, range=_shades(len(groups))),
                legend=alt.Legend(orient="top", symbolType="square", symbolFillColor=TRAINING)
                if by
                else None,
            ),
            order=alt.Order(f"{group}:N"),
            tooltip=[
                alt.Tooltip("emotion:N", title="Emotion"),
                *([alt.Tooltip(f"{group}:N", title=group.capitalize())] if by else []),
                alt.Tooltip("count:Q", title="Clips"),
            ],
        )
    )
    said = "Clips per emotion: " + ", ".join(f"{e} {n}" for e, n in counts.sum(axis=1).items())
    chart = sized(alt.layer(bars), "", 28 * len(counts)).properties(description=said)
    return chart, counts.reset_index()


def _shades(count: int) -> list[float]:
    return [1.0] if count == 1 else list(np.linspace(1, 0.35, count).round(2))


def histogram(
    values: npt.ArrayLike, *, title: str, unit: str, bins: int = 30
) -> tuple[Chart, pd.DataFrame]:
    """Draw how numbers are spread; only the counts travel to the browser.

    Parameters
    ----------
    values : array_like of float
        At least one.
    title, unit : str
        Of the horizontal axis.
    bins : int
        Bars.

    Returns
    -------
    chart
    DataFrame
        Its numbers: ``from``, ``to`` and ``clips`` of each bar.
    """
    numbers = np.asarray(values, float)
    counts, edges = np.histogram(numbers, bins=bins)
    table = pd.DataFrame({"from": edges[:-1].round(2), "to": edges[1:].round(2), "clips": counts})
    bars = (
        alt.Chart(table)
        .mark_bar(color=TRAINING, binSpacing=1)
        .encode(
            x=alt.X(
                "from:Q",
                bin="binned",
                title=f"{title} ({unit})",
                scale=alt.Scale(zero=False, nice=False),
            ),
            x2="to:Q",
            y=alt.Y("clips:Q", title="Clips", axis=alt.Axis(tickMinStep=1)),
            tooltip=[
                alt.Tooltip("from:Q", title=f"From ({unit})", format=".2f"),
                alt.Tooltip("to:Q", title=f"To ({unit})", format=".2f"),
                alt.Tooltip("clips:Q", title="Clips"),
            ],
        )
    )
    low, middle, high = np.quantile(numbers, [0.05, 0.5, 0.95])
    said = f"{title}: median {middle:.1f} {unit}, mostly {low:.1f} to {high:.1f} {unit}"
    return sized(alt.layer(bars), "", 180).properties(description=said), table


def average_spectrograms(
    means: npt.NDArray[np.floating],
    counts: Sequence[int] | npt.NDArray[np.integer],
    *,
    extractor: SpectralFeatures = SPECTRAL,
) -> dict[str, Chart]:
    """Draw the mean log-mel of each emotion that has clips, all on one scale of colours.

    Parameters
    ----------
    means : ndarray, shape (emotions, bands, frames)
        In dB, in the order of `ser.labels.EMOTIONS`, see `ser.data.projections.Summary`.
    counts : sequence of int
        Clips of each.
    extractor : SpectralFeatures
        For the axes.
    """
    there = [i for i, count in enumerate(counts) if count]
    shown = means[there]
    # The middle 98%: the few darkest cells would cost the rest its colours.
    low, high = (float(v) for v in np.quantile(shown, [0.01, 0.99]))
    return {
        EMOTIONS[i]: heatmap(
            means[i],
            title=f"{EMOTIONS[i]}, {counts[i]} clip{'s' if counts[i] > 1 else ''}",
            rows="Mel band (Hz)",
            unit="dB",
            domain=(round(low), round(high)),
            extractor=extractor,
            height=150,
            **mel_axis(len(means[i]), extractor),
        )
        for i in there
    }


_SHAPES = (
    *("circle", "square", "triangle-up", "triangle-down", "diamond", "cross"),
    *("triangle-left", "triangle-right"),
)


OTHERS = "others"
"""What is said of a clip whose group is not among those with a colour of their own."""


def few_groups(values: pd.Series) -> pd.Series:
    """Return names of groups as a map can tell them apart: the seven largest, and `OTHERS`.

    Examples
    --------
    >>> list(few_groups(pd.Series(["b", "a", "", "a"])))
    ['b', 'a', 'unknown', 'a']
    """
    names = values.astype(str).replace("", UNKNOWN)
    counts = names.value_counts()
    if len(counts) <= len(_SHAPES):
        return names
    return names.where(names.isin(counts.index[: len(_SHAPES) - 1]), OTHERS)


def clip_map(points: pd.DataFrame, *, axes: tuple[str, str], by: str = "emotion") -> alt.Chart:
    """Draw a map of clips; the wheel zooms, shift and drag move it.

    A click on a point is the selection ``clip``, what is dragged over is the selection ``area``.

    Parameters
    ----------
    points : DataFrame
        ``x``, ``y``, ``emotion``, ``speaker``, ``name`` and ``clip``, a number that names the clip,
        and `by` if it is another column.
    axes : (str, str)
        Titles of the axes.
    by : str
        The column that colours the points; it has eight values or fewer, see `few_groups`.
    """
    chosen = alt.selection_point(name="clip", fields=["clip"], on="click", clear="dblclick")
    drag = "[pointerdown[{}event.shiftKey], window:pointerup] > window:pointermove!"
    area = alt.selection_interval(name="area", on=drag.format("!"), zoom=False)
    view = alt.selection_interval(name="view", bind="scales", translate=drag.format(""))
    present = sorted(set(points[by]))
    known = [emotion for emotion in EMOTIONS if emotion in present]
    labels = known + [label for label in present if label not in known]
    shapes = [_SHAPES[EMOTIONS.index(la)] for la in known]
    shapes += [shape for shape in _SHAPES if shape not in shapes][: len(labels) - len(known)]
    legend = alt.Legend(orient="bottom", columns=4, title=None)
    return (
        alt.Chart(points)
        .mark_point(size=36, filled=True)
        .encode(
            x=alt.X("x:Q", title=axes[0], scale=alt.Scale(zero=False, padding=8)),
            y=alt.Y("y:Q", title=axes[1], scale=alt.Scale(zero=False, padding=8)),
            color=alt.Color(f"{by}:N", scale=emotion_scale(labels), sort=labels, legend=legend),
            # A shape as well: colour alone would leave out who cannot tell colours apart.
            shape=alt.Shape(
                f"{by}:N", scale=alt.Scale(domain=labels, range=shapes), sort=labels, legend=legend
            ),
            opacity=alt.condition(chosen, alt.value(0.85), alt.value(0.25)),
            tooltip=[
                alt.Tooltip("name:N", title="Clip"),
                alt.Tooltip("emotion:N", title="Emotion"),
                alt.Tooltip("speaker:N", title="Speaker"),
                *([] if by in ("emotion", "speaker") else [alt.Tooltip(f"{by}:N")]),
            ],
        )
        .add_params(chosen, area, view)
        .properties(height=460, description=f"Map of {len(points)} clips, coloured by {by}")
    )
