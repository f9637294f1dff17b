"""Training a model with an encoder: encode, train what reads it, fine-tune, calibrate.

How sure such a model may be is found where speakers and corpora are unseen: each corpus in turn is
left out of a training of what reads the encoder, and answered by it.  (One that is trained on a
single corpus has only the validation clips to tell.)
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.data import feature_cache
from ser.data.splits import Split, draw_others
from ser.errors import DataError
from ser.evaluation import metrics
from ser.labels import EMOTIONS
from ser.models.embedding import OOD_SHARE, ood_temperature
from ser.models.encoder import build_front
from ser.models.inference import Network, calibrated, softmax
from ser.models.networks import with_activations, with_front
from ser.models.voice import ENOUGH, without_chosen
from ser.training.config import TrainingConfig
from ser.training.encoding import Encoder, encode, encode_nonspeech
from ser.training.examples import Examples, Stored, joined, stored
from ser.training.fitting import Arrays, Inputs, Trained, fit_model_embedding
from ser.training.runs import Run
from ser.training.voice_fitting import Voices, fine_tune, fit_head
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress

CALIBRATION = "calibration.npz"
_MOST_UNSEEN = 10_000  # clips of a corpus that say how sure to be of it; more would tell the same
_POINTS = 4000  # clips that say where training lies; more would tell the same
_LEAST_CORPORA = 3
_SURE = 0.7  # of the sure answers are to be right on an unseen corpus


def fit_encoder_model(
    run: Run,
    config: TrainingConfig,
    clips: pd.DataFrame,
    split: Split,
    *,
    n_jobs: int,
    progress: Progress,
) -> Trained:
    """Train and calibrate a model with an encoder.

    Parameters
    ----------
    run, config
        See `ser.training.pipeline.train`.
    clips : DataFrame
        Table of clips.
    split : Split
        Which of them train, and which are held out.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.
    """
    front = build_front()
    encoder = Encoder(front)

    keep = partial(stored, run, config=config, n_jobs=n_jobs, progress=progress)

    def examples(name: str, rows: npt.NDArray[np.int64], copies: int) -> Examples:
        chosen = clips.iloc[rows]
        paths = chosen["path"].tolist()
        compute = partial(encode, encoder=encoder, backgrounds=config.backgrounds)
        return Examples.of(chosen, keep(name, paths, compute, encoder.shapes, copies=copies))

    training = examples("training", split.train, config.copies)
    held_out = examples("validation", split.validation, 0)
    count = round(config.nonspeech * len(split.train))
    noise = keep(
        "sounds",
        range(count),
        partial(encode_nonspeech, encoder=encoder),
        encoder.shapes,
        copies=config.copies,
    )
    calibration = _calibrate_on_corpora(run, config, training, held_out, noise)

    voices = Voices.of(training.clips, sounds=count, balanced=config.balanced)
    targets = partial_targets(training, training.targets(noise))
    everything = joined(training.features, noise)
    validation: Arrays = {name: held_out.features[name].clean for name in config.model.input_shapes}
    head, epochs = fit_head(
        everything, targets, voices, validation, held_out.y_true, config=config, run=run
    )
    if config.fine_tuning:
        extractor = config.model.extractor
        read = partial(
            feature_cache.compute_features, extractor=extractor, backgrounds=config.backgrounds
        )
        log_mels, held_out_log_mels = (
            keep(f"{name}-log-mels", each["path"].tolist(), read, extractor.shapes, copies=copies)
            for name, each, copies in (
                ("training", training.clips, config.copies),
                ("validation", held_out.clips, 0),
            )
        )
        sounds = keep(
            "sounds-log-mels",
            range(count),
            partial(feature_cache.nonspeech_features, extractor=extractor),
            extractor.shapes,
            copies=config.copies,
        )
        epochs = epochs + fine_tune(
            front,
            head,
            joined(log_mels, sounds),
            targets,
            voices,
            {name: each.clean for name, each in held_out_log_mels.items()},
            held_out.y_true,
            before=epochs,
            config=config,
            run=run,
        )
    _round(front)
    _round(head)
    run.write_status("evaluating", "Calibrating")
    known: Inputs = {name: training.features[name] for name in validation}
    y_true, speakers = training.y_true, training.speakers
    if config.fine_tuning:  # what the encoder gives out has changed
        encoder = Encoder(front)
        some = np.arange(len(y_true)) % max(len(y_true) // _POINTS, 1) == 0
        known = encoder(log_mels["log_mel"].select(some), copies=1)
        y_true, speakers = y_true[some], speakers[some]
        again = encoder(held_out_log_mels["log_mel"], copies=0)
        validation = {name: each.clean for name, each in again.items()}
    embedding, logits, distances = fit_model_embedding(
        head,
        known,
        y_true,
        speakers,
        validation,
        extractor=config.model.extractor,
    )
    temperature = metrics.fit_temperature(logits, held_out.y_true)
    min_confidence = metrics.fit_min_confidence(calibrated(logits, distances, temperature))
    of_known = {}
    if calibration:
        temperature, min_confidence = calibration["temperature"], calibration["min_confidence"]
        of_known = {name: calibration[name] for name in ("voice_temperature", "voice_confidence")}
        embedding = replace(embedding, threshold=embedding.threshold * calibration["distance"])
    return Trained(
        with_front(front, head),
        embedding,
        temperature,
        min_confidence,
        epochs,
        calibrated_on="unseen corpora" if calibration else Trained.calibrated_on,
        **of_known,
    )


def _calibrate_on_corpora(
    run: Run, config: TrainingConfig, training: Examples, held_out: Examples, noise: Stored
) -> dict[str, float] | None:
    """Leave each corpus out once, and find what makes the answers about it as sure as right.

    Returns
    -------
    dict or None
        See `_calibration`; None if there are too few corpora.
    """
    file = run.folder / CALIBRATION
    corpora = training.clips["corpus"]
    names = sorted(corpora[training.clips["channel"] != "song"].unique())  # song tells nothing
    if len(names) < _LEAST_CORPORA:
        return None
    kept = _read(file)
    if kept is not None:
        return _calibration(kept)
    # One network in place of several, which need the same temperature, though they err more often.
    config = replace(config, model=replace(config.model, members=1))
    found: list[dict[str, npt.NDArray]] = []
    for name in names:
        inside = (corpora != name).to_numpy()
        outside = training[_some_unseen(training.clips, name, config.seed)]
        learned = training[inside]
        voices = Voices.of(
            learned.clips, sounds=len(next(iter(noise.values())).clean), balanced=config.balanced
        )
        inputs = {k: v for k, v in learned.features.items() if k in config.model.input_shapes}
        head, _ = fit_head(
            joined(inputs, noise),
            partial_targets(learned, learned.targets(noise)),
            voices,
            config=config,
            run=run,
            words=f"Training without {name}, to calibrate",
            checkpoint=f"checkpoint-without-{len(found) + 1}.npz",
        )
        unseen = {k: outside.features[k].clean[:] for k in inputs}
        embedding, logits, distances = fit_model_embedding(
            head,
            inputs,
            learned.y_true,
            learned.speakers,
            unseen,
            extractor=config.model.extractor,
        )
        known = held_out[(held_out.clips["corpus"] != name).to_numpy()]
        network = Network(with_activations(head))
        held: Arrays = {k: known.features[k].clean for k in inputs}
        _, activations = network.answer(held)
        nearer = embedding.distances(embedding.transform(activations))
        # Nobody may be left to compare with, if all that was held out is of this corpus.
        reach = float(np.quantile(nearer, 1 - OOD_SHARE)) if len(nearer) else 1.0
        found.append(
            {
                "logits": logits,
                "of_known": _used_to_voices(network, head, unseen, outside.clips),
                "distances": distances,
                "reach": np.full(len(logits), reach),
                "y_true": outside.y_true,
                "corpus": np.full(len(logits), name),
                "speaker": outside.speakers,
            }
        )
    answers = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    with atomic_path(file) as temporary:
        np.savez_compressed(temporary, **answers)  # type: ignore[arg-type]
    return _calibration(answers)


def _some_unseen(clips: pd.DataFrame, corpus: str, seed: int) -> npt.NDArray[np.int64]:
    """Return which clips say how sure to be of a corpus: its speech, of very much of it a part."""
    own = (clips["corpus"] == corpus) & (clips["channel"] != "song")
    rows = np.flatnonzero(own.to_numpy())
    if len(rows) <= _MOST_UNSEEN:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, _MOST_UNSEEN, replace=False))


def _read(file: Path) -> dict[str, npt.NDArray] | None:
    """Return what was found before; None if nothing was, or it cannot be read any more."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _calibration(answers: dict[str, npt.NDArray]) -> dict[str, float]:
    """Return how sure answers about an unseen corpus may be.

    Parameters
    ----------
    answers : dict of str to ndarray
        Of each clip of each corpus, from a network that never heard that corpus: its ``logits``
        and those ``of_known`` voices (when ten other clips of the voice are known), shape
        (clips, labels); its out-of-distribution ``distances``; the one that a twentieth of the
        unseen speakers of other corpora exceed, ``reach``; ``y_true``, ``corpus``, ``speaker``.

    Returns
    -------
    dict of str to float
        The ``temperature`` and ``min_confidence`` that suit them, and what both are multiplied by
        where a voice is known, ``voice_temperature`` and ``voice_confidence``; and by how much the
        ``distance`` of unseen corpora is above that of unseen speakers of known ones.
    """
    doubt = ood_temperature(answers["distances"])[:, None]
    logits, of_known = answers["logits"] / doubt, answers["of_known"] / doubt
    # Every voice counts alike: whoever comes next is another person rather than another studio, and
    # of one corpus in which few people speak nobody can tell how sure to be.
    voices = pd.Series(answers["corpus"]) + "/" + pd.Series(answers["speaker"])
    weights = 1 / voices.groupby(voices).transform("size").to_numpy(float)
    y_true = answers["y_true"]
    temperature = metrics.fit_temperature(logits, y_true, weights)
    temperature_of_known = metrics.fit_temperature(of_known, y_true, weights)
    least, least_of_known = (
        metrics.confidence_for(softmax(values / own), y_true, _SURE, weights)
        for values, own in ((logits, temperature), (of_known, temperature_of_known))
    )
    reach = pd.Series(answers["reach"]).groupby(answers["corpus"]).first()
    return {
        "temperature": temperature,
        "voice_temperature": temperature_of_known / temperature,
        "min_confidence": least,
        "voice_confidence": least_of_known / least,
        "distance": float((1 / reach.clip(lower=1e-6)).median()),
    }


