"""How pages show charts, errors, names and durations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair
import streamlit as st

from ser import assets, plots
from ser.app import sharing, workspace
from ser.app.widgets import resources, visitor
from ser.errors import SerError

if TYPE_CHECKING:
    import pandas as pd

# What begins a link, a tag, a formula or an emphasis in Streamlit's Markdown.
_MARKUP = r"[\\`*\[\]<>~$#|@]"
# Web addresses become links even where they are escaped, unless something invisible parts them.
_ADDRESS = r":(?=//)|(?<=(?i:www))(?=\.)"
_JOINER = "\N{WORD JOINER}"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how one begins
INK = {"light": "#12141a", "dark": "#f2f2f2"}
"""The colour of words, by theme."""


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Show what the user can mend as a message, not as a traceback."""
    try:
        yield
    except SerError as error:
        visitor.refused(error)
        st.error(plain(str(error)), icon=":material/error:")


def show(chart: plots.Chart, *, table: pd.DataFrame | None = None, **settings: Any) -> Any:
    """Show a chart as wide as its place, and its numbers as a table for who cannot see it.

    Parameters
    ----------
    chart : chart
        From `ser.plots`.
    table : DataFrame, optional
        What the chart draws, in words of people.
    **settings
        Of `streamlit.altair_chart`, such as ``key`` and ``on_select``; what that returns is
        returned.
    """
    # Streamlit counts titles and axes into the height.
    fixed = getattr(chart, "height", None)
    height: Any = int(fixed) + 100 if isinstance(fixed, int | float) else "content"
    if "alt" in settings:  # says more than what kind of chart it is, and there can be one only
        chart = chart.copy(deep=False)
        chart.description = altair.Undefined
    # What is written in a chart; its theme knows the colour of axes only.
    chart = chart.configure_text(color=INK.get(str(st.context.theme.type), "#7d8590"))
    event = st.altair_chart(chart, width="stretch", height=height, **settings)
    if table is not None:
        with st.popover("Numbers", icon=":material/table:", type="tertiary"):
            st.dataframe(table, hide_index=True)
    return event


def sample_labels() -> dict[str, str]:
    """Say what each sample is, by name: its emotion, voice and sentence."""
    return {
        clip["name"]: f"{clip['emotion']}{', strong' if clip['intensity'] == 'strong' else ''} · "
        f"{clip['speaker']} ({clip['gender']}) · {clip['statement']}"
        for clip in resources.samples().to_dict("records")
    }


def plain(text: str) -> str:
    r"""Return what somebody typed or called a file so that no Markdown is made of it.

    Examples
    --------
    >>> print(plain("[a](b) *c*"))
    \[a\](b) \*c\*
    >>> plain("http://b")
    'http:\u2060//b'
    """
    escaped = re.sub(_MARKUP, r"\\\g<0>", " ".join(text.split()))
    return re.sub(_ADDRESS, rf"\g<0>{_JOINER}", escaped)


def csv(table: pd.DataFrame, *, header: bool = True) -> str:
    """Return a table to be downloaded, in which no text is a formula to a spreadsheet.

    Examples
    --------
    >>> import pandas as pd
    >>> print(csv(pd.DataFrame({"file": ["=cmd|' /C calc'!A0", "a.wav"], "p": [-0.5, 1]})), end="")
    file,p
    '=cmd|' /C calc'!A0,-0.50000
    a.wav,1.00000
    """

    def harmless(value: object) -> object:
        return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value

    safe = table.map(harmless)
    return str(safe.to_csv(index=False, header=header, float_format="%.5f"))


def display_path(path: Path) -> str:
    """Say where something lies, shortly if it is in the project; not yet `plain`."""
    inside = path.is_relative_to(assets.ROOT)
    return str(path.relative_to(assets.ROOT) if inside else path)


def model_label(folder: Path) -> str:
    """Say which model a folder holds."""
    if folder.parent == workspace.shared():
        return f"{folder.name} (shared by {sharing.owner(folder)})"
    return f"{folder.name} (shipped)" if folder.parent == assets.MODELS else folder.name


def count(number: int, noun: str) -> str:
    """Return a number of things as people say it.

    Examples
    --------
    >>> count(1, "recording"), count(0, "recording")
    ('1 recording', '0 recordings')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def in_words(duration: float) -> str:
    """Say a duration in seconds as roughly as people do.

    Examples
    --------
    >>> [in_words(s) for s in (3, 47, 100, 4000, 90_000)]
    ['a few seconds', '50 s', '2 min', '1 h 10 min', '25 h']
    """
    if duration < 8:
        return "a few seconds"
    if duration < 55:
        return f"{10 * max(round(duration / 10), 1)} s"
    minutes = max(round(duration / 60), 1)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 600:
        hours, rest = divmod(10 * round(minutes / 10), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(minutes / 60)} h"
