"""The live microphone: probabilities and verdict while someone speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import streamlit as st

from ser import plots
from ser.app.widgets import layout, microphone
from ser.labels import COLORS

if TYPE_CHECKING:
    from ser.models.recognizer import Recognizer
    from ser.models.streaming import Heard, Listener

_REFRESH = 0.3  # seconds; the listener answers every .4 s


def show_live(model: Recognizer) -> None:
    """Show the live microphone of this visitor."""
    from ser.models.streaming import KEEP_SECONDS, Listener

    st.caption(
        "Sound goes to the computer this app runs on and stays in its memory, at most the last "
        f"{KEEP_SECONDS / 60:.0f} minutes, until you forget it or close the tab. Nothing is stored "
        "unless you keep it. Your browser's noise suppression and gain control are switched off."
    )
    ear = microphone.connect("live", lambda: Listener(model))
    listener = cast("Listener | None", ear.recorder)
    if listener is None:
        st.info(
            "Press *Start listening* and speak, best a whole sentence at a time. The bars show "
            "what the model makes of the last 3 seconds.",
            icon=":material/mic:",
        )
    elif ear.listening:
        _moving(listener, model.labels)
        _session(listener, model.labels)
    else:
        _summary(ear, listener, model.labels)


@st.fragment(run_every=_REFRESH)
def _moving(listener: Listener, labels: tuple[str, ...]) -> None:
    heard = listener.heard()
    if heard.error:
        st.error(f"Listening failed: {heard.error}. Stop and start again.")
        return
    left, right = st.columns([1, 2])
    with left:
        shown = heard.verdict
        if heard.probabilities is not None and heard.verdict == "sure":
            shown = str(heard.probabilities.idxmax())
        st.metric("Emotion", shown, border=True)
        microphone.show_sound(listener.sound())
    with right:
        st.html(_bars(heard, labels), width="stretch")
        if heard.lag is not None:
            st.caption(f"Answer {heard.lag:.2f} s after the sound arrived.")


@st.fragment(run_every=2.0)
def _session(listener: Listener, labels: tuple[str, ...]) -> None:
    _timeline(listener, labels)


def _summary(ear: microphone.Ear, listener: Listener, labels: tuple[str, ...]) -> None:
    st.subheader("What was heard")
    if not listener.sound().seconds:
        st.warning("No sound arrived. Press Start listening to try again.")
        return
    recording = listener.recording()
    st.audio(recording, format="audio/wav")
    _timeline(listener, labels)
    keep, table, forget = st.columns(3)
    keep.download_button(
        "Keep as WAV", recording, "microphone.wav", icon=":material/save:", width="stretch"
    )
    table.download_button(
        "Answers as CSV",
        listener.answers().to_csv(index=False, float_format="%.5f"),
        "microphone.csv",
        icon=":material/download:",
        width="stretch",
    )
    if forget.button("Forget it", icon=":material/delete:", width="stretch"):
        ear.recorder = None
        st.rerun()


def _timeline(listener: Listener, labels: tuple[str, ...]) -> None:
    from ser.models.streaming import HOP_SECONDS

    answers = listener.answers()
    if len(answers):
        late = answers[answers["end"] > answers["end"].max() - 60]
        st.caption("The last minute; gaps are pauses, pale bars are uncertain.")
        layout.show(
            plots.timeline(late, labels, hop=HOP_SECONDS),
            alt="Probabilities of the emotions over the last minute",
            key="session",
        )


def _bars(heard: Heard, labels: tuple[str, ...]) -> str:
    """Return bars as HTML: a chart would be drawn anew for each of three answers a second."""
    pale = 1.0 if heard.verdict == "sure" else 0.45
    rows = []
    for label in labels:
        share = 0.0 if heard.probabilities is None else float(heard.probabilities[label])
        rows.append(
            f'<div style="display:flex;align-items:center;gap:.6em;margin:.35em 0" role="listitem">'
            f'<span style="width:5.5em">{label}</span>'
            f'<span style="flex:1;background:rgba(125,133,144,.18);border-radius:4px">'
            f'<span style="display:block;height:1.1em;border-radius:4px;width:{share:.1%};'
            f'background:{COLORS.get(label, "#7d8590")};opacity:{pale};transition:width .3s">'
            f'</span></span><span style="width:3em;text-align:right">{share:.0%}</span></div>'
        )
    return f'<div role="list" aria-label="Probabilities now">{"".join(rows)}</div>'
