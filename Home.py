"""The front door: what this is, how good the model is, and a first prediction."""

import streamlit as st

import ui
from ser import report, workspace
from ser.emotions import EMOTIONS
from ui import answer

st.set_page_config(page_title="Speech emotion", page_icon=ui.ICON, layout="centered")

st.title("Speech emotion recognition")
st.write(
    "A neural network listens to three seconds of speech and names the emotion: "
    f"{', '.join(EMOTIONS[:-1])} or {EMOTIONS[-1]}. What it hears and how often it is right can be "
    "looked at. It was trained on acted emotions, so it hears how a feeling is portrayed, "
    "not what anyone feels."
)

st.subheader("Try it")
clips = ui.samples()
first = clips[clips["emotion"] == "angry"]["name"].iloc[0]
names = clips["name"].tolist()
name = st.selectbox(
    "A sample",
    names,
    index=names.index(first),
    format_func=ui.sample_label,
    help="Synthetic speech made by a script, not recordings of people.",
)
clip = clips.set_index("name").loc[name]
with open(clip["path"], "rb") as file:
    data = file.read()
st.audio(data, format="audio/flac")
if st.button("Which emotion is it?", type="primary", icon=":material/hearing:"):
    st.session_state["home"] = name
if st.session_state.get("home") == name:  # the answer of another sample is never shown for this
    with ui.errors_for_people():
        answer.show_answer(data, name, ui.recognizer(), truth=clip["emotion"])
st.page_link("pages/4_Prediction.py", label="Try your own recording", icon=":material/upload_file:")

st.subheader("The model")
figures = report.read_report(workspace.active_model())
if figures is None:
    st.warning("The shipped model has no report, so nothing can be said about its accuracy.")
else:
    columns = st.columns(3)
    for column, (label, key) in zip(
        columns,
        [("Accuracy", "accuracy"), ("Weighted F1", "weighted_f1"), ("Average recall", "uar")],
        strict=True,
    ):
        low, high = figures[f"{key}_interval"]
        column.metric(label, f"{figures[key]:.1%}", border=True)
        column.caption(f"95 %: {low:.1%} to {high:.1%}")
    st.write(
        f"On {figures['n_test']} clips of {', '.join(figures['corpora'])} that it never heard: "
        f"{figures['protocol_in_words']}."
    )
    unheard = report.read_report(workspace.PROJECT / "reports", "speakers-quick.json")
    if unheard:
        st.write(
            "On **speakers it never heard** a model of this kind (quick preset) is right on "
            f"{unheard['accuracy']:.1%} of {unheard['n_test']} clips."
        )

ui.finish()
