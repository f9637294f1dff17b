"""A few recordings of a voice in, one more layer for the model out.

The network stays as it is.  What it makes of a clip early on (`ser.models.embedding`) still tells
apart what its last layer has learned to ignore, and a few takes are enough to read it: the answer
becomes

    logit_scale × the model's logits + embedding · weights + bias

fitted by regularised logistic regression.  What few recordings cannot tell is filled up from
training: every emotion has, besides its recordings, one made-up recording where training would
expect it in this voice, and one without any recording has as many as the others have on average, so
that it keeps its chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.audio.features import Inputs
from ser.errors import DataError
from ser.models.embedding import Embedding, ood_temperature
from ser.models.inference import softmax
from ser.models.manifest import TrainingClips
from ser.models.recognizer import Recognizer
from ser.models.voice import Voice
from ser.utils.parallel import Progress, one_thread

Array = npt.NDArray[np.floating]
Codes = npt.NDArray[np.integer]

# Chosen on EMO-DB and on RAVDESS actors unseen by the model, see docs/experiments.md.
_WEIGHT_PENALTY = 0.01  # on the squared weights
_BIAS_PENALTY = 1.0  # on the squared biases
_SCALE_PENALTY = 2.0  # on the squared log of the logit scale
_TEMPERATURE_PENALTY = 5.0  # on the squared log of the change of temperature

_EXACT = 1e-7  # how near to the least loss, and to the best scale and temperature, is near enough
_MOST_STEPS = 10_000
_FOLDS = 64  # with more recordings than these, several are left out at once


@dataclass(frozen=True)
class Enrolment:
    """Labelled clips as a recogniser hears them.

    Attributes
    ----------
    clips : DataFrame
        Table of clips, with ``start`` and ``end`` of the clip within each (s).
    y_true : ndarray of int, shape (n,)
        Index of their label.
    logits : ndarray of float32, shape (n, labels)
        What the recogniser says of them.
    embeddings : ndarray of float32, shape (n, coordinates)
        Where they lie, see `ser.models.embedding`, whatever is known of their voice.
    encoded : dict of str to ndarray of float32, optional
        What the encoder gives out for them, if the recogniser has one: what is known of a voice is
        taken off that, and the rest follows from it.
    """

    clips: pd.DataFrame
    y_true: Codes
    logits: Array
    embeddings: Array
    encoded: Inputs | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.y_true)

    def __getitem__(self, rows: Codes | npt.NDArray[np.bool_]) -> Enrolment:
        """Return some of them."""
        clips = self.clips.iloc[rows].reset_index(drop=True)
        encoded = self.encoded and {name: each[rows] for name, each in self.encoded.items()}
        return Enrolment(
            clips, self.y_true[rows], self.logits[rows], self.embeddings[rows], encoded
        )

    def heard_by(self, recognizer: Recognizer) -> Enrolment:
        """Return the same clips as a recogniser hears them that knows another voice."""
        if self.encoded is None:
            return self
        logits, embeddings = recognizer.of_encoded(self.encoded)
        return replace(self, logits=logits, embeddings=embeddings)


@dataclass(frozen=True)
class AdaptationLayer:
    """What was learned of a voice.

    Attributes
    ----------
    logit_scale : float
        Factor on the model's own logits.
    weights : ndarray of float64, shape (coordinates, labels)
    bias : ndarray of float64, shape (labels,)
    """

    logit_scale: float
    weights: Array
    bias: Array

    def logits(self, enrolment: Enrolment) -> npt.NDArray[np.float64]:
        """Return the new logits of clips, shape (n, labels)."""
        return self.logit_scale * enrolment.logits + enrolment.embeddings @ self.weights + self.bias


def enrol(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    *,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> Enrolment:
    """Return the logits and embeddings of labelled clips.

    Parameters
    ----------
    recognizer : Recognizer
        The model to be adapted.
    clips : DataFrame
        Table of clips with the column ``audio``, see `ser.data.corpora.inspect`.  Of clips with the
        same audio or name of a recording only the first counts.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Raises
    ------
    DataError
        If a clip has a label that the model does not know or that contradicts another, or cannot
        be decoded.
    """
    labels = list(recognizer.labels)
    recognizer.check_labels(clips["emotion"])
    contrary = clips.groupby("audio")["emotion"].nunique()
    if (contrary > 1).any():
        same = clips[clips["audio"] == contrary.idxmax()]
        raise DataError(
            f"The same recording is said to be {' and '.join(same['emotion'].unique())}: "
            f"{', '.join(same['name'])}. Keep the one that is right."
        )
    again = clips.duplicated("clip_id") & (clips["clip_id"] != "")
    clips = clips[~again].drop_duplicates("audio").reset_index(drop=True)
    found, inputs = recognizer.prepare(clips["path"].tolist(), n_jobs=n_jobs, progress=progress)
    for path, reason in found.loc[found["reason"] != "", ["path", "reason"]].to_numpy():
        raise DataError(f"{path}: {reason}")
    encoded = recognizer.encode(inputs) if recognizer.encodes else None
    logits, embeddings = recognizer.logits_and_embeddings(inputs)
    y_true = np.array([labels.index(emotion) for emotion in clips["emotion"]])
    return Enrolment(
        clips.assign(start=found["start"], end=found["end"]), y_true, logits, embeddings, encoded
    )


@dataclass(frozen=True)
class Learned:
    """What was learned of a voice: how it sounds, and what its emotions sound like.

    Attributes
    ----------
    recognizer : Recognizer
        The model as it was, knowing the voice if it listens.
    layer : AdaptationLayer
        What becomes of its answers.
    """

    recognizer: Recognizer
    layer: AdaptationLayer

    def logits(self, enrolment: Enrolment) -> npt.NDArray[np.float64]:
        """Return the new logits of clips, shape (n, labels)."""
        return self.layer.logits(enrolment.heard_by(self.recognizer))


def learn(recognizer: Recognizer, enrolment: Enrolment) -> Learned:
    """Learn a voice; the same recordings always give the same.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    enrolment : Enrolment
        As it hears them; at least one.
    """
    if enrolment.encoded is not None:
        recognizer = recognizer.knowing(Voice().heard(enrolment.encoded))
        enrolment = enrolment.heard_by(recognizer)
    return Learned(recognizer, fit_adaptation(recognizer.embedding, enrolment))


@dataclass(frozen=True)
class Adaptation:
    """A model that has learned a voice, and what it says of each recording left out.

    Attributes
    ----------
    recognizer : Recognizer
        The adapted model.
    logits : ndarray of float64, shape (n, labels)
        Of every recording by what was learned from the others.
    distances : ndarray of float64, shape (n,)
        From training and from the other recordings.
    """

    recognizer: Recognizer
    logits: Array
    distances: Array


def adapt(recognizer: Recognizer, enrolment: Enrolment) -> Adaptation:
    """Return a copy of a model with one more layer that has learned a voice.

    Parameters
    ----------
    recognizer : Recognizer
        The model to adapt, which stays as it is.
    enrolment : Enrolment
        As this model hears them, see `enrol`.

    Raises
    ------
    DataError
        If all recordings are of one emotion.
    """
    if len(np.unique(enrolment.y_true)) < 2:
        only = recognizer.labels[enrolment.y_true[0]] if len(enrolment) else "nothing"
        raise DataError(
            f"All recordings are {only}; from one emotion alone a model would learn to hear it "
            "everywhere. Give recordings of two or more."
        )
    parent = recognizer.manifest
    learned = learn(recognizer, enrolment)
    embedding, layer = learned.recognizer.embedding, learned.layer
    logits, distances = leave_one_out(recognizer, enrolment)
    # The layer reads activations, of which the embedding is a linear function.
    weights = embedding.components.astype(np.float64) @ layer.weights
    kernel = np.concatenate([layer.logit_scale * np.eye(len(layer.bias)), weights])
    bias = layer.bias - embedding.mean @ weights
    known = replace(embedding.with_clips(enrolment.embeddings), voice=learned.recognizer.voice)
    adapted = recognizer.with_layer(
        (kernel.astype(np.float32), bias.astype(np.float32)),
        known,
        temperature=fit_temperature(logits, distances, enrolment.y_true, parent.temperature),
        voice_temperature=1.0,  # the voice is always known now
        voice_confidence=1.0,
        training=parent.training | {"adapted": _record(recognizer, enrolment)},
        training_clips=_with_clips(parent.training_clips, enrolment.clips),
    )
    return Adaptation(adapted, logits, distances)


def _record(recognizer: Recognizer, enrolment: Enrolment) -> dict[str, Any]:
    """Return what the manifest of an adapted model says of its origin."""
    counts = enrolment.clips["emotion"].value_counts()
    return {
        "parent": recognizer.manifest.name,
        "parent_sha256": recognizer.manifest.model_sha256,
        "recordings": {label: int(counts.get(label, 0)) for label in recognizer.labels},
        "speakers": sorted(set(enrolment.clips["speaker"]) - {""}),
    }


def _with_clips(known: TrainingClips, clips: pd.DataFrame) -> TrainingClips:
    return TrainingClips(
        ids=sorted({*known.ids, *clips["clip_id"]} - {""}),
        audio=sorted({*known.audio, *clips["audio"]}),
    )


def fit_adaptation(embedding: Embedding, enrolment: Enrolment) -> AdaptationLayer:
    """Fit what makes the recordings come out right; the same recordings always give the same.

    Parameters
    ----------
    embedding : Embedding
        Of the model.
    enrolment : Enrolment
        At least one.

    Returns
    -------
    AdaptationLayer
    """
    logit_scale = _fit_logit_scale(enrolment.logits, enrolment.y_true)
    offset = _voice_offset(embedding, enrolment)
    # One made-up recording of each emotion stands where training would expect it in this voice.
    labels = np.flatnonzero(np.isfinite(embedding.class_means).all(axis=1))
    expected = embedding.class_means[labels]
    weights, bias = fit_regression(
        np.concatenate([enrolment.embeddings - offset, expected]),
        np.concatenate(
            [logit_scale * enrolment.logits, np.zeros((len(labels), enrolment.logits.shape[1]))]
        ),
        np.concatenate([enrolment.y_true, labels]),
        np.concatenate([np.ones(len(enrolment)), _expected_weights(labels, enrolment.y_true)]),
    )
    return AdaptationLayer(logit_scale, weights, bias - offset @ weights)


def _voice_offset(embedding: Embedding, enrolment: Enrolment) -> Array:
    """Return where voice and microphone lie as against training, whatever was said how often."""
    known = set(np.flatnonzero(np.isfinite(embedding.class_means).all(axis=1)))
    offsets = [
        enrolment.embeddings[enrolment.y_true == c].mean(axis=0)
        - (embedding.class_means[c] if c in known else 0)
        for c in np.unique(enrolment.y_true)
    ]
    return np.mean(offsets, axis=0)


def _expected_weights(labels: Codes, y_true: Codes) -> Array:
    """Return how many recordings each made-up one counts for: as many as others have, if alone."""
    seen, counts = np.unique(y_true, return_counts=True)
    return np.array([1.0 if label in seen else max(counts.mean(), 1.0) for label in labels])


def leave_one_out(recognizer: Recognizer, enrolment: Enrolment) -> tuple[Array, Array]:
    """Answer every recording by what is learned without it.

    Returns
    -------
    logits : ndarray of float64, shape (n, labels)
    distances : ndarray of float64, shape (n,)
        From training and from the other recordings.
    """
    logits = np.zeros(enrolment.logits.shape)
    distances = np.zeros(len(enrolment))
    for rows in leave_out(enrolment.y_true):
        others = np.setdiff1d(np.arange(len(enrolment)), rows)
        kept, known = enrolment[rows], enrolment[others]
        logits[rows] = learn(recognizer, known).logits(kept)
        embedding = recognizer.embedding.with_clips(known.embeddings)
        distances[rows] = embedding.distances(kept.embeddings)
    return logits, distances


def leave_out(y_true: Codes) -> Iterator[Codes]:
    """Yield the recordings to leave out together: each alone, or evenly by label if many.

    Parameters
    ----------
    y_true : ndarray of int, shape (n,)
    """
    order = np.argsort(y_true, kind="stable")
    count = min(len(y_true), _FOLDS)
    for fold in range(count):
        yield np.sort(order[fold::count])


def fit_temperature(logits: Array, distances: Array, y_true: Codes, parent: float) -> float:
    """Return the temperature that suits recordings left out, near the parent's if they say little.

    Parameters
    ----------
    logits, distances
        See `leave_one_out`.
    y_true : ndarray of int, shape (n,)
    parent : float
        Temperature of the model as it was.

    Returns
    -------
    float
        In [.05, 20].
    """
    scaled = logits / ood_temperature(distances)[:, None]

    def loss(log_temperature: float) -> float:
        change = log_temperature - np.log(parent)
        return _loss(scaled / np.exp(log_temperature), y_true) + _TEMPERATURE_PENALTY * change**2

    return float(np.exp(_lowest(loss, np.log(0.05), np.log(20.0))))


def _fit_logit_scale(logits: Array, y_true: Codes) -> float:
    """Return the factor on the logits that suits the recordings, near 1 where they say little."""

    def loss(log_trust: float) -> float:
        return _loss(logits * np.exp(log_trust), y_true) + _SCALE_PENALTY * log_trust**2

    return float(np.exp(_lowest(loss, np.log(0.05), np.log(2.0))))


def _loss(logits: Array, y_true: Codes) -> float:
    return float(-np.log(softmax(logits)[np.arange(len(y_true)), y_true]).sum())


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one valley is lowest, by golden-section search (Kiefer 1953)."""
    golden = (np.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    of_left, of_right = function(left), function(right)
    while high - low > _EXACT:
        if of_left < of_right:
            high, right, of_right = right, left, of_left
            left = high - golden * (high - low)
            of_left = function(left)
        else:
            low, left, of_left = left, right, of_right
            right = low + golden * (high - low)
            of_right = function(right)
    return (low + high) / 2


def fit_regression(
    embeddings: Array, offsets: Array, y_true: Codes, weight: Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fit weights and bias that are added to given logits, by penalised logistic regression.

    Parameters
    ----------
    embeddings : ndarray of float, shape (n, coordinates)
    offsets : ndarray of float, shape (n, labels)
        The given logits.
    y_true : ndarray of int, shape (n,)
    weight : ndarray of float, shape (n,)
        How much each counts.

    Returns
    -------
    weights : ndarray of float64, shape (coordinates, labels)
    bias : ndarray of float64, shape (labels,)
    """
    x = np.column_stack([embeddings.astype(np.float64), np.ones(len(embeddings))])
    wanted = np.eye(offsets.shape[1])[y_true]
    penalty = np.append(np.full(x.shape[1] - 1, _WEIGHT_PENALTY), _BIAS_PENALTY)

    def gradient(found: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        wrong = (softmax(offsets + x @ found) - wanted) * weight[:, None]
        return x.T @ wrong + penalty[:, None] * found

    with one_thread():
        # The loss never bends more than this, so no step of this kind goes too far, and one matrix
        # serves for all (Böhning 1992, Multinomial logistic regression algorithm).
        bend = np.linalg.inv((x.T * weight) @ x / 2 + np.diag(penalty))
        found = ahead = np.zeros((x.shape[1], offsets.shape[1]))
        momentum = 1.0
        for _ in range(_MOST_STEPS):
            slope = gradient(ahead)
            step = bend @ slope
            if (slope * step).sum() < _EXACT:
                break
            before, found = found, ahead - step
            # Nesterov 1983, begun anew where it leads uphill (O'Donoghue & Candès 2015).
            if (slope * (found - before)).sum() > 0:
                momentum = 1.0
            next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = found + (momentum - 1) / next_momentum * (found - before)
            momentum = next_momentum
    return ahead[:-1], ahead[-1]
