"""Many visitors at once: how long pages and answers take, what fails, and whether memory grows.

    python -m benchmarks.visitors [--visitors 20] [--minutes 60] [--json FILE]

A public server with its API is started here. Of four visitors one opens a page, looks at it for
a few seconds and goes on to another; one uploads a sample on a page and waits for the answer; both
speak the app's own protocol as browsers do, without drawing anything. One posts a sample to the
API, and one speaks live over its WebSocket, as fast as people do. Memory is that of the server, at
each sixtieth of the time; what it has at the end is compared with what it had after a sixth, which
is the tenth minute of an hour. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import requests
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState, UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from websockets.sync.client import connect

from benchmarks.timing import megabytes
from ser import audio
from ser.assets import SAMPLES
from ser.utils.files import write_json

PAGES = ("", "Dataset", "Training", "Evaluation", "Prediction", "Your_voice")
CLIPS = sorted(SAMPLES.rglob("*.flac"))
_PATIENCE = 60.0
_PIECE = audio.SAMPLING_RATE // 10  # samples of live sound that are sent at once
_SAMPLES_OF_MEMORY, _SETTLED = 60, 10  # and the one by which the server has all it keeps


class Visit:
    """A session of the app, opened at a page."""

    def __init__(self, address: str, page: str) -> None:
        stream = address.replace("http", "ws", 1) + "/_stcore/stream"
        self.address = address
        self.errors: list[str] = []
        self.uploader = ""
        self.said = ""
        options: Any = {"subprotocols": ["streamlit"], "origin": address, "max_size": None}
        self.socket: Any = connect(stream, legacy=True, **options)
        self.page = page
        self._run(WidgetStates())

    def _run(self, widgets: WidgetStates) -> None:
        message = BackMsg()
        message.rerun_script.page_name = self.page
        message.rerun_script.widget_states.CopyFrom(widgets)
        self.socket.send(message.SerializeToString())
        self._follow("script_finished")

    def _follow(self, last: str) -> ForwardMsg:
        """Read what the server says until a message of one kind."""
        while True:
            message = ForwardMsg.FromString(self.socket.recv(timeout=_PATIENCE))
            kind = message.WhichOneof("type")
            if kind == "delta":
                self._look_at(message.delta.new_element)
            if kind == last:
                return message

    def _look_at(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.errors.append(element.exception.message)
        elif kind == "file_uploader":
            self.uploader = element.file_uploader.id
        elif kind in ("markdown", "alert", "heading"):
            self.said += f"{getattr(element, kind).body}\n"

    def upload(self, clip: Path) -> None:
        """Upload a recording and wait for its answer."""
        message = BackMsg()
        message.file_urls_request.request_id = "upload"
        message.file_urls_request.file_names.append(clip.name)
        self.socket.send(message.SerializeToString())
        urls = self._follow("file_urls_response").file_urls_response.file_urls[0]
        with requests.Session() as session:
            session.get(f"{self.address}/_stcore/health", timeout=_PATIENCE)
            token = session.cookies.get("_streamlit_xsrf", "")
            put = session.put(
                self.address + urls.upload_url,
                files={"file": (clip.name, clip.read_bytes())},
                headers={"X-Xsrftoken": token},
                timeout=_PATIENCE,
            )
        put.raise_for_status()
        info = UploadedFileInfo(
            file_id=urls.file_id, name=clip.name, size=clip.stat().st_size, file_urls=urls
        )
        state = WidgetState(
            id=self.uploader,
            file_uploader_state_value=FileUploaderState(uploaded_file_info=[info]),
        )
        self._run(WidgetStates(widgets=[state]))
        if "Heard:" not in self.said:
            self.errors.append(f"no answer: {self.said[-200:]!r}")

    def close(self) -> None:
        self.socket.close()


class Soak:
    """What all visitors met."""

    def __init__(self, address: str, end: float) -> None:
        self.address, self.end = address, end
        self.times: dict[str, list[float]] = {}
        self.errors: Counter[str] = Counter()
        self.first_errors: list[str] = []

    def visit(self, number: int) -> None:
        """Come again and again, for the same thing."""
        chance = random.Random(number)
        kinds = {"pages": self._page, "upload": self._upload, "API": self._ask, "live": self._speak}
        kind = list(kinds)[number % len(kinds)]
        while time.monotonic() < self.end:
            try:
                kinds[kind](chance)
            except Exception as error:  # counted, and the visitor comes again
                self._failed(kind, type(error).__name__, str(error))
            time.sleep(chance.uniform(2, 8))

    def _page(self, chance: random.Random) -> None:
        with self._opened(chance.choice(PAGES)):
            time.sleep(chance.uniform(1, 5))

    def _upload(self, chance: random.Random) -> None:
        with self._opened("Prediction") as visit:
            time.sleep(chance.uniform(1, 3))
            begun = time.monotonic()
            visit.upload(chance.choice(CLIPS))
            self._took("upload", time.monotonic() - begun)
            time.sleep(chance.uniform(1, 5))

    def _ask(self, chance: random.Random) -> None:
        begun = time.monotonic()
        answer = requests.post(
            f"{self.address}/api/v1/predict",
            data=chance.choice(CLIPS).read_bytes(),
            timeout=_PATIENCE,
        )
        answer.raise_for_status()
        self._took("API", time.monotonic() - begun)

    def _speak(self, chance: random.Random) -> None:
        """Send sound as a microphone does; an answer takes from its last sample on."""
        sound = np.concatenate([audio.load_audio(clip) for clip in chance.sample(CLIPS, 3)])
        pcm = (sound * 32767).astype("<i2")
        stream = self.address.replace("http", "ws", 1) + "/api/v1/stream"
        with connect(stream, legacy=True) as line:
            begun = time.monotonic()
            for start in range(0, len(pcm), _PIECE):
                line.send(pcm[start : start + _PIECE].tobytes())
                while (
                    left := begun + (start + _PIECE) / audio.SAMPLING_RATE - time.monotonic()
                ) > 0:
                    try:
                        self._heard(line.recv(timeout=left), begun)
                    except TimeoutError:
                        break
            line.send(json.dumps({"type": "finish"}))
            while self._heard(line.recv(timeout=_PATIENCE), begun) != "end":
                pass

    def _heard(self, message: Any, begun: float) -> str:
        said = json.loads(message)
        if said["type"] == "answer":
            self._took("live", time.monotonic() - begun - said["end"])
        elif said["type"] == "error":
            raise RuntimeError(said["detail"])
        elif not said["answers"]:
            raise RuntimeError("no answer to live speech")
        return str(said["type"])

    @contextmanager
    def _opened(self, page: str) -> Iterator[Visit]:
        begun = time.monotonic()
        visit = Visit(self.address, page)
        try:
            self._took("page", time.monotonic() - begun)
            yield visit
        finally:
            for message in visit.errors:
                self._failed("page", "shown", message)
            visit.close()

    def _took(self, what: str, seconds: float) -> None:
        self.times.setdefault(what, []).append(seconds)

    def _failed(self, what: str, kind: str, message: str) -> None:
        self.errors[f"{what}: {kind}"] += 1
        if len(self.first_errors) < 5:
            self.first_errors.append(f"{what}: {kind}: {message[:300]}")


def serve(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a public server and wait until it has loaded its model."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = ["--address", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "ser", "app", "--api", "--no-browser", *where],
        env={**os.environ, "SER_MODE": "public", "TMPDIR": str(folder)},
        stdout=(folder / "log.txt").open("w"),
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    while True:
        assert process.poll() is None, (folder / "log.txt").read_text()
        try:
            requests.get(f"{address}/api/readyz", timeout=5).raise_for_status()
            break
        except requests.RequestException:
            time.sleep(0.2)
    visit = Visit(address, "Prediction")
    visit.upload(CLIPS[0])
    visit.close()
    return process, address


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, address = serve(Path(folder))
        try:
            begun, seconds = time.monotonic(), 60 * options.minutes
            soak = Soak(address, begun + seconds)
            visitors = [
                threading.Thread(target=soak.visit, args=(i,)) for i in range(options.visitors)
            ]
            for visitor in visitors:
                visitor.start()
            memory = []
            for number in range(_SAMPLES_OF_MEMORY + 1):
                due = begun + number * seconds / _SAMPLES_OF_MEMORY
                time.sleep(max(due - time.monotonic(), 0))
                memory.append(round(megabytes(process.pid, "VmRSS")))
            for visitor in visitors:
                visitor.join()
            peak = megabytes(process.pid, "VmHWM")
        finally:
            process.terminate()
            process.wait(60)
    result = {
        "visitors": options.visitors,
        "minutes": options.minutes,
        "errors": dict(soak.errors),
        "first_errors": soak.first_errors,
        "seconds": {
            what: {
                "n": len(times),
                "median": round(float(np.median(times)), 2),
                "p95": round(float(np.percentile(times, 95)), 2),
                "longest": round(max(times), 2),
            }
            for what, times in soak.times.items()
        },
        "memory_mb": memory,
        "memory_at_the_end_to_after_a_sixth": round(memory[-1] / memory[_SETTLED], 3),
        "peak_mb": round(peak),
    }
    for figure, value in result.items():
        print(f"{figure}: {value}")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
