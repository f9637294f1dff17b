import librosa
import numpy as np
import pytest

from ser.audio import load_audio
from ser.audio.pitch import pyin, yin

SETTINGS = {"sampling_rate": 16_000, "lowest": 65.0, "highest": 600.0, "frame": 1024}


def test_yin_is_that_of_librosa(samples):
    limits = {"sr": 16_000, "fmin": 65.0, "fmax": 600.0, "frame_length": 1024, "hop_length": 512}
    for clip in sorted(samples.rglob("*.flac"))[::12]:
        speech = load_audio(clip)
        found = yin(speech, hop=512, **SETTINGS)
        expected = librosa.yin(speech, **limits)
        assert found.shape == expected.shape
        # librosa adds up in single precision: a frame of mere noise may have another valley there.
        assert np.isclose(found, expected, rtol=1e-3).mean() > 0.98


@pytest.mark.parametrize(("frame", "hop"), [(2048, 512), (1024, 256)])
def test_pyin_is_that_of_librosa(samples, frame, hop):
    alike = []
    for clip in sorted(samples.rglob("*.flac"))[::12]:
        speech = load_audio(clip)
        found = pyin(
            speech, sampling_rate=16_000, lowest=65.0, highest=1000.0, frame=frame, hop=hop
        )
        limits = {"sr": 16_000, "fmin": 65.0, "fmax": 1000.0}
        expected, voiced, _ = librosa.pyin(speech, frame_length=frame, hop_length=hop, **limits)
        assert found.shape == expected.shape
        assert voiced.any()
        alike.append(np.isclose(found, expected, rtol=1e-6, equal_nan=True))
    # Where several paths are equally likely, any of them may be taken.
    assert np.concatenate(alike).mean() > 0.99


def test_what_is_no_voice_has_no_pitch():
    settings = SETTINGS | {"frame": 2048, "hop": 512}
    assert np.isnan(pyin(np.zeros(16_000, np.float32), **settings)).all()
    assert np.isnan(pyin(np.zeros(10, np.float32), **settings)).all()


def test_a_step_so_long_that_every_pitch_can_follow_every_other():
    t = np.arange(64_000) / 16_000
    tone = np.sin(2 * np.pi * np.where(t < 2, 100, 400) * t).astype(np.float32)
    found = pyin(tone, hop=8192, **SETTINGS | {"frame": 2048})
    assert found[1:4] == pytest.approx(100, rel=0.01)
    assert found[4:7] == pytest.approx(400, rel=0.01)


@pytest.mark.parametrize("of", [yin, pyin])
def test_the_pitch_of_a_long_recording_is_that_of_its_parts(of):
    rng = np.random.default_rng(0)
    hum = np.sin(2 * np.pi * 150 * np.arange(2500 * 512) / 16_000)
    sound = (hum + 0.3 * rng.standard_normal(len(hum))).astype(np.float32)
    found = of(sound, hop=512, **SETTINGS)
    late = of(sound[1990 * 512 :], hop=512, **SETTINGS)
    assert len(found) == 2501
    np.testing.assert_array_equal(found[1992:], late[2:])
