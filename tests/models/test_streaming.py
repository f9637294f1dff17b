import io
import threading

import av
import numpy as np
import pytest
import soundfile
import soxr

from ser import audio
from ser.assets import DEFAULT_MODEL
from ser.errors import DataError
from ser.models.recognizer import NO_SPEECH, Recognizer
from ser.models.streaming import (
    HOP_SECONDS,
    KEEP_SECONDS,
    SHOWN_SECONDS,
    Recorder,
    StreamingRecognizer,
    ice_servers,
    samples_of,
)
from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(DEFAULT_MODEL)


def as_webrtc(samples):
    """Cut 16 kHz sound into what a browser delivers: 20 ms of 48 kHz stereo int16."""
    fast = soxr.resample(samples, 16_000, 48_000)
    stereo = np.stack([fast, fast]) * 32767
    for begin in range(0, stereo.shape[1], 960):
        yield stereo[:, begin : begin + 960].round().astype(np.int16)


def hear(recognizer, samples):
    stream = StreamingRecognizer(recognizer)
    for frame in as_webrtc(samples):
        stream.push(frame, 48_000)
    stream.finish()
    return stream


def test_what_a_browser_sends_gets_the_answer_of_the_file(recognizer):
    samples = audio.load_audio(CLIP)[: 3 * 16_000]
    stream = hear(recognizer, samples)
    with_files = recognizer.predict(stream._recent[-48_000:], sampling_rate=16_000).iloc[0]
    last = stream.answers().iloc[-1]
    for label in recognizer.labels:
        assert last[label] == pytest.approx(with_files[label], abs=1e-9)
    assert last["end"] == pytest.approx(stream.signal().seconds)
    original = recognizer.predict(samples, sampling_rate=16_000).iloc[0]
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
    stream = StreamingRecognizer(recognizer)
    samples = np.tile(audio.load_audio(CLIP), 2)
    hop = round(HOP_SECONDS * 16_000)
    pieces = range(0, len(samples) - hop + 1, hop)
    for begin in pieces:
        stream.push(samples[None, begin : begin + hop], 16_000)
        with stream._changed:  # as a microphone would leave it time
            assert stream._changed.wait_for(lambda: not stream._due(), timeout=60)
    stream.stop()
    answers = stream.answers()
    assert HOP_SECONDS < 0.5 and len(answers) == len(pieces)
    assert answers["end"].diff().dropna().to_numpy() == pytest.approx(HOP_SECONDS)


def test_a_muted_microphone_is_noticed_and_gets_no_emotion(recognizer):
    stream = hear(recognizer, np.zeros(40_000, np.float32))
    current = stream.current()
    assert stream.signal().muted and stream.signal().level_dbfs == -120
    assert current.probabilities is None and current.verdict == NO_SPEECH
    assert set(stream.answers()["verdict"]) == {NO_SPEECH}


def test_a_pause_after_speech_is_no_speech(recognizer):
    stream = StreamingRecognizer(recognizer)
    rng = np.random.default_rng(0)
    hiss = (1e-4 * rng.standard_normal(6 * 16_000)).astype(np.float32)
    for part in (audio.load_audio(CLIP), hiss):
        stream.push(part[None], 16_000)
        with stream._changed:
            assert stream._changed.wait_for(lambda: not stream._due(), timeout=60)
    stream.stop()
    assert stream.answers()["verdict"].iloc[0] != NO_SPEECH
    assert stream.answers()["verdict"].iloc[-1] == NO_SPEECH
    assert stream.answers()["emotion"].iloc[-1] is None
    assert not stream.signal().muted


def test_answers_go_on_when_the_first_are_forgotten(recognizer, monkeypatch):
    monkeypatch.setattr("ser.models.streaming.KEEP_SECONDS", 4.0)
    stream = StreamingRecognizer(recognizer)
    piece = np.full((1, 8000), 0.1, np.float32)
    for _ in range(12):
        stream.push(piece, 16_000)
        with stream._changed:
            assert stream._changed.wait_for(lambda: not stream._due(), timeout=60)
    stream.stop()
    assert stream.forgotten == 2.0
    assert stream.answers()["end"].tolist() == [5.0, 5.5, 6.0], "all can be heard from the start"
    assert stream.answers(after=11)["end"].tolist() == [6.0]
    assert stream.answers(after=12).empty


