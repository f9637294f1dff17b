"""A person's own labelled recordings: made here or imported, kept as a corpus, exported, deleted.

A voice is a folder of 16 kHz WAV files with RAVDESS-like names (actor 90) and a table,
``recordings.csv``, which is a corpus of its own wherever a CSV file is one.  Nothing else is ever
written there, and nothing else is ever deleted.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from ser import audio
from ser.audio import Samples
from ser.data import corpora
from ser.data.ravdess import parse_ravdess
from ser.errors import DataError, OutputError
from ser.labels import EMOTIONS
from ser.utils.files import atomic_path, locked
from ser.utils.parallel import Progress
from ser.utils.zips import DAMAGED, wanted_files

SENTENCES = ("Kids are talking by the door", "Dogs are sitting by the door")
"""What RAVDESS' actors say, so that emotion is all that differs from them."""

MAX_RECORDINGS = 99
"""Per emotion and sentence: a name has two digits for them."""

TABLE = "recordings.csv"
COLUMNS = ("path", "emotion", "statement", "speaker", "seconds", "level_dbfs", "recorded", "audio")

_NAME = re.compile(r"03-01-0[1-8]-01-[0-9]{2}-[0-9]{2}-90\.wav")
_IMPORTED = "99"  # statement: whatever an imported clip says
_LONGEST = 30.0  # seconds; a recording is a sentence
_MAX_ENTRIES, _MAX_ENTRY, _MAX_TOTAL = 2000, 20 * 10**6, 10**9  # of a zip, bytes unpacked
_ALWAYS, _MOST_TIMES = 20 * 10**6, 30  # of a zip's own size; even silence in WAV is rare


