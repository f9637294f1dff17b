"""A few takes of a voice in, one more layer for the model out.

The network stays as it is.  What it makes of a clip early on (`ser.models.embedding`) still tells
apart what its last layer has learned to ignore, and a few takes are enough to read it: the answer
becomes

    trust × the model's logits + place · weights + bias

fitted by regularised logistic regression.  What few takes cannot tell is filled up from training:
every emotion has, besides its takes, one made-up take where training would expect it in this voice,
and one without any take has as many as the others have on average, so that it keeps its chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.errors import DataError
from ser.models.embedding import Space, doubt
from ser.models.recognizer import Recognizer
from ser.utils.parallel import Progress

Array = npt.NDArray[np.floating]
Codes = npt.NDArray[np.integer]

# Chosen on EMO-DB and on RAVDESS actors that a model had not heard, see docs/experiments.md.
_RIDGE = 0.01  # on the squared weights
_STEADY = 1.0  # on the squared biases
_FAITH = 2.0  # on the squared log of the trust
_COOL = 5.0  # on the squared log of the change of temperature

_FOLDS = 64  # with more takes than these, several are left out at once


@dataclass(frozen=True)
class Takes:
    """Labelled clips as a recogniser hears them.

    Attributes
    ----------
    clips : DataFrame
        Table of clips, with ``start`` and ``end`` of what was heard (s).
    truth : ndarray of int, shape (n,)
        Index of their label.
    logits : ndarray of float32, shape (n, labels)
        What the recogniser says of them.
    places : ndarray of float32, shape (n, coordinates)
        Where they lie, see `ser.models.embedding`.
    """

    clips: pd.DataFrame
    truth: Codes
    logits: Array
    places: Array

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.truth)

    def __getitem__(self, rows: Codes | npt.NDArray[np.bool_]) -> Takes:
        """Return some of them."""
        clips = self.clips.iloc[rows].reset_index(drop=True)
        return Takes(clips, self.truth[rows], self.logits[rows], self.places[rows])


@dataclass(frozen=True)
class Head:
    """What was learned of a voice.

    Attributes
    ----------
    trust : float
        Factor on the model's own logits.
    weights : ndarray of float64, shape (coordinates, labels)
    bias : ndarray of float64, shape (labels,)
    """

    trust: float
    weights: Array
    bias: Array

    def logits(self, takes: Takes) -> npt.NDArray[np.float64]:
        """Return the new logits of clips, shape (n, labels)."""
        return self.trust * takes.logits + takes.places @ self.weights + self.bias


def listen(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    *,
    jobs: int = -1,
    progress: Progress | None = None,
) -> Takes:
    """Hear labelled clips.

    Parameters
    ----------
    recognizer : Recognizer
        The model to be adapted.
    clips : DataFrame
        Table of clips with the column ``audio``, see `ser.data.corpora.inspect`.  Of clips with the
        same audio only the first is heard.
    jobs, progress
        See `ser.utils.parallel.map_items`.

    Raises
    ------
    DataError
        If a clip has a label that the model does not know or that contradicts another, or cannot
        be decoded.
    """
    labels = list(recognizer.labels)
    if foreign := sorted(set(clips["emotion"]) - set(labels)):
        raise DataError(
            f"The model has no label for: {', '.join(foreign)}. It knows: {', '.join(labels)}."
        )
    contrary = clips.groupby("audio")["emotion"].nunique()
    if (contrary > 1).any():
        same = clips[clips["audio"] == contrary.idxmax()]
        raise DataError(
            f"The same recording is said to be {' and '.join(same['emotion'].unique())}: "
            f"{', '.join(same['name'])}. Keep the one that is right."
        )
    clips = clips.drop_duplicates("audio").reset_index(drop=True)
    found, inputs, refused = recognizer.prepare(
        clips["path"].tolist(), jobs=jobs, progress=progress
    )
    if len(refused):
        raise DataError(f"{refused.iloc[0]['path']}: {refused.iloc[0]['reason']}")
    logits, places = recognizer.listen(inputs)
    truth = np.array([labels.index(emotion) for emotion in clips["emotion"]])
    return Takes(clips.assign(start=found["start"], end=found["end"]), truth, logits, places)


def learn(space: Space, takes: Takes) -> Head:
    """Fit what makes the takes come out right; the same takes always give the same.

    Parameters
    ----------
    space : Space
        Of the model.
    takes : Takes
        At least one.

    Returns
    -------
    Head
    """
    seen, counts = np.unique(takes.truth, return_counts=True)
    trust = _trust(takes.logits, takes.truth)
    known = np.flatnonzero(np.isfinite(space.centres).all(axis=1))
    middles = [takes.places[takes.truth == c].mean(axis=0) for c in seen]
    # Where this voice and microphone lie as against those of training, whatever was said how often.
    offset = np.mean(
        [m - (space.centres[c] if c in known else 0) for c, m in zip(seen, middles, strict=True)],
        axis=0,
    )
    weight = np.array([1.0 if c in seen else max(counts.mean(), 1.0) for c in known])
    weights, bias = _regression(
        np.concatenate([takes.places - offset, space.centres[known]]),
        np.concatenate([trust * takes.logits, np.zeros((len(known), len(space.centres)))]),
        np.concatenate([takes.truth, known]),
        np.concatenate([np.ones(len(takes)), weight]),
    )
    return Head(trust, weights, bias - offset @ weights)


def leave_out(space: Space, takes: Takes) -> tuple[Array, Array]:
    """Answer every take by what is learned without it.

    Returns
    -------
    logits : ndarray of float64, shape (n, labels)
    distances : ndarray of float64, shape (n,)
        From training and from the other takes.
    """
    logits = np.zeros(takes.logits.shape)
    distances = np.zeros(len(takes))
    for rows in _folds(takes.truth):
        others = np.setdiff1d(np.arange(len(takes)), rows)
        kept, learned = takes[rows], takes[others]
        logits[rows] = learn(space, learned).logits(kept)
        distances[rows] = space.with_points(learned.places).distances(kept.places)
    return logits, distances


def _folds(truth: Codes) -> Iterator[Codes]:
    """Yield the takes to leave out together: each alone, or evenly by emotion if there are many."""
    order = np.argsort(truth, kind="stable")
    count = min(len(truth), _FOLDS)
    for fold in range(count):
        yield np.sort(order[fold::count])


def fit_temperature(logits: Array, distances: Array, truth: Codes, parent: float) -> float:
    """Return the temperature that suits takes left out, near the parent's if they say little.

    Parameters
    ----------
    logits, distances
        See `leave_out`.
    truth : ndarray of int, shape (n,)
    parent : float
        Temperature of the model as it was.

    Returns
    -------
    float
        In [.05, 20].
    """
    from scipy.optimize import minimize_scalar

    scaled = logits / doubt(distances)[:, None]

    def loss(log_temperature: float) -> float:
        change = log_temperature - np.log(parent)
        return _loss(scaled / np.exp(log_temperature), truth) + _COOL * change**2

    bounds = (np.log(0.05), np.log(20.0))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _trust(logits: Array, truth: Codes) -> float:
    """Return the factor on the logits that suits the takes, near 1 where they say little."""
    from scipy.optimize import minimize_scalar

    def loss(log_trust: float) -> float:
        return _loss(logits * np.exp(log_trust), truth) + _FAITH * log_trust**2

    bounds = (np.log(0.05), np.log(2.0))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _loss(logits: Array, truth: Codes) -> float:
    from scipy.special import log_softmax

    return float(-log_softmax(logits, axis=1)[np.arange(len(truth)), truth].sum())


@cache
def _blas() -> Any:
    import scipy.linalg  # noqa: F401 - the controller knows the libraries loaded before it
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _regression(
    places: Array, offsets: Array, truth: Codes, weight: Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fit weights and bias that are added to given logits, by penalised logistic regression."""
    from scipy.optimize import minimize
    from scipy.special import softmax

    x = places.astype(np.float64)
    wanted = np.eye(offsets.shape[1])[truth]
    shape = (x.shape[1] + 1, offsets.shape[1])

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights, bias = np.split(flat.reshape(shape), [-1])
        logits = offsets + x @ weights + bias
        top = logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits - top).sum(axis=1)) - ((logits - top) * wanted).sum(axis=1)
        wrong = (softmax(logits, axis=1) - wanted) * weight[:, None]
        penalty = _RIDGE * np.square(weights).sum() + _STEADY * np.square(bias).sum()
        gradient = np.concatenate(
            [x.T @ wrong + _RIDGE * weights, wrong.sum(axis=0, keepdims=True) + _STEADY * bias]
        )
        return float((weight * losses).sum() + penalty / 2), gradient.ravel()

    start = np.zeros(shape[0] * shape[1])
    # The steps are small: threads would wait for each other far longer than they work.
    with _blas().limit(limits=1, user_api="blas"):
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-7})
    weights, bias = np.split(found.x.reshape(shape), [-1])
    return weights, bias[0]
