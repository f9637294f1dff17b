"""Charts of clips, models and results, as Altair objects with units on every axis.

Backgrounds are transparent and colours are chosen to read on light and dark alike; an emotion has
the same colour in every chart.  Nothing here knows where a chart will be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.contract import CONTRACT, Contract
from ser.emotions import COLORS
from ser.errors import OutputError
from ser.files import atomic_path

# A spectrogram has 12 000 cells, and charts must also be drawn outside notebooks.
alt.data_transformers.disable_max_rows()

Chart = alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart

_WIDTH = 620
_TRAINING, _VALIDATION = "#4a7fd4", "#c98500"
_POINTS = 1200  # of a waveform: more than a screen has columns


def emotion_scale(labels: Sequence[str]) -> alt.Scale:
    """Return the scale that gives every emotion its one colour."""
    return alt.Scale(domain=list(labels), range=[COLORS.get(la, "#7d8590") for la in labels])


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
            y=alt.Y("low:Q", title="Amplitude"),
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
    return _sized(alt.layer(bars), title, 150)


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
    return _sized(alt.layer(chart), title, height)


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


def probabilities(row: pd.Series, labels: Sequence[str]) -> Chart:
    """Draw the probabilities of one prediction as bars with their values.

    Parameters
    ----------
    row : Series
        A row of a table of predictions.
    labels : sequence of str
        The model's labels in order.
    """
    table = pd.DataFrame({"emotion": list(labels), "p": [float(row[la]) for la in labels]})
    base = alt.Chart(table).encode(
        y=alt.Y("emotion:N", sort=list(labels), title=None, axis=alt.Axis(labelOverlap=False)),
        x=alt.X(
            "p:Q",
            title="Probability",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%", tickCount=5),
        ),
        tooltip=[
            alt.Tooltip("emotion:N", title="Emotion"),
            alt.Tooltip("p:Q", title="Probability", format=".1%"),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=3).encode(
        color=alt.Color("emotion:N", scale=emotion_scale(labels), legend=None)
    )
    values = base.mark_text(align="left", dx=4, color="#7d8590").encode(
        text=alt.Text("p:Q", format=".0%")
    )
    return _sized(alt.layer(bars, values), "", 28 * len(labels))


def timeline(table: pd.DataFrame, labels: Sequence[str]) -> Chart:
    """Draw the probabilities of every window of a recording over time.

    Parameters
    ----------
    table : DataFrame
        As `ser.recognizer.Recognizer.timeline` returns it.
    labels : sequence of str
        The model's labels in order.
    """
    table = table.assign(middle=(table["start"] + table["end"]) / 2)
    long = table.melt(["start", "end", "middle"], list(labels), "label", "p").dropna(subset="p")
    chart = (
        alt.Chart(long)
        .mark_area(interpolate="monotone")
        .encode(
            x=alt.X("middle:Q", title="Time (s)", scale=alt.Scale(nice=False)),
            y=alt.Y("p:Q", stack="zero", title="Probability", axis=alt.Axis(format=".0%")),
            color=alt.Color("label:N", scale=emotion_scale(labels), title="Emotion"),
            order="label:N",
            tooltip=[
                alt.Tooltip("start:Q", title="From (s)", format=".1f"),
                alt.Tooltip("end:Q", title="To (s)", format=".1f"),
                alt.Tooltip("label:N", title="Emotion"),
                alt.Tooltip("p:Q", title="Probability", format=".1%"),
            ],
        )
    )
    return _sized(alt.layer(chart), "", 220)


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Chart:
    """Draw a confusion matrix: counts as numbers, the share of each true class as colour."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    table = pd.DataFrame(
        [
            {"truth": t, "predicted": p, "count": int(counts[i, j]), "share": shares[i, j]}
            for i, t in enumerate(labels)
            for j, p in enumerate(labels)
        ]
    )
    base = alt.Chart(table).encode(
        x=alt.X("predicted:N", sort=list(labels), title="Predicted"),
        y=alt.Y("truth:N", sort=list(labels), title="Truth"),
        tooltip=[
            alt.Tooltip("truth:N", title="Truth"),
            alt.Tooltip("predicted:N", title="Predicted"),
            alt.Tooltip("count:Q", title="Clips"),
            alt.Tooltip("share:Q", title="Share of the class", format=".1%"),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title="Share of the true class",
            scale=alt.Scale(scheme="blues", domain=[0, 1]),
            legend=alt.Legend(format=".0%"),
        )
    )
    numbers = base.mark_text().encode(
        text="count:Q",
        color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("#1b2430")),
    )
    side = 46 * len(labels)
    return alt.layer(cells, numbers).properties(width=side, height=0.75 * side)


