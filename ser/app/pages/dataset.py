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
from ser.app.glossary import TERMS
from ser.app.tasks import Task
from ser.app.widgets import (
    address,
    answer,
    clip,
    corpus,
    frame,
    label_review,
    layout,
    linked,
    report,
    resources,
    tasks,
)
from ser.data import corpora, projections
from ser.data.health import check_health
from ser.data.inspection import Inspection

VIEWS = ("Overview", "Health", "Clips", "Averages", "Map")
GROUPS = {"Channel": "channel", "Gender": "gender", "Intensity": "intensity"}
FILTERS = {
    "Emotion": "emotion",
    "Speaker": "speaker",
    "Gender": "gender",
    "Channel": "channel",
    "Intensity": "intensity",
    "Statement": "statement",
}
MAP_GROUPS = {"Speaker": "speaker", **GROUPS, "Corpus": "corpus"}
ANSWER = "Model's answer"
COLUMNS: dict[str, Any] = {
    "name": "Clip",
    **{column: label for label, column in FILTERS.items()},
    "seconds": st.column_config.NumberColumn("Duration (s)", format="%.2f"),
    "level_dbfs": st.column_config.NumberColumn("Level (dBFS)", format="%.1f", help=TERMS["dBFS"]),
    "pitch_hz": st.column_config.NumberColumn("Pitch (Hz)", format="%.0f"),
    "rate": st.column_config.NumberColumn("Rate (syllables/s)", format="%.1f"),
}
MEANS: dict[str, Any] = {
    "speech_seconds": st.column_config.NumberColumn("Speech (s)", format="%.2f"),
    "level_dbfs": COLUMNS["level_dbfs"],
    "pitch_hz": COLUMNS["pitch_hz"],
    "rate": COLUMNS["rate"],
}
AT_FIRST = (200, 800)  # clips of which averages and map are shown before those of all
FEW = 500  # clips a list to choose from can hold and still be read


def overview(index: Inspection) -> None:
    """Show how much there is of what."""
    by = [label for label, column in GROUPS.items() if index.clips[column].nunique() > 1]
    st.subheader("Clips per emotion")
    group = st.segmented_control("Split by", ["none", *by], default="none", required=True)
    chart, table = plots.clips_per_emotion(index.clips, by=GROUPS.get(group))
    layout.show(chart, table=table)
    speakers = index.clips[index.clips["speaker"] != ""]
    if 1 < speakers["speaker"].nunique() <= report.MOST_SPEAKERS:
        st.subheader("Clips per speaker and emotion")
        cells = speakers.groupby(["speaker", "emotion"], observed=True).size().reset_index()
        cells.columns = ["speaker", "emotion", "clips"]
        layout.show(
            plots.speakers_by_emotion(cells.astype({"speaker": str, "emotion": str}), shares=False),
            table=cells,
        )
    distributions(index)
    means(index)
    left_out(index)


def distributions(index: Inspection) -> None:
    """Show how long and how loud the clips are."""
    left, right = st.columns(2)
    with left:
        st.subheader("Durations", help="Of whole recordings, silence included.")
        chart, table = plots.histogram(index.clips["seconds"], title="Duration", unit="s")
        layout.show(chart, table=table)
    with right:
        st.subheader("Levels", help=TERMS["dBFS"])
        chart, table = plots.histogram(index.clips["level_dbfs"], title="Level", unit="dBFS")
        layout.show(chart, table=table)


def overview_so_far(index: Inspection) -> None:
    """Show what is known of the clips that have been opened already."""
    st.caption(f"Of {layout.count(len(index.clips), 'clip')} opened so far, drawn at random:")
    distributions(index)
    means(index)


def means(index: Inspection) -> None:
    """Show how groups of clips differ on average, in what can be said in a number."""
    groups = {la: c for la, c in FILTERS.items() if index.clips[c].nunique() > 1}
    if not groups:
        return
    st.subheader("Means", help=TERMS["prosody"])
    chosen = st.segmented_control(
        "Of each", list(groups), default=next(iter(groups)), required=True
    )
    column = groups[chosen]
    known = index.clips[index.clips[column].astype(str) != ""]
    numbers = known.groupby(column, observed=True, sort=False)[list(MEANS)].mean()
    counts = known[column].value_counts()
    table = numbers.assign(clips=counts.reindex(numbers.index)).reset_index()
    st.dataframe(
        table.sort_values(column).head(FEW),
        hide_index=True,
        column_order=[column, "clips", *MEANS],
        column_config={column: chosen, "clips": "Clips", **MEANS},
        alt=f"Mean duration, level, pitch and rate of each {chosen.lower()}",
    )


