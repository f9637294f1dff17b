"""Make ``models/whisper-tiny-en/encoder.npz`` of the official checkpoint of Whisper tiny.en.

Download ``model.safetensors`` of ``openai/whisper-tiny.en`` from the Hugging Face hub, then::

    python scripts/make_encoder.py model.safetensors

Kept are the convolutions, the positions of one clip and the first three blocks, in half precision.
Added are principal components of what the blocks give out for the project's own samples, which
turn 1152 values of a frame into 96 whitened ones.  Those that ship were fitted on the samples of
version 0.1.0, which have been made anew since; a model that was trained needs the ones it knows.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser import audio  # noqa: E402
from ser.assets import ENCODER_WEIGHTS, SAMPLES  # noqa: E402
from ser.audio.log_mel import FRAMES, LogMelFeatures  # noqa: E402
from ser.models.encoder import COMPONENTS, LAYERS, POOL, WIDTH, build_encoder  # noqa: E402
from ser.utils.files import atomic_path  # noqa: E402

_PREFIX = "model.encoder."
_WANTED = ("conv1.", "conv2.", *(f"layers.{i}." for i in range(LAYERS)))


def make_encoder(checkpoint: Path, out: Path) -> None:
    """Write what of a checkpoint the encoder of this project consists of."""
    tensors = {
        name.removeprefix(_PREFIX): values
        for name, values in load_file(checkpoint).items()
        if name.startswith(_PREFIX)
    }
    kept = {name: values for name, values in tensors.items() if name.startswith(_WANTED)}
    kept["embed_positions.weight"] = tensors["embed_positions.weight"][: FRAMES // 2]
    halved: dict[str, Any] = {name: kept[name].astype(np.float16) for name in sorted(kept)}
    with atomic_path(out) as temporary:
        np.savez(temporary, **halved)


def add_components(file: Path) -> None:
    """Add the components of what the encoder in a file gives out for the samples."""
    import keras
    from keras import layers
    from sklearn.decomposition import PCA

    encoder = build_encoder(file)
    outputs = layers.Concatenate()(encoder.outputs[1:])
    pooled = keras.Model(encoder.input, layers.AveragePooling1D(POOL)(outputs))
    clips = [
        audio.prepare_clip(audio.load_audio(p)).samples for p in sorted(SAMPLES.rglob("*.flac"))
    ]
    log_mels = np.array([LogMelFeatures().extract(clip)["log_mel"] for clip in clips])
    frames = pooled.predict(log_mels, batch_size=32, verbose=0).reshape(-1, LAYERS * WIDTH)
    # The outputs of the later blocks are larger, which does not make them more important.
    spread = frames.std(axis=0) + 1e-6
    pca = PCA(COMPONENTS, whiten=True, svd_solver="covariance_eigh").fit(frames / spread)
    kernel = pca.components_.T / np.sqrt(pca.explained_variance_) / spread[:, None]
    bias = -(pca.mean_ * spread) @ kernel
    with np.load(file) as arrays:
        everything: dict[str, Any] = dict(arrays)
    everything["components.kernel"] = kernel.astype(np.float16)
    everything["components.bias"] = bias.astype(np.float16)
    with atomic_path(file) as temporary:
        np.savez(temporary, **everything)


if __name__ == "__main__":
    make_encoder(Path(sys.argv[1]), ENCODER_WEIGHTS)
    add_components(ENCODER_WEIGHTS)
