"""What the pages share: the model loaded once, charts, messages, and words that need explaining."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import altair

# The live microphone's encryption, first of all: it ends the whole process with a segmentation
# fault if it is loaded after TensorFlow (pylibsrtp 1.0.0, TensorFlow 2.21).
import pylibsrtp  # noqa: F401
import streamlit as st

from ser import bundle, charts, corpora, report, workspace
from ser.errors import ReportError, SerError

if TYPE_CHECKING:
    import pandas as pd

    from ser.recognizer import Recognizer

ICON = str(workspace.PROJECT / "docs" / "icon.png")

TERMS = {
    "accuracy": "Accuracy: the share of clips whose emotion was named right.",
    "calibration": "Calibration: of the answers given with 70 % confidence, 70 % should be right.",
    "chroma": "Chroma: how strongly each of the 12 notes of the scale sounds, whatever the octave.",
    "confusion": "Confusion matrix: a row per true emotion, a column per answer.",
    "contrast": "Spectral contrast: how far a band's peaks stand out of its valleys, in dB.",
    "dBFS": "dBFS: decibels below the loudest level a file can hold, which is 0.",
    "ECE": "ECE, expected calibration error: how far confidence and accuracy lie apart on average; "
    "0 is best. 15 bins of confidence.",
    "F1": "F1: the harmonic mean of precision and recall; weighted by how many clips a class has.",
    "fold": "Fold: one part of the clips, tested by a model that was trained on the other parts.",
    "interval": "95 % interval: in 95 of 100 tests such a range holds the figure that all clips of "
    "this kind would give.",
    "mel": "Mel-spectrogram: energy over time in 32 bands that are spaced as the ear hears pitch.",
    "MFCC": "MFCCs: 13 numbers per moment that sum up the shape of the spectrum, so the vocal "
    "tract, without the pitch.",
    "precision": "Precision: of the clips that got this answer, the share that deserved it.",
    "recall": "Recall: of the clips of this emotion, the share that was found.",
    "UAR": "UAR, unweighted average recall: the mean of the recalls, so that every emotion counts "
    "alike however many clips it has.",
}
"""Words of the field in one sentence each; where one first appears on a page, this is its help."""


def page(title: str, *, layout: str = "wide") -> None:
    """Begin a page: its name in the tab and its heading."""
    wide: Any = layout
    st.set_page_config(page_title=f"{title} · ser", page_icon=ICON, layout=wide)
    st.title(title)


@st.cache_resource(show_spinner=False)
def audio_tools() -> Future[None]:
    """Begin to load librosa in the background, once for everybody.

    What needs no model waits for this only.
    """

    def load() -> None:
        from ser import audio, features

        first = samples()["path"].iloc[0]
        features.model_input(audio.prepare_clip(audio.load_audio(first)).samples)

    return _in_background(load)


@st.cache_resource(show_spinner=False)
def warm_up() -> Future[None]:
    """Begin to load librosa and then TensorFlow in the background, once for everybody.

    A page calls it last, when everything of it is on the screen.
    """
    tools = audio_tools()

    def load() -> None:
        tools.result()
        _recognizer(
            workspace.SHIPPED_MODEL,
            bundle.read_manifest(workspace.SHIPPED_MODEL).model_sha256,
        )

    return _in_background(load)


def _in_background(load: Callable[[], None]) -> Future[None]:
    future: Future[None] = Future()

    def run() -> None:
        try:
            load()
            # Streamlit collects garbage after every run of a page or fragment, twice where there
            # is Keras, and holds up everybody meanwhile. What was just loaded stays for good, so
            # it need not be searched each time.
            gc.collect()
            gc.freeze()
            future.set_result(None)
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name="warm-up", daemon=True).start()
    return future


@st.fragment(run_every=1.0)
def _watch_warm_up() -> None:
    if warm_up().done():
        st.rerun()
    st.caption(":material/hourglass_top: The model is being loaded, a few seconds once.")


def finish() -> None:
    """End a page: load the model in the background, with a word about it while that lasts."""
    if not warm_up().done():
        with st.sidebar:
            _watch_warm_up()


def recognizer(folder: Path | None = None) -> Recognizer:
    """Return a model, by default the active one, loaded once for everybody.

    Raises
    ------
    BundleError
        If it cannot be loaded.
    """
    folder = folder or workspace.active_model()
    with st.spinner("Loading the model, a few seconds once …"):
        warm_up().result()  # librosa and TensorFlow must not be loaded by two threads at once
        return _recognizer(folder, bundle.read_manifest(folder).model_sha256)


@st.cache_resource(show_spinner=False, max_entries=8)
def _recognizer(folder: Path, sha256: str) -> Recognizer:
    return _load(folder)


def _load(folder: Path) -> Recognizer:
    import keras

    from ser.recognizer import Recognizer

    model = Recognizer.load(folder)
    # Streamlit ends every run of a page or fragment with this function, after which TensorFlow
    # prepares each network anew for its next answer: 1.5 s, and three times a second where
    # somebody speaks. No page builds networks as it runs, so there is nothing to clear.
    keras.backend.clear_session = lambda free_memory=True: None
    # The first answer compiles the graph and librosa; nobody should have to wait for that.
    model.predict(samples()["path"].iloc[0])
    return model


@st.cache_data(show_spinner=False)
def samples() -> pd.DataFrame:
    """Return the table of the clips that ship with the app."""
    return corpora.scan(workspace.SAMPLES).clips


@st.cache_data(show_spinner=False, max_entries=64)
def _report(file: Path, changed: int, size: int) -> dict[str, Any]:
    return report.load_report(file)


def load_report(file: Path) -> dict[str, Any]:
    """Return a report, read once as long as its file stays as it is.

    Raises
    ------
    ReportError
        See `ser.report.load_report`.
    """
    try:
        stat = file.stat()
    except OSError:
        raise ReportError(f"There is no report at {file}.") from None
    return _report(file, stat.st_mtime_ns, stat.st_size)


def find_report(file: Path) -> dict[str, Any] | None:
    """Return a report as `load_report` does, or None if there is none that can be read."""
    try:
        return load_report(file)
    except ReportError:
        return None


def published(name: str) -> dict[str, Any] | None:
    """Return a report of this repository, or None if it has none of that name."""
    return find_report(workspace.PROJECT / "reports" / f"{name}.json")


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Show what the user can mend as a message, not as a traceback."""
    try:
        yield
    except SerError as error:
        st.error(str(error), icon=":material/error:")


