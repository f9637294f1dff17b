"""Charts of one recording: as people see it, and as the model gets it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio
from ser.audio.features import SPECTRAL, SpectralFeatures
from ser.audio.spectra import mel_frequencies
from ser.plots.base import AXIS, TRAINING, Chart, sized
from ser.plots.heatmaps import heatmap

CLIP_CHARTS = (
    "waveform",
    "pitch",
    "spectrogram",
    "mel",
    "mfcc",
    "chroma",
    "contrast",
    "channel 1",
    "channel 2",
)
"""Names of the charts that `clip_charts` can draw, in their order."""

_FEW = ("waveform", "spectrogram", "mfcc", "channel 1", "channel 2")
_POINTS = 1200  # of a waveform: more than a screen has columns
_ROUND_HZ = (100, 500, 1000, 2000, 4000)
# Speech is brought to -23 dBFS, so one scale fits all clips and two of them can be compared. In
# RAVDESS all but two cells in a million lie within these decibels, and 98% of the coefficients.
_MEL_DB = (-65.0, 25.0)
_MFCC = (-100.0, 100.0)
_SPREADS = (-3.0, 3.0)  # standard deviations
_KINDS = ("MFCC", "chroma", "contrast")


def waveform(
    samples: npt.NDArray[np.float32],
    *,
    kept: tuple[float, float] | None = None,
    begin: float = 0.0,
    peak: float | None = None,
    extractor: SpectralFeatures = SPECTRAL,
) -> Chart:
    """Draw the envelope of a recording over time.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono audio at 16 kHz.
    kept : (float, float), optional
        Start and end in seconds of what the model hears; the rest is shown pale.
    begin : float
        Where the samples begin in the recording they are a part of, in seconds.
    peak : float, optional
        Amplitude up to which the axis goes, so that two recordings can be compared; by default
        the chart's own.
    extractor : SpectralFeatures
        What the features are.
    """
    step = max(len(samples) // _POINTS, 1)
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    time = begin + np.arange(len(blocks)) * step / audio.SAMPLING_RATE
    start, end = kept or (begin, begin + len(samples) / audio.SAMPLING_RATE)
    table = pd.DataFrame(
        {
            "time": time,
            "low": blocks.min(axis=1).astype(float),
            "high": blocks.max(axis=1).astype(float),
            "kept": np.where((time >= start) & (time <= end), "yes", "no"),
        }
    )
    bars = (
        alt.Chart(table)
        .mark_rule(strokeWidth=1)
        .encode(
            x=alt.X("time:Q", title="Time (s)", scale=alt.Scale(nice=False)),
            y=alt.Y(
                "low:Q",
                title="Amplitude",
                axis=alt.Axis(minExtent=AXIS),
                scale=alt.Scale(domain=[-peak, peak]) if peak else alt.Undefined,
            ),
            y2="high:Q",
            color=alt.Color(
                "kept:N",
                scale=alt.Scale(domain=["yes", "no"], range=["#4a7fd4", "#9aa4b2"]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("time:Q", title="Time (s)", format=".2f"),
                alt.Tooltip("low:Q", title="Lowest", format=".3f"),
                alt.Tooltip("high:Q", title="Highest", format=".3f"),
            ],
        )
    )
    title = "Waveform" if kept is None else "Waveform (blue: what the model hears)"
    said = f"Waveform of {len(samples) / audio.SAMPLING_RATE:.1f} s"
    if kept is not None:
        said += f"; the model hears {start:.1f} s to {end:.1f} s"
    return sized(alt.layer(bars), title, 150).properties(description=said)


def pitch(samples: npt.NDArray[np.float32], *, extractor: SpectralFeatures = SPECTRAL) -> Chart:
    """Draw the melody of speech: the pitch of each frame that has one.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono audio at 16 kHz.
    extractor : SpectralFeatures
        What the features are.
    """
    hertz = extractor.pitch(samples)
    seconds = np.arange(len(hertz)) * extractor.frame_seconds
    # A number per voiced stretch, so that no line is drawn through silence.
    stretch = np.cumsum(np.isnan(hertz))
    table = pd.DataFrame({"time": seconds, "pitch": hertz.round(1), "stretch": stretch}).dropna()
    line = (
        alt.Chart(table)
        .mark_line(color=TRAINING, point=alt.OverlayMarkDef(size=14, color=TRAINING))
        .encode(
            x=alt.X(
                "time:Q",
                title="Time (s)",
                scale=alt.Scale(domain=[0, len(samples) / audio.SAMPLING_RATE], nice=False),
            ),
            y=alt.Y(
                "pitch:Q",
                title="Pitch (Hz)",
                scale=alt.Scale(zero=False),
                axis=alt.Axis(minExtent=AXIS),
            ),
            detail="stretch:N",
            tooltip=[
                alt.Tooltip("time:Q", title="Time (s)", format=".2f"),
                alt.Tooltip("pitch:Q", title="Pitch (Hz)", format=".0f"),
            ],
        )
    )
    said = "Pitch contour: no frame has a pitch"
    if len(table):
        low, middle, high = table["pitch"].quantile([0.05, 0.5, 0.95])
        said = f"Pitch contour: median {middle:.0f} Hz, mostly {low:.0f} to {high:.0f} Hz"
    return sized(alt.layer(line), "Pitch of the 3 s heard", 150).properties(description=said)


def clip_charts(
    samples: npt.NDArray[np.float32],
    *,
    names: Sequence[str] = _FEW,
    peak: float | None = None,
    extractor: SpectralFeatures = SPECTRAL,
) -> dict[str, Chart]:
    """Draw a recording as people and as the model see it.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono audio at 16 kHz, as `ser.audio.load_audio` returns it.
    names : sequence of str
        Which of `CLIP_CHARTS` to draw; nothing else is computed.
    peak : float, optional
        Of the waveform, see `waveform`.
    extractor : SpectralFeatures
        What the features are.

    Returns
    -------
    dict of str to chart
        By name: ``waveform`` with the part that is heard; of that part ``pitch``,
        ``spectrogram``, ``mel``, ``mfcc``, ``chroma`` and ``contrast``; and the two channels of
        the model's input, ``channel 1`` and ``channel 2``.

    Raises
    ------
    SilentAudioError
        If there is nothing to hear.
    """
    from ser import audio

    clip = audio.prepare_clip(samples)
    draw: dict[str, Callable[[], Chart]] = {
        "waveform": lambda: waveform(
            samples, kept=(clip.start, clip.end), peak=peak, extractor=extractor
        ),
        "pitch": lambda: pitch(clip.samples, extractor=extractor),
        "spectrogram": lambda: _spectrogram(clip.samples, extractor),
        "mel": lambda: _mel(clip.samples, extractor),
        "mfcc": lambda: _mfcc(clip.samples, extractor),
        "chroma": lambda: _chroma(clip.samples, extractor),
        "contrast": lambda: _contrast(clip.samples, extractor),
        "channel 1": lambda: channel_1(clip.samples, extractor=extractor),
        "channel 2": lambda: channel_2(clip.samples, extractor=extractor),
    }
    return {name: draw[name]() for name in names}


def _spectrogram(samples: npt.NDArray[np.float32], extractor: SpectralFeatures) -> Chart:
    frequencies, decibels = spectrogram_db(samples, extractor=extractor)
    width = frequencies[1]
    return heatmap(
        decibels,
        title="Spectrogram of the 3 s heard",
        rows="Frequency (Hz)",
        unit="dB",
        row_values=[f"{f:.0f} to {f + width:.0f} Hz" for f in frequencies],
        ticks={hz / width: _short(hz) for hz in range(0, audio.SAMPLING_RATE // 2, 1000)},
        domain=(-80.0, 0.0),
        extractor=extractor,
    )


def _mel(samples: npt.NDArray[np.float32], extractor: SpectralFeatures) -> Chart:

    bands = 128
    return _mel_heatmap(
        extractor.log_mel(samples, n_mels=bands),
        f"Mel-spectrogram, {bands} bands",
        extractor,
    )


def channel_1(samples: npt.NDArray[np.float32], *, extractor: SpectralFeatures = SPECTRAL) -> Chart:
    """Draw the first channel of the model's input, in the very numbers that go in."""
    first = extractor.extract(samples)["features"][:, :, 0]
    return _mel_heatmap(first, f"Model input 1: {extractor.n_mels}-band log-mel", extractor)


