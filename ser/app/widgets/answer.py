"""How an answer is shown: the emotion, all probabilities, what was heard, and why."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ser import assets, plots
from ser.app import catalogue
from ser.app.glossary import TERMS
from ser.app.widgets import (
    correction,
    explanation,
    layout,
    over_time,
    resources,
    visitor,
    voice,
)
from ser.app.widgets.kept import kept
from ser.audio import CLIP_SECONDS, SAMPLING_RATE, Samples, check_recording, load_audio
from ser.errors import SerError
from ser.models.recognizer import REFUSED, SURE, UNCERTAIN
from ser.models.voice import ENOUGH

if TYPE_CHECKING:
    import pandas as pd

    from ser.models.recognizer import Recognizer
    from ser.models.voice import Voice


def show_answer(
    data: bytes, name: str, model: Recognizer, *, folder: Path, truth: str = ""
) -> None:
    """Show the answer for one recording.

    Parameters
    ----------
    data : bytes
        Content of an audio file.
    name : str
        Of the recording.
    model : Recognizer
        Who answers.
    folder : Path
        Where that model lies.
    truth : str
        The emotion that was meant, if that is known.
    """
    digest = hashlib.sha256(data).hexdigest()
    what = (digest, model.manifest.model_sha256, model.labels, model.voice.count)

    def ask() -> tuple[Samples, pd.Series]:
        visitor.count()
        begun = time.monotonic()
        recording = load_audio(data)
        row = model.predict(recording, sampling_rate=SAMPLING_RATE, name=name).iloc[0]
        visitor.answered(row["verdict"], time.monotonic() - begun)
        return recording, row

    with st.spinner("Listening …"):
        recording, row = kept("answer", what, ask)
        problems = kept("problems", what, lambda: check_recording(recording))
    seconds = len(recording) / SAMPLING_RATE
    _verdict(row, model, truth, seconds, problems)
    if not truth:
        _what_to_do(row, model, problems)
        correction.ask(data, digest, model.labels)
    _measured(folder, truth, name)
    if seconds > CLIP_SECONDS + 1:
        over_time.show(data, name, recording, model, what)
    why = st.expander("Why", icon=":material/lightbulb:", key="why", on_change="rerun")
    if why.open:  # only then: it asks the model a hundred times
        with why:
            explanation.show_why(recording, model, what)
    heard = st.expander(
        "What the model heard", icon=":material/graphic_eq:", key="heard", on_change="rerun"
    )
    if heard.open:
        with heard:
            explanation.show_heard(recording, model)


def headline(emotion: str, probability: float, verdict: str) -> str:
    """Return an answer in a few words.

    Parameters
    ----------
    emotion : str
        The likeliest one.
    probability : float
        Of it.
    verdict : str
        See `ser.models.recognizer`.

    Examples
    --------
    >>> headline("fearful", 0.67, "sure"), headline("fearful", 0.3, "uncertain")
    ('Fearful, 67%', 'Not sure. Closest: fearful, 30%')
    """
    if verdict == "no speech":
        return "Nobody speaks here"
    if verdict == "sure":
        return f"{emotion.capitalize()}, {probability:.0%}"
    return f"Not sure. Closest: {emotion}, {probability:.0%}"


def show_files(
    files: list[tuple[str, bytes]], model: Recognizer, *, folder: Path, same_voice: bool = False
) -> None:
    """Show the answers for several recordings as a table, to look into and to take along.

    Parameters
    ----------
    files : list of (str, bytes)
        Name and content of each.
    model : Recognizer
        Who answers.
    folder : Path
        Where that model lies.
    same_voice : bool
        Whether one person speaks in all of them, see `ser.models.voice`.
    """
    what = (
        same_voice,
        [(name, hashlib.sha256(data).hexdigest()) for name, data in files],
        model.manifest.model_sha256,
        model.labels,
    )

    def listen() -> dict[int, Voice]:
        visitor.count(len(files))
        return _voices(files, model)

    voices = kept("voices", what, listen) if same_voice else {}

    def asked(number: int) -> Recognizer:
        others = voice.joined(each for other, each in voices.items() if other != number)
        return model.knowing(others) if same_voice else model

    def predict() -> pd.DataFrame:
        if not same_voice:  # or they were counted when they were listened to
            visitor.count(len(files))
        return _predict_all(files, asked, model.labels)

    table = kept("files", what, predict)
    refused = table["verdict"].eq(REFUSED).sum()
    st.write(
        f"**{len(table)} recordings**, {int(table['verdict'].eq(SURE).sum())} with a sure answer"
        + (f", {refused} that cannot be used" if refused else "")
        + ". Click on a row to see more of it."
    )
    event = st.dataframe(
        table,
        hide_index=True,
        # Other files have other rows: what was selected before is none of them.
        key=f"files {hashlib.sha256(repr(what).encode()).hexdigest()}",
        on_select="rerun",
        selection_mode="single-cell",
        column_config=columns(model.labels),
    )
    st.download_button(
        "Table as CSV",
        layout.csv(table),
        "predictions.csv",
        icon=":material/download:",
    )
    number = event.selection.cells[0][0] if event.selection.cells else 0
    name, data = files[number]
    st.write(f"**{layout.plain(name)}**")
    with layout.errors_for_people():
        load_audio(data)  # a player for what is no audio would be an empty box
        st.audio(data)
        show_answer(data, name, asked(number), folder=folder)


def columns(labels: Iterable[str]) -> dict[str, Any]:
    """Return how a table of predictions is shown: words for its columns, bars of probabilities."""
    return {
        "file": "File",
        "emotion": "Emotion",
        "verdict": "Verdict",
        "reason": st.column_config.TextColumn("Reason", width="medium"),
        "start": st.column_config.NumberColumn("From (s)", format="%.1f"),
        "end": st.column_config.NumberColumn("To (s)", format="%.1f"),
        "distance": st.column_config.NumberColumn("Distance", format="%.2f"),
        **{
            label: st.column_config.ProgressColumn(label, format="percent", max_value=1.0)
            for label in labels
        },
    }


def _voices(files: list[tuple[str, bytes]], model: Recognizer) -> dict[int, Voice]:
    """Return what each recording that can be used tells of the voice in it."""
    bar = st.progress(0.0, "Getting used to the voice …")
    voices = {}
    for i, (_, data) in enumerate(files):
        with suppress(SerError):  # said where it is asked about
            voices[i] = voice.voice_in(model, data)
        bar.progress((i + 1) / len(files), f"Getting used to the voice: {i + 1} of {len(files)}")
    bar.empty()
    return voices


def _predict_all(
    files: list[tuple[str, bytes]],
    asked: Callable[[int], Recognizer],
    labels: tuple[str, ...],
) -> pd.DataFrame:
    import pandas as pd

    bar = st.progress(0.0, "Listening …")
    rows = []
    for i, (name, data) in enumerate(files):
        begun = time.monotonic()
        try:
            row = asked(i).predict(data, name=name).iloc[0]
            visitor.answered(row["verdict"], time.monotonic() - begun)
            rows.append(row.to_dict())
        except SerError as error:
            visitor.refused(error)
            rows.append({"file": name, "verdict": REFUSED, "reason": str(error)})
        bar.progress((i + 1) / len(files), f"{i + 1} of {len(files)} recordings")
    bar.empty()
    columns = ["file", "emotion", "verdict", "reason", "start", "end", *labels]
    return pd.DataFrame(rows).reindex(columns=columns)


def _verdict(
    row: pd.Series, model: Recognizer, truth: str, seconds: float, problems: list[str]
) -> None:
    """Say what the answer is; a recording with a problem gets no sure one."""
    sure = row["verdict"] == SURE and not problems
    verdict = UNCERTAIN if row["verdict"] == SURE and problems else row["verdict"]
    st.subheader(headline(row["emotion"], row[row["emotion"]], verdict), anchor=False)
    for problem in problems:
        st.warning(problem, icon=":material/hearing:")
    if row["verdict"] == UNCERTAIN:
        st.write(row["reason"])
    if truth:
        right = sure and truth == row["emotion"]
        st.write("As it was meant." if right else f"It was meant as {truth}.")
    shares = ", ".join(f"{label} {row[label]:.0%}" for label in model.labels)
    layout.show(plots.probabilities(row, model.labels), alt=f"Probabilities: {shares}")
    part = ", the loudest 3 s" if row["end"] - row["start"] > 2.99 else ""
    asked = (
        f" Possible emotions: {', '.join(model.labels)}."
        if model.labels != model.manifest.labels
        else ""
    )
    st.caption(
        f"Heard: {row['start']:.1f} s to {row['end']:.1f} s of {seconds:.1f} s{part}.{asked}",
        help=TERMS["calibration"],
    )


def _what_to_do(row: pd.Series, model: Recognizer, problems: list[str]) -> None:
    """Offer what helps with a voice that is new, one click away."""
    new = model.voice.count < ENOUGH and "adapted" not in model.manifest.training
    if row["verdict"] != UNCERTAIN or problems or not new:
        return
    listen, teach = st.columns(2)
    if model.listens:
        listen.page_link(
            "pages/4_Prediction.py",
            label="Let it listen to you",
            icon=":material/hearing:",
            query_params={"source": "Live"},
        )
    teach.page_link(
        "pages/5_Your_voice.py", label="Teach it your voice", icon=":material/record_voice_over:"
    )


def _measured(folder: Path, truth: str, name: str) -> None:
    """Say how often a shipped model was right about such recordings."""
    samples = catalogue.find_report(catalogue.REPORTS / "samples.json")
    strangers = catalogue.on_strangers(folder)
    is_sample = name in set(resources.samples()["name"])
    if truth and is_sample and samples and folder == assets.DEFAULT_MODEL:
        st.caption(
            "The samples are synthetic voices, altered to sound like an emotion. The model learned "
            f"from people only and gets {samples.accuracy:.0%} of them right; that says little "
            "about people."
        )
    elif not truth and strangers:
        sure = strangers.sure_answers()
        believed = f", and {sure.accuracy:.0%} of its sure ones" if sure.accuracy else ""
        st.caption(
            f"With people it had never heard, {strangers.headline:.0%} of its answers were right"
            f"{believed}."
        )
