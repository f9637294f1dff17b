"""What all tests share, and the examples in docstrings, which run as tests.

No test needs more data than the samples of this repository.
"""

import os
from pathlib import Path

import numpy as np
import pylibsrtp  # noqa: F401 - before TensorFlow, see ser/app/widgets/resources.py
import pytest

from ser.audio import CLIP_SAMPLES, augmentation
from ser.audio.features import SPECTRAL
from ser.data import parsers

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As `ser train` shares the cores between the two members of the tests' model: with other threads
# sums are taken in another order and end in other digits, and a run resumed here that was begun
# by the command line would not end like an undisturbed one.
CORES = os.cpu_count() or 1
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # else on or off by the kind of processor
os.environ["TF_NUM_INTEROP_THREADS"] = str(CORES)
os.environ["TF_NUM_INTRAOP_THREADS"] = str(max(CORES // 2, 1))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep what is stored in folders of this session, also in the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("SER_CACHE", str(folder))
        patch.setenv("SER_HOME", str(tmp_path_factory.mktemp("home")))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """Compile librosa first, since tests also call it as it is, see `first_call_alone`."""
    noise = np.random.default_rng(0).normal(0, 0.1, CLIP_SAMPLES).astype(np.float32)
    SPECTRAL.extract(noise)
    SPECTRAL.pitch(noise)
    augmentation.change_tempo(noise, 1.1)


@pytest.fixture(autouse=True)
def no_parser_left(monkeypatch):
    """Forget the parsers of file names that a test registers."""
    monkeypatch.setattr(parsers, "_parsers", dict(parsers._parsers))


@pytest.fixture(scope="session")
def samples():
    """Return the folder of the 120 synthetic clips."""
    return Path(__file__).parent / "data" / "samples"


@pytest.fixture(scope="session")
def clips(samples):
    """Return the sample clips, sorted by file name."""
    return sorted(samples.rglob("*.flac"), key=lambda clip: clip.name)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """Train a tiny model on the samples of three emotions."""
    from tests.tiny import tiny_corpus, tiny_run

    folder = tmp_path_factory.mktemp("finished")
    return tiny_run(folder / "run", tiny_corpus(folder / "data"), robustness=True)
