"""RAVDESS from Zenodo: fetched with resume, checked by MD5, unpacked safely.

Each part (speech, song) goes through three phases: its archive is fetched into ``NAME.zip.part``,
checked, and unpacked into ``Actor_NN`` folders.  A marker file, written last, lists what was
unpacked.  Whatever interrupts this, the next call goes on from what is on disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from json import loads
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal, NoReturn
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from ser.errors import OutputError, SerError
from ser.utils.files import atomic_path, write_json

if sys.platform != "win32":
    import fcntl

RECORD_URL = "https://zenodo.org/records/1188976"
BASE_URL = f"{RECORD_URL}/files"
LICENCE = (
    "RAVDESS (Livingstone and Russo, 2018) is under CC BY-NC-SA 4.0 "
    "(https://creativecommons.org/licenses/by-nc-sa/4.0/): you may use and share it for "
    "non-commercial purposes if you name its authors and share what you derive from it under "
    f"the same licence. Source: {RECORD_URL}"
)

BLOCK = 64 * 1024  # bytes; small, so that a slow line still shows progress and stops promptly
TIMEOUT = (15, 60)  # seconds to connect, and between two bytes
ATTEMPTS = 4  # in a row that bring nothing new
BACKOFF = 1.0  # seconds before the second attempt; doubles with each further one
LONGEST_WAIT = 90.0  # seconds; a server that asks for a longer pause is asked again after this
UNPACKED_RATIO = 2.75  # unpacked bytes per archived byte, rounded up: 2.5 for speech, 2.0 for song
MAX_ENTRIES = 5000  # per archive; speech has 1440 recordings, and some tools add a twin for each
MAX_ENTRY = 20 * 10**6  # bytes unpacked; the longest recording has about 10**6
MAX_TOTAL = 2 * 10**9  # bytes unpacked; speech has about half of 10**9

RECORDING = re.compile(r"Actor_[0-9]{2}/[0-9A-Za-z][0-9A-Za-z ._()-]{0,80}\.wav")
HARMLESS = re.compile(r"__MACOSX/.*|(.*/)?(\.DS_Store|\._[^/]*|Thumbs\.db)|.*/")
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError)

Phase = Literal["download", "check", "unzip"]


class DownloadError(SerError):
    """RAVDESS cannot be fetched: no network, a refusing server, a wrong address."""

    code = "download"


class DownloadStopped(DownloadError):  # noqa: N818 - asked for, so not an error to its caller
    """`stop` asked for a pause; what came so far is kept."""

    code = "stopped"


class ChecksumError(DownloadError):
    """What was fetched is not the published archive; it was deleted."""

    code = "checksum"


class UnsafeArchiveError(DownloadError):
    """An archive is damaged or could do harm; nothing harmful was written."""

    code = "unsafe-archive"


@dataclass(frozen=True)
class Archive:
    """One file of a Zenodo record, as the record describes it.

    Attributes
    ----------
    name : str
        Name of the file.
    size : int
        Its length in bytes.
    md5 : str
        MD5 of its bytes, 32 lower-case hexadecimal digits.
    """

    name: str
    size: int
    md5: str


ARCHIVES: Mapping[str, Archive] = MappingProxyType(
    {
        "speech": Archive(
            "Audio_Speech_Actors_01-24.zip", 208468073, "bc696df654c87fed845eb13823edef8a"
        ),
        "song": Archive(
            "Audio_Song_Actors_01-24.zip", 225505317, "5411230427d67a21e18aa4d466e6d1b9"
        ),
    }
)


@dataclass(frozen=True)
class Progress:
    """How far one phase of one part has come.

    Attributes
    ----------
    part : str
        "speech" or "song".
    phase : str
        "download", "check" or "unzip", in this order.
    done, total : int
        Bytes; of the archive, or in "unzip" of the unpacked recordings.  `done` starts above
        zero where a download goes on, and falls back to zero where a server makes it start over.
    speed : float or None
        Bytes per second since this connection or phase began; None at its beginning.
    """

    part: str
    phase: Phase
    done: int
    total: int
    speed: float | None


class _PassingError(Exception):
    """A fault that may pass by itself: worth another attempt after `wait` seconds or more."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Meter:
    """Tells `progress` how far one part is, and asks `stop` whether to go on."""

    def __init__(
        self,
        part: str,
        progress: Callable[[Progress], object] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.part, self.progress, self.stop = part, progress, stop

    def begin(self, phase: Phase, total: int, done: int = 0) -> None:
        self.phase, self.total, self.first = phase, total, done
        self.started = time.monotonic()
        self.reported = 0.0
        self.at(done)

    def at(self, done: int) -> None:
        self.pause_if_asked()
        now = time.monotonic()
        # Ten reports a second are plenty for any display; the last one always goes out.
        if self.progress and (now - self.reported >= 0.1 or done == self.total):
            self.reported = now
            elapsed = now - self.started
            speed = (done - self.first) / elapsed if done > self.first and elapsed > 0 else None
            self.progress(Progress(self.part, self.phase, done, self.total, speed))

    def pause_if_asked(self) -> None:
        if self.stop and self.stop():
            raise DownloadStopped(
                f"The download of RAVDESS {self.part} was stopped. What came so far is kept: "
                "start it again to go on from there."
            )

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.pause_if_asked()
            time.sleep(min(left, 0.1))


def download_ravdess(
    folder: str | Path,
    *,
    parts: Sequence[str] | None = None,
    url: str = BASE_URL,
    archives: Mapping[str, Archive] = ARCHIVES,
    progress: Callable[[Progress], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Bring RAVDESS audio into `folder`, in its official layout ``Actor_NN/NAME.wav``.

    Parts that are there already cost no request.  Archives are removed once unpacked.  The two
    parts take about 1 GB, and about 1.5 GB while they are being unpacked.

    Parameters
    ----------
    folder : str or Path
        Where to put the ``Actor_NN`` folders.  Made if missing.
    parts : sequence of str, optional
        Keys of `archives`: "speech" (1440 recordings), "song" (1012).  All of them by default.
    url : str
        The http(s) address of a folder that has the archives: Zenodo record 1188976 or a mirror.
    archives : mapping of str to Archive
        What the archives must be.  Nothing that differs from it is ever unpacked.
    progress : callable, optional
        Called with a `Progress` at most ten times a second, and at the end of each phase.
    stop : callable, optional
        Asked often; the download pauses when it returns True.

    Returns
    -------
    Path
        `folder`, with all files of all `parts`.

    Raises
    ------
    DownloadError
        If a part or the address is unknown, the server cannot be reached or refuses, or another
        download into `folder` is under way.
    DownloadStopped
        If `stop` returned True.  The next call goes on from there.
    ChecksumError
        If what was fetched is not the published archive.  It is deleted.
    UnsafeArchiveError
        If the archive is damaged or has entries that do not belong into it.
    OutputError
        If `folder` cannot be written to or its disk has too little room.
    """
    folder = Path(folder)
    parts = tuple(archives) if parts is None else parts
    for part in parts:
        if part not in archives:
            raise DownloadError(
                f"RAVDESS has no part {part!r}. Choose from: {', '.join(archives)}."
            )
    _check_address(url)
    try:
        missing = [part for part in parts if not _is_complete(folder, part, archives[part])]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            _require_room(folder, sum(_bytes_needed(folder, archives[part]) for part in missing))
        for part in parts:
            if part in missing:
                _bring(folder, part, archives[part], url, _Meter(part, progress, stop))
            else:  # an archive is left here if a process died just before removing it
                _part_file(folder, archives[part]).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot write in {folder}: {error.strerror or error}. Free some space there, mend "
            "its permissions, or choose another folder."
        ) from error
    return folder


@contextmanager
def progress_bars() -> Iterator[Callable[[Progress], None]]:
    """Give a `progress` callback that draws one bar per part and phase on standard error.

    Yields
    ------
    callable
        For `download_ravdess`.
    """
    bars: dict[str, tqdm[NoReturn]] = {}

    def show(event: Progress) -> None:
        name = f"{event.part}: {event.phase}"
        if name not in bars:
            bars[name] = tqdm(
                desc=name, total=event.total, initial=event.done, unit="B", unit_scale=True
            )
        bars[name].update(event.done - bars[name].n)
        if event.done == event.total:
            bars[name].close()

    try:
        yield show
    finally:
        for bar in bars.values():
            bar.close()


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise DownloadError(
            f"Cannot download from {url!r}: give an address that begins with http:// or https://, "
            f"such as {BASE_URL}."
        )


def _part_file(folder: Path, archive: Archive) -> Path:
    return folder / f"{archive.name}.part"


def _marker(folder: Path, part: str) -> Path:
    return folder / f".ravdess-{part}.json"


def _is_complete(folder: Path, part: str, archive: Archive) -> bool:
    """Whether the marker is of this archive and every file that it lists has its length."""
    try:
        marker = loads(_marker(folder, part).read_text(encoding="utf-8"))
        return marker["md5"] == archive.md5 and all(
            (folder / name).stat().st_size == size for name, size in marker["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False  # no marker, or not one of ours


def _bytes_needed(folder: Path, archive: Archive) -> int:
    """Estimate what fetching and unpacking will take; `_unpack` knows better once it is there."""
    part_file = _part_file(folder, archive)
    have = part_file.stat().st_size if part_file.exists() else 0
    if have >= archive.size:
        return 0
    return archive.size - have + round(UNPACKED_RATIO * archive.size)


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"Not enough room in {folder}: {needed / 1e9:.2f} GB are needed and "
            f"{free / 1e9:.2f} GB are free. Free some space or choose another folder."
        )


def _bring(folder: Path, part: str, archive: Archive, url: str, meter: _Meter) -> None:
    """Take one part through all its phases."""
    with _opened_alone(_part_file(folder, archive)) as file:
        if not _is_complete(folder, part, archive):  # or another process was faster
            _fetch(file, archive, url, meter)
            _verify(file, archive, meter)
            try:
                files = _unpack(file, folder, archive, meter)
            except UnsafeArchiveError:
                file.truncate(0)
                raise
            write_json(
                _marker(folder, part),
                {"archive": archive.name, "md5": archive.md5, "files": files},
            )
        file.truncate(0)


@contextmanager
def _opened_alone(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for reading and writing, for one process at a time; remove it if left empty."""
    with path.open("ab"):  # makes it without emptying it
        pass
    with path.open("r+b") as file:
        if sys.platform != "win32":  # there, two downloads at once end in a ChecksumError
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DownloadError(
                    f"Another download into {path.parent} is under way. Wait for it to end, or "
                    "stop it first."
                ) from error
            except OSError:
                pass  # a file system without locks: work unprotected rather than not at all
        try:
            yield file
        finally:
            if _length(file) == 0:
                with suppress(PermissionError):  # Windows keeps open files; it is empty anyway
                    path.unlink(missing_ok=True)


def _fetch(file: BinaryIO, archive: Archive, base: str, meter: _Meter) -> None:
    """Extend `file` to the length of the archive, however many connections that takes."""
    url = f"{base.rstrip('/')}/{archive.name}"
    if base == BASE_URL:
        url += "?download=1"
    furthest, failures = _length(file), 0
    while _length(file) != archive.size:
        try:
            _fetch_once(file, archive, url, meter)
        except _PassingError as error:
            # Only new ground counts: a server that never gets past the middle must not loop us.
            failures = 0 if _length(file) > furthest else failures + 1
            furthest = max(furthest, _length(file))
            if failures == ATTEMPTS:
                raise DownloadError(
                    f"Cannot download {archive.name}: {error} ({ATTEMPTS} attempts). What came so "
                    "far is kept: check the network and start again to go on from there, or "
                    f"fetch it from {RECORD_URL} elsewhere and unpack it into the same folder."
                ) from error
            meter.wait(max(min(error.wait, LONGEST_WAIT), BACKOFF * 2 ** max(failures - 1, 0)))


def _length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _fetch_once(file: BinaryIO, archive: Archive, url: str, meter: _Meter) -> None:
    """Ask for what is missing and append it.  A wrong mixture is found by the MD5 over all."""
    have = _length(file)
    if have > archive.size:
        file.truncate(0)
        have = 0
    headers = {"Accept-Encoding": "identity"}  # compressed, byte ranges would mean other bytes
    if have:
        headers["Range"] = f"bytes={have}-"
    host = urlsplit(url).hostname
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            have = _body_start(answer, file, archive)
            file.truncate(have)
            file.seek(have)
            meter.begin("download", archive.size, have)
            for block in answer.iter_content(BLOCK):
                have += file.write(block[: archive.size - have])
                meter.at(have)
                if have == archive.size:
                    return
    except requests.exceptions.SSLError as error:
        raise DownloadError(
            f"No secure connection to {host}: its certificate or the encryption was not accepted. "
            "Check this computer's clock, and whether a proxy stands in between."
        ) from error
    except requests.Timeout as error:
        raise _PassingError(f"{host} does not answer in time") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _PassingError(f"the connection to {host} broke off") from error
    except requests.ConnectionError as error:
        raise _PassingError(f"no working connection to {host}") from error
    except requests.RequestException as error:  # such as a redirect to something that is not http
        raise DownloadError(f"Cannot download {url}: {error}. Check the address.") from error
    raise _PassingError(f"the connection to {host} broke off")


def _body_start(answer: requests.Response, file: BinaryIO, archive: Archive) -> int:
    """Return which byte of the archive the answer begins with, if it has the archive at all."""
    status, start = answer.status_code, 0
    offered = answer.headers.get("Content-Length", "")
    if status == 206:
        content_range = answer.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range.strip())
        if not match or int(match[1]) != _length(file):
            file.truncate(0)  # asking for everything leaves nothing to misunderstand
            raise _PassingError(f"the server sent other bytes than asked for ({content_range!r})")
        start, offered = int(match[1]), match[2]
    elif status == 416:  # "range not satisfiable", though by our count bytes are missing
        file.truncate(0)
        raise _PassingError("the server has no more bytes than came already")
    elif status == 429 or status >= 500:
        pause = answer.headers.get("Retry-After", "")
        raise _PassingError(
            f"the server answers {status} {answer.reason}", float(pause) if pause.isdigit() else 0.0
        )
    elif status != 200:
        raise DownloadError(
            f"Cannot download {answer.url}: the server answers {status} {answer.reason}. Check the "
            f"address; the archives are at {RECORD_URL}."
        )
    if offered.isdigit() and int(offered) != archive.size:
        raise DownloadError(
            f"{answer.url} has {offered} bytes and {archive.name} has {archive.size}: it is "
            "another file, perhaps the page of a proxy or of a network log-in. Check the address."
        )
    return start


def _verify(file: BinaryIO, archive: Archive, meter: _Meter) -> None:
    """Check all bytes, including those that earlier processes left."""
    meter.begin("check", archive.size)
    digest, done = hashlib.md5(usedforsecurity=False), 0
    file.seek(0)
    while block := file.read(16 * BLOCK):
        digest.update(block)
        done += len(block)
        meter.at(done)
    if digest.hexdigest() != archive.md5:
        file.truncate(0)
        raise ChecksumError(
            f"{archive.name} was damaged on its way, or is another file: its MD5 is "
            f"{digest.hexdigest()} and should be {archive.md5}. It was deleted and nothing was "
            "unpacked. Start again to fetch it anew."
        )


def _unpack(file: BinaryIO, folder: Path, archive: Archive, meter: _Meter) -> dict[str, int]:
    """Write the recordings into `folder` and return their lengths in bytes by name."""
    for leftover in folder.glob("Actor_*/.writing-*.wav"):  # of an `atomic_path` that was killed
        leftover.unlink(missing_ok=True)
    try:
        zipped = zipfile.ZipFile(file)
    except DAMAGE as error:
        raise _unsafe(archive, f"it is damaged ({error})") from error
    with zipped:
        entries = _safe_entries(zipped, archive)
        missing = [e for e in entries if not _is_unpacked(folder / e.orig_filename, e)]
        left = sum(entry.file_size for entry in missing)
        _require_room(folder, left)
        total = sum(entry.file_size for entry in entries)
        meter.begin("unzip", total, total - left)
        for entry in missing:
            with atomic_path(folder / entry.orig_filename) as path:
                _unpack_one(zipped, entry, path, archive)
            left -= entry.file_size
            meter.at(total - left)
    return {entry.orig_filename: entry.file_size for entry in entries}


def _safe_entries(zipped: zipfile.ZipFile, archive: Archive) -> list[zipfile.ZipInfo]:
    """Return the recordings, or refuse the whole archive before anything is written."""
    everything = zipped.infolist()
    if len(everything) > MAX_ENTRIES:
        raise _unsafe(archive, f"it has {len(everything)} entries, more than {MAX_ENTRIES}")
    entries = []
    for entry in everything:
        name = entry.orig_filename  # as it was stored; `filename` is already prettified
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if name.startswith("/") or ".." in name.split("/") or re.search(r"[\\:\0]", name):
            raise _unsafe(archive, f"{name!r} leads out of the folder")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _unsafe(archive, f"{name!r} is a link or a special file")
        if HARMLESS.fullmatch(name):
            continue
        if not RECORDING.fullmatch(name):
            raise _unsafe(archive, f"{name!r} is not a recording named Actor_NN/NAME.wav")
        if entry.flag_bits & 0x1:
            raise _unsafe(archive, f"{name!r} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _unsafe(archive, f"{name!r} is compressed in an unusual way")
        if entry.file_size > MAX_ENTRY:
            raise _unsafe(archive, f"{name!r} would unpack to {entry.file_size} bytes")
        if entry.header_offset < 0:
            raise _unsafe(archive, f"{name!r} is damaged (it begins before the archive)")
        entries.append(entry)
    if not entries:
        raise _unsafe(archive, "it has no recordings")
    if len({entry.orig_filename.lower() for entry in entries}) != len(entries):
        raise _unsafe(archive, "two entries have the same name")
    if (total := sum(entry.file_size for entry in entries)) > MAX_TOTAL:
        raise _unsafe(archive, f"it would unpack to {total} bytes")
    return entries


def _unpack_one(
    zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, archive: Archive
) -> None:
    """Write one entry, counting, since the length that an archive declares can be a lie."""
    written = 0
    try:
        with zipped.open(entry) as source, path.open("wb") as target:
            while (block := source.read(BLOCK)) and written <= entry.file_size:
                written += target.write(block)
    except DAMAGE as error:
        raise _unsafe(archive, f"{entry.orig_filename!r} is damaged ({error})") from error
    if written != entry.file_size:
        raise _unsafe(archive, f"{entry.orig_filename!r} does not have the length that it declares")


def _is_unpacked(path: Path, entry: zipfile.ZipInfo) -> bool:
    try:
        same_size = path.stat().st_size == entry.file_size
        return same_size and zlib.crc32(path.read_bytes()) == entry.CRC
    except FileNotFoundError:
        return False


def _unsafe(archive: Archive, what: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(f"{archive.name} was deleted and not unpacked any further: {what}.")