def left_out(index: Inspection) -> None:
    """Show which files are left out, and which hold the same audio."""
    duplicated = corpora.duplicates(index.clips)
    st.subheader("Skipped files and duplicates")
    if index.skipped.empty:
        st.write("Every file in this corpus is a clip that can be used.")
    else:
        count = len(index.skipped)
        files = "1 file" if count == 1 else f"{count} files"
        with st.expander(f"Left out: {files}", icon=":material/block:"):
            reasons = index.skipped["reason"].value_counts().rename_axis("reason").reset_index()
            st.dataframe(
                reasons.head(FEW),
                hide_index=True,
                column_config={"reason": "Why", "count": "Files"},
                alt="Why files were left out",
            )
            st.dataframe(
                index.skipped.head(FEW),
                hide_index=True,
                column_config={"path": "File", "reason": "Why"},
                alt="Files that were left out",
            )
    if duplicated.empty:
        st.write("No two clips hold the same audio.")
    else:
        with st.expander(f"Same audio: {len(duplicated)} clips", icon=":material/content_copy:"):
            st.caption(
                "These hold the same samples under several names. When a model is tested on one, "
                "its copy is kept out of training."
            )
            st.dataframe(
                duplicated[["name", "emotion", "speaker", "path"]].head(FEW),
                hide_index=True,
                column_config={**COLUMNS, "path": "File"},
                alt="Clips that hold the same audio",
            )


def show_health(index: Inspection) -> None:
    """Show what may be wrong with the corpus before anything is learned from it."""

    def work(task: Task) -> Any:
        task.report("Checking the corpus")
        return check_health(index.clips)

    found = tasks.result(("health", index.key), work, "Checking the corpus")
    if found is None:
        return
    problems = sum(finding.problem for finding in found)
    st.subheader("Before you train", anchor=False)
    st.write(
        f"{problems} of {len(found)} checks found something to look at."
        if problems
        else "Nothing here needs a look."
    )
    for finding in found:
        icon = ":material/warning:" if finding.problem else ":material/check_circle:"
        st.markdown(f"{icon} **{finding.check}.** {layout.plain(finding.sentence)}")
        if len(finding.clips):
            with st.expander(f"{finding.check}: {layout.count(len(finding.clips), 'pair')}"):
                st.dataframe(
                    finding.clips.head(FEW),
                    hide_index=True,
                    column_config={
                        "path": "Clip",
                        "twin": "Its twin",
                        "bits": st.column_config.NumberColumn(
                            "Bits apart", help="Of the 128 bits of their acoustic fingerprints."
                        ),
                    },
                    alt="Pairs of clips that seem to be one recording",
                )


def say(row: pd.Series) -> str:
    """Say what is known of a clip."""
    known = ("emotion", "intensity", "speaker", "gender", "channel", "statement")
    return layout.plain(" · ".join(str(row[column]) for column in known if row[column]))


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
        ask = st.toggle("What the model answers", help="Asks the active model about every clip.")
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
        st.info("No clip is like that. Take a filter away.", icon=":material/filter_alt_off:")
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


def summed_up(index: Inspection) -> Any:
    """Return clips, what they sound like and their PCA: first of some, in the end of all."""
    clips = projections.sample(index.clips)
    if len(clips) < len(index.clips):
        st.caption(f"{len(clips)} of {len(index.clips)} clips, drawn at random.")

    def work(task: Task) -> Any:
        for count in (*(few for few in AT_FIRST if few < len(clips)), len(clips)):
            some = projections.sample(clips, count)
            summary = projections.summarise(some, progress=task.report)
            task.so_far = some, summary, projections.pca(summary.statistics)
        return task.so_far

    found = tasks.result(("summary", index.key), work, "Computing features")
    if found is not None and len(found[0]) < len(clips):
        st.caption(f"So far of {len(found[0])} clips, drawn at random.")
    return found


def averages(index: Inspection) -> None:
    """Show the mean spectrogram of each emotion."""
    st.caption(
        "The mean of all clips of an emotion, each brought to one level and centred in 3 s. "
        + TERMS["mel"]
    )
    found = summed_up(index)
    if found is None:
        return
    _, summary, _ = found
    drawn = list(plots.average_spectrograms(summary.means, summary.counts).items())
    for first in range(0, len(drawn), 2):
        for column, (_, chart) in zip(st.columns(2), drawn[first : first + 2], strict=False):
            with column:
                layout.show(chart, table=plots.heatmap_table(chart))


