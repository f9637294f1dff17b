"""What all charts share: their type, size and colours, and how they are saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from ser.errors import OutputError
from ser.labels import COLORS
from ser.utils.files import atomic_path

# A spectrogram has 12 000 cells, and charts must also be drawn outside notebooks.
alt.data_transformers.disable_max_rows()

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart

WIDTH = 620
AXIS = 44  # least width of a vertical axis, so that charts of one time stand above each other
TRAINING, VALIDATION = "#4a7fd4", "#c98500"


def emotion_scale(labels: Sequence[str]) -> alt.Scale:
    """Return the scale that gives every emotion, or class of one's own, its one colour."""
    known = list(COLORS.values())
    colours = [COLORS.get(la, known[i % len(known)]) for i, la in enumerate(labels)]
    return alt.Scale(domain=list(labels), range=colours)


def sized(chart: Chart, title: str, height: int) -> Chart:
    """Return a chart of the usual width with a title."""
    result = chart.properties(width=WIDTH, height=height)
    # The description is what a screen reader says.
    return result.properties(title=title, description=title) if title else result


def chance_line(chance: float, *, axis: str = "x") -> Chart:
    """Draw what guessing would reach, dotted, across the axis that it is a value of."""
    rule = alt.Chart(pd.DataFrame({"chance": [chance]})).mark_rule(
        color="#7d8590", strokeDash=[2, 3], strokeWidth=2
    )
    value: dict[str, Any] = {axis: "chance:Q"}
    return rule.encode(**value, tooltip=alt.Tooltip("chance:Q", title="Chance", format=".1%"))


def save_chart(chart: Chart, path: str | Path) -> None:
    """Write a chart as PNG (twice the pixels, for print) or as HTML that works offline.

    Raises
    ------
    OutputError
        If the name ends in neither .png nor .html, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".html"):
        raise OutputError(f"Cannot draw {path}: the name must end in .png or .html.")
    drawn = chart.configure(background="white")
    with atomic_path(path) as temporary:
        if suffix == ".png":
            drawn.save(temporary, format="png", scale_factor=2)
        else:
            drawn.save(temporary, format="html", inline=True)


def to_svg(chart: Chart) -> str:
    """Return a chart as SVG text, for documents that must stand alone."""
    import vl_convert

    return vl_convert.vegalite_to_svg(chart.configure(background="white").to_dict())
