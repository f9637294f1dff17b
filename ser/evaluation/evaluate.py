"""Testing a model on clips whose emotion is known; every way to do it ends in a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.data import corpora, label_review, splits
from ser.data.corpora import Corpus, Location
from ser.data.inspection import inspect_corpus
from ser.data.splits import draw_others
from ser.errors import DataError
from ser.evaluation import metrics
from ser.evaluation.report import LabelReview, Origin, Report, Speakers, speakers_of
from ser.evaluation.robustness import measure, measure_rejection
from ser.models.manifest import Manifest
from ser.models.recognizer import REFUSED, SURE, Recognizer
from ser.utils.environment import versions
from ser.utils.parallel import Progress


def evaluate_clips(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    *,
    location: Location | Sequence[Location],
    protocol: str,
    speakers: Speakers | None = None,
    seed: int | None = None,
    robustness: bool = False,
    listen: int = 0,
    training_seconds: float | None = None,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> Report:
    """Ask a recogniser about clips whose emotion is known, and report.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    clips : DataFrame
        Table of clips to test on.
    location : str, Path, or sequence of these
        The corpus, see `ser.data.corpora.scan`; the predictions name files relative to it.
    protocol : str
        How these clips were chosen, see `ser.evaluation.report.Origin`.
    speakers : Speakers, optional
        Who speaks in them, if not who does by the protocol.  Clips that the model was trained on
        are found and said to be, whatever is given here.
    seed : int or None
        Of the split, if there was one.
    robustness : bool
        Test what clean figures do not show as well, see `ser.evaluation.robustness`.
    listen : int
        So many other clips of each voice, drawn at random and without their labels, are listened
        to before a clip is answered (fewer where there are fewer), see `ser.models.voice`.
    training_seconds : float, optional
        How long the model trained, for the record.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    Report
        Uncertain answers count as answered.

    Raises
    ------
    DataError
        If a clip has an emotion the model has no label for, or cannot be decoded.
    """
    recognizer.check_labels(clips["emotion"])
    if listen and robustness:
        raise DataError("Robustness is measured without listening. Leave out one of the two.")
    known_by = draw_others(clips, listen, seed=seed or 0) if listen else None
    found = recognizer.predict_files(
        clips["path"].tolist(), known_by=known_by, n_jobs=n_jobs, progress=progress
    )
    for path, reason in found.loc[found["verdict"] == REFUSED, ["file", "reason"]].to_numpy():
        raise DataError(f"{path}: {reason}")
    return _report(
        recognizer.manifest,
        recognizer.labels,
        clips,
        found,
        seen=int(seen_in_training(clips, recognizer.manifest).sum()),
        location=location,
        protocol=protocol,
        speakers=speakers,
        seed=seed,
        listen=listen,
        training_seconds=training_seconds,
        more=_elsewhere(recognizer, clips, n_jobs, progress) if robustness else {},
    )


def evaluate_corpus(
    recognizer: Recognizer,
    data: str | Path,
    *,
    corpus: Corpus | None = None,
    protocol: str = "random",
    seed: int = 42,
    robustness: bool = False,
    listen: int = 0,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> Report:
    """Test a model on a corpus, and never call a clip unseen that trained it.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    data : str or Path
        The corpus, see `ser.data.corpora.scan`.
    corpus : Corpus, optional
        What `ser.data.corpora.inspect` found there, if that is at hand.
    protocol : {"random", "all"}
        The test clips of the random split, or every clip.
    seed : int
        Of the random split.
    robustness : bool
        Also in other conditions and on sounds that are not speech.
    listen : int
        See `evaluate_clips`.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    Report
        See `evaluate_clips`.

    Raises
    ------
    DataError
        If the corpus or protocol cannot be used, or the model was trained on test clips of the
        split.
    """
    _check_protocol(protocol)
    if corpus is None:
        corpus = inspect_corpus(data, n_jobs=n_jobs, progress=progress)
    seen = seen_in_training(corpus.clips, recognizer.manifest).to_numpy()
    rows, speakers = _chosen(corpus.clips, seen, recognizer.manifest, protocol, seed)
    return evaluate_clips(
        recognizer,
        corpus.clips.iloc[rows].reset_index(drop=True),
        location=data,
        protocol=protocol,
        speakers=speakers,
        seed=seed if protocol == "random" or listen else None,
        robustness=robustness,
        listen=listen,
        n_jobs=n_jobs,
        progress=progress,
    )


def evaluate_answers(
    manifest: Manifest,
    labels: Sequence[str],
    clips: pd.DataFrame,
    answers: pd.DataFrame,
    *,
    location: Location,
    protocol: str = "random",
    seed: int = 42,
) -> Report:
    """Test a model on a corpus whose clips it has answered already.

    Parameters
    ----------
    manifest : Manifest
        Of the model.
    labels : sequence of str
        Those that were possible.
    clips : DataFrame
        All clips of the corpus, in the order of `ser.data.corpora.scan`, and ``seen``: whether the
        model was trained on each, see `seen_in_training`.
    answers : DataFrame
        What `Recognizer.predict_files` says of them, row by row; without reasons and distances.
    location : str or Path
        The corpus.
    protocol, seed
        See `evaluate_corpus`.

    Returns
    -------
    Report
        That of `evaluate_corpus`.

    Raises
    ------
    DataError
        See `evaluate_corpus`.
    """
    _check_protocol(protocol)
    seen = clips["seen"].to_numpy()
    rows, speakers = _chosen(clips, seen, manifest, protocol, seed)
    return _report(
        manifest,
        labels,
        clips.iloc[rows].reset_index(drop=True),
        answers.iloc[rows].reset_index(drop=True),
        seen=int(seen[rows].sum()),
        location=location,
        protocol=protocol,
        speakers=speakers,
        seed=seed if protocol == "random" else None,
    )


def _check_protocol(protocol: str) -> None:
    if protocol not in ("random", "all"):
        raise DataError(
            f"A trained model is tested by the protocol random or all, not {protocol!r}."
        )


def _chosen(
    clips: pd.DataFrame, seen: npt.NDArray[np.bool_], manifest: Manifest, protocol: str, seed: int
) -> tuple[splits.Rows, Speakers | None]:
    """Return which clips of a corpus are tested, and who speaks if not who does by the protocol."""
    rows = np.arange(len(clips))
    if protocol == "random":
        _, rows = splits.random_split(clips, seed=seed)
        if count := int(seen[rows].sum()):
            by_random = manifest.training.get("config", {}).get("protocol") == "random"
            use = "the seed it was trained with, or " if by_random else "another corpus, or "
            raise DataError(
                f"{manifest.name} was trained on {count} of the {len(rows)} test "
                f"clips of this split, so they are not unseen. Use {use}"
                "protocol all, which says how many clips were seen in training."
            )
    return rows, None if seen.any() else _who_speaks(clips, manifest)


def _who_speaks(clips: pd.DataFrame, manifest: Manifest) -> Speakers:
    """Say who speaks in clips that a model was not trained on."""
    known = set(manifest.training.get("corpora", ())) - corpora.ANYBODYS
    if known.isdisjoint(clips["corpus"]):
        return Speakers.OTHER_CORPUS
    protocol = manifest.training.get("config", {}).get("protocol")
    apart = protocol in splits.SPEAKERS_APART
    return Speakers.UNSEEN_SPEAKERS if apart else Speakers.SEEN_SPEAKERS


def _report(
    manifest: Manifest,
    labels: Sequence[str],
    clips: pd.DataFrame,
    found: pd.DataFrame,
    *,
    seen: int,
    location: Location | Sequence[Location],
    protocol: str,
    speakers: Speakers | None,
    seed: int | None,
    listen: int = 0,
    training_seconds: float | None = None,
    more: Mapping[str, Any] | None = None,
) -> Report:
    """Report what a recogniser answered for clips, see `evaluate_clips`."""
    kept = ["file", "start", "end", "emotion", "verdict", *labels]
    predictions = found[kept].join(what_is_known(clips))
    predictions["file"] = corpora.places(predictions["file"], location)
    origin = origin_of(manifest, clips, protocol=protocol, speakers=speakers, seen=seen, seed=seed)
    if len(labels) < len(manifest.labels):  # see `Recognizer.among`
        title = f"{origin.title}, possible: {', '.join(labels)}"
        origin = origin.model_copy(update={"title": title})
    if listen:
        title = f"{origin.title}, after {listen} unlabelled clips of each voice"
        origin = origin.model_copy(update={"title": title})
    return Report(
        **dict(origin),
        **dict(metrics.evaluate(predictions, labels)),
        **(more or {}),
        n_uncertain=int((predictions["verdict"] != SURE).sum()),
        training_seconds=training_seconds,
        label_review=_reviewed(location),
        versions=versions(),
        predictions=predictions,
    )


def origin_of(
    manifest: Manifest,
    clips: pd.DataFrame,
    *,
    protocol: str,
    seen: int,
    speakers: Speakers | None = None,
    seed: int | None = None,
) -> Origin:
    """Say what is tested, and how.

    Parameters
    ----------
    manifest : Manifest
        Of the model.
    clips : DataFrame
        The test clips.
    protocol, speakers, seed
        See `evaluate_clips`.
    seen : int
        How many of the clips trained the model.
    """
    names = sorted(clips["corpus"].unique())
    speakers = Speakers.SEEN_CLIPS if seen else speakers or speakers_of(protocol)
    elsewhere = f" on {', '.join(names)}" if speakers is Speakers.OTHER_CORPUS else ""
    return Origin(
        title=manifest.name + elsewhere,
        protocol=protocol,
        speakers=speakers,
        seed=seed,
        corpora=names,
        model=manifest.name,
        model_sha256=manifest.model_sha256,
        temperature=manifest.temperature,
        min_confidence=manifest.min_confidence,
        n_seen_in_training=seen,
        n_train=manifest.training.get("n_train"),
        n_validation=manifest.training.get("n_validation"),
        refit=bool(manifest.training.get("refit")),
    )


def seen_in_training(clips: pd.DataFrame, manifest: Manifest) -> pd.Series:
    """Say for each clip whether the model was trained or calibrated on it, by name or by sound."""
    by_name = clips["clip_id"].isin(set(manifest.training_clips.ids) - {""})
    return by_name | clips["audio"].isin(manifest.training_clips.audio)


def what_is_known(clips: pd.DataFrame) -> pd.DataFrame:
    """Return what predictions keep of a table of clips: the ``truth``, who speaks, and so on."""
    kept = ["emotion", "speaker", "gender", "channel", "intensity", "statement", "corpus"]
    return clips[kept].rename(columns={"emotion": "truth"}).reset_index(drop=True)


def _reviewed(location: Location | Sequence[Location]) -> LabelReview | None:
    """Count what a person decided about the labels of corpora."""
    locations = [location] if isinstance(location, str | Path) else location
    found = Counter[str]()
    for each in locations:
        found.update(label_review.counts(each))
    return LabelReview(**found) if found else None


def _elsewhere(
    recognizer: Recognizer, clips: pd.DataFrame, n_jobs: int, progress: Progress | None
) -> dict[str, Any]:
    return {
        "robustness": measure(recognizer, clips, n_jobs=n_jobs, progress=progress),
        "rejection": measure_rejection(recognizer),
    }
