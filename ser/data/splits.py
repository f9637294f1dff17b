"""Which clips train and which test: the random split, unseen speakers, and the leak check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.errors import DataError
from ser.utils.extras import need

Rows = npt.NDArray[np.int64]

FOLDS = {"unseen-speakers": 5, "luna-jimenez": 5, "kfold-speech": 10, "corpora": 2}
"""How many folds the protocols of cross-validation have unless told otherwise."""

PROTOCOLS = ("random", *FOLDS)
"""``random``: a random fifth of the clips; ``unseen-speakers``: the clips of unseen speakers;
``luna-jimenez``: speech of unseen actors of RAVDESS, in the folds of a published study;
``kfold-speech``: random folds of the speech clips; ``corpora``: the speech of an unseen corpus."""

SPEAKERS_APART = ("unseen-speakers", "luna-jimenez", "corpora")
"""Protocols that test voices which are not trained on."""


def folds_of(protocol: str, folds: int) -> int:
    """Return how many trainings a protocol takes: ``corpora`` also trains on each corpus alone."""
    return {"corpora": 2 * folds, "random": 1}.get(protocol, folds)


LUNA_JIMENEZ_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
"""Test actors of RAVDESS in each fold of Luna-Jiménez et al. 2021, *Multimodal emotion recognition
on RAVDESS dataset using transfer learning*, Sensors 21 (22)."""


class LeakError(DataError):
    """Training and test share what the protocol keeps apart."""

    code = "leak"


@dataclass(frozen=True)
class Split:
    """Row numbers of a table of clips; no row stands in two of them.

    Attributes
    ----------
    train, validation, test : ndarray of int64
        Positions in the table.  Validation clips steer and calibrate the training; test clips
        choose nothing.
    """

    train: Rows
    validation: Rows
    test: Rows


def random_split(clips: pd.DataFrame, *, seed: int = 42) -> tuple[Rows, Rows]:
    """Split as the reference project did: a random, stratified fifth of the clips is for testing.

    ``train_test_split(test_size=0.2, stratify=emotion, random_state=seed)`` of scikit-learn over
    the clips sorted by file name.  With seed 42 and all 2452 clips of RAVDESS, 491 are for
    testing.  The same actors, and mostly the same sentences, stand on both sides.

    Parameters
    ----------
    clips : DataFrame
        Table of clips in the order of `ser.data.corpora.scan`.
    seed : int
        The split's ``random_state``.

    Returns
    -------
    rest, test : ndarray of int64
        Sorted row numbers.

    Raises
    ------
    DataError
        If there are too few classes or clips to split.
    """
    _need_classes(clips, each=2)
    return _random_part(clips, np.arange(len(clips)), 0.2, seed)


def speaker_folds(
    clips: pd.DataFrame, *, folds: int = 5, seed: int = 42
) -> list[tuple[Rows, Rows]]:
    """Split into folds so that no speaker is seen in training and test.

    Parameters
    ----------
    clips : DataFrame
        With the columns ``emotion`` and ``speaker``.
    folds : int
        How many parts; each is the test part once.
    seed : int
        Shuffles the speakers (`sklearn.model_selection.StratifiedGroupKFold`).

    Returns
    -------
    list of (rest, test)
        Sorted row numbers; the test parts together are all clips.

    Raises
    ------
    DataError
        If speakers are unknown or fewer than `folds`, or there are too few clips.
    """
    need("train", "sklearn")
    from sklearn.model_selection import StratifiedGroupKFold

    _need_classes(clips, each=2)
    speakers = clips["speaker"].nunique()
    if (clips["speaker"] == "").any():
        raise DataError(
            "This corpus does not say who speaks in every clip, so speakers cannot be kept apart. "
            "Use the random protocol, or add a column speaker."
        )
    if folds < 2 or speakers < folds:
        raise DataError(
            f"{folds} folds of unseen speakers need at least 2 folds and as many speakers as "
            f"folds; this corpus has {speakers} speakers."
        )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    largest = clips["emotion"].value_counts().iloc[0]
    if largest < folds:
        raise DataError(
            f"The commonest emotion has {largest} clips, too few for {folds} folds. Use fewer "
            "folds, or add clips."
        )
    return [
        (np.sort(rest), np.sort(test))
        for rest, test in splitter.split(clips, clips["emotion"], clips["speaker"])
    ]


def luna_jimenez_folds(clips: pd.DataFrame) -> list[tuple[Rows, Rows]]:
    """Split the speech clips of RAVDESS by actor as Luna-Jiménez et al. 2021 did.

    Parameters
    ----------
    clips : DataFrame
        With the columns ``corpus``, ``channel``, ``emotion`` and ``speaker``.

    Returns
    -------
    list of (rest, test)
        Sorted row numbers of speech clips, five pairs.

    Raises
    ------
    DataError
        If an actor of RAVDESS has no speech clip here, or other corpora are mixed in.
    """
    rows = _speech(clips)
    actors = clips["speaker"].iloc[rows]
    wanted = [[f"actor {actor:02}" for actor in fold] for fold in LUNA_JIMENEZ_FOLDS]
    everyone = {actor for fold in wanted for actor in fold}
    if set(actors) != everyone or set(clips["corpus"].iloc[rows]) != {"ravdess"}:
        raise DataError(
            "The folds of Luna-Jiménez et al. are those of the 24 actors of RAVDESS; the speech "
            f"clips here are of {len(set(actors) & everyone)} of them and of "
            f"{len(set(actors) - everyone)} other speakers. Use the protocol unseen-speakers."
        )
    inside = [actors.isin(fold).to_numpy() for fold in wanted]
    return [(rows[~test], rows[test]) for test in inside]


def corpus_folds(clips: pd.DataFrame, *, folds: int = 5, seed: int = 42) -> list[tuple[Rows, Rows]]:
    """Split so that no corpus is seen in training and test: leave one corpus out.

    After that, once for each corpus, only that one is trained on, and all others are tested,
    together with some of its own speakers, whom training leaves out.

    Parameters
    ----------
    clips : DataFrame
        With the columns ``corpus``, ``channel``, ``emotion`` and ``speaker``.
    folds, seed : int
        Where a corpus is trained on alone, one in `folds` of its speakers is left out (at least
        one of two or more), and who that is.

    Returns
    -------
    list of (rest, test)
        Sorted row numbers: a pair for each corpus that is left out, in the order of their names,
        then a pair for each that trains alone.  Song trains and is never tested.

    Raises
    ------
    DataError
        If there is only one corpus.
    """
    names = sorted(clips["corpus"].unique())
    if len(names) < 2:
        raise DataError(
            f"All clips are of one corpus, {names[0]}; to test on an unseen corpus takes two or "
            "more. Give --data several times."
        )
    song = (clips["channel"] == "song").to_numpy()
    inside = [(clips["corpus"] == name).to_numpy() for name in names]
    left_out = [(np.flatnonzero(~here), np.flatnonzero(here & ~song)) for here in inside]
    alone = []
    for here in inside:
        own = np.flatnonzero(here)
        parts = min(folds, clips["speaker"].iloc[own].nunique())
        try:
            test = own[speaker_folds(clips.iloc[own], folds=parts, seed=seed)[0][1]]
        except DataError:  # too few speakers or clips, or who speaks is not always known
            test = own[_one_in(clips["speaker"].iloc[own], parts, seed)]
        tested = ~here & ~song
        tested[test] = ~song[test]
        alone.append((np.setdiff1d(own, test), np.flatnonzero(tested)))
    return left_out + alone


def _one_in(speakers: pd.Series, parts: int, seed: int) -> npt.NDArray[np.bool_]:
    """Say which clips are of one in so many speakers, at least one of two or more."""
    known = sorted(set(speakers) - {""})
    count = max(round(len(known) / max(parts, 1)), 1) if len(known) > 1 else 0
    chosen = np.random.default_rng(seed).choice(np.array(known, object), count, replace=False)
    return speakers.isin(chosen).to_numpy()


def random_speech_folds(
    clips: pd.DataFrame, *, folds: int = 10, seed: int = 42
) -> list[tuple[Rows, Rows]]:
    """Split the speech clips (no song) into random folds, stratified by emotion.

    The same actors stand on both sides.

    Parameters
    ----------
    clips : DataFrame
        With the columns ``channel`` and ``emotion``.
    folds : int
        How many parts; each is the test part once.
    seed : int
        Shuffles the clips (`sklearn.model_selection.StratifiedKFold`).

    Returns
    -------
    list of (rest, test)
        Sorted row numbers; the test parts together are all speech clips.

    Raises
    ------
    DataError
        If there are too few clips.
    """
    need("train", "sklearn")
    from sklearn.model_selection import StratifiedKFold

    rows = _speech(clips)
    _need_classes(clips.iloc[rows], each=max(folds, 2))
    splitter = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    emotions = clips["emotion"].iloc[rows]
    return [(rows[rest], rows[test]) for rest, test in splitter.split(rows, emotions)]


def make_split(
    clips: pd.DataFrame,
    protocol: str,
    *,
    seed: int = 42,
    folds: int = 5,
    fold: int = 0,
    validation: float = 0.1,
) -> Split:
    """Make the training, validation and test part of a protocol, free of leaks.

    Parameters
    ----------
    clips : DataFrame
        Table of clips with the column ``audio`` (`ser.data.corpora.inspect`).
    protocol : {'random', 'unseen-speakers', 'luna-jimenez', 'kfold-speech', 'corpora'}
        See `PROTOCOLS`.
    seed : int
        Of every random choice.
    folds, fold : int
        How many folds (``random`` has none), and which, from 0, is for testing; see `corpus_folds`
        for those of ``corpora``.
    validation : float
        Part of the remaining clips, or of the remaining speakers where the protocol keeps speakers
        apart, that is held out of training to watch and calibrate it; at least two clips of each
        emotion on average, or two speakers if there are more than four.

    Returns
    -------
    Split
        Training clips that are a test or validation clip as well, by their audio or because their
        names say that they are other files of one recording, are left out, and so are validation
        clips that are test clips; the test part is always complete.

    Raises
    ------
    DataError
        If the corpus is too small for the protocol.
    LeakError
        If the result breaks the protocol's promise, which would be a defect here.
    """
    if protocol not in PROTOCOLS:
        raise DataError(f"Unknown protocol {protocol!r}. Use one of: {', '.join(PROTOCOLS)}.")
    if protocol == "random":
        rest, test = random_split(clips, seed=seed)
    else:
        count = folds_of(protocol, folds)
        if not 0 <= fold < count:
            raise DataError(f"There is no fold {fold}: {count} folds count from 0 to {count - 1}.")
        if protocol == "unseen-speakers":
            pairs = speaker_folds(clips, folds=folds, seed=seed)
        elif protocol == "kfold-speech":
            pairs = random_speech_folds(clips, folds=folds, seed=seed)
        elif protocol == "corpora":
            pairs = corpus_folds(clips, seed=seed)
        else:
            pairs = luna_jimenez_folds(clips)
        if len(pairs) != count:
            raise DataError(
                f"The protocol {protocol} has {len(pairs) // folds_of(protocol, 1)} folds, not "
                f"{folds}."
            )
        rest, test = pairs[fold]
    apart = protocol in SPEAKERS_APART
    if apart:
        train, held_out = _speaker_part(clips, rest, validation, [seed, fold])
    else:
        _need_classes(clips.iloc[rest], each=2)
        # A small corpus still needs clips of every emotion to calibrate on.
        least = 2 * clips["emotion"].iloc[rest].nunique()
        count = max(math.ceil(validation * len(rest)), least)
        train, held_out = _random_part(clips, rest, min(count, len(rest) // 2), seed)
    held_out = held_out[~_same_clips(clips, held_out, test)]
    train = train[~_same_clips(clips, train, np.concatenate([test, held_out]))]
    if not len(train) or not len(held_out):
        raise DataError(
            "Nothing is left to train on or to validate with once the clips that sound the same "
            "as a test clip are left out. Add other clips."
        )
    split = Split(train, held_out, test)
    check_split(clips, split, speakers_apart=apart)
    return split


def check_split(clips: pd.DataFrame, split: Split, *, speakers_apart: bool) -> None:
    """Make sure that no clip, no duplicate and (where promised) no speaker is on two sides.

    Raises
    ------
    LeakError
        Naming the first clip or speaker found on two sides.
    """
    parts = {"training": split.train, "validation": split.validation, "test": split.test}
    names = list(parts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            one, other = parts[first], parts[second]
            shared = {"name": one[_same_clips(clips, one, other)]}
            if speakers_apart:
                shared["speaker"] = one[_alike(_voices(clips), one, other)]
            for column, rows in shared.items():
                if len(rows):
                    raise LeakError(
                        f"{clips[column].iloc[rows[0]]} stands in both the {first} and the "
                        f"{second} part ({len(rows)} clips). Figures from this split would be too "
                        "good."
                    )


def _same_clips(clips: pd.DataFrame, rows: Rows, others: Rows) -> npt.NDArray[np.bool_]:
    """Say which rows are of a recording that is among others too."""
    return _alike(clips["audio"], rows, others) | _alike(clips["clip_id"], rows, others)


def _voices(clips: pd.DataFrame) -> pd.Series:
    """Name each clip's voice: people of two corpora are two, whatever they are called."""
    return (clips["corpus"] + "\n" + clips["speaker"]).where(clips["speaker"] != "", "")


