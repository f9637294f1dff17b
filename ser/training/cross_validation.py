"""Cross-validation: one run per fold, every clip tested once by a model that never heard it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.data.splits import FOLDS
from ser.errors import RunError, Stopped
from ser.evaluation import metrics, report
from ser.labels import EMOTIONS
from ser.models.recognizer import SURE
from ser.training import pipeline
from ser.training.config import TrainingConfig
from ser.training.runs import Run
from ser.utils.files import write_json

_FIGURES = ("n_test", "accuracy", "uar", "weighted_f1", "ece")


def cross_validate(
    folder: str | Path, config: TrainingConfig, *, resume: bool = False, n_jobs: int = -1
) -> dict[str, Any]:
    """Train and test once per fold.

    Parameters
    ----------
    folder : str or Path
        Gets one run per fold and ``report.json``.
    config : TrainingConfig
        Of every fold; its ``fold`` is ignored.
    resume : bool
        Go on where an earlier call was stopped: finished folds are kept.
    n_jobs : int
        See `ser.training.pipeline.train`.

    Returns
    -------
    dict
        The report over all clips together (`ser.evaluation.metrics.evaluate`), with ``folds``:
        accuracy, UAR, weighted F1, calibration error and number of clips of each, with the mean and
        standard deviation over the folds, and with the ``config`` all of them share.

    Raises
    ------
    RunError
        If the protocol has no folds, or the folder is not empty and `resume` is false, or holds
        another configuration or corpus.
    DataError
        See `ser.training.pipeline.train`.
    Stopped
        If interrupted (Ctrl-C, SIGTERM).
    """
    if config.protocol not in FOLDS:
        raise RunError(f"The {config.protocol} protocol has no folds; use {' or '.join(FOLDS)}.")
    folder = Path(folder)
    study = Run(folder)
    if not resume:
        study.create(config.to_json())
    elif TrainingConfig.from_json(study.read_config()) != config:
        raise RunError(
            f"{folder} was started with other settings. Give the same ones, or another folder."
        )
    results = []
    for fold in range(config.folds):
        run = pipeline.start_or_resume(folder / f"fold-{fold + 1}", replace(config, fold=fold))
        results.append(_result(run, f"fold {fold + 1} of {config.folds}", n_jobs))
        _check_same_corpus(folder, fold)
    summary = _summary(config, results)
    write_json(folder / "report.json", summary, indent=None)
    return summary


def _result(run: Run, which: str, n_jobs: int) -> dict[str, Any]:
    """Return the report of a fold, which is trained unless it was before."""
    result = report.read_report(run.folder)
    if result is not None:
        return result
    try:
        return pipeline.train(run, n_jobs=n_jobs)
    except Stopped:  # it names the command for one run, which would leave the study undone
        raise Stopped(f"Stopped in {which}. Go on with the same command and --resume.") from None


def _check_same_corpus(folder: Path, fold: int) -> None:
    """Refuse a fold that has seen another corpus than the first."""
    first, this = (Run(folder / f"fold-{number}").read_split().corpus for number in (1, fold + 1))
    if first != this:
        raise RunError(
            f"The corpus has changed since {folder} was started, so its folds do not belong "
            "together. Restore the corpus, or start in a new folder."
        )


def _summary(config: TrainingConfig, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Report over the clips of all folds together."""
    figures = [
        {"fold": number} | {key: result[key] for key in _FIGURES}
        for number, result in enumerate(results, 1)
    ]
    pooled = pd.concat(
        [
            report.predictions_of(result).assign(fold=number)
            for number, result in enumerate(results, 1)
        ],
        ignore_index=True,
    )
    return {
        "protocol": config.protocol,
        "protocol_in_words": report.PROTOCOL_WORDS[config.protocol],
        "seed": config.seed,
        "config": {k: v for k, v in config.to_json().items() if k not in ("data", "fold")},
        "corpora": sorted(pooled["corpus"].unique()),
        "folds": figures,
        "mean": {k: float(np.mean([f[k] for f in figures])) for k in _FIGURES[1:]},
        "std": {k: float(np.std([f[k] for f in figures], ddof=1)) for k in _FIGURES[1:]},
        "n_uncertain": int((pooled["verdict"] != SURE).sum()),
        **metrics.evaluate(pooled, EMOTIONS),
        "predictions": report.to_rows(pooled),
    }
