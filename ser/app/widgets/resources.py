"""What is loaded once for everybody: models, samples."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

# The live microphone's encryption, first of all: it ends the whole process with a segmentation
# fault if it is loaded after TensorFlow (pylibsrtp 1.0.0, TensorFlow 2.21).
import pylibsrtp  # noqa: F401
import streamlit as st
from streamlit.runtime.app_session import AppSession

from ser import assets, audio
from ser.app import workspace
from ser.audio import sandbox
from ser.data import corpora
from ser.models import bundle
from ser.utils.files import sha256_of

if TYPE_CHECKING:
    import pandas as pd

    from ser.models.recognizer import Recognizer


# A browser can ask Streamlit to clear all caches, for everybody: with them would go the models, the
# downloads that run, and what every visitor of a public server keeps.
AppSession._handle_clear_cache_request = lambda self: None  # type: ignore[method-assign]


@st.cache_resource(show_spinner=False)
def learning_tools() -> Future[None]:
    """Begin to load TensorFlow in the background, once for everybody: what lets a model learn."""

    def load() -> None:
        import tensorflow  # noqa: F401

    return _in_background(load)


@st.cache_resource(show_spinner=False)
def warm_up() -> Future[None]:
    """Begin to load the model that answers in the background, once for everybody.

    A page calls it last, when everything of it is on the screen.
    """

    def load() -> None:
        shared_recognizer(assets.DEFAULT_MODEL)

    return _in_background(load)


def _decode_here(decoders: sandbox.Decoders) -> None:
    os.environ.pop(audio.DECODE_APART, None)
    audio.use_decoder(None)
    decoders.close()


@st.cache_resource(show_spinner=False, on_release=_decode_here)
def decode_apart() -> sandbox.Decoders:
    """Let recordings be decoded in processes that can do nothing else, once for everybody."""
    decoders = sandbox.Decoders()
    audio.use_decoder(decoders)
    os.environ[audio.DECODE_APART] = "1"  # workers and processes of its own do so too
    return decoders


def _in_background(load: Callable[[], None]) -> Future[None]:
    future: Future[None] = Future()

    def run() -> None:
        try:
            load()
            # Streamlit collects garbage after every run of a page or fragment and holds up
            # everybody meanwhile. What was just loaded stays for good, so it need not be searched
            # each time.
            gc.collect()
            gc.freeze()
            future.set_result(None)
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name="warm-up", daemon=True).start()
    return future


def recognizer(folder: Path | None = None) -> Recognizer:
    """Return a model, by default the active one, loaded once for everybody.

    Raises
    ------
    BundleError
        If it cannot be loaded.
    """
    folder = folder or workspace.active_model()
    with st.spinner("Loading the model (a few seconds, the first time only) …"):
        warm_up().result()
        return shared_recognizer(folder)


def shared_recognizer(folder: Path) -> Recognizer:
    """Return the model in a folder, loaded once for everybody; also where no page is drawn."""
    bundle.read_manifest(folder)  # says what is wrong with it, if anything is
    return _recognizer(folder, sha256_of(folder / bundle.MANIFEST_FILE))


@st.cache_resource(show_spinner=False, max_entries=8)
def _recognizer(folder: Path, sha256: str) -> Recognizer:
    return _load(folder)


def _load(folder: Path) -> Recognizer:
    from ser.models.recognizer import Recognizer

    model = Recognizer.load(folder)
    # The first answer loads what decodes recordings; nobody should have to wait for that.
    model.predict(samples()["path"].iloc[0])
    return model


FIRST_SAMPLE = "03-01-06-02-02-01-27.flac"
"""Name of the sample that is shown first: one that the default model is sure of, and right."""


@st.cache_data(show_spinner=False)
def samples() -> pd.DataFrame:
    """Return the table of the clips that ship with the app."""
    return corpora.scan(assets.SAMPLES).clips
