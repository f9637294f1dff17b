"""What the clips of a corpus sound like together: averages of emotions, and a map of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from ser import plots
from ser.app.glossary import TERMS
from ser.app.tasks import Task
from ser.app.widgets import layout, linked, tasks
from ser.app.widgets.clip import player
from ser.app.widgets.clips import GROUPS, open_clip, open_from_table, say
from ser.data import projections
from ser.data.inspection import Inspection

MAP_GROUPS = {"Speaker": "speaker", **GROUPS, "Corpus": "corpus"}
ANSWER = "Model's answer"
AT_FIRST = (200, 800)  # clips of which averages and map are shown before those of all


def summed_up(index: Inspection) -> Any:
    """Return clips and what they sound like: first of some, in the end of all."""
    clips = projections.sample(index.clips)
    if len(clips) < len(index.clips):
        st.caption(f"{len(clips)} of {len(index.clips)} clips, drawn at random.")

    def work(task: Task) -> Any:
        for count in (*(few for few in AT_FIRST if few < len(clips)), len(clips)):
            some = projections.sample(clips, count)
            summary = projections.summarise(some, progress=task.report)
            task.so_far = some, summary
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
    _, summary = found
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
    clips, summary = found
    placed = None
    with layout.errors_for_people():
        placed = projections.pca(summary.statistics)
    if placed is None:
        return
    points, shares = placed
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
    player(row["path"])
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
