"""Training a network: the steps, what is on record of them, and where it goes on if stopped."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from ser.audio.config import CONTRACT
from ser.data.feature_cache import Features
from ser.errors import RunError
from ser.models.embedding import Embedding, fit_embedding
from ser.models.networks import build_cnn_lstm, members_of, with_activations
from ser.models.recognizer import network_function, shifted, softmax
from ser.training.config import TrainingConfig
from ser.training.runs import Run
from ser.utils.files import atomic_path

log = logging.getLogger(__name__)

CHECKPOINT, REFIT_CHECKPOINT = "checkpoint.npz", "checkpoint-refit.npz"


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
    checkpoint = run.folder / (CHECKPOINT if watched else REFIT_CHECKPOINT)
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
