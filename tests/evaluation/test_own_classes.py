import numpy as np
import pytest
import soundfile

from ser.assets import DEFAULT_MODEL
from ser.errors import DataError
from ser.evaluation.own_classes import learn_classes
from ser.models.recognizer import Recognizer
from ser.models.streaming import StreamingRecognizer
from tests.tiny import SAMPLES

RATE = 16_000


@pytest.fixture(scope="module")
def everyday():
    return Recognizer.load(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Return sounds of two kinds that are no emotion: a whistle, and a voice."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    whistles = []
    for number in range(6):
        pitch = rng.uniform(800, 1600) + 200 * np.sin(2 * np.pi * rng.uniform(1, 4) * time)
        whistles.append(folder / f"whistle-{number}.wav")
        tone = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
        soundfile.write(whistles[-1], tone + 0.002 * rng.normal(size=len(time)), RATE)
    voices = sorted(SAMPLES.rglob("*-26.flac"))[:14]
    return {"whistle": whistles[:5], "voice": voices[:7]}, (whistles[5], voices[9])


def test_classes_of_ones_own_are_learned_kept_and_told_apart(everyday, examples, tmp_path):
    known, (whistle, voice) = examples
    learned = learn_classes(everyday, known)
    assert (learned.n, np.sum(learned.confusion_matrix)) == (12, 12)
    assert learned.right == np.trace(learned.confusion_matrix) >= 11
    learned.recognizer.save(tmp_path / "mine")
    again = Recognizer.load(tmp_path / "mine")
    assert again.labels == ("whistle", "voice")
    answers = again.predict_files([whistle, voice], n_jobs=1)
    assert answers["emotion"].tolist() == ["whistle", "voice"]
    assert np.allclose(answers[["whistle", "voice"]].sum(axis=1), 1)


def test_live_what_is_no_louder_than_the_room_is_no_answer(everyday, examples):
    known, (whistle, _) = examples
    sound, _ = soundfile.read(whistle, dtype="float32")
    for room_dbfs, silent in ((-60.0, False), (-10.0, True)):
        model = learn_classes(everyday, known, room_dbfs=room_dbfs).recognizer
        listener = StreamingRecognizer(model)
        listener.push(sound[None], RATE)
        listener.finish()
        assert (listener.answers()["verdict"] == "no speech").all() == silent


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda known: {"voice": known["voice"]}, "There are 1 classes"),
        (lambda known: known | {"voice": known["voice"][:2]}, "2 examples of voice"),
        (lambda known: {"whistle": known["whistle"], "<b>": known["voice"]}, "letters, digits"),
        (lambda known: {"whistle": known["whistle"], "file": known["voice"]}, "name of a column"),
        (lambda known: known | {"voice": 5 * known["voice"][:2]}, "2 examples of voice"),
        (
            lambda known: known | {"voice": [*known["voice"], known["whistle"][0]]},
            "is an example of whistle and of voice",
        ),
    ],
)
def test_what_cannot_be_learned_is_refused(everyday, examples, change, words):
    with pytest.raises(DataError, match=words):
        learn_classes(everyday, change(examples[0]))
