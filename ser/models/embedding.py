"""The whitened embedding of a clip, and how far out of distribution it lies.

A clip's embedding is what the convolutions of every network make of it, averaged over time and
turned into a few uncorrelated coordinates of equal spread (whitened principal components).  Its
out-of-distribution distance is that to the nearest training clip (Sun et al. 2022,
*Out-of-distribution detection with deep nearest neighbors*) in units of a threshold: 1 is as far as
the farthest twentieth of the validation clips.  Early layers still tell voices, rooms and
microphones apart, which the last one has learned to ignore.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.errors import BundleError
from ser.models.voice import Voice
from ser.utils.files import atomic_path
from ser.utils.parallel import one_thread

Array = npt.NDArray[np.float32]

EMBEDDING_FILE = "embedding.npz"
DIMENSIONS = 64
"""Most dimensions of an embedding."""

OOD_SHARE = 0.05
"""Share of the validation clips that lie beyond a distance of 1."""

# Chosen on EMO-DB and on augmented validation clips, see docs/experiments.md.
OOD_EXPONENT = 5
"""Power of a distance beyond 1 that the temperature is multiplied by."""
_MAX_BYTES = 50_000_000
_MAX_POINTS = 100_000
_PARTS = ("mean", "components", "points", "threshold", "class_means")


@dataclass(frozen=True)
class Embedding:
    """A whitening transform and the whitened embeddings of the clips a model was trained on.

    Attributes
    ----------
    mean : ndarray of float32, shape (activations,)
        Of the activations over the training clips.
    components : ndarray of float32, shape (activations, dimensions)
        Turns activations less their mean into an embedding; the mean square of a training clip's
        distance to the origin is 1.
    points : ndarray of float16, shape (clips, dimensions)
        Embeddings of every training clip, and of one augmented copy of each.
    threshold : float
        Distance to the nearest of them that an `OOD_SHARE` of the validation clips exceeds.
    class_means : ndarray of float32, shape (labels, dimensions)
        Mean of the training clips of each label, less the mean of their speakers; NaN for a
        label without clips.
    voice : Voice
        Whose clips the model has learned to expect, see `ser.models.voice`; nobody's at first.
    """

    mean: Array
    components: Array
    points: npt.NDArray[np.float16]
    threshold: float
    class_means: Array
    voice: Voice = field(default_factory=Voice)

    def transform(self, activations: Array) -> Array:
        """Return the embeddings of clips, shape (n, dimensions).

        Parameters
        ----------
        activations : ndarray of float32, shape (n, activations)
            See `ser.models.networks.with_activations`.
        """
        with one_thread():
            return np.asarray((activations - self.mean) @ self.components, np.float32)

    def distances(self, embeddings: Array) -> npt.NDArray[np.float64]:
        """Return the out-of-distribution distances of clips, shape (n,), in thresholds.

        Beyond 1 a model works outside of what it knows.
        """
        points, squares = self._known
        found = np.zeros(len(embeddings))
        for i in range(0, len(embeddings), 64):
            some = embeddings[i : i + 64].astype(np.float64)
            apart = np.square(some).sum(axis=1)[:, None] - 2 * some @ points.T + squares
            found[i : i + 64] = np.sqrt(np.maximum(apart.min(axis=1), 0.0))
        return found / self.threshold

    @cached_property
    def _known(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Points and their squared lengths, in the precision that differences need.

        Made once: for one clip it would take as long as all the rest of an answer.
        """
        points = self.points.astype(np.float64)
        return points, np.square(points).sum(axis=1)

    def with_clips(self, embeddings: Array) -> Embedding:
        """Return the embedding with further clips in distribution."""
        more = embeddings.astype(np.float16)
        return replace(self, points=np.concatenate([self.points, more]))