def test_an_overdriven_microphone_is_noticed():
    loud = np.sign(np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)).astype(np.float32)
    recorder = Recorder()
    recorder.push(loud[None], 16_000)
    assert recorder.signal().clipped


def test_level_and_waveform_are_those_of_the_last_moments():
    recorder = Recorder()
    recorder.push(np.full((1, 16_000), 0.0, np.float32), 16_000)
    recorder.push(np.tile(np.float32([0.1, -0.1]), 8000)[None], 16_000)
    current = recorder.signal()
    assert current.level_dbfs == pytest.approx(-20)
    columns = len(current.envelope)
    second = round(columns / SHOWN_SECONDS)
    assert np.abs(current.envelope[: columns - second - 1]).max() == 0
    assert current.envelope[-1].tolist() == pytest.approx([-0.1, 0.1])


def test_memory_is_bounded():
    stream = Recorder()
    for _ in range(round(KEEP_SECONDS / 10) + 5):
        stream.push(np.zeros((1, 160_000), np.float32), 16_000)
    kept = soundfile.info(io.BytesIO(stream.recording())).duration
    assert KEEP_SECONDS <= kept < KEEP_SECONDS + 10
    assert len(stream._recent) == SHOWN_SECONDS * 16_000


def test_nothing_is_heard_after_stop_and_no_thread_stays(recognizer):
    before = threading.active_count()
    stream = StreamingRecognizer(recognizer)
    stream.finish()
    stream.push(np.ones((1, 16_000), np.float32), 16_000)
    assert stream.signal().seconds == 0
    assert threading.active_count() == before


def test_it_ends_though_it_was_stopped_with_sound_unanswered(recognizer):
    stream = StreamingRecognizer(recognizer)
    stream.push(audio.load_audio(CLIP)[None], 16_000)
    stream.stop()
    ending = threading.Thread(target=stream.finish, daemon=True)
    ending.start()
    ending.join(timeout=60)
    assert not ending.is_alive()


def test_nothing_of_a_voice_that_was_forgotten_is_learned(recognizer):
    samples = audio.load_audio(CLIP)
    stream = StreamingRecognizer(recognizer)
    for _ in range(3):
        stream.push_in_turn(samples[None, :16_000], 16_000)
    stream.forget()
    stream.push_in_turn(samples[None, :12_000], 16_000)  # answered together with what was before
    stream.finish()
    assert stream.listened == 0 and len(stream.answers())


def test_a_voice_that_is_known_is_expected_from_the_start(recognizer):
    known = recognizer.knowing(recognizer.listen(sorted(SAMPLES.rglob("*.flac"))[:10], n_jobs=1))
    samples = audio.load_audio(CLIP)
    stream = StreamingRecognizer(known)
    assert stream.listened == 10
    stream.push(samples[None], 16_000)
    stream.finish()
    heard = stream.answers().iloc[0]
    expected = known.predict(samples, sampling_rate=16_000).iloc[0]
    assert heard["emotion"] == expected["emotion"]
    labels = list(recognizer.labels)
    np.testing.assert_allclose(
        heard[labels].astype(float), expected[labels].astype(float), atol=1e-4
    )


def test_a_failure_is_told(recognizer):
    class Broken(Recognizer):
        def predict(self, source, *, sampling_rate=None, name=None):
            raise RuntimeError("the network is upside down")

    broken = Broken.__new__(Broken)
    broken.__dict__.update(recognizer.__dict__)
    stream = StreamingRecognizer(broken)
    stream.push(audio.load_audio(CLIP)[None], 16_000)
    stream.finish()
    assert stream.current().error == "the network is upside down"


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
    mark = recorder.signal().seconds
    recorder.push(np.full((1, 8_000), 0.5, np.float32), 16_000)
    take, rate = soundfile.read(io.BytesIO(recorder.recording(start=mark)))
    assert len(take) == 8_000 and rate == 16_000
    assert take == pytest.approx(0.5, abs=1e-3)
