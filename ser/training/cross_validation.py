"""Cross-validation: one run per fold, every clip tested once, by a model not trained on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.data.inspection import inspect_corpus
from ser.data.splits import FOLDS, folds_of, make_split
from ser.errors import DataError, RunError, Stopped
from ser.evaluation import metrics
from ser.evaluation.evaluate import evaluate_clips
from ser.evaluation.figures import Fold, FoldAverages, Transfer
from ser.evaluation.report import Predictions, Report, speakers_of
from ser.labels import EMOTIONS
from ser.models.recognizer import SURE, Recognizer
from ser.training import pipeline
from ser.training.config import TrainingConfig
from ser.training.runs import Run

_FIGURES = ("n_test", "accuracy", "uar", "weighted_f1", "ece")


def cross_validate(
    folder: str | Path,
    config: TrainingConfig,
    *,
    resume: bool = False,
    listen: int = 0,
    n_jobs: int = -1,
) -> Report:
    """Train and test once per fold.

    Parameters
    ----------
    folder : str or Path
        Gets one run per fold and ``report.json``; ``report-after-10.json`` with `listen` 10.
    config : TrainingConfig
        Of every fold; its ``fold`` is ignored.
    resume : bool
        Go on where an earlier call was stopped: finished folds are kept.
    listen : int
        In each fold, listen to so many other clips of each voice before a clip is answered, see
        `ser.evaluation.evaluate.evaluate_clips`.
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
        If the protocol has no folds, or the folder is not empty and `resume` is false, or holds
        another configuration or corpus.
    DataError
        See `ser.training.pipeline.train`; or if there is to be listened and the network has no
        encoder.
    Stopped
        If interrupted (Ctrl-C, SIGTERM).
    """
    if config.protocol not in FOLDS:
        raise RunError(f"The {config.protocol} protocol has no folds; use {' or '.join(FOLDS)}.")
    if listen and not config.model.encoder:
        raise DataError("Only a network with an encoder gets used to voices. Add --encoder.")
    folder = Path(folder)
    study = Run(folder)
    if not resume:
        study.create(config.to_json())
    elif TrainingConfig.from_json(study.read_config()) != config:
        raise RunError(
            f"{folder} was started with other settings. Give the same ones, or another folder."
        )
    results = []
    count = folds_of(config.protocol, config.folds)
    for fold in range(count):
        # A fold is only a part of its study, so it is not tested in noise and rooms by itself.
        part = replace(config, fold=fold, robustness=False)
        run = pipeline.start_or_resume(folder / f"fold-{fold + 1}", part)
        results.append(_result(run, f"fold {fold + 1} of {count}", n_jobs))
        _check_same_corpus(folder, fold)
    if listen:
        heard = [
            _after_listening(folder / f"fold-{fold + 1}", config, fold, listen, n_jobs)
            for fold in range(config.folds)
        ]
        name = f"{folder.resolve().name} after {listen} unlabelled clips of each voice,"
        summary = _summary(name, config, heard)
        summary.save(folder / f"report-after-{listen}.json")
        return summary
    # The protocol corpora trains once more on each corpus alone, for the table.
    summary = _summary(folder.resolve().name, config, results[: config.folds])
    if config.protocol == "corpora":
        summary = summary.model_copy(update={"transfer": _transfer(summary, results)})
    summary.save(folder / "report.json")
    return summary


def _result(run: Run, which: str, n_jobs: int) -> Report:
    """Return the report of a fold, which is trained unless it was before."""
    result = Report.find(run.folder / "report.json")
    if result is not None:
        return result
    try:
        return pipeline.train(run, n_jobs=n_jobs)
    except Stopped:  # it names the command for one run, which would leave the study undone
        raise Stopped(f"Stopped in {which}. Go on with the same command and --resume.") from None


def _after_listening(
    run: Path, config: TrainingConfig, fold: int, listen: int, n_jobs: int
) -> Report:
    """Answer the test clips of a fold again, getting used to each voice before."""
    clips = inspect_corpus(config.data, n_jobs=n_jobs).clips
    split = make_split(
        clips,
        config.protocol,
        seed=config.seed,
        folds=config.folds,
        fold=fold,
        validation=config.validation,
    )
    return evaluate_clips(
        Recognizer.load(run),
        clips.iloc[split.test].reset_index(drop=True),
        location=config.data,
        protocol=config.protocol,
        seed=config.seed,
        listen=listen,
        n_jobs=n_jobs,
    )


def _check_same_corpus(folder: Path, fold: int) -> None:
    """Refuse a fold that has seen another corpus than the first."""
    first, this = (Run(folder / f"fold-{number}").read_split().corpus for number in (1, fold + 1))
    if first != this:
        raise RunError(
            f"The corpus has changed since {folder} was started, so its folds do not belong "
            "together. Restore the corpus, or start in a new folder."
        )


def _summary(name: str, config: TrainingConfig, results: list[Report]) -> Report:
    """Report over the clips of all folds together."""
    folds = [
        Fold(
            fold=number,
            corpus=result.corpora[0] if config.protocol == "corpora" else "",
            **{figure: getattr(result, figure) for figure in _FIGURES},
        )
        for number, result in enumerate(results, 1)
    ]
    pooled = pd.concat(
        [result.predictions.assign(fold=number) for number, result in enumerate(results, 1)],
        ignore_index=True,
    )
    corpora = sorted(pooled["corpus"].unique())
    return Report(
        title=f"{name} on {', '.join(corpora)}",
        protocol=config.protocol,
        speakers=speakers_of(config.protocol),
        seed=config.seed,
        corpora=corpora,
        config={k: v for k, v in config.to_json().items() if k not in ("data", "fold")},
        folds=tuple(folds),
        mean=_over_folds(folds, np.mean),
        std=_over_folds(folds, partial(np.std, ddof=1)),
        n_uncertain=int((pooled["verdict"] != SURE).sum()),
        label_review=results[0].label_review,
        **dict(metrics.evaluate(pooled, EMOTIONS)),
        stored_predictions=Predictions.of(pooled),
    )


def _transfer(summary: Report, results: list[Report]) -> tuple[Transfer, ...]:
    """Return a row for what all others teach of each corpus, then one for what each teaches."""
    names = [fold.corpus for fold in summary.folds]
    trained = ["all others"] * len(names) + names
    return tuple(
        Transfer(trained_on=what, tested_on=corpus, **dict(figures))
        for what, result in zip(trained, results, strict=True)
        for corpus, figures in metrics.by_group(result.predictions, "corpus").items()
    )


def _over_folds(folds: list[Fold], summarise: Callable[[list[float]], Any]) -> FoldAverages:
    return FoldAverages(
        **{
            figure: float(summarise([getattr(fold, figure) for fold in folds]))
            for figure in _FIGURES[1:]
        }
    )
