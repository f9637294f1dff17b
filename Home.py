"""The front door: what this is, a first prediction, how good the model is, and where to go."""

import os

import streamlit as st

import ui
from ser import report, workspace
from ser.emotions import EMOTIONS
from ui import answer

ui.page("Speech emotion recognition", layout="centered")
st.write(
    "A neural network listens to three seconds of speech and names the emotion: "
    f"{', '.join(EMOTIONS[:-1])} or {EMOTIONS[-1]}. Everything it sees, and every figure about "
    "it, can be looked at and made again. It learned from acted emotions, so it hears how a "
    "feeling is portrayed, not what anyone feels."
)

st.subheader("Try it")
clips = ui.samples().set_index("name")
name = st.selectbox(
    "A sample",
    clips.index,
    index=clips.index.tolist().index("03-01-05-01-01-01-28.flac"),
    format_func=ui.sample_label,
    help="Synthetic speech made by a script, not recordings of people.",
)
clip = clips.loc[name]
with open(clip["path"], "rb") as file:
    data = file.read()
st.audio(data, format="audio/flac")
if st.button("Which emotion is it?", type="primary", icon=":material/hearing:"):
    st.session_state["home"] = name
if st.session_state.get("home") == name:  # the answer of another sample is never shown for this
    with ui.errors_for_people():
        answer.show_answer(data, name, ui.recognizer(), truth=clip["emotion"])

st.subheader("The model")
folder = workspace.active_model()
figures = report.read_report(folder)
st.write(f"**{ui.model_label(folder)}** answers in this app.")
if figures is None:
    st.warning("It has no report, so nothing can be said about its accuracy.")
else:
    columns = st.columns(3)
    words = {"accuracy": "Accuracy", "weighted_f1": "Weighted F1", "uar": "Average recall"}
    terms = {"accuracy": "accuracy", "weighted_f1": "F1", "uar": "UAR"}
    for column, (key, label) in zip(columns, words.items(), strict=True):
        low, high = figures[f"{key}_interval"]
        column.metric(label, f"{figures[key]:.1%}", border=True, help=ui.TERMS[terms[key]])
        column.caption(f"95 %: {low:.1%} to {high:.1%}")
    st.write(
        f"On {figures['n_test']} clips of {', '.join(figures['corpora'])} that it never heard: "
        f"{figures['protocol_in_words']}."
    )
if folder == workspace.SHIPPED_MODEL:
    unheard = next(
        (r for n in ("speakers", "speakers-quick") if (r := ui.published(n)) is not None), None
    )
    if unheard is not None:
        low, high = unheard["accuracy_interval"]
        st.write(
            "On **people it never heard**, models trained in the same way are right on "
            f"**{unheard['accuracy']:.1%}** (95 %: {low:.1%} to {high:.1%}) of "
            f"{unheard['n_test']} clips. Expect that, or less, for your own voice."
        )

st.subheader("Where to go")
for page, label, icon, what in (
    ("1_Dataset", "Dataset", "library_music", "look at and listen to emotional speech"),
    ("2_Training", "Training", "model_training", "train a model and watch it learn"),
    ("3_Evaluation", "Evaluation", "fact_check", "how good a model is, and where it errs"),
    ("4_Prediction", "Prediction", "mic", "a file, a recording or your live microphone"),
    ("5_Your_voice", "Your voice", "record_voice_over", "let it learn your own voice"),
):
    if (workspace.PROJECT / "pages" / f"{page}.py").is_file():
        st.page_link(f"pages/{page}.py", label=f"**{label}**: {what}", icon=f":material/{icon}:")

st.subheader("Recordings at hand")
names = ["the built-in samples (120 synthetic clips)"]
names += [os.path.relpath(path, workspace.PROJECT) for path in workspace.corpora()]
st.write(", ".join(names) + ".")
if len(names) == 1:
    st.caption("The Dataset page fetches RAVDESS, 2452 recordings of 24 actors, with one button.")

ui.finish()
