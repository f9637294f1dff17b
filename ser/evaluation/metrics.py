"""Predictions in, figures out: what was right, for whom, and how far the figure can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.errors import DataError
from ser.evaluation.figures import (
    ClassFigures,
    CoveragePoint,
    Figures,
    GroupFigures,
    Interval,
    ReliabilityBin,
)
from ser.models.inference import above_chance

ABSTAIN_SHARE = 0.03
"""Share of the validation clips that a new model calls uncertain."""

LOWEST_BOUND = 0.25
"""Twice what non-speech is taught to mean; with eight labels no answer below it is ever sure."""

_RESAMPLES = 1000
_GROUPS = ("channel", "gender", "intensity", "speaker")


def evaluate(
    predictions: pd.DataFrame, labels: Sequence[str], *, clips: pd.Series | None = None
) -> Figures:
    """Compare predictions with the truth.

    Parameters
    ----------
    predictions : DataFrame
        One row per clip: ``truth``, ``emotion`` (predicted), one column of probabilities per
        label, and what is known of ``speaker``, ``gender``, ``channel`` and ``intensity``.
    labels : sequence of str
        The model's labels in order.
    clips : Series of str, optional
        Names the clip of each row, where some clips are answered more than once, by several models:
        their answers are not independent, so clips are what is counted and resampled.

    Returns
    -------
    Figures
        The interval of the accuracy is Wilson's (1927); those of weighted F1, macro F1 and UAR come
        from 1000 bootstrap resamples of the clips (resampling speakers would widen them).

    Raises
    ------
    DataError
        If there is no clip to evaluate, or the truth of one is none of the labels.
    """
    if predictions.empty:
        raise DataError("There is no clip to evaluate on. Check the corpus and the protocol.")
    labels = list(labels)
    y_true = predictions["truth"].to_numpy(str)
    y_pred = predictions["emotion"].to_numpy(str)
    if unknown := sorted(set(y_true) - set(labels)):
        raise DataError(
            f"The model knows no {', '.join(unknown)}; it names: {', '.join(labels)}. Leave those "
            "clips out."
        )
    present = [label for label in labels if label in set(y_true)]
    right = int((y_true == y_pred).sum())
    probabilities = predictions[labels].to_numpy(float)
    codes = np.array([labels.index(t) for t in y_true])
    answers = np.array([labels.index(p) for p in y_pred])
    matrix = count_answers(codes, answers, len(labels))
    precision, recall, f1, support = _rates(matrix)
    heard = support > 0
    clip = np.arange(len(y_true)) if clips is None else pd.factorize(clips)[0]
    n_clips = int(clip.max()) + 1
    f1_interval, macro_interval, uar_interval = _bootstrap(y_true, y_pred, present, clip)
    return Figures(
        n_test=len(y_true),
        accuracy=right / len(y_true),
        accuracy_interval=wilson_interval(right / len(y_true) * n_clips, n_clips),
        weighted_f1=float(np.average(f1, weights=support)),
        weighted_f1_interval=f1_interval,
        macro_f1=float(f1[heard].mean()),
        macro_f1_interval=macro_interval,
        uar=float(recall[heard].mean()),
        uar_interval=uar_interval,
        ece=calibration_error(probabilities, codes),
        reliability=reliability(probabilities, codes),
        coverage=coverage(probabilities, codes),
        classes={
            label: ClassFigures(
                precision=float(precision[i]),
                recall=float(recall[i]),
                f1=float(f1[i]),
                support=int(support[i]),
            )
            for i, label in enumerate(labels)
            if label in present
        },
        confusion_matrix=matrix.tolist(),
        labels=labels,
        by={g: by_group(predictions, g, clips=clips) for g in _GROUPS if g in predictions},
    )


def count_answers(
    y_true: npt.NDArray[np.integer], answers: npt.NDArray[np.integer], count: int
) -> npt.NDArray[np.int64]:
    """Return the confusion matrix of so many labels; rows: truth, columns: answer.

    Examples
    --------
    >>> count_answers(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (y_true, answers), 1)
    return matrix


def _rates(matrix: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], ...]:
    """Return precision, recall, F1 and number of clips of every label, 0 where there is none."""
    right, support, named = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    precision, recall = right / np.maximum(named, 1), right / np.maximum(support, 1)
    return precision, recall, 2 * right / np.maximum(support + named, 1), support


