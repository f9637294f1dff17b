"""Letting a model learn the visitor's voice, and showing what that gave."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import streamlit as st

from ser import assets, plots
from ser.app import catalogue, workspace
from ser.app.glossary import TERMS
from ser.app.widgets import layout, resources
from ser.data import corpora
from ser.data.recordings import Voice
from ser.errors import BundleError, DataError
from ser.evaluation.few_shot_report import Adaptation
from ser.evaluation.figures import as_table
from ser.models import bundle

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


def show_learning(voice: Voice) -> None:
    """Adapt a model to the recordings, and show it before and after."""
    counts = voice.recordings()["emotion"].value_counts()
    if len(counts) < 2:
        st.info(
            "Recordings of at least two emotions are needed, best five of every one. Record or "
            "import them first.",
            icon=":material/mic:",
        )
        return
    st.write(
        f"A copy of a model learns your {counts.sum()} recordings in seconds. The model itself is "
        "not changed, and the copy stays on this computer."
    )
    parents = [folder for folder in workspace.models() if not _is_adapted(folder)]
    parent = st.selectbox(
        "Model that learns",
        parents,
        format_func=layout.model_label,
        help="The copy keeps what this model knows; where you gave few recordings, it relies on "
        "that.",
    )
    name = st.text_input(
        "Name of the copy",
        "my-voice",
        help="Letters, digits, - and _. A copy of that name that learned before is replaced.",
    )
    if st.button("Learn my voice", type="primary", icon=":material/school:"):
        with layout.errors_for_people():
            _learn(voice, parent, name)
    folder = workspace.folder() / name
    if _NAME.fullmatch(name) and _is_adapted(folder):
        report = catalogue.find_report(folder / "report.json")
        if report is not None and report.adaptation is not None:
            with layout.errors_for_people():
                _show(folder, report.adaptation)


def _learn(voice: Voice, parent: Path, name: str) -> None:
    from ser.evaluation import few_shot
    from ser.models.adaptation import enrol

    if not _NAME.fullmatch(name):
        raise DataError(
            f"{name!r} cannot be a name. Use letters (a to z), digits, - and _, at most 60."
        )
    bar = st.progress(0.0, "Listening to your recordings …")

    def progress(what: str, done: int, total: int) -> None:
        bar.progress(done / total, f"{what}: {done} of {total}")

    model = resources.recognizer(parent)
    corpus = corpora.inspect(corpora.scan(voice.folder), n_jobs=1, progress=progress)
    recordings = enrol(model, corpus.clips, n_jobs=1, progress=progress)
    few_shot.adapt(model, recordings, workspace.folder() / name)
    bar.empty()


def _show(folder: Path, result: Adaptation) -> None:
    st.subheader("Before and after")
    st.write(f"**{result.sentence}** {result.advice}")
    for note in result.notes:
        st.caption(note)
    columns = st.columns(2)
    halves = (("before", result.before), ("after", result.after))
    for column, (when, figures) in zip(columns, halves, strict=True):
        low, high = figures.accuracy_interval
        change = figures.accuracy - result.before.accuracy
        with column:
            st.metric(
                f"Right {when} learning",
                f"{figures.accuracy:.0%}",
                delta=f"{100 * change:+.0f} points" if when == "after" else "as it was",
                delta_color="normal" if when == "after" else "off",
                delta_arrow="auto" if when == "after" else "off",
                border=True,
                help=TERMS["accuracy"],
            )
            st.caption(
                f"{figures.right} of {result.n} recordings; 95 %: {low:.0%} to {high:.0%}; "
                f"UAR {figures.uar:.0%}.",
                help=TERMS["UAR"],
            )
            matrix, labels = figures.confusion_matrix, result.labels
            layout.show(
                plots.confusion(matrix, labels),
                table=pd.DataFrame(matrix, index=labels, columns=labels)
                .rename_axis("truth")
                .reset_index(),
                alt=f"Confusion matrix of the recordings {when} learning",
            )
    if len(result.curve) > 2:
        curve = as_table(result.curve)
        layout.show(
            plots.learning_curve(curve),
            table=curve,
            alt="Accuracy against the number of recordings per emotion that were learned",
        )
    active = workspace.active_model() == folder
    use, back = st.columns(2)
    if use.button(
        "It answers in this app" if active else "Make it the active model",
        icon=":material/check:",
        disabled=active,
        width="stretch",
    ):
        workspace.set_active_model(folder)
        st.rerun()
    if back.button(
        "Back to everyday", icon=":material/undo:", disabled=not active, width="stretch"
    ):
        workspace.set_active_model(assets.DEFAULT_MODEL)
        st.rerun()
    st.page_link(
        "pages/4_Prediction.py", label="Try it on the Prediction page", icon=":material/mic:"
    )


def _is_adapted(folder: Path) -> bool:
    try:
        return "adapted" in bundle.read_manifest(folder).training
    except BundleError:
        return False
