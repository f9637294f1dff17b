"""Record, import and keep one's own recordings, and adapt a model to them."""

from __future__ import annotations

import streamlit as st

from ser.app.widgets import (
    adaptation,
    frame,
    hands_free,
    layout,
    microphone,
    own_classes,
    recording,
)

_SHOWN = "voice part shown"  # to this visitor, when the page was drawn last


def show() -> None:
    """Show the page."""
    frame.page("Your voice", wide=False)
    st.write(
        "A model that has never heard you is often wrong about you. Two minutes of your own voice "
        "can change that: act each emotion a few times, and a copy of the model learns how you "
        "sound."
    )
    with layout.errors_for_people():
        mine = recording.choose()
        if mine is not None:
            part = st.segmented_control(
                "What to do",
                ["Record", "Import", "Recordings", "Learn", "Own classes"],
                default="Record",
                required=True,
                key="voice part",
                persist_state="session",
            )
            if st.session_state.get(_SHOWN) != part:
                microphone.stop()  # who comes to a part is not heard before they say so
                st.session_state[_SHOWN] = part
            if part == "Record":
                hands_free.show(mine)
            elif part == "Import":
                recording.show_import(mine)
            elif part == "Recordings":
                recording.show_recordings(mine)
            elif part == "Own classes":
                own_classes.show()
            else:
                adaptation.show_learning(mine)
                adaptation.show_models()

    frame.finish()