def _mel_heatmap(
    decibels: npt.NDArray[np.float32], title: str, extractor: SpectralFeatures
) -> Chart:
    return heatmap(
        decibels,
        title=title,
        rows="Mel band (Hz)",
        unit="dB",
        domain=_MEL_DB,
        extractor=extractor,
        **mel_axis(len(decibels), extractor),
    )


def mel_axis(bands: int, extractor: SpectralFeatures = SPECTRAL) -> dict[str, Any]:
    """Return the rows' names and the ticks at round frequencies that `heatmap` takes."""
    centres = _mel_frequencies(bands, extractor)
    places = np.interp(_ROUND_HZ, centres, np.arange(bands) + 0.5)
    return {
        "row_values": [f"band {i + 1}, around {f:.0f} Hz" for i, f in enumerate(centres)],
        "ticks": {
            round(float(place), 3): _short(hz)
            for place, hz in zip(places, _ROUND_HZ, strict=True)
            if centres[0] <= hz <= centres[-1]
        },
    }


def _mfcc(samples: npt.NDArray[np.float32], extractor: SpectralFeatures) -> Chart:

    return heatmap(
        extractor.mfcc(samples)[1:],
        title="MFCCs without the first (the level)",
        rows="Coefficient",
        unit="value",
        row_values=_group("MFCC", extractor)[1:],
        ticks={n - 1.5: str(n) for n in range(2, extractor.n_mfcc + 1, 2)},
        domain=_MFCC,
        extractor=extractor,
        height=130,
        diverging=True,
    )


