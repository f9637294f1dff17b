import librosa
import numpy as np
import pytest

from ser.audio import features, load_audio, prepare_clip
from ser.audio.config import CONTRACT

FRAMES = {"n_fft": 2048, "hop_length": 512}


@pytest.fixture(scope="module", params=[0, 37, 64, 119])
def clip(request, clips):
    return prepare_clip(load_audio(clips[request.param])).samples


def close(found, reference):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference, atol=2e-3, rtol=1e-4)


def librosa_log_mel(samples, n_mels):
    power = librosa.feature.melspectrogram(y=samples, sr=16_000, n_mels=n_mels, **FRAMES)
    return librosa.power_to_db(power, ref=1.0, top_db=80.0)


def test_log_mel_is_that_of_librosa(clip):
    close(features.log_mel(clip), librosa_log_mel(clip, 32))
    close(features.log_mel(clip, n_mels=128), librosa_log_mel(clip, 128))


def test_mfcc_is_that_of_librosa(clip):
    close(features.mfcc(clip), librosa.feature.mfcc(y=clip, sr=16_000, n_mfcc=13, **FRAMES))


def test_chroma_is_that_of_librosa(clip):
    reference = librosa.feature.chroma_stft(y=clip, sr=16_000, tuning=0.0, **FRAMES)
    close(features.chroma(clip), reference)


def test_spectral_contrast_is_that_of_librosa(clip):
    reference = librosa.feature.spectral_contrast(y=clip, sr=16_000, **FRAMES)
    close(features.spectral_contrast(clip), reference)


def test_the_model_sees_both_channels_of_librosa(clip):
    found = features.model_input(clip)
    assert found.shape == (32, 94, 2) == CONTRACT.input_shape
    close(found[..., 0], librosa_log_mel(clip, 32))
    second = [
        librosa.feature.mfcc(y=clip, sr=16_000, n_mfcc=13, **FRAMES),
        librosa.feature.chroma_stft(y=clip, sr=16_000, tuning=0.0, **FRAMES),
        librosa.feature.spectral_contrast(y=clip, sr=16_000, **FRAMES),
    ]
    close(found[..., 1], np.concatenate(second))


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-9])
def test_features_of_next_to_nothing_are_finite(level):
    quiet = np.random.default_rng(0).normal(0, 1, 48_000).astype(np.float32) * np.float32(level)
    assert np.isfinite(features.model_input(quiet)).all()
    quiet[20_000:24_000] = 0.1
    assert np.isfinite(features.model_input(quiet)).all()


@pytest.mark.parametrize("shape", [(47_999,), (48_001,), (0,), (48_000, 1), (1, 48_000)])
def test_another_length_is_refused(shape):
    with pytest.raises(ValueError, match=r"use ser\.audio\.prepare_clip first"):
        features.model_input(np.zeros(shape, np.float32))


def test_rows_are_named_in_their_order():
    names = features.row_names()
    assert len(names) == 32
    assert names[:13] == [f"MFCC {n}" for n in range(1, 14)]
    assert all(name.startswith("chroma ") for name in names[13:25])
    assert names[25:] == [f"contrast {n}" for n in range(1, 8)]


def test_a_pure_a_is_in_the_row_of_a():
    t = np.arange(48_000) / 16_000
    found = features.model_input(np.sin(2 * np.pi * 440 * t).astype(np.float32))
    assert features.row_names()[13 + int(found[13:25, 47, 1].argmax())] == "chroma A"
