"""What the file names of a corpus say about its clips: one parser per corpus, open to more.

A researcher registers a parser with `register_parser`: in a notebook or script before the corpus is
scanned; for one command in a file, ``ser scan DIR --parser my_parser.py``; and for every command
and the app in an installed package, as an entry point of the group ``ser.parsers``.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path, PurePath
from typing import Required, TypedDict

from ser.errors import DataError
from ser.labels import EMOTIONS, emotion_of


class ClipFields(TypedDict, total=False):
    """What a name says about a clip; only the emotion is needed.

    Attributes
    ----------
    emotion : str
        One of the eight, or another word for it that `ser.labels.emotion_of` knows.
    corpus : str
        By default the name under which the parser is registered.
    clip_id : str
        Only where the name tells which recording this is, wherever the file lies and however it is
        encoded: a model that was trained on it is then known to have seen it.
    speaker : str
        A name that no speaker of another corpus has.
    gender, channel, modality, intensity, statement, repetition : str
        In words, as far as they are known.
    """

    emotion: Required[str]
    corpus: str
    clip_id: str
    speaker: str
    gender: str
    channel: str
    modality: str
    intensity: str
    statement: str
    repetition: str


Parser = Callable[[PurePath], ClipFields | None]
"""Reads the path of a file: its fields, None if the name has another form, and a ValueError with
the reason if the form is right and the clip is none to use."""

_parsers: dict[str, Parser] = {}


def register_parser(corpus: str) -> Callable[[Parser], Parser]:
    """Register a function as the parser of a corpus, in place of one registered before.

    The parser registered last is asked first.

    Parameters
    ----------
    corpus : str
        Name of the corpus.

    Returns
    -------
    callable
        Registers the function it is given, and returns it.

    Examples
    --------
    A parser for CREMA-D (Cao et al. 2014), with names such as ``1001_DFA_ANG_XX``:

    >>> import tempfile
    >>> from ser.data import corpora
    >>> emotions = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy",
    ...             "NEU": "neutral", "SAD": "sad"}
    >>> @register_parser("crema-d")
    ... def parse_crema_d(path):
    ...     parts = path.stem.split("_")
    ...     if len(parts) != 4 or parts[2] not in emotions:
    ...         return None
    ...     return {"emotion": emotions[parts[2]], "speaker": f"crema-d {parts[0]}",
    ...             "statement": parts[1], "clip_id": f"crema-d:{path.stem}"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "1001_DFA_ANG_XX.wav").touch()
    ...     clips = corpora.scan(folder).clips
    >>> clips[["corpus", "emotion", "speaker"]].values.tolist()
    [['crema-d', 'angry', 'crema-d 1001']]
    """

    def register(parse: Parser) -> Parser:
        _parsers.pop(corpus, None)
        _parsers[corpus] = parse
        return parse

    return register


def registered_parsers() -> list[str]:
    """Return the names of the corpora whose file names are known, in the order of registration."""
    _register_installed()
    return list(_parsers)


def load_parsers(file: str | Path) -> None:
    """Run a Python file that registers parsers.

    Raises
    ------
    DataError
        If there is no such file, or it fails.
    """
    file = Path(file)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise DataError(f"{file} is no Python file. Give a file that ends in .py.")
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception as error:  # whatever the file does
        raise DataError(f"{file} cannot be run: {type(error).__name__}: {error}.") from error


@cache
def _register_installed() -> None:
    for point in entry_points(group="ser.parsers"):
        try:
            register_parser(point.name)(point.load())
        except Exception as error:  # whatever the package does
            raise DataError(
                f"The parser {point.name} ({point.value}) cannot be loaded: {error}. Mend or "
                "uninstall the package that brings it."
            ) from error


def parse_name(path: PurePath) -> ClipFields | None:
    """Return what the first parser that knows a name says of it.

    Returns
    -------
    dict or None
        With ``emotion``, one of the eight, and ``corpus``; None if no parser knows the name.

    Raises
    ------
    ValueError
        If the name has the form of a corpus and is impossible there.
    DataError
        If a parser gives fields that no clip has.
    """
    for corpus in reversed(registered_parsers()):
        if (fields := _parsers[corpus](path)) is not None:
            return _checked(fields, corpus)
    return None


def _checked(fields: ClipFields, corpus: str) -> ClipFields:
    if unknown := sorted(set(fields) - set(ClipFields.__annotations__)):
        raise DataError(
            f"The parser of {corpus} gives {', '.join(unknown)}, which no clip has. It may give: "
            f"{', '.join(ClipFields.__annotations__)}."
        )
    emotion = emotion_of(str(fields.get("emotion", "")))
    if emotion is None:
        raise ValueError(f"{fields.get('emotion', '')!r} is none of the eight emotions")
    return {"corpus": corpus, **fields, "emotion": emotion}


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


@register_parser("ravdess")
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
    numbers = path.stem.split("-")
    if len(numbers) != 7 or not all(re.fullmatch(r"[0-9]{2}", n) for n in numbers):
        return None
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
        return {**fields, "corpus": "own voice", "speaker": f"voice {actor}", "gender": ""}
    corpus = "ravdess" if actor <= 24 else "ravdess-style"
    return {
        **fields,
        "corpus": corpus,
        "clip_id": f"{corpus}:{path.stem}",
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


@register_parser("emodb")
def parse_emodb(path: PurePath) -> ClipFields | None:
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
    >>> parse_emodb(PurePath("03a01Fa.wav"))["emotion"], parse_emodb(PurePath("holiday.wav"))
    ('happy', None)
    """
    match = re.fullmatch(r"([0-9]{2})([ab][0-9]{2})([WLEAFTN])([a-z]?)", path.stem)
    if match is None:
        return None
    speaker, text, letter, version = match.groups()
    emotion = _EMODB_EMOTIONS[letter]
    if emotion not in EMOTIONS:
        raise ValueError(f"{emotion} is none of the eight emotions")
    return {
        "emotion": emotion,
        "clip_id": f"emodb:{path.stem}",
        "speaker": f"emodb {speaker}",
        "gender": "female" if speaker in _EMODB_FEMALE else "male",
        "channel": "speech",
        "modality": "audio",
        "statement": text,
        "repetition": version,
    }
