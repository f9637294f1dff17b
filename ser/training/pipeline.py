"""A configuration in, a finished run directory out.

The steps are those of any other project; what is taken care of here is that a run can be watched,
stopped and resumed at any moment, and that the function that trains never sees a test clip.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from ser import __version__
from ser.audio.config import CONTRACT
from ser.data import corpora, feature_cache, splits
from ser.data.feature_cache import Features
from ser.errors import OutputError, RunError, SerError, Stopped
from ser.evaluation import metrics, rendering
from ser.evaluation.evaluate import evaluate_clips
from ser.evaluation.report import Report
from ser.models import bundle
from ser.models.embedding import Embedding, fit_embedding
from ser.models.networks import ModelConfig, build_cnn_lstm, members_of, with_activations
from ser.models.recognizer import Recognizer, calibrated, network_function, shifted, softmax
from ser.training.runs import Run
from ser.utils.files import atomic_path, read_json, write_json

log = logging.getLogger(__name__)

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 24, "copies": 4, "model": ModelConfig()},
    "full": {"epochs": 100, "copies": 12, "model": ModelConfig(members=5)},
    "unseen-speakers": {
        "epochs": 40,
        "copies": 12,
        "balanced": True,
        "validation": 0.1,
        "refit": True,
        "model": ModelConfig(members=4, front=24, functionals=64),
    },
}
"""What the command line and the pages offer: a first look, the shipped model's recipe, and one for
voices that are not in the corpus, which longer training only helps to know those that are."""

_CHECKPOINT, _REFIT_CHECKPOINT = "checkpoint.npz", "checkpoint-refit.npz"

LIBRARIES = ("keras", "librosa", "numpy", "pandas", "scikit-learn", "soundfile", "tensorflow")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides how a run turns out.

    Attributes
    ----------
    data : str
        Folder or CSV file of the corpus.
    protocol : {'random', 'unseen-speakers', 'luna-jimenez', 'kfold-speech'}
        Which clips are kept for testing, see `ser.data.splits.make_split`.
    seed : int
        Of the split, the augmentation, the initial weights and the order of the clips.
    folds, fold : int
        How many folds and which one tests; ``random`` has none.
    epochs : int
        Passes over the training clips.
    batch_size : int
        Clips per step.
    learning_rate : float
        Highest value; reached after `warmup` epochs, then falling to 0 along a cosine.
    warmup : int
        Epochs of linear rise.
    weight_decay : float
        Of AdamW (Loshchilov & Hutter 2019).
    label_smoothing : float
        Part of each label spread over all classes, in [0, 1).
    balanced : bool
        Whether every emotion counts alike, however many clips it has, which serves the average
        recall; otherwise rare ones are named less often (logit adjustment, Menon et al. 2021).
    nonspeech : float
        Sounds that are no speech and answer to no label, per training clip (`ser.audio.nonspeech`).
    copies : int
        Augmented copies per training clip; each epoch draws one of them or the clip itself.
    finish : float
        Part of the epochs, the last ones, in which half of the draws are the clip itself for sure,
        in [0, 1]: the network ends on what it will meet.
    ema_decay : float
        Decay per step of the running average of the weights, which is what is kept
        (Polyak & Juditsky 1992), in [0, 1).
    validation : float
        Part of the training clips or speakers held out to watch and to calibrate.
    refit : bool
        Whether, once they have told the temperature, the network is trained anew on those as well.
        It takes twice the time; where speakers are few, every one counts.
    model : ModelConfig
        Size of the network.
    """

    data: str
    protocol: str = "random"
    seed: int = 42
    folds: int = 5
    fold: int = 0
    epochs: int = PRESETS["full"]["epochs"]
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup: int = 4
    weight_decay: float = 1e-3
    label_smoothing: float = 0.05
    balanced: bool = False
    nonspeech: float = 0.125
    copies: int = PRESETS["full"]["copies"]
    finish: float = 0.25
    ema_decay: float = 0.998
    validation: float = 0.05
    refit: bool = False
    model: ModelConfig = PRESETS["full"]["model"]

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises
        ------
        RunError
            Naming the value and what is possible.
        """
        checks = [
            ("protocol", self.protocol in splits.PROTOCOLS, " or ".join(splits.PROTOCOLS)),
            ("seed", 0 <= self.seed < 2**32, "0 to 4294967295"),
            ("folds", 2 <= self.folds <= 1000, "2 or more"),
            ("folds", self.protocol != "luna-jimenez" or self.folds == 5, "5, the study's own"),
            ("fold", 0 <= self.fold < self.folds, "0 to folds - 1"),
            ("members", 1 <= self.model.members <= 20, "1 to 20"),
            ("epochs", 1 <= self.epochs <= 10_000, "1 to 10000"),
            ("batch_size", 1 <= self.batch_size <= 1024, "1 to 1024"),
            ("learning_rate", 0 < self.learning_rate <= 1, "above 0, at most 1"),
            ("warmup", self.warmup >= 0, "0 or more"),
            ("weight_decay", 0 <= self.weight_decay <= 1, "0 to 1"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "0 to below 1"),
            ("nonspeech", 0 <= self.nonspeech <= 1, "0 to 1"),
            ("copies", 0 <= self.copies <= 100, "0 to 100"),
            ("finish", 0 <= self.finish <= 1, "0 to 1"),
            ("ema_decay", 0 <= self.ema_decay < 1, "0 to below 1"),
            ("validation", 0 < self.validation < 0.5, "above 0, below 0.5"),
        ]
        for name, good, possible in checks:
            if not good:
                value = getattr(self.model if name == "members" else self, name)
                raise RunError(f"{name} {value!r} is impossible; use {possible}.")

    def to_json(self) -> dict[str, Any]:
        """Return the values as what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingConfig:
        """Read a configuration back.

        Raises
        ------
        RunError
            If a value is missing, unknown or impossible.
        """
        known = {f.name for f in fields(cls)}
        try:
            if set(values) != known:
                raise ValueError(f"differs in {sorted(set(values) ^ known)}")
            model = dict(values["model"])
            size = ModelConfig(**{**model, "filters": tuple(model["filters"])})
            return cls(**{**values, "model": size})
        except (TypeError, ValueError, KeyError) as error:
            raise RunError(
                f"The run's config.json does not fit this version of ser: {error}. Start a new run."
            ) from error


