"""The live microphone: level, waveform, probabilities and verdict while someone speaks."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

import ui
from ser import charts
from ser.emotions import COLORS
from ui import microphone

if TYPE_CHECKING:
    import av

    from ser.live import Heard, Listener
    from ser.recognizer import Recognizer

_REFRESH = 0.3  # seconds; the listener answers every .4 s
_PATIENCE = 4.0  # seconds without sound before something is wrong
# What browsers do to speech for telephony would change how an emotion sounds.
_CONSTRAINTS = {
    "audio": {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False},
    "video": False,
}
_WORDS: Any = {
    "start": "Start listening",
    "stop": "Stop",
    "select_device": "Microphone",
    "device_access_denied": microphone.PROBLEMS["denied"],
    "device_not_available": microphone.PROBLEMS["none"],
    "media_api_not_available": microphone.PROBLEMS["insecure"],
    "device_ask_permission": "Please allow the microphone in the window your browser shows.",
}


class _Ear:
    """What one visitor's microphone is connected to; frames come on WebRTC's own thread."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.listening = False

    def hear(self, frame: av.AudioFrame) -> None:
        from ser.live import samples_of

        if self.listening and self.listener is not None:
            self.listener.push(samples_of(frame), frame.sample_rate)

    def close(self) -> None:
        self.listening = False
        if self.listener is not None:
            self.listener.stop()


def show_live(model: Recognizer) -> None:
    """Show the live microphone of this visitor."""
    from streamlit_webrtc import WebRtcMode, create_audio_sink_track, webrtc_streamer

    from ser.live import KEEP_SECONDS, Listener, ice_servers

    st.caption(
        "Sound goes to the computer this app runs on and stays in its memory until you leave the "
        f"page, at most the last {KEEP_SECONDS / 60:.0f} minutes. Nothing is stored unless you "
        "keep it. Your browser's own noise suppression and gain control are switched off."
    )
    microphone.show_problem()
    servers = ice_servers(os.environ.get("SER_ICE_SERVERS", ""))
    ear: _Ear = st.session_state.setdefault("ear", _Ear())
    context = webrtc_streamer(
        key="live",
        mode=WebRtcMode.SENDONLY,
        rtc_configuration={"iceServers": servers},
        media_stream_constraints=_CONSTRAINTS,
        sink_audio_track=create_audio_sink_track(ear.hear, key="live", on_ended=ear.close),
        translations=_WORDS,
    )
    if context.state.playing and not ear.listening:
        ear.close()
        ear.listener = Listener(model)
        ear.listening = True
    elif not context.state.playing and ear.listening:
        ear.close()
    if ear.listener is None:
        st.info(
            "Press *Start listening* and speak, best a whole sentence at a time. The bars show "
            "what the model makes of the last 3 seconds.",
            icon=":material/mic:",
        )
        if not servers:
            with st.expander("If it does not connect", icon=":material/lan:"):
                st.write(
                    "Without further servers the microphone reaches this app only on the same "
                    "computer or network. On the internet the app needs HTTPS and a TURN server: "
                    "set SER_ICE_SERVERS to a JSON list of them before it is started."
                )
        return
    if ear.listening:
        _moving(ear, model)
        _session(ear, model)
    else:
        _summary(ear, model)


@st.fragment(run_every=_REFRESH)
def _moving(ear: _Ear, model: Recognizer) -> None:
    if ear.listener is None:
        return
    heard = ear.listener.heard()
    if heard.error:
        st.error(f"Listening failed: {heard.error}. Stop and start again.")
        return
    if heard.since_sound > _PATIENCE:
        st.warning(
            "No sound arrives. The connection may be lost: press Stop, then Start listening."
            if heard.seconds
            else "No sound has arrived yet. If this lasts, press Stop, then Start listening.",
            icon=":material/signal_disconnected:",
        )
    elif heard.muted:
        st.warning(
            "The microphone sends only silence. Is it muted, at the device or in the system's "
            "settings, or is another one meant? Choose it under *Microphone* after Stop.",
            icon=":material/mic_off:",
        )
    left, right = st.columns([1, 2])
    with left:
        shown = heard.verdict
        if heard.probabilities is not None and heard.verdict == "sure":
            shown = str(heard.probabilities.idxmax())
        st.metric("Emotion", shown, border=True)
        clipped = " · too loud, it clips" if heard.clipped else ""
        level = f"{heard.level_dbfs:.0f} dBFS{clipped}" if heard.seconds else "waiting for sound"
        # -60 to 0 dBFS is what a level meter shows.
        st.progress(float(np.clip(1 + heard.level_dbfs / 60, 0, 1)), f"Level: {level}")
        st.html(_waveform(heard))
        delay = "" if heard.lag is None else f" · answer after {heard.lag:.2f} s"
        st.caption(f"{heard.seconds:.0f} s heard{delay}", help=ui.TERMS["dBFS"])
    with right:
        st.html(_bars(heard, model.labels))


