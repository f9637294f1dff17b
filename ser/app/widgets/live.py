"""The live microphone: probabilities and verdict while someone speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import streamlit as st

from ser import plots
from ser.app.widgets import answer, layout, microphone, voice
from ser.labels import COLORS

if TYPE_CHECKING:
    from ser.models.recognizer import Recognizer
    from ser.models.streaming import StreamingAnswer, StreamingRecognizer

_REFRESH = 0.3  # seconds; the listener answers every .4 s


def show_live(model: Recognizer) -> None:
    """Show the live microphone of this visitor."""
    from ser.models.streaming import KEEP_SECONDS, StreamingRecognizer

    # Another model has answers of its own: what was heard for the one before goes.
    name = f"live-{model.manifest.model_sha256[:12]}-{'-'.join(model.labels)}"
    microphone.forget("live-", but=name)
    connection = microphone.connect(name, lambda: StreamingRecognizer(model))
    stream = cast("StreamingRecognizer | None", connection.recorder)
    if stream is None:
        st.info(
            "Press *Start listening* and speak, ideally a whole sentence at a time. The bars show "
            "what the model hears in the last 3 seconds.",
            icon=":material/mic:",
        )
    elif connection.listening:
        _moving(stream, stream.labels)
        _session(stream, stream.labels)
    else:
        _summary(connection, stream, stream.labels)
    st.caption(
        "Sound goes to the computer this app runs on and stays in its memory, at most the last "
        f"{KEEP_SECONDS / 60:.0f} minutes, until you forget it, start again, choose another model "
        "or other emotions, or close the tab. Nothing is stored unless you keep it. Your browser's "
        "noise suppression and gain control are switched off."
    )


@st.fragment(run_every=_REFRESH)
def _moving(stream: StreamingRecognizer, labels: tuple[str, ...]) -> None:
    current = stream.current()
    if current.error:
        words = f"Listening failed: {current.error}. Stop and start again."
        st.error(layout.plain(words))
        return
    best, share = "", 0.0
    if current.probabilities is not None:
        best, share = str(current.probabilities.idxmax()), float(current.probabilities.max())
    st.subheader(answer.headline(best, share, current.verdict), anchor=False)
    st.html(_bars(current, labels), width="stretch")
    if current.lag is not None:
        st.caption(f"Answer {current.lag:.2f} s after the sound arrived.")
    if stream.listens:
        voice.show_progress(stream.listened, stream.forget, key="live-voice")
    st.page_link(
        "pages/5_Your_voice.py", label="Teach it your voice", icon=":material/record_voice_over:"
    )
    microphone.show_sound(stream.signal())


@st.fragment(run_every=2.0)
def _session(stream: StreamingRecognizer, labels: tuple[str, ...]) -> None:
    from ser.models.streaming import HOP_SECONDS

    answers = stream.answers()
    if len(answers):
        late = answers[answers["end"] > answers["end"].max() - 60]
        layout.show(
            plots.timeline(late, labels, hop=HOP_SECONDS),
            alt="The likeliest emotion over the last minute",
            key="session",
        )
        st.caption("The last minute; gaps are pauses, pale marks are uncertain.")


def _summary(
    connection: microphone.Connection, stream: StreamingRecognizer, labels: tuple[str, ...]
) -> None:
    from ser.models.streaming import HOP_SECONDS

    st.subheader("What was heard")
    if not stream.signal().seconds:
        st.warning("No sound arrived. Press Start listening to try again.")
        return
    recording, begin = stream.recording(), stream.forgotten
    answers = stream.answers()
    chosen = None
    if len(answers):
        event = layout.show(
            plots.timeline(answers, labels, hop=HOP_SECONDS),
            alt="The likeliest emotion over the whole session",
            key="heard-session",
            on_select="rerun",
        )
        marks = event.selection.get("window") or []
        chosen = marks[0].get("start") if marks else None
        st.caption("Gaps are pauses, pale marks are uncertain. Click on a mark to hear it.")
    if chosen is None:
        st.audio(recording, format="audio/wav")
    else:
        start = max(float(chosen) - begin, 0.0)
        st.audio(recording, format="audio/wav", start_time=start, end_time=start + 3, autoplay=True)
        st.caption(f"Playing {plots.clock(float(chosen))} to {plots.clock(float(chosen) + 3)}.")
    keep, table, forget = st.columns(3)
    keep.download_button(
        "Keep as WAV", recording, "microphone.wav", icon=":material/save:", width="stretch"
    )
    table.download_button(
        "Answers as CSV",
        layout.csv(answers),
        "microphone.csv",
        icon=":material/download:",
        width="stretch",
    )
    if forget.button("Forget it", icon=":material/delete:", width="stretch"):
        connection.recorder = None
        st.rerun()


def _bars(current: StreamingAnswer, labels: tuple[str, ...]) -> str:
    """Return bars as HTML: a chart would be drawn anew for each of three answers a second."""
    pale = 1.0 if current.verdict == "sure" else 0.45
    rows = []
    for label in labels:
        share = 0.0 if current.probabilities is None else float(current.probabilities[label])
        rows.append(
            f'<div style="display:flex;align-items:center;gap:.6em;margin:.35em 0" role="listitem">'
            f'<span style="width:5.5em">{label}</span>'
            f'<span style="flex:1;background:rgba(125,133,144,.18);border-radius:4px">'
            f'<span style="display:block;height:1.1em;border-radius:4px;width:{share:.1%};'
            f'background:{COLORS.get(label, "#7d8590")};opacity:{pale};transition:width .3s">'
            f'</span></span><span style="width:3em;text-align:right">{share:.0%}</span></div>'
        )
    return f'<div role="list" aria-label="Probabilities now">{"".join(rows)}</div>'
