"""What work comes to that is killed at random moments, and begun again after each.

    python -m benchmarks.kills [--kinds predict scan …] [--kills 25] [--json FILE]

Every kind of work is done once undisturbed, and then killed (SIGKILL) so many times at moments
drawn evenly from the time that it took.  After each kill the files that it is to leave must be
absent or whole.  Whenever it comes to its end before its moment, and at the very end, they must be
those of the undisturbed work; the next kill is then of work that begins anew.  A file of results
keeps those of other kinds.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ser import assets
from ser.data.download import Archive, download_ravdess
from ser.utils.files import read_json, write_json

_ADDRESS = "KILLS_ADDRESS"  # the variable that tells the work where archives are served
_BLOCK, _PAUSE = 64 * 1024, 0.04  # bytes, and seconds after them: 1.6 MB/s
_MODEL = str(assets.RAVDESS_MODEL)
_SAMPLES = str(assets.SAMPLES / "Actor_25")


def _command(*words: str) -> None:
    from ser.cli import main

    if code := main(words):
        sys.exit(code)


def predict(folder: Path) -> None:
    """Answer a folder's recordings, into a CSV file."""
    _command(
        "evaluate",
        _MODEL,
        "--data",
        _SAMPLES,
        "--protocol",
        "all",
        "--csv",
        str(folder / "answers.csv"),
    )


def shards(folder: Path) -> None:
    """Answer a folder's recordings shard by shard, going on with what is done."""
    out = folder / "out"
    more = ["--resume"] if out.exists() else []
    _command("predict", _SAMPLES, "--out", str(out), "--per-shard", "3", "--n-jobs", "1", *more)


