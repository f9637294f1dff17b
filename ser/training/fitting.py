"""Training a network: the steps, what is on record of them, and where it goes on if stopped."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from ser.audio.features import FeatureExtractor
from ser.data.features import CHUNK, Features, StoredFeatures
from ser.errors import RunError
from ser.labels import EMOTIONS
from ser.models.embedding import Embedding, fit_embedding
from ser.models.inference import Network, averaged, softmax
from ser.models.networks import build_cnn_lstm, members_of, only_member, with_activations
from ser.training.config import TrainingConfig
from ser.training.runs import Run
from ser.utils.files import atomic_path
from ser.utils.interruption import postponed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A network and what else its bundle holds, with the records of every epoch it took.

    ``calibrated_on`` says in words on which clips temperature and bounds were found.
    """

    model: Any
    embedding: Embedding
    temperature: float
    min_confidence: float
    epochs: list[dict[str, Any]]
    voice_temperature: float = 1.0
    voice_confidence: float = 1.0
    calibrated_on: str = "validation clips"


Inputs = Mapping[str, Features | StoredFeatures]
Arrays = dict[str, Any]  # in memory or in files

CHECKPOINT, REFIT_CHECKPOINT = "checkpoint.npz", "checkpoint-refit.npz"
_KNOWN = 20_000  # clips that say where training lies; more would tell the same


