"""How well work spreads over Dask's workers.

    python -m benchmarks.cluster [FOLDER] [--clips 2000] [--simulated 64] [--shards 2000 6000]
        [--json FILE]

With FOLDER, which holds recordings, ``ser predict --out --cluster`` answers so many clips (the
recordings are listed again and again) with one worker, then with two, of a scheduler here.

Then a larger cluster is simulated, on Dask's own scheduler and through the code that spreads
shards, but a shard only sleeps.  Some shards take three times as long, some fail once, some workers
are slow and some are lost.  The efficiency is the time that the shards need on workers that are all
well, over the time that it took.  The longer the job, the less its last shards weigh.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, LocalCluster, get_worker
from tqdm.auto import tqdm

from ser.audio import EXTENSIONS
from ser.errors import OutputError
from ser.shards.cluster import opened
from ser.shards.manifest import Clip, write_manifest
from ser.utils.files import read_json, write_json

SECONDS = 10.0  # a shard has ten seconds of work or more
STRAGGLERS, FAILURES = 0.02, 0.01  # shards that take three times as long, or fail at first
SLOW, LOST = 2, 2  # workers that take four times as long, or vanish in the middle

_failed: set[int] = set()


def measured(files: list[Path], clips: int, workers: int) -> dict[str, Any]:
    """Answer so many clips on real workers of this machine."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        manifest, file = folder / "clips.parquet", folder / "scheduler.json"
        some = (Clip(str(file)) for file in itertools.islice(itertools.cycle(files), clips))
        write_manifest(manifest, some, size=100)

        def dask(*words: str) -> None:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *words, "--scheduler-file", str(file)],
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)

        dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0")
        while not file.exists():
            time.sleep(0.1)
        dask("worker", "--nthreads", "1", "--nworkers", str(workers), "--no-dashboard")
        address = json.loads(file.read_text())["address"]
        out = ["--out", str(folder / "out"), "--per-shard", "100", "--cluster", address]
        with Client(address) as client:
            client.wait_for_workers(workers)
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ser", "predict", str(manifest), *out], check=True)
        seconds = time.perf_counter() - begun
    return {"workers": workers, "clips": clips, "clips per second": round(clips / seconds, 1)}


def seconds_of(number: int) -> float:
    """Return how long a shard takes on a worker that is well."""
    rng = np.random.default_rng(number)
    return SECONDS * rng.uniform(0.8, 1.2) * (3 if rng.random() < STRAGGLERS else 1)


def shard(number: int) -> int:
    """Sleep as long as a shard takes."""
    time.sleep(seconds_of(number) * (4 if get_worker().name < SLOW else 1))
    if np.random.default_rng(number).random() < FAILURES and number not in _failed:
        _failed.add(number)
        raise OutputError("The disk hiccups.")
    return number


def simulated(workers: int, shards: int) -> dict[str, Any]:
    """Let so many workers sleep for so many shards, some of them badly."""
    _failed.clear()
    seconds = [seconds_of(number) for number in range(shards)]
    done = []
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,  # sleeping takes none
            processes=False,
            protocol="tcp",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        opened(cluster.scheduler_address) as spread,
    ):
        begun = time.perf_counter()
        for number in tqdm(spread(shard, range(shards)), "Sleeping", shards, mininterval=10):
            done.append(number)
            if len(done) == shards // 2:
                for name in range(SLOW, SLOW + LOST):
                    lost = cluster.workers[name].address
                    cluster.sync(cluster.scheduler.remove_worker, lost, stimulus_id="lost")
        took = time.perf_counter() - begun
    assert sorted(done) == list(range(shards)), "a shard is missing, or came twice"
    ideal = sum(seconds) / workers
    return {
        "workers": workers,
        "shards": shards,
        "seconds of a shard": SECONDS,
        "shards that take three times as long": sum(each > 1.5 * SECONDS for each in seconds),
        "shards that failed once": len(_failed),
        "workers that take four times as long": SLOW,
        "workers lost in the middle": LOST,
        "seconds": round(took, 1),
        "seconds if all were well": round(ideal, 1),
        "efficiency": round(ideal / took, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--simulated", type=int, default=64, metavar="WORKERS", help="0 for none")
    parser.add_argument("--shards", type=int, nargs="+", default=[2000, 6000])  # of 500 clips
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    if options.json and options.json.exists():  # one half may be measured without the other
        result = read_json(options.json)
    if options.folder:
        files = sorted(
            p.resolve() for p in options.folder.rglob("*") if p.suffix.lower() in EXTENSIONS
        )
        result["measured"] = [measured(files, options.clips, workers) for workers in (1, 2)]
    if options.simulated:
        result["simulated"] = [simulated(options.simulated, count) for count in options.shards]
    print(json.dumps(result, indent=2))
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    # Not this module, which Dask would send by value, each time with a new list of failures.
    from benchmarks import cluster

    cluster.main()
