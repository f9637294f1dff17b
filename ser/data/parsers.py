"""What the file names of a corpus say about its clips: one parser per corpus, open to more.

Those of published corpora are in `ser.data.known_corpora`.  A researcher registers a parser with
`register_parser`: in a notebook or script before the corpus is scanned; for one command in a file,
``ser scan DIR --parser my_parser.py``; and for every command and the app in an installed package,
as an entry point of the group ``ser.parsers``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path, PurePath
from typing import Required, TypedDict

from ser.data import known_corpora
from ser.errors import DataError
from ser.labels import emotion_of


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


_FIELDS = frozenset(ClipFields.__annotations__)

Parser = Callable[[PurePath], ClipFields | None]
"""Reads the path of a file: its fields, None if the name has another form, and a ValueError with
the reason if the form is right and the clip is none to use."""

_parsers: dict[str, Parser] = dict(known_corpora.PARSERS)


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
    A parser for a corpus with names such as ``anna_anger_3``:

    >>> import tempfile
    >>> from ser.data import corpora
    >>> @register_parser("kitchen")
    ... def parse_kitchen(path):
    ...     parts = path.stem.split("_")
    ...     if len(parts) != 3 or not parts[2].isdigit():
    ...         return None
    ...     return {"emotion": parts[1], "speaker": f"kitchen {parts[0]}",
    ...             "repetition": parts[2], "clip_id": f"kitchen:{path.stem}"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "anna_anger_3.wav").touch()
    ...     clips = corpora.scan(folder).clips
    >>> clips[["corpus", "emotion", "speaker"]].values.tolist()
    [['kitchen', 'angry', 'kitchen anna']]
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
        raise DataError(f"{file} is not a Python file. Give a file that ends in .py.")
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except (Exception, SystemExit) as error:  # whatever the file does
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
        try:
            fields = _parsers[corpus](path)
        except (ValueError, DataError):
            raise
        except Exception as error:  # whatever the parser does
            raise DataError(
                f"The parser of {corpus} fails for {path}: {type(error).__name__}: {error}."
            ) from error
        if fields is not None:
            return _checked(fields, corpus)
    return None


def _checked(fields: ClipFields, corpus: str) -> ClipFields:
    if not isinstance(fields, dict):
        raise DataError(f"The parser of {corpus} gives {fields!r}; it must give a dict, or None.")
    if unknown := sorted(fields.keys() - _FIELDS):
        raise DataError(
            f"The parser of {corpus} gives {', '.join(unknown)}, which no clip has. It may give: "
            f"{', '.join(ClipFields.__annotations__)}."
        )
    emotion = emotion_of(str(fields.get("emotion", "")))
    if emotion is None:
        raise ValueError(f"{fields.get('emotion', '')!r} is none of the eight emotions")
    return {"corpus": corpus, **fields, "emotion": emotion}
