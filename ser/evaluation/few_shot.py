"""Teach a model a voice from a few labelled recordings, and say honestly what that gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm.auto import tqdm

from ser.errors import BundleError, DataError, OutputError
from ser.evaluation import metrics, rendering
from ser.evaluation.evaluate import origin_of, seen_in_training, what_is_known
from ser.evaluation.few_shot_report import (
    Adaptation,
    CurvePoint,
    FewShotReport,
    Gain,
    LeftOut,
    MeanRates,
    Rates,
    RecordingFigures,
    SpeakerRates,
)
from ser.evaluation.figures import Interval
from ser.evaluation.report import Report
from ser.models import bundle
from ser.models.adaptation import (
    Array,
    Codes,
    Enrolment,
    learn,
)
from ser.models.adaptation import adapt as adapt_model
from ser.models.inference import calibrated
from ser.models.manifest import Manifest
from ser.models.recognizer import SURE, UNCERTAIN, Recognizer
from ser.utils.environment import versions
from ser.utils.files import atomic_folder
from ser.utils.parallel import Progress

_CURVE = (1, 2, 3, 5, 8, 12, 20)  # recordings per emotion at which learning is measured
_DRAWS = 10


def adapt(recognizer: Recognizer, enrolment: Enrolment, out: str | Path) -> Report:
    """Write a bundle that has learned a voice.

    Parameters
    ----------
    recognizer : Recognizer
        The model to adapt; neither it nor its bundle is changed.
    enrolment : Enrolment
        As this model hears them, see `ser.models.adaptation.enrol`.
    out : str or Path
        A new or empty folder, or an adapted bundle to replace.

    Returns
    -------
    Report
        Of the new bundle: how the recordings are answered when each is left out of what is
        learned, with `before_after` as its ``adaptation``.

    Raises
    ------
    DataError
        If all recordings are of one emotion.
    OutputError
        If the folder holds something else or cannot be written.
    """
    out = Path(out)
    _refuse_to_overwrite(out, recognizer)
    adaptation = adapt_model(recognizer, enrolment)
    answers = adaptation.logits, adaptation.distances
    with atomic_folder(out) as work:
        manifest = adaptation.recognizer.save(work, name=out.resolve().name)
        result = _report(recognizer, enrolment, answers, manifest)
        rendering.write_all(work, result, [])
    return result


def before_after(recognizer: Recognizer, enrolment: Enrolment, logits: Array) -> Adaptation:
    """Say what learning the recordings gives, by leaving each out of what is learned.

    Parameters
    ----------
    recognizer : Recognizer
        The model as it was.
    enrolment : Enrolment
        See `ser.models.adaptation.enrol`.
    logits : ndarray of float64, shape (recordings, labels)
        Of every recording by what was learned from the others, see
        `ser.models.adaptation.leave_one_out`.
    """
    labels = list(recognizer.labels)
    before, after = (_figures(z, enrolment.y_true, len(labels)) for z in (enrolment.logits, logits))
    counts = enrolment.clips["emotion"].value_counts()
    return Adaptation(
        n=len(enrolment),
        recordings={label: int(counts.get(label, 0)) for label in labels},
        speakers=sorted(set(enrolment.clips["speaker"]) - {""}),
        n_seen_in_training=int(seen_in_training(enrolment.clips, recognizer.manifest).sum()),
        before=before,
        after=after,
        labels=labels,
        curve=learning_curve(recognizer, enrolment),
    )


def learning_curve(
    recognizer: Recognizer, enrolment: Enrolment, *, seed: int = 0
) -> list[CurvePoint]:
    """Measure on the recordings themselves what each further recording per emotion gave.

    One recording of every emotion is kept for testing and the model learns from some of the others;
    the mean over ten draws.

    Parameters
    ----------
    recognizer : Recognizer
        The model as it was.
    enrolment : Enrolment
        See `ser.models.adaptation.enrol`; emotions with a single recording are left out.
    seed : int
        Of the draws.

    Returns
    -------
    list of CurvePoint
        Empty if no emotion has two recordings.
    """
    seen, counts = np.unique(enrolment.y_true, return_counts=True)
    usable = seen[counts > 1]
    if len(usable) < 2:
        return []
    most = int(counts[counts > 1].min()) - 1
    sizes = [n for n in _CURVE if n < most] + [most]
    right: dict[int, list[bool]] = {n: [] for n in [0, *sizes]}
    for draw in range(_DRAWS):
        rng = np.random.default_rng([seed, draw])
        orders = [rng.permutation(np.flatnonzero(enrolment.y_true == label)) for label in usable]
        kept = enrolment[np.array([order[-1] for order in orders])]
        right[0] += list(kept.logits.argmax(axis=1) == kept.y_true)
        for n in sizes:
            some = enrolment[np.concatenate([order[:n] for order in orders])]
            right[n] += list(learn(recognizer, some).logits(kept).argmax(axis=1) == kept.y_true)
    return [CurvePoint(recordings=n, accuracy=float(np.mean(right[n]))) for n in right]


def choose(clips: pd.DataFrame, shots: int, *, seed: int = 42) -> pd.DataFrame:
    """Draw so many clips of every emotion, or all where there are fewer.

    Parameters
    ----------
    clips : DataFrame
        Table of clips.
    shots : int
        At least 1.
    seed : int
        Of the draw.
    """
    drawn, _ = _draw(clips["emotion"].to_numpy(str), shots, 0, [seed])
    return clips.iloc[drawn].reset_index(drop=True)


def study(
    recognizer: Recognizer,
    enrolment: Enrolment,
    *,
    shots: int = 5,
    repeats: int = 10,
    seed: int = 42,
    progress: Progress | None = None,
) -> FewShotReport:
    """Adapt to every speaker of a corpus in turn, and test on what else they say.

    For each speaker and repeat, recordings of every emotion are drawn and learned, and all other
    clips of the speaker are tested with the model as it was and as it is then.  At least one clip
    of every emotion is kept for testing, so an emotion with few clips gives fewer recordings, and
    one with a single clip gives none.

    Parameters
    ----------
    recognizer : Recognizer
        The model as it is.
    enrolment : Enrolment
        All clips of the corpus, see `ser.models.adaptation.enrol`; those without a speaker count
        as of one.
    shots : int
        How many recordings of each emotion to learn from, where there are enough.
    repeats : int
        Draws per speaker.
    seed : int
        Of the draws.
    progress : callable, optional
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    FewShotReport
        Its ``before`` and ``after`` are the means over speakers of the means over draws.

    Raises
    ------
    DataError
        If no speaker has two clips each of two emotions, or a number makes no sense.
    """
    if shots < 1 or repeats < 1:
        raise DataError("shots and repeats must be 1 or more.")
    clips = enrolment.clips
    voices = clips["speaker"]
    if clips["corpus"].nunique() > 1:  # people of two corpora are two, whatever they are called
        voices = (clips["corpus"] + " " + voices).str.strip()
    names = voices.to_numpy(str)
    rows: list[SpeakerRates] = []
    left_out: list[LeftOut] = []
    speakers = sorted(set(names))
    bar = tqdm(speakers, desc="Adapting", unit="speaker", disable=None)
    for number, speaker in enumerate(bar):
        own = enrolment[names == speaker]
        figures, learned, tested = [], [], []
        _, counts = np.unique(own.y_true, return_counts=True)
        if (counts > 1).sum() < 2:
            reason = "fewer than two emotions with two clips"
            left_out.append(LeftOut(speaker=speaker, reason=reason))
            continue
        for repeat in range(repeats):
            drawn, rest = _draw(own.y_true, shots, 1, [seed, number, repeat])
            others = own[rest]
            answers = learn(recognizer, own[drawn]).logits(others)
            figures.append([_rates(z, others.y_true) for z in (others.logits, answers)])
            learned.append(len(drawn))
            tested.append(len(rest))
        before, after = np.mean(figures, axis=0)
        rows.append(
            SpeakerRates(
                speaker=speaker,
                n=len(own),
                learned=float(np.mean(learned)),
                tested=float(np.mean(tested)),
                before=Rates(accuracy=before[0], uar=before[1]),
                after=Rates(accuracy=after[0], uar=after[1]),
            )
        )
        if progress is not None:
            progress("Adapting", number + 1, len(speakers))
    if not rows:
        raise DataError(
            "No speaker has two clips each of two emotions, so adaptation cannot be tested here. "
            "Give a corpus with more clips per speaker."
        )
    before_all, after_all = (
        _over_speakers(rates) for rates in ([r.before for r in rows], [r.after for r in rows])
    )
    return FewShotReport(
        protocol="few-shot",
        shots=shots,
        repeats=repeats,
        seed=seed,
        corpora=sorted(enrolment.clips["corpus"].unique()),
        model=recognizer.manifest.name,
        model_sha256=recognizer.manifest.model_sha256,
        n_clips=len(enrolment),
        n_seen_in_training=int(seen_in_training(enrolment.clips, recognizer.manifest).sum()),
        before=before_all,
        after=after_all,
        gain=Gain(
            accuracy=after_all.accuracy - before_all.accuracy, uar=after_all.uar - before_all.uar
        ),
        speakers=rows,
        left_out=left_out,
    )


def _draw(labels: npt.NDArray[Any], wanted: int, kept: int, seed: list[int]) -> tuple[Codes, Codes]:
    """Return the rows of so many clips of each label, and all others, at least `kept` of each."""
    rng = np.random.default_rng(seed)
    drawn: list[int] = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        drawn += rows[: min(wanted, len(rows) - kept)].tolist()
    chosen = np.array(sorted(drawn), int)
    return chosen, np.setdiff1d(np.arange(len(labels)), chosen)


def _rates(logits: Array, y_true: Codes) -> tuple[float, float]:
    """Return accuracy and unweighted average recall."""
    right = logits.argmax(axis=1) == y_true
    recalls = [right[y_true == label].mean() for label in np.unique(y_true)]
    return float(right.mean()), float(np.mean(recalls))


def _over_speakers(rates: list[Rates]) -> MeanRates:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(rates), (2000, len(rates)))

    def interval(values: Array) -> Interval | None:
        if len(values) == 1:
            return None
        low, high = np.percentile(values[rows].mean(axis=1), [2.5, 97.5])
        return float(low), float(high)

    accuracies, uars = (np.array([getattr(r, key) for r in rates]) for key in ("accuracy", "uar"))
    return MeanRates(
        accuracy=float(accuracies.mean()),
        accuracy_interval=interval(accuracies),
        uar=float(uars.mean()),
        uar_interval=interval(uars),
    )


def _refuse_to_overwrite(out: Path, recognizer: Recognizer) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        old = bundle.read_manifest(out)
    except BundleError:
        old = None
    if old is None or "adapted" not in old.training:
        raise OutputError(f"{out} holds something else already. Give a new folder.")
    if old.model_sha256 == recognizer.manifest.model_sha256:
        raise OutputError(f"{out} is the model to be adapted. Give a new folder.")


def _report(
    recognizer: Recognizer,
    enrolment: Enrolment,
    left_out: tuple[Array, Array],
    manifest: Manifest,
) -> Report:
    """Return the report of an adapted bundle: each recording as if it had not been learned."""
    logits, distances = left_out
    labels = recognizer.labels
    probabilities = calibrated(logits, distances, manifest.temperature)
    verdicts = np.where(probabilities.max(axis=1) < manifest.min_confidence, UNCERTAIN, SURE)
    predictions = pd.DataFrame(
        {
            "file": enrolment.clips["name"],
            "start": enrolment.clips["start"],
            "end": enrolment.clips["end"],
            "emotion": [labels[i] for i in probabilities.argmax(axis=1)],
            "verdict": verdicts,
            **{label: probabilities[:, i] for i, label in enumerate(labels)},
        }
    ).join(what_is_known(enrolment.clips))
    adaptation = before_after(recognizer, enrolment, logits)
    origin = origin_of(
        manifest,
        enrolment.clips,
        protocol="few-shot",
        seen=adaptation.n_seen_in_training,
    )
    return Report(
        **dict(origin),
        **dict(metrics.evaluate(predictions, labels)),
        n_uncertain=int((verdicts == UNCERTAIN).sum()),
        adaptation=adaptation,
        versions=versions(),
        predictions=predictions,
    )


def _figures(logits: Array, y_true: Codes, labels: int) -> RecordingFigures:
    answers = logits.argmax(axis=1)
    accuracy, uar = _rates(logits, y_true)
    right = int((answers == y_true).sum())
    return RecordingFigures(
        right=right,
        accuracy=accuracy,
        accuracy_interval=metrics.wilson_interval(right, len(y_true)),
        uar=uar,
        confusion_matrix=metrics.count_answers(y_true, answers, labels).tolist(),
    )
