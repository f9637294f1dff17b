"""A clip to hear and to see: the sound itself, its features, the model's input."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import streamlit as st

from ser import audio, plots
from ser.app.glossary import TERMS
from ser.app.widgets import layout
from ser.app.widgets.sound_view import sound_view

VIEWS: dict[str, tuple[str, ...]] = {
    "Sound": (),
    "Features": ("mel", "mfcc", "chroma", "contrast"),
    "Model input": ("channel 1", "channel 2"),
}
"""What can be seen of a clip: names of `ser.plots.clip_charts`; the sound is a view of its own."""

_EXPLAINED = {
    "Sound": "Drag over the drawing to select a part; play it, or zoom in on it. Grey parts of the "
    "waveform are not heard by the model: silence at both ends is cut off, and speech longer than "
    "3 s is cut to its loudest 3 s.",
    "Features": f"Of the 3 s heard. {TERMS['mel'].replace('32 bands', 'bands')} "
    f"{TERMS['MFCC']} {TERMS['chroma']} {TERMS['contrast']}",
    "Model input": "The 32 × 94 numbers of each channel, as they go in. The rows of the second "
    "have different units, so each is coloured relative to its own mean and spread; hover to read "
    "the values themselves.",
}
# What no browser plays is decoded here.
_UNPLAYABLE = (".aif", ".aiff")


def choose_view(key: str) -> str:
    """Let the user choose one of `VIEWS`."""
    view = st.segmented_control("What to see", list(VIEWS), default="Sound", required=True, key=key)
    st.caption(_EXPLAINED[view])
    return view


def player(path: str | Path) -> None:
    """Play a clip at once, if it is still there."""
    with layout.errors_for_people():
        _play(_version(str(path)), autoplay=True)


def _version(path: str) -> tuple[str, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        raise audio.UnreadableAudioError(f"{path} no longer exists. Rescan the corpus.") from None
    return path, status.st_size, status.st_mtime_ns


def _play(version: tuple[str, int, int], *, autoplay: bool) -> None:
    if version[0].lower().endswith(_UNPLAYABLE):
        samples = _samples(*version)
        st.audio(samples, sample_rate=audio.SAMPLING_RATE, autoplay=autoplay)
    else:
        st.audio(version[0], autoplay=autoplay)


def clip_view(
    path: str | Path, view: str, *, key: str, autoplay: bool = False, peak: float | None = None
) -> None:
    """Show a clip: its sound, or a player and the charts of one of the other `VIEWS`.

    Parameters
    ----------
    path : str or Path
        An audio file.
    view : str
        One of `VIEWS`; only its charts are computed.
    key : str
        Of the widgets; other for each clip on a page.
    autoplay : bool
        Whether it is to be heard at once.
    peak : float, optional
        See `loudest`: amplitude up to which its waveform is drawn.
    """
    path = str(path)
    with layout.errors_for_people():
        version = _version(path)
        if view == "Sound":
            samples = _samples(*version)
            sound_view(samples, str(version), key=f"{key} sound", autoplay=autoplay, peak=peak)
            return
        drawn = _charts(*version, view)
        _play(version, autoplay=autoplay)
        for name, chart in drawn.items():
            table = plots.heatmap_table(chart) if name in _TABLES else None
            layout.show(chart, table=table, key=f"{key} {name}")


# What has no more rows than a table can have columns.
_TABLES = ("mfcc", "chroma", "contrast", "channel 1", "channel 2")


@st.cache_resource(show_spinner="Drawing …", max_entries=64)
def _charts(path: str, size: int, mtime_ns: int, view: str) -> dict[str, plots.Chart]:
    return plots.clip_charts(_samples(path, size, mtime_ns), names=VIEWS[view])


def loudest(paths: Iterable[str]) -> float | None:
    """Return the highest amplitude in several clips, to draw them on one scale; None if unknown."""
    peaks = []
    for path in paths:
        try:
            status = os.stat(path)
            samples = _samples(path, status.st_size, status.st_mtime_ns)
        except (OSError, audio.AudioError):  # said where the clip is shown
            return None
        peaks.append(float(np.abs(samples).max()))
    return max(peaks, default=None)


@st.cache_data(show_spinner=False, max_entries=16)
def _samples(path: str, size: int, mtime_ns: int) -> npt.NDArray[np.float32]:
    return audio.load_audio(path)