def _alike(values: pd.Series, rows: Rows, others: Rows) -> npt.NDArray[np.bool_]:
    """Say which rows have a value that is known, and that one of the others has as well."""
    own = values.iloc[rows]
    return np.asarray(own.isin(values.iloc[others]) & (own != ""))


def draw_others(clips: pd.DataFrame, count: int, *, seed: int) -> list[Rows]:
    """Draw for each clip the rows of so many others of its speaker, or of all if there are fewer.

    Parameters
    ----------
    clips : DataFrame
        With the columns ``corpus``, ``channel`` and ``speaker``; clips without a speaker have no
        others.
    count : int
        How many.
    seed : int
        Of the draws.

    Raises
    ------
    DataError
        If no speaker is known to have two clips, or the number makes no sense.
    """
    if count < 1:
        raise DataError(f"{count} clips of a voice tell nothing of it. Listen to 1 or more.")
    chosen = [np.zeros(0, np.int64)] * len(clips)
    named = clips.reset_index(drop=True)[clips["speaker"].to_numpy(str) != ""]
    for _, own in named.groupby(["corpus", "channel", "speaker"]):
        rows = own.index.to_numpy(np.int64)
        for row in rows:
            others = rows[rows != row]
            rng = np.random.default_rng([seed, row])
            chosen[row] = rng.choice(others, min(count, len(others)), replace=False)
    if not any(len(rows) for rows in chosen):
        raise DataError(
            "No speaker is known to have two clips here, so there is no voice to get used to. Add "
            "a column speaker."
        )
    return chosen


