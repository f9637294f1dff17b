"""How much memory work over many clips takes at most, and how fast it is.

    python -m benchmarks.memory FOLDER [--clips 1000 10000] [--commands scan ...] [--json FILE]

FOLDER holds recordings of a corpus, which are listed again and again until there are as many as
asked for. Measured while ``ser scan``, ``features``, ``predict`` and ``evaluate`` with ``--out``
work through them, every clip anew: the most memory of the command itself and of the largest of its
workers (VmHWM, so only on Linux), and clips per second over all workers.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.timing import megabytes
from ser.assets import DEFAULT_MODEL
from ser.audio import EXTENSIONS
from ser.shards.manifest import Clip, write_manifest
from ser.utils.files import read_json, write_json

GIVEN: dict[str, list[str]] = {
    "scan": [],
    "features": [],
    "predict": [],
    "evaluate": [str(DEFAULT_MODEL), "--protocol", "all", "--data"],
}
"""What comes before the clips."""


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    found: list[int] = []
    for thread in Path(f"/proc/{process}/task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return found


def measure(command: str, files: list[Path], count: int) -> dict[str, Any]:
    """Work through so many clips; returns what it took."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "clips.parquet"
        clips = (Clip(str(file)) for file in itertools.islice(itertools.cycle(files), count))
        write_manifest(manifest, clips, size=500)
        begun = time.perf_counter()
        settings = [*GIVEN[command], str(manifest), "--out", f"{folder}/out"]
        running = subprocess.Popen(
            [sys.executable, "-m", "ser", command, *settings],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"XDG_CACHE_HOME": folder},
        )
        itself, workers = 0.0, 0.0
        while running.poll() is None:
            with suppress(OSError, IndexError):  # one of them has just ended
                itself = max(itself, megabytes(running.pid, "VmHWM"))
                for child in children(running.pid):
                    workers = max(workers, megabytes(child, "VmHWM"))
            time.sleep(0.2)
        seconds = time.perf_counter() - begun
    if running.returncode:
        raise SystemExit(f"ser {command} failed")
    return {
        "clips": count,
        "command (MB)": round(itself),
        "largest worker (MB)": round(workers),
        "clips per second": round(count / seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--commands", choices=GIVEN, nargs="+", default=[*GIVEN])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = sorted(p.resolve() for p in options.folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    result: dict[str, Any] = {}
    if options.json and options.json.exists():  # other sizes may have been measured before
        result = read_json(options.json)
    result["recordings"] = len(files)
    for command in options.commands:
        for count in options.clips:
            found = measure(command, files, count)
            others = [row for row in result.get(command, []) if row["clips"] != count]
            result[command] = sorted([*others, found], key=lambda row: row["clips"])
            print(command, found, flush=True)
            if options.json:
                write_json(options.json, result)


if __name__ == "__main__":
    main()
