"""What the pages share: the model loaded once, and how a prediction is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from ser import charts, corpora, report
from ser.audio import Samples, load_audio
from ser.errors import SerError

if TYPE_CHECKING:
    import pandas as pd

    from ser.recognizer import Recognizer

PROJECT = Path(__file__).parent
MODEL = PROJECT / "models" / "ravdess"
ICON = str(PROJECT / "docs" / "icon.png")
SAMPLES = PROJECT / "data" / "samples"


@st.cache_resource(show_spinner="Loading the model, a few seconds once …")
def recognizer(folder: Path = MODEL) -> Recognizer:
    """Load a model once for everybody."""
    from ser.recognizer import Recognizer

    return Recognizer.load(folder)


@st.cache_data(show_spinner=False)
def samples() -> pd.DataFrame:
    """Return the table of the clips that ship with the app."""
    return corpora.scan(SAMPLES).clips


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Show what the user can mend as a message, not as a traceback."""
    try:
        yield
    except SerError as error:
        st.error(str(error), icon=":material/error:")


def show(chart: charts.Chart) -> None:
    """Show a chart as wide as the page; Streamlit counts titles and axes into the height."""
    st.altair_chart(chart, width="stretch", height=int(chart.height) + 100)


def sample_label(name: str) -> str:
    """Say what a sample is: its emotion, voice and sentence."""
    clip = samples().set_index("name").loc[name]
    strong = ", strong" if clip["intensity"] == "strong" else ""
    return f"{clip['emotion']}{strong} · {clip['speaker']} ({clip['gender']}) · {clip['statement']}"


def show_why(model: Recognizer, recording: Samples) -> None:
    """Show which time and which rows of the input moved the answer."""
    from ser.explain import explain

    with st.expander("Why", icon=":material/lightbulb:"):
        why = explain(model, recording)
        st.write(
            f"Parts of the input were hidden one after the other. Blue parts spoke **for "
            f"{why.emotion}**: without them it is less likely. Orange parts spoke against it. An "
            "evidence of 1 makes it 2.7 times as likely against all others."
        )
        show(charts.why_time(why.time))
        show(charts.why_rows(why.rows))


def show_prediction(data: bytes, name: str, truth: str = "") -> None:
    """Show the answer for one recording: the emotion, all probabilities, and what was heard."""
    model = recognizer()
    with st.spinner("Listening …"):
        row = model.predict(data, name=name).iloc[0]
        recording = load_audio(data, sample_rate=model.contract.sample_rate)
    seconds = len(recording) / model.contract.sample_rate
    if truth and (measured := report.read_report(PROJECT / "reports", "samples.json")):
        st.caption(
            "The samples are synthetic voices that imitate each emotion. The model learned from "
            f"people and is right on only {measured['accuracy']:.0%} of the samples."
        )
    answer, chart = st.columns([1, 2])
    with answer:
        sure = row["verdict"] == "sure"
        st.metric("Emotion", row["emotion"] if sure else row["verdict"], border=True)
        st.metric("Probability", f"{row[row['emotion']]:.0%}", border=True)
        if not sure:
            st.caption(row["reason"])
        if truth:
            right = sure and truth == row["emotion"]
            st.caption("As it was meant." if right else f"It was meant as {truth}.")
        part = ", the loudest 3 s" if row["end"] - row["start"] > 2.99 else ""
        st.caption(f"Heard: {row['start']:.1f} s to {row['end']:.1f} s of {seconds:.1f} s{part}.")
    with chart:
        show(charts.probabilities(row, model.labels))
    if seconds > model.contract.clip_seconds + 1:
        st.subheader("Over time")
        st.caption("Windows of 3 s, one each second; gaps are pauses.")
        with st.spinner(f"Listening to all {seconds:.0f} s …"):
            table = model.timeline(data, name=name)
        show(charts.timeline(table, model.labels))
        st.download_button(
            "Table as CSV", table.to_csv(index=False), "timeline.csv", icon=":material/download:"
        )
    show_why(model, recording)
    with st.expander("What the model heard", icon=":material/graphic_eq:"):
        st.write(
            "Silence at both ends is cut off; of what is longer than 3 s, the 3 s of most energy "
            "are kept; the rest is brought to one level and centred in 3 s. A "
            "**mel-spectrogram** is the energy per pitch band as the ear divides it; **MFCCs** sum "
            "up its shape, **chroma** says which notes sound, **contrast** how far peaks stand "
            "out. The model gets two inputs of 32 rows and 94 frames; the rows of the second have "
            "many units, so each is shown relative to its own mean and spread."
        )
        for figure in charts.clip_charts(recording, contract=model.contract).values():
            show(figure)
