"""What the file names of known corpora say about their clips: one parser per corpus."""

from __future__ import annotations

import re
from collections.abc import Callable

from ser.labels import EMOTIONS

_MODALITIES = {"01": "audio-video", "02": "video", "03": "audio"}
_CHANNELS = {"01": "speech", "02": "song"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_STATEMENTS = {
    "01": "Kids are talking by the door",
    "02": "Dogs are sitting by the door",
}
_REPETITIONS = {"01": "1", "02": "2"}
_RAVDESS_FIELDS = (
    ("modality", _MODALITIES),
    ("channel", _CHANNELS),
    ("emotion", {f"{i + 1:02}": emotion for i, emotion in enumerate(EMOTIONS)}),
    ("intensity", _INTENSITIES),
    ("statement", _STATEMENTS),
    ("repetition", _REPETITIONS),
)

OWN_VOICE = 90
"""Actors from this number on are people who recorded themselves."""

_EMODB_EMOTIONS = {
    "W": "angry",
    "E": "disgust",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
    "L": "boredom",
}
_EMODB_FEMALE = {"08", "09", "13", "14", "16"}


def parse_ravdess(stem: str) -> dict[str, str] | None:
    """Read the seven fields of a RAVDESS file name.

    Livingstone & Russo 2018, https://doi.org/10.1371/journal.pone.0196391: modality, vocal
    channel, emotion, intensity, statement, repetition, actor (odd male, even female).  Actors
    above 24 are allowed, so that other corpora can use the scheme; those from 90 on are people's
    own voices (`ser.data.recordings`), with statements and repetitions up to 99 and no gender.

    Parameters
    ----------
    stem : str
        File name without its extension.

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
    >>> fields = parse_ravdess("03-02-05-02-01-01-12")
    >>> fields["emotion"], fields["channel"], fields["gender"], fields["intensity"]
    ('angry', 'song', 'female', 'strong')
    """
    numbers = stem.split("-")
    if len(numbers) != 7 or not all(re.fullmatch(r"[0-9]{2}", n) for n in numbers):
        return None
    own = int(numbers[6]) >= OWN_VOICE
    fields = {}
    for (field, meanings), number in zip(_RAVDESS_FIELDS, numbers, strict=False):
        if own and field in ("statement", "repetition") and number != "00":
            fields[field] = meanings.get(number, str(int(number)))
        elif number not in meanings:
            raise ValueError(
                f"RAVDESS name with an impossible {field} {number} "
                f"(possible: {min(meanings)} to {max(meanings)})"
            )
        else:
            fields[field] = meanings[number]
    if fields["emotion"] == "neutral" and fields["intensity"] == "strong":
        raise ValueError("RAVDESS name with an impossible intensity 02: neutral is never strong")
    actor = int(numbers[6])
    if actor == 0:
        raise ValueError("RAVDESS name with an impossible actor 00")
    if own:
        return {**fields, "corpus": "own voice", "speaker": f"voice {actor}", "gender": ""}
    return {
        **fields,
        "corpus": "ravdess" if actor <= 24 else "ravdess-style",
        "speaker": f"actor {actor:02}",
        "gender": "male" if actor % 2 else "female",
    }


def parse_emodb(stem: str) -> dict[str, str] | None:
    """Read the fields of an EMO-DB file name, such as ``03a01Fa``.

    Burkhardt et al. 2005, *A Database of German Emotional Speech*: speaker, text, emotion (first
    letter of the German word), version.

    Returns
    -------
    dict or None
        The fields in words; None if the name has another form.

    Raises
    ------
    ValueError
        If the emotion is boredom, which none of the eight labels stands for.

    Examples
    --------
    >>> parse_emodb("03a01Fa")["emotion"], parse_emodb("holiday")
    ('happy', None)
    """
    match = re.fullmatch(r"([0-9]{2})([ab][0-9]{2})([WLEAFTN])([a-z]?)", stem)
    if match is None:
        return None
    speaker, text, letter, version = match.groups()
    emotion = _EMODB_EMOTIONS[letter]
    if emotion not in EMOTIONS:
        raise ValueError(f"{emotion} is none of the eight emotions")
    return {
        "emotion": emotion,
        "corpus": "emodb",
        "speaker": f"emodb {speaker}",
        "gender": "female" if speaker in _EMODB_FEMALE else "male",
        "channel": "speech",
        "modality": "audio",
        "statement": text,
        "repetition": version,
    }


PARSERS: tuple[Callable[[str], dict[str, str] | None], ...] = (parse_ravdess, parse_emodb)
