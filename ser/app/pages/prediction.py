"""Ask a model about a sample, files, a recording, the microphone as it speaks, or a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ser import audio
from ser.app import access, workspace
from ser.app.widgets import (
    answer,
    folder_answers,
    frame,
    layout,
    live,
    microphone,
    resources,
    visitor,
    voice,
)
from ser.models import bundle

if TYPE_CHECKING:
    from ser.models.recognizer import Recognizer


def show() -> None:
    """Show the page."""
    frame.page("Prediction", wide=False)
    source = st.segmented_control(
        "Where from?",
        ["Sample", "Upload", "Record", "Live", *(["Folder"] if access.may_change() else [])],
        default="Upload",
        required=True,
        key="source",
        bind="query-params",
    )
    if source != "Live":  # whose bars are to be seen without scrolling, on a phone as well
        microphone.stop()
        st.write(
            "Give the model a recording of one person speaking and see which emotion it hears, how "
            "sure it is, and why. It hears how a feeling is portrayed, not what anyone feels."
        )
    with layout.errors_for_people():
        with st.expander("Model and possible emotions", icon=":material/tune:"):
            models = workspace.models()
            folder = st.selectbox(
                "Model",
                models,
                index=models.index(workspace.active_model()),
                format_func=layout.model_label,
                help="By default the active one, which the Training page sets.",
            )
            possible = st.multiselect(
                "Possible emotions",
                bundle.read_manifest(folder).labels,
                placeholder="all of them",
                help="If you know which emotions can occur, choose them: the model then has fewer "
                "to confuse.",
            )

        def model() -> Recognizer:
            whole = resources.recognizer(folder)
            return whole.among(possible) if possible else whole

        if source == "Sample":
            clips = resources.samples().set_index("name")
            name = st.selectbox(
                "Sample",
                clips.index,
                index=clips.index.tolist().index(resources.FIRST_SAMPLE),
                format_func=layout.sample_labels().__getitem__,
            )
            st.caption("Samples are synthetic speech made by a script, not recordings of people.")
            with open(clips.loc[name, "path"], "rb") as file:
                data = file.read()
            st.audio(data, format="audio/flac")
            answer.show_answer(data, name, model(), folder=folder, truth=clips.loc[name, "emotion"])
        elif source == "Upload":
            uploads = st.file_uploader(
                "Audio files",
                type=[extension.removeprefix(".") for extension in audio.EXTENSIONS],
                accept_multiple_files=True,
                max_upload_size=visitor.largest_upload(400),
                help="Mono or stereo, any rate, up to half an hour each. They stay in the memory "
                "of the computer this app runs on and are not kept.",
            )
            if not uploads:
                st.info(
                    "Choose a recording of one person speaking, ideally a sentence of about "
                    "three seconds. A longer one gets a timeline, several get a table.",
                    icon=":material/upload_file:",
                )
            elif len(uploads) == 1:
                data = uploads[0].getvalue()
                st.audio(data)
                answer.show_answer(data, uploads[0].name, model(), folder=folder)
            else:
                asked = model()
                same = asked.listens and st.checkbox(
                    "The same person speaks in all of them",
                    help="Then the model gets used to the voice and hears each recording against "
                    "the others.",
                )
                files = [(u.name, u.getvalue()) for u in uploads]
                answer.show_files(files, asked, folder=folder, same_voice=same)
        elif source == "Record":
            blocked = microphone.show_problem()
            recording = None
            if not blocked:
                recording = st.audio_input(
                    "Record a sentence", help="Nothing of it is kept once you leave the page."
                )
            if recording is None and not blocked:
                st.info(
                    "Press the microphone, say a sentence the way you want it to sound, and "
                    "press it again. Two or three seconds are best.",
                    icon=":material/mic:",
                )
            elif recording is not None:
                data = recording.getvalue()
                asked = voice.used_to(model(), data)
                answer.show_answer(data, "recording", asked, folder=folder)
                voice.show_known(asked)
        elif source == "Folder":
            folder_answers.show(folder, possible)
        else:
            live.show_live(model())

    frame.finish()
