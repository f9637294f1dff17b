import io
import threading

import av
import numpy as np
import pytest
import soundfile
import soxr

from ser import audio
from ser.assets import SHIPPED_MODEL
from ser.errors import DataError
from ser.models.recognizer import NO_SPEECH, Recognizer
from ser.models.streaming import (
    HOP_SECONDS,
    KEEP_SECONDS,
    SHOWN_SECONDS,
    Listener,
    Recorder,
    ice_servers,
    samples_of,
)
from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(SHIPPED_MODEL)


def as_webrtc(samples):
    """Cut 16 kHz sound into what a browser delivers: 20 ms of 48 kHz stereo int16."""
    fast = soxr.resample(samples, 16_000, 48_000)
    stereo = np.stack([fast, fast]) * 32767
    for begin in range(0, stereo.shape[1], 960):
        yield stereo[:, begin : begin + 960].round().astype(np.int16)


def hear(recognizer, samples):
    listener = Listener(recognizer)
    for frame in as_webrtc(samples):
        listener.push(frame, 48_000)
    listener.finish()
    return listener


def test_what_a_browser_sends_gets_the_answer_of_the_file(recognizer):
    samples = audio.load_audio(CLIP)[: 3 * 16_000]
    listener = hear(recognizer, samples)
    with_files = recognizer.predict(listener._recent[-48_000:]).iloc[0]
    last = listener.answers().iloc[-1]
    for label in recognizer.labels:
        assert last[label] == pytest.approx(with_files[label], abs=1e-9)
    assert last["end"] == pytest.approx(listener.sound().seconds)
    original = recognizer.predict(samples).iloc[0]
    assert last["emotion"] == original["emotion"]


def test_sound_is_resampled_without_a_seam(recognizer):
    samples = (0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)).astype(np.float32)
    recorded, rate = soundfile.read(io.BytesIO(hear(recognizer, samples).recording()))
    assert rate == 16_000
    # The resampler holds back its last few milliseconds; apart from its ends nothing is changed.
    assert 31_000 < len(recorded) <= 32_000
    middle = slice(1000, 30_000)
    assert np.abs(recorded[middle] - samples[middle]).max() < 1e-3


def test_it_answers_more_than_twice_a_second(recognizer):
    listener = Listener(recognizer)
    samples = np.tile(audio.load_audio(CLIP), 2)
    hop = round(HOP_SECONDS * 16_000)
    pieces = range(0, len(samples) - hop + 1, hop)
    for begin in pieces:
        listener.push(samples[None, begin : begin + hop], 16_000)
        with listener._changed:  # as a microphone would leave it time
            assert listener._changed.wait_for(lambda: not listener._due(), timeout=60)
    listener.stop()
    answers = listener.answers()
    assert HOP_SECONDS < 0.5 and len(answers) == len(pieces)
    assert answers["end"].diff().dropna().to_numpy() == pytest.approx(HOP_SECONDS)


def test_a_muted_microphone_is_noticed_and_gets_no_emotion(recognizer):
    listener = hear(recognizer, np.zeros(40_000, np.float32))
    heard = listener.heard()
    assert listener.sound().muted and listener.sound().level_dbfs == -120
    assert heard.probabilities is None and heard.verdict == NO_SPEECH
    assert set(listener.answers()["verdict"]) == {NO_SPEECH}


def test_a_pause_after_speech_is_no_speech(recognizer):
    listener = Listener(recognizer)
    rng = np.random.default_rng(0)
    hiss = (1e-4 * rng.standard_normal(6 * 16_000)).astype(np.float32)
    for part in (audio.load_audio(CLIP), hiss):
        listener.push(part[None], 16_000)
        with listener._changed:
            assert listener._changed.wait_for(lambda: not listener._due(), timeout=60)
    listener.stop()
    assert listener.answers()["verdict"].iloc[0] != NO_SPEECH
    assert listener.answers()["verdict"].iloc[-1] == NO_SPEECH
    assert not listener.sound().muted


def test_an_overdriven_microphone_is_noticed():
    loud = np.sign(np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)).astype(np.float32)
    recorder = Recorder()
    recorder.push(loud[None], 16_000)
    assert recorder.sound().clipped


def test_level_and_waveform_are_those_of_the_last_moments():
    recorder = Recorder()
    recorder.push(np.full((1, 16_000), 0.0, np.float32), 16_000)
    recorder.push(np.tile(np.float32([0.1, -0.1]), 8000)[None], 16_000)
    heard = recorder.sound()
    assert heard.level_dbfs == pytest.approx(-20)
    columns = len(heard.envelope)
    second = round(columns / SHOWN_SECONDS)
    assert np.abs(heard.envelope[: columns - second - 1]).max() == 0
    assert heard.envelope[-1].tolist() == pytest.approx([-0.1, 0.1])


def test_memory_is_bounded():
    listener = Recorder()
    for _ in range(round(KEEP_SECONDS / 10) + 5):
        listener.push(np.zeros((1, 160_000), np.float32), 16_000)
    kept = soundfile.info(io.BytesIO(listener.recording())).duration
    assert KEEP_SECONDS <= kept < KEEP_SECONDS + 10
    assert len(listener._recent) == SHOWN_SECONDS * 16_000


def test_nothing_is_heard_after_stop_and_no_thread_stays(recognizer):
    before = threading.active_count()
    listener = Listener(recognizer)
    listener.finish()
    listener.push(np.ones((1, 16_000), np.float32), 16_000)
    assert listener.sound().seconds == 0
    assert threading.active_count() == before


def test_a_failure_is_told(recognizer):
    class Broken(Recognizer):
        def predict(self, source, *, name=None):
            raise RuntimeError("the network is upside down")

    broken = Broken.__new__(Broken)
    broken.__dict__.update(recognizer.__dict__)
    listener = Listener(broken)
    listener.push(audio.load_audio(CLIP)[None], 16_000)
    listener.finish()
    assert listener.heard().error == "the network is upside down"


@pytest.mark.parametrize("layout", ["s16", "s16p", "fltp"])
def test_frames_of_any_layout_are_read_channel_by_channel(layout):
    left, right = np.arange(10), -np.arange(10)
    kind = np.float32 if layout == "fltp" else np.int16
    stereo = np.stack([left, right]).astype(kind)
    laid = stereo if layout.endswith("p") else np.ascontiguousarray(stereo.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(laid, format=layout, layout="stereo")
    assert samples_of(frame).tolist() == stereo.tolist()


@pytest.mark.parametrize("text", ["turn:example.org", "{}", "[1]", '[{"url": "stun:a"}]', "[NaN"])
def test_wrong_ice_servers_are_refused_with_an_example(text):
    with pytest.raises(DataError, match=r"SER_ICE_SERVERS cannot be used.*JSON list such as"):
        ice_servers(text)


def test_a_part_of_the_recording_is_cut_where_it_was_marked():
    recorder = Recorder()
    recorder.push(np.full((1, 16_000), 0.25, np.float32), 16_000)
    mark = recorder.sound().seconds
    recorder.push(np.full((1, 8_000), 0.5, np.float32), 16_000)
    take, rate = soundfile.read(io.BytesIO(recorder.recording(start=mark)))
    assert len(take) == 8_000 and rate == 16_000
    assert take == pytest.approx(0.5, abs=1e-3)