def train(run: Run, *, n_jobs: int = -1) -> Report:
    """Train, test and report; or go on where the run was stopped or killed.

    Parameters
    ----------
    run : Run
        With its configuration, see `start` and `ser.training.runs.Run.create`.
    n_jobs : int
        Parallel workers for the features; -1 is one per core.

    Returns
    -------
    Report
        Of its test clips.

    Raises
    ------
    SerError
        If the corpus cannot be used, the run is finished, or another process works on it.
    Stopped
        If interrupted (Ctrl-C, SIGTERM).
    """
    with working_on(run) as config:
        result = _train(run, config, n_jobs)
        run.write_status("finished", f"Accuracy {result.accuracy:.1%} on unseen clips")
        # Not before: until then it is all that a killed process leaves to go on with.
        for name in (_CHECKPOINT, _REFIT_CHECKPOINT):
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
                if (run.folder / _REFIT_CHECKPOINT).exists():
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


def _train(run: Run, config: TrainingConfig, n_jobs: int) -> Report:
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
    model, epochs = fit(
        training.joined(sounds),
        np.concatenate([one_hot[y_true[split.train]], nothing]),
        held_out.clean,
        y_validation,
        config=config,
        run=run,
    )

    run.write_status("evaluating", "Calibrating")
    embedding, logits, distances = place(
        model, training, y_true[split.train], speakers[split.train], held_out.clean
    )
    temperature = metrics.fit_temperature(logits, y_validation)
    used = np.concatenate([split.train, split.validation])
    if config.refit:
        everything = training.joined(held_out)
        model, more = fit(
            everything.joined(sounds),
            np.concatenate([one_hot[y_true[used]], nothing]),
            config=config,
            run=run,
        )
        epochs += more
        again, *_ = place(model, everything, y_true[used], speakers[used], held_out.clean)
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
    result = evaluate_clips(
        recognizer,
        clips.iloc[split.test],
        root=config.data,
        protocol=config.protocol,
        seed=config.seed,
        robustness=config.protocol == "random",  # a fold is only a part of its study
        training_seconds=round(sum(epoch["seconds"] for epoch in epochs), 1),
        n_jobs=n_jobs,
        progress=tested,
    )
    rendering.write_all(run.folder, result, run.read_epochs())
    return result


