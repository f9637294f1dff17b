"""Training what reads an encoder: by voices, some of which are known and some are not.

A batch holds a few clips each of a few voices.  A part of the clips is heard with the mean of
others of their voice taken off (`ser.models.voice`), one other or all of them, of mixed emotions or
of one alone, as a voice will be met; the rest as a voice that is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.models.inference import Network
from ser.models.networks import members_of, with_activations, with_front
from ser.models.voice import trust
from ser.training.config import CLIPS_OF_A_VOICE, TrainingConfig
from ser.training.fitting import (
    CHECKPOINT,
    Arrays,
    Inputs,
    adamw,
    figures_of,
    networks,
    read_ahead,
    run_epochs,
    take,
    validation_of,
)
from ser.training.runs import Run

FINE_TUNING_CHECKPOINT = "checkpoint-encoder.npz"

_ONE_EMOTION = 0.2  # part of the clips whose voice is known by clips of one emotion alone
_TUNED = ("block_2", "block_3")  # blocks of the encoder that learn; the first ones know enough
_HEAD_RATE = 0.2  # of the learning rate, while the encoder learns as well

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Voices:
    """Whose clips are drawn into a batch, and how often.

    Attributes
    ----------
    rows : list of ndarray of int64
        The clips of each voice.
    chances : list of ndarray of float64
        Of each of these clips.
    chance : ndarray of float64, shape (voices,)
        Of each voice.
    sounds : ndarray of int64
        What is no speech.
    """

    rows: list[Rows]
    chances: list[npt.NDArray[np.float64]]
    chance: npt.NDArray[np.float64]
    sounds: Rows

    @classmethod
    def of(cls, clips: pd.DataFrame, *, sounds: int, balanced: bool) -> Voices:
        """Find the voices among training clips.

        Parameters
        ----------
        clips : DataFrame
            Table of clips.
        sounds : int
            How many sounds that are not speech stand behind them.
        balanced : bool
            Whether every corpus counts alike, in it every emotion, and of it every speaker.
        """
        # Song is another corpus: nobody's speech lies where his song does.
        keys = clips["corpus"] + "/" + clips["channel"]
        weights = pd.Series(1.0, index=clips.index)
        if balanced:
            weights /= clips.groupby([keys, clips["emotion"]])["emotion"].transform("size")
            weights /= weights.groupby([keys, clips["speaker"]]).transform("sum")
            weights /= weights.groupby(keys).transform("sum")
        weights /= weights.sum()
        values = weights.to_numpy()
        rows = list(clips.groupby([keys, clips["speaker"]]).indices.values())
        chance = np.array([values[own].sum() for own in rows])
        return cls(
            rows=[np.asarray(own, np.int64) for own in rows],
            chances=[values[own] / values[own].sum() for own in rows],
            chance=chance / chance.sum(),
            sounds=np.arange(len(clips), len(clips) + sounds),
        )

    def draw(self, count: int, rng: np.random.Generator) -> Rows:
        """Return the rows of a batch, shape (count, 8): each the clips of one voice, or sounds."""
        spoken = count - 1 if len(self.sounds) and count > 1 else count
        drawn = [
            rng.choice(self.rows[who], CLIPS_OF_A_VOICE, p=self.chances[who])
            for who in rng.choice(len(self.rows), spoken, p=self.chance)
        ]
        if spoken < count:
            drawn.append(rng.choice(self.sounds, CLIPS_OF_A_VOICE))
        return np.array(drawn)


def known_by(
    rows: Rows, y_true: npt.NDArray[np.integer], part: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Draw which others of its voice each clip of a batch is heard against.

    Parameters
    ----------
    rows : ndarray of int64, shape (voices, clips)
        See `Voices.draw`.
    y_true : ndarray of int, shape (n,)
        Label of every clip; -1 for sounds.
    part : float
        Part of the clips whose voice is known.

    Returns
    -------
    ndarray of float32, shape (voices * clips, voices * clips)
        Weights, such that their product with where the clips lie is what is taken off each;
        zeros for a clip whose voice is new.
    """
    voices, clips = rows.shape
    weights = np.zeros((rows.size, rows.size), np.float32)
    for i in np.flatnonzero(rng.random(rows.size) < part):
        voice, row = divmod(i, clips)
        if y_true[rows[voice, row]] < 0:  # a sound, while somebody's voice is known
            voice = int(rng.integers(voices))
        own = rows[voice]
        others = np.flatnonzero(own != rows.ravel()[i])
        if len(others) and rng.random() < _ONE_EMOTION:
            labels = y_true[own]
            others = others[labels[others] == labels[rng.choice(others)]]
        if len(others):
            count = int(rng.integers(1, len(others) + 1))
            chosen = rng.choice(others, count, replace=False)
            weights[i, voice * clips + chosen] = trust(count) / count
    return weights