@cache
def archives() -> dict[str, bytes]:
    """Return the two archives that are fetched; noise, which does not get smaller in them."""
    rng = np.random.default_rng(0)
    packed = {}
    for part, number in (("speech", 40), ("song", 15)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(number):
                name = f"Actor_{i % 4 + 1:02}/{part}-{i:02}.wav"
                archive.writestr(zipfile.ZipInfo(name), rng.bytes(100_000))
        packed[part] = file.getvalue()
    return packed


class _Slowly(BaseHTTPRequestHandler):
    """Serves the archives at the pace of a slow line, from any byte on."""

    def do_GET(self) -> None:
        content = archives()[Path(self.path).stem]
        start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        with suppress(ConnectionError):  # whoever fetches is killed
            for place in range(start, len(content), _BLOCK):
                self.wfile.write(content[place : place + _BLOCK])
                time.sleep(_PAUSE)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    """Serve the archives; gives the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slowly) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def download(folder: Path) -> None:
    """Fetch and unpack both archives, going on from the byte that came last."""
    published = {
        part: Archive(f"{part}.zip", len(content), hashlib.md5(content).hexdigest())
        for part, content in archives().items()
    }
    download_ravdess(folder / "ravdess", url=os.environ[_ADDRESS], archives=published)


def scan(folder: Path) -> None:
    """Open every clip of a corpus; what is found is kept in the cache, and written."""
    _command("scan", _SAMPLES, "--csv", str(folder / "clips.csv"))


def features(folder: Path) -> None:
    """Compute features with copies by way of the cache."""
    from ser.data.feature_cache import compute_features, save_features

    clips = sorted(Path(_SAMPLES).glob("*.flac"))
    found = compute_features([str(clip) for clip in clips], copies=2, n_jobs=1)
    save_features(folder / "features.npz", found, ["angry"] * len(clips), [c.name for c in clips])


def teach(folder: Path) -> None:
    """Keep recordings of a voice; those that are there already are not taken twice."""
    from ser.data.recordings import Voice

    Voice(folder / "voice").import_clips(_SAMPLES)


def adapt(folder: Path) -> None:
    """Save a model that learned a voice, over the one that may be there."""
    _command("adapt", _MODEL, "--data", _SAMPLES, "--out", str(folder / "adapted"))


def train(folder: Path) -> None:
    """Train a small network, going on from the last epoch."""
    from ser.training import pipeline
    from tests.tiny import SAMPLES, tiny_config

    run = pipeline.start_or_resume(folder / "run", tiny_config(SAMPLES, epochs=20))
    if run.read_status().state != "finished":
        pipeline.train(run, n_jobs=1)


def crossval(folder: Path) -> None:
    """Train and test in two folds."""
    from ser.training.cross_validation import cross_validate
    from tests.tiny import SAMPLES, tiny_config

    config = tiny_config(SAMPLES, protocol="unseen-speakers", folds=2)
    there = (folder / "study" / "config.json").exists()
    cross_validate(folder / "study", config, resume=there, n_jobs=1)


WORK: dict[str, tuple[Callable[[Path], None], tuple[str, ...], int]] = {
    "predict": (predict, ("answers.csv",), 10),
    "shards": (shards, ("out/predictions.csv", "out/**/*.parquet"), 12),
    "download": (download, ("ravdess/Actor_*/*.wav", "ravdess/.ravdess-*.json"), 15),
    "scan": (scan, ("clips.csv",), 15),
    "features": (features, ("features.npz",), 10),
    "teach": (teach, ("voice/*.wav",), 12),
    "train": (train, ("run/network.onnx", "run/embedding.npz"), 10),
    "adapt": (adapt, ("adapted/network.onnx", "adapted/embedding.npz"), 10),
    "crossval": (crossval, ("study/*/network.onnx",), 6),
}
"""Of each kind what it does, which files must come out the same, and how often it is killed."""


def _start(kind: str, folder: Path, address: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    own = {
        "SER_CACHE": str(folder / "cache"),
        "SER_HOME": str(folder / "home"),
        "NO_PROXY": "127.0.0.1",
        _ADDRESS: address,
    }
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.kills", "--work", kind, str(folder)],
            env={**os.environ, **own},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _finish(kind: str, folder: Path, address: str) -> None:
    if _start(kind, folder, address).wait():
        raise SystemExit((folder / "log.txt").read_text())


def _prints(kind: str, folder: Path) -> dict[str, str]:
    """Return what the files hold that must come out the same."""
    found = sorted(file for pattern in WORK[kind][1] for file in folder.glob(pattern))
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in found
    }


def killed(kind: str, count: int, address: str) -> dict[str, Any]:
    """Kill one kind of work so many times, and say what came of it."""
    rng = np.random.default_rng(0)
    kills = half = ends = same = 0
    with tempfile.TemporaryDirectory() as place:
        begun = time.monotonic()
        _finish(kind, Path(place) / "undisturbed", address)
        seconds = time.monotonic() - begun
        expected = _prints(kind, Path(place) / "undisturbed")
        folder = Path(place) / "0"
        bar = tqdm(total=count, desc=kind, mininterval=10)
        while kills < count:
            process = _start(kind, folder, address)
            try:
                if process.wait(timeout=rng.uniform(0, seconds)):
                    raise SystemExit((folder / "log.txt").read_text())
                ends += 1
                same += _prints(kind, folder) == expected
                folder = Path(place) / str(ends)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                bar.update()
                half += not _prints(kind, folder).items() <= expected.items()
        bar.close()
        _finish(kind, folder, address)
        ends += 1
        same += _prints(kind, folder) == expected
    return {
        "kills": kills,
        "half-written or other files": half,
        "came to its end": ends,
        "of these same as undisturbed": same if expected else 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--kills", type=int, help="of each kind (by default as in the code)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        WORK[options.work[0]][0](Path(options.work[1]))
        return
    result = read_json(options.json) if options.json and options.json.exists() else {}
    with served() as address:
        for kind in options.kinds:
            result[kind] = killed(kind, options.kills or WORK[kind][2], address)
            print(kind, result[kind], flush=True)
            if options.json:
                write_json(options.json, result)


if __name__ == "__main__":
    main()