def wilson_interval(right: float, total: int) -> Interval:
    """Return the 95 % interval of a share (Wilson 1927, *Probable inference*).

    Examples
    --------
    >>> [round(bound, 3) for bound in wilson_interval(398, 491)]
    [0.774, 0.843]
    """
    z = 1.959964
    share = right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * np.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def differ(accuracies: Iterable[float], clips: Iterable[int]) -> bool:
    """Return whether accuracies differ more than chance explains.

    Pearson's chi-square test of right and wrong answers, at the 5 % level.

    Parameters
    ----------
    accuracies : iterable of float
        In [0, 1], one per group.
    clips : iterable of int
        How many clips each is of.

    Examples
    --------
    >>> differ([0.93, 0.85], [205, 286]), differ([0.89, 0.88], [245, 246]), differ([1, 1], [3, 4])
    (True, False, False)
    """
    from scipy.special import chdtrc

    counts = np.array([(round(share * n), n) for share, n in zip(accuracies, clips, strict=True)])
    observed = np.array([counts[:, 0], counts[:, 1] - counts[:, 0]])
    if not observed.any(axis=1).all():  # all right, or all wrong
        return False
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    statistic = (np.square(observed - expected) / expected).sum()
    return bool(chdtrc(observed.shape[1] - 1, statistic) < 0.05)


def calibration_error(
    probabilities: npt.NDArray[np.floating], y_true: npt.NDArray[np.integer], *, bins: int = 15
) -> float:
    """Return the expected calibration error: how far confidence and accuracy lie apart.

    Naeini et al. 2015, *Obtaining well calibrated probabilities using Bayesian binning*, with
    `bins` bins of equal width over the largest probability.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, classes)
        Rows sum to 1.
    y_true : ndarray of int, shape (n,)
        Index of the right class.

    Returns
    -------
    float
        In [0, 1]; 0 is best.

    Examples
    --------
    >>> calibration_error(np.array([[0.8, 0.2]] * 5), np.array([0, 0, 0, 0, 1])) < 1e-9
    True
    """
    rows = reliability(probabilities, y_true, bins=bins)
    return float(sum(r.n * abs(r.accuracy - r.confidence) for r in rows) / len(y_true))


def reliability(
    probabilities: npt.NDArray[np.floating], y_true: npt.NDArray[np.integer], *, bins: int = 15
) -> list[ReliabilityBin]:
    """Return how often answers of about the same confidence were right.

    Parameters
    ----------
    probabilities, truth, bins
        See `calibration_error`.

    Returns
    -------
    list of ReliabilityBin
        One for each bin of confidence that holds a clip.

    Examples
    --------
    >>> rows = reliability(np.array([[0.8, 0.2]] * 4), np.array([0, 0, 0, 1]), bins=5)
    >>> [(r.low, r.n, r.confidence, r.accuracy) for r in rows]
    [(0.8, 4, 0.8, 0.75)]
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == y_true
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        ReliabilityBin(
            low=int(b) / bins,
            high=(int(b) + 1) / bins,
            n=int((which == b).sum()),
            confidence=float(confidence[which == b].mean()),
            accuracy=float(right[which == b].mean()),
        )
        for b in np.unique(which)
    ]


def coverage(
    probabilities: npt.NDArray[np.floating], y_true: npt.NDArray[np.integer]
) -> list[CoveragePoint]:
    """Return how right the answers are on the clips the model is surest of.

    El-Yaniv & Wiener 2010, *On the foundations of noise-free selective classification*.

    Parameters
    ----------
    probabilities, truth
        See `calibration_error`.

    Returns
    -------
    list of CoveragePoint
        One for every twentieth of the clips, surest first.

    Examples
    --------
    >>> rows = coverage(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
    >>> rows[0].accuracy, rows[-1].coverage, rows[-1].accuracy
    (1.0, 1.0, 0.5)
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == y_true
    surest = np.argsort(-confidence, kind="stable")
    counts = np.unique(np.ceil(np.linspace(0.05, 1.0, 20) * len(y_true)).astype(int))
    return [
        CoveragePoint(
            coverage=float(n / len(y_true)),
            accuracy=float(right[surest[:n]].mean()),
            confidence=float(confidence[surest[n - 1]]),
        )
        for n in counts
    ]


def fit_temperature(
    logits: npt.NDArray[np.floating],
    y_true: npt.NDArray[np.integer],
    weights: npt.NDArray[np.floating] | None = None,
) -> float:
    """Return the temperature that makes confidence match accuracy on validation clips.

    Minimises the negative log-likelihood (Guo et al. 2017, *On calibration of modern neural
    networks*).

    Parameters
    ----------
    logits : ndarray of float, shape (n, classes)
    y_true : ndarray of int, shape (n,)
    weights : ndarray of float, shape (n,), optional
        How much each clip counts.

    Returns
    -------
    float
        In [.05, 20]; above 1 the model was too sure of itself.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(logits / np.exp(log_temperature), axis=1)
        losses = -log_probabilities[np.arange(len(y_true)), y_true]
        return float(np.average(losses, weights=weights))

    bounds = (np.log(0.05), np.log(20.0))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def fit_min_confidence(probabilities: npt.NDArray[np.floating]) -> float:
    """Return the confidence below which answers are called uncertain.

    Set so that `ABSTAIN_SHARE` of the validation clips would be, and with eight labels never below
    `LOWEST_BOUND`: training teaches that sounds without speech mean an eighth for every label.
    Whether that suffices is measured by `ser.evaluation.robustness.measure_rejection`.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, classes)
        Calibrated, of validation clips.

    Returns
    -------
    float
        In [.25, .5] with eight labels, and as far above chance with fewer: in [.57, .71] with two.

    Examples
    --------
    >>> round(fit_min_confidence(np.array([[0.5, 0.5]] * 9)), 2)
    0.57
    """
    lowest, highest = _bounds(probabilities, LOWEST_BOUND, 0.5)
    return float(np.clip(np.quantile(probabilities.max(axis=1), ABSTAIN_SHARE), lowest, highest))


def _bounds(probabilities: npt.NDArray[np.floating], *bounds: float) -> list[float]:
    """Return bounds that lie as far above chance as these do where there are eight labels."""
    return [above_chance(bound, many=8, few=probabilities.shape[1]) for bound in bounds]


def confidence_for(
    probabilities: npt.NDArray[np.floating],
    y_true: npt.NDArray[np.integer],
    accuracy: float,
    weights: npt.NDArray[np.floating],
) -> float:
    """Return the lowest confidence from which on answers are right so often.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, classes)
        Calibrated, of clips that trained nothing.
    y_true : ndarray of int, shape (n,)
    accuracy : float
        Share of the answers at or above it that are to be right.
    weights : ndarray of float, shape (n,)
        How much each clip counts.

    Returns
    -------
    float
        In [.25, .9] with eight labels, and as far above chance with fewer; the highest if too few
        are right for any.

    Examples
    --------
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> confidence_for(probabilities, np.array([0, 0, 1, 0]), 0.7, np.ones(4))
    0.6
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (probabilities.argmax(axis=1) == y_true)[order]
    shares = np.cumsum(right * weights[order]) / np.cumsum(weights[order])
    enough = np.flatnonzero(shares >= accuracy)
    lowest, highest = _bounds(probabilities, LOWEST_BOUND, 0.9)
    found = confidence[order][enough[-1]] if len(enough) else highest
    return float(np.clip(found, lowest, highest))


