"""A recording to play and to look at closely, with one cursor, as phoneticians are used to."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from ser import audio, plots
from ser.audio.features import SpectralFeatures
from ser.audio.spectra import frame_power

LONGEST = 60.0
"""Seconds that are shown of a recording: the first of it."""
FEATURES = SpectralFeatures(n_fft=1024, hop_length=256)
"""Of what is drawn: frames of 64 ms, one each 16 ms."""

_FLOOR_DB = -80.0  # of the spectrogram below its peak, and of the intensity
_HTML = """
<div class="view">
<div class="drawing" tabindex="0" role="group">
  <canvas class="base"></canvas><canvas class="above"></canvas>
</div>
<div class="controls">
  <button class="play">Play</button>
  <button class="in">Zoom in</button>
  <button class="out">Zoom out</button>
  <button class="all">Show all</button>
  <button class="save">Save picture</button>
  <label><input type="checkbox" class="pitch" checked> Pitch</label>
  <label><input type="checkbox" class="intensity" checked> Intensity</label>
</div>
<output class="told" aria-live="off"></output>
</div>
"""
_CSS = """
.view { --pitch: #1d5fd0; --intensity: #b3530f; --cursor: #c02050; font-family: var(--st-font) }
.view.dark { --pitch: #7db2ff; --intensity: #f0a35e; --cursor: #ff7d9c }
.drawing { position: relative; height: 354px; touch-action: pan-y }
.drawing:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px }
canvas { position: absolute; inset: 0; width: 100%; height: 100% }
.above { cursor: crosshair }
.controls { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin-top: .25rem }
.controls, .told { color: var(--st-text-color); font-size: .875rem }
button { font: inherit; color: inherit; background: none; cursor: pointer; padding: .3rem .7rem;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, .5rem) }
button:hover:enabled { border-color: var(--st-primary-color) }
button:disabled { opacity: .4; cursor: default }
.play { min-width: 8.5em }
.told { display: block; margin: .4rem 0 .2rem; font-variant-numeric: tabular-nums }
"""


def sound_view(
    samples: npt.NDArray[np.float32],
    identity: str,
    *,
    key: str,
    autoplay: bool = False,
    peak: float | None = None,
) -> None:
    """Show a recording: play it or a part of it, with waveform, spectrogram, pitch, intensity.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono audio at 16 kHz; `LONGEST` seconds of it are shown.
    identity : str
        Names the recording; the same for the same samples.
    key : str
        Of the widget.
    autoplay : bool
        Whether it is to be heard at once.
    peak : float, optional
        Amplitude up to which the waveform is drawn; by default its own highest.

    Raises
    ------
    SilentAudioError
        If there is nothing to hear.
    """
    show = st.components.v2.component("sound_view", html=_HTML, css=_CSS, js=_script())
    shown = samples[: round(LONGEST * audio.SAMPLING_RATE)]
    if len(shown) < len(samples):
        st.caption(f"The first {LONGEST:.0f} s of {len(samples) / audio.SAMPLING_RATE:.0f} s.")
    own = _measured(identity, samples)
    peak = peak or own["peak"]
    name = hashlib.sha256(f"{identity} {peak}".encode()).hexdigest()  # paths stay here
    show(key=key, data={**own, "peak": peak, "id": name, "autoplay": autoplay})


@lru_cache
def _script() -> str:
    return Path(__file__).with_suffix(".js").read_text()


@st.cache_data(show_spinner="Drawing …", max_entries=32)
def _measured(identity: str, _samples: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Return what the view draws, as JSON can hold it: of the beginning, but as it is heard."""
    clip = audio.prepare_clip(_samples)
    _samples = _samples[: round(LONGEST * audio.SAMPLING_RATE)]
    _, decibels = plots.spectrogram_db(_samples, extractor=FEATURES)
    cells = np.round(255 * (1 - decibels / _FLOOR_DB)).astype(np.uint8)
    pitch = FEATURES.pitch(_samples)
    padded = np.pad(_samples, FEATURES.n_fft // 2)
    power = frame_power(padded, frame=FEATURES.n_fft, hop=FEATURES.hop_length)
    intensity = 20 * np.log10(np.maximum(np.sqrt(power), 10 ** (_FLOOR_DB / 20)))
    pcm = np.round(np.clip(_samples, -1, 1) * 32767).astype("<i2")
    voiced = pitch[~np.isnan(pitch)]
    said = f"Waveform and spectrogram of {len(_samples) / audio.SAMPLING_RATE:.1f} s"
    if len(voiced):
        said += f"; median pitch {np.median(voiced):.0f} Hz"
    return {
        "rate": audio.SAMPLING_RATE,
        "samples": base64.b64encode(pcm.tobytes()).decode(),
        "spectrogram": base64.b64encode(cells.tobytes()).decode(),
        "rows": cells.shape[0],
        "frames": cells.shape[1],
        "step": FEATURES.frame_seconds,
        "pitch": [None if np.isnan(hz) else round(float(hz), 1) for hz in pitch],
        "intensity": [round(float(db), 1) for db in intensity],
        "heard": [clip.start, clip.end],
        "peak": max(float(np.abs(_samples).max()), 1e-4),
        "said": f"{said}. Space plays, drag selects, plus and minus zoom, arrows move the cursor.",
    }
