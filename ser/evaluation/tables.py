"""What a report says, as tables: for pages and charts, which compute nothing themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ser.evaluation import metrics, report

GOAL = 0.75
"""What every emotion's recall should reach."""


def classes(figures: dict[str, Any]) -> pd.DataFrame:
    """Return the classification report.

    Parameters
    ----------
    figures : dict
        See `ser.evaluation.report.evaluate_clips`.

    Returns
    -------
    DataFrame
        One row per emotion that occurs: ``emotion``, ``precision``, ``recall`` with its 95 %
        interval ``low`` to ``high`` (Wilson), ``f1``, ``clips``, and the ``answer`` it was most
        often mistaken for, or empty.
    """
    labels, matrix = figures["labels"], figures["confusion_matrix"]
    rows = []
    for emotion, values in figures["per_class"].items():
        counts = matrix[labels.index(emotion)]
        total = values["support"]
        low, high = metrics.wilson_interval(round(values["recall"] * total), total)
        wrong = {a: n for a, n in zip(labels, counts, strict=True) if a != emotion and n}
        rows.append(
            {
                "emotion": emotion,
                "precision": values["precision"],
                "recall": values["recall"],
                "low": low,
                "high": high,
                "f1": values["f1"],
                "clips": total,
                "answer": max(wrong, key=lambda a: wrong[a], default=""),
            }
        )
    return pd.DataFrame(rows)


def groups(figures: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the figures of every group that has at least two members.

    Returns
    -------
    dict of str to DataFrame
        By ``gender``, ``channel``, ``intensity`` and ``speaker``, as far as the corpus knows
        them: ``group``, ``clips``, ``accuracy`` with its 95 % interval ``low`` to ``high``, and
        ``uar``.
    """
    tables = {}
    for name in ("gender", "channel", "intensity", "speaker"):
        rows = [
            {
                "group": value,
                "clips": row["n"],
                "accuracy": row["accuracy"],
                "low": row["accuracy_interval"][0],
                "high": row["accuracy_interval"][1],
                "uar": row["uar"],
            }
            for value, row in figures["by"].get(name, {}).items()
        ]
        if len(rows) > 1:
            tables[name] = pd.DataFrame(rows)
    return tables


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


def clips(figures: dict[str, Any], truth: str, answer: str) -> pd.DataFrame:
    """Return the predictions in one cell of the confusion matrix, the surest first.

    Returns
    -------
    DataFrame
        See `ser.evaluation.report.predictions_of`, with the ``probability`` of the answer.
    """
    table = report.predictions_of(figures)
    table = table[(table["truth"] == truth) & (table["emotion"] == answer)]
    table = table.assign(probability=table[answer])
    return table.sort_values("probability", ascending=False, ignore_index=True)


def commonest_mistake(figures: dict[str, Any]) -> tuple[str, str]:
    """Return the (truth, answer) that was mixed up most often, or the first label right."""
    labels, matrix = figures["labels"], figures["confusion_matrix"]
    pairs = [(i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    i, j = max(pairs, key=lambda pair: matrix[pair[0]][pair[1]], default=(0, 0))
    return (labels[i], labels[j]) if matrix[i][j] else (labels[0], labels[0])


def conditions(figures: dict[str, Any]) -> pd.DataFrame:
    """Return the robustness table: ``condition``, ``clips``, ``accuracy``, ``low`` …; may be empty.

    See `ser.evaluation.robustness.measure`; ``low`` and ``high`` are the 95 % interval of the
    accuracy.
    """
    return pd.DataFrame(
        [
            {
                "condition": row["condition"],
                "clips": row["n"],
                "accuracy": row["accuracy"],
                "low": row["accuracy_interval"][0],
                "high": row["accuracy_interval"][1],
                "uar": row["uar"],
                "ece": row["ece"],
                "uncertain": row["uncertain"],
            }
            for row in figures.get("robustness", [])
        ]
    )


def sounds(figures: dict[str, Any]) -> pd.DataFrame:
    """Return the answers to non-speech, see `ser.evaluation.robustness.measure_rejection`."""
    columns = ["kind", "like_training", "n", "sure", "confidence"]
    return pd.DataFrame(figures.get("rejection", []), columns=columns)


def folds(figures: dict[str, Any]) -> pd.DataFrame:
    """Return the figures of each fold of a cross-validation, with intervals; may be empty.

    Returns
    -------
    DataFrame
        ``fold``, ``clips``, ``accuracy`` with its 95 % interval ``low`` to ``high`` (Wilson),
        ``uar``, ``weighted_f1`` and ``ece``.
    """
    rows = []
    for row in figures.get("folds", []):
        right = round(row["accuracy"] * row["n_test"])
        low, high = metrics.wilson_interval(right, row["n_test"])
        rows.append(
            {"fold": row["fold"], "clips": row["n_test"], "low": low, "high": high}
            | {key: row[key] for key in ("accuracy", "uar", "weighted_f1", "ece")}
        )
    return pd.DataFrame(rows)
