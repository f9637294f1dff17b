"""Small things that several tests share: a corpus, a configuration, a finished run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from ser.models.embedding import Embedding, fit_embedding
from ser.models.networks import ModelConfig
from ser.training import pipeline
from ser.training.config import TrainingConfig
from ser.training.runs import Run

SAMPLES = Path(__file__).parent.parent / "data" / "samples"


def tiny_corpus(folder: Path, emotions: tuple[str, ...] = ("01", "04", "05")) -> Path:
    """Copy the samples of some emotions (RAVDESS codes) into a folder."""
    folder.mkdir(parents=True)
    for clip in sorted(SAMPLES.rglob("*.flac")):
        if clip.stem.split("-")[2] in emotions:
            shutil.copy(clip, folder)
    return folder


def tiny_config(data: Path | tuple[str, ...], **changes: object) -> TrainingConfig:
    """Describe a training of a second or two."""
    values: dict[str, object] = {
        "data": data if isinstance(data, tuple) else str(data),
        "epochs": 3,
        "copies": 1,
        "warmup": 1,
        "batch_size": 8,
        "robustness": False,
        "model": ModelConfig(filters=(8, 8, 8, 8), lstm=4),
    }
    return TrainingConfig(**(values | changes))  # type: ignore[arg-type]


def tiny_run(folder: Path, data: Path | tuple[str, ...], **changes: object) -> Run:
    """Train the smallest of models and return its finished run."""
    run = pipeline.start(folder, tiny_config(data, **changes))
    pipeline.train(run, n_jobs=1)
    return run


def tiny_embedding(activations: int) -> Embedding:
    """Make the embedding of a model with so many activations that was trained on 16 clips."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(3, 16, activations)).astype(np.float32)
    return fit_embedding(
        clips[0],
        np.arange(16) % 8,
        np.repeat(["a", "b"], 8),
        copies=clips[1],
        validation=clips[2],
        count=8,
    )