@st.fragment(run_every=2.0)
def _session(ear: _Ear, model: Recognizer) -> None:
    if ear.listener is not None:
        _timeline(ear.listener, model)


def _summary(ear: _Ear, model: Recognizer) -> None:
    if ear.listener is None:
        return
    heard = ear.listener.heard()
    st.subheader("What was heard")
    if not heard.seconds:
        st.warning("No sound arrived. Press Start listening to try again.")
        return
    recording = ear.listener.recording()
    st.audio(recording, format="audio/wav")
    _timeline(ear.listener, model)
    keep, table, forget = st.columns(3)
    keep.download_button(
        "Keep as WAV", recording, "microphone.wav", icon=":material/save:", width="stretch"
    )
    table.download_button(
        "Answers as CSV",
        ear.listener.answers().to_csv(index=False, float_format="%.5f"),
        "microphone.csv",
        icon=":material/download:",
        width="stretch",
    )
    if forget.button("Forget it", icon=":material/delete:", width="stretch"):
        ear.listener = None
        st.rerun()


def _timeline(listener: Listener, model: Recognizer) -> None:
    from ser.live import HOP_SECONDS

    answers = listener.answers()
    if len(answers):
        st.caption("The last minute; gaps are pauses, pale bars are uncertain.")
        ui.show(
            charts.timeline(
                answers[answers["end"] > answers["end"].max() - 60], model.labels, hop=HOP_SECONDS
            ),
            alt="Probabilities of the emotions over the last minute",
            key="session",
        )


def _bars(heard: Heard, labels: tuple[str, ...]) -> str:
    """Return bars as HTML: a chart would be drawn anew for each of three answers a second."""
    rows = []
    for label in labels:
        share = 0.0 if heard.probabilities is None else float(heard.probabilities[label])
        pale = 1.0 if heard.verdict == "sure" else 0.45
        rows.append(
            f'<div style="display:flex;align-items:center;gap:.6em;margin:.35em 0" role="listitem">'
            f'<span style="width:5.5em">{label}</span>'
            f'<span style="flex:1;background:rgba(125,133,144,.18);border-radius:4px">'
            f'<span style="display:block;height:1.1em;border-radius:4px;width:{share:.1%};'
            f'background:{COLORS.get(label, "#7d8590")};opacity:{pale};transition:width .3s">'
            f'</span></span><span style="width:3em;text-align:right">{share:.0%}</span></div>'
        )
    return f'<div role="list" aria-label="Probabilities now">{"".join(rows)}</div>'


def _waveform(heard: Heard) -> str:
    """Return the last seconds as a small drawing."""
    count = len(heard.envelope)
    points = [f"{i},{50 - 48 * high:.1f}" for i, (_, high) in enumerate(heard.envelope)]
    points += [f"{i},{50 - 48 * heard.envelope[i][0]:.1f}" for i in reversed(range(count))]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {count} 100" '
        f'preserveAspectRatio="none">'
        f'<line x1="0" x2="{count}" y1="50" y2="50" stroke="#7d8590" stroke-width=".5"/>'
        f'<polygon points="{" ".join(points)}" fill="#4a7fd4" stroke="#4a7fd4" '
        f'stroke-width=".6"/></svg>'
    )
    image = base64.b64encode(svg.encode()).decode()
    return (
        f'<img src="data:image/svg+xml;base64,{image}" alt="Waveform of the last 10 seconds" '
        f'style="width:100%;height:64px">'
    )