def _chroma(samples: npt.NDArray[np.float32], extractor: SpectralFeatures) -> Chart:

    names = [name.removeprefix("chroma ") for name in _group("chroma", extractor)]
    return heatmap(
        extractor.chroma(samples),
        title="Chroma",
        rows="Note",
        unit="share",
        row_values=names,
        ticks={i + 0.5: name for i, name in enumerate(names) if "#" not in name},
        domain=(0.0, 1.0),
        extractor=extractor,
        height=150,
    )


def _contrast(samples: npt.NDArray[np.float32], extractor: SpectralFeatures) -> Chart:

    # The octaves of librosa's default, from 200 Hz up.
    edges = [0, *(200 * 2**i for i in range(extractor.n_contrast)), audio.SAMPLING_RATE // 2]
    names = [f"{low} to {high} Hz" for low, high in itertools.pairwise(edges)]
    return heatmap(
        extractor.spectral_contrast(samples),
        title="Spectral contrast",
        rows="Octave band (Hz)",
        unit="dB",
        row_values=names,
        ticks={i: _short(hz) for i, hz in enumerate(edges)},
        domain=(0.0, 50.0),
        extractor=extractor,
        height=130,
    )


def channel_2(samples: npt.NDArray[np.float32], *, extractor: SpectralFeatures = SPECTRAL) -> Chart:
    """Draw the second channel of the model's input: coloured by row, told in its very numbers.

    Its rows have many units, so each is coloured relative to its own mean and spread in the clip.
    """
    second = extractor.extract(samples)["features"][:, :, 1]
    spread = np.maximum(second.std(axis=1, keepdims=True), 1e-6)
    names = extractor.row_names
    starts = [names.index(_group(kind, extractor)[0]) for kind in _KINDS]
    middles = [(a + b) / 2 for a, b in itertools.pairwise([*starts, len(names)])]
    return heatmap(
        (second - second.mean(axis=1, keepdims=True)) / spread,
        title="Model input 2: MFCC, chroma, contrast",
        rows="Row",
        unit="std. dev.",
        row_values=names,
        ticks=dict(zip(middles, _KINDS, strict=True)),
        lines=starts[1:],
        domain=_SPREADS,
        shown_values=second,
        extractor=extractor,
        diverging=True,
    )


def _group(kind: str, extractor: SpectralFeatures) -> list[str]:

    return [name for name in extractor.row_names if name.startswith(f"{kind} ")]


def _short(hertz: int) -> str:
    """Return 500 as 500 and 2000 as 2k."""
    return f"{hertz // 1000}k" if hertz >= 1000 and hertz % 1000 == 0 else f"{hertz}"


def clip_figure(samples: npt.NDArray[np.float32], *, title: str) -> Chart:
    """Return all of `clip_charts` under each other, as one figure to save.

    Raises
    ------
    SilentAudioError
        If there is nothing to hear.
    """
    return alt.vconcat(*clip_charts(samples).values(), title=title).resolve_scale(
        color="independent"
    )


def spectrogram_db(
    samples: npt.NDArray[np.float32], *, extractor: SpectralFeatures = SPECTRAL, rows: int = 128
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return a spectrogram small enough to draw: the mean power of `rows` frequency bands in dB.

    Returns
    -------
    frequencies : ndarray, shape (rows,)
        Lower edge of each band in Hz.
    decibels : ndarray, shape (rows, frames)
        At most 80 dB below the loudest point, which is 0.
    """
    power = np.square(extractor.magnitudes(samples))[:-1]
    power = power.reshape(rows, -1, power.shape[1]).mean(axis=1)
    decibels = 10 * np.log10(np.maximum(power / max(float(power.max()), 1e-20), 1e-8))
    return np.arange(rows) * audio.SAMPLING_RATE / 2 / rows, decibels


def _mel_frequencies(bands: int, extractor: SpectralFeatures) -> npt.NDArray[np.float64]:
    # The filters' peaks: edges of the scale at both ends are no bands.
    return mel_frequencies(bands + 2, highest=audio.SAMPLING_RATE / 2)[1:-1]
