"""A matrix drawn over time: a row of cells per band or feature, a column per frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.audio.features import SPECTRAL, SpectralFeatures
from ser.plots.base import AXIS, Chart, sized


def heatmap(
    matrix: npt.NDArray[np.floating],
    *,
    title: str,
    rows: str,
    unit: str,
    row_values: Sequence[Any] | None = None,
    ticks: Mapping[float, str] | None = None,
    lines: Sequence[float] = (),
    domain: tuple[float, float] | None = None,
    shown_values: npt.NDArray[np.floating] | None = None,
    extractor: SpectralFeatures = SPECTRAL,
    height: int = 180,
    diverging: bool = False,
) -> Chart:
    """Draw a matrix of shape (rows, frames) over time, low rows at the bottom.

    Parameters
    ----------
    matrix : ndarray, shape (rows, frames)
        What to colour.
    title, rows, unit : str
        Of the chart, of the vertical axis, and of the values.
    row_values : sequence, optional
        A name or number for each row; by default 1, 2, 3 …
    ticks : mapping of float to str, optional
        Labels of the vertical axis by their place; row 0 lies between 0 and 1.  By default about
        eight rows are named.
    lines : sequence of float
        Places of lines that part groups of rows.
    domain : (float, float), optional
        Values at the two ends of the colours; what lies beyond gets the colour of the end.  By
        default the smallest and the largest value.
    shown_values : ndarray, shape (rows, frames), optional
        What the tooltip says, if not the values that are coloured.
    extractor : SpectralFeatures
        What the features are.
    height : int
        In pixels.
    diverging : bool
        Colour around zero, for values that have a sign.
    """
    matrix = np.asarray(matrix, np.float32).round(2)
    names = [str(name) for name in (row_values or range(1, len(matrix) + 1))]
    if ticks is None:
        ticks = {i + 0.5: names[i] for i in range(0, len(names), max(len(names) // 8, 1))}
    step = extractor.frame_seconds
    cells = _cells(_cell_table(matrix, names, shown_values), step)
    cells = cells.encode(
        y=_row_axis(rows, len(names), ticks),
        color=_colours(unit, domain or _ends(matrix, diverging), height, diverging),
        tooltip=_cell_tooltip(rows, unit, shown_values is not None),
    )
    parting = alt.Chart(pd.DataFrame({"row": list(lines)})).mark_rule(color="white", size=2)
    layers = [cells, parting.encode(y="row:Q")] if lines else [cells]
    said = f"{title}: {_summary(matrix, names, unit, step)}"
    return sized(alt.layer(*layers), title, height).properties(description=said)


def _ends(matrix: npt.NDArray[np.float32], diverging: bool) -> tuple[float, float]:
    """Return the values at the two ends of the colours: those of the matrix, or as far from 0."""
    low, high = float(matrix.min()), float(matrix.max())
    if not diverging:
        return low, high
    limit = max(abs(low), abs(high)) or 1.0
    return -limit, limit


def _cell_table(
    matrix: npt.NDArray[np.float32],
    names: list[str],
    shown_values: npt.NDArray[np.floating] | None,
) -> pd.DataFrame:
    """Return a line per cell."""
    count, frames = matrix.shape
    # Small numbers travel to the browser, which works out where each cell begins and ends.
    row = np.repeat(np.arange(count, dtype=np.int16), frames)
    table = pd.DataFrame(
        {
            "frame": np.tile(np.arange(frames, dtype=np.int16), count),
            "row": row,
            "name": pd.Categorical.from_codes(row, pd.Index(names)),
            "value": matrix.ravel(),
        }
    )
    if shown_values is not None:
        table["shown_values"] = np.asarray(shown_values, np.float32).round(2).ravel()
    return table


def _cells(table: pd.DataFrame, step: float) -> alt.Chart:
    """Return a rectangle per cell, over a frame of `step` seconds and a row of 1."""
    return (
        alt.Chart(table)
        .transform_calculate(
            start=f"datum.frame * {step}", end=f"(datum.frame + 1) * {step}", top="datum.row + 1"
        )
        # A little overlap hides the seams that browsers draw between neighbours.
        .mark_rect(x2Offset=0.6, y2Offset=-0.6)
        .encode(
            x=alt.X("start:Q", title="Time (s)", scale=alt.Scale(nice=False)),
            x2="end:Q",
            y2="top:Q",
        )
    )


def _row_axis(title: str, count: int, ticks: Mapping[float, str]) -> alt.Y:
    return alt.Y(
        "row:Q",
        title=title,
        scale=alt.Scale(domain=[0, count], nice=False),
        axis=alt.Axis(
            values=list(ticks),
            labelExpr=_label(ticks),
            labelOverlap=False,
            grid=False,
            minExtent=AXIS,
        ),
    )


def _label(ticks: Mapping[float, str]) -> str:
    """Return the Vega expression that turns the place of a tick into its label."""
    cases = [f"abs(datum.value - {at}) < 1e-6 ? {json.dumps(text)}" for at, text in ticks.items()]
    return " : ".join([*cases, "''"])


def _colours(unit: str, domain: tuple[float, float], height: int, diverging: bool) -> alt.Color:
    return alt.Color(
        "value:Q",
        title=unit,
        scale=alt.Scale(
            scheme="blueorange" if diverging else "viridis", domain=list(domain), clamp=True
        ),
        legend=alt.Legend(gradientThickness=8, gradientLength=height - 60, offset=8),
    )


def _cell_tooltip(rows: str, unit: str, other_values: bool) -> list[alt.Tooltip]:
    value = (
        alt.Tooltip("shown_values:Q", title="Value", format=".2f")
        if other_values
        else alt.Tooltip("value:Q", title=unit, format=".1f")
    )
    time = alt.Tooltip("start:Q", title="Time (s)", format=".2f")
    return [time, alt.Tooltip("name:N", title=rows), value]


def _summary(matrix: npt.NDArray[np.float32], names: list[str], unit: str, step: float) -> str:
    """Say what a heat-map shows, for who cannot see it."""
    top, moment = np.unravel_index(int(matrix.argmax()), matrix.shape)
    count, frames = matrix.shape
    return (
        f"{count} rows over {frames * step:.1f} s, {matrix.min():.1f} to {matrix.max():.1f} "
        f"{unit}, highest at {moment * step:.1f} s in {names[top]}"
    )


def heatmap_table(chart: Any) -> pd.DataFrame:
    """Return the numbers of a heat-map for who cannot see it: a line per frame, a column per row.

    Parameters
    ----------
    chart : chart
        As `heatmap` draws it with the frames of `SPECTRAL`.
    """
    # Altair moves data that all layers share to the whole.
    parts = [chart, *chart.layer]
    cells = next(part.data for part in parts if isinstance(part.data, pd.DataFrame))
    value = "shown_values" if "shown_values" in cells else "value"
    table = cells.pivot(index="frame", columns="name", values=value)
    table.columns = table.columns.astype(str)
    step = SPECTRAL.frame_seconds
    table.insert(0, "time (s)", (table.index * step).to_numpy().round(2))
    return table.reset_index(drop=True)