def ood_temperature(distances: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the factor on the temperature for clips at these distances; 1 in distribution.

    Examples
    --------
    >>> ood_temperature(np.array([0.3, 1.0, 2.0])).tolist()
    [1.0, 1.0, 32.0]
    """
    return np.maximum(distances, 1.0).astype(np.float64) ** OOD_EXPONENT


def fit_embedding(
    activations: Array,
    labels: npt.NDArray[np.integer],
    speakers: npt.NDArray[np.str_],
    *,
    copies: Array,
    validation: Array,
    count: int,
) -> Embedding:
    """Fit the whitening, the threshold and the class means on training clips.

    Parameters
    ----------
    activations : ndarray of float32, shape (n, activations)
        Of the training clips as they are.
    labels : ndarray of int, shape (n,)
        Index of their label.
    speakers : ndarray of str, shape (n,)
        Who speaks in them.
    copies : ndarray of float32, shape (m, activations)
        Of augmented copies of training clips: these conditions are in distribution too.
    validation : ndarray of float32, shape (k, activations)
        Of the validation clips, which say how far an unseen clip usually is.
    count : int
        Number of labels.

    Returns
    -------
    Embedding
    """
    mean, components = _whitening(activations)
    whitened = Embedding(
        mean=mean,
        components=components,
        points=np.zeros((0, components.shape[1]), np.float16),
        threshold=1.0,
        class_means=np.zeros((count, components.shape[1]), np.float32),
    )
    embeddings = whitened.transform(activations)
    embedding = whitened.with_clips(embeddings).with_clips(whitened.transform(copies))
    unseen = embedding.distances(embedding.transform(validation))
    return replace(
        embedding,
        threshold=float(max(np.quantile(unseen, 1 - OOD_SHARE), 1e-6)),
        class_means=_class_means(embeddings, labels, speakers, count),
    )


def _whitening(activations: Array) -> tuple[Array, Array]:
    """Return the mean of activations and what turns the rest into whitened components."""
    mean, spread = activations.mean(axis=0), activations.std(axis=0)
    # What hardly ever moves must not count for much just because it once did.
    scale = spread + 1e-3 * spread.mean() + 1e-12
    _, values, axes = np.linalg.svd((activations - mean) / scale, full_matrices=False)
    kept = np.flatnonzero(values > 1e-3 * values[0])[:DIMENSIONS] if values[0] else np.array([0])
    deviations = np.maximum(values[kept], 1e-12) / np.sqrt(len(activations))
    components = (axes[kept] / deviations[:, None] / scale).T / np.sqrt(len(kept))
    return mean.astype(np.float32), components.astype(np.float32)


def _class_means(
    embeddings: Array,
    labels: npt.NDArray[np.integer],
    speakers: npt.NDArray[np.str_],
    count: int,
) -> Array:
    """Return the mean embedding of each label once the speakers' own means are taken off."""
    centred = embeddings.astype(np.float64)
    for speaker in np.unique(speakers):
        own = speakers == speaker
        # The mean of a speaker: every emotion counts alike, however many clips it has.
        present = np.unique(labels[own])
        means = [embeddings[own & (labels == c)].mean(axis=0) for c in present]
        centred[own] -= np.mean(means, axis=0)
    found = np.full((count, embeddings.shape[1]), np.nan, np.float32)
    for label in np.unique(labels):
        found[label] = centred[labels == label].mean(axis=0)
    return found


def write_embedding(path: str | Path, embedding: Embedding) -> None:
    """Write an embedding as a NumPy archive.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    arrays: dict[str, Any] = {
        "mean": embedding.mean,
        "components": embedding.components,
        "points": embedding.points,
        "threshold": np.array(embedding.threshold),
        "class_means": embedding.class_means,
    }
    arrays |= {f"voice {name}": values for name, values in embedding.voice.to_arrays().items()}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_embedding(path: str | Path, *, labels: int) -> Embedding:
    """Read an embedding that may come from anyone.

    Parameters
    ----------
    path : str or Path
        A file as `write_embedding` makes it.
    labels : int
        How many labels the model has.

    Raises
    ------
    BundleError
        If it is missing, damaged, or makes no sense.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MAX_BYTES:
            raise ValueError(f"it unpacks to {size} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            mean, components, points, threshold, class_means = (arrays[part] for part in _PARTS)
            known = {name: arrays[name] for name in arrays.files if name.startswith("voice ")}
        embedding = Embedding(
            mean.astype(np.float32),
            components.astype(np.float32),
            points.astype(np.float16),
            float(threshold),
            class_means.astype(np.float32),
            Voice.from_arrays({name.removeprefix("voice "): a for name, a in known.items()}),
        )
        _check(embedding, labels)
    except Exception as error:  # a damaged archive can raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BundleError(
            f"{path} cannot be read ({reason}). Copy the bundle again, or train again."
        ) from error
    return embedding


def _check(embedding: Embedding, labels: int) -> None:
    activations, dimensions = embedding.components.shape
    shapes = {
        "mean": (embedding.mean.shape, (activations,)),
        "points": (embedding.points.shape, (len(embedding.points), dimensions)),
        "class_means": (embedding.class_means.shape, (labels, dimensions)),
    }
    for name, (shape, expected) in shapes.items():
        if shape != expected:
            raise ValueError(f"its {name} have the shape {shape} instead of {expected}")
    if not 0 < len(embedding.points) <= _MAX_POINTS:
        raise ValueError(f"it holds {len(embedding.points)} clips")
    for name in ("mean", "components", "points"):
        if not np.isfinite(getattr(embedding, name)).all():
            raise ValueError(f"its {name} are not finite")
    if np.isinf(embedding.class_means).any() or not 0 < embedding.threshold < np.inf:
        raise ValueError("its class_means or its threshold are not finite")
