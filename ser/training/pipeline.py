"""A configuration in, a finished run directory out.

The steps are those of any other project; what is taken care of here is that a run can be watched,
stopped and resumed at any moment, and that the function that trains never sees a test clip.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ser import __version__
from ser.audio.config import CONTRACT
from ser.data import corpora, feature_cache, splits
from ser.errors import OutputError, RunError, SerError, Stopped
from ser.evaluation import metrics, report
from ser.models import bundle
from ser.models.recognizer import Recognizer, calibrated
from ser.training import fitting
from ser.training.config import TrainingConfig
from ser.training.runs import Run
from ser.utils.files import atomic_path, read_json, write_json

LIBRARIES = ("keras", "librosa", "numpy", "pandas", "scikit-learn", "soundfile", "tensorflow")


def train(run: Run, *, n_jobs: int = -1) -> dict[str, Any]:
    """Train, test and report; or go on where the run was stopped or killed.

    Parameters
    ----------
    run : Run
        With its configuration, see `start` and `ser.training.runs.Run.create`.
    n_jobs : int
        Parallel workers for the features; -1 is one per core.

    Returns
    -------
    dict
        The report, see `ser.evaluation.metrics.evaluate`.

    Raises
    ------
    SerError
        If the corpus cannot be used, the run is finished, or another process works on it.
    Stopped
        If interrupted (Ctrl-C, SIGTERM).
    """
    with working_on(run) as config:
        result = _train(run, config, n_jobs)
        run.write_status("finished", f"Accuracy {result['accuracy']:.1%} on unseen clips")
        # Not before: until then it is all that a killed process leaves to go on with.
        for name in (fitting.CHECKPOINT, fitting.REFIT_CHECKPOINT):
            (run.folder / name).unlink(missing_ok=True)
        return result


@contextmanager
def working_on(run: Run) -> Iterator[TrainingConfig]:
    """Hold a run for a training, and leave in its status how that ended.

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
    run.read_config()  # refuses a folder that is no run
    with run.locked():
        config = TrainingConfig.from_json(run.read_config())
        if run.read_status()["state"] == "finished":
            raise RunError(f"{run.folder} is finished. Start a new run to train again.")
        try:
            run.write_status("preparing", "Starting")
            yield config
        except Stopped:  # told already, by a block within this one
            raise
        except BaseException as error:
            if _is_interruption(error):
                words = f"Stopped after {len(run.read_epochs())} of {config.epochs} epochs"
                if (run.folder / fitting.REFIT_CHECKPOINT).exists():
                    words += ", while training again on all clips"
                run.write_status("stopped", words)
                raise Stopped(f"{words}. Go on with: ser train --resume {run.folder}") from None
            with suppress(OutputError):  # on a full disk not even this may fit
                run.write_status("failed", _in_words(error))
            raise


def _is_interruption(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C or SIGTERM, or what became of that within compiled code.

    If the signal comes while NumPy or TensorFlow call back into Python, Python makes a SystemError
    of it ("returned a result with an exception set").
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _in_words(error: BaseException) -> str:
    if isinstance(error, SerError):
        return str(error)
    first = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError):
        return f"The memory is full. Close other programs, or use fewer copies. {first}".strip()
    return f"Unexpected {type(error).__name__}: {first}"


def start(folder: str | Path, config: TrainingConfig) -> Run:
    """Make a new run directory for a configuration.

    Raises
    ------
    RunError
        If the folder is not empty.
    """
    run = Run(folder)
    run.create(config.to_json())
    return run


