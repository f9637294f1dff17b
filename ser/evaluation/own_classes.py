"""Any labels of one's own in, a model of these labels out, and how often it is right.

As for a voice (`ser.models.adaptation`) the network stays as it is and gets one more layer, a
regularised logistic regression on the embedding of a few examples; only, it does not read the
emotions that the network answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.audio import AudioError, audio_hash, load_audio
from ser.errors import DataError
from ser.evaluation import metrics
from ser.models.adaptation import Array, fit_regression, fit_temperature, leave_out
from ser.models.embedding import OOD_SHARE, Embedding
from ser.models.inference import calibrated
from ser.models.manifest import MOST_LABELS, TrainingClips, check_label
from ser.models.recognizer import Recognizer
from ser.models.runtime import Layer
from ser.models.voice import Voice

LEAST_EXAMPLES = 3
"""Examples that each label needs."""


@dataclass(frozen=True)
class OwnClasses:
    """A model of one's own labels, and how it answers examples that it has not learned.

    Attributes
    ----------
    recognizer : Recognizer
        The model; `Recognizer.save` keeps it.
    n, right : int
        How many examples there are, and how many are named rightly by what is learned from the
        others.
    confusion_matrix : list of list of int
        Of them; rows: truth, columns: answer.
    """

    recognizer: Recognizer
    n: int
    right: int
    confusion_matrix: list[list[int]]


def learn_classes(
    recognizer: Recognizer,
    examples: Mapping[str, Sequence[str | Path]],
    *,
    room_dbfs: float | None = None,
    n_jobs: int = 1,
) -> OwnClasses:
    """Let a copy of a model learn labels of one's own.

    Parameters
    ----------
    recognizer : Recognizer
        Whose embedding is read; it stays as it is.
    examples : mapping of str to sequence of path
        Audio files of each label: two to ten labels of at least `LEAST_EXAMPLES` files.
    room_dbfs : float, optional
        Level of the room as the microphone hears it: live, what is hardly louder is no answer.
    n_jobs : int
        See `ser.utils.parallel.map_items`.

    Raises
    ------
    DataError
        If there are fewer labels, more, or ones that cannot be a name; too few examples; one that
        cannot be used.
    """
    _check(examples)
    once = _once(examples)
    examples = {label: list(named.values()) for label, named in once.items()}
    labels = _check(examples)  # what is given twice is one example
    paths = [path for label in labels for path in examples[label]]
    y_true = np.repeat(np.arange(len(labels)), [len(examples[label]) for label in labels])
    found, inputs = recognizer.prepare(paths, n_jobs=n_jobs)
    for path, reason in found.loc[found["reason"] != "", ["path", "reason"]].to_numpy():
        raise DataError(f"{path}: {reason}")
    _, embeddings = recognizer.logits_and_embeddings(inputs)
    logits, distances = np.zeros((len(y_true), len(labels))), np.zeros(len(y_true))
    for rows in leave_out(y_true):
        others = np.setdiff1d(np.arange(len(y_true)), rows)
        weights, bias = _fit(embeddings[others], y_true[others], len(labels))
        logits[rows] = embeddings[rows] @ weights + bias
        near = replace(recognizer.embedding, points=embeddings[others].astype(np.float16))
        distances[rows] = near.distances(embeddings[rows])
    embedding = _known(recognizer.embedding, embeddings, y_true, distances, len(labels))
    distances = distances * recognizer.embedding.threshold / embedding.threshold
    temperature = fit_temperature(logits, distances, y_true, 1.0)
    probabilities = calibrated(logits, distances, temperature)
    weights, bias = _fit(embeddings, y_true, len(labels))
    parent = recognizer.manifest
    right = logits.argmax(axis=1) == y_true
    counts = {label: len(examples[label]) for label in labels}
    record: dict[str, Any] = {
        "parent": parent.name,
        "parent_sha256": parent.model_sha256,
        "recordings": counts,
    }
    if room_dbfs is not None:
        record["room_dbfs"] = room_dbfs
    figures = {"n": len(y_true), "right": int(right.sum())}
    learned = recognizer.with_layer(
        _layer(recognizer, weights, bias),
        embedding,
        labels=tuple(labels),
        temperature=temperature,
        voice_temperature=1.0,
        voice_confidence=1.0,
        min_confidence=metrics.fit_min_confidence(probabilities),
        training=parent.training | {"adapted": record | {"classes": True} | figures},
        training_clips=TrainingClips(
            ids=[], audio=sorted(name for named in once.values() for name in named)
        ),
    )
    matrix = metrics.count_answers(y_true, logits.argmax(axis=1), len(labels))
    return OwnClasses(learned, confusion_matrix=matrix.tolist(), **figures)


def _once(examples: Mapping[str, Sequence[str | Path]]) -> dict[str, dict[str, str | Path]]:
    """Return the examples of each label by their `audio_hash`, what is given twice once.

    Otherwise its twin would be learned from when it is tested.

    Raises
    ------
    DataError
        If a recording is of two classes.
    """
    labels: dict[str, str] = {}
    kept: dict[str, dict[str, str | Path]] = {label: {} for label in examples}
    for label, paths in examples.items():
        for path in paths:
            try:
                name = audio_hash(load_audio(path))
            except AudioError:  # it is refused below, by its name
                name = str(path)
            if (other := labels.setdefault(name, label)) != label:
                raise DataError(
                    f"{path} is an example of {other} and of {label}. Delete one of them."
                )
            kept[label].setdefault(name, path)
    return kept


def _check(examples: Mapping[str, Sequence[str | Path]]) -> list[str]:
    labels = list(examples)
    if not 2 <= len(labels) <= MOST_LABELS:
        raise DataError(f"There are {len(labels)} classes. Give two to {MOST_LABELS}.")
    for label, paths in examples.items():
        try:
            check_label(label)
        except ValueError as error:
            raise DataError(f"A class cannot be called so: {error}.") from None
        if len(paths) < LEAST_EXAMPLES:
            raise DataError(
                f"There are {len(paths)} examples of {label}. Give at least {LEAST_EXAMPLES} of "
                "each class."
            )
    return labels


def _fit(
    embeddings: Array, y_true: npt.NDArray[np.integer], count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    # Every class counts alike, however many examples it has.
    weight = len(y_true) / count / np.bincount(y_true, minlength=count)[y_true]
    return fit_regression(embeddings, np.zeros((len(y_true), count)), y_true, weight)


def _known(
    embedding: Embedding,
    embeddings: npt.NDArray[np.float32],
    y_true: npt.NDArray[np.integer],
    distances: npt.NDArray[np.float64],
    count: int,
) -> Embedding:
    """Return an embedding in which the examples are what is known, and nothing else."""
    means = [embeddings[y_true == label].mean(axis=0) for label in range(count)]
    farthest = float(np.quantile(distances, 1 - OOD_SHARE))
    return replace(
        embedding,
        points=embeddings.astype(np.float16),
        threshold=max(embedding.threshold * farthest, 1e-6),
        class_means=np.asarray(means, np.float32) - embeddings.mean(axis=0),
        voice=Voice(),
    )


def _layer(recognizer: Recognizer, weights: Array, bias: Array) -> Layer:
    embedding = recognizer.embedding
    reads = embedding.components.astype(np.float64) @ weights
    nothing = np.zeros((len(recognizer.labels), len(bias)))  # of what it answered before
    kernel = np.concatenate([nothing, reads]).astype(np.float32)
    return kernel, (bias - embedding.mean @ reads).astype(np.float32)