def show(chart: charts.Chart, *, table: pd.DataFrame | None = None, **settings: Any) -> Any:
    """Show a chart as wide as its place, and its numbers as a table for who cannot see it.

    Parameters
    ----------
    chart : chart
        From `ser.charts`.
    table : DataFrame, optional
        What the chart draws, in words of people.
    **settings
        Of `streamlit.altair_chart`, such as ``key`` and ``on_select``; what that returns is
        returned.
    """
    # Streamlit counts titles and axes into the height.
    fixed = getattr(chart, "height", None)
    height: Any = int(fixed) + 100 if isinstance(fixed, int | float) else "content"
    if "alt" in settings:  # says more than what kind of chart it is, and there can be one only
        chart = chart.copy(deep=False)
        chart.description = altair.Undefined
    event = st.altair_chart(chart, width="stretch", height=height, **settings)
    if table is not None:
        with st.popover("Numbers", icon=":material/table:", type="tertiary"):
            st.dataframe(table, hide_index=True)
    return event


def sample_label(name: str) -> str:
    """Say what a sample is: its emotion, voice and sentence."""
    clip = samples().set_index("name").loc[name]
    strong = ", strong" if clip["intensity"] == "strong" else ""
    return f"{clip['emotion']}{strong} · {clip['speaker']} ({clip['gender']}) · {clip['statement']}"


def place(path: Path) -> str:
    """Say where something lies, shortly if it is in the project."""
    inside = path.is_relative_to(workspace.PROJECT)
    return str(path.relative_to(workspace.PROJECT) if inside else path)


def model_label(folder: Path) -> str:
    """Say which model a folder holds."""
    return f"{folder.name} (shipped)" if folder == workspace.SHIPPED_MODEL else folder.name
