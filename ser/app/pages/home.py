"""The front door: what this is, a first prediction, how good the model is, and where to go."""

from __future__ import annotations

import streamlit as st

from ser import assets
from ser.app import catalogue, workspace
from ser.app.glossary import TERMS
from ser.app.widgets import answer, layout, resources
from ser.evaluation.report import Report
from ser.labels import EMOTIONS


def show_figures(heading: str, report: Report, words: str) -> None:
    """Show an accuracy with its interval, and what it is about."""
    low, high = report.accuracy_interval
    st.metric(heading, f"{report.accuracy:.1%}", border=True, help=TERMS["accuracy"])
    st.caption(
        f"right, 95 % interval {low:.1%} to {high:.1%}; weighted F1 {report.weighted_f1:.3f}, "
        f"UAR {report.uar:.1%}, on {report.n_test} clips: {words}.",
        help=f"{TERMS['F1']} {TERMS['UAR']}",
    )


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
        index=clips.index.tolist().index("03-01-05-01-01-01-28.flac"),
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
            answer.show_answer(data, name, resources.recognizer(), truth=clip["emotion"])

    st.subheader("The model")
    folder = workspace.active_model()
    st.write(f"**{layout.model_label(folder)}** answers in this app.")

    own = catalogue.find_report(folder / "report.json")
    unseen = catalogue.expected_for_unseen_speakers()
    left, right = st.columns(2)
    with left:
        if own is None:
            st.warning("It has no report, so nothing can be said about its accuracy.")
        else:
            show_figures("On its own test clips", own, own.protocol_in_words)
    with right:
        if folder == assets.SHIPPED_MODEL and unseen is not None:
            show_figures(
                "On unseen speakers",
                unseen,
                f"{unseen.protocol_in_words} ({unseen.title}). Expect this, or less, for your own "
                "voice",
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
