"""A configuration in, a finished run directory out.

The steps are those of any other project; what is taken care of here is that a run can be watched,
stopped and resumed at any moment, and that the function that trains never sees a test clip.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.data import corpora, feature_cache, splits
from ser.data.inspection import inspect_corpus
from ser.data.splits import Split
from ser.errors import RunError
from ser.evaluation import metrics, rendering
from ser.evaluation.evaluate import evaluate_clips
from ser.evaluation.report import Report
from ser.models import bundle
from ser.models.inference import calibrated
from ser.models.manifest import TrainingClips
from ser.models.recognizer import Recognizer
from ser.training import ensembles, fitting, runs
from ser.training.config import TrainingConfig
from ser.training.examples import FEATURES, Examples, joined, stored
from ser.training.fitting import Trained
from ser.training.runs import Run
from ser.utils.environment import environment
from ser.utils.extras import TRAINS, need
from ser.utils.files import atomic_path, read_json, write_json
from ser.utils.parallel import Progress


def train(run: Run, *, n_jobs: int = -1, cluster: str = "") -> Report:
    """Train, test and report; or go on where the run was stopped or killed.

    Parameters
    ----------
    run : Run
        With its configuration, see `start` and `ser.training.runs.Run.create`.
    n_jobs : int
        Parallel workers for the features; -1 is one per core.
    cluster : str
        If not empty, the members of the network are trained over Dask's workers, see
        `ser.training.ensembles.fit_members`.  Without it a run that was begun so goes on here.

    Returns
    -------
    Report
        Of its test clips.

    Raises
    ------
    SerError
        If the corpus cannot be used, the run is finished, or another process works on it; with a
        cluster also if the network has no members that learn apart.
    Stopped
        If interrupted (Ctrl-C, SIGTERM).
    """
    with working_on(run) as config:
        if cluster:
            ensembles.check(config)
            if any(run.folder.glob("checkpoint*.npz")):
                raise RunError(
                    f"{run.folder} has begun to learn on one machine. Go on without --cluster."
                )
        result = _train(run, config, n_jobs, cluster)
        finish(run, result)
        return result


def finish(run: Run, report: Report) -> None:
    """Say of a run that it is finished, and delete what it would have gone on from."""
    run.write_status("finished", f"Accuracy {report.accuracy:.1%} on unseen clips")
    # Not before: until then it is all that a killed process leaves to go on with.
    for file in run.folder.glob("checkpoint*.npz"):
        file.unlink()
    for folder in (FEATURES, ensembles.MEMBERS):
        shutil.rmtree(run.folder / folder, ignore_errors=True)


@contextmanager
def working_on(run: Run) -> Iterator[TrainingConfig]:
    """Hold a run for a training, see `ser.training.runs.working_on`.

    `train` does it by itself; who has something to do before, such as to wait, begins here, so
    that the run reads as busy from the first moment.

    Yields
    ------
    TrainingConfig
        What the run was made with.

    Raises
    ------
    RunError
        If it is no run, is finished, or another process works on it.
    Stopped
        If the block is interrupted (Ctrl-C, SIGTERM).
    """
    config = TrainingConfig.from_json(run.read_config())

    def how_far() -> str:
        if (run.folder / ensembles.MEMBERS).exists():
            return "Stopped while its members were being trained"
        total = config.epochs + (config.fine_tuning if config.model.encoder else 0)
        words = f"Stopped after {len(run.read_epochs())} of {total} epochs"
        again = (run.folder / fitting.REFIT_CHECKPOINT).exists()
        return f"{words}, while training again on all clips" if again else words

    go_on = f"Go on with: ser train --resume {quote(str(run.folder))}"
    with runs.working_on(run, how_far=how_far, go_on=go_on):
        yield config


def check(folder: str | Path, *configs: TrainingConfig, n_jobs: int = -1) -> None:
    """Refuse configurations of a corpus that cannot be trained with it, before a run is made.

    Raises
    ------
    RunError
        If the folder is not empty.
    DataError
        If the corpus, its split or the folder of backgrounds cannot be used.
    """
    Run(folder).refuse_if_used()
    clips = inspect_corpus(configs[0].data, n_jobs=n_jobs).clips
    for config in configs:
        split_of(config, clips)
        if config.backgrounds:
            feature_cache.find_backgrounds(config.backgrounds)


def start(folder: str | Path, config: TrainingConfig) -> Run:
    """Make a new run directory for a configuration.

    Raises
    ------
    RunError
        If the folder is not empty.
    MissingExtraError
        If what trains is not installed.
    """
    need("train", *TRAINS)
    run = Run(folder)
    run.create(config.to_json())
    return run


def start_or_resume(folder: str | Path, config: TrainingConfig) -> Run:
    """Return the run of a configuration, which is made if it is not there yet.

    Raises
    ------
    RunError
        If the folder holds something else, or the run of another configuration.
    """
    run = Run(folder)
    if not (run.folder / "config.json").exists():
        return start(folder, config)
    if TrainingConfig.from_json(run.read_config()) != config:
        raise RunError(f"{run.folder} holds another training. Start in a new folder.")
    return run


def _train(run: Run, config: TrainingConfig, n_jobs: int, cluster: str) -> Report:
    _write_or_compare(
        run.folder / "environment.json",
        environment(),
        "other versions are installed now, and a run must be of one piece. Install the versions "
        "in its environment.json again",
    )
    clips = _clips(run, config, n_jobs)
    split = _split(run, config, clips)
    trained = _fit(run, config, clips, split, n_jobs, cluster)
    _save(run, config, clips, split, trained)
    seconds = sum(epoch["seconds"] for epoch in trained.epochs)
    report = _test(run, config, clips.iloc[split.test], seconds, n_jobs)
    rendering.write_all(run.folder, report, run.read_epochs())
    return report


def _clips(run: Run, config: TrainingConfig, n_jobs: int) -> pd.DataFrame:
    """Return the clips of the corpus that can be used, and put the others on record."""
    corpus = inspect_corpus(config.data, n_jobs=n_jobs, progress=_progress(run, "preparing"))
    with atomic_path(run.folder / "skipped.csv") as temporary:
        corpus.skipped.to_csv(temporary, index=False)
    return corpus.clips


def split_of(config: TrainingConfig, clips: pd.DataFrame) -> Split:
    """Say which clips train and which test, see `ser.data.splits.make_split`."""
    return splits.make_split(
        clips,
        config.protocol,
        seed=config.seed,
        folds=config.folds,
        fold=config.fold,
        validation=config.validation,
    )


def _split(run: Run, config: TrainingConfig, clips: pd.DataFrame) -> Split:
    """Say which clips train and which test, the same ones in a run that is resumed."""
    split = split_of(config, clips)
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    _write_or_compare(
        run.folder / "split.json",
        {"corpus": corpora.fingerprint(clips, config.data)}
        | {part: clips["name"].iloc[rows].tolist() for part, rows in parts.items()},
        "the corpus has changed, and other clips would train and test now. Restore the corpus",
    )
    return split


def _fit(
    run: Run,
    config: TrainingConfig,
    clips: pd.DataFrame,
    split: Split,
    n_jobs: int,
    cluster: str,
) -> Trained:
    """Train a network, calibrate it, and train it again on all clips if that is wanted."""
    if config.model.encoder:
        from ser.training.encoder_recipe import fit_encoder_model

        progress = _progress(run, "preparing")
        return fit_encoder_model(run, config, clips, split, n_jobs=n_jobs, progress=progress)

    keep = partial(
        stored,
        run,
        shapes=config.model.extractor.shapes,
        config=config,
        n_jobs=n_jobs,
        progress=_progress(run, "preparing"),
    )

    def examples(name: str, rows: npt.NDArray[np.int64], copies: int) -> Examples:
        chosen = clips.iloc[rows]
        paths = chosen["path"].tolist()
        compute = feature_cache.compute_features
        return Examples.of(chosen, keep(name, paths, compute, copies=copies))

    training = examples("training", split.train, config.copies)
    held_out = examples("validation", split.validation, config.copies if config.refit else 0)
    count = round(config.nonspeech * len(split.train))
    sounds = keep("sounds", range(count), feature_cache.nonspeech_features, copies=config.copies)
    validation = {name: each.clean for name, each in held_out.features.items()}
    fit: Callable[..., tuple[Any, list[dict[str, Any]]]] = fitting.fit
    if cluster or (run.folder / ensembles.MEMBERS).exists():
        fit = partial(ensembles.fit_members, cluster=cluster, n_jobs=n_jobs)
    model, epochs = fit(
        joined(training.features, sounds),
        training.targets(sounds),
        validation,
        held_out.y_true,
        config=config,
        run=run,
    )
    run.write_status("evaluating", "Calibrating")
    embedding, logits, distances = fitting.fit_model_embedding(
        model,
        training.features,
        training.y_true,
        training.speakers,
        validation,
        extractor=config.model.extractor,
    )
    temperature = metrics.fit_temperature(logits, held_out.y_true)
    min_confidence = metrics.fit_min_confidence(calibrated(logits, distances, temperature))
    if config.refit:
        everything = training.joined(held_out)
        model, more = fit(
            joined(everything.features, sounds),
            everything.targets(sounds),
            config=config,
            run=run,
        )
        again, *_ = fitting.fit_model_embedding(
            model,
            everything.features,
            everything.y_true,
            everything.speakers,
            validation,
            extractor=config.model.extractor,
        )
        # How far an unseen clip lies is only known from before they were trained on.
        embedding = replace(again, threshold=embedding.threshold)
        epochs = epochs + more
    return Trained(model, embedding, temperature, min_confidence, epochs)


def _save(
    run: Run, config: TrainingConfig, clips: pd.DataFrame, split: Split, trained: Trained
) -> None:
    """Make a model bundle of the run."""
    seen = clips.iloc[np.concatenate([split.train, split.validation])]
    bundle.save_bundle(
        run.folder,
        trained.model,
        trained.embedding,
        name=run.folder.resolve().name,
        extractor=config.model.extractor,
        temperature=trained.temperature,
        min_confidence=trained.min_confidence,
        voice_temperature=trained.voice_temperature,
        voice_confidence=trained.voice_confidence,
        training={
            "config": config.to_json(),
            "corpora": sorted(clips["corpus"].unique()),
            "n_train": len(seen if config.refit else split.train),
            "n_validation": len(split.validation),
            "refit": config.refit,
            "calibrated_on": trained.calibrated_on,
            "n_test": len(split.test),
        },
        training_clips=TrainingClips(
            ids=sorted(set(seen["clip_id"]) - {""}), audio=sorted(set(seen["audio"]))
        ),
        versions=environment()["versions"],
    )


def _test(
    run: Run,
    config: TrainingConfig,
    clips: pd.DataFrame,
    seconds: float,
    n_jobs: int,
) -> Report:
    """Report what the model says of clips it has never met."""
    recognizer = Recognizer.load(run.folder)  # tested as it will be used: from its files
    return evaluate_clips(
        recognizer,
        clips,
        location=config.data,
        protocol=config.protocol,
        seed=config.seed,
        robustness=config.robustness and config.protocol in ("random", "unseen-speakers"),
        training_seconds=round(seconds, 1),
        n_jobs=n_jobs,
        progress=_progress(run, "evaluating"),
    )


def _progress(run: Run, state: str) -> Progress:
    """Return what puts the progress of a step into the status of the run."""

    def progress(what: str, done: int, total: int) -> None:
        run.write_status(state, what, done, total)

    return progress


def share_cores(members: int) -> None:
    """Have TensorFlow give each member of a network its share of the cores.

    Members that work side by side train a third faster than members that take turns on all cores.
    Call it before TensorFlow is imported; later it changes nothing.
    """
    # TensorFlow leaves it off on processors without AVX-512, where it saves up to a third as well.
    need("train", *TRAINS)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import tensorflow as tf

    cores = os.cpu_count() or 1
    with suppress(RuntimeError):  # it is running already
        tf.config.threading.set_inter_op_parallelism_threads(cores)
        tf.config.threading.set_intra_op_parallelism_threads(max(cores // members, 1))


def _write_or_compare(file: Path, values: dict[str, Any], what_differs: str) -> None:
    """Keep what a run began with; a resumed run must still find the same."""
    if not file.exists():
        write_json(file, values)
        return
    try:
        same = read_json(file) == values
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is damaged: {error}. Start a new run.") from error
    if not same:
        raise RunError(f"{file.parent} cannot be resumed: {what_differs}, or start a new run.")
