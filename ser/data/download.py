"""RAVDESS from Zenodo: fetched with resume, checked by MD5, unpacked.

Each part (speech, song) is fetched into ``NAME.zip.part``, checked, and unpacked into ``Actor_NN``
folders.  A marker file, written last, lists what was unpacked.  Whatever interrupts this, the next
call goes on from what is on disk.

Pooch is not used: it deletes what it has fetched so far at every interruption, and it can neither
be stopped nor tell how far it is while it checks and unpacks.  Nor is urllib3's ``Retry``: it does
not go on in the middle of a file, and nobody can stop it while it waits.
"""

from __future__ import annotations

import hashlib
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from ser.errors import OutputError, SerError, Stopped
from ser.utils.files import read_json, write_json
from ser.utils.parallel import Progress

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
BACKOFF = 1.0  # seconds before the second attempt; about doubles with each further one
LONGEST_WAIT = 90.0  # seconds; a server that asks for a longer pause is asked again after this
UNPACKED_RATIO = 2.75  # unpacked bytes per archived byte, rounded up: 2.5 for speech, 2.0 for song


class DownloadError(SerError):
    """RAVDESS cannot be fetched: no network, a refusing server, a wrong address."""

    code = "download"


class ChecksumError(DownloadError):
    """What was fetched is not the published archive; it was deleted."""

    code = "checksum"


class Archive(NamedTuple):
    """One file of a Zenodo record: its name, length in bytes, and MD5 in hexadecimal digits."""

    name: str
    size: int
    md5: str


ARCHIVES: Mapping[str, Archive] = {
    "speech": Archive(
        "Audio_Speech_Actors_01-24.zip", 208468073, "bc696df654c87fed845eb13823edef8a"
    ),
    "song": Archive("Audio_Song_Actors_01-24.zip", 225505317, "5411230427d67a21e18aa4d466e6d1b9"),
}


