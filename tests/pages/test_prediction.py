import io

import numpy as np
import pytest
import soundfile

from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


def wav(samples):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


def test_it_says_what_to_do_before_anything_is_chosen(page):
    prediction = page("pages/4_Prediction.py")
    assert not prediction.exception
    assert "Choose a recording" in prediction.info[0].value


def test_a_sample_is_predicted(page):
    prediction = page("pages/4_Prediction.py")
    prediction.segmented_control[0].set_value("Sample").run()
    assert not prediction.exception and not prediction.error
    assert {metric.label for metric in prediction.metric} == {"Emotion", "Probability"}


def test_it_shows_what_moved_the_answer(page):
    prediction = page("pages/4_Prediction.py")
    prediction.segmented_control[0].set_value("Sample").run()
    assert "Why" in [expander.label for expander in prediction.expander]
    spoke = [text.value for text in prediction.markdown if "spoke **for" in text.value]
    assert len(spoke) == 1


@pytest.mark.parametrize("sound", ["noise", "tone"])
def test_what_is_no_speech_gets_no_emotion(page, sound):
    rng = np.random.default_rng(0)
    samples = {
        "noise": rng.normal(0, 0.1, 48_000),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000),
    }[sound]
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("noise.wav", wav(samples), "audio/wav").run()
    assert not prediction.exception and not prediction.error
    assert {metric.label: metric.value for metric in prediction.metric}["Emotion"] == "uncertain"
    reasons = [caption.value for caption in prediction.caption]
    assert any("none of the speech the model learned" in reason for reason in reasons)


def test_an_upload_is_predicted(page):
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("clip.flac", CLIP.read_bytes(), "audio/flac").run()
    assert not prediction.exception and not prediction.error
    assert {metric.label for metric in prediction.metric} == {"Emotion", "Probability"}


def test_a_long_upload_gets_a_timeline(page):
    clip, _ = soundfile.read(CLIP)
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("long.wav", wav(np.tile(clip, 3)), "audio/wav").run()
    assert not prediction.exception and not prediction.error
    assert "Over time" in [heading.value for heading in prediction.subheader]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"this is no audio", "no audio this program can decode"),
        (wav(np.zeros(32_000)), "silent"),
        (wav(np.ones(160) / 2), "10 ms"),
    ],
)
def test_a_bad_upload_gets_a_sentence(page, data, words):
    prediction = page("pages/4_Prediction.py")
    prediction.file_uploader[0].upload("bad.wav", data, "audio/wav").run()
    assert not prediction.exception
    assert words in prediction.error[0].value
    assert len(prediction.metric) == 0
