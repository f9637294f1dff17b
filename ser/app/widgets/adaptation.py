"""Letting a model learn the visitor's voice, and showing what that gave."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from ser import assets, plots
from ser.app import catalogue, learned, workspace
from ser.app.glossary import TERMS
from ser.app.widgets import layout, resources, visitor
from ser.data import corpora
from ser.data.recordings import Voice
from ser.evaluation.few_shot_report import Adaptation
from ser.evaluation.figures import as_table

_SHOWN = "learned-last"  # name of the model that this visitor let learn last


def show_learning(voice: Voice) -> None:
    """Adapt a model to the recordings, and show it before and after."""
    counts = voice.recordings()["emotion"].value_counts()
    if len(counts) < 2:
        st.info(
            "At least two emotions are needed, ideally with five recordings each. Record or "
            "import them first.",
            icon=":material/mic:",
        )
        return
    st.write(
        f"A copy of a model learns your {counts.sum()} recordings in seconds. The model itself is "
        "not changed, and the copy stays on this computer."
    )
    parents = [folder for folder in workspace.models() if not learned.is_learned(folder)]
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
            st.session_state[_SHOWN] = name


def show_models() -> None:
    """List the models that learned a voice and what that gave, to try, take along and delete."""
    folders = learned.models()
    if not folders:
        return
    st.subheader("Models that learned from your recordings", anchor=False)
    for folder in folders:
        report = catalogue.find_report(folder / "report.json")
        result = report.adaptation if report is not None else None
        active = workspace.active_model() == folder
        words = f"**{folder.name}**" + (", the active model" if active else "")
        if result is not None:
            words += f": {result.before.accuracy:.0%} → {result.after.accuracy:.0%} right"
        open_first = st.session_state.get(_SHOWN) == folder.name
        with st.expander(words, expanded=open_first), layout.errors_for_people():
            _actions(folder, active)
            if result is not None:
                _show(result)


def _actions(folder: Path, active: bool) -> None:
    use, take, more = st.columns(3)
    if active:
        back = use.button(
            "Back to everyday", icon=":material/undo:", width="stretch", key=f"back-{folder.name}"
        )
        if back:
            workspace.set_active_model(assets.DEFAULT_MODEL)
            st.rerun()
        st.page_link(
            "pages/4_Prediction.py", label="Try it on the Prediction page", icon=":material/mic:"
        )
    elif use.button(
        "Make it the active model",
        icon=":material/check:",
        width="stretch",
        key=f"use-{folder.name}",
    ):
        workspace.set_active_model(folder)
        st.rerun()
    take.download_button(
        "Download",
        lambda: learned.packed(folder),
        f"{folder.name}.zip",
        icon=":material/download:",
        width="stretch",
        key=f"take-{folder.name}",
    )
    with more.popover("Rename or delete", icon=":material/edit:", width="stretch"):
        name = st.text_input("New name", folder.name, key=f"name-{folder.name}")
        if st.button("Rename", key=f"rename-{folder.name}", disabled=name == folder.name):
            learned.rename(folder, name)
            st.rerun()
        if st.button("Delete this model", type="primary", key=f"delete-{folder.name}"):
            learned.delete(folder)
            st.rerun()


def _learn(voice: Voice, parent: Path, name: str) -> None:
    from ser.evaluation import few_shot
    from ser.models.adaptation import enrol

    folder = learned.folder_of(name)
    visitor.check_space()
    bar = st.progress(0.0, "Loading the model (a few seconds, the first time only) …")

    def progress(what: str, done: int, total: int) -> None:
        bar.progress(done / total, f"{what}: {done} of {total}")

    model = resources.recognizer(parent)
    corpus = corpora.inspect(corpora.scan(voice.folder), n_jobs=1, progress=progress)
    recordings = enrol(model, corpus.clips, n_jobs=1, progress=progress)
    few_shot.adapt(model, recordings, folder)
    bar.empty()


def _show(result: Adaptation) -> None:
    st.write(f"**{result.sentence}** {result.advice}")
    for note in result.notes:
        st.caption(layout.plain(note))
    columns = st.columns(2)
    halves = (("before", result.before), ("after", result.after))
    for column, (when, figures) in zip(columns, halves, strict=True):
        low, high = figures.accuracy_interval
        change = figures.accuracy - result.before.accuracy
        with column:
            st.metric(
                f"Accuracy {when} learning",
                f"{figures.accuracy:.0%}",
                delta=f"{100 * change:+.0f} points" if when == "after" else "as it was",
                delta_color="normal" if when == "after" else "off",
                delta_arrow="auto" if when == "after" else "off",
                border=True,
                help=TERMS["accuracy"],
            )
            st.caption(
                f"{figures.right} of {result.n} recordings; 95%: {low:.0%} to {high:.0%}; "
                f"average recall {figures.uar:.0%}.",
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
