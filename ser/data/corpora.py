"""A folder becomes a table of clips, and a list of what was left out and why.

One row per clip, with what `ser.data.parsers` reads in its name.  `scan` looks at names only,
`inspect` also opens every clip.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ser import audio
from ser.audio.fingerprint import acoustic_fingerprint
from ser.audio.prosody import measure_prosody
from ser.audio.quality import measure_signal
from ser.data.label_review import reviewed
from ser.data.manifests import MOST_CLIPS, read_rows
from ser.data.parsers import ClipFields, parse_name, registered_parsers
from ser.data.ravdess import OWN_RECORDINGS, RAVDESS_STYLE
from ser.errors import DataError
from ser.labels import EMOTIONS, emotion_of
from ser.utils.parallel import Progress, map_items
from ser.utils.places import is_url, shown

COLUMNS = (
    "path",
    "name",
    "clip_id",
    "corpus",
    "emotion",
    "speaker",
    "gender",
    "channel",
    "modality",
    "intensity",
    "statement",
    "repetition",
)
"""Columns of the table of clips; what a corpus does not know is an empty string."""


NUMBERS = (
    *("seconds", "speech_seconds", "level_dbfs", "noise_dbfs", "clipped", "bandwidth_hz"),
    *("pitch_hz", "rate"),
)
PRINTS = ("audio", "fingerprint")
"""What is measured of a clip, see `measure`."""


@dataclass(frozen=True)
class Corpus:
    """What a folder holds.

    Attributes
    ----------
    clips : DataFrame
        One row per clip with the columns `COLUMNS`, sorted by file name.
    skipped : DataFrame
        One row per file that is no clip, with the columns ``path`` and ``reason``.
    """

    clips: pd.DataFrame
    skipped: pd.DataFrame


Location = str | Path
"""A folder of clips, or a ``.csv`` or ``.parquet`` file that lists them."""

TABLES = (".csv", ".parquet")
"""Endings of files that list clips."""

NAMED = ("path", "emotion")
"""Columns that they must have."""


def scan(location: Location | Sequence[Location]) -> Corpus:
    """List the clips in a folder (with all its sub-folders) or a table, by name only.

    A file is a clip if a parser knows its name (those of published corpora, see
    docs/corpora.md, and of `ser.data.parsers.register_parser`), or if it lies in a folder that is
    called like an emotion.  A CSV file needs the columns ``path`` (absolute, or relative to the
    CSV) and ``emotion``; any other of `COLUMNS` is kept.  Without the column ``corpus``, the corpus
    is called like the CSV file.  A manifest (``.parquet``, see docs/scale.md) needs them too; what
    it leaves empty is taken from names and folders, see `described`.  What a person decided about
    its labels is respected, see `ser.data.label_review`.

    Parameters
    ----------
    location : str, Path, or sequence of these
        A folder, a ``.csv`` or a ``.parquet`` file; of several, all clips, one corpus after the
        other.

    Returns
    -------
    Corpus
        Clips and what was left out.  Links to folders are not followed.

    Raises
    ------
    DataError
        If the location does not exist, cannot be read, or holds no clip at all; or its label review
        cannot be read.
    """
    if not isinstance(location, str | Path):
        return joined([scan(each) for each in location])
    if is_url(location):
        raise DataError(
            f"{location} lies in an object store, where only work by shards reads: ser scan, "
            "features, predict and evaluate with --out. Copy the recordings for anything else."
        )
    location = Path(location)
    corpus = _named(location)
    corpus = Corpus(*reviewed(corpus.clips, corpus.skipped, location))
    if corpus.clips.empty:
        reasons, detail = corpus.skipped["reason"].value_counts(), ""
        if len(reasons):
            first = corpus.skipped["path"][corpus.skipped["reason"] == reasons.index[0]].iloc[0]
            detail = f" Left out: {reasons.iloc[0]} × {reasons.index[0]} (such as {first})."
        raise DataError(
            f"{location} holds no clip with a known emotion.{detail} Clips need names of a known "
            f"corpus ({', '.join(registered_parsers())}), a folder per emotion, or a CSV file or "
            "manifest with the columns path and emotion."
        )
    return corpus


def joined(found: Sequence[Corpus]) -> Corpus:
    """Return several corpora as one, in their order."""
    if len(found) == 1:
        return found[0]
    return Corpus(
        pd.concat([corpus.clips for corpus in found], ignore_index=True),
        pd.concat([corpus.skipped for corpus in found], ignore_index=True),
    )


def _named(location: Path) -> Corpus:
    """Return the clips of a corpus with the labels that names, folders or its table give them."""
    # os.path, since pathlib raises where a name is too long or a parent may not be searched.
    if os.path.isdir(location):
        return _scan_folder(location)
    if os.path.isfile(location) and location.suffix.lower() == ".csv":
        return _scan_csv(location)
    if os.path.isfile(location) and location.suffix.lower() == ".parquet":
        return _sorted(described(read_rows(location, NAMED, most=MOST_CLIPS), location))
    if os.path.exists(location):
        raise DataError(
            f"{location} is neither a folder nor a .csv or .parquet file. Give a corpus."
        )
    raise DataError(f"{location} does not exist. Check the name of the corpus folder.")


def named_emotion(location: Path, path: str) -> str:
    """Return the label that a clip has without what was decided about it.

    Parameters
    ----------
    location : Path
        The corpus.
    path : str
        The clip, as `scan` names it.

    Returns
    -------
    str
        Empty if the corpus has no such clip.

    Raises
    ------
    DataError
        If the corpus cannot be read.
    """
    if os.path.isdir(location):
        fields, _ = describe(Path(path), location)
        return fields["emotion"] if fields else ""
    clips = _named(location).clips
    found = clips["emotion"][clips["path"] == path]
    return found.iloc[0] if len(found) else ""


def from_labels(labels: Mapping[str, str]) -> Corpus:
    """Make a corpus of audio files and the emotion of each.

    Parameters
    ----------
    labels : mapping of str to str
        Emotions by path.

    Raises
    ------
    DataError
        If a file does not exist, or a label is none of the eight.
    """
    clips = _Columns()
    for path, label in labels.items():
        emotion = emotion_of(label)
        if emotion is None:
            raise DataError(f"{label!r} is none of the emotions: {', '.join(EMOTIONS)}.")
        if not os.path.isfile(path):
            raise DataError(f"{path} does not exist. Check its name.")
        clips.add(Path(path), {"corpus": "labels", "emotion": emotion})
    return _sorted(_corpus(clips, []))


def _scan_folder(folder: Path) -> Corpus:
    clips, skipped = _Columns(), []

    def unreadable(error: OSError) -> None:
        skipped.append({"path": shown(error.filename), "reason": f"folder: {error.strerror}"})

    for parent, subfolders, names in os.walk(folder, onerror=unreadable):
        here = Path(parent)
        subfolders.sort()
        for name in subfolders:
            if os.path.islink(path := here / name):
                skipped.append({"path": shown(path), "reason": "link to a folder"})
        for name in sorted(names):
            path = here / name
            fields, reason = describe(path, folder)
            if fields is None:
                skipped.append({"path": shown(path), "reason": reason})
            else:
                clips.add(path, fields)
    return _sorted(_corpus(clips, skipped))


FOLDERS = "folders"
"""What every corpus of a folder per emotion is called."""

ANYBODYS = {FOLDERS, RAVDESS_STYLE, OWN_RECORDINGS}
"""Names of corpora that say nothing of who speaks: two of one name may be two."""

_PARTS = {
    *("train", "training", "test", "testing", "dev", "development"),
    *("val", "valid", "validation", "eval", "evaluation"),
}
"""Folders above those of emotions that are parts of a corpus and no speakers."""

_UNWRITABLE = "name is not UTF-8 or has a carriage return, so no table can hold it; rename it"


def describe(path: Path, root: Path) -> tuple[ClipFields | None, str]:
    """Return what name and folder say of a clip, or None and the reason why the file is none."""
    if path.name.startswith("."):
        return None, "hidden file"
    if shown(path) != str(path):
        return None, _UNWRITABLE
    if path.suffix.lower() not in audio.EXTENSIONS:
        return None, "no audio file"
    try:
        if (fields := parse_name(path)) is not None:
            return fields, ""
    except ValueError as error:
        return None, str(error)
    folder = path.parent
    if folder == root or (emotion := emotion_of(folder.name)) is None:
        return None, "neither the name nor the folder says an emotion"
    # Where the corpus itself lies says nothing, nor does anything outside of it.
    above = folder.parent.name if root in folder.parent.parents else ""
    speaker = "" if above.lower() in _PARTS else above
    return {"emotion": emotion, "corpus": FOLDERS, "speaker": speaker}, ""


def _scan_csv(file: Path) -> Corpus:
    try:
        # index_col: commas at the ends of lines must not turn the first column into an index.
        table = pd.read_csv(file, dtype=str, keep_default_na=False, index_col=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file} cannot be read as a CSV table: {reason}.") from error
    missing = [column for column in NAMED if column not in table]
    if missing:
        raise DataError(
            f"{file} has no column {' and no column '.join(missing)}; it has: "
            f"{', '.join(map(str, table.columns))}. Name them path and emotion."
        )
    clips, skipped = _Columns(), []
    for record in table.to_dict("records"):
        path = file.parent / record["path"]
        emotion = emotion_of(record["emotion"])
        if shown(path) != str(path):
            skipped.append({"path": shown(path), "reason": _UNWRITABLE})
        elif not record["path"]:
            skipped.append({"path": str(file), "reason": "a row has no path"})
        elif not os.path.isfile(path):
            skipped.append({"path": str(path), "reason": "no such file"})
        elif emotion is None:
            reason = f"{record['emotion']!r} is none of the eight emotions"
            skipped.append({"path": str(path), "reason": reason})
        else:
            fields = {"corpus": file.stem} | _given(record, COLUMNS)
            fields.setdefault("clip_id", _clip_id(path, fields["corpus"]))
            clips.add(path, fields | {"emotion": emotion})
    return _sorted(_corpus(clips, skipped))


def described(rows: Iterable[Mapping[str, str]], location: Location) -> Corpus:
    """Return what a manifest says of clips, and where it says nothing what names and folders do.

    Parameters
    ----------
    rows : iterable of mapping
        With an absolute ``path`` (or an address), and as far as they are known ``emotion``,
        ``speaker`` and ``corpus``.
    location : str or Path
        The folder or manifest that they are of.  A clip of no known corpus that has an emotion
        belongs to one that is called like the manifest.

    Returns
    -------
    Corpus
        Clips and what was left out, both in the order of the rows; nothing is opened.
    """
    root = _base(location) if is_url(location) else Path(os.path.abspath(_base(location)))
    clips, skipped = _Columns(), list[dict[str, str]]()
    for row in rows:
        path = Path(row["path"])
        given = _given(row, ("emotion", "speaker", "corpus"))
        fields, reason = describe(path, root)
        if "emotion" in given:
            emotion = emotion_of(given["emotion"])
            reason = f"{given['emotion']!r} is none of the eight emotions"
            if fields is None or given.get("corpus", fields["corpus"]) != fields["corpus"]:
                fields = {"emotion": "", "corpus": Path(location).stem}
            fields = None if emotion is None else {**fields, **given, "emotion": emotion}  # type: ignore[assignment]
        elif fields is not None:
            fields = {**fields, **given}  # type: ignore[assignment]
        if fields is None:
            skipped.append({"path": shown(row["path"]), "reason": reason})
        else:
            clips.add(path, fields)
            if is_url(row["path"]):  # of which a Path makes something else
                clips["path"][-1] = row["path"]
    return _corpus(clips, skipped)


def _given(row: Mapping[Any, str], names: Sequence[str]) -> dict[str, str]:
    """Return what a row of a table says, without blanks that would make two people of one."""
    words = {name: " ".join((row.get(name) or "").split()) for name in names}
    return {name: word for name, word in words.items() if word}


def _clip_id(path: Path, corpus: str) -> str:
    """Return what identifies a clip that a CSV table says is of a corpus, as far as it is known."""
    try:
        fields = parse_name(path)
    except ValueError:
        return ""
    return fields.get("clip_id", "") if fields and fields["corpus"] == corpus else ""


class _Columns(dict[str, list[str]]):
    """The table of clips while it grows; a hundred thousand rows as dicts would take long."""

    def __init__(self) -> None:
        super().__init__({column: [] for column in COLUMNS})

    def add(self, path: Path, fields: Mapping[str, object]) -> None:
        for column, values in self.items():
            value = fields.get(column)
            # A carriage return would end the row wherever the table is written.
            values.append("" if value is None else str(value).replace("\r", " "))
        self["path"][-1], self["name"][-1] = str(path), path.name


def _corpus(clips: _Columns, skipped: list[dict[str, str]]) -> Corpus:
    return Corpus(
        pd.DataFrame(clips, dtype=str),
        pd.DataFrame(skipped, columns=["path", "reason"], dtype=str),
    )


def _sorted(corpus: Corpus) -> Corpus:
    # The random split is defined over the clips sorted by file name.
    return Corpus(corpus.clips.sort_values(["name", "path"], ignore_index=True), corpus.skipped)


def inspect(corpus: Corpus, *, n_jobs: int = -1, progress: Progress | None = None) -> Corpus:
    """Open every clip: how long, how loud, what is heard, and which cannot be used.

    Parameters
    ----------
    corpus : Corpus
        As `scan` returns it.
    n_jobs : int
        Parallel workers; -1 is one per core.
    progress : callable, optional
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    Corpus
        ``clips`` gains the columns of `measure`; clips that cannot be used move to ``skipped``.
    """
    measured = measure(corpus.clips["path"], n_jobs=n_jobs, progress=progress)
    good = (measured["reason"] == "").to_numpy()
    clips = corpus.clips.loc[good].reset_index(drop=True)
    clips = clips.join(measured.loc[good].drop(columns="reason").reset_index(drop=True))
    refused = pd.DataFrame(
        {"path": corpus.clips["path"].to_numpy(), "reason": measured["reason"].to_numpy()},
        dtype=str,
    ).loc[~good]
    skipped = pd.concat([corpus.skipped, refused], ignore_index=True)
    return Corpus(clips, skipped)


def measure(
    paths: Iterable[str], *, n_jobs: int = -1, progress: Progress | None = None
) -> pd.DataFrame:
    """Open audio files: how long, how loud, what is heard, or why they cannot be used.

    Parameters
    ----------
    paths : iterable of str
        Audio files.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    DataFrame
        One row per file: ``seconds``, ``speech_seconds`` (after trimming), ``level_dbfs`` (RMS),
        ``noise_dbfs``, ``clipped`` and ``bandwidth_hz`` (`ser.audio.quality.Signal`), ``pitch_hz``
        and ``rate`` (`ser.audio.prosody.Prosody`), ``audio`` (`ser.audio.audio_hash`),
        ``fingerprint`` (`ser.audio.fingerprint`), and ``reason``, which is empty if it
        can be used.
    """
    rows = map_items(_measure, paths, "Opening clips", n_jobs=n_jobs, progress=progress)
    table = pd.DataFrame(rows, columns=[*NUMBERS, *PRINTS, "reason"])
    kinds = dict.fromkeys(NUMBERS, "float64") | dict.fromkeys([*PRINTS, "reason"], "str")
    return table.astype(kinds)


def _measure(path: str) -> dict[str, Any]:
    try:
        samples = audio.load_audio(path)
        start, end = audio.find_speech(samples)
    except audio.AudioError as error:
        return dict.fromkeys(PRINTS, "") | {"reason": f"{error.code}: {error}"}
    return {
        "seconds": len(samples) / audio.SAMPLING_RATE,
        "speech_seconds": (end - start) / audio.SAMPLING_RATE,
        "level_dbfs": audio.level_dbfs(samples),
        **measure_signal(samples)._asdict(),
        **measure_prosody(samples[start:end])._asdict(),
        "audio": audio.audio_hash(samples),
        "fingerprint": acoustic_fingerprint(samples[start:end]),
        "reason": "",
    }


def places(paths: Iterable[str], location: Location | Sequence[Location]) -> list[str]:
    """Return where files lie within their corpus, or beside its CSV file.

    Parameters
    ----------
    paths : iterable of str
        Files.
    location : str, Path, or sequence of these
        See `scan`; where there are several, each place begins with the name of its folder.

    Examples
    --------
    >>> places(["a/x/1.wav"], "a/list.csv"), places(["b/2.wav"], ["a/list.csv", "b/list.csv"])
    (['x/1.wav'], ['b/2.wav'])
    """
    locations = [location] if isinstance(location, str | Path) else location
    bases = [_base(each) for each in locations]
    several = len(bases) > 1
    found = []
    for path in paths:
        base = next((each for each in bases if Path(path).is_relative_to(each)), None)
        if base is None:  # listed in a CSV file: whoever reads a report needs no path up to it
            found.append(Path(path).name)
            continue
        place = Path(path).relative_to(base).as_posix()
        found.append(f"{base.resolve().name}/{place}" if several else place)
    return found


def _base(location: Location) -> Path:
    is_table = Path(location).suffix.lower() in TABLES and not os.path.isdir(location)
    return Path(location).parent if is_table else Path(location)


def fingerprint(clips: pd.DataFrame, location: Location | Sequence[Location]) -> str:
    """Return a name for exactly these clips: their places, labels, speakers and audio.

    Parameters
    ----------
    clips : DataFrame
        With the column ``audio``, see `inspect`.
    location : str, Path, or sequence of these
        The corpus, see `scan`; it may be moved as a whole.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    table = clips[["emotion", "speaker", "audio"]].assign(place=places(clips["path"], location))
    return hashlib.sha256(table.to_csv(index=False).encode("utf-8", "surrogateescape")).hexdigest()


