"""A long recording: what it comes to, its emotions over time, and any moment of it to hear."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import streamlit as st

from ser import plots
from ser.app import access
from ser.app.widgets import layout, visitor
from ser.app.widgets.kept import kept
from ser.audio import SAMPLING_RATE, Samples
from ser.models.segments import write_segments
from ser.models.summary import Summary, summarise

if TYPE_CHECKING:
    import pandas as pd

    from ser.models.recognizer import Recognizer

_PUBLIC_SECONDS = 300.0  # the longest recording that strangers may have followed
_ENOUGH_SECONDS = 15.0  # of a recording to get used to a voice


def show(data: bytes, name: str, recording: Samples, model: Recognizer, what: Any) -> None:
    """Show the emotions of a recording over time.

    Parameters
    ----------
    data : bytes
        Content of the audio file.
    name : str
        Of the recording.
    recording : ndarray of float32, shape (n,)
        Its samples at 16 kHz.
    model : Recognizer
        Who answers.
    what
        Names model and recording, see `ser.app.widgets.kept`.
    """
    from ser.models.recognizer import HOP_SECONDS

    st.subheader("Over time")
    seconds = len(recording) / SAMPLING_RATE
    if access.is_public() and seconds > _PUBLIC_SECONDS:
        minutes = _PUBLIC_SECONDS / 60
        st.info(f"On this server only recordings of up to {minutes:.0f} minutes get a timeline.")
        return
    same_voice = model.listens and st.toggle(
        "One person speaks throughout",
        value=seconds >= _ENOUGH_SECONDS,
        help="Then the model gets used to the voice and hears every part against all of them.",
    )

    def ask() -> pd.DataFrame:
        bar = st.progress(0.0, f"Listening to all {seconds:.0f} s …")

        def progress(_: str, done: int, total: int) -> None:
            bar.progress(done / total, f"{done} of {total} seconds heard")

        with visitor.one_at_a_time():
            table = model.timeline(
                recording,
                sampling_rate=SAMPLING_RATE,
                name=name,
                same_voice=same_voice,
                progress=progress,
            )
        bar.empty()
        return table

    table = kept("timeline", (what, same_voice), ask)
    summary = summarise(table, model.labels)
    _summary(summary)
    marks = layout.show(
        plots.timeline(table, model.labels, hop=HOP_SECONDS, seconds=seconds),
        key=f"timeline {hashlib.sha256(repr(what).encode()).hexdigest()}",
        on_select="rerun",
        alt="The likeliest emotion over time; the table below holds the same numbers",
    )
    st.caption(
        "One mark per second, about the 3 s around it; gaps are pauses, pale marks are uncertain. "
        "Click on a mark to hear those 3 s."
    )
    chosen = marks.selection.get("window") or []
    if chosen and (start := chosen[0].get("start")) is not None:
        start = min(max(float(start), 0.0), seconds)
        st.audio(data, start_time=start, end_time=min(start + 3, seconds), autoplay=True)
        st.caption(f"Playing {plots.clock(start)} to {plots.clock(min(start + 3, seconds))}.")
    for stretch, words in (
        (summary.calmest, "The calmest part"),
        (summary.most_agitated, "The most agitated part"),
    ):
        if stretch is not None:
            st.write(f"{words}: {plots.clock(stretch.start)} to {plots.clock(stretch.end)}")
            st.audio(data, start_time=stretch.start, end_time=min(stretch.end, seconds))
    with st.expander("Segments as a table", icon=":material/table:"):
        st.dataframe(table.drop(columns="file"), hide_index=True)
    with st.container(horizontal=True):
        for label, content, file in (
            ("Table as CSV", layout.csv(table), "timeline.csv"),
            ("Subtitles (SRT)", write_segments(table, "srt"), "timeline.srt"),
            ("Praat and ELAN (TextGrid)", write_segments(table, "textgrid"), "timeline.TextGrid"),
        ):
            st.download_button(label, content, file, icon=":material/download:")


def _summary(summary: Summary) -> None:
    """Say what the recording comes to, before any chart."""
    if summary.shares.empty:
        st.write("**Nobody speaks in it.**")
        return
    parts = [f"{share:.0%} {emotion}" for emotion, share in summary.shares.items()]
    st.write(f"**Of the time somebody speaks: {', '.join(parts)}.**")
    st.caption(
        f"By the likeliest emotion of every 3 s; {summary.sure:.0%} of these answers are sure. "
        f"Somebody speaks in {summary.spoken:.0%} of the recording."
    )
