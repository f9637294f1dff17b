"""Why a model answers as it does, and what it heard of the recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ser import plots
from ser.app.glossary import TERMS
from ser.app.widgets import layout
from ser.app.widgets.kept import kept
from ser.audio import SAMPLING_RATE, Samples, level_dbfs
from ser.audio.features import SPECTRAL

if TYPE_CHECKING:
    from ser.models.explanation import Explanation
    from ser.models.recognizer import Recognizer

_AROUND = 1.0  # seconds shown on both sides of what the model heard
_HEIGHTS = ((500.0, "low"), (2000.0, "middle"), (np.inf, "high"))  # up to so many Hz
_OF_ANY_MODEL = ("waveform", "pitch", "spectrogram", "mel")


def show_why(recording: Samples, model: Recognizer, what: Any) -> None:
    """Show what moved an answer; `what` names model and recording, see `ser.app.widgets.kept`."""
    from ser.models.explanation import explain

    with st.spinner("Hiding parts of the recording …"):
        why = kept("why", what, lambda: explain(model, recording))
    st.write(_in_words(why))
    st.caption(
        "Parts of what the model hears were hidden one after the other. Blue parts spoke for "
        f"{why.emotion}: without them it is less likely. Orange parts spoke against it. "
        "Evidence of 1 multiplies its odds by 2.7."
    )
    first = max(float(why.time["start"].min()) - _AROUND, 0.0)
    last = min(float(why.time["end"].max()) + _AROUND, len(recording) / SAMPLING_RATE)
    part = recording[round(first * SAMPLING_RATE) : round(last * SAMPLING_RATE)]
    layout.show(plots.waveform(part, begin=first), alt="Waveform of what the model heard")
    layout.show(plots.why_time(why.time, between=(first, last)), table=why.time.round(3))
    layout.show(plots.why_rows(why.rows), table=why.rows[["name", "effect"]].round(3))


def _in_words(why: Explanation) -> str:
    """Say what spoke most for an answer."""
    moment = why.time.nlargest(1, "effect").iloc[0]
    tone = why.rows.dropna(subset="hertz").nlargest(1, "effect").iloc[0]
    said = []
    if moment["effect"] > 0:
        said.append(f"the moment from {moment['start']:.1f} s to {moment['end']:.1f} s")
    if tone["effect"] > 0:
        height = next(word for limit, word in _HEIGHTS if tone["hertz"] < limit)
        said.append(f"{height} tones around {round(tone['hertz'], -2) or 100:.0f} Hz")
    if not said:
        return f"No single part of it speaks for {why.emotion}."
    return f"What speaks most for **{why.emotion}**: {', and '.join(said)}."


def show_heard(recording: Samples, model: Recognizer) -> None:
    """Show the part of a recording that the model hears, as it gets it."""
    st.write(
        "Silence at both ends is cut off, speech longer than 3 s is cut to its loudest 3 s, and "
        "the result is brought to one level and centred in 3 s. "
        f"The recording's own level was {level_dbfs(recording):.0f} dBFS."
    )
    if model.extractor == SPECTRAL:
        st.write(
            f"{TERMS['mel']} {TERMS['MFCC']} {TERMS['chroma']} {TERMS['contrast']} The model gets "
            "two inputs of 32 rows and 94 frames; the rows of the second have different units, so "
            "each is shown relative to its own mean and spread."
        )
        figures = plots.clip_charts(recording)
    else:
        st.write(f"The model gets this: {model.extractor.description}.")
        figures = plots.clip_charts(recording, names=_OF_ANY_MODEL)
    for figure in figures.values():
        layout.show(figure)
