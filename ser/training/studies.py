"""Several runs of one configuration, with other folds or seeds, as one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import RunError
from ser.evaluation import metrics
from ser.evaluation.figures import Fold, FoldAverages
from ser.evaluation.report import Report, speakers_of
from ser.labels import EMOTIONS
from ser.models.recognizer import SURE
from ser.training.config import TrainingConfig
from ser.utils.environment import versions

_FIGURES = ("n_test", "accuracy", "uar", "weighted_f1", "ece")


def one_configuration(configs: Sequence[TrainingConfig]) -> str:
    """Say in what runs of one configuration differ.

    Returns
    -------
    str
        ``"seed"`` or ``"fold"``.

    Raises
    ------
    RunError
        If there are less than two, two are the same, or they differ in anything else.
    """
    alike = [replace(config, robustness=False) for config in configs]
    seeds, folds = {config.seed for config in alike}, {config.fold for config in alike}
    if len({replace(config, seed=0) for config in alike}) == 1 and len(seeds) == len(alike) > 1:
        return "seed"
    if len({replace(config, fold=0) for config in alike}) == 1 and len(folds) == len(alike) > 1:
        return "fold"
    raise RunError(
        "These are not several runs of one configuration: they must differ in the seed alone, or "
        "in the fold alone."
    )


def summarise(title: str, configs: Sequence[TrainingConfig], reports: Sequence[Report]) -> Report:
    """Report over several runs of one configuration.

    Parameters
    ----------
    title : str
        Of the report; the names of the corpora are added.
    configs, reports : sequence of TrainingConfig, of Report
        Of each run, in the order in which they are to be listed.

    Returns
    -------
    Report
        Over all answers together, with a row for each run in ``folds``, their ``mean`` and ``std``,
        and the ``config`` all of them share. With several seeds a clip may be tested more than
        once; the intervals are as wide as the number of different clips demands.

    Raises
    ------
    RunError
        See `one_configuration`.
    """
    config = configs[0]
    by_seed = len(configs) > 1 and one_configuration(configs) == "seed"
    rows = [
        Fold(
            fold=number,
            seed=each.seed if by_seed else None,
            corpus=report.corpora[0] if config.protocol == "corpora" else "",
            **{figure: getattr(report, figure) for figure in _FIGURES},
        )
        for number, (each, report) in enumerate(zip(configs, reports, strict=True), 1)
    ]
    pooled = pd.concat(
        [report.predictions.assign(fold=number) for number, report in enumerate(reports, 1)],
        ignore_index=True,
    )
    corpora = sorted(pooled["corpus"].unique())
    clips = pooled["corpus"] + "\n" + pooled["file"] if by_seed else None
    return Report(
        title=f"{title} on {', '.join(corpora)}",
        protocol=config.protocol,
        speakers=speakers_of(config.protocol),
        seed=config.seed,
        corpora=corpora,
        config={k: v for k, v in config.to_json().items() if k not in ("data", "fold")},
        folds=tuple(rows),
        mean=_over(rows, np.mean),
        std=_over(rows, partial(np.std, ddof=1)),
        n_uncertain=int((pooled["verdict"] != SURE).sum()),
        label_review=reports[0].label_review,
        **dict(metrics.evaluate(pooled, EMOTIONS, clips=clips)),
        versions=versions(),
        predictions=pooled,
    )


def _over(rows: list[Fold], summarise: Callable[[list[float]], Any]) -> FoldAverages:
    return FoldAverages(
        **{
            figure: float(summarise([getattr(row, figure) for row in rows]))
            for figure in _FIGURES[1:]
        }
    )
