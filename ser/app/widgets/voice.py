"""How far the model has got used to a visitor's voice, and how it is made to forget it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import reduce
from typing import TYPE_CHECKING

import streamlit as st

from ser import audio
from ser.models.voice import ENOUGH, Voice

if TYPE_CHECKING:
    from ser.models.recognizer import Recognizer

_KEY = "voice"  # of this visitor: model, and what each recording tells of the voice


def show_progress(count: int, forget: Callable[[], None], *, key: str) -> None:
    """Say how many clips of a voice were listened to, with a button that forgets them.

    Parameters
    ----------
    count : int
        How many.
    forget : callable
        Forgets them.
    key : str
        Names the button.
    """
    done = min(count, ENOUGH)
    words = (
        f"Used to this voice after {count} sentences"
        if count >= ENOUGH
        else f"Getting used to this voice: {count} of {ENOUGH} sentences"
    )
    st.progress(done / ENOUGH, words)
    st.button(
        "Forget this voice",
        key=key,
        icon=":material/person_off:",
        disabled=not count,
        on_click=forget,
        help="When somebody else speaks. What was heard only tells how the voice usually sounds; "
        "it is kept in memory until the page is closed.",
    )


def voice_in(model: Recognizer, recording: bytes) -> Voice:
    """Return what a recording tells of the voice in it.

    Raises
    ------
    AudioError
        If it cannot be used.
    """
    clip = audio.prepare_clip(audio.load_audio(recording))
    return model.heard(Voice(), model.extractor.batch([model.extractor.extract(clip.samples)]))


def joined(voices: Iterable[Voice]) -> Voice:
    """Return what is known by all of them."""
    return reduce(Voice.joined, voices, Voice())


def used_to(model: Recognizer, recording: bytes) -> Recognizer:
    """Return a model that knows this visitor's voice by what was recorded before.

    The recording is remembered for the next ones.

    Raises
    ------
    AudioError
        If it cannot be used.
    """
    if not model.listens:
        return model
    name = model.manifest.model_sha256
    known, heard = st.session_state.get(_KEY, (name, {}))
    heard = heard if known == name else {}
    digest = hashlib.sha256(recording).hexdigest()
    if digest not in heard:
        heard[digest] = voice_in(model, recording)
    st.session_state[_KEY] = name, heard
    return model.knowing(joined(v for other, v in heard.items() if other != digest))


def show_known(model: Recognizer) -> None:
    """Say how far this model knows the visitor's voice by what was recorded, if anything was."""
    name, heard = st.session_state.get(_KEY, ("", {}))
    if model.listens and name == model.manifest.model_sha256:

        def forget() -> None:
            # The recording that is still on the page must not be learned again.
            heard.update(dict.fromkeys(heard, Voice()))

        show_progress(joined(heard.values()).count, forget, key="forget-voice")
