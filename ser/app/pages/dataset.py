"""Look at a corpus: how much of what, each clip, what emotions look like, a map of all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from ser import plots
from ser.app import access, workspace
from ser.app.widgets import (
    address,
    answer,
    clip,
    corpus,
    corpus_map,
    corpus_overview,
    frame,
    label_review,
    layout,
    linked,
    resources,
)
from ser.app.widgets.clips import COLUMNS, FEW, FILTERS, say
from ser.data import corpora
from ser.data.inspection import Inspection
from ser.data.label_review import EXCLUDED

VIEWS = ("Overview", "Health", "Clips", "Averages", "Map")


def clip_at(clips: pd.DataFrame, path: str | None) -> pd.Series | None:
    """Return the clip of that path, or None."""
    found = clips[clips["path"] == path]
    return found.iloc[0] if len(found) else None


def filtered(clips: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the clips the user asks for, and a name for what was asked."""
    asked: dict[str, Any] = {}
    with st.container(horizontal=True):
        asked["name"] = st.text_input(
            "Search",
            placeholder="part of a file name",
            width=160,
            icon=":material/search:",
            key=address.kept("search", ""),
            persist_state="session",
        )
        for label, column in FILTERS.items():
            there = [value for value in clips[column].cat.categories if value]
            if len(there) > 1:
                asked[column] = st.multiselect(
                    label,
                    there,
                    placeholder="all",
                    width=160,
                    key=address.kept(column, [], there),
                    persist_state="session",
                )
    keep = np.ones(len(clips), bool)
    for column, wanted in asked.items():
        if column == "name" and wanted:
            keep &= clips["name"].str.contains(wanted, case=False, regex=False).to_numpy()
        elif wanted:
            keep &= clips[column].isin(wanted).to_numpy()
    return clips[keep], str(asked)


@st.fragment
def explore(index: Inspection, location: Path) -> None:
    """Show the clips as a table, and one or two of them closely."""
    chosen = f"clip {location}"
    shown, doubt = table_of_clips(index, location, chosen)
    row = clip_at(index.clips, st.session_state.get(chosen))
    st.session_state[chosen] = None if row is None else row["path"]
    few = dict(zip(shown["path"].head(FEW), shown["name"].head(FEW), strict=True))
    st.selectbox(
        "Clip",
        [*few] if row is None or row["path"] in few else [*few, row["path"]],
        index=None,
        key=chosen,
        format_func=lambda one: few.get(one, os.path.basename(one)),
        placeholder="Choose a clip, or click on a row above",
        help=f"The first {FEW} of the clips above.",
    )
    if row is None:
        return
    look_closely(index, row, few, play=doubt)
    if access.may_change():
        order = shown["path"].tolist()
        after = order.index(row["path"]) + 1 if row["path"] in order else 0
        following = order[after] if after < len(order) else row["path"]

        def go_on() -> None:
            st.session_state[chosen] = following

        label_review.show(location, row["path"], str(row["emotion"]), go_on)
    ask_about(row)


def table_of_clips(index: Inspection, location: Path, chosen: str) -> tuple[pd.DataFrame, bool]:
    """Show the clips that the user asks for; returns them, and whether doubtful ones come first."""
    shown, asked = filtered(index.clips)
    with st.container(horizontal=True):
        ask = st.toggle("Show the model's answers", help="Asks the active model about every clip.")
        doubt = st.toggle(
            "Most doubtful labels first",
            help="Finds clips that sound like another emotion than the one they are labelled with.",
        )
    columns = dict(COLUMNS)
    if ask and (found := linked.with_answers(shown, index, location)) is not None:
        shown, columns = found, columns | linked.ANSWER_COLUMNS
    if doubt and (found := linked.with_doubt(shown, index)) is not None:
        shown, columns = found, columns | linked.DOUBT_COLUMNS
    if shown.empty:
        st.info("No clip matches. Remove a filter.", icon=":material/filter_alt_off:")
        return shown, doubt
    table = f"table {location} {asked} {index.key} {list(columns)}"

    def open_row() -> None:
        rows = st.session_state[table].selection.rows
        st.session_state[chosen] = shown["path"].iloc[rows[0]] if rows else None

    st.caption(f"{len(shown)} of {len(index.clips)} clips. Click on a row to open its clip.")
    st.dataframe(
        shown[_in_sight(columns)],
        hide_index=True,
        column_config=columns,
        height=320,
        key=table,
        on_select=open_row,
        selection_mode="single-row",
        alt="Clips of this corpus",
    )
    return shown, doubt


