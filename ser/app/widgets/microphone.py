"""A visitor's microphone: what is in the way of it, its connection to this app, its level."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ser.app.glossary import TERMS

if TYPE_CHECKING:
    import av

    from ser.models.streaming import InputSignal, Recorder

_WANTED = "-wanted"  # ends the key that says whether a visitor wants to be heard
_CONNECTION = "-connection"  # ends the key of what was heard
_PROBLEM = "microphone-problem"  # of this visitor: which one, as their browser said last
_PATIENCE = 4.0  # seconds without sound before something is wrong
# What browsers do to speech for telephony would change how an emotion sounds.
_CONSTRAINTS = {
    "audio": {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False},
    "video": False,
}

PROBLEMS = {
    "denied": (
        "This page may not use the microphone: access was denied. Click the icon left of the "
        "address, allow the microphone, and reload the page."
    ),
    "none": (
        "No microphone was found. Connect one, or switch it on in the system's settings; this "
        "message goes away by itself."
    ),
    "insecure": (
        "Browsers let a page use the microphone only over HTTPS, or on the computer the app runs "
        "on (localhost). Ask whoever runs this app to serve it over HTTPS; see the README."
    ),
}
"""What can be in the way, and what to do."""

_WORDS: Any = {
    "device_access_denied": PROBLEMS["denied"],
    "device_not_available": PROBLEMS["none"],
    "media_api_not_available": PROBLEMS["insecure"],
    "device_ask_permission": "Please allow the microphone in the window your browser shows.",
}

_PROBE = """
export default function ({ setStateValue }) {
  let stopped = false;
  const report = (state) => { if (!stopped) setStateValue("state", state); };
  const look = async () => {
    if (!window.isSecureContext || !navigator.mediaDevices) return report("insecure");
    const devices = await navigator.mediaDevices.enumerateDevices();
    if (!devices.some((device) => device.kind === "audioinput")) return report("none");
    let permission = null;
    try { permission = await navigator.permissions.query({ name: "microphone" }); } catch {}
    if (permission) permission.onchange = look;
    report(permission ? permission.state : "unknown");
  };
  look();
  navigator.mediaDevices?.addEventListener("devicechange", look);
  return () => {
    stopped = true;
    navigator.mediaDevices?.removeEventListener("devicechange", look);
  };
}
"""


def show_problem() -> bool:
    """Say what is in the way of recording, if anything, as this visitor's browser tells it.

    Returns
    -------
    bool
        Whether anything is.
    """
    _look()
    problem = st.session_state.get(_PROBLEM)
    if problem is not None:
        st.warning(PROBLEMS[problem], icon=":material/mic_off:")
    return problem is not None


# A part of its own: what a browser says by itself about its microphone, a moment after a page is
# drawn, would otherwise draw the whole page anew, and Streamlit loses a click that arrives just
# before.
@st.fragment
def _look() -> None:
    """Ask the browser for its microphone; draw the page anew if the problem is another one."""
    probe = st.components.v2.component("microphone_probe", js=_PROBE)
    state = probe(key="microphone_probe", on_state_change=lambda: None).get("state")
    if state is None:  # it has not said yet
        return
    problem = state if state in PROBLEMS else None
    if problem != st.session_state.get(_PROBLEM):
        st.session_state[_PROBLEM] = problem
        st.rerun()


class Connection:
    """What one visitor's microphone is connected to; frames come on WebRTC's own thread.

    Attributes
    ----------
    recorder : Recorder or None
        Of the session now, or of the last one.
    listening : bool
        Whether the microphone is connected.
    """

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.listening = False

    def receive(self, frame: av.AudioFrame) -> None:
        """Take a piece of sound."""
        from ser.models.streaming import samples_of

        if self.listening and self.recorder is not None:
            self.recorder.push(samples_of(frame), frame.sample_rate)

    def close(self) -> None:
        """Take no more."""
        self.listening = False
        if self.recorder is not None:
            self.recorder.stop()


def connect(key: str, make: Callable[[], Recorder]) -> Connection:
    """Show a button that connects this visitor's microphone.

    Parameters
    ----------
    key : str
        Names this use of the microphone; each has its own sound.
    make : callable
        Makes what takes the sound of a new session.
    """
    from streamlit_webrtc import WebRtcMode, create_audio_sink_track, webrtc_streamer

    from ser.models.streaming import ice_servers

    wanted = f"{key}{_WANTED}"
    if show_problem():
        st.session_state[wanted] = False
    else:
        _start_or_stop(wanted)
    servers = ice_servers(os.environ.get("SER_ICE_SERVERS", ""))
    connection: Connection = st.session_state.setdefault(f"{key}{_CONNECTION}", Connection())
    context = webrtc_streamer(
        key=key,
        mode=WebRtcMode.SENDONLY,
        rtc_configuration={"iceServers": servers},
        media_stream_constraints=_CONSTRAINTS,
        sink_audio_track=create_audio_sink_track(
            connection.receive, key=key, on_ended=connection.close
        ),
        translations=_WORDS,
        # Its own buttons, of another font and with no word on what they do, stay away.
        desired_playing_state=st.session_state.get(wanted, False),
    )
    if context.state.playing and not connection.listening:
        connection.close()
        connection.recorder = make()
        connection.listening = True
    elif not context.state.playing and connection.listening:
        connection.close()
    if not connection.listening and not servers:
        with st.expander("If it does not connect", icon=":material/lan:"):
            st.write(
                "As it stands, the microphone reaches this app on the same computer or network. On "
                "the internet the app needs HTTPS and a TURN server: set SER_ICE_SERVERS to a JSON "
                "list of them before it is started."
            )
    return connection


def stop() -> None:
    """Let nothing listen from now on, until somebody presses the button again."""
    for key in list(st.session_state):
        if str(key).endswith(_WANTED):
            st.session_state[key] = False


def forget(uses: str, but: str) -> None:
    """Forget what was heard in some uses of the microphone, whose keys begin alike, but one."""
    for key in [str(key) for key in st.session_state]:
        if key.startswith(uses) and key.endswith(_CONNECTION) and key != f"{but}{_CONNECTION}":
            st.session_state.pop(key).close()


def _start_or_stop(wanted: str) -> None:
    """Show the one button that begins and ends listening."""
    on = st.session_state.get(wanted, False)

    def turn() -> None:
        st.session_state[wanted] = not on

    st.button(
        "Stop" if on else "Start listening",
        key=f"{wanted}-button",
        icon=":material/stop:" if on else ":material/mic:",
        type="secondary" if on else "primary",
        on_click=turn,
    )


def show_sound(sound: InputSignal) -> None:
    """Show level and waveform of this moment, and what is wrong with them."""
    if sound.since_sound > _PATIENCE:
        st.warning(
            "No sound arrives. The connection may be lost: press Stop, then Start listening."
            if sound.seconds
            else "No sound has arrived yet. If this lasts, press Stop, then Start listening.",
            icon=":material/signal_disconnected:",
        )
    elif sound.muted:
        st.warning(
            "The microphone sends only silence. Is it muted, at the device or in the system's "
            "settings, or is the wrong one selected? The icon left of the address lets you choose.",
            icon=":material/mic_off:",
        )
    clipped = " · too loud, it clips" if sound.clipped else ""
    level = f"{sound.level_dbfs:.0f} dBFS{clipped}" if sound.seconds else "waiting for sound"
    # -60 to 0 dBFS is what a level meter shows.
    st.progress(float(np.clip(1 + sound.level_dbfs / 60, 0, 1)), f"Level: {level}")
    st.html(_waveform(sound), width="stretch")
    st.caption(f"{sound.seconds:.0f} s heard", help=TERMS["dBFS"])


def _waveform(sound: InputSignal) -> str:
    """Return the last seconds as a picture: a chart would be drawn anew three times a second."""
    count = len(sound.envelope)
    top = [f"{i},{50 - 48 * high:.1f}" for i, (_, high) in enumerate(sound.envelope)]
    bottom = [f"{i},{50 - 48 * low:.1f}" for i, (low, _) in enumerate(sound.envelope)]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {count} 100" '
        f'preserveAspectRatio="none">'
        f'<line x1="0" x2="{count}" y1="50" y2="50" stroke="#7d8590" stroke-width=".5"/>'
        f'<polygon points="{" ".join(top + bottom[::-1])}" fill="#4a7fd4" stroke="#4a7fd4" '
        f'stroke-width=".6"/></svg>'
    )
    image = base64.b64encode(svg.encode()).decode()
    return (
        f'<img src="data:image/svg+xml;base64,{image}" alt="Waveform of the last 10 seconds" '
        f'style="width:100%;height:64px">'
    )
