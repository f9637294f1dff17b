"""How clips of a corpus are described, listed and opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ser.app.glossary import TERMS
from ser.app.widgets import layout

GROUPS = {"Channel": "channel", "Gender": "gender", "Intensity": "intensity"}
FILTERS = {
    "Emotion": "emotion",
    "Speaker": "speaker",
    "Gender": "gender",
    "Channel": "channel",
    "Intensity": "intensity",
    "Statement": "statement",
}
COLUMNS: dict[str, Any] = {
    "name": "Clip",
    **{column: label for label, column in FILTERS.items()},
    "seconds": st.column_config.NumberColumn("Duration (s)", format="%.2f"),
    "level_dbfs": st.column_config.NumberColumn("Level (dBFS)", format="%.1f", help=TERMS["dBFS"]),
    "pitch_hz": st.column_config.NumberColumn("Pitch (Hz)", format="%.0f"),
    "rate": st.column_config.NumberColumn("Rate (syllables/s)", format="%.1f"),
}
FEW = 500  # clips a list to choose from can hold and still be read


def say(row: pd.Series) -> str:
    """Say what is known of a clip."""
    known = ("emotion", "intensity", "speaker", "gender", "channel", "statement")
    return layout.plain(" · ".join(str(row[column]) for column in known if row[column]))


def open_from_table(clips: pd.DataFrame, location: Path, key: str) -> None:
    """List clips; a click on a row opens its clip."""

    def open_row() -> None:
        if rows := st.session_state[key].selection.rows:
            open_clip(location, clips["path"].iloc[rows[0]])

    event = st.dataframe(
        clips[["name", "emotion", "speaker"]],
        hide_index=True,
        column_config=COLUMNS,
        key=key,
        on_select=open_row,
        selection_mode="single-row",
        alt="Clips; choose one to open it",
    )
    if event.selection.rows:
        st.rerun()  # the whole page, which shows the clip


def open_clip(location: Path, path: str) -> None:
    """Go to the clips and open this one."""
    st.session_state["view"] = "Clips"
    st.session_state[f"clip {location}"] = path
