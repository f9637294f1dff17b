"""How much there is of what in a corpus, and what may be wrong with it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ser import plots
from ser.app.glossary import TERMS
from ser.app.tasks import Task
from ser.app.widgets import layout, tasks
from ser.app.widgets.clips import COLUMNS, FEW, FILTERS, GROUPS
from ser.app.widgets.report_parts import MOST_SPEAKERS
from ser.data import corpora
from ser.data.health import check_health
from ser.data.inspection import Inspection

MEANS: dict[str, Any] = {
    "speech_seconds": st.column_config.NumberColumn("Speech (s)", format="%.2f"),
    "level_dbfs": COLUMNS["level_dbfs"],
    "pitch_hz": COLUMNS["pitch_hz"],
    "rate": COLUMNS["rate"],
}


def overview(index: Inspection) -> None:
    """Show how much there is of what."""
    by = [label for label, column in GROUPS.items() if index.clips[column].nunique() > 1]
    st.subheader("Clips per emotion")
    group = st.segmented_control("Split by", ["none", *by], default="none", required=True)
    chart, table = plots.clips_per_emotion(index.clips, by=GROUPS.get(group))
    layout.show(chart, table=table)
    speakers = index.clips[index.clips["speaker"] != ""]
    if 1 < speakers["speaker"].nunique() <= MOST_SPEAKERS:
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
