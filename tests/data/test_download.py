"""RAVDESS downloads, against a real server on this machine that can misbehave in many ways."""

from __future__ import annotations

import hashlib
import io
import json
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ser.data import download
from ser.data.download import (
    ARCHIVES,
    Archive,
    ChecksumError,
    DownloadError,
    download_ravdess,
    progress_bars,
)
from ser.errors import OutputError, Stopped
from ser.utils.parallel import Progress

Answer = Callable[["Handler", bytes], None]
NOISE = random.Random(0)  # does not compress, so archives are as long as what is in them
SPEECH = {
    f"Actor_0{n % 2 + 1}/03-01-0{n}-01-01-01-01.wav": NOISE.randbytes(70_000) for n in range(6)
}
SONG = {"Actor_01/03-02-01-01-01-01-01.wav": NOISE.randbytes(9_000)}


def make_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.mkdir("Actor_01")  # this and the next are not recordings
        zipped.writestr("__MACOSX/Actor_01/._a.wav", b"")
        for name, content in files.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def archive_of(name: str, content: bytes) -> Archive:
    return Archive(name, len(content), hashlib.md5(content).hexdigest())


SPEECH_ZIP, SONG_ZIP = make_zip(SPEECH), make_zip(SONG)
TWO = {"speech": archive_of("speech.zip", SPEECH_ZIP), "song": archive_of("song.zip", SONG_ZIP)}
ONE = {"speech": TWO["speech"]}


