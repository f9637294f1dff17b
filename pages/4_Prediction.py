"""Ask the model about a sample or an uploaded recording."""

import streamlit as st

import ui
from ser import audio
from ui import answer

st.set_page_config(page_title="Prediction", page_icon=ui.ICON, layout="centered")

st.title("Prediction")
st.write("Give the model a recording and see which emotion it hears, and what it heard.")

source = st.segmented_control(
    "Recording", ["Upload", "Sample"], default="Upload", label_visibility="collapsed"
)

if source == "Sample":
    clips = ui.samples().set_index("name")
    name = st.selectbox("Sample", clips.index, format_func=ui.sample_label)
    st.caption("Samples are synthetic speech made by a script, not recordings of people.")
    with open(clips.loc[name, "path"], "rb") as file:
        data = file.read()
    st.audio(data, format="audio/flac")
    with ui.errors_for_people():
        answer.show_prediction(data, name, clips.loc[name, "emotion"])
else:
    upload = st.file_uploader(
        "An audio file",
        type=[extension.removeprefix(".") for extension in audio.EXTENSIONS],
        help="Mono or stereo, any rate. The file stays on this computer's server and is not kept.",
    )
    if upload is None:
        st.info(
            "Choose a recording of one person speaking, best a sentence of about three seconds. "
            "Longer ones get a timeline.",
            icon=":material/upload_file:",
        )
    else:
        data = upload.getvalue()
        st.audio(data)
        with ui.errors_for_people():
            answer.show_prediction(data, upload.name)

ui.finish()
