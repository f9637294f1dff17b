"""Folders answered in the background by real processes, which are stopped and killed."""

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from ser.app import answers, processes
from ser.assets import DEFAULT_MODEL
from ser.cli import main
from ser.errors import DataError, RunError, SerError
from ser.shards.manifest import Clip, write_manifest
from ser.training.runs import BUSY_STATES, Run
from tests.shards.processes import Dask
from tests.tiny import SAMPLES, tiny_corpus

CLIPS = sorted(SAMPLES.rglob("*.flac"))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny_corpus(tmp_path_factory.mktemp("answers") / "calls", ("05",))
    (folder / "broken.wav").write_bytes(b"RIFF, and then nothing")
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A manifest of nine shards: enough that something is left to do when one is done."""
    file = tmp_path_factory.mktemp("answers") / "many.parquet"
    write_manifest(file, (Clip(str(CLIPS[i % len(CLIPS)])) for i in range(830)), size=500)
    return file


@pytest.fixture(scope="module")
def expected(many, tmp_path_factory):
    out = tmp_path_factory.mktemp("expected") / "out"
    assert main(["predict", str(many), "--out", str(out)]) == 0
    return (out / "predictions.csv").read_bytes()


def wait(run, reached):
    deadline = time.monotonic() + 300
    while not reached(run.read_status()):
        assert time.monotonic() < deadline, processes.read_log(run)
        time.sleep(0.02)


def finished(run):
    wait(run, lambda status: status.state not in BUSY_STATES)
    assert run.read_status().state == "finished", processes.read_log(run)
    return (answers.store(run) / "predictions.csv").read_bytes()


def partly_done(status):
    return status.message == "Listening" and 0 < status.done < status.total


def process_of(run):
    """Return the process that works on a run, from the system's table."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if words[-3:-1] == ["ser.app.answers", str(run.folder)]:
            return int(place.name)
    raise AssertionError("no process works on it")


def test_a_folder_gets_the_answers_of_the_command_line(folder, tmp_path, capfd):
    run = answers.start(DEFAULT_MODEL, folder, emotions=["angry", "sad"])
    assert run.is_held()
    found = finished(run)
    possible = ["--emotions", "angry,sad"]
    assert main(["predict", str(folder), "--out", str(tmp_path / "out"), *possible]) == 2
    assert found == (tmp_path / "out" / "predictions.csv").read_bytes()
    assert run.read_status().message == "16 answers, 1 clip cannot be used"
    left_out = pd.read_csv(answers.store(run) / "refused.csv")
    assert [Path(file).name for file in left_out["file"]] == ["broken.wav"]
    processes.delete(run)
    assert answers.find_all() == [] and not run.folder.exists()
    assert len(list(folder.iterdir())) == 17


def test_what_is_stopped_or_killed_goes_on_and_ends_with_the_same_bytes(many, expected):
    run = answers.start(DEFAULT_MODEL, many)
    wait(run, partly_done)
    with pytest.raises(RunError, match="still going on"):
        answers.start(DEFAULT_MODEL, SAMPLES)
    with pytest.raises(RunError, match="being worked on"):
        processes.delete(Run(run.folder))
    processes.stop(run)
    wait(run, lambda status: status.state not in BUSY_STATES)
    stopped = run.read_status()
    assert stopped.state == "stopped", processes.read_log(run)
    assert stopped.message == answers.kept_in_words(run)
    assert stopped.message.endswith("of 830 clips are done and kept")
    assert "Traceback" not in processes.read_log(run)
    kept = int(stopped.message.split()[0])

    answers.resume(run)
    wait(run, lambda status: partly_done(status) and status.done > kept)
    assert run.read_status().begun_with >= kept, "done twice"
    os.kill(process_of(run), signal.SIGKILL)
    wait(run, lambda status: status.state == "interrupted")
    assert int(answers.kept_in_words(run).split()[0]) > kept

    answers.resume(run)
    assert finished(run) == expected
    with pytest.raises(RunError, match="is finished"):
        answers.resume(run)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("nowhere", "nowhere does not exist"),
        ("empty", "empty holds no audio file"),
        ("list.csv", "is a file. Give a folder"),
        ("list.parquet", "cannot be read as a manifest"),
    ],
)
def test_a_place_without_recordings_is_refused_before_anything_is_made(tmp_path, data, words):
    (tmp_path / "empty").mkdir()
    for name in ("list.csv", "list.parquet"):
        (tmp_path / name).write_text("path,emotion\n")
    with pytest.raises(DataError, match=words):
        answers.start(DEFAULT_MODEL, tmp_path / data)
    with pytest.raises(DataError, match="two or more"):
        answers.start(DEFAULT_MODEL, SAMPLES, emotions=["happy"])
    with pytest.raises(SerError, match="manifest"):
        answers.start(tmp_path / "empty", SAMPLES)
    assert answers.find_all() == []


def test_a_scheduler_that_does_not_answer_is_one_sentence_in_the_status(folder):
    run = answers.start(DEFAULT_MODEL, folder, cluster="tcp://127.0.0.1:1")
    wait(run, lambda status: status.state not in BUSY_STATES)
    status = run.read_status()
    assert status.state == "failed"
    assert status.message.startswith("No Dask scheduler answers at tcp://127.0.0.1:1")
    assert "Traceback" not in processes.read_log(run)


def test_the_workers_of_a_cluster_do_it_and_it_stops_there_too(many, expected, tmp_path):
    dask = Dask(tmp_path)
    try:
        dask.scheduler()
        dask.worker("worker")
        run = answers.start(DEFAULT_MODEL, many, cluster=dask.address)
        wait(run, partly_done)
        processes.stop(run)
        wait(run, lambda status: status.state not in BUSY_STATES)
        assert run.read_status().state == "stopped", processes.read_log(run)
        assert "Dask's dashboard: http" in processes.read_log(run)
        answers.resume(run)
        assert finished(run) == expected
    finally:
        dask.kill()


def test_answers_of_clips_that_changed_meanwhile_are_not_mixed(tmp_path):
    folder = tiny_corpus(tmp_path / "calls", ("05",))
    run = answers.start(DEFAULT_MODEL, folder)
    before = finished(run)
    run.write_status("stopped", "Stopped just before the end")
    next(folder.iterdir()).unlink()
    answers.resume(run)
    wait(run, lambda status: status.state not in BUSY_STATES)
    status = run.read_status()
    assert status.state == "failed" and "begun with another manifest" in status.message
    assert (answers.store(run) / "predictions.csv").read_bytes() == before


@pytest.mark.parametrize("text", ["{", "{}", '{"model": "a", "data": "b", "emotions": 1}'])
def test_a_damaged_one_is_said_to_be(folder, monkeypatch, text):
    monkeypatch.setattr(answers, "_launch", lambda run: None)
    run = answers.start(DEFAULT_MODEL, folder)
    (run.folder / "config.json").write_text(text)
    for use in (answers.answer, answers.resume):
        with pytest.raises(RunError, match="damaged"):
            use(Run(run.folder))
