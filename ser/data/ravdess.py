"""The file names of RAVDESS, which people's own recordings have too (`ser.data.recordings`)."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from ser.labels import EMOTIONS

if TYPE_CHECKING:
    from ser.data.parsers import ClipFields

_MODALITIES = {"01": "audio-video", "02": "video", "03": "audio"}
_CHANNELS = {"01": "speech", "02": "song"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_STATEMENTS = {
    "01": "Kids are talking by the door",
    "02": "Dogs are sitting by the door",
}
_REPETITIONS = {"01": "1", "02": "2"}
_RAVDESS_FIELDS = {
    "modality": _MODALITIES,
    "channel": _CHANNELS,
    "emotion": {f"{i + 1:02}": emotion for i, emotion in enumerate(EMOTIONS)},
    "intensity": _INTENSITIES,
    "statement": _STATEMENTS,
    "repetition": _REPETITIONS,
}

_NAME = re.compile(r"[0-9]{2}(?:-[0-9]{2}){6}")

RAVDESS_STYLE, OWN_RECORDINGS = "ravdess-style", "own voice"
"""Corpora of clips that are named as those of RAVDESS are, of whomever."""

OWN_VOICE = 90
"""Actors from this number on are people who recorded themselves."""


def parse_ravdess(path: PurePath) -> ClipFields | None:
    """Read the seven fields of a RAVDESS file name.

    Livingstone & Russo 2018, https://doi.org/10.1371/journal.pone.0196391: modality, vocal
    channel, emotion, intensity, statement, repetition, actor (odd male, even female).  Actors
    above 24 are allowed, so that other corpora can use the scheme; those from 90 on are people's
    own voices (`ser.data.recordings`), with statements and repetitions up to 99 and no gender.

    Parameters
    ----------
    path : PurePath
        The file; only its name counts.

    Returns
    -------
    dict or None
        The fields in words; None if the name does not have the form of seven two-digit numbers.

    Raises
    ------
    ValueError
        If the form is right and a field is impossible.

    Examples
    --------
    >>> fields = parse_ravdess(PurePath("03-02-05-02-01-01-12.wav"))
    >>> fields["emotion"], fields["channel"], fields["gender"], fields["intensity"]
    ('angry', 'song', 'female', 'strong')
    """
    if not _NAME.fullmatch(stem := path.stem):
        return None
    numbers = stem.split("-")
    actor = int(numbers[6])
    codes = dict(zip(_RAVDESS_FIELDS, numbers, strict=False))
    words = {field: _meaning(field, code, own=actor >= OWN_VOICE) for field, code in codes.items()}
    if words["emotion"] == "neutral" and words["intensity"] == "strong":
        raise ValueError("RAVDESS name with an impossible intensity 02: neutral is never strong")
    if actor == 0:
        raise ValueError("RAVDESS name with an impossible actor 00")
    fields: ClipFields = {
        "emotion": words["emotion"],
        "channel": words["channel"],
        "modality": words["modality"],
        "intensity": words["intensity"],
        "statement": words["statement"],
        "repetition": words["repetition"],
    }
    if actor >= OWN_VOICE:
        return {**fields, "corpus": OWN_RECORDINGS, "speaker": f"voice {actor}", "gender": ""}
    corpus = "ravdess" if actor <= 24 else RAVDESS_STYLE
    return {
        **fields,
        "corpus": corpus,
        # A film and its sound, which alone is listed as modality 03, are one recording.
        "clip_id": f"{corpus}:03{stem[2:]}",
        "speaker": f"actor {actor:02}",
        "gender": "male" if actor % 2 else "female",
    }


def _meaning(field: str, code: str, *, own: bool) -> str:
    meanings = _RAVDESS_FIELDS[field]
    if own and field in ("statement", "repetition") and code != "00":
        return meanings.get(code, str(int(code)))
    if code not in meanings:
        raise ValueError(
            f"RAVDESS name with an impossible {field} {code} "
            f"(possible: {min(meanings)} to {max(meanings)})"
        )
    return meanings[code]
