"""How an answer is shown: the emotion, all probabilities, what was heard, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

import ui
from ser import charts, report, workspace
from ser.audio import Samples, load_audio

if TYPE_CHECKING:
    from ser.recognizer import Recognizer


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
        ui.show(charts.why_time(why.time))
        ui.show(charts.why_rows(why.rows))


def show_prediction(data: bytes, name: str, truth: str = "") -> None:
    """Show the answer for one recording: the emotion, all probabilities, and what was heard."""
    model = ui.recognizer()
    with st.spinner("Listening …"):
        row = model.predict(data, name=name).iloc[0]
        recording = load_audio(data, sample_rate=model.contract.sample_rate)
    seconds = len(recording) / model.contract.sample_rate
    if truth and (measured := report.read_report(workspace.PROJECT / "reports", "samples.json")):
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
        ui.show(charts.probabilities(row, model.labels))
    if seconds > model.contract.clip_seconds + 1:
        st.subheader("Over time")
        st.caption("Windows of 3 s, one each second; gaps are pauses.")
        with st.spinner(f"Listening to all {seconds:.0f} s …"):
            table = model.timeline(data, name=name)
        ui.show(charts.timeline(table, model.labels))
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
            ui.show(figure)
