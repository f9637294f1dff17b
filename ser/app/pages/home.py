"""The front door: what this is, a first prediction, how good the model is, and where to go."""

from __future__ import annotations

import streamlit as st

from ser import assets
from ser.app import catalogue, workspace
from ser.app.glossary import TERMS
from ser.app.widgets import answer, layout, resources
from ser.evaluation.report import Report
from ser.labels import EMOTIONS


def show_figures(heading: str, report: Report) -> None:
    """Show how much of a test was right, and what was tested."""
    st.metric(heading, f"{report.headline:.1%}", border=True, help=TERMS["accuracy"])
    low, high = report.accuracy_interval
    words = f"right, 95 % interval {low:.1%} to {high:.1%}"
    if report.folds:
        each = [fold.accuracy for fold in report.folds]
        parts = "corpora" if report.protocol == "corpora" else "folds"
        words = f"right on average over {len(each)} {parts}, {min(each):.0%} to {max(each):.0%}"
    sure = report.sure_answers()
    st.caption(
        f"{words}; of {report.n_test} clips: {report.protocol_in_words}."
        + (f" Sure answers: {sure.accuracy:.0%} right." if sure.accuracy is not None else "")
    )


def show_model() -> None:
    """Say which model answers, and how good it is with whom."""
    folder = workspace.active_model()
    st.write(f"**{layout.model_label(folder)}** answers in this app.")
    figures = []
    if elsewhere := catalogue.on_strangers(folder):
        figures.append(("With people it has never heard", elsewhere))
    if folder == assets.DEFAULT_MODEL and (
        listened := catalogue.find_report(catalogue.REPORTS / "corpora-after-10.json")
    ):
        figures.append(("After ten sentences of each", listened))
    elif own := catalogue.find_report(folder / "report.json"):
        figures.append(("On its own test clips", own))
    if not figures:
        st.warning("It has no report, so nothing can be said about its accuracy.")
    for column, (heading, report) in zip(st.columns(2), figures, strict=False):
        with column:
            show_figures(heading, report)


def show() -> None:
    """Show the page."""
    layout.page("Speech emotion recognition", layout="centered")
    st.write(
        "A neural network listens to three seconds of speech and names the emotion: "
        f"{', '.join(EMOTIONS[:-1])} or {EMOTIONS[-1]}. Everything it sees, and every figure about "
        "it, can be looked at and made again. It learned from acted emotions, so it hears how a "
        "feeling is portrayed, not what anyone feels."
    )

    st.subheader("Try it")
    clips = resources.samples().set_index("name")
    name = st.selectbox(
        "A sample",
        clips.index,
        index=clips.index.tolist().index(resources.FIRST_SAMPLE),
        format_func=layout.sample_label,
        help="Synthetic speech made by a script, not recordings of people.",
    )
    clip = clips.loc[name]
    with open(clip["path"], "rb") as file:
        data = file.read()
    st.audio(data, format="audio/flac")
    if st.button("Which emotion is it?", type="primary", icon=":material/hearing:"):
        st.session_state["home"] = name
    if st.session_state.get("home") == name:  # the answer of another sample is never shown for this
        with layout.errors_for_people():
            answer.show_answer(
                data,
                name,
                resources.recognizer(),
                folder=workspace.active_model(),
                truth=clip["emotion"],
            )

    st.subheader("The model")
    show_model()
    known = catalogue.find_report(assets.RAVDESS_MODEL / "report.json")
    if known is not None and workspace.active_model() != assets.RAVDESS_MODEL:
        st.caption(
            f"The second model, **{assets.RAVDESS_MODEL.name}**, is right on {known.accuracy:.0%} "
            "of other clips of the 24 actors it learned from, and is mostly wrong with others. The "
            "Evaluation page has every report."
        )

    st.subheader("Where to go")
    for page, label, icon, what in (
        ("1_Dataset", "Dataset", "library_music", "look at and listen to emotional speech"),
        ("2_Training", "Training", "model_training", "train a model and watch it learn"),
        ("3_Evaluation", "Evaluation", "fact_check", "how good a model is, and where it errs"),
        ("4_Prediction", "Prediction", "mic", "a file, a recording or your live microphone"),
        ("5_Your_voice", "Your voice", "record_voice_over", "let it learn your own voice"),
    ):
        st.page_link(f"pages/{page}.py", label=f"**{label}**: {what}", icon=f":material/{icon}:")

    st.subheader("Recordings at hand")
    names = ["The built-in samples (120 synthetic clips)"]
    names += [layout.display_path(path) for path in workspace.corpora()]
    st.write(", ".join(names) + ".")
    if len(names) == 1:
        st.caption(
            "The Dataset page fetches RAVDESS, 2452 recordings of 24 actors, with one button."
        )

    layout.finish()