def fit(
    training: Inputs,
    targets: npt.NDArray[np.float32],
    validation: Arrays | None = None,
    y_validation: npt.NDArray[np.integer] | None = None,
    *,
    config: TrainingConfig,
    run: Run,
    member: int | None = None,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a network on training clips, watching validation clips. There are no test clips here.

    Every epoch is a pure function of the state before it and its number, so a resumed run ends
    exactly where an undisturbed one does.

    Parameters
    ----------
    training : dict of str to Features
        Clean features and augmented copies of the training clips.
    targets : ndarray of float32, shape (clips, 8)
        The probability of each label: one of them 1, or all the same for what is not speech.
    validation : dict of str to ndarray of float32, shape (n, 32, 94, 2), optional
        Features of the validation clips; without them nothing is watched and no epoch is put on
        record, since what a network says of clips it learns from is no news.
    y_validation : ndarray of int, shape (n,), optional
        Their labels.
    config : TrainingConfig
        How to train.
    run : Run
        Where epochs and checkpoints are written; an existing checkpoint is continued.
    member : int, optional
        Which member of the network alone is to learn, exactly as it does beside the others; the
        rest keep their first weights.

    Returns
    -------
    model : keras.Model
        The network with its averaged weights.
    epochs : list of dict
        The record of every epoch; of one member also what `joined_epochs` needs.
    """
    (features,) = training.values()
    model, average = networks(config, training)
    chosen = range(config.model.members) if member is None else [member]
    learning, slow = model, average
    if member is not None:
        learning, slow = (members_of(each)[member] for each in (model, average))
    optimizer = adamw(config, learning.trainable_variables, config.learning_rate, len(targets))
    members = [members_of(model)[each] for each in chosen]
    pairs = list(zip(slow.weights, learning.weights, strict=True))
    step = _training_step(config, model.get_layer("rows"), members, pairs, optimizer, targets)
    watched = validation is not None

    def train(epoch: int) -> dict[str, Any]:
        sums = _train_epoch(config, step, features, targets, epoch, chosen)
        return _means(sums) | ({} if member is None else {"sums": sums.tolist()})

    epochs = run_epochs(
        config,
        run,
        state=[*learning.variables, *slow.variables, *optimizer.variables],
        train=train,
        validate=validation_of(average, validation, y_validation, member=member),
        rate=lambda: optimizer.learning_rate,
        words="Training" if watched else "Training again, on all clips",
        stages=(1 if watched else 2, 2 if config.refit else 1),
        checkpoint=CHECKPOINT if watched else REFIT_CHECKPOINT,
    )
    return average, epochs


def run_epochs(
    config: TrainingConfig,
    run: Run,
    *,
    state: list[Any],
    train: Callable[[int], dict[str, Any]],
    validate: Callable[[], dict[str, Any]] | None,
    rate: Callable[[], Any],
    words: str,
    stages: tuple[int, int],
    checkpoint: str,
    total: int | None = None,
    before: Sequence[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Train epoch after epoch from where a checkpoint ends; returns the records of all of them.

    Parameters
    ----------
    config, run
        See `fit`.
    state : list of variables
        All that an epoch changes.
    train : callable
        Goes once through the clips, given the number of the epoch.
    validate : callable or None
        Returns what the network says of the validation clips; without it nothing is on record.
    rate : callable
        Returns the learning rate.
    words, stages
        What this is called, and which stage of how many.
    checkpoint : str
        Name of the file that it is gone on from.
    total : int, optional
        How many epochs, if not those of the configuration.
    before : sequence of dict
        Records of the epochs of an earlier stage.
    """
    import keras

    total = config.epochs if total is None else total
    file = run.folder / checkpoint
    epochs = _restore(file, state)
    if validate:
        run.write_epochs([*before, *epochs])
    done = len(epochs)
    with tqdm(total=total, initial=done, desc=words, unit="epoch", disable=None) as bar:
        for epoch in range(done, total):
            run.write_status("training", words, epoch, total, stage=stages[0], stages=stages[1])
            began = time.monotonic()
            record = {"epoch": len(before) + epoch + 1, **train(epoch)}
            if validate:
                record |= validate()
            record["learning_rate"] = float(keras.ops.convert_to_numpy(rate()))
            record["seconds"] = time.monotonic() - began
            epochs.append(record)
            # The checkpoint holds the records too, so the two files can never disagree for long.
            _save(file, state, epochs)
            if validate:
                run.write_epochs([*before, *epochs])
            log.info("epoch %d of %d: %s", epoch + 1, total, _in_figures(record))
            bar.set_postfix(_in_brief(record))
            bar.update()
    return epochs


def validation_of(
    model: Any,
    validation: Arrays | None,
    y_true: npt.NDArray[np.integer] | None,
    *,
    member: int | None = None,
) -> Callable[[], dict[str, Any]] | None:
    """Return what says how well a network, or a member, does on the validation clips, if any."""
    if validation is None or y_true is None:
        return None
    watch = Network(with_activations(model if member is None else only_member(model, member)))

    def validate() -> dict[str, Any]:
        logits, _ = watch.answer(validation)
        kept = {} if member is None else {"logits": logits.tolist()}
        return {**figures_of(logits, y_true), **kept}

    return validate


def joined_epochs(
    members: Sequence[Sequence[dict[str, Any]]], y_validation: npt.NDArray[np.integer] | None
) -> list[dict[str, Any]]:
    """Return the records of a network's epochs from those of its members, see `fit`."""
    joined = []
    for records in zip(*members, strict=True):
        record = records[0] | _means(np.sum([each["sums"] for each in records], axis=0))
        if y_validation is not None:
            logits = np.mean([np.array(each["logits"], np.float32) for each in records], axis=0)
            record |= figures_of(logits, y_validation)
        record["seconds"] = max(each["seconds"] for each in records)
        joined.append({k: v for k, v in record.items() if k not in ("sums", "logits")})
    return joined


def networks(config: TrainingConfig, training: Inputs) -> tuple[Any, Any]:
    """Return a network with its first weights, and the one that keeps their running average."""
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    model = build_cnn_lstm(config.model)
    scales = [name for name in ("rows", "summary_rows") if _has(model, name)]
    for name, features in zip(scales, training.values(), strict=False):
        model.get_layer(name).adapt(features.clean[some] for some in chunks(features))
    average = keras.models.clone_model(model)
    average.set_weights(model.get_weights())
    for name in scales:
        average.get_layer(name).finalize_state()  # set_weights alone leaves its mean at zero
    return model, average


def _has(model: Any, name: str) -> bool:
    return any(layer.name == name for layer in model.layers)


def _batch_size(config: TrainingConfig, clips: int) -> tuple[int, int]:
    """Return clips per step and steps per epoch."""
    size = min(config.batch_size, clips)
    return size, clips // size


def adamw(
    config: TrainingConfig,
    variables: list[Any],
    learning_rate: float,
    clips: int,
    *,
    epochs: int | None = None,
) -> Any:
    """Return AdamW whose learning rate rises for some epochs and then falls along a cosine."""
    import keras

    _, steps = _batch_size(config, clips)
    epochs = config.epochs if epochs is None else epochs
    warmup = min(config.warmup, epochs - 1) * steps
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate if warmup == 0 else 0.0,
        epochs * steps - warmup,
        warmup_target=learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    optimizer.build(variables)
    return optimizer


def _training_step(
    config: TrainingConfig,
    normalise: Any,
    members: Sequence[Any],
    pairs: Sequence[tuple[Any, Any]],
    optimizer: Any,
    targets: npt.NDArray[np.float32],
) -> Any:
    """Return the compiled function that learns from one batch.

    It takes inputs and targets, (members, size, …), and the decay of the running average, which is
    kept in the first of each of the `pairs` of weights, of what is learned in the second; it
    returns, of the speech among them, the summed loss, how many are right, and how many they are.
    """
    import keras
    import tensorflow as tf

    learned = [variable for member in members for variable in member.trainable_variables]
    loss_of = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing, reduction=None
    )
    # How much likelier than others a label is among the clips is told to the loss, so that the
    # network does not have to learn it.
    advantage = tf.constant(_advantages(targets) if config.balanced else 0 * targets[0])

    def losses_of(logits: list[Any], wanted: Any, spoken: Any) -> list[Any]:
        # Non-speech has no label that could be likelier.
        adjusted = [
            z + tf.where(own, advantage, 0.0)
            for z, own in zip(logits, tf.unstack(spoken), strict=True)
        ]
        return [loss_of(y, z) for y, z in zip(tf.unstack(wanted), adjusted, strict=True)]

    # The members learn in one step, each from clips of its own: they share no weights, so
    # TensorFlow works on them side by side.
    @tf.function(autograph=False)
    def step(inputs: Any, wanted: Any, decay: Any) -> tuple[Any, Any, Any]:
        spoken = tf.reduce_max(wanted, axis=2, keepdims=True) > 0.5
        with tf.GradientTape() as tape:
            logits = [
                member(normalise(own), training=True)
                for member, own in zip(members, tf.unstack(inputs), strict=True)
            ]
            losses = losses_of(logits, wanted, spoken)
            loss = tf.add_n([tf.reduce_mean(each) for each in losses])
        gradients = tape.gradient(loss, learned)
        optimizer.apply_gradients(zip(gradients, learned, strict=True))
        for slow, fast in pairs:
            slow.assign(slow + (fast - slow) * tf.cast(1.0 - decay, slow.dtype))
        return _figures_of_speech(logits, wanted, losses, spoken)

    return step


