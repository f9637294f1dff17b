"""Labels that are doubtful: clips that sound like another emotion than the one they are given.

Each clip is judged by a classifier that has not learned from it: a logistic regression on what the
frozen encoder makes of the clips, in a cross-validation.  Where it believes another emotion more
than the given one, the label is worth a second look.  The score is the normalised margin of
confident learning (Northcutt, Jiang & Chuang 2021, *Confident learning: estimating uncertainty in
dataset labels*, doi:10.1613/jair.1.12125).  The encoder learned from no emotion, so nothing here
has seen a label of the clip it judges.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.data.features import store_features
from ser.errors import DataError
from ser.utils.extras import need
from ser.utils.parallel import Progress

FOLDS = 5
_COMPONENTS = 256
_REGULARISATION = 0.1  # C of the logistic regression


def find_label_errors(
    clips: pd.DataFrame, *, seed: int = 0, n_jobs: int = -1, progress: Progress | None = None
) -> pd.DataFrame:
    """Order the clips of a corpus, those with the most doubtful labels first.

    Parameters
    ----------
    clips : DataFrame
        As `ser.data.inspection.inspect_corpus` finds them.
    seed : int
        Of the folds.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    DataFrame
        A row per clip with ``path``, the given ``emotion``, the ``suggested`` one (which may be
        the same), and ``doubt``, -1 to 1: by how much the probability of the likeliest other
        emotion exceeds that of the given one.  Sorted by falling doubt.

    Raises
    ------
    DataError
        If fewer than two emotions have at least `FOLDS` clips; or a clip cannot be decoded.
    """
    need("train", "keras", "sklearn")
    counts = clips["emotion"].astype(str).value_counts()
    frequent = counts.index[counts >= FOLDS]
    if len(frequent) < 2:
        raise DataError(
            f"Doubtful labels can be found where two emotions have {FOLDS} clips or more; here "
            f"they have {', '.join(f'{n} ({name})' for name, n in counts.items())}."
        )
    from ser.models.encoder import build_front
    from ser.training.encoding import Encoder, encode

    judged = clips[clips["emotion"].isin(frequent)]
    report = progress or _silent
    encoder = Encoder(build_front())
    compute = partial(encode, encoder=encoder, copies=0, seed=0, backgrounds="", n_jobs=n_jobs)
    with tempfile.TemporaryDirectory(prefix="ser-") as folder:
        encoded = store_features(
            Path(folder),
            judged["path"].tolist(),
            compute,
            encoder.shapes,
            copies=0,
            progress=report,
        )
        summaries = encoded["summary"].clean[:]
    y_true = judged["emotion"].to_numpy(dtype=np.str_)
    labels = np.unique(y_true)
    probabilities = out_of_sample_probabilities(summaries, y_true, seed=seed, progress=report)
    given = np.searchsorted(labels, y_true)
    rows = np.arange(len(judged))
    others = probabilities.copy()
    others[rows, given] = -1
    found = pd.DataFrame(
        {
            "path": judged["path"].astype(str).to_numpy(),
            "emotion": y_true,
            "suggested": labels[probabilities.argmax(axis=1)],
            "doubt": others.max(axis=1) - probabilities[rows, given],
        }
    )
    return found.sort_values("doubt", ascending=False, kind="stable", ignore_index=True)


def out_of_sample_probabilities(
    embeddings: npt.NDArray[np.float32],
    y_true: npt.NDArray[np.str_],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """Return what a classifier says of each clip that has learned from other clips only.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n, dimensions)
        Of the clips.
    y_true : ndarray of str, shape (n,)
        Their labels; each has at least `FOLDS` clips.
    seed : int
        Of the folds.
    progress : callable, optional
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    ndarray of float64, shape (n, labels)
        In the order of the sorted labels.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    report = progress or _silent
    size = min(_COMPONENTS, len(embeddings) // 2, embeddings.shape[1])
    probabilities = np.zeros((len(embeddings), len(np.unique(y_true))))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for fold, (train, test) in enumerate(folds.split(embeddings, y_true)):
        report("Looking for doubtful labels", fold, FOLDS)
        classifier = make_pipeline(
            StandardScaler(),
            PCA(size, svd_solver="randomized", random_state=seed),
            StandardScaler(),
            LogisticRegression(C=_REGULARISATION, max_iter=300),
        )
        classifier.fit(embeddings[train], y_true[train])
        probabilities[test] = classifier.predict_proba(embeddings[test])
    report("Looking for doubtful labels", FOLDS, FOLDS)
    return probabilities


def _silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""