def reliability(rows: Sequence[dict[str, float]]) -> Chart:
    """Draw how often answers of each confidence were right; on the diagonal they are honest.

    Parameters
    ----------
    rows : sequence of dict
        See `ser.evaluation.reliability`.
    """
    table = pd.DataFrame(list(rows))
    share = alt.Scale(domain=[0, 1])
    bars = (
        alt.Chart(table)
        .mark_rect(color=_TRAINING, stroke="white")
        .encode(
            x=alt.X("low:Q", title="Confidence", scale=share, axis=alt.Axis(format=".0%")),
            x2="high:Q",
            y=alt.Y("accuracy:Q", title="Accuracy", scale=share, axis=alt.Axis(format=".0%")),
            y2=alt.datum(0),
            opacity=alt.Opacity("n:Q", legend=None, scale=alt.Scale(range=[0.35, 1])),
            tooltip=[
                alt.Tooltip("confidence:Q", title="Mean confidence", format=".1%"),
                alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
                alt.Tooltip("n:Q", title="Clips"),
            ],
        )
    )
    honest = (
        alt.Chart(pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]}))
        .mark_line(color=_VALIDATION, strokeDash=[4, 4])
        .encode(x="x:Q", y="y:Q")
    )
    return alt.layer(bars, honest).properties(
        width=_WIDTH // 2 - 40, height=220, description="Accuracy against confidence"
    )


def coverage(rows: Sequence[dict[str, float]]) -> Chart:
    """Draw how right the answers are if only the surest share of the clips is answered.

    Parameters
    ----------
    rows : sequence of dict
        See `ser.evaluation.coverage`.
    """
    chart = (
        alt.Chart(pd.DataFrame(list(rows)))
        .mark_line(color=_TRAINING, point=True)
        .encode(
            x=alt.X(
                "coverage:Q",
                title="Clips answered, surest first",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%"),
            ),
            y=alt.Y(
                "accuracy:Q",
                title="Accuracy on them",
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format=".0%"),
            ),
            tooltip=[
                alt.Tooltip("coverage:Q", title="Clips answered", format=".0%"),
                alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
                alt.Tooltip("confidence:Q", title="Least confidence", format=".1%"),
            ],
        )
    )
    return alt.layer(chart).properties(
        width=_WIDTH // 2 - 40, height=220, description="Accuracy against coverage"
    )


def beside(left: Chart, right: Chart) -> Chart:
    """Draw two charts side by side."""
    return alt.hconcat(left, right)


def robustness(rows: Sequence[dict[str, Any]]) -> Chart:
    """Draw the accuracy under each condition with its interval, against the clean one.

    Parameters
    ----------
    rows : sequence of dict
        See `ser.robustness.measure`; the first is the clean one.
    """
    table = pd.DataFrame(
        [r | dict(zip(("low", "high"), r["accuracy_interval"], strict=True)) for r in rows]
    )
    base = alt.Chart(table).encode(y=alt.Y("condition:N", sort=None, title=None))
    dots = base.mark_point(filled=True, size=60, color=_TRAINING).encode(
        x=alt.X(
            "accuracy:Q", title="Accuracy", scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%")
        ),
        tooltip=[
            alt.Tooltip("condition:N", title="Condition"),
            alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
            alt.Tooltip("uar:Q", title="UAR", format=".1%"),
            alt.Tooltip("uncertain:Q", title="Uncertain", format=".1%"),
        ],
    )
    intervals = base.mark_rule(color=_TRAINING).encode(x="low:Q", x2="high:Q")
    clean = alt.Chart(table.head(1)).mark_rule(color=_VALIDATION, strokeDash=[4, 4])
    return _sized(alt.layer(clean.encode(x="accuracy:Q"), intervals, dots), "", 22 * len(table))