def _figures_of_speech(
    logits: list[Any], wanted: Any, losses: list[Any], spoken: Any
) -> tuple[Any, Any, Any]:
    """Return summed loss, number of right answers and number of clips, all of speech alone.

    Non-speech has no right answer and a loss of its own.
    """
    import tensorflow as tf

    y_true, named = tf.reshape(wanted, [-1, wanted.shape[-1]]), tf.concat(logits, 0)
    right = tf.equal(tf.argmax(named, axis=1), tf.argmax(y_true, axis=1))
    spoken = tf.reshape(spoken, [-1])
    return (
        tf.reduce_sum(tf.concat(losses, 0)[spoken]),
        tf.math.count_nonzero(right & spoken),
        tf.math.count_nonzero(spoken),
    )


def _train_epoch(
    config: TrainingConfig,
    step: Any,
    training: Features | StoredFeatures,
    targets: npt.NDArray[np.float32],
    epoch: int,
    chosen: Sequence[int],
) -> npt.NDArray[np.float64]:
    """Have the chosen members go once through the clips; returns what `_training_step` summed."""
    import tensorflow as tf

    rng = np.random.default_rng([config.seed, epoch])
    clean = 0.5 if epoch >= (1 - config.finish) * config.epochs else 0.0
    size, steps = _batch_size(config, len(targets))

    def batches() -> Iterator[tuple[npt.NDArray[np.float32], ...]]:
        for rows in _batches(len(targets), size, config.model.members, rng):
            # Drawn for all, so that a member alone meets the same clips as beside the others.
            which = [_draw(len(own), training.copies.shape[1], rng, clean) for own in rows]
            inputs = np.stack([take(training, rows[each], which[each]) for each in chosen])
            yield inputs, targets[rows[chosen]]

    figures = []
    for number, (inputs, wanted) in enumerate(read_ahead(batches())):
        # The average forgets its random beginning faster than its final decay would.
        count = epoch * steps + number + 1
        decay = min(config.ema_decay, (1 + count) / (10 + count))
        result = step(inputs, wanted, tf.constant(decay))
        figures.append([float(value) for value in result])
    return np.asarray(np.sum(figures, axis=0))


