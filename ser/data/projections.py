"""Many clips at a glance: the mean spectrogram of each emotion, and a map of all clips.

A clip is summed up by the mean and the deviation over time of each of the 64 rows of the model's
input; clips that sound alike lie near each other on the map.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.data import corpora, feature_cache
from ser.data.cache import cache_folder
from ser.errors import DataError
from ser.labels import EMOTIONS
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress

SAMPLE = 3000
"""Clips that are looked at; of a larger corpus so many are drawn at random."""
FEWEST = 5
"""Clips that a map needs."""

# Raise when code changes what is computed.
_RECIPE = 2
_ITERATIONS = (250, 750)  # of t-SNE: with neighbourhoods drawn together at first, and without
_TOLD_EVERY = 10

Points = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Summary:
    """What clips sound like, on the whole and one by one.

    Attributes
    ----------
    statistics : ndarray of float32, shape (clips, 128)
        Mean, then standard deviation over time of the 64 rows.
    means : ndarray of float32, shape (emotions, 32, 94)
        Mean log-mel of each emotion in dB, in the order of `ser.labels.EMOTIONS`; NaN if there
        is no such clip.
    counts : ndarray of int64, shape (emotions,)
        Clips that went into each mean.
    """

    statistics: Points
    means: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]


def sample(clips: pd.DataFrame, count: int = SAMPLE) -> pd.DataFrame:
    """Return all clips, or `count` of them drawn at random, always the same, in their order."""
    if len(clips) <= count:
        return clips.reset_index(drop=True)
    return clips.sample(count, random_state=0).sort_index().reset_index(drop=True)


def summarise(
    clips: pd.DataFrame,
    *,
    cache: Path | None = None,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> Summary:
    """Return what clips sound like, from the cache where it has these very clips.

    Parameters
    ----------
    clips : DataFrame
        With ``path``, ``emotion`` and ``audio``, see `ser.data.inspection.Index`.
    cache : Path, optional
        Folder of the cache; by default beside that of the features.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    Summary

    Raises
    ------
    AudioError
        If a clip cannot be used any more.
    OutputError
        If the cache cannot be written.
    """
    file = _entry(clips, "summary", cache)
    kept = _read(file, ("statistics", "means", "counts"))
    if kept is not None:
        return Summary(**kept)
    inputs = feature_cache.compute_features(
        clips["path"].tolist(), n_jobs=n_jobs, progress=progress
    )["features"].clean
    rows = inputs.transpose(0, 3, 1, 2).reshape(len(inputs), -1, inputs.shape[2])
    statistics = np.concatenate([rows.mean(axis=2), rows.std(axis=2)], axis=1)
    labels = clips["emotion"].astype(str).to_numpy()
    counts = np.array([(labels == emotion).sum() for emotion in EMOTIONS])
    means = np.array(
        [
            inputs[labels == emotion, :, :, 0].mean(axis=0)
            if count
            else np.full(inputs.shape[1:3], np.nan)
            for emotion, count in zip(EMOTIONS, counts, strict=True)
        ],
        np.float32,
    )
    summary = Summary(statistics.astype(np.float32), means, counts)
    with atomic_path(file) as temporary:
        np.savez(temporary, statistics=summary.statistics, means=means, counts=counts)
    return summary


def pca(statistics: Points) -> tuple[Points, npt.NDArray[np.float64]]:
    """Lay clips out along the two directions in which they differ most.

    Parameters
    ----------
    statistics : ndarray of float32, shape (clips, n)
        See `Summary`; standardised here.

    Returns
    -------
    points : ndarray of float32, shape (clips, 2)
    shares : ndarray of float64, shape (2,)
        Of all variance, along each of the two.

    Raises
    ------
    DataError
        If there are fewer than `FEWEST` clips that differ.
    """
    from sklearn.decomposition import PCA

    model = PCA(2, random_state=0)
    points = model.fit_transform(_standardised(statistics))
    return points.astype(np.float32), model.explained_variance_ratio_


def nearest(statistics: Points, clip: int, *, count: int = 8) -> npt.NDArray[np.int64]:
    """Return the clips that sound most like one, the nearest first, without itself.

    Parameters
    ----------
    statistics : ndarray of float32, shape (clips, n)
        See `Summary`; standardised here, and compared by Euclidean distance.
    clip : int
        Which one.
    count : int
        How many are returned at most.

    Raises
    ------
    DataError
        If there are fewer than `FEWEST` clips that differ.
    """
    standard = _standardised(statistics)
    distances = np.linalg.norm(standard - standard[clip], axis=1)
    return np.asarray([i for i in np.argsort(distances, kind="stable") if i != clip][:count])


def tsne(
    clips: pd.DataFrame,
    statistics: Points,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Points:
    """Lay clips out so that those that sound alike are neighbours, from the cache if it is there.

    Van der Maaten & Hinton 2008, *Visualizing data using t-SNE*, as openTSNE computes it.

    Parameters
    ----------
    clips : DataFrame
        As for `summarise`; names the entry in the cache.
    statistics : ndarray of float32, shape (clips, n)
        See `Summary`; standardised here.
    cache : Path, optional
        As for `summarise`.
    progress : callable, optional
        See `ser.utils.parallel.Progress`; counts iterations, and what it raises ends them.

    Returns
    -------
    ndarray of float32, shape (clips, 2)
        Distances within a neighbourhood mean something, the axes and far distances do not.

    Raises
    ------
    DataError
        If there are fewer than `FEWEST` clips that differ.
    OutputError
        If the cache cannot be written.
    """
    file = _entry(clips, "tsne", cache)
    kept = _read(file, ("points",))
    if kept is not None:
        return kept["points"]
    standard = _standardised(statistics)
    from openTSNE import TSNE

    done = 0

    def tell(*_: object) -> None:
        nonlocal done
        done += _TOLD_EVERY
        if progress is not None:
            progress("Arranging clips", done, sum(_ITERATIONS))

    if progress is not None:
        progress("Arranging clips", 0, sum(_ITERATIONS))
    model = TSNE(
        perplexity=min(30.0, (len(standard) - 1) / 3),
        early_exaggeration_iter=_ITERATIONS[0],
        n_iter=_ITERATIONS[1],
        neighbors="exact",
        n_jobs=1,  # threads that wait for each other would slow down few clips a hundredfold
        random_state=0,
        callbacks=tell,
        callbacks_every_iters=_TOLD_EVERY,
    )
    points = np.asarray(model.fit(standard), np.float32)
    with atomic_path(file) as temporary:
        np.savez(temporary, points=points)
    return points


def _standardised(statistics: Points) -> Points:
    from sklearn.preprocessing import StandardScaler

    different = len(np.unique(statistics, axis=0))
    if different < FEWEST:
        raise DataError(
            f"A map needs at least {FEWEST} clips that differ, and there are {different}. "
            "Choose a larger corpus."
        )
    return StandardScaler().fit_transform(statistics).astype(np.float32)


def _entry(clips: pd.DataFrame, kind: str, cache: Path | None) -> Path:
    folder = cache or cache_folder("maps")
    root = os.path.commonpath(clips["path"].tolist())
    return folder / f"{corpora.fingerprint(clips, root)[:24]}-{kind}-{_RECIPE}.npz"


def _read(file: Path, names: Sequence[str]) -> dict[str, npt.NDArray] | None:
    try:
        with zipfile.ZipFile(file) as archive:
            whole = archive.testzip() is None  # NumPy may stop reading before the CRC
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names} if whole else None
    except Exception:  # none yet, or torn, which can raise anything: it is made again
        return None
