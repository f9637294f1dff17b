"""The front door: speak and be answered, or guess first; how good the model is; where to go."""

from __future__ import annotations

import streamlit as st

from ser import assets
from ser.app import catalogue, workspace
from ser.app.widgets import answer, frame, game, layout, microphone, resources, voice
from ser.evaluation.report import Report

_LANGUAGES = {"ased": "Amharic", "emodb": "German", "emovo": "Italian"}


def show() -> None:
    """Show the page."""
    frame.page("Speech emotion recognition", wide=False)
    st.write(
        "Say a sentence, and a neural network names the emotion it hears. It learned from acted "
        "emotions: it hears how a feeling is portrayed, not what anyone feels."
    )
    # What is not seen is not drawn: the browser has less to do.
    speak, guess = st.tabs(["Speak", "Guess first"], key="way", on_change="rerun")
    if speak.open:
        with speak:
            show_microphone()
    if guess.open:
        with guess:
            game.show()

    figures = st.expander(
        "How good is it?", icon=":material/fact_check:", key="how-good", on_change="rerun"
    )
    if figures.open:
        with figures:
            show_figures()

    st.subheader("Where to go", anchor=False)
    for page, label, icon, what in (
        ("4_Prediction", "Prediction", "mic", "files, long recordings, the live microphone"),
        ("5_Your_voice", "Your voice", "record_voice_over", "let it learn your own voice"),
        ("1_Dataset", "Dataset", "library_music", "look at and listen to emotional speech"),
        ("2_Training", "Training", "model_training", "train a model and watch it learn"),
        ("3_Evaluation", "Evaluation", "fact_check", "how good a model is, and where it errs"),
    ):
        st.page_link(f"pages/{page}.py", label=f"**{label}**: {what}", icon=f":material/{icon}:")

    frame.finish()


def show_microphone() -> None:
    """Record a sentence and answer it."""
    if microphone.show_problem():
        return
    recording = st.audio_input(
        "Press the microphone, say a sentence, and press it again", key="home"
    )
    if recording is None:
        st.caption("Two or three seconds are best, said the way you want it to sound.")
        return
    with layout.errors_for_people():
        data = recording.getvalue()
        folder = workspace.active_model()
        model = voice.used_to(resources.recognizer(), data)
        answer.show_answer(data, "recording", model, folder=folder)
        voice.show_known(model)


def show_figures() -> None:
    """Say in plain sentences how often the model is right, and with whom."""
    folder = workspace.active_model()
    st.write(f"**{layout.plain(layout.model_label(folder))}** is the active model.")
    own = catalogue.find_report(folder / "report.json")
    clips = (
        "Your recordings, each answered by what was learned from the others"
        if own is not None and own.adaptation is not None
        else "New clips from the studios it learned from"
    )
    listened = catalogue.REPORTS / "corpora-after-10.json"
    used = catalogue.find_report(listened) if folder == assets.DEFAULT_MODEL else None
    strangers = catalogue.on_strangers(folder)
    said = [
        sentence(who, report)
        for who, report in (
            (clips, own),
            ("People it has never heard, elsewhere", strangers),
            ("The same people, once it has heard ten clips of each in various emotions", used),
        )
        if report is not None
    ]
    if strangers is not None and strangers.protocol == "corpora":
        languages = [
            f"{language} {fold.accuracy:.0%}"
            for fold in strangers.folds
            if (language := _LANGUAGES.get(fold.corpus))
        ]
        said.append(f"- Other languages, none of which it had heard: {', '.join(languages)}.")
    if strangers is not None:
        sure = strangers.sure_answers()
        if sure.accuracy is not None:
            said.append(
                f"- It is sure of {sure.n / sure.of:.0%} of its answers to people it has never "
                f"heard, and {sure.accuracy:.0%} of these are right."
            )
    st.markdown("\n".join(said) if said else "It has no report, so nothing can be said about it.")
    st.caption("Guessing among eight emotions would be right 12.5% of the time.")
    st.page_link("pages/3_Evaluation.py", label="All reports", icon=":material/fact_check:")


def sentence(who: str, report: Report) -> str:
    """Say how much of a test was right."""
    return f"- {who}: **{report.headline:.0%}** right ({report.n_test} clips)."