class Voice:
    """The recordings of one person.

    Parameters
    ----------
    folder : str or Path
        Need not exist yet.

    Examples
    --------
    >>> from ser.assets import SAMPLES
    >>> voice = Voice(Path(tempfile.mkdtemp()) / "mine")
    >>> clip = next(SAMPLES.rglob("03-01-05-01-01-01-25.flac"))
    >>> voice.add(clip.read_bytes(), "angry", SENTENCES[0]).name
    '03-01-05-01-01-01-90.wav'
    >>> len(corpora.scan(voice.folder).clips), voice.clear()
    (1, 1)
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def recordings(self) -> pd.DataFrame:
        """Return one row per recording with the columns `COLUMNS`, oldest first.

        ``path`` is the file name, ``recorded`` an ISO 8601 time (UTC), ``audio`` see
        `ser.audio.audio_hash`.  A recording without an entry in the table (it was copied here) gets
        one; an entry without its file is left out, and so is a new file that is no audio.
        """
        files = {p.name for p in self.folder.glob("*.wav") if _NAME.fullmatch(p.name)}
        rows: list[Any] = []
        try:
            known = pd.read_csv(self.folder / TABLE, dtype=str, keep_default_na=False)
            known = known.drop_duplicates("path")
            rows = known[known["path"].isin(files)].to_dict("records")
        except (OSError, ValueError, KeyError):  # none yet, or damaged: all is in the files too
            pass
        listed = {row["path"] for row in rows}
        for name in sorted(files - listed):
            try:
                samples = audio.load_audio(self.folder / name)
            except audio.AudioError:
                continue
            written = datetime.fromtimestamp((self.folder / name).stat().st_mtime, UTC)
            fields: Any = parse_ravdess(Path(name))
            rows.append(_row(name, fields["emotion"], fields["statement"], samples, written))
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        for column in ("seconds", "level_dbfs"):
            table[column] = pd.to_numeric(table[column], errors="coerce")
        return table.sort_values(["recorded", "path"], ignore_index=True)

    def add(self, source: str | Path | bytes, emotion: str, statement: str) -> Path:
        """Keep a recording.

        Parameters
        ----------
        source : str, Path or bytes
            A recording, or the content of one.
        emotion : str
            One of the eight.
        statement : str
            What is said: one of `SENTENCES`, or anything.

        Returns
        -------
        Path
            The new file.

        Raises
        ------
        DataError
            If the emotion is none of the eight, the recording is longer than 30 s or already there,
            or there are 99 like it.
        AudioError
            If it cannot be decoded, is silent or too short.
        OutputError
            If it cannot be written.
        """
        if emotion not in EMOTIONS:
            raise DataError(f"{emotion!r} is none of the emotions: {', '.join(EMOTIONS)}.")
        samples = audio.load_audio(source)
        audio.find_speech(samples)  # refuses silence
        seconds = len(samples) / audio.SAMPLING_RATE
        if seconds > _LONGEST:
            raise DataError(
                f"The recording lasts {seconds:.0f} s, and at most {_LONGEST:.0f} s are kept. Say "
                "one sentence per recording."
            )
        with locked(self.folder):
            table = self.recordings()
            row = _row("", emotion, statement, samples, datetime.now(UTC))
            duplicate = table[table["audio"] == row["audio"]]
            if len(duplicate):
                raise DataError(f"This recording is already there, as {duplicate['path'].iloc[0]}.")
            number = f"{SENTENCES.index(statement) + 1:02}" if statement in SENTENCES else _IMPORTED
            path = self._free_name(emotion, number)
            with atomic_path(path) as temporary:
                write_wav(temporary, samples)
            row["path"] = path.name
            try:
                self._write(pd.concat([table, pd.DataFrame([row])], ignore_index=True))
            except OutputError:
                path.unlink()  # both or none
                raise
        return path

    def import_clips(
        self, location: str | Path, *, progress: Progress | None = None
    ) -> tuple[int, pd.DataFrame]:
        """Copy labelled clips from a corpus: a folder per emotion, known names, or a CSV.

        Parameters
        ----------
        location : str or Path
            See `ser.data.corpora.scan`.
        progress : callable, optional
            See `ser.utils.parallel.map_items`.

        Returns
        -------
        added : int
            How many clips are recordings now.
        refused : DataFrame
            ``path`` and ``reason`` of every other file.

        Raises
        ------
        DataError
            If the location holds no labelled clip at all.
        """
        return self._import(location, {}, progress)

    def _import(
        self, location: str | Path, origins: dict[Path, str], progress: Progress | None
    ) -> tuple[int, pd.DataFrame]:
        """Import a corpus whose files may have been called otherwise."""
        corpus = corpora.scan(location)
        refused = corpus.skipped.to_dict("records")
        added = 0
        rows = corpus.clips.to_dict("records")
        for i, clip in enumerate(rows):
            try:
                path = Path(clip["path"])
                # What is said, or at least what the file was called: the copy has another name.
                said = clip["statement"] or PurePosixPath(origins.get(path, path.name)).name
                self.add(path, clip["emotion"], said)
                added += 1
            except (audio.AudioError, DataError) as error:
                refused.append({"path": clip["path"], "reason": str(error)})
            if progress is not None:
                progress("Importing", i + 1, len(rows))
        return added, pd.DataFrame(refused, columns=["path", "reason"])

    def import_zip(
        self, data: bytes, *, progress: Progress | None = None
    ) -> tuple[int, pd.DataFrame]:
        """Copy labelled clips from a zip archive that holds what `import_clips` does.

        Parameters
        ----------
        data : bytes
            The archive; nothing in it is trusted.
        progress
            See `import_clips`.

        Returns
        -------
        added, refused
            See `import_clips`; paths are those within the archive.

        Raises
        ------
        DataError
            If it is no zip, is damaged, has absurdly many or large files, or no labelled clip.
        OutputError
            If there is no room to unpack it.
        """
        with _temporary_folder() as root:
            try:
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    origins = _unpack(archive, root, most=max(_ALWAYS, _MOST_TIMES * len(data)))
            except DAMAGED as error:
                raise DataError(
                    f"The archive cannot be read ({error}). Zip the folder again, without a "
                    "password."
                ) from error
            try:
                added, refused = self._import(root, origins, progress)
            except DataError as error:
                raise DataError(str(error).replace(str(root), "The archive")) from None
            refused["path"] = [origins[Path(path)] for path in refused["path"]]
            return added, refused

    def export(self) -> bytes:
        """Return all recordings and their table as a zip archive that `import_zip` reads.

        Raises
        ------
        DataError
            If there is no recording.
        """
        table = self.recordings()
        if table.empty:
            raise DataError(f"{self.folder} holds no recording. Record one first.")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for name in table["path"]:
                archive.write(self.folder / name, f"voice/{name}")
            archive.writestr(f"voice/{TABLE}", table.to_csv(index=False))
        return buffer.getvalue()

    def remove(self, name: str) -> None:
        """Delete one recording.

        Raises
        ------
        DataError
            If there is no recording of that name.
        OutputError
            If it cannot be deleted.
        """
        if not _NAME.fullmatch(name) or not (self.folder / name).is_file():
            raise DataError(f"{name!r} is not a recording in {self.folder}.")
        with locked(self.folder):
            _delete(self.folder / name)
            self._write(self.recordings())

    def clear(self) -> int:
        """Delete all recordings, their table, and the folder if nothing else is in it.

        Returns
        -------
        int
            How many recordings were deleted.

        Raises
        ------
        OutputError
            If something cannot be deleted.
        """
        recordings = [p for p in self.folder.glob("*.wav") if _NAME.fullmatch(p.name)]
        leftovers = [*self.folder.glob(".writing-*"), self.folder / TABLE, self.folder / ".lock"]
        for path in [*recordings, *leftovers]:
            _delete(path)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
        return len(recordings)

    def _free_name(self, emotion: str, statement: str) -> Path:
        code = EMOTIONS.index(emotion) + 1
        for number in range(1, MAX_RECORDINGS + 1):
            path = self.folder / f"03-01-{code:02}-01-{statement}-{number:02}-90.wav"
            if not path.exists():
                return path
        raise DataError(
            f"There are already {MAX_RECORDINGS} {emotion} recordings of this sentence. Delete "
            "some first."
        )

    def _write(self, table: pd.DataFrame) -> None:
        with atomic_path(self.folder / TABLE) as temporary:
            table.to_csv(temporary, index=False)


def _row(
    name: str, emotion: str, statement: str, samples: Samples, when: datetime
) -> dict[str, Any]:
    return {
        "path": name,
        "emotion": emotion,
        "statement": statement,
        "speaker": "voice 90",
        "seconds": round(len(samples) / audio.SAMPLING_RATE, 2),
        "level_dbfs": audio.level_dbfs(samples),
        "recorded": when.isoformat(timespec="seconds"),
        "audio": audio.audio_hash(samples),
    }


def write_wav(path: Path, samples: Samples) -> None:
    """Write samples at 16 kHz, shape (n,), as a WAV file of 16 bits."""
    import soundfile

    file = io.BytesIO()  # on a full disk, soundfile itself would leave half a file and say nothing
    soundfile.write(file, samples, audio.SAMPLING_RATE, format="WAV", subtype="PCM_16")
    path.write_bytes(file.getvalue())


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="ser-import-")
    except OSError as error:
        raise OutputError(f"The archive cannot be unpacked: {error.strerror}.") from error
    with folder as name:
        yield Path(name)


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be deleted: {error.strerror}.") from error


def _unpack(archive: zipfile.ZipFile, root: Path, most: int) -> dict[Path, str]:
    """Unpack the audio files of an archive, no more than `most` bytes.

    Returns for each file its name in the archive.
    """
    entries = wanted_files(archive, audio.EXTENSIONS)
    if len(entries) > _MAX_ENTRIES:
        raise DataError(
            f"The archive holds {len(entries)} audio files, more than {_MAX_ENTRIES}. Import a "
            "smaller one, or the folder itself."
        )
    total = 0
    origins = {}
    for number, entry in enumerate(entries):
        name = PurePosixPath(entry.filename)
        # Only what may say an emotion is kept of a name: the folder's last part and a short stem.
        emotion = re.sub(r"[^A-Za-z]", "", name.parent.name)[:20] or "unnamed"
        stem = name.stem if re.fullmatch(r"[0-9A-Za-z-]{1,40}", name.stem) else "clip"
        target = root / f"{number:04}" / emotion / f"{stem}{name.suffix.lower()}"
        with archive.open(entry) as packed:
            content = packed.read(_MAX_ENTRY + 1)  # never trust the size an archive announces
        total += len(content)
        if len(content) > _MAX_ENTRY or total > min(most, _MAX_TOTAL):
            raise DataError(
                f"{entry.filename} unpacks to more than a recording can have. Import short clips "
                "only."
            )
        try:
            target.parent.mkdir(parents=True)
            target.write_bytes(content)
        except OSError as error:
            raise OutputError(f"The archive cannot be unpacked: {error.strerror}.") from error
        origins[target] = entry.filename
    return origins
