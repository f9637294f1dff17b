"""Make ``models/whisper-tiny-en/encoder.npz`` of the official checkpoint of Whisper tiny.en.

Download ``model.safetensors`` of ``openai/whisper-tiny.en`` from the Hugging Face hub, then::

    python scripts/make_encoder.py model.safetensors

Kept are the convolutions, the positions of one clip and the first three blocks, in half precision.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser.assets import ENCODER_WEIGHTS  # noqa: E402
from ser.audio.log_mel import FRAMES  # noqa: E402
from ser.models.encoder import LAYERS  # noqa: E402
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


if __name__ == "__main__":
    make_encoder(Path(sys.argv[1]), ENCODER_WEIGHTS)
