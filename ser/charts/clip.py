"""Charts of one recording: as people see it, and as the model gets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.charts.base import AXIS, Chart, sized
from ser.contract import CONTRACT, Contract

_POINTS = 1200  # of a waveform: more than a screen has columns


def waveform(
    samples: npt.NDArray[np.float32],
    *,
    kept: tuple[float, float] | None = None,
    contract: Contract = CONTRACT,
) -> Chart:
    """Draw the envelope of a recording over time.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono audio at the contract's rate.
    kept : (float, float), optional
        Start and end in seconds of what the model hears; the rest is shown pale.
    contract : Contract
        For the sample rate.
    """
    step = max(len(samples) // _POINTS, 1)
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    time = np.arange(len(blocks)) * step / contract.sample_rate
    start, end = kept or (0.0, len(samples) / contract.sample_rate)
    table = pd.DataFrame(
        {
            "time": time,
            "low": blocks.min(axis=1).astype(float),
            "high": blocks.max(axis=1).astype(float),
            "heard": np.where((time >= start) & (time <= end), "yes", "no"),
        }
    )
    bars = (
        alt.Chart(table)
        .mark_rule(strokeWidth=1)
        .encode(
            x=alt.X("time:Q", title="Time (s)", scale=alt.Scale(nice=False)),
            y=alt.Y("low:Q", title="Amplitude", axis=alt.Axis(minExtent=AXIS)),
            y2="high:Q",
            color=alt.Color(
                "heard:N",
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
    return sized(alt.layer(bars), title, 150)


def heatmap(
    matrix: npt.NDArray[np.floating],
    *,
    title: str,
    rows: str,
    unit: str,
    row_values: Sequence[Any] | None = None,
    contract: Contract = CONTRACT,
    height: int = 180,
    diverging: bool = False,
) -> Chart:
    """Draw a matrix of shape (rows, frames) over time, low rows at the bottom.

    Parameters
    ----------
    matrix : ndarray, shape (rows, frames)
        What to colour.
    title, rows, unit : str
        Of the chart, of the vertical axis, and of the values.
    row_values : sequence, optional
        A name or number for each row; by default 1, 2, 3 …
    contract : Contract
        For the step between frames.
    height : int
        In pixels.
    diverging : bool
        Colour around zero, for values that have a sign.
    """
    names = list(row_values if row_values is not None else range(1, len(matrix) + 1))
    seconds = contract.hop_length / contract.sample_rate
    count, frames = matrix.shape
    table = pd.DataFrame(
        {
            "start": np.tile(np.arange(frames) * seconds, count).round(4),
            "end": np.tile((np.arange(frames) + 1) * seconds, count).round(4),
            "row": np.repeat(np.arange(count), frames),
            "name": np.repeat([str(name) for name in names], frames),
            "value": np.asarray(matrix, float).round(2).ravel(),
        }
    )
    table["top"] = table["row"] + 1
    scale = alt.Scale(scheme="viridis")
    if diverging:
        limit = float(np.abs(matrix).max()) or 1.0
        scale = alt.Scale(scheme="blueorange", domain=[-limit, limit])
    ticks = list(range(0, count, max(count // 8, 1)))
    label = " : ".join(f"datum.value == {t} ? '{names[t]}'" for t in ticks) + " : ''"
    chart = (
        alt.Chart(table)
        # A little overlap hides the seams that browsers draw between neighbours.
        .mark_rect(x2Offset=0.6, y2Offset=-0.6)
        .encode(
            x=alt.X("start:Q", title="Time (s)", scale=alt.Scale(nice=False)),
            x2="end:Q",
            y=alt.Y(
                "row:Q",
                title=rows,
                scale=alt.Scale(domain=[0, count], nice=False),
                axis=alt.Axis(values=ticks, labelExpr=label, grid=False),
            ),
            y2="top:Q",
            color=alt.Color("value:Q", title=unit, scale=scale),
            tooltip=[
                alt.Tooltip("start:Q", title="Time (s)", format=".2f"),
                alt.Tooltip("name:N", title=rows),
                alt.Tooltip("value:Q", title=unit, format=".1f"),
            ],
        )
    )
    return sized(alt.layer(chart), title, height)


def clip_charts(
    samples: npt.NDArray[np.float32], *, contract: Contract = CONTRACT
) -> dict[str, Chart]:
    """Draw a recording as people and as the model see it.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono audio at the contract's rate, as `ser.audio.load_audio` returns it.
    contract : Contract
        Of the model.

    Returns
    -------
    dict of str to chart
        ``waveform`` with the part that is heard, ``spectrogram``, ``mfcc``, and the two channels
        of the model's input, ``channel 1`` and ``channel 2``.

    Raises
    ------
    SilentAudioError
        If there is nothing to hear.
    """
    from ser import audio, features

    clip = audio.prepare_clip(samples, contract=contract)
    inputs = features.model_input(clip.samples, contract=contract)
    frequencies, decibels = spectrogram_db(clip.samples, contract=contract)
    second = inputs[:, :, 1]
    spread = np.maximum(second.std(axis=1, keepdims=True), 1e-6)
    return {
        "waveform": waveform(samples, kept=(clip.start, clip.end), contract=contract),
        "spectrogram": heatmap(
            decibels,
            title="Spectrogram of the 3 s heard",
            rows="Frequency (Hz)",
            unit="dB",
            row_values=[f"{f:.0f}" for f in frequencies],
            contract=contract,
        ),
        "mfcc": heatmap(
            second[1 : contract.n_mfcc],
            title="MFCCs but the first (the level)",
            rows="Coefficient",
            unit="value",
            row_values=range(2, contract.n_mfcc + 1),
            contract=contract,
            height=130,
            diverging=True,
        ),
        "channel 1": heatmap(
            inputs[:, :, 0],
            title="Model input 1: 32-band log-mel",
            rows="Mel band (Hz)",
            unit="dB",
            row_values=[f"{f:.0f}" for f in _mel_frequencies(contract)],
            contract=contract,
        ),
        "channel 2": heatmap(
            (second - second.mean(axis=1, keepdims=True)) / spread,
            title="Model input 2: MFCC, chroma, contrast",
            rows="Row",
            unit="std. dev.",
            row_values=features.row_names(contract),
            contract=contract,
            diverging=True,
        ),
    }


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
    samples: npt.NDArray[np.float32], *, contract: Contract = CONTRACT, rows: int = 128
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return a spectrogram small enough to draw: the mean power of `rows` frequency bands in dB.

    Returns
    -------
    frequencies : ndarray, shape (rows,)
        Lower edge of each band in Hz.
    decibels : ndarray, shape (rows, frames)
        At most 80 dB below the loudest point, which is 0.
    """
    from ser import features

    power = np.square(features.magnitudes(samples, contract=contract))[:-1]
    power = power.reshape(rows, -1, power.shape[1]).mean(axis=1)
    decibels = 10 * np.log10(np.maximum(power / max(float(power.max()), 1e-20), 1e-8))
    return np.arange(rows) * contract.sample_rate / 2 / rows, decibels


def _mel_frequencies(contract: Contract) -> npt.NDArray[np.float64]:
    import librosa

    # The filters' peaks: edges of the scale at both ends are no bands.
    return np.asarray(
        librosa.mel_frequencies(contract.n_mels + 2, fmin=0.0, fmax=contract.sample_rate / 2)[1:-1]
    )