def _used_to_voices(
    network: Network, head: Any, encoded: dict[str, npt.NDArray[np.float32]], clips: pd.DataFrame
) -> npt.NDArray[np.float32]:
    """Return the logits of clips when ten others of the voice of each are known."""
    typical = {
        name: np.asarray(head.get_layer(scale).mean, np.float32)[0]
        for name, scale in (("frames", "rows"), ("summary", "summary_rows"))
    }
    try:
        others = draw_others(clips, ENOUGH, seed=0)
    except DataError:  # nobody is known to speak twice
        others = [np.zeros(0, np.int64)] * len(clips)
    return network.answer(without_chosen(encoded, typical, others))[0]


def partial_targets(
    examples: Examples, targets: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Let calm clips of a corpus without neutral ones be called neutral as well.

    Who was never asked for neutral speech calls it calm.

    Parameters
    ----------
    examples : Examples
        Training clips.
    targets : ndarray of float32, shape (clips or more, 8)
        1 for the label of each clip; changed in place.
    """
    codes = {label: i for i, label in enumerate(EMOTIONS)}
    for _, own in examples.clips.groupby("corpus"):
        if "neutral" not in set(own["emotion"]):
            calm = own.index[own["emotion"] == "calm"].to_numpy()
            targets[calm, codes["neutral"]] = 1.0
    return targets


def _round(model: Any) -> None:
    """Round weights to half precision, so that a bundle keeps them exactly in half the space."""
    for layer in model.layers:
        for variable in layer.weights:
            values = np.asarray(variable)
            if values.dtype == np.float32:
                halved = np.clip(values, -65504, 65504).astype(np.float16).astype(np.float32)
                variable.assign(halved)
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