def _bootstrap(
    y_true: npt.NDArray[np.str_],
    y_pred: npt.NDArray[np.str_],
    present: list[str],
    clip: npt.NDArray[np.int64],
) -> list[Interval]:
    """Return 95 % intervals of weighted F1, macro F1 and UAR over resampled clips."""
    n_clips = int(clip.max()) + 1
    codes = {label: i for i, label in enumerate([*present, *sorted(set(y_pred) - set(present))])}
    true_codes = np.array([codes[t] for t in y_true])
    named_codes = np.array([codes[p] for p in y_pred])
    rng = np.random.default_rng(0)
    figures = []
    for _ in range(_RESAMPLES):
        times = np.bincount(rng.integers(0, n_clips, n_clips), minlength=n_clips)[clip]
        # Counted here because scikit-learn would take a minute for a thousand resamples.
        matrix = np.zeros((len(codes), len(codes)))
        np.add.at(matrix, (true_codes, named_codes), times)
        matrix_right = np.diag(matrix)[: len(present)]
        support = matrix.sum(axis=1)[: len(present)]
        predicted = matrix.sum(axis=0)[: len(present)]
        f1 = 2 * matrix_right / np.maximum(support + predicted, 1)
        recall = matrix_right / np.maximum(support, 1)
        drawn = support > 0
        weighted = np.average(f1, weights=support)
        figures.append((weighted, f1[drawn].mean(), recall[drawn].mean()))
    low, high = np.percentile(figures, [2.5, 97.5], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def by_group(
    predictions: pd.DataFrame, group: str, *, clips: pd.Series | None = None
) -> dict[str, GroupFigures]:
    """Return accuracy, interval, UAR and number of answers for each value of a column but ""."""
    result = {}
    for value, rows in predictions.groupby(group, sort=True):
        if value == "":
            continue
        y_true = rows["truth"].to_numpy(str)
        is_right = y_true == rows["emotion"].to_numpy(str)
        right = int(is_right.sum())
        different = len(rows) if clips is None else clips.loc[rows.index].nunique()
        result[str(value)] = GroupFigures(
            n=len(rows),
            accuracy=right / len(rows),
            accuracy_interval=wilson_interval(right / len(rows) * different, different),
            uar=float(pd.Series(is_right).groupby(y_true).mean().mean()),
        )
    return result
