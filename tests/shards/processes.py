"""Commands over many clips and clusters of Dask as real processes, which can be killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from coverage import Coverage

from tests.tiny import SAMPLES

PROJECT = SAMPLES.parent.parent
PER_SHARD = 3


def command(clips, out, *more):
    settings = ["--per-shard", PER_SHARD, *more]
    return ["predict", str(clips), "--out", str(out), *map(str, settings)]


def contents(store):
    """Return all files of a store by their places.

    When a job over a cluster ends, another worker may still write a shard a second time.
    """
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if not path.name.startswith(".writing-") and path.is_file()
    }


def start(*arguments, before=()):
    """Start a command in a group of its own, so that it can be killed with its workers."""
    env = dict(os.environ)
    if Coverage.current():  # measure what is done there as well
        env["COVERAGE_PROCESS_START"] = str(PROJECT / "pyproject.toml")
    return subprocess.Popen(
        [*before, sys.executable, "-m", "ser", *arguments],
        cwd=PROJECT,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, process):
    while not condition():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)  # leaves the processor to the process


def receipts(store):
    return len(list((store / "finished").glob("0*.json")))


def one_line(errors, *words):
    """Assert that a command said one clear sentence with these words."""
    lines = [line for line in errors.splitlines() if line.startswith("ser: ")]
    assert len(lines) == 1 and "Traceback" not in errors, errors
    for word in words:
        assert word in lines[0]


def refused(capfd, *words):
    one_line(capfd.readouterr().err, *words)


def whole(store):
    """Assert that nothing in a store is half-written, whatever became of the job."""
    assert not list(store.rglob(".writing-*"))
    for receipt in (store / "finished").glob("0*.json"):
        assert (store / "parts" / f"part-{receipt.stem}.parquet").stat().st_size > 0


def root_can(*words):
    """Skip a test where a command fails that only root may give, and not everywhere."""
    if shutil.which(words[0]) is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip(f"needs root, and a system that allows {' '.join(map(str, words))}")


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Dask:
    """A scheduler and its workers, each a process group of its own."""

    def __init__(self, folder, host="127.0.0.1"):
        self.folder = folder
        self.address = f"tcp://{host}:{free_port()}"
        self.processes = {}

    def start(self, name, *words, expect, before=(), **environment):
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "dask", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes[name] = process
        said = [""]
        while expect not in said[-1]:
            said.append(process.stderr.readline())
            assert said[-1], f"{name} has ended: {''.join(said)}"

    def scheduler(self, before=(), **environment):
        host, port = self.address.removeprefix("tcp://").split(":")
        places = ["--host", host, "--port", port, "--dashboard-address", f"{host}:0"]
        words = ["scheduler", *places]
        self.start("scheduler", *words, expect="dashboard at", before=before, **environment)

    def worker(self, name, *more, host="127.0.0.1", before=(), **environment):
        places = ["--host", host, "--no-dashboard", "--name", name]
        words = ["worker", self.address, *places, *(more or ["--nthreads", "1", "--no-nanny"])]
        self.start(name, *words, expect="Registered to", before=before, **environment)

    def kill(self, *names):
        for name in names or list(self.processes):
            process = self.processes.pop(name)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stderr.close()
