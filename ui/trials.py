"""Testing a model on a corpus from a page: the form, the progress, and what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

import ui
from ser import archive, trials, workspace
from ser.runs import BUSY_STATES, Run

_PROTOCOLS = {
    "all": "Every clip",
    "reference": "The test clips of the reference split",
}


def open_mine() -> None:
    """Ask for the report of the evaluation that this visitor started, once it has ended.

    A page calls it before `ui.evaluation.choose`.
    """
    name = st.session_state.get("my evaluation")
    if name and trials.status(Run(trials.folder() / name))["state"] == "finished":
        st.session_state["open report"] = f"evaluation/{name}"
        del st.session_state["my evaluation"]


def show() -> None:
    """Show the evaluation that is going on, or the form that starts one."""
    states = {trial.folder.name: (trial, trials.status(trial)) for trial in trials.find_trials()}
    busy = [trial for trial, status in states.values() if status["state"] in BUSY_STATES]
    unfinished = [(t, status) for t, status in states.values() if status["state"] != "finished"]
    with st.expander(
        "Test a model on a corpus", icon=":material/science:", expanded=bool(unfinished)
    ):
        if busy:
            _watch(busy[0])
            return
        for trial, status in unfinished:
            _unfinished(trial, status)
        _form()


def _form() -> None:
    folders = [str(path) for path in archive.corpora_at_hand()]
    models = workspace.models()
    with st.form("evaluate"), ui.errors_for_people():
        model = st.selectbox("Model", models, format_func=ui.model_label)
        data = st.selectbox(
            "Corpus",
            folders,
            index=folders.index(str(workspace.SAMPLES)),
            format_func=lambda data: ui.place(Path(data)),
            accept_new_options=True,
            help="Choose one, or type the path of a folder: RAVDESS or EMO-DB names, a folder per "
            "emotion, or a CSV file with the columns path and emotion.",
        )
        protocol = st.radio(
            "Clips",
            list(_PROTOCOLS),
            format_func=_PROTOCOLS.__getitem__,
            captions=[
                "It is counted how many of them trained the model.",
                "A random fifth; refused if any of them trained the model.",
            ],
        )
        seed = st.number_input(
            "Seed",
            0,
            2**32 - 1,
            42,
            help="Of the reference split; the shipped model was trained on 42.",
        )
        trust = st.checkbox(
            "Also in noise, rooms and codecs, and on sounds that are no speech",
            help="Takes about ten times as long.",
        )
        if st.form_submit_button("Evaluate", type="primary", icon=":material/play_arrow:"):
            with st.spinner("Looking at the corpus …"):
                trial = trials.start(
                    model, str(data or ""), protocol=protocol, seed=int(seed), trust=trust
                )
            workspace.remember_corpus(str(data))
            st.session_state["my evaluation"] = trial.folder.name
            st.rerun()


@st.fragment(run_every=1.0)
def _watch(trial: Run) -> None:
    """Show how far an evaluation is, until it ends."""
    name, status = trial.folder.name, trials.status(trial)
    if status["state"] not in BUSY_STATES:
        st.rerun()
    stopping = trial.folder.joinpath("stop").exists()
    words = "Stopping …" if stopping else f"{status['message']} · {_left(status)}"
    st.write(f"**{name}** is going on. You can leave this page.")
    st.progress(_share(status), words)
    if st.button("Stop", icon=":material/stop:", disabled=stopping):
        trials.stop(trial)
        st.rerun(scope="fragment")


def _share(status: dict[str, Any]) -> float:
    done, total = status.get("done"), status.get("total")
    if not isinstance(done, int) or not isinstance(total, int) or total < 1:
        return 0.0
    return min(max(done / total, 0.0), 1.0)


def _left(status: dict[str, Any]) -> str:
    seconds = status.get("seconds_left")
    if not isinstance(seconds, int | float):
        return "a moment"
    if seconds < 90:
        return f"about {seconds:.0f} s left in this step"
    return f"about {seconds / 60:.0f} min left in this step"


def _unfinished(trial: Run, status: dict[str, Any]) -> None:
    name = trial.folder.name
    with st.container(border=True), ui.errors_for_people():
        st.write(f"**{name}** ({status['state']}): {status['message']}")
        with st.container(horizontal=True):
            if st.button("Start again", key=f"again {name}", icon=":material/replay:"):
                trials.launch(trial)
                st.session_state["my evaluation"] = name
                st.rerun()
            if st.button("Remove", key=f"remove {name}", icon=":material/delete:"):
                trials.delete(trial)
                st.rerun()


def show_remove(name: str) -> None:
    """Offer to remove an evaluation that was made here."""
    with st.popover("Remove this evaluation", icon=":material/delete:", type="tertiary"):
        st.write("Its report is deleted for good.")
        if st.button("Remove", key=f"remove {name}"):
            with ui.errors_for_people():
                trials.delete(Run(trials.folder() / name))
                st.session_state["open report"] = archive.entries()[0].key
                st.rerun()