def download_ravdess(
    folder: str | Path,
    *,
    url: str = BASE_URL,
    archives: Mapping[str, Archive] = ARCHIVES,
    progress: Progress | None = None,
) -> Path:
    """Bring RAVDESS audio into `folder`, in its official layout ``Actor_NN/NAME.wav``.

    Parts that are there already cost no request.  Archives are removed once unpacked.  The two
    parts take about 1 GB, and about 1.5 GB while they are being unpacked.

    Parameters
    ----------
    folder : str or Path
        Where to put the ``Actor_NN`` folders.  Made if missing.
    url : str
        The http(s) address of a folder that has the archives: Zenodo record 1188976 or a mirror.
    archives : mapping of str to Archive
        The parts to bring: "speech" (1440 recordings), "song" (1012), or both.
    progress : callable, optional
        Called often with ("Downloading speech", bytes done, bytes in all), then the same with
        "Checking" and "Unpacking", also while waiting for the server.  It may raise `Stopped`.

    Returns
    -------
    Path
        `folder`, with all files of all parts.

    Raises
    ------
    DownloadError
        If the address is wrong, the server cannot be reached or refuses, or another download into
        `folder` is under way.
    ChecksumError
        If what was fetched is not the published archive.  It is deleted.
    OutputError
        If `folder` cannot be written to or its disk has too little room.
    Stopped
        If `progress` raised it.  The next call goes on from there.
    """
    folder = Path(folder)
    progress = progress or (lambda what, done, total: None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            missing = [part for part in archives if not _is_complete(folder, part, archives[part])]
            _require_room(folder, [archives[part] for part in missing])
            for part, archive in archives.items():
                path = folder / f"{archive.name}.part"
                if part in missing:
                    _bring(path, part, archive, url, progress)
                path.unlink(missing_ok=True)  # also one left by a process that died just before
    except Timeout as error:
        raise DownloadError(
            f"Another download into {folder} is under way. Wait for it to end, or stop it first."
        ) from error
    except OSError as error:
        raise OutputError(
            f"Cannot write in {folder}: {error.strerror or error}. Free some space there, mend "
            "its permissions, or choose another folder."
        ) from error
    except Stopped:
        raise Stopped(
            "The download of RAVDESS was stopped. What came so far is kept: start it again to go "
            "on from there."
        ) from None
    return folder


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Give a callback for `download_ravdess` that draws bars on standard error."""
    bars: dict[str, tqdm[NoReturn]] = {}
    with ExitStack() as stack:

        def show(what: str, done: int, total: int) -> None:
            if what not in bars:
                bar = tqdm(desc=what, total=total, initial=done, unit="B", unit_scale=True)
                bars[what] = stack.enter_context(bar)
            bars[what].update(done - bars[what].n)
            if done == total:
                bars[what].close()

        yield show


def _marker(folder: Path, part: str) -> Path:
    return folder / f".ravdess-{part}.json"


def _is_complete(folder: Path, part: str, archive: Archive) -> bool:
    """Whether the marker is of this archive and every file that it lists has its length."""
    try:
        marker = read_json(_marker(folder, part))
        return marker["md5"] == archive.md5 and all(
            (folder / name).stat().st_size == size for name, size in marker["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False  # no marker, or not one of ours


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _require_room(folder: Path, archives: list[Archive]) -> None:
    needed = 0
    for archive in archives:
        rest = archive.size - _size(folder / f"{archive.name}.part")
        if rest > 0:  # or else it may be unpacked already, but for a few files
            needed += rest + round(UNPACKED_RATIO * archive.size)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"Not enough room in {folder}: {needed / 1e9:.2f} GB are needed and "
            f"{free / 1e9:.2f} GB are free. Free some space or choose another folder."
        )


def _bring(path: Path, part: str, archive: Archive, url: str, progress: Progress) -> None:
    """Take one part through all its phases; its archive stays in `path`."""
    _fetch(path, archive, url, lambda done: progress(f"Downloading {part}", done, archive.size))
    _check(path, archive, lambda done: progress(f"Checking {part}", done, archive.size))
    with zipfile.ZipFile(path) as zipped:
        entries = [e for e in zipped.infolist() if fnmatchcase(e.filename, "Actor_*/*.wav")]
        done, total = 0, sum(entry.file_size for entry in entries)
        for entry in entries:
            zipped.extract(entry, path.parent)
            done += entry.file_size
            progress(f"Unpacking {part}", done, total)
    files = {entry.filename: entry.file_size for entry in entries}
    write_json(_marker(path.parent, part), {"md5": archive.md5, "files": files})


def _fetch(path: Path, archive: Archive, base: str, report: Callable[[int], None]) -> None:
    """Extend `path` to the length of the archive, however many connections that takes."""
    url = f"{base.rstrip('/')}/{archive.name}" + ("?download=1" if base == BASE_URL else "")
    furthest, failures, reason, asked = -1, 0, "", ""
    while (have := _size(path)) < archive.size:
        # Only new ground counts: a server that never gets past the middle must not loop us.
        failures = 0 if have > furthest else failures + 1
        furthest = max(furthest, have)
        if failures == ATTEMPTS:
            raise DownloadError(
                f"Cannot download {archive.name}: {reason} ({ATTEMPTS} attempts). What came so "
                "far is kept: check the network, a proxy in between and this computer's clock, "
                f"and start again to go on from there, or fetch it from {RECORD_URL} elsewhere and "
                "unpack it into the same folder."
            )
        wait = max(BACKOFF * (2**failures - 1), int(asked) if asked.isdigit() else 0)
        for _ in range(int(10 * min(wait, LONGEST_WAIT))):
            report(have)
            time.sleep(0.1)
        reason, asked = "the connection broke off", ""
        try:
            _append(path, archive, url, report)
        except requests.exceptions.ChunkedEncodingError:
            pass
        except (requests.ConnectionError, requests.Timeout):
            reason = f"no working connection to {urlsplit(url).hostname}"
        except requests.RequestException as error:
            answer = error.response
            if answer is None or not (answer.status_code == 429 or answer.status_code >= 500):
                raise DownloadError(
                    f"Cannot download {url}: {error}. Check the address: it must begin with "
                    f"http:// or https:// and lead to the archives, as {BASE_URL} does."
                ) from error
            reason, asked = str(error), answer.headers.get("Retry-After", "")


def _append(path: Path, archive: Archive, url: str, report: Callable[[int], None]) -> None:
    """Ask once for what is missing.  A wrong mixture is found by the MD5 over all."""
    have = _size(path)
    headers = {"Accept-Encoding": "identity"}  # compressed, byte ranges would mean other bytes
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code not in (200, 206):
            words = f"the server answers {answer.status_code} {answer.reason}"
            raise requests.HTTPError(words, response=answer)
        goes_on = answer.status_code == 206  # or else it is the whole file from its beginning
        expected = archive.size - have if goes_on else archive.size
        length = answer.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != expected:
            raise DownloadError(
                f"{url} sends {length} bytes instead of {expected}: it is another file, perhaps "
                "the page of a proxy or of a network log-in. Check the address."
            )
        with path.open("ab" if goes_on else "wb") as file:
            report(file.tell())
            for block in answer.iter_content(BLOCK):
                file.write(block)
                report(file.tell())


def _check(path: Path, archive: Archive, report: Callable[[int], None]) -> None:
    """Check all bytes, including those that earlier processes left."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(16 * BLOCK):
            digest.update(block)
            report(file.tell())
    if digest.hexdigest() != archive.md5:
        path.unlink()
        raise ChecksumError(
            f"{archive.name} was damaged on its way, or is another file: its MD5 is "
            f"{digest.hexdigest()} and should be {archive.md5}. It was deleted and nothing was "
            "unpacked. Start again to fetch it anew."
        )
