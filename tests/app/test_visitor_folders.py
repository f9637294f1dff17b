"""Folders of strangers, with real files, threads and processes."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from ser.app.visitor_folders import VisitorFolders
from tests.tiny import SAMPLES

PROJECT = SAMPLES.parents[1]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_who_comes_back_finds_everything_and_who_stays_away_leaves_nothing(place):
    here, away = {"ada", "bob"}, []

    def is_here(session):
        if session not in here:
            away.append(session)
        return session in here

    folders = VisitorFolders(is_here, grace=3)
    try:
        ada, bob = folders.of("ada"), folders.of("bob")
        for folder in (ada, bob):
            (folder / "voice.wav").write_bytes(b"sound")
        here.clear()
        until(lambda: "ada" in away)  # a tunnel
        here.add("ada")
        until(lambda: not bob.exists())
        assert (ada / "voice.wav").exists()
        bob.mkdir()  # as what was still going on does
        (bob / "late.wav").write_bytes(b"sound")
        until(lambda: not bob.exists())
        assert folders.of("bob").is_dir() and not list(folders.of("bob").iterdir())
    finally:
        folders.close()
    assert not list(place.iterdir())


def test_what_a_killed_server_left_is_deleted_by_the_next_and_what_is_in_use_is_not(place):
    code = (
        "import sys, time\n"
        "from ser.app.visitor_folders import VisitorFolders\n"
        "folder = VisitorFolders(lambda session: True, 60).of('eve')\n"
        "(folder / 'voice.wav').write_bytes(b'sound')\n"
        "print(folder, flush=True)\n"
        "time.sleep(600)\n"
    )
    env = {**os.environ, "TMPDIR": str(place), "PYTHONPATH": str(PROJECT)}
    running = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
    try:
        running.stdout.readline()
        (left,) = place.iterdir()
        os.utime(left, (0, 0))
        VisitorFolders(lambda session: True, grace=60).close()
        assert (left / "eve" / "voice.wav").exists()
        running.send_signal(signal.SIGKILL)
        running.wait(60)
        VisitorFolders(lambda session: True, grace=60).close()
        assert not list(place.iterdir())
    finally:
        running.kill()
        running.communicate()
