"""Many clips at a glance: the mean spectrogram of each emotion, and a map of all clips.

A clip is summed up by the mean and the deviation over time of each of the 64 rows of the model's
input; clips that sound alike lie near each other on the map.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
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
_RECIPE = 1
_ITERATIONS = 1000  # of t-SNE, scikit-learn's default
_ITERATION = re.compile(r"\[t-SNE\] Iteration ([0-9]+):")

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


def sample(clips: pd.DataFrame) -> pd.DataFrame:
    """Return all clips, or `SAMPLE` of them drawn at random, always the same, in their order."""
    if len(clips) <= SAMPLE:
        return clips.reset_index(drop=True)
    return clips.sample(SAMPLE, random_state=0).sort_index().reset_index(drop=True)


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
        If there are fewer than `FEWEST` clips.
    """
    from sklearn.decomposition import PCA

    model = PCA(2, random_state=0)
    points = model.fit_transform(_standardised(statistics))
    return points.astype(np.float32), model.explained_variance_ratio_


def tsne(
    clips: pd.DataFrame,
    statistics: Points,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Points:
    """Lay clips out so that those that sound alike are neighbours, from the cache if it is there.

    Van der Maaten & Hinton 2008, *Visualizing data using t-SNE*.  It runs in a process of its own,
    which an exception of `progress` ends.

    Parameters
    ----------
    clips : DataFrame
        As for `summarise`; names the entry in the cache.
    statistics : ndarray of float32, shape (clips, n)
        See `Summary`; standardised here.
    cache : Path, optional
        As for `summarise`.
    progress : callable, optional
        See `ser.utils.parallel.Progress`; counts iterations.

    Returns
    -------
    ndarray of float32, shape (clips, 2)
        Distances within a neighbourhood mean something, the axes and far distances do not.

    Raises
    ------
    DataError
        If there are fewer than `FEWEST` clips, or the process died.
    OutputError
        If the cache cannot be written.
    """
    file = _entry(clips, "tsne", cache)
    kept = _read(file, ("points",))
    if kept is not None:
        return kept["points"]
    standard = _standardised(statistics)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "in.npy", standard)
        _run_tsne(folder, progress)
        try:
            points = np.load(folder / "out.npy", allow_pickle=False)
        except (OSError, ValueError):
            raise DataError(
                "The map could not be computed: its process died, perhaps for want of memory. "
                "Try again, or use PCA."
            ) from None
    if progress is not None:  # it may have found its end before the last iteration
        progress("Arranging clips", _ITERATIONS, _ITERATIONS)
    with atomic_path(file) as temporary:
        np.savez(temporary, points=points)
    return points


def _run_tsne(folder: Path, progress: Progress | None) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "ser.data.projections", str(folder)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if progress is not None:
            progress("Arranging clips", 0, _ITERATIONS)
        for line in process.stdout:
            if progress is not None and (match := _ITERATION.match(line)):
                progress("Arranging clips", min(int(match[1]), _ITERATIONS), _ITERATIONS)
    finally:
        if sys.exc_info()[0] is not None:
            process.kill()
        process.communicate()


def _main(folder: Path) -> None:
    """Compute a t-SNE in the process that `_run_tsne` starts, telling of every 50th iteration."""
    from sklearn.manifold import TSNE

    points = np.load(folder / "in.npy", allow_pickle=False)
    model = TSNE(
        2,
        perplexity=min(30.0, (len(points) - 1) / 3),
        init="pca",
        max_iter=_ITERATIONS,
        random_state=0,
        verbose=2,
    )
    np.save(folder / "out.npy", model.fit_transform(points).astype(np.float32))


def _standardised(statistics: Points) -> Points:
    from sklearn.preprocessing import StandardScaler

    if len(statistics) < FEWEST:
        raise DataError(
            f"A map needs at least {FEWEST} clips, and there are {len(statistics)}. "
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


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
