"""Cross-validation: one run per fold, every clip tested once by a model that never heard it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import RunError, Stopped
from ser.evaluation import metrics, report
from ser.labels import EMOTIONS
from ser.models.recognizer import SURE
from ser.training import pipeline
from ser.training.pipeline import TrainingConfig
from ser.training.runs import Run
from ser.utils.files import read_json, write_json


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
        If the folder is not empty and `resume` is false, or holds another configuration or
        corpus.
    DataError
        See `ser.training.pipeline.train`.
    Stopped
        If interrupted (Ctrl-C, SIGTERM).
    """
    folder = Path(folder)
    study = Run(folder)
    if resume:
        if TrainingConfig.from_json(study.read_config()) != config:
            raise RunError(
                f"{folder} was started with other settings. Give the same ones, or another folder."
            )
    else:
        study.create(config.to_json())
    figures, tables = [], []
    corpora_seen: set[str] = set()
    for fold in range(config.folds):
        run = Run(folder / f"fold-{fold + 1}")
        own = replace(config, fold=fold)
        if not (run.folder / "config.json").exists():
            run.create(own.to_json())
        if TrainingConfig.from_json(run.read_config()) != own:
            raise RunError(f"{run.folder} holds another training. Start in a new folder.")
        result = report.read_report(run.folder)
        if result is None:
            try:
                result = pipeline.train(run, n_jobs=n_jobs)
            except Stopped:  # it names the command for one run, which would leave the study undone
                raise Stopped(
                    f"Stopped in fold {fold + 1} of {config.folds}. Go on with the same command "
                    "and --resume."
                ) from None
        figures.append({"fold": fold + 1} | {k: result[k] for k in _FIGURES})
        corpora_seen.add(read_json(run.folder / "split.json")["corpus"])
        if len(corpora_seen) > 1:
            raise RunError(
                f"The corpus has changed since {folder} was started, so its folds do not belong "
                "together. Restore the corpus, or start in a new folder."
            )
        tables.append(report.predictions_of(result).assign(fold=fold + 1))
    pooled = pd.concat(tables, ignore_index=True)
    summary = {
        "protocol": config.protocol,
        "protocol_in_words": report.PROTOCOL_WORDS[config.protocol],
        "seed": config.seed,
        "config": {k: v for k, v in study.read_config().items() if k not in ("data", "fold")},
        "corpora": sorted(pooled["corpus"].unique()),
        "folds": figures,
        "mean": {k: float(np.mean([f[k] for f in figures])) for k in _FIGURES[1:]},
        "std": {k: float(np.std([f[k] for f in figures], ddof=1)) for k in _FIGURES[1:]},
        "n_uncertain": int((pooled["verdict"] != SURE).sum()),
        **metrics.evaluate(pooled, EMOTIONS),
        "predictions": report.to_rows(pooled),
    }
    write_json(folder / "report.json", summary, indent=None)
    return summary


_FIGURES = ("n_test", "accuracy", "uar", "weighted_f1", "ece")