def _means(sums: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return loss and accuracy from the sums over some clips."""
    loss, right, spoken = sums
    return {"loss": float(loss / max(spoken, 1)), "accuracy": float(right / max(spoken, 1))}


def read_ahead(batches: Iterator[tuple[npt.NDArray[np.float32], ...]]) -> Iterator[Any]:
    """Yield batches as tuples of tensors; the next is read while a step learns from one.

    Ctrl-C and SIGTERM are obeyed between two steps.
    """
    import tensorflow as tf

    first = next(batches)
    like = tuple(tf.TensorSpec(each.shape, each.dtype) for each in first)
    with postponed() as obey:  # until what is made here is gone again
        for batch in tf.data.Dataset.from_generator(
            lambda: chain([first], batches), output_signature=like
        ).prefetch(1):
            yield batch
            obey()


def figures_of(
    logits: npt.NDArray[np.float32], y_true: npt.NDArray[np.integer]
) -> dict[str, float]:
    """Return loss and accuracy of what a network says of validation clips."""
    probabilities = softmax(logits)
    chosen = probabilities[np.arange(len(probabilities)), y_true]
    return {
        "val_loss": float(-np.log(np.maximum(chosen, 1e-12)).mean()),
        "val_accuracy": float((probabilities.argmax(axis=1) == y_true).mean()),
    }


def fit_model_embedding(
    model: Any,
    training: Inputs,
    y_true: npt.NDArray[np.integer],
    speakers: npt.NDArray[np.str_],
    validation: Arrays,
    *,
    extractor: FeatureExtractor,
) -> tuple[Embedding, npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Describe where the clips lie that trained a network, and how far the validation clips are.

    Parameters
    ----------
    model : keras.Model
        As `fit` returns it.
    training : dict of str to Features
        Clean features and augmented copies of the training clips; of very many, some suffice.
    y_true : ndarray of int, shape (clips,)
        Index of their label.
    speakers : ndarray of str, shape (clips,)
        Who speaks in them.
    validation : dict of str to ndarray of float32, shape (n, 32, 94, 2)
        Features of the validation clips.
    extractor : FeatureExtractor
        Of the model.

    Returns
    -------
    embedding : Embedding
    logits : ndarray of float32, shape (n, 8)
        Of the validation clips.
    distances : ndarray of float64, shape (n,)
        Of the validation clips.
    """
    network = Network(with_activations(model))
    if "features" in validation:
        logits, activations = averaged(network, extractor, validation)
    else:  # what an encoder has made of them; they are not moved in time
        logits, activations = network.answer(validation)
    known = np.arange(len(y_true)) % (len(y_true) // _KNOWN + 1) == 0
    training = {name: each.select(known) for name, each in training.items()}
    clean: Arrays = {name: each.clean for name, each in training.items()}
    embedding = fit_embedding(
        network.answer(clean)[1],
        y_true[known],
        speakers[known],
        copies=_of_first_copies(network, training),
        validation=activations,
        count=len(EMOTIONS),
    )
    return embedding, logits, embedding.distances(embedding.transform(activations))


def _of_first_copies(network: Network, training: Inputs) -> npt.NDArray[np.float32]:
    """Return the activations of one copy of each clip, of none where there are no copies."""
    first = next(iter(training.values()))
    found = [network.answer({name: each.clean[:0] for name, each in training.items()})[1]]
    if first.copies.shape[1]:
        for some in chunks(first):
            copies = {
                name: each.copies[some, 0].astype(np.float32) for name, each in training.items()
            }
            found.append(network.answer(copies)[1])
    return np.concatenate(found)


def chunks(features: Features | StoredFeatures) -> Iterator[slice]:
    """Yield which clips are in memory at once, one part of all after another."""
    for first in range(0, len(features.clean), CHUNK):
        yield slice(first, first + CHUNK)


def _in_figures(record: dict[str, Any]) -> str:
    """Say what an epoch brought, for the log."""
    words = f"loss {record['loss']:.3f}, accuracy {record['accuracy']:.1%}; "
    if "val_loss" in record:
        words += f"validation: loss {record['val_loss']:.3f}, "
        words += f"accuracy {record['val_accuracy']:.1%}; "
    return words + f"{record['seconds']:.1f} s"


def _in_brief(record: dict[str, Any]) -> dict[str, str]:
    """Say what an epoch brought, beside the bar."""
    shown = {"loss": f"{record['loss']:.3f}"}
    if "val_accuracy" in record:
        shown["validation"] = f"{record['val_accuracy']:.1%}"
    return shown


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


def _draw(count: int, copies: int, rng: np.random.Generator, clean: float) -> npt.NDArray[np.int64]:
    """Return for each of some clips whether it or which of its copies is learned from, see `take`.

    All are equally likely, but for a further probability `clean` of the clip itself.
    """
    which = rng.integers(0, copies + 1, count)
    which[rng.random(count) < clean] = 0
    return which


def take(
    training: Features | StoredFeatures, rows: npt.NDArray[np.int64], which: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return for each row the clip itself, 0, or which of its copies, from 1."""
    inputs = np.empty((len(rows), *training.clean.shape[1:]), np.float32)
    copied = which > 0
    inputs[~copied] = training.clean[rows[~copied]]
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
