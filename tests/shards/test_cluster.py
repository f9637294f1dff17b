"""Shards over a real scheduler of Dask and real workers, which are killed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec

import pytest

from ser.cli import main
from tests.shards.processes import (
    PER_SHARD,
    PROJECT,
    Dask,
    command,
    contents,
    free_port,
    one_line,
    receipts,
    refused,
    root_can,
    start,
    wait_until,
)

pytestmark = pytest.mark.skipif(find_spec("distributed") is None, reason="Dask is not installed")


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    here = Dask(tmp_path_factory.mktemp("dask"))
    here.scheduler()
    here.worker("first")
    here.worker("second")
    yield here
    here.kill()


def test_a_cluster_gives_the_bytes_of_one_machine(dask, clips, alone, tmp_path, capfd):
    out = tmp_path / "out"
    assert main(command(clips, out, "--cluster", dask.address)) == 2
    assert re.search(r"Dask's dashboard: http://127\.0\.0\.1:\d+/status", capfd.readouterr().err)
    assert contents(out) == alone


def test_workers_of_this_machine_give_them_too(clips, alone, tmp_path):
    """In a process of its own, as Dask's workers are children of it."""
    running = start(*command(clips, tmp_path / "out", "--cluster", "local", "--n-jobs", 1))
    _, errors = running.communicate()
    assert running.returncode == 2 and "Traceback" not in errors, errors
    assert contents(tmp_path / "out") == alone


def test_a_worker_that_hangs_and_one_that_is_killed_cost_nothing(dask, clips, alone, tmp_path):
    out = tmp_path / "out"
    dask.worker("third")
    dask.worker("fourth")
    running = start(*command(clips, out, "--cluster", dask.address))
    wait_until(lambda: receipts(out) >= 1, running)
    os.killpg(dask.processes["third"].pid, signal.SIGSTOP)
    dask.kill("fourth")
    _, errors = running.communicate()
    dask.kill("third")
    assert running.returncode == 2 and "1 of 41 clips cannot be used" in errors, errors
    assert contents(out) == alone


def test_a_killed_client_goes_on_where_it_was(dask, clips, alone, tmp_path):
    out = tmp_path / "out"
    running = start(*command(clips, out, "--cluster", dask.address))
    wait_until(lambda: receipts(out) >= 1, running)
    running.kill()
    running.communicate()
    assert main(command(clips, out, "--resume", "--cluster", dask.address)) == 2
    assert contents(out) == alone


def test_ctrl_c_cancels_and_says_how_to_go_on(dask, clips, alone, tmp_path):
    out = tmp_path / "out"
    running = start(*command(clips, out, "--cluster", dask.address))
    wait_until(lambda: receipts(out) >= 1, running)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate()
    assert running.returncode == 130 and "Traceback" not in errors, errors
    assert "Go on with the same command and --resume" in errors
    assert main(command(clips, out, "--resume", "--cluster", dask.address)) == 2
    assert contents(out) == alone


def test_a_worker_that_sees_another_disk_is_refused_and_named(clips, tmp_path, capfd):
    """The store's folder is hidden from the worker by an empty file system."""
    out = tmp_path / "disk" / "out"
    out.parent.mkdir()
    root_can("unshare", "-m", "true")
    here = Dask(tmp_path)
    here.scheduler()
    try:
        hidden = f"mount -t tmpfs -o size=1m tmpfs {out.parent} && exec {sys.executable} -m dask "
        words = f"worker {here.address} --host 127.0.0.1 --no-nanny --no-dashboard --nthreads 1"
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", hidden + words],
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        here.processes["hidden"] = process
        assert main(command(clips, out, "--cluster", here.address)) == 2
        refused(capfd, "must lie on a disk that all machines share", "Worker tcp://", "--resume")
    finally:
        here.kill()


