"""Whether this visitor's browser lets a page hear the microphone, and what to do if not."""

from __future__ import annotations

import streamlit as st

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

PROBLEMS = {
    "denied": (
        "This page may not use the microphone: access was denied. Click the symbol left of the "
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


def show_problem() -> str:
    """Say what is in the way of recording, if anything; returns the state the browser tells."""
    probe = st.components.v2.component("microphone_probe", js=_PROBE)
    state = str(probe(key="microphone_probe", on_state_change=lambda: None).get("state") or "")
    if state in PROBLEMS:
        st.warning(PROBLEMS[state], icon=":material/mic_off:")
    return state
