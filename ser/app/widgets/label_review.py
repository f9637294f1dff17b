"""Going through labels by ear and keyboard: keep, correct, leave out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from ser.app.widgets import layout
from ser.data import corpora, label_review
from ser.data.label_review import CORRECT, DECISIONS, EXCLUDE, KEEP, Decision
from ser.errors import SerError
from ser.labels import EMOTIONS

IN_WORDS = {KEEP: "kept", CORRECT: "corrected", EXCLUDE: "left out"}


def take_back(location: Path, excluded: Sequence[str], go_on: Callable[[], None]) -> None:
    """Offer to have a clip again that was left out.

    Parameters
    ----------
    location : Path
        The corpus.
    excluded : sequence of str
        Clips that were left out.
    go_on : callable
        Called when one is taken back.
    """
    if not excluded:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Left out in label review",
            excluded,
            format_func=lambda path: label_review.place_of(path, location),
        )
        pressed = st.button("Take it back", icon=":material/undo:")
    if pressed:
        with layout.errors_for_people():
            label_review.decide(location, chosen, None)
            go_on()
            st.rerun()


def show(location: Path, path: str, emotion: str, go_on: Callable[[], None]) -> None:
    """Let the user decide about the label of a clip.

    Parameters
    ----------
    location : Path
        The corpus.
    path : str
        The clip.
    emotion : str
        Its label.
    go_on : callable
        Called after a decision, to open the next clip.
    """
    made: dict[str, Decision] | None = None
    with layout.errors_for_people():
        made = label_review.read_review(location)
    if made is None:
        return
    before = made.get(label_review.place_of(path, location))
    if "review failed" in st.session_state:
        st.error(layout.plain(st.session_state.pop("review failed")), icon=":material/error:")

    def decide(decision: Decision | None) -> None:
        try:
            # What is shown may be a correction, or from before the last decision.
            named = corpora.named_emotion(location, path)
            label_review.decide(location, path, decision, named=named)
        except SerError as error:
            st.session_state["review failed"] = str(error)
        else:
            if decision is not None:
                go_on()

    with st.container(border=True, key="label_review"):
        said = f"This clip was {IN_WORDS[before.decision]}" if before else "Is the label right?"
        if before and before.corrected:
            said += f" to {before.corrected}"
        st.markdown(f"**Label: {emotion}.** {said}")
        with st.container(horizontal=True):
            st.button(
                "Keep",
                icon=":material/check:",
                shortcut="K",
                on_click=decide,
                args=(Decision(emotion, KEEP),),
            )
            st.button(
                "Leave out",
                icon=":material/block:",
                shortcut="X",
                on_click=decide,
                args=(Decision(emotion, EXCLUDE),),
            )
            st.button(
                "Undo",
                icon=":material/undo:",
                shortcut="U",
                disabled=before is None,
                on_click=decide,
                args=(None,),
            )
        with st.container(horizontal=True):
            for number, label in enumerate(EMOTIONS, 1):
                st.button(
                    label.capitalize(),
                    shortcut=str(number),
                    disabled=label == emotion,
                    on_click=decide,
                    args=(Decision(emotion, CORRECT, label),),
                )
        decisions = [decision.decision for decision in made.values()]
        done = ", ".join(f"{decisions.count(name)} {IN_WORDS[name]}" for name in DECISIONS)
        st.caption(
            f"So far {done}; saved in {layout.plain(label_review.review_file(location).name)} "
            "beside the corpus. *Rescan*, trainings and tests take it into account."
        )