def duplicates(clips: pd.DataFrame) -> pd.DataFrame:
    """Return the clips whose audio is that of another clip, equal ones beside each other.

    Parameters
    ----------
    clips : DataFrame
        With the column ``audio``, see `inspect`.
    """
    duplicated = clips[clips.duplicated("audio", keep=False)]
    return duplicated.sort_values(["audio", "name"])


def counterparts(clips: pd.DataFrame, clip: pd.Series) -> pd.DataFrame:
    """Return the same speaker saying the same statement in other emotions, one clip of each.

    Of several the one of the same intensity and repetition is taken.

    Parameters
    ----------
    clips : DataFrame
        With `COLUMNS`.
    clip : Series
        A row of it.

    Returns
    -------
    DataFrame
        Rows of `clips`; none where the corpus knows no speakers or statements.
    """
    if not clip["speaker"] or not clip["statement"]:
        return clips.head(0)
    same = clips["emotion"] != clip["emotion"]
    for column in ("corpus", "speaker", "channel", "statement"):
        same &= clips[column] == clip[column]
    others = clips[same]
    unlike = 2 * (others["intensity"] != clip["intensity"]) + (
        others["repetition"] != clip["repetition"]
    )
    nearest = others.iloc[unlike.to_numpy().argsort(kind="stable")]
    return nearest.drop_duplicates("emotion").sort_values("name")