def fit(
    training: Features,
    targets: npt.NDArray[np.float32],
    validation: npt.NDArray[np.float32] | None = None,
    y_validation: npt.NDArray[np.integer] | None = None,
    *,
    config: TrainingConfig,
    run: Run,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a network on training clips, watching validation clips. There are no test clips here.

    Every epoch is a pure function of the state before it and its number, so a resumed run ends
    exactly where an undisturbed one does.

    Parameters
    ----------
    training : Features
        Clean features and augmented copies of the training clips.
    targets : ndarray of float32, shape (clips, 8)
        The probability of each label: one of them 1, or all the same for what is no speech.
    validation : ndarray of float32, shape (n, 32, 94, 2), optional
        Features of the validation clips; without them nothing is watched and no epoch is put on
        record, since what a network says of clips it learns from is no news.
    y_validation : ndarray of int, shape (n,), optional
        Their labels.
    config : TrainingConfig
        How to train.
    run : Run
        Where epochs and checkpoints are written; an existing checkpoint is continued.

    Returns
    -------
    model : keras.Model
        The network with its averaged weights.
    epochs : list of dict
        The record of every epoch.
    """
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    model = build_cnn_lstm(config.model)
    model.get_layer("rows").adapt(training.clean)
    average = keras.models.clone_model(model)
    average.set_weights(model.get_weights())
    average.get_layer("rows").finalize_state()  # set_weights alone leaves its mean at zero
    normalise, members = model.get_layer("rows"), members_of(model)

    clips = len(targets)
    size = min(config.batch_size, clips)
    steps = clips // size
    warmup = min(config.warmup, config.epochs - 1) * steps
    rate = keras.optimizers.schedules.CosineDecay(
        config.learning_rate if warmup == 0 else 0.0,
        config.epochs * steps - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing, reduction=None
    )
    # How much likelier than others a label is among the clips is told to the loss, so that the
    # network does not have to learn it.
    advantage = tf.constant(_advantages(targets) if config.balanced else 0 * targets[0])
    pairs = list(zip(average.weights, model.weights, strict=True))

    # The members learn in one step, each from clips of its own: they share no weights, so
    # TensorFlow works on them side by side.
    @tf.function
    def step(inputs: Any, wanted: Any, decay: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            logits = [
                member(normalise(own), training=True)
                for member, own in zip(members, tf.unstack(inputs), strict=True)
            ]
            # Non-speech has no label that could be likelier.
            spoken = tf.reduce_max(wanted, axis=2, keepdims=True) > 0.5
            adjusted = [
                z + tf.where(own, advantage, 0.0)
                for z, own in zip(logits, tf.unstack(spoken), strict=True)
            ]
            losses = [loss_of(y, z) for y, z in zip(tf.unstack(wanted), adjusted, strict=True)]
            loss = tf.add_n([tf.reduce_mean(each) for each in losses])
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for slow, fast in pairs:
            slow.assign(slow + (fast - slow) * tf.cast(1.0 - decay, slow.dtype))
        y_true, named = tf.reshape(wanted, [-1, wanted.shape[-1]]), tf.concat(logits, 0)
        right = tf.equal(tf.argmax(named, axis=1), tf.argmax(y_true, axis=1))
        spoken = tf.reshape(spoken, [-1])
        # What is on record is about speech: non-speech has no right answer and a loss of its own.
        return (
            tf.reduce_sum(tf.concat(losses, 0)[spoken]),
            tf.math.count_nonzero(right & spoken),
            tf.math.count_nonzero(spoken),
        )

    watch = network_function(with_activations(average))
    state = [*model.variables, *average.variables, *optimizer.variables]
    watched = validation is not None
    checkpoint = run.folder / (_CHECKPOINT if watched else _REFIT_CHECKPOINT)
    words = "Training" if watched else "Training again, on all clips"
    epochs = _restore(checkpoint, state)
    done = len(epochs)
    if watched:
        run.write_epochs(epochs)

    bar = tqdm(total=config.epochs, initial=done, desc=words, unit="epoch", disable=None)
    for epoch in range(done, config.epochs):
        run.write_status("training", words, epoch, config.epochs)
        began = time.monotonic()
        rng = np.random.default_rng([config.seed, epoch])
        figures = []
        clean = 0.5 if epoch >= (1 - config.finish) * config.epochs else 0.0
        for number, rows in enumerate(_batches(clips, size, len(members), rng)):
            inputs = np.stack([_draw(training, own, rng, clean) for own in rows])
            # The average forgets its random beginning faster than its final decay would.
            count = epoch * steps + number + 1
            decay = min(config.ema_decay, (1 + count) / (10 + count))
            result = step(inputs, targets[rows], tf.constant(decay))
            figures.append([float(value) for value in result])
        loss, accuracy = np.sum(figures, axis=0)[:2] / max(np.sum(figures, axis=0)[2], 1)
        record = {"epoch": epoch + 1, "loss": float(loss), "accuracy": float(accuracy)}
        if validation is not None:
            probabilities = softmax(watch(validation)[0])
            chosen = probabilities[np.arange(len(probabilities)), y_validation]
            right = probabilities.argmax(axis=1) == y_validation
            record["val_loss"] = float(-np.log(np.maximum(chosen, 1e-12)).mean())
            record["val_accuracy"] = float(right.mean())
        record["learning_rate"] = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        record["seconds"] = time.monotonic() - began
        epochs.append(record)
        # The checkpoint holds the records too, so the two files can never disagree for long.
        _save(checkpoint, state, epochs)
        if watched:
            run.write_epochs(epochs)
        log.info("epoch %d of %d: %s", epoch + 1, config.epochs, _in_figures(record))
        shown = {"loss": f"{loss:.3f}"}
        if watched:
            shown["validation"] = f"{record['val_accuracy']:.1%}"
        bar.set_postfix(shown)
        bar.update()
    bar.close()
    return average, epochs


def place(
    model: Any,
    training: Features,
    y_true: npt.NDArray[np.integer],
    speakers: npt.NDArray[np.str_],
    validation: npt.NDArray[np.float32],
) -> tuple[Embedding, npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Describe where the clips lie that trained a network, and how far the validation clips are.

    Parameters
    ----------
    model : keras.Model
        As `fit` returns it.
    training : Features
        Clean features and augmented copies of the training clips.
    y_true : ndarray of int, shape (clips,)
        Index of their label.
    speakers : ndarray of str, shape (clips,)
        Who speaks in them.
    validation : ndarray of float32, shape (n, 32, 94, 2)
        Features of the validation clips.

    Returns
    -------
    embedding : Embedding
    logits : ndarray of float32, shape (n, 8)
        Of the validation clips.
    distances : ndarray of float64, shape (n,)
        Of the validation clips.
    """
    network = network_function(with_activations(model))
    logits, activations = shifted(network, validation)
    copies = training.copies[:, :1].reshape(-1, *CONTRACT.input_shape).astype(np.float32)
    embedding = fit_embedding(
        network(training.clean)[1],
        y_true,
        speakers,
        copies=network(copies)[1],
        validation=activations,
        count=len(CONTRACT.labels),
    )
    return embedding, logits, embedding.distances(embedding.transform(activations))


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


def _in_figures(record: dict[str, Any]) -> str:
    """Say what an epoch brought, for the log."""
    words = f"loss {record['loss']:.3f}, accuracy {record['accuracy']:.1%}; "
    if "val_loss" in record:
        words += f"validation: loss {record['val_loss']:.3f}, "
        words += f"accuracy {record['val_accuracy']:.1%}; "
    return words + f"{record['seconds']:.1f} s"


def _advantages(targets: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return how much likelier than by chance each label is, as a logit, shape (8,)."""
    counts = targets[targets.max(axis=1) > 0.5].sum(axis=0)
    present = counts > 0  # a label that no clip has gains and loses nothing
    mean = counts[present].mean()
    return np.log(np.where(present, counts, mean) / mean).astype(np.float32)


def _batches(
    clips: int, size: int, members: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield row numbers, shape (members, size), shuffled for each member.

    The rest of an epoch is left to the next.
    """
    order = np.array([rng.permutation(clips) for _ in range(members)])
    for begin in range(0, clips - size + 1, size):
        yield order[:, begin : begin + size]


def _draw(
    training: Features, rows: npt.NDArray[np.int64], rng: np.random.Generator, clean: float
) -> npt.NDArray[np.float32]:
    """Return for each row the clip itself or one of its copies.

    All are equally likely, but for a further probability `clean` of the clip itself.
    """
    which = rng.integers(0, training.copies.shape[1] + 1, len(rows))
    which[rng.random(len(rows)) < clean] = 0
    inputs = training.clean[rows].copy()
    copied = which > 0
    inputs[copied] = training.copies[rows[copied], which[copied] - 1]
    return inputs


def _save(path: Path, state: list[Any], epochs: list[dict[str, Any]]) -> None:
    arrays: dict[str, Any] = {f"v{i}": np.asarray(variable) for i, variable in enumerate(state)}
    with atomic_path(path) as temporary:
        np.savez(temporary, epochs=np.array(json.dumps(epochs)), **arrays)


def _restore(path: Path, state: list[Any]) -> list[dict[str, Any]]:
    """Set the variables from a checkpoint; returns the records of the epochs done, if any."""
    if not path.exists():
        return []
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for i, variable in enumerate(state):
                variable.assign(arrays[f"v{i}"])
            return list(json.loads(str(arrays["epochs"])))
    except Exception as error:
        raise RunError(
            f"{path} is damaged or of another version ({error}). Start a new run."
        ) from error


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
