import json

import librosa
import numpy as np
import pytest
from pydantic import ValidationError

from ser.audio import load_audio, prepare_clip
from ser.audio.extractors import read_extractor
from ser.audio.features import SPECTRAL, SpectralFeatures
from ser.errors import BundleError

FRAMES = {"n_fft": 2048, "hop_length": 512}
STORED = SPECTRAL.model_dump()


@pytest.fixture(scope="module", params=[0, 37, 64, 119])
def clip(request, clips):
    return prepare_clip(load_audio(clips[request.param])).samples


def features(clip):
    return SPECTRAL.extract(clip)["features"]


def close(found, reference):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference, atol=2e-3, rtol=1e-4)


def librosa_log_mel(samples, n_mels):
    power = librosa.feature.melspectrogram(y=samples, sr=16_000, n_mels=n_mels, **FRAMES)
    return librosa.power_to_db(power, ref=1.0, top_db=80.0)


def test_log_mel_is_that_of_librosa(clip):
    close(SPECTRAL.log_mel(clip), librosa_log_mel(clip, 32))
    close(SPECTRAL.log_mel(clip, n_mels=128), librosa_log_mel(clip, 128))


def test_mfcc_is_that_of_librosa(clip):
    close(SPECTRAL.mfcc(clip), librosa.feature.mfcc(y=clip, sr=16_000, n_mfcc=13, **FRAMES))


def test_chroma_is_that_of_librosa(clip):
    reference = librosa.feature.chroma_stft(y=clip, sr=16_000, tuning=0.0, **FRAMES)
    close(SPECTRAL.chroma(clip), reference)


def test_spectral_contrast_is_that_of_librosa(clip):
    reference = librosa.feature.spectral_contrast(y=clip, sr=16_000, **FRAMES)
    close(SPECTRAL.spectral_contrast(clip), reference)


def test_the_model_sees_both_channels_of_librosa(clip):
    found = features(clip)
    assert found.shape == (32, 94, 2) == SPECTRAL.shapes["features"]
    close(found[..., 0], librosa_log_mel(clip, 32))
    second = [
        librosa.feature.mfcc(y=clip, sr=16_000, n_mfcc=13, **FRAMES),
        librosa.feature.chroma_stft(y=clip, sr=16_000, tuning=0.0, **FRAMES),
        librosa.feature.spectral_contrast(y=clip, sr=16_000, **FRAMES),
    ]
    close(found[..., 1], np.concatenate(second))


def test_a_recording_of_any_length_is_made_a_clip_first(clips):
    recording = np.tile(load_audio(clips[0]), 3)
    np.testing.assert_array_equal(
        SPECTRAL(recording)["features"], features(prepare_clip(recording).samples)
    )


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-9])
def test_features_of_next_to_nothing_are_finite(level):
    quiet = np.random.default_rng(0).normal(0, 1, 48_000).astype(np.float32) * np.float32(level)
    assert np.isfinite(features(quiet)).all()
    quiet[20_000:24_000] = 0.1
    assert np.isfinite(features(quiet)).all()


@pytest.mark.parametrize("shape", [(47_999,), (48_001,), (0,), (48_000, 1), (1, 48_000)])
def test_another_length_is_refused(shape):
    with pytest.raises(ValueError, match=r"use ser\.audio\.prepare_clip first"):
        SPECTRAL.extract(np.zeros(shape, np.float32))


def test_rows_are_named_in_their_order():
    names = SPECTRAL.row_names
    assert len(names) == 32
    assert names[:13] == [f"MFCC {n}" for n in range(1, 14)]
    assert all(name.startswith("chroma ") for name in names[13:25])
    assert names[25:] == [f"contrast {n}" for n in range(1, 8)]


def test_a_pure_a_is_in_the_row_of_a():
    t = np.arange(48_000) / 16_000
    found = features(np.sin(2 * np.pi * 440 * t).astype(np.float32))
    assert SPECTRAL.row_names[13 + int(found[13:25, 47, 1].argmax())] == "chroma A"


def test_shifted_clips_are_the_same_frames_elsewhere(clip):
    inputs = SPECTRAL.batch([SPECTRAL.extract(clip)] * 2)
    moved = [each["features"] for each in SPECTRAL.shifted(inputs)]
    assert len(moved) == 5
    for by, found in zip((-4, -2, 0, 2, 4), moved, strict=True):
        np.testing.assert_array_equal(found[1], np.roll(inputs["features"][1], by, axis=1))


# --- what a manifest says of it -------------------------------------------------------------------


def test_the_extractor_of_the_mission():
    assert (SPECTRAL.frames, SPECTRAL.frame_seconds) == (94, 0.032)
    assert SPECTRAL.shapes == {"features": (32, 94, 2)}


def test_an_extractor_survives_a_manifest():
    changed = SpectralFeatures(n_mels=31, n_mfcc=12, hop_length=256)
    assert read_extractor(json.loads(json.dumps(changed.model_dump()))) == changed


def test_an_extractor_cannot_be_changed_by_accident():
    with pytest.raises(ValidationError, match="frozen"):
        SPECTRAL.hop_length = 256


@pytest.mark.parametrize("name", STORED)
def test_a_missing_value_is_named(name):
    values = {key: value for key, value in STORED.items() if key != name}
    with pytest.raises(BundleError, match=name if name != "name" else "names no feature extractor"):
        read_extractor(values)


def test_an_unknown_value_is_named():
    with pytest.raises(BundleError, match="n_wavelets is unknown"):
        read_extractor({**STORED, "n_wavelets": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_fft", 0),
        ("n_fft", -2048),
        ("n_fft", 2048.0),
        ("n_fft", "2048"),
        ("n_fft", True),
        ("hop_length", None),
        ("top_db", 0),
        ("top_db", float("nan")),
        ("top_db", float("inf")),
        ("top_db", "much"),
        ("n_mfcc", [13]),
    ],
)
def test_an_impossible_value_is_named(name, value):
    with pytest.raises(BundleError, match=f"{name} should be"):
        read_extractor({**STORED, name: value})


def test_channels_of_different_height_are_refused():
    with pytest.raises(BundleError, match="33 rows"):
        read_extractor({**STORED, "n_mfcc": 14})


@pytest.mark.parametrize("values", [None, [], "spectral", 3, {"name": ["spectral"]}])
def test_what_is_no_extractor_is_refused(values):
    with pytest.raises(BundleError, match="names no feature extractor"):
        read_extractor(values)
