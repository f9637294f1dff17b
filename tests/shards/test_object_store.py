"""Recordings and results in an object store: a real S3 server over a local folder."""

import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.app import answers, processes
from ser.assets import RAVDESS_MODEL
from ser.cli import main
from ser.errors import DataError
from ser.evaluation.report import Report
from ser.training.runs import BUSY_STATES
from ser.utils import places
from tests.shards.processes import free_port, one_line, receipts, refused, start, wait_until
from tests.tiny import SAMPLES

_BESIDE = Path(sys.executable).with_name("rclone")
RCLONE = str(_BESIDE) if _BESIDE.exists() else shutil.which("rclone")
pytestmark = pytest.mark.skipif(RCLONE is None, reason="needs rclone's S3 server")


def _answers(address):
    try:
        urllib.request.urlopen(address).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Server:
    """A folder that is served, whose sub-folders are buckets."""

    def __init__(self, root):
        self.root = root
        self.address = f"http://127.0.0.1:{free_port()}"

    def start(self):
        places = [self.root, "--addr", self.address.removeprefix("http://")]
        # Tests change the folder behind it; with no time at all its timers never rest.
        quiet = ["--config", "/dev/null", "--dir-cache-time", "1ms", "--log-level", "ERROR"]
        self.process = subprocess.Popen(
            [RCLONE, "serve", "s3", *places, "--auth-key", "reader,secret", *quiet],
            stderr=subprocess.DEVNULL,
        )
        while not _answers(self.address):
            assert self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("s3")
    (root / "bucket" / "in" / "more").mkdir(parents=True)
    (root / "bucket" / "many").mkdir()
    for number, clip in enumerate(sorted(SAMPLES.rglob("*.flac"))):
        shutil.copy(clip, root / "bucket" / "many")
        if number < 5:
            shutil.copy(clip, root / "bucket" / "in" / "more")
    (root / "bucket" / "in" / "empty.wav").write_bytes(b"")
    here = Server(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", here.address)
        patch.setenv("AWS_ACCESS_KEY_ID", "reader")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        places._store.cache_clear()
        here.start()
        yield here
    here.kill()
    places._store.cache_clear()


@pytest.fixture
def root(server):
    return server.root


def given(source, out, *more):
    return ["predict", str(source), "--out", str(out), "--per-shard", "2", "--n-jobs", "1", *more]


def command(source, out, *more):
    return main(given(source, out, *more))


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def objects(url):
    found = {}
    for entry in places.listed(url):
        if entry["type"] == "directory":
            found |= objects(entry["url"])
        else:
            with places.opened(entry["url"]) as file:
                found[entry["url"].rpartition("/")[2]] = file.read()
    return found


def test_a_store_gets_what_a_folder_gets_and_is_resumed(root, tmp_path, capfd):
    source = "s3://bucket/in"
    assert command(source, tmp_path / "local") == 2  # one of them is empty
    assert "1 of 6 clips cannot be used" in capfd.readouterr().err
    assert command(source, "s3://bucket/out") == 2
    assert "1 of 6 clips cannot be used" in capfd.readouterr().err
    expected = contents(tmp_path / "local")
    assert objects("s3://bucket/out") == expected
    assert b"secret" not in expected["job.json"]
    (root / "bucket/out/finished/00001.json").unlink()
    assert command(source, "s3://bucket/out") == 2
    assert "--resume" in capfd.readouterr().err
    assert command(source, "s3://bucket/out", "--resume") == 2
    assert objects("s3://bucket/out") == expected


def test_a_corpus_in_a_store_is_scanned_and_tested_like_a_folder(server, tmp_path, capfd):
    there, here = "s3://bucket/in", server.root / "bucket" / "in"
    for place, store in ((there, "s3://bucket/scan"), (here, str(tmp_path / "scan"))):
        assert main(["scan", str(place), "--out", store, "--n-jobs", "1"]) == 0
    assert "5 clips" in capfd.readouterr().out
    names = ["path", "name", "emotion", "speaker", "seconds", "audio"]
    scanned = pd.read_parquet(server.root / "bucket/scan/parts")[names]
    expected = pd.read_parquet(tmp_path / "scan" / "parts")[names]
    expected["path"] = expected["path"].str.replace(f"{here}", there)
    pd.testing.assert_frame_equal(scanned, expected)
    for place, store in ((there, "s3://bucket/features"), (here, str(tmp_path / "features"))):
        assert main(["features", str(place), "--out", store, "--n-jobs", "1"]) == 0
    made = [
        np.load(store / "parts" / "part-00000.features.npy")
        for store in (server.root / "bucket" / "features", tmp_path / "features")
    ]
    np.testing.assert_array_equal(*made)
    figures = []
    for place, name in (("s3://bucket/scan/clips.parquet", "there"), (here, "here")):
        report = tmp_path / f"{name}.json"
        given = ["evaluate", str(RAVDESS_MODEL), "--data", str(place), "--protocol", "all"]
        given += ["--out", str(tmp_path / name), "--n-jobs", "1", "--json", str(report)]
        assert main(given) == 0
        figures.append(Report.load(report).predictions.drop(columns="file"))
    pd.testing.assert_frame_equal(*figures)
    assert main(["scan", there]) == 2
    refused(capfd, "s3://bucket/in lies in an object store", "--out")


def test_the_app_answers_a_folder_in_a_store(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    run = answers.start(RAVDESS_MODEL, "s3://bucket/in/")
    while run.read_status().state in BUSY_STATES:
        time.sleep(0.02)
    assert run.read_status().message == "5 answers, 1 clip cannot be used", processes.read_log(run)
    assert answers.place(run) == "s3://bucket/in"
    assert command("s3://bucket/in", tmp_path / "out", "--model", str(RAVDESS_MODEL)) == 2
    for name in ("predictions.csv", "refused.csv"):
        assert (answers.store(run) / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    with pytest.raises(DataError, match="user name or password"):
        answers.start(RAVDESS_MODEL, "s3://me:hidden@bucket/in")


def test_a_store_that_is_lost_in_the_middle_costs_nothing(server, tmp_path):
    source, out = "s3://bucket/many", "s3://bucket/lost"
    there = server.root / "bucket" / "lost"
    running = start(*given(source, out))
    wait_until(lambda: receipts(there) >= 1, running)
    server.kill()
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 2
    one_line(errors, "s3://bucket/lost", "--resume")
    server.start()
    kept = {file: file.stat().st_mtime_ns for file in (there / "finished").iterdir()}
    assert 1 <= len(kept) < 60
    assert command(source, out, "--resume") == 0
    assert all(file.stat().st_mtime_ns == changed for file, changed in kept.items())
    assert command(source, tmp_path / "local") == 0
    assert objects(out) == contents(tmp_path / "local")


@pytest.mark.parametrize(
    ("source", "out", "words"),
    [
        ("s3://nowhere/in", "s3://bucket/a", "does not exist"),
        (SAMPLES, "s3://nowhere/a", "s3://nowhere/a cannot be read"),
        ("ftp://bucket/in", "s3://bucket/a", "not a known address"),
        ("s3://me:hidden@bucket/in", "s3://bucket/a", "user name or password"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_sentence(root, capfd, source, out, words):
    assert command(source, out) == 2
    errors = capfd.readouterr().err
    assert words in errors and "Traceback" not in errors and "hidden" not in errors


def test_wrong_credentials_are_no_fault_of_the_clip(root, monkeypatch):
    from ser.audio import read_bytes

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    places._store.cache_clear()
    clip = next((root / "bucket" / "in" / "more").iterdir()).name
    with pytest.raises(DataError, match="cannot be read"):
        read_bytes(f"s3://bucket/in/more/{clip}")
    places._store.cache_clear()