def look_closely(index: Inspection, row: pd.Series, few: dict[str, str], *, play: bool) -> None:
    """Show a clip, perhaps beside another one on the same scale."""
    path = row["path"]
    others = corpora.counterparts(index.clips, row)
    beside = {str(r["emotion"]): r["path"] for _, r in others.iterrows()}
    pick = st.pills(
        "Compare with the same speaker and statement, meant as" if beside else "Compare",
        [*beside, "another clip"],
        key=f"compare {path}",
    )
    second = beside.get(pick or "")
    if pick == "another clip":
        second = st.selectbox(
            "The other clip", [*few], index=None, format_func=few.__getitem__, key=f"other {path}"
        )
    view = clip.choose_view("clip view")
    both = [path, second] if second else [path]
    peak = clip.loudest(both) if second else None
    columns = st.columns(2) if second else [st.container()]
    for i, (column, one) in enumerate(zip(columns, both, strict=True)):
        with column:
            about = index.clips[index.clips["path"] == one].iloc[0]
            st.markdown(f"**{layout.plain(about['name'])}**  \n{say(about)}")
            clip.clip_view(one, view, key=f"{i} {one}", autoplay=play and not i, peak=peak)


def ask_about(row: pd.Series) -> None:
    """Show what the active model answers for a clip, when asked to."""
    if not os.path.isfile(row["path"]):
        return
    if st.toggle("Ask the model about this clip", key="ask about clip"):
        with layout.errors_for_people():
            folder = workspace.active_model()
            model = resources.recognizer(folder)
            data = Path(row["path"]).read_bytes()
            answer.show_answer(data, row["name"], model, folder=folder, truth=str(row["emotion"]))


def _in_sight(columns: dict[str, Any]) -> list[str]:
    """Order columns so that what a model says stands beside the label."""
    first = [name for name in ("name", "emotion") if name in columns]
    said = [name for name in columns if name in linked.ANSWER_COLUMNS | linked.DOUBT_COLUMNS]
    return [*first, *said, *(name for name in columns if name not in {*first, *said})]


def _take_back(index: Inspection, location: Path) -> None:
    if access.may_change():
        skipped = index.skipped
        excluded = skipped.loc[skipped["reason"] == EXCLUDED, "path"].tolist()
        label_review.take_back(location, excluded, lambda: corpus.look_again(location))


def show() -> None:
    """Show the page."""
    frame.page("Dataset")
    st.write("See what a corpus of emotional speech contains, and look at every clip.")
    location = corpus.choose()
    index = corpus.opened(location, corpus_overview.overview_so_far)
    if index is not None and index.clips.empty:
        st.info("No clip of this corpus can be used.", icon=":material/block:")
        corpus_overview.left_out(index)
        _take_back(index, location)
    elif index is not None:
        hours = index.clips["seconds"].sum() / 3600
        speakers = index.clips["speaker"].replace("", None).nunique()
        with st.container(horizontal=True):
            st.metric("Clips", f"{len(index.clips):,}".replace(",", "\u202f"), border=True)
            if hours >= 1:
                st.metric("Hours", f"{hours:.1f}", border=True)
            else:
                st.metric("Minutes", f"{60 * hours:.1f}", border=True)
            st.metric("Speakers", speakers or plots.UNKNOWN, border=True)
            st.metric("Emotions", index.clips["emotion"].nunique(), border=True)
        view = st.segmented_control(
            "View",
            VIEWS,
            required=True,
            label_visibility="collapsed",
            key=address.kept("view", VIEWS[0], VIEWS),
            persist_state="session",
        )
        if view == "Overview":
            corpus_overview.overview(index)
            _take_back(index, location)
        elif view == "Health":
            corpus_overview.show_health(index)
        elif view == "Clips":
            explore(index, location)
        elif view == "Averages":
            corpus_map.averages(index)
        else:
            corpus_map.show_map(index, location)
        st.button(
            "Rescan",
            icon=":material/sync:",
            type="tertiary",
            on_click=corpus.look_again,
            args=(location,),
            help="Files that are new or changed are opened, others are not.",
        )

    frame.finish()
