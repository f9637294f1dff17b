"""Testing a model on a corpus from a page: the form, the progress, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from ser.app import catalogue, evaluations, processes, workspace
from ser.app.widgets import layout, runs
from ser.app.widgets.corpus import pick
from ser.training.runs import BUSY_STATES, Run, Status, seconds_left

_PROTOCOLS = {
    "all": "Every clip",
    "random": "The test clips of the random split",
}


def open_mine() -> None:
    """Ask for the report of the evaluation that this visitor started, once it has ended.

    A page calls it before `ser.app.widgets.report.choose`.
    """
    name = st.session_state.get("my evaluation")
    if name and Run(workspace.evaluations() / name).read_status().state == "finished":
        st.session_state["open report"] = f"evaluation/{name}"
        del st.session_state["my evaluation"]


def show() -> None:
    """Show the evaluation that is going on, or the form that starts one."""
    states = [(run, run.read_status()) for run in evaluations.find_evaluations()]
    busy = [run for run, status in states if status.state in BUSY_STATES]
    unfinished = [(run, status) for run, status in states if status.state != "finished"]
    with st.expander(
        "Test a model on a corpus", icon=":material/science:", expanded=bool(unfinished)
    ):
        if busy:
            _watch(busy[0])
            return
        for evaluation, status in unfinished:
            show_unfinished(evaluation, status, "Start again", partial(_again, evaluation))
        _form()


def _form() -> None:
    models = workspace.models()
    with st.form("evaluate"), layout.errors_for_people():
        model = st.selectbox("Model", models, format_func=layout.model_label)
        data = pick("The clips to test it on.")
        protocol = st.radio(
            "Clips",
            list(_PROTOCOLS),
            format_func=_PROTOCOLS.__getitem__,
            captions=[
                "The report says how many of them the model was trained on.",
                "A random fifth; refused if the model was trained on any of them.",
            ],
        )
        seed = st.number_input(
            "Seed",
            0,
            2**32 - 1,
            42,
            help="For the random split; the model ravdess was trained with seed 42.",
        )
        robustness = st.checkbox(
            "Also in noise, rooms and codecs, and on sounds that are not speech",
            help="Takes about ten times as long.",
        )
        if st.form_submit_button("Evaluate", type="primary", icon=":material/play_arrow:"):
            with st.spinner("Looking at the corpus …"):
                evaluation = evaluations.start(
                    model, data, protocol=protocol, seed=int(seed), robustness=robustness
                )
            workspace.remember_corpus(data)
            st.session_state["my evaluation"] = evaluation.folder.name
            st.rerun()


@st.fragment(run_every=1.0)
def _watch(evaluation: Run) -> None:
    """Show how far an evaluation is, until it ends."""
    status = evaluation.read_status()
    if status.state not in BUSY_STATES:
        st.rerun()
    title = f"**{layout.plain(evaluation.folder.name)}** is running. You can leave this page."
    runs.show_stop(evaluation, title, help="Nothing is kept; you can start it again.")
    step = status.message
    if status.stages > 1:
        step += f" ({status.stage} of {status.stages})"
    left = seconds_left(status)
    words = f"about {layout.in_words(left)} left in this step" if left else ""
    runs.show_progress(evaluation, status, step, words)


def _again(evaluation: Run) -> None:
    evaluations.resume(evaluation)
    st.session_state["my evaluation"] = evaluation.folder.name


def show_unfinished(
    run: Run, status: Status, again: str, start: Callable[[], None], *, kept: str = ""
) -> None:
    """Show work that no process is doing and that is not done.

    Parameters
    ----------
    run, status : Run, Status
        See `ser.training.runs.Run.read_status`.
    again : str
        Words for the button that calls `start`.
    start : callable
        Has a process do it.
    kept : str
        What is kept of it if its process was killed.
    """
    name = run.folder.name
    with st.container(border=True), layout.errors_for_people():
        words = status.message
        if status.state == "interrupted":
            words = f"Its process ended before it was done. {kept}".strip()
        st.write(f"**{layout.plain(name)}** ({status.state}): {layout.plain(words)}")
        with st.container(horizontal=True):
            if st.button(again, key=f"again {name}", icon=":material/replay:"):
                with st.spinner("Starting …"):
                    start()
                st.rerun()
            if st.button("Remove", key=f"remove {name}", icon=":material/delete:"):
                processes.delete(run)
                st.rerun()


def show_remove(name: str) -> None:
    """Offer to remove an evaluation that was made here."""
    with st.popover("Remove this evaluation", icon=":material/delete:", type="tertiary"):
        st.write("Its report is deleted for good.")
        if st.button("Remove", key=f"remove {name}"):
            with layout.errors_for_people():
                processes.delete(Run(workspace.evaluations() / name))
                st.session_state["open report"] = catalogue.entries()[0].key
                st.rerun()