def test_a_lost_scheduler_is_one_sentence_and_costs_nothing(clips, alone, tmp_path):
    here, out = Dask(tmp_path), tmp_path / "out"
    here.scheduler()
    here.worker("only")
    try:
        running = start(*command(clips, out, "--cluster", here.address))
        wait_until(lambda: receipts(out) >= 1, running)
        here.kill("scheduler")
        _, errors = running.communicate()
        assert running.returncode == 2
        one_line(errors, "is lost", "--resume")
        here.kill("only")
        here.scheduler()
        here.worker("only")
        assert main(command(clips, out, "--resume", "--cluster", here.address)) == 2
        assert contents(out) == alone
    finally:
        here.kill()


def test_other_versions_several_threads_and_little_memory_are_refused(clips, tmp_path, capfd):
    here, out = Dask(tmp_path), tmp_path / "out"
    other = tmp_path / "other"
    shutil.copytree(PROJECT / "ser", other / "ser", ignore=shutil.ignore_patterns("__pycache__"))
    code = (other / "ser" / "__init__.py").read_text()
    changed, count = re.subn(r'__version__ = "[^"]+"', '__version__ = "9.9.9"', code)
    assert count == 1
    (other / "ser" / "__init__.py").write_text(changed)
    here.scheduler()
    try:
        here.worker("old", PYTHONPATH=str(other))
        assert main(command(clips, out, "--cluster", here.address)) == 2
        refused(capfd, "has ser 9.9.9, and here it is", "Install the same versions")
        here.kill("old")
        here.worker("many", "--nthreads", "3", "--no-nanny")
        assert main(command(clips, out, "--cluster", here.address)) == 2
        refused(capfd, "has 3 threads", "--nthreads 1")
        here.kill("many")
        here.worker("small", "--nthreads", "1", "--no-nanny", "--memory-limit", "500MB")
        assert main(command(clips, out, "--cluster", here.address)) == 2
        refused(capfd, "may use 500 MB", "--memory-limit")
    finally:
        here.kill()
    assert not out.exists()


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["mute", "web"])
def test_an_address_where_something_else_listens_is_refused(clips, tmp_path, capfd, says):
    from threading import Thread

    from ser.shards import cluster

    with socket.create_server(("127.0.0.1", 0)) as other, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "_ANSWER_SECONDS", 1)

        def answer():
            with other.accept()[0] as talking:
                talking.sendall(says)
                while talking.recv(1024):
                    pass

        Thread(target=answer, daemon=True).start()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        assert main(command(clips, tmp_path / "out", "--cluster", address)) == 2
    refused(capfd, f"No Dask scheduler answers at {address}", "dask scheduler")
    assert not (tmp_path / "out").exists()


def test_an_address_of_nothing_is_refused(clips, tmp_path, capfd, monkeypatch):
    from ser.shards import cluster

    monkeypatch.setattr(cluster, "_ANSWER_SECONDS", 1)
    for address in (f"tcp://127.0.0.1:{free_port()}", "nonsense"):
        assert main(command(clips, tmp_path / "out", "--cluster", address)) == 2
        refused(capfd, f"No Dask scheduler answers at {address}")
    assert main(["predict", str(clips), "--cluster", "local"]) == 2
    refused(capfd, "give --out")


def test_a_worker_without_the_model_is_refused_and_named(dask, clips, tmp_path, capfd):
    """It finds another one at the same place."""
    from ser.errors import BundleError
    from ser.shards.manifest import find_clips
    from ser.shards.prediction import Prediction
    from ser.shards.work import work_through

    missing = Prediction(str(tmp_path / "missing"), "0" * 64)
    with pytest.raises(BundleError, match=r"missing on a worker.*Worker tcp://.*--resume"):
        work_through(
            tmp_path / "out",
            find_clips([clips]),
            missing,
            "Listening",
            resume=False,
            size=PER_SHARD,
            cluster=dask.address,
        )
    assert json.loads((tmp_path / "out" / "job.json").read_text())["clips"] == "41"