def _random_part(
    clips: pd.DataFrame, rows: Rows, size: float | int, seed: int
) -> tuple[Rows, Rows]:
    need("train", "sklearn")
    from sklearn.model_selection import train_test_split

    emotions = clips["emotion"].iloc[rows]
    try:
        rest, part = train_test_split(rows, test_size=size, stratify=emotions, random_state=seed)
    except ValueError as error:
        raise DataError(
            f"{len(rows)} clips of {emotions.nunique()} emotions are too few to set a part of "
            "them aside with every emotion in it. Add clips."
        ) from error
    return np.sort(rest), np.sort(part)


def _speaker_part(
    clips: pd.DataFrame, rows: Rows, size: float, seed: Sequence[int]
) -> tuple[Rows, Rows]:
    # Clips of unknown speakers may be of anybody, or a whole corpus: they stay in training.
    speakers = np.array(sorted(set(clips["speaker"].iloc[rows]) - {""}))
    # One voice alone would calibrate for itself, if there are more to spare.
    count = max(2 if len(speakers) > 4 else 1, round(size * len(speakers)))
    if count >= len(speakers):
        raise DataError(
            f"{len(speakers)} speakers are left to train on; at least 2 are needed, one of them "
            "for validation. Use fewer folds, or a corpus of more speakers."
        )
    # Others in every fold: one easy voice in all of them would make every fold too sure of itself.
    held_out = np.random.default_rng(seed).choice(speakers, size=count, replace=False)
    inside = clips["speaker"].iloc[rows].isin(held_out).to_numpy()
    return rows[~inside], rows[inside]


def _speech(clips: pd.DataFrame) -> Rows:
    rows = np.flatnonzero(clips["channel"] == "speech")
    if not len(rows):
        raise DataError(
            "This protocol is about speech, and no clip here is known to be speech. Use the "
            "protocol random or unseen-speakers."
        )
    return rows


def _need_classes(clips: pd.DataFrame, *, each: int) -> None:
    counts = clips["emotion"].astype(str).value_counts()
    if len(counts) < 2:
        only: Sequence[str] = list(counts.index)
        raise DataError(
            f"A classifier needs clips of at least two emotions; here are only: "
            f"{', '.join(only) or 'none'}."
        )
    if (counts < each).any():
        rare = counts[counts < each]
        raise DataError(
            f"Too few clips to split: {', '.join(rare.index)} with {int(rare.min())} each; every "
            f"emotion needs at least {each}."
        )
