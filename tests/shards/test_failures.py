"""Full disks and too little memory, each for real: on small file systems and under a nanny."""

import subprocess
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from ser.cli import main
from tests.shards.processes import (
    Dask,
    command,
    contents,
    one_line,
    receipts,
    refused,
    root_can,
    start,
    wait_until,
    whole,
)

needs_dask = pytest.mark.skipif(find_spec("distributed") is None, reason="Dask is not installed")


@contextmanager
def small_disk(folder, size):
    """Mount a file system of so much memory."""
    folder.mkdir()
    root_can("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_sentence_and_costs_nothing(clips, alone, tmp_path, capfd):
    disk = tmp_path / "disk"
    with small_disk(disk, "64k"):
        out = disk / "out"
        assert main(command(clips, out, "--n-jobs", 1)) == 2
        refused(capfd, "Cannot write", "No space left on device", "--resume")
        assert 0 < receipts(out) < 14
        whole(out)
        subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        assert main(command(clips, out, "--resume", "--n-jobs", 1)) == 2
        assert contents(out) == alone


@needs_dask
def test_a_worker_whose_disk_is_full_is_named(clips, alone, tmp_path, capfd):
    """It sees a file system of a single page, which is used, in the place of the parts."""
    here, out = Dask(tmp_path), tmp_path / "out"
    begun = start(*command(clips, out, "--n-jobs", "1"))
    wait_until(lambda: receipts(out) >= 1, begun)
    begun.kill()
    begun.communicate()
    root_can("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", tmp_path)
    parts = out / "parts"
    mounted = f'mount -t tmpfs -o size=4k tmpfs {parts}; head -c 4096 /dev/zero > {parts}/x; "$@"'
    here.scheduler()
    try:
        here.worker("full", before=["unshare", "-m", "sh", "-c", mounted, "sh"])
        assert main(command(clips, out, "--resume", "--cluster", here.address)) == 2
        refused(capfd, "No space left on device", "Worker tcp://127.0.0.1", "--resume")
        whole(out)
        here.kill("full")
        here.worker("good")
        assert main(command(clips, out, "--resume", "--cluster", here.address)) == 2
        assert contents(out) == alone
    finally:
        here.kill()


@needs_dask
def test_workers_without_memory_are_one_sentence_and_cost_nothing(clips, alone, tmp_path):
    """Their nanny is told to end them at 300 MB, which is when the model is loaded."""
    here, out = Dask(tmp_path), tmp_path / "out"
    here.scheduler(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")
    try:
        early = {"DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "0.15"}
        here.worker("small", "--nthreads", "1", "--memory-limit", "2GB", **early)
        running = start(*command(clips, out, "--cluster", here.address))
        _, errors = running.communicate()
        assert running.returncode == 2
        one_line(errors, "has ended 2 workers", "want of memory", "--resume")
        here.kill("small")
        here.worker("large")
        assert main(command(clips, out, "--resume", "--cluster", here.address)) == 2
        assert contents(out) == alone
    finally:
        here.kill()
