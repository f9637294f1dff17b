"""What a network learns from: inputs of clips, their labels and who speaks in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.data.features import Features, StoredFeatures, store_features
from ser.labels import EMOTIONS
from ser.training.config import TrainingConfig
from ser.training.runs import Run
from ser.utils.parallel import Progress

Stored = Mapping[str, StoredFeatures]

FEATURES = "features"
"""Folder in a run that holds the features of its clips until it is finished."""


@dataclass(frozen=True)
class Examples:
    """Clips as a network is trained on them.

    Attributes
    ----------
    clips : DataFrame
        Table of clips.
    features : dict of str to StoredFeatures
        Their inputs by name, and augmented copies of them.
    y_true : ndarray of int, shape (clips,)
        Index of their label.
    speakers : ndarray of str, shape (clips,)
        Who speaks in them.
    """

    clips: pd.DataFrame
    features: dict[str, StoredFeatures]
    y_true: npt.NDArray[np.integer]
    speakers: npt.NDArray[np.str_]

    @classmethod
    def of(cls, clips: pd.DataFrame, features: dict[str, StoredFeatures]) -> Examples:
        """Put clips and their inputs together."""
        codes = {label: i for i, label in enumerate(EMOTIONS)}
        y_true = clips["emotion"].map(codes).to_numpy(int)
        return cls(clips.reset_index(drop=True), features, y_true, clips["speaker"].to_numpy(str))

    def __getitem__(self, rows: npt.NDArray[Any]) -> Examples:
        """Return some of them, by number or a mask."""
        features = {name: each.select(rows) for name, each in self.features.items()}
        return Examples.of(self.clips.iloc[rows], features)

    def joined(self, other: Examples) -> Examples:
        """Return the clips of both."""
        clips = pd.concat([self.clips, other.clips])
        return Examples.of(clips, joined(self.features, other.features))

    def targets(self, sounds: Stored) -> npt.NDArray[np.float32]:
        """Return the probability of each label, of clips and after them of sounds without speech.

        Where nobody speaks, no emotion is any likelier than the others.
        """
        labels = len(EMOTIONS)
        count = len(next(iter(sounds.values())).clean)
        nothing = np.full((count, labels), 1 / labels, np.float32)
        return np.concatenate([np.eye(labels, dtype=np.float32)[self.y_true], nothing])


def stored(
    run: Run,
    name: str,
    items: Sequence[Any],
    compute: Callable[..., Mapping[str, Features]],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    config: TrainingConfig,
    copies: int,
    n_jobs: int,
    progress: Progress,
) -> dict[str, StoredFeatures]:
    """Keep features in the folder of a run, see `ser.data.features.store_features`.

    Parameters
    ----------
    run : Run
    name : str
        Of what they are, such as ``training``.
    items, shapes, copies, progress
        See `ser.data.features.store_features`.
    compute : callable
        Such as `ser.data.feature_cache.compute_features`.
    config : TrainingConfig
        Has the seed of the augmentation.
    n_jobs : int
        Parallel workers; -1 is one per core.
    """
    return store_features(
        run.folder / FEATURES / name,
        items,
        partial(compute, copies=copies, seed=config.seed, n_jobs=n_jobs),
        shapes,
        copies=copies,
        progress=progress,
    )


def joined(first: Stored, second: Stored) -> dict[str, StoredFeatures]:
    """Return the inputs of both."""
    return {name: each.joined(second[name]) for name, each in first.items()}
