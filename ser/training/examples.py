"""What a network learns from: inputs of clips, their labels and who speaks in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.data.feature_cache import Features
from ser.labels import EMOTIONS

Inputs = Mapping[str, Features]


@dataclass(frozen=True)
class Examples:
    """Clips as a network is trained on them.

    Attributes
    ----------
    clips : DataFrame
        Table of clips.
    features : dict of str to Features
        Their inputs by name, and augmented copies of them.
    y_true : ndarray of int, shape (clips,)
        Index of their label.
    speakers : ndarray of str, shape (clips,)
        Who speaks in them.
    """

    clips: pd.DataFrame
    features: dict[str, Features]
    y_true: npt.NDArray[np.integer]
    speakers: npt.NDArray[np.str_]

    @classmethod
    def of(cls, clips: pd.DataFrame, features: dict[str, Features]) -> Examples:
        """Put clips and their inputs together."""
        codes = {label: i for i, label in enumerate(EMOTIONS)}
        y_true = clips["emotion"].map(codes).to_numpy(int)
        return cls(clips.reset_index(drop=True), features, y_true, clips["speaker"].to_numpy(str))

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> Examples:
        """Return some of them."""
        features = {
            name: Features(each.clean[rows], each.copies[rows])
            for name, each in self.features.items()
        }
        return Examples.of(self.clips[rows], features)

    def joined(self, other: Examples) -> Examples:
        """Return the clips of both."""
        clips = pd.concat([self.clips, other.clips])
        return Examples.of(clips, joined(self.features, other.features))

    def targets(self, sounds: Inputs) -> npt.NDArray[np.float32]:
        """Return the probability of each label, of clips and after them of sounds without speech.

        Where nobody speaks, no emotion is any likelier than the others.
        """
        labels = len(EMOTIONS)
        count = len(next(iter(sounds.values())).clean)
        nothing = np.full((count, labels), 1 / labels, np.float32)
        return np.concatenate([np.eye(labels, dtype=np.float32)[self.y_true], nothing])


def joined(first: Inputs, second: Inputs) -> dict[str, Features]:
    """Return the inputs of both."""
    return {name: each.joined(second[name]) for name, each in first.items()}
