import re
from pathlib import Path

import librosa
import numpy as np
import pytest
from safetensors.numpy import save_file

from scripts.make_encoder import add_components, make_encoder
from ser.assets import ENCODER_WEIGHTS
from ser.audio.log_mel import LogMelFeatures
from ser.errors import BundleError
from ser.models import encoder


@pytest.fixture(scope="module")
def reference():
    """A clip and, at every tenth frame, what the original encoder makes of it."""
    with np.load(Path(__file__).parent / "encoder_reference.npz") as arrays:
        return dict(arrays)


def test_the_log_mel_is_whispers(reference):
    ours = LogMelFeatures().extract(reference["samples"])["log_mel"]
    assert ours.shape == (300, 80) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, reference["log_mel"], atol=2e-5)


def test_the_log_mel_is_librosas_too(clips):
    samples, _ = librosa.load(clips[0], sr=16_000, duration=3)
    clip = np.pad(samples, (0, 48_000 - len(samples)))
    power = librosa.feature.melspectrogram(
        y=clip, sr=16_000, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect"
    )[:, :-1]
    log_power = librosa.power_to_db(power, amin=1e-10, top_db=80) / 10
    ours = LogMelFeatures().extract(clip)["log_mel"]
    np.testing.assert_allclose(ours, (log_power.T + 4) / 4, atol=2e-5)


def test_another_length_is_no_clip():
    with pytest.raises(ValueError, match=re.escape("(48000,), not (100,)")):
        LogMelFeatures().extract(np.zeros(100, np.float32))


def test_every_layer_gives_what_the_original_gives(reference):
    outputs = encoder.build_encoder()(reference["log_mel"][None])
    assert len(outputs) == 4
    for i, output in enumerate(outputs):
        assert output.shape == (1, 150, 384)
        np.testing.assert_allclose(output[0, ::10], reference[f"layer_{i}"], atol=1e-3)


def test_the_weights_come_from_the_official_checkpoint(tmp_path):
    with np.load(ENCODER_WEIGHTS) as arrays:
        shipped = dict(arrays)
    official = {f"model.encoder.{n}": v.astype(np.float32) for n, v in shipped.items()}
    # It also holds what is left out: the last block, the decoder, and positions up to 30 s.
    official["model.encoder.layers.3.fc1.bias"] = np.ones(1536, np.float32)
    official["model.decoder.layers.0.fc1.bias"] = np.ones(1536, np.float32)
    positions = official["model.encoder.embed_positions.weight"]
    official["model.encoder.embed_positions.weight"] = np.resize(positions, (1500, 384))
    save_file(official, tmp_path / "model.safetensors")
    make_encoder(tmp_path / "model.safetensors", tmp_path / "encoder.npz")
    add_components(tmp_path / "encoder.npz")
    with np.load(tmp_path / "encoder.npz") as made:
        assert set(made) == set(shipped)
        for name in made:
            if name.startswith("components."):  # those that ship are of the samples of 0.1.0
                assert made[name].shape == shipped[name].shape
                assert np.isfinite(made[name]).all() and np.ptp(made[name]) > 0
            else:
                np.testing.assert_array_equal(made[name], shipped[name])


def test_damaged_weights_say_what_to_do(tmp_path):
    (tmp_path / "encoder.npz").write_bytes(ENCODER_WEIGHTS.read_bytes()[:1000])
    with pytest.raises(BundleError, match="Install ser again"):
        encoder.build_encoder(tmp_path / "encoder.npz")
