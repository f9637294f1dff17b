"""Record, import and keep one's own takes, and let a model learn them."""

import streamlit as st

import ui
from ui import learning, voice

ui.page("Your voice", layout="centered")
st.write(
    "A model that learned from 24 actors in a studio is often wrong about a stranger at a laptop's "
    "microphone. Two minutes of your own voice change that: act each emotion a few times, and a "
    "copy of the model learns how *you* sound."
)
with ui.errors_for_people():
    mine = voice.choose()
    if mine is not None:
        part = st.segmented_control(
            "What to do",
            ["Record", "Import", "Takes", "Learn"],
            default="Record",
            required=True,
            key="part",
        )
        if part == "Record":
            voice.show_recording(mine)
        elif part == "Import":
            voice.show_import(mine)
        elif part == "Takes":
            voice.show_takes(mine)
        else:
            learning.show_learning(mine)

ui.finish()
