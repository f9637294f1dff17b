"""Studies: a run per fold, each clip tested once by a model not trained on it; or per seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ser.data.corpora import fingerprint
from ser.data.inspection import inspect_corpus
from ser.data.splits import FOLDS, folds_of
from ser.errors import DataError, RunError, Stopped
from ser.evaluation import metrics
from ser.evaluation.evaluate import evaluate_clips
from ser.evaluation.figures import Transfer
from ser.evaluation.report import Report
from ser.models.recognizer import Recognizer
from ser.training import cluster_runs, pipeline, studies
from ser.training.config import TrainingConfig
from ser.training.runs import Run

MOST_SEEDS = 100
"""Of one study."""


def cross_validate(
    folder: str | Path,
    config: TrainingConfig,
    *,
    seeds: int = 0,
    resume: bool = False,
    listen: int = 0,
    n_jobs: int = -1,
    cluster: str = "",
) -> Report:
    """Train and test once per fold, or once per seed.

    Parameters
    ----------
    folder : str or Path
        Gets one run per fold or seed and ``report.json``; ``report-after-10.json`` with
        `listen` 10.  Of the protocol ``corpora`` it has the first report when each corpus was left
        out once, and the whole one when each was also learned alone.
    config : TrainingConfig
        Of every run; its ``fold`` is ignored, unless there are seeds.
    seeds : int
        Train with so many seeds, from the configuration's own on, instead of once per fold; each
        also decides which clips are for testing.
    resume : bool
        Go on where an earlier call was stopped: finished folds are kept.
    listen : int
        In each fold, listen to so many other clips of each voice before a clip is answered, see
        `ser.evaluation.evaluate.evaluate_clips`.
    n_jobs : int
        See `ser.training.pipeline.train`.
    cluster : str
        Spread the runs over the workers of a Dask cluster, see `ser.shards.cluster.opened`.

    Returns
    -------
    Report
        Over all clips together, with its ``folds``, their ``mean`` and ``std``, and the ``config``
        all of them share.

    Raises
    ------
    RunError
        If the protocol has no folds and there are no seeds, or the folder is not empty and `resume`
        is false, or holds another configuration or corpus.
    DataError
        See `ser.training.pipeline.train`; or if there is to be listened and the network has no
        encoder.
    WorkerError, MissingExtraError
        See `ser.shards.cluster.opened`.
    Stopped
        If interrupted (Ctrl-C, SIGTERM).
    """
    parts = _parts(config, seeds)
    if listen and not config.model.encoder:
        raise DataError("Only a network with an encoder gets used to voices. Add --encoder.")
    folder = Path(folder)
    study = Run(folder)
    if not resume:
        pipeline.check(folder, *parts.values(), n_jobs=n_jobs)
        study.create(config.to_json())
    elif TrainingConfig.from_json(study.read_config()) != config:
        raise RunError(
            f"{folder} was started with other settings. Give the same ones, or another folder."
        )
    kind = next(iter(parts)).partition("-")[0]
    for other in {"seed", "fold"} - {kind}:
        if any(folder.glob(f"{other}-*")):
            raise RunError(
                f"{folder} was started with {other}s. Give the same --seeds, or another folder."
            )
    names = list(parts)
    tested = names if seeds else names[: config.folds]
    results: list[Report] = []

    def train(some: list[str]) -> None:
        if cluster:
            runs = [pipeline.start_or_resume(folder / name, parts[name]) for name in some]
            cluster_runs.train_runs(runs, cluster=cluster, n_jobs=n_jobs)
        for name in some:
            run = pipeline.start_or_resume(folder / name, parts[name])
            which = f"{kind} {names.index(name) + 1} of {len(names)}"
            results.append(_result(run, which, n_jobs))
            _check_same_corpus(folder / names[0], folder / name)

    train(tested)
    title, configs = folder.resolve().name, [parts[name] for name in tested]
    if listen:
        title = f"{title} after {listen} unlabelled clips of each voice,"
        heard = [_after_listening(folder / name, parts[name], listen, n_jobs) for name in tested]
        summary = studies.summarise(title, configs, heard)
        summary.save(folder / f"report-after-{listen}.json")
        return summary
    summary = studies.summarise(title, configs, results)
    if config.protocol == "corpora":
        # Once more on each corpus alone, for the table; what was tested so far is kept before.
        summary.model_copy(update={"transfer": _transfer(summary, results)}).save(
            folder / "report.json"
        )
        train(names[len(tested) :])
        summary = summary.model_copy(update={"transfer": _transfer(summary, results)})
    summary.save(folder / "report.json")
    return summary


def _parts(config: TrainingConfig, seeds: int) -> dict[str, TrainingConfig]:
    """Return the configuration of each run by its name, which is that of its folder."""
    # A run is only a part of its study, so it is not tested in noise and rooms by itself.
    config = replace(config, robustness=False)
    if seeds:
        if config.protocol == "corpora" or not 2 <= seeds <= MOST_SEEDS:
            raise RunError(
                f"A study can have 2 to {MOST_SEEDS} seeds, not {seeds}, and no protocol corpora."
            )
        every = range(config.seed, config.seed + seeds)
        return {f"seed-{seed}": replace(config, seed=seed) for seed in every}
    if config.protocol not in FOLDS:
        raise RunError(
            f"The {config.protocol} protocol has no folds; use {' or '.join(FOLDS)}, or several "
            "seeds."
        )
    count = folds_of(config.protocol, config.folds)
    return {f"fold-{fold + 1}": replace(config, fold=fold) for fold in range(count)}


def _result(run: Run, which: str, n_jobs: int) -> Report:
    """Return the report of a run, which is trained unless it was before."""
    result = Report.find(run.folder / "report.json")
    if result is not None:
        if run.read_status().state == "interrupted":  # killed when only that was left
            pipeline.finish(run, result)
        return result
    try:
        return pipeline.train(run, n_jobs=n_jobs)
    except Stopped:  # it names the command for one run, which would leave the study undone
        raise Stopped(f"Stopped in {which}. Go on with the same command and --resume.") from None


def _after_listening(run: Path, config: TrainingConfig, listen: int, n_jobs: int) -> Report:
    """Answer the test clips of a run again, getting used to each voice before."""
    clips = inspect_corpus(config.data, n_jobs=n_jobs).clips
    if Run(run).read_split().corpus != fingerprint(clips, config.data):
        raise RunError(
            f"The corpus has changed since {run} was trained, so its test clips may be others now. "
            "Restore the corpus, or start in a new folder."
        )
    split = pipeline.split_of(config, clips)
    return evaluate_clips(
        Recognizer.load(run),
        clips.iloc[split.test].reset_index(drop=True),
        location=config.data,
        protocol=config.protocol,
        seed=config.seed,
        listen=listen,
        n_jobs=n_jobs,
    )


def _check_same_corpus(first: Path, this: Path) -> None:
    """Refuse a run that has seen another corpus than the first."""
    if Run(first).read_split().corpus != Run(this).read_split().corpus:
        raise RunError(
            f"The corpus has changed since {first.parent} was started, so its runs do not belong "
            "together. Restore the corpus, or start in a new folder."
        )


def _transfer(summary: Report, results: list[Report]) -> tuple[Transfer, ...]:
    """Return a row for what all others teach of each corpus, then one for what each teaches."""
    names = [fold.corpus for fold in summary.folds]
    trained = ["all others"] * len(names) + names
    return tuple(
        Transfer(trained_on=what, tested_on=corpus, **dict(figures))
        for what, result in zip(trained, results, strict=False)  # as many as there are so far
        for corpus, figures in metrics.by_group(result.predictions, "corpus").items()
    )