def why_time(time: pd.DataFrame) -> Chart:
    """Draw which part of the clip spoke for the answer, and which against it.

    Parameters
    ----------
    time : DataFrame
        See `ser.explain.Explanation`.
    """
    table = time.assign(middle=(time["start"] + time["end"]) / 2)
    chart = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X("middle:Q", title="Time in the model's 3 s (s)", scale=alt.Scale(nice=False)),
            y=alt.Y("effect:Q", title="Evidence (log-odds)"),
            color=_effect_colour(),
            tooltip=[
                alt.Tooltip("start:Q", title="From (s)", format=".2f"),
                alt.Tooltip("end:Q", title="To (s)", format=".2f"),
                alt.Tooltip("effect:Q", title="Evidence", format="+.2f"),
            ],
        )
    )
    return _sized(alt.layer(chart), "Evidence over time", 140)


def why_rows(rows: pd.DataFrame, *, most: int = 12) -> Chart:
    """Draw the rows of the input that moved the answer most.

    Parameters
    ----------
    rows : DataFrame
        See `ser.explain.Explanation`.
    most : int
        How many rows.
    """
    strongest = rows.loc[rows["effect"].abs().nlargest(most).index]
    chart = (
        alt.Chart(strongest.sort_values("effect", ascending=False))
        .mark_bar()
        .encode(
            x=alt.X("effect:Q", title="Evidence (log-odds)"),
            # Every row is named: Vega-Lite would leave out each second one here.
            y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelOverlap=False)),
            color=_effect_colour(),
            tooltip=[
                alt.Tooltip("name:N", title="Row"),
                alt.Tooltip("effect:Q", title="Evidence", format="+.2f"),
            ],
        )
    )
    return _sized(alt.layer(chart), "Rows that moved the answer most", 18 * len(strongest))


def _effect_colour() -> Any:
    return alt.condition("datum.effect >= 0", alt.value(_TRAINING), alt.value(_VALIDATION))


def curves(epochs: Sequence[dict[str, Any]]) -> Chart:
    """Draw accuracy and loss over the epochs, training beside validation.

    Parameters
    ----------
    epochs : sequence of dict
        Records of ``epochs.jsonl``, at least one.
    """
    table = pd.DataFrame(list(epochs))
    accuracy = _curve(table, "accuracy", "Accuracy", ".0%")
    loss = _curve(table, "loss", "Loss (cross-entropy)", ".2f")
    return alt.hconcat(accuracy, loss)


def _curve(table: pd.DataFrame, column: str, title: str, fmt: str) -> Chart:
    long = table.rename(columns={column: "training", f"val_{column}": "validation"}).melt(
        "epoch", ["training", "validation"], "part", "value"
    )
    chart = (
        alt.Chart(long)
        .mark_line(point=len(table) < 3)
        .encode(
            x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(format=fmt), scale=alt.Scale(zero=False)),
            color=alt.Color(
                "part:N",
                title=None,
                scale=alt.Scale(domain=["training", "validation"], range=[_TRAINING, _VALIDATION]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                alt.Tooltip("epoch:Q", title="Epoch"),
                alt.Tooltip("part:N", title="Clips"),
                alt.Tooltip("value:Q", title=title, format=".3f"),
            ],
        )
    )
    return alt.layer(chart).properties(width=_WIDTH // 2 - 40, height=220)


def save_chart(chart: Chart, path: str | Path) -> None:
    """Write a chart as PNG (twice the pixels, for print) or as HTML that works offline.

    Raises
    ------
    OutputError
        If the name ends in neither .png nor .html, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".html"):
        raise OutputError(f"Cannot draw {path}: the name must end in .png or .html.")
    drawn = chart.configure(background="white")
    with atomic_path(path) as temporary:
        if suffix == ".png":
            drawn.save(temporary, scale_factor=2)
        else:
            drawn.save(temporary, inline=True)


def to_svg(chart: Chart) -> str:
    """Return a chart as SVG text, for documents that must stand alone."""
    import vl_convert

    return vl_convert.vegalite_to_svg(chart.configure(background="white").to_dict())


def _mel_frequencies(contract: Contract) -> npt.NDArray[np.float64]:
    import librosa

    # The filters' peaks: edges of the scale at both ends are no bands.
    return np.asarray(
        librosa.mel_frequencies(contract.n_mels + 2, fmin=0.0, fmax=contract.sample_rate / 2)[1:-1]
    )


def _sized(chart: Chart, title: str, height: int) -> Chart:
    sized = chart.properties(width=_WIDTH, height=height)
    # The description is what a screen reader says.
    return sized.properties(title=title, description=title) if title else sized
