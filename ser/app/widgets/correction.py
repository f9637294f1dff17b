"""Asking whether an answer was right: what the visitor says becomes a recording of their voice."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ser.app.widgets import layout, recording, visitor
from ser.labels import EMOTIONS

_KEPT = "corrected"  # of this visitor: what was kept as what, so that nothing is kept twice


def ask(data: bytes, digest: str, labels: Sequence[str]) -> None:
    """Ask what a recording really was, and keep it once its speaker agrees.

    Parameters
    ----------
    data : bytes
        Content of an audio file.
    digest : str
        Names it.
    labels : sequence of str
        What can be answered.
    """
    if not set(labels) <= set(EMOTIONS):  # a voice is kept with the eight emotions only
        return
    kept: dict[str, str] = st.session_state.setdefault(_KEPT, {})
    if digest in kept:
        st.success(
            f"Kept as {kept[digest]}. A few recordings of each emotion teach a model your voice.",
            icon=":material/check:",
        )
        return
    truth = st.pills(
        "Was that right? If it was you, say what it was, and the model can learn from it:",
        labels,
        key=f"truth-{digest}",
    )
    if truth is None:
        return
    with layout.errors_for_people():
        if not recording.agreed():
            return
        visitor.check_space()
        recording.current().add(data, truth, "corrected")
        kept[digest] = truth
        st.rerun()