def _train(run: Run, config: TrainingConfig, n_jobs: int) -> dict[str, Any]:
    _write_or_compare(
        run.folder / "environment.json",
        environment(),
        "other versions are installed now, and a run must be of one piece. Install the versions "
        "in its environment.json again",
    )

    def progress(what: str, done: int, total: int) -> None:
        run.write_status("preparing", what, done, total)

    corpus = corpora.inspect(corpora.scan(config.data), n_jobs=n_jobs, progress=progress)
    clips = corpus.clips
    with atomic_path(run.folder / "skipped.csv") as temporary:
        corpus.skipped.to_csv(temporary, index=False)
    split = splits.make_split(
        clips,
        config.protocol,
        seed=config.seed,
        folds=config.folds,
        fold=config.fold,
        validation=config.validation,
    )
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    _write_or_compare(
        run.folder / "split.json",
        {"corpus": corpora.fingerprint(clips, config.data)}
        | {part: clips["name"].iloc[rows].tolist() for part, rows in parts.items()},
        "the corpus has changed, and other clips would train and test now. Restore the corpus",
    )

    training = feature_cache.compute_features(
        clips["path"].iloc[split.train].tolist(),
        copies=config.copies,
        seed=config.seed,
        n_jobs=n_jobs,
        progress=progress,
    )
    held_out = feature_cache.compute_features(
        clips["path"].iloc[split.validation].tolist(),
        copies=config.copies if config.refit else 0,
        seed=config.seed,
        n_jobs=n_jobs,
        progress=progress,
    )
    codes = {label: i for i, label in enumerate(CONTRACT.labels)}
    y_true = clips["emotion"].map(codes).to_numpy()
    y_validation = y_true[split.validation]
    sounds = feature_cache.nonspeech_features(
        round(config.nonspeech * len(split.train)),
        copies=config.copies,
        seed=config.seed,
        n_jobs=n_jobs,
        progress=progress,
    )
    one_hot = np.eye(len(CONTRACT.labels), dtype=np.float32)
    # Where nobody speaks, no emotion is any likelier than the others.
    nothing = np.full((len(sounds.clean), len(one_hot)), 1 / len(one_hot), np.float32)
    speakers = clips["speaker"].to_numpy(str)
    model, epochs = fitting.fit(
        training.joined(sounds),
        np.concatenate([one_hot[y_true[split.train]], nothing]),
        held_out.clean,
        y_validation,
        config=config,
        run=run,
    )

    run.write_status("evaluating", "Calibrating")
    embedding, logits, distances = fitting.place(
        model, training, y_true[split.train], speakers[split.train], held_out.clean
    )
    temperature = metrics.fit_temperature(logits, y_validation)
    used = np.concatenate([split.train, split.validation])
    if config.refit:
        everything = training.joined(held_out)
        model, more = fitting.fit(
            everything.joined(sounds),
            np.concatenate([one_hot[y_true[used]], nothing]),
            config=config,
            run=run,
        )
        epochs += more
        again, *_ = fitting.place(model, everything, y_true[used], speakers[used], held_out.clean)
        # How far an unseen clip lies is only known from before they were heard.
        embedding = replace(again, threshold=embedding.threshold)
    learned = clips.iloc[used]
    bundle.save_bundle(
        run.folder,
        model,
        embedding,
        name=run.folder.resolve().name,
        temperature=temperature,
        min_confidence=metrics.fit_min_confidence(calibrated(logits, distances, temperature)),
        training={
            "config": config.to_json(),
            "corpora": sorted(clips["corpus"].unique()),
            "n_train": len(used if config.refit else split.train),
            "n_validation": len(split.validation),
            "refit": config.refit,
            "n_test": len(split.test),
        },
        training_clips={
            "ids": sorted(set(learned["clip_id"]) - {""}),
            "audio": sorted(set(learned["audio"])),
        },
        versions=environment()["versions"],
    )

    def tested(what: str, done: int, total: int) -> None:
        run.write_status("evaluating", what, done, total)

    recognizer = Recognizer.load(run.folder)  # tested as it will be used: from its files
    test = clips.iloc[split.test]
    result = report.evaluate_clips(
        recognizer,
        test,
        root=config.data,
        protocol=config.protocol,
        seed=config.seed,
        n_jobs=n_jobs,
        progress=tested,
    )
    result["training_seconds"] = round(sum(epoch["seconds"] for epoch in epochs), 1)
    if config.protocol == "random":  # a fold is only a part of its study
        result |= report.evaluate_robustness(recognizer, test, n_jobs=n_jobs, progress=tested)
    report.write_all(run.folder, result, run.read_epochs())
    return result


def share_cores(members: int) -> None:
    """Have TensorFlow give each member of a network its share of the cores.

    Members that work side by side train a third faster than members that take turns on all cores.
    Call it before TensorFlow is imported; later it changes nothing.
    """
    # TensorFlow leaves it off on processors without AVX-512, where it saves up to a third as well.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import tensorflow as tf

    cores = os.cpu_count() or 1
    with suppress(RuntimeError):  # it is running already
        tf.config.threading.set_inter_op_parallelism_threads(cores)
        tf.config.threading.set_intra_op_parallelism_threads(max(cores // members, 1))


def environment() -> dict[str, Any]:
    """Return what a run's figures may depend on: versions and the kind of machine."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "versions": {"ser": __version__, **{lib: version(lib) for lib in LIBRARIES}},
    }


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