def fit_head(
    training: Inputs,
    targets: npt.NDArray[np.float32],
    voices: Voices,
    validation: Arrays | None = None,
    y_validation: npt.NDArray[np.integer] | None = None,
    *,
    config: TrainingConfig,
    run: Run,
    words: str = "Training",
    checkpoint: str = CHECKPOINT,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train what reads the encoder, which stays as it is.

    Parameters
    ----------
    training : dict of str to Features
        What the encoder makes of training clips and copies, see `ser.training.encoding`.
    targets : ndarray of float32, shape (clips, 8)
        1 for each label that a clip may have; all the same, below 1, for what is not speech.
    voices : Voices
        Of these clips.
    validation, y_validation
        What the encoder makes of validation clips, and their labels; without them no epoch is put
        on record.
    config, run
        See `ser.training.fitting.fit`.
    words : str
        What this is called.
    checkpoint : str
        Name of the file that it is gone on from.

    Returns
    -------
    model : keras.Model
        Reads what the encoder gives out; with its averaged weights.
    epochs : list of dict
        The record of every epoch.
    """
    encoded = {name: training[name] for name in config.model.input_shapes}
    model, average = networks(config, encoded)
    optimizer = adamw(config, model.trainable_variables, config.learning_rate, len(targets))
    pairs = list(zip(average.weights, model.weights, strict=True))
    step = _training_step(config, model, pairs, [(optimizer, model.trainable_variables)])
    epochs = run_epochs(
        config,
        run,
        state=[*model.variables, *average.variables, *optimizer.variables],
        train=lambda epoch: _train_epoch(config, step, encoded, targets, voices, epoch),
        validate=validation_of(average, validation, y_validation),
        rate=lambda: optimizer.learning_rate,
        words=words,
        stages=(1, 2 if config.fine_tuning else 1),
        checkpoint=checkpoint,
    )
    return average, epochs


def fine_tune(
    front: Any,
    head: Any,
    log_mels: Inputs,
    targets: npt.NDArray[np.float32],
    voices: Voices,
    validation: Arrays,
    y_validation: npt.NDArray[np.integer],
    *,
    before: list[dict[str, Any]],
    config: TrainingConfig,
    run: Run,
) -> list[dict[str, Any]]:
    """Train the last blocks of the encoder at a small rate, and what reads it, end to end.

    Parameters
    ----------
    front : keras.Model
        See `ser.models.encoder.build_front`; its weights change.
    head : keras.Model
        As `fit_head` returns it; its weights change.
    log_mels : dict of str to Features
        ``log_mel`` of training clips and copies.
    targets, voices
        See `fit_head`.
    validation : dict of str to ndarray of float32
        ``log_mel`` of the validation clips.
    y_validation : ndarray of int
        Their labels.
    before : list of dict
        Records of the epochs of `fit_head`.
    config, run
        See `ser.training.fitting.fit`.

    Returns
    -------
    list of dict
        The record of every epoch of this stage.
    """
    front.trainable = True
    for layer in front.layers:
        layer.trainable = layer.name.startswith(_TUNED)
    total, clips = config.fine_tuning, len(targets)
    rates = [config.encoder_rate, _HEAD_RATE * config.learning_rate]
    parts = [front.trainable_variables, head.trainable_variables]
    optimizers = [
        adamw(config, part, rate, clips, epochs=total)
        for part, rate in zip(parts, rates, strict=True)
    ]
    learners = list(zip(optimizers, parts, strict=True))
    step = _training_step(config, head, [], learners, front=front)
    network = Network(with_activations(with_front(front, head)))
    return run_epochs(
        config,
        run,
        state=[*front.variables, *head.variables, *(v for o in optimizers for v in o.variables)],
        train=lambda epoch: _train_epoch(
            config, step, log_mels, targets, voices, config.epochs + epoch
        ),
        validate=lambda: figures_of(network(validation)[0], y_validation),
        rate=lambda: optimizers[0].learning_rate,
        words="Fine-tuning the encoder",
        stages=(2, 2),
        checkpoint=FINE_TUNING_CHECKPOINT,
        total=total,
        before=before,
    )


def _training_step(
    config: TrainingConfig,
    model: Any,
    pairs: list[tuple[Any, Any]],
    learners: list[tuple[Any, list[Any]]],
    *,
    front: Any = None,
) -> Any:
    """Return the compiled function that learns from one batch.

    It takes inputs, the weights of `known_by`, targets, and the decay of the running average; it
    returns, of the speech among them, the summed loss, how many are right, and how many they are.
    """
    import tensorflow as tf

    scales = [model.get_layer(name) for name in ("rows", "summary_rows")]
    members = members_of(model)
    smoothing = config.label_smoothing

    def without_voices(values: Any, weights: Any) -> Any:
        means = tf.reduce_mean(values, axis=2, keepdims=True) if values.shape.rank == 4 else values
        return values - tf.tensordot(weights, means, 1)

    def loss_of(logits: Any, wanted: Any, spoken: Any) -> Any:
        # Where several labels are right, each counts as far as the network believes it already:
        # the gradient is that of the probability of any of them (partial labels).
        believed = wanted * tf.stop_gradient(tf.nn.softmax(logits))
        believed /= tf.reduce_sum(believed, axis=1, keepdims=True)
        target = tf.where(spoken, believed, wanted)
        target = (1 - smoothing) * target + smoothing / wanted.shape[-1]
        return tf.nn.softmax_cross_entropy_with_logits(target, logits)

    @tf.function(autograph=False)
    def step(inputs: Any, weights: Any, wanted: Any, decay: Any) -> tuple[Any, Any, Any]:
        spoken = tf.reduce_max(wanted, axis=1, keepdims=True) > 0.5
        with tf.GradientTape() as tape:
            encoded = inputs if front is None else front(inputs[0], training=True)
            scaled = [
                without_voices(scale(values), weights)
                for scale, values in zip(scales, encoded, strict=True)
            ]
            logits = [member(scaled, training=True) for member in members]
            losses = [loss_of(each, wanted, spoken) for each in logits]
            loss = tf.add_n([tf.reduce_mean(each) for each in losses])
        found = tape.gradient(loss, [variables for _, variables in learners])
        for (optimizer, variables), gradients in zip(learners, found, strict=True):
            clipped, _ = tf.clip_by_global_norm(gradients, 1.0)
            optimizer.apply_gradients(zip(clipped, variables, strict=True))
        for slow, fast in pairs:
            slow.assign(slow + (fast - slow) * tf.cast(1.0 - decay, slow.dtype))
        mean = tf.add_n(logits) / len(members)
        named = tf.gather(wanted, tf.argmax(mean, axis=1), axis=1, batch_dims=1)
        speech = spoken[:, 0]
        return (
            tf.reduce_sum(loss_of(mean, wanted, spoken)[speech]),
            tf.math.count_nonzero(named[speech] > 0.5),
            tf.math.count_nonzero(speech),
        )

    return step


def _train_epoch(
    config: TrainingConfig,
    step: Any,
    training: Inputs,
    targets: npt.NDArray[np.float32],
    voices: Voices,
    epoch: int,
) -> dict[str, float]:
    """Draw as many clips as there are; returns loss and accuracy."""
    import tensorflow as tf

    rng = np.random.default_rng([config.seed, epoch])
    y_true = np.where(targets.max(axis=1) > 0.5, targets.argmax(axis=1), -1)
    count = config.batch_size // CLIPS_OF_A_VOICE
    steps = max(len(targets) // (count * CLIPS_OF_A_VOICE), 1)
    copies = next(iter(training.values())).copies.shape[1]

    def batches() -> Iterator[tuple[npt.NDArray[np.float32], ...]]:
        for _ in range(steps):
            rows = voices.draw(count, rng)
            weights = known_by(rows, y_true, config.voices, rng)
            flat = rows.ravel()
            which = rng.integers(0, copies + 1, flat.size)
            yield weights, targets[flat], *(take(each, flat, which) for each in training.values())

    figures = []
    for number, (weights, wanted, *inputs) in enumerate(read_ahead(batches())):
        decay = min(config.ema_decay, (1 + epoch * steps + number) / (10 + epoch * steps + number))
        result = step(inputs, weights, wanted, tf.constant(decay))
        figures.append([float(value) for value in result])
    loss, right, spoken = np.sum(figures, axis=0)
    return {"loss": float(loss / max(spoken, 1)), "accuracy": float(right / max(spoken, 1))}
