"""The HTTP API under load: how long answers take when many ask at once, and what fails.

    python -m benchmarks.service [--clients 20] [--minutes 5] [--model BUNDLE …] [--json FILE]

``ser serve`` is started here and asked by so many clients, each of which posts a sample of 1 to 3 s
as soon as the last one is answered, or as often as ``--pause`` says. Run it on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import requests

from benchmarks.timing import megabytes
from ser.assets import DEFAULT_MODEL, RAVDESS_MODEL, SAMPLES
from ser.utils.files import write_json

CLIPS = [clip.read_bytes() for clip in sorted(SAMPLES.rglob("*.flac"))]


def ask(
    port: int, until: float, pause: float, seed: int, times: list[float], fails: Counter[str]
) -> None:
    """Post one sample after the other and note how long each answer took."""
    chance = random.Random(seed)
    time.sleep(chance.uniform(0, max(pause, 1.0)))  # not all in step
    # The standard library's client: it shares the cores with what is measured, so a light one.
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        while time.monotonic() < until:
            begun = time.monotonic()
            try:
                connection.request("POST", "/v1/predict", chance.choice(CLIPS))
                response = connection.getresponse()
                answer = response.read()
            except (OSError, HTTPException) as error:
                fails[type(error).__name__] += 1
                connection.close()  # the next question opens it again
            else:
                if response.status == HTTPStatus.OK:
                    times.append(time.monotonic() - begun)
                else:
                    fails[json.loads(answer)["code"]] += 1
            time.sleep(max(begun + pause * chance.uniform(0.5, 1.5) - time.monotonic(), 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two questions")
    parser.add_argument("--model", type=Path, action="append", help="may be given again")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for model in options.model or [DEFAULT_MODEL, RAVDESS_MODEL]:
        results[model.name] = load(model, options.clients, options.minutes, options.pause)
        print(model.name)
        for name, value in results[model.name].items():
            print(f"  {name:14} {value}")
    if options.json:
        write_json(options.json, results)


def load(model: Path, clients: int, minutes: float, pause: float) -> dict[str, Any]:
    """Serve a model, let clients ask it, and return what came of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ser", "serve", "--port", str(port)]
    process = subprocess.Popen([*command, "--model", str(model)])
    try:
        begun = time.monotonic()
        while True:
            try:
                if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok:
                    break
            except requests.ConnectionError:
                pass
            time.sleep(0.05)
        ready = time.monotonic() - begun
        times: list[float] = []
        fails: Counter[str] = Counter()
        until = time.monotonic() + 60 * minutes
        threads = [
            threading.Thread(target=ask, args=(port, until, pause, i, times, fails))
            for i in range(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        memory = megabytes(process.pid, "VmRSS")
    finally:
        process.terminate()
        process.wait(60)
    milliseconds = 1000 * np.array(times)
    return {
        "clients": clients,
        "minutes": minutes,
        "pause_s": pause,
        "ready_s": round(ready, 2),
        "answers": len(times),
        "answers_per_s": round(len(times) / (60 * minutes), 1),
        "errors": dict(fails),
        "p50_ms": round(float(np.median(milliseconds))),
        "p95_ms": round(float(np.quantile(milliseconds, 0.95))),
        "memory_mb": round(memory),
    }


if __name__ == "__main__":
    main()
