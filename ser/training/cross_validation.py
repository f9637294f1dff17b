"""Cross-validation: one run per fold, every clip tested once by a model that never heard it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.audio.config import CONTRACT
from ser.errors import RunError, Stopped
from ser.evaluation import metrics
from ser.evaluation.figures import Fold, FoldAverages
from ser.evaluation.report import Predictions, Report, speakers_of
from ser.models.recognizer import SURE
from ser.training import pipeline
from ser.training.pipeline import TrainingConfig
from ser.training.runs import Run
from ser.utils.files import read_json


def cross_validate(
    folder: str | Path, config: TrainingConfig, *, resume: bool = False, n_jobs: int = -1
) -> Report:
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
    Report
        Over all clips together, with its ``folds``, their ``mean`` and ``std``, and the ``config``
        all of them share.

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
    folds, tables = [], []
    corpora_seen: set[str] = set()
    for fold in range(config.folds):
        run = Run(folder / f"fold-{fold + 1}")
        own = replace(config, fold=fold)
        if not (run.folder / "config.json").exists():
            run.create(own.to_json())
        if TrainingConfig.from_json(run.read_config()) != own:
            raise RunError(f"{run.folder} holds another training. Start in a new folder.")
        result = Report.find(run.folder / "report.json")
        if result is None:
            try:
                result = pipeline.train(run, n_jobs=n_jobs)
            except Stopped:  # it names the command for one run, which would leave the study undone
                raise Stopped(
                    f"Stopped in fold {fold + 1} of {config.folds}. Go on with the same command "
                    "and --resume."
                ) from None
        folds.append(
            Fold(
                fold=fold + 1,
                n_test=result.n_test,
                accuracy=result.accuracy,
                uar=result.uar,
                weighted_f1=result.weighted_f1,
                ece=result.ece,
            )
        )
        corpora_seen.add(read_json(run.folder / "split.json")["corpus"])
        if len(corpora_seen) > 1:
            raise RunError(
                f"The corpus has changed since {folder} was started, so its folds do not belong "
                "together. Restore the corpus, or start in a new folder."
            )
        tables.append(result.predictions.assign(fold=fold + 1))
    pooled = pd.concat(tables, ignore_index=True)
    names = sorted(pooled["corpus"].unique())
    summary = Report(
        title=f"{folder.resolve().name} on {', '.join(names)}",
        protocol=config.protocol,
        speakers=speakers_of(config.protocol),
        seed=config.seed,
        corpora=names,
        config={k: v for k, v in study.read_config().items() if k not in ("data", "fold")},
        folds=tuple(folds),
        mean=_over_folds(folds, np.mean),
        std=_over_folds(folds, partial(np.std, ddof=1)),
        n_uncertain=int((pooled["verdict"] != SURE).sum()),
        **dict(metrics.evaluate(pooled, CONTRACT.labels)),
        stored_predictions=Predictions.of(pooled),
    )
    summary.save(folder / "report.json")
    return summary


def _over_folds(folds: list[Fold], summarise: Callable[[list[float]], Any]) -> FoldAverages:
    def figure(name: str) -> float:
        return float(summarise([getattr(fold, name) for fold in folds]))

    return FoldAverages(
        accuracy=figure("accuracy"),
        uar=figure("uar"),
        weighted_f1=figure("weighted_f1"),
        ece=figure("ece"),
    )