class Handler(BaseHTTPRequestHandler):
    """Answers well, with ranges, unless the server has a special answer in its queue."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        content = self.server.files.get(self.path.partition("?")[0])
        with suppress(ConnectionError):  # the client may leave at any time
            if self.server.special:
                self.server.special.popleft()(self, content or b"")
            elif content is None:
                self.reply(404)
            else:
                self.reply_well(content)

    def reply_well(self, content: bytes) -> None:
        start = self.range_start()
        if start == 0:
            self.reply(200, content)
        elif start < len(content):
            where = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(206, content[start:], content_range=where)
        else:
            self.reply(416)

    def range_start(self) -> int:
        return int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.server.sent.append(len(body))

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/speech.zip": SPEECH_ZIP, "/song.zip": SONG_ZIP}
        self.special: deque[Answer] = deque()
        self.requests: list[tuple[str, str | None]] = []
        self.sent: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.requests]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _quick_and_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACKOFF", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but the marker and the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".json" and path.name != ".lock"
    }


def stop_if(condition: Callable[[str], bool]) -> Progress:
    """Return a progress callback that stops the download at the first report that fits."""

    def progress(what: str, done: int, total: int) -> None:
        if condition(what):
            raise Stopped

    return progress


# Special answers of the server


def drop_half_way(handler: Handler, content: bytes) -> None:
    rest = content[handler.range_start() :]
    handler.reply(200, rest[: len(rest) // 2], content_length=str(len(rest)))


def refuse(status: int, **headers: str) -> Answer:
    return lambda handler, content: handler.reply(status, b"", **headers)


def ignore_range(handler: Handler, content: bytes) -> None:
    handler.reply(200, content)


def corrupt(handler: Handler, content: bytes) -> None:
    handler.reply(200, content[:-1] + bytes([content[-1] ^ 1]))


# The good way


def test_both_parts_arrive_in_the_official_layout(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "ravdess"
    assert download_ravdess(folder, url=server.url + "/", archives=TWO) == folder
    assert contents(folder) == SPEECH | SONG  # nothing else is left: no archive, no leftovers
    assert server.requests == [("/speech.zip", None), ("/song.zip", None)]


def test_the_second_call_asks_for_nothing(server: Server, tmp_path: Path) -> None:
    download_ravdess(tmp_path, url=server.url, archives=TWO)
    server.requests.clear()
    download_ravdess(tmp_path, url=server.url, archives=TWO)
    assert server.requests == []


def test_only_the_part_asked_for_is_fetched(server: Server, tmp_path: Path) -> None:
    download_ravdess(tmp_path, url=server.url, archives={"song": TWO["song"]})
    assert contents(tmp_path) == SONG
    download_ravdess(tmp_path, url=server.url, archives=TWO)
    assert [path for path, _ in server.requests] == ["/song.zip", "/speech.zip"]


@pytest.mark.parametrize("harm", ["removed", "truncated", "marker", "other release"])
def test_a_damaged_folder_is_mended(server: Server, tmp_path: Path, harm: str) -> None:
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    name, marker = min(SPEECH), tmp_path / ".ravdess-speech.json"
    if harm == "removed":
        (tmp_path / name).unlink()
    elif harm == "truncated":
        (tmp_path / name).write_bytes(b"RIFF")
    elif harm == "marker":
        marker.write_text("[]")
    else:
        marker.write_text(json.dumps({**json.loads(marker.read_text()), "md5": "0" * 32}))
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == SPEECH
    assert len(server.requests) == 2


def test_an_archive_left_behind_at_the_very_end_is_removed(server: Server, tmp_path: Path) -> None:
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    (tmp_path / "speech.zip.part").write_bytes(SPEECH_ZIP)
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == SPEECH


def test_progress_tells_every_phase_to_its_end(server: Server, tmp_path: Path) -> None:
    events: list[tuple[str, int, int]] = []
    download_ravdess(
        tmp_path, url=server.url, archives=TWO, progress=lambda *event: events.append(event)
    )
    last = {what: (done, total) for what, done, total in events}
    unpacked = sum(map(len, SPEECH.values()))
    assert list(last.items())[:3] == [
        ("Downloading speech", (len(SPEECH_ZIP), len(SPEECH_ZIP))),
        ("Checking speech", (len(SPEECH_ZIP), len(SPEECH_ZIP))),
        ("Unpacking speech", (unpacked, unpacked)),
    ]
    assert list(last)[3:] == ["Downloading song", "Checking song", "Unpacking song"]
    assert len([what for what, *_ in events if what == "Downloading speech"]) > 5


def test_progress_bars_are_drawn_on_standard_error(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bars() as progress:
        download_ravdess(tmp_path, url=server.url, archives=TWO, progress=progress)
    drawn = capsys.readouterr()
    assert drawn.out == ""
    for bar in ("Downloading speech: 100%", "Checking speech: 100%", "Unpacking song: 100%"):
        assert bar in drawn.err


def test_zenodo_itself_is_asked_for_a_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BASE_URL", server.url)
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert server.requests == [("/speech.zip?download=1", None)]


# Interruptions


def test_a_dropped_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.special.append(drop_half_way)
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    first, second = server.ranges()
    assert first is None and second is not None
    kept = int(second[len("bytes=") : -1])
    assert 0 < kept <= len(SPEECH_ZIP) // 2
    assert server.sent == [len(SPEECH_ZIP) // 2, len(SPEECH_ZIP) - kept]
    assert contents(tmp_path) == SPEECH


CHILD = """
import sys
from pathlib import Path
from ser.data.download import Archive, download_ravdess
folder, url, name, size, md5, pattern = sys.argv[1:]
def block(*now):
    if any(path.stat().st_size for path in Path(folder).glob(pattern)):
        print("there", flush=True)
        sys.stdin.read()