@st.fragment
def show_map(index: Inspection, location: Path) -> None:
    """Show all clips as points of a map."""
    with st.container(horizontal=True):
        chosen = st.segmented_control(
            "Layout",
            ["PCA", "t-SNE"],
            default="PCA",
            required=True,
            help="PCA shows the two directions in which clips differ most. t-SNE puts clips that "
            "sound alike beside each other; its axes and far distances mean nothing.",
        )
        several = [la for la, column in MAP_GROUPS.items() if index.clips[column].nunique() > 1]
        coloured = st.segmented_control(
            "Colour by",
            ["Emotion", *several, ANSWER],
            default="Emotion",
            required=True,
            help="Of more than eight groups, the seven largest have a colour.",
        )
    st.caption(
        "Each point is a clip, placed by the mean and spread over time of its 64 rows of features. "
        "Click on a point to hear it, drag over points to list them. The wheel zooms; hold Shift "
        "and drag to move."
    )
    found = summed_up(index)
    if found is None:
        return
    clips, summary, (points, shares) = found
    first, second = (
        f"Component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares)
    )
    axes = (first, second)
    if chosen == "t-SNE" and len(clips) == min(len(index.clips), projections.SAMPLE):
        points = tasks.result(
            ("tsne", index.key),
            lambda task: projections.tsne(clips, summary.statistics, progress=task.report),
            "Arranging clips",
        )
        axes = ("t-SNE 1", "t-SNE 2")
    if points is None:
        return
    by = MAP_GROUPS.get(coloured, "emotion")
    if coloured == ANSWER:
        answered = linked.with_answers(clips, index, location)
        if answered is None:
            return
        clips, by = answered, "answer"
    table = clips[["name", "emotion", "speaker"]].astype(str)
    table = table.assign(
        x=points[:, 0].round(2), y=points[:, 1].round(2), clip=np.arange(len(clips))
    )
    table[by] = plots.few_groups(clips[by])
    event = layout.show(
        plots.clip_map(table, axes=axes, by=by),
        table=table.drop(columns="clip"),
        key=f"map {chosen} {by} {index.key}",
        on_select="rerun",
        selection_mode=["clip", "area"],
    )
    picked = event.selection.get("clip") or []
    number = picked[0].get("clip") if picked else None
    if isinstance(number, int) and 0 <= number < len(clips):
        show_point(clips, summary, number, location)
    area = event.selection.get("area") or {}
    if {"x", "y"} <= set(area):
        inside = table["x"].between(*area["x"]) & table["y"].between(*area["y"])
        st.write(f"**{layout.count(int(inside.sum()), 'clip')} in the area**")
        open_from_table(clips[inside.to_numpy()], location, f"area {chosen} {index.key}")


def show_point(
    clips: pd.DataFrame, summary: projections.Summary, number: int, location: Path
) -> None:
    """Play the clip that was clicked on in the map, and list those that sound most like it."""
    row = clips.iloc[number]
    st.markdown(f"**{layout.plain(row['name'])}**  \n{say(row)}")
    st.audio(row["path"], autoplay=True)
    if st.button(
        "Open this clip",
        icon=":material/graphic_eq:",
        on_click=open_clip,
        args=(location, row["path"]),
    ):
        st.rerun()  # the whole page, which this fragment is a part of
    st.markdown(
        "**Sounds most like**", help="By the features that place the points, all 128 of them."
    )
    near = projections.nearest(summary.statistics, number)
    open_from_table(clips.iloc[near], location, f"near {row['path']}")


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


def show() -> None:
    """Show the page."""
    frame.page("Dataset")
    st.write("What is in a corpus of emotional speech: how much of what, and how each clip looks.")
    location = corpus.choose()
    index = corpus.opened(location, overview_so_far)
    if index is not None and index.clips.empty:
        st.info("No clip of this corpus can be used.", icon=":material/block:")
        left_out(index)
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
            overview(index)
        elif view == "Health":
            show_health(index)
        elif view == "Clips":
            explore(index, location)
        elif view == "Averages":
            averages(index)
        else:
            show_map(index, location)
        st.button(
            "Rescan",
            icon=":material/sync:",
            type="tertiary",
            on_click=corpus.look_again,
            args=(location,),
            help="Files that are new or changed are opened, others are not.",
        )

    frame.finish()
