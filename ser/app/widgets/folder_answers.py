"""Having all recordings of a folder answered in the background: the form, progress and results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from ser.app import access, answers, processes
from ser.app.widgets import answer, evaluations, layout, runs
from ser.app.widgets.corpus import pick
from ser.data import corpora
from ser.models.recognizer import SURE, UNCERTAIN
from ser.shards.prediction import LEFT_OUT, PREDICTIONS
from ser.training.runs import BUSY_STATES, Run, Status, seconds_left, speed

_TABLES = {"Answers": PREDICTIONS, "Left out": LEFT_OUT}
_BEFORE_LABELS = 7  # columns of predictions that are no emotion
_SHOWN = 1000  # rows on the page
_ROWS = 10_000  # held at once while a table is counted or made harmless


def show(model: Path, emotions: Sequence[str]) -> None:
    """Show the folder that is being answered, or the form that starts one, and what is done.

    Parameters
    ----------
    model : Path
        The bundle that is to answer.
    emotions : sequence of str
        Which are possible; none given, all are.
    """
    st.write(
        "**Many recordings**: all of a folder and its sub-folders are analysed in the background, "
        "even if this page or the app is closed. What is done is kept."
    )
    states = [(run, run.read_status()) for run in answers.find_all()]
    busy = [run for run, status in states if status.state in BUSY_STATES]
    if busy:
        _watch(busy[0])
    else:
        for run, status in states:
            if status.state != "finished":
                evaluations.show_unfinished(
                    run,
                    status,
                    "Resume",
                    partial(answers.resume, run),
                    kept=f"{answers.kept_in_words(run)}.",
                )
        _form(model, emotions)
    finished = [(run, status) for run, status in states if status.state == "finished"]
    for run, status in sorted(finished, key=lambda each: each[1].updated, reverse=True):
        _finished(run, status)


def _form(model: Path, emotions: Sequence[str]) -> None:
    with st.form("folder answers"), layout.errors_for_people():
        data = pick("The recordings to analyse.", labelled=False)
        cluster = ""
        if access.mode() == access.ALONE:  # a server of others connects to nothing they name
            with st.expander("More than one computer", icon=":material/lan:"):
                cluster = st.text_input(
                    "Dask scheduler",
                    placeholder="tcp://host:8786",
                    help="Its workers share a disk with this computer and have the same versions "
                    "installed. Empty: this computer does all the work.",
                ).strip()
        if st.form_submit_button("Start", type="primary", icon=":material/play_arrow:") and data:
            with st.spinner("Looking at the folder …"):
                answers.start(model, data, emotions=emotions, cluster=cluster)
            st.rerun()


@st.fragment(run_every=1.0)
def _watch(run: Run) -> None:
    """Show how far it is, until it ends."""
    status = run.read_status()
    if status.state not in BUSY_STATES:
        st.rerun()
    title = f"**{layout.plain(run.folder.name)}** is running. You can leave this page."
    runs.show_stop(run, title, help="What is done is kept, and it can go on later.")
    step = status.message
    if status.total:
        step += f": {status.done:,} of {status.total:,} clips".replace(",", "\u202f")
    if rate := speed(status):
        step += f" · {rate:.0f} per second"
    left = seconds_left(status)
    runs.show_progress(run, status, step, f"about {layout.in_words(left)} left" if left else "")


def _finished(run: Run, status: Status) -> None:
    """Show the answers, once somebody unfolds them."""
    name = run.folder.name
    words = f"**{layout.plain(name)}**: {layout.plain(status.message)}"
    part = st.expander(
        words, icon=":material/check_circle:", key=f"answers {name}", on_change="rerun"
    )
    if not part.open:
        return
    with part, layout.errors_for_people():
        files = {title: answers.store(run) / name for title, name in _TABLES.items()}
        tables = {title: _first(file, _changed(file)) for title, file in files.items()}
        tables = {title: rows for title, rows in tables.items() if len(rows)}
        for title, rows in tables.items():
            st.write(f"**{title}**")
            if title == "Answers":
                counts = _counts(files[title], _changed(files[title]))
                st.dataframe(counts, column_config={"_index": "Emotion"})
            st.dataframe(
                rows.assign(file=corpora.places(rows["file"], answers.place(run))),
                hide_index=True,
                column_config=answer.columns(map(str, rows.columns[_BEFORE_LABELS:])),
            )
            if len(rows) == _SHOWN:
                st.caption(f"The first {_SHOWN} rows; the download has all of them.")
        with st.container(horizontal=True):
            for title in tables:
                _download(f"{title} as CSV", files[title], name)
            with st.popover("Remove", icon=":material/delete:"):
                st.write("These answers are deleted for good; the recordings stay.")
                if st.button("Remove them", key=f"remove {name}"):
                    processes.delete(run)
                    st.rerun()


def _download(words: str, file: Path, name: str) -> None:
    st.download_button(
        words,
        partial(_harmless, file),  # called when it is clicked
        f"{name}-{file.name}",
        icon=":material/download:",
        key=f"{file.name} {name}",
        on_click="ignore",
    )


def _harmless(file: Path) -> str:
    """Return a table in which no text is a formula; all else stays as it is written."""
    parts = pd.read_csv(file, chunksize=_ROWS)
    return "".join(layout.csv(part, header=i == 0) for i, part in enumerate(parts))


def _changed(file: Path) -> int:
    return file.stat().st_mtime_ns if file.is_file() else 0


@st.cache_data(show_spinner="Counting …", max_entries=20)
def _counts(file: Path, changed: int) -> pd.DataFrame:
    """Return how many clips have which answer, and how many of these are sure."""
    parts = pd.read_csv(file, usecols=["emotion", "verdict"], dtype=str, chunksize=_ROWS)
    rows = pd.concat([part.value_counts(dropna=False) for part in parts])
    found = rows.groupby(level=[0, 1], dropna=False).sum().unstack(fill_value=0)
    found.index = found.index.fillna("nobody speaks")
    sure = found.reindex(columns=[SURE, UNCERTAIN], fill_value=0)[SURE]
    table = pd.DataFrame({"Clips": found.sum(axis=1), "Sure": sure})
    return table.sort_values("Clips", ascending=False)


@st.cache_data(show_spinner=False, max_entries=20)
def _first(file: Path, changed: int) -> pd.DataFrame:
    """Return the rows that are shown; none if somebody took the file away."""
    return pd.read_csv(file, nrows=_SHOWN) if changed else pd.DataFrame()