archives = {"speech": Archive(name, int(size), md5)}
download_ravdess(folder, url=url, archives=archives, progress=block)
"""


def interrupt_at(pattern: str, how: signal.Signals, server: Server, folder: Path) -> None:
    """Send a signal to another process that downloads, once it has written such a file."""
    archive = ONE["speech"]
    values = [folder, server.url, archive.name, archive.size, archive.md5, pattern]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, values)],
        cwd=Path(download.__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        child.send_signal(how)
        assert child.wait(10) == -how


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_goes_on_with_the_rest(
    server: Server, tmp_path: Path, how: signal.Signals
) -> None:
    interrupt_at("*.part", how, server, tmp_path)
    kept = (tmp_path / "speech.zip.part").stat().st_size
    assert 0 < kept < len(SPEECH_ZIP)
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert server.ranges() == [None, f"bytes={kept}-"]
    assert contents(tmp_path) == SPEECH


def test_a_killed_unpacking_goes_on_without_the_network(server: Server, tmp_path: Path) -> None:
    interrupt_at("Actor_*/03-*.wav", signal.SIGKILL, server, tmp_path)
    assert 0 < len(list(tmp_path.rglob("03-*.wav"))) < len(SPEECH)
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert len(server.requests) == 1
    assert contents(tmp_path) == SPEECH


@pytest.mark.parametrize("phase", ["Downloading", "Checking", "Unpacking"])
def test_stop_pauses_in_every_phase(server: Server, tmp_path: Path, phase: str) -> None:
    with pytest.raises(Stopped, match="start it again to go on"):
        download_ravdess(
            tmp_path,
            url=server.url,
            archives=ONE,
            progress=stop_if(
                lambda what: (
                    what.startswith(phase) and (tmp_path / "speech.zip.part").stat().st_size > 0
                )
            ),
        )
    kept = (tmp_path / "speech.zip.part").stat().st_size
    server.requests.clear()
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == SPEECH
    assert server.ranges() == ([f"bytes={kept}-"] if phase == "Downloading" else [])


@pytest.mark.parametrize(
    ("backoff", "trouble"), [(3600.0, refuse(503)), (0.0, refuse(429, retry_after="3600"))]
)
def test_waits_are_kept_and_end_when_stopped(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backoff: float,
    trouble: Answer,
) -> None:
    monkeypatch.setattr(download, "BACKOFF", backoff)
    server.special.append(trouble)
    with pytest.raises(Stopped):  # the wait is real: nothing but a stop ends it in time
        download_ravdess(
            tmp_path,
            url=server.url,
            archives=ONE,
            progress=stop_if(lambda what: len(server.requests) == 1),
        )


def test_two_downloads_into_one_folder_are_refused(server: Server, tmp_path: Path) -> None:
    refusals: list[str] = []

    def start_another(what: str, done: int, total: int) -> None:
        with pytest.raises(DownloadError) as caught:
            download_ravdess(tmp_path, url=server.url, archives=ONE)
        refusals.append(str(caught.value))

    download_ravdess(tmp_path, url=server.url, archives=ONE, progress=start_another)
    assert refusals and all("Another download" in refusal for refusal in refusals)
    assert contents(tmp_path) == SPEECH


# Servers that misbehave


def test_a_server_without_ranges_still_serves(server: Server, tmp_path: Path) -> None:
    (tmp_path / "speech.zip.part").write_bytes(SPEECH_ZIP[:100_000])
    server.special.append(ignore_range)
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == SPEECH
    assert server.ranges() == ["bytes=100000-"]


def test_a_server_that_never_gets_past_the_middle_is_given_up(
    server: Server, tmp_path: Path
) -> None:
    def always_half(handler: Handler, content: bytes) -> None:
        handler.reply(200, content[: len(content) // 2], content_length=str(len(content)))

    server.special.extend([always_half] * 50)
    with pytest.raises(DownloadError, match="broke off"):
        download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert len(server.requests) == 1 + download.ATTEMPTS  # the first one brought something new


@pytest.mark.parametrize(
    "trouble",
    [refuse(500), refuse(503), refuse(429, retry_after="0")],
    ids=["500", "503", "429"],
)
def test_passing_trouble_is_sat_out(server: Server, tmp_path: Path, trouble: Answer) -> None:
    server.special.extend([trouble] * (download.ATTEMPTS - 1))
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == SPEECH
    assert len(server.requests) == download.ATTEMPTS


def test_lasting_trouble_is_told(server: Server, tmp_path: Path) -> None:
    server.special.extend([refuse(500)] * 50)
    with pytest.raises(DownloadError, match="500 Internal Server Error") as caught:
        download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert "start again" in str(caught.value)
    assert len(server.requests) == download.ATTEMPTS
    assert contents(tmp_path) == {}


def test_a_missing_file_is_told_at_once(server: Server, tmp_path: Path) -> None:
    del server.files["/speech.zip"]
    with pytest.raises(DownloadError, match=r"speech\.zip.* 404 Not Found.*Check the address"):
        download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert len(server.requests) == 1
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("difference", [-1000, 1000])
def test_a_file_of_another_length_is_refused(
    server: Server, tmp_path: Path, difference: int
) -> None:
    length = str(len(SPEECH_ZIP) + difference)
    server.special.append(
        lambda handler, content: handler.reply(200, content, content_length=length)
    )
    with pytest.raises(DownloadError, match=f"speech.zip sends {length} bytes instead of"):
        download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == {}


def test_a_log_in_page_does_not_cost_what_came_before(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "speech.zip.part"
    part.write_bytes(SPEECH_ZIP[:100_000])
    server.special.append(lambda handler, content: handler.reply(200, b"<html>Please log in"))
    with pytest.raises(DownloadError, match="another file"):
        download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert part.read_bytes() == SPEECH_ZIP[:100_000]


def test_no_declared_length_is_no_obstacle(server: Server, tmp_path: Path) -> None:
    server.special.append(lambda handler, content: handler.reply(200, content, content_length=""))
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert len(server.requests) == 1
    assert contents(tmp_path) == SPEECH


def test_a_redirect_to_http_is_followed(server: Server, tmp_path: Path) -> None:
    server.special.append(refuse(302, location="/mirror/speech.zip"))
    server.files["/mirror/speech.zip"] = SPEECH_ZIP
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == SPEECH


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/speech.zip"])
def test_a_redirect_to_anything_else_is_refused(
    server: Server, tmp_path: Path, target: str
) -> None:
    server.special.append(refuse(302, location=target))
    with pytest.raises(DownloadError, match="Check the address"):
        download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == {}


def test_no_network_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(DownloadError, match=r"no working connection to 127\.0\.0\.1") as caught:
            download_ravdess(tmp_path, url=url, archives=ONE)
    assert "check the network" in str(caught.value)
    assert caught.value.code == "download"


# Checksums


def test_corrupted_bytes_are_refused_and_deleted(server: Server, tmp_path: Path) -> None:
    server.special.append(corrupt)
    with pytest.raises(ChecksumError, match="Start again to fetch it anew") as caught:
        download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert caught.value.code == "checksum"
    assert contents(tmp_path) == {}
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert contents(tmp_path) == SPEECH


@pytest.mark.parametrize("left", [b"\0" * 100_000, SPEECH_ZIP + b"x"], ids=["wrong", "too long"])
def test_what_an_earlier_process_left_is_checked_too(
    server: Server, tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "speech.zip.part").write_bytes(left)
    with pytest.raises(ChecksumError):
        download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert server.ranges() == (["bytes=100000-"] if len(left) == 100_000 else [])
    assert contents(tmp_path) == {}


def test_the_real_checksums_hold_for_any_address(server: Server, tmp_path: Path) -> None:
    part = tmp_path / f"{ARCHIVES['song'].name}.part"
    with part.open("wb") as file:
        file.truncate(ARCHIVES["song"].size)  # sparse, of the right length
    with pytest.raises(ChecksumError, match=ARCHIVES["song"].md5):
        download_ravdess(tmp_path, url=server.url, archives={"song": ARCHIVES["song"]})
    assert contents(tmp_path) == {}


# Folders and arguments


def test_a_folder_below_a_file_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match=r"file/ravdess: Not a directory.*another folder"):
        download_ravdess(tmp_path / "file" / "ravdess", url=server.url, archives=ONE)
    assert server.requests == []


def test_too_little_room_is_told_before_anything_is_fetched(server: Server, tmp_path: Path) -> None:
    huge = {"speech": Archive("speech.zip", 10**15, "0" * 32)}
    with pytest.raises(OutputError, match=r"Not enough room in .*3750000\.00 GB are needed"):
        download_ravdess(tmp_path, url=server.url, archives=huge)
    assert server.requests == []
    assert contents(tmp_path) == {}


def test_a_disk_that_refuses_more_is_told_and_resumable(server: Server, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # holds for root as well
    try:
        with pytest.raises(OutputError, match=r"Cannot write in .*Free some space"):
            download_ravdess(tmp_path, url=server.url, archives=ONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    download_ravdess(tmp_path, url=server.url, archives=ONE)
    assert server.ranges()[1] not in (None, "bytes=0-")
    assert contents(tmp_path) == SPEECH


@pytest.mark.parametrize(
    "url", ["ftp://example.org", "file:///etc", "example.org/files", "http://", "http://[", ""]
)
def test_addresses_that_are_not_http_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="begin with http:// or https://"):
        download_ravdess(tmp_path / "ravdess", url=url, archives=ONE)
    assert contents(tmp_path) == {}
