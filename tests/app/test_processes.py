"""Real processes, started as the app starts them."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ser import assets
from ser.app import history, processes, workspace
from ser.errors import DataError, RunError
from ser.training import pipeline, queue
from ser.training.runs import Run
from tests import tiny
from tests.tiny import SAMPLES, tiny_corpus

ENDLESS = 5000


def tiny_config(data, **changes):
    """Unseen speakers: a fold is not tested in other conditions, which would take longest."""
    return tiny.tiny_config(data, **({"protocol": "unseen-speakers", "folds": 4} | changes))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def started(home, monkeypatch):
    """Every process that is started, ended with the test."""
    started = []
    real = subprocess.Popen

    def remember(*arguments, **settings):
        started.append(real(*arguments, **settings))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("corpus") / "clips")


def wait_for(condition, what):
    deadline = time.monotonic() + 900
    while not condition():
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.05)


def wait_for_state(run, *states):
    def reached():
        status = run.read_status()
        assert status.state != "failed" or "failed" in states, processes.read_log(run)
        return status.state in states

    wait_for(reached, f"{run.folder.name} {states}")


def wait_for_epochs(run, count):
    wait_for(lambda: len(run.read_epochs()) >= count, f"epoch {count}")


def test_a_training_outlives_the_app_that_started_it(home, corpus):
    """Neither Ctrl-C in the app's terminal nor the end of the app ends it."""
    config = json.dumps(tiny_config(corpus, epochs=60).to_json())
    code = (
        "import json, sys, time\n"
        "from ser.app import processes\n"
        "from ser.training.config import TrainingConfig\n"
        "processes.start('mine', TrainingConfig.from_json(json.loads(sys.argv[1])))\n"
        "print('started', flush=True)\n"
        "time.sleep(1000)\n"
    )
    app = subprocess.Popen(
        [sys.executable, "-c", code, config],
        cwd=assets.ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert app.stdout.readline() == "started\n"
    run = Run(home / "mine")
    assert run.is_held() and run.read_status().state in ("queued", "preparing", "training")
    os.killpg(app.pid, signal.SIGINT)
    assert app.wait(60) != 0
    assert run.is_held()
    wait_for_state(run, "finished")
    assert len(run.read_epochs()) == 60
    assert workspace.recent_corpora() == [corpus]
    log = processes.read_log(run)
    assert "epoch 60 of 60" in log and "Computing features" in log and "Traceback" not in log


def test_a_second_start_waits_and_a_stop_makes_room(started, home, corpus):
    first = processes.start("first", tiny_config(corpus, epochs=ENDLESS))
    wait_for_epochs(first, 1)
    second = processes.start("second", tiny_config(corpus))
    wait_for_state(second, "queued")
    third = processes.start("third", tiny_config(corpus))
    wait_for_state(third, "queued")
    assert [run.folder.name for run in queue.ahead_of(second)] == ["first"]
    assert [run.folder.name for run in queue.ahead_of(third)] == ["first", "second"]
    if sys.platform == "linux":  # what waits must not fill the memory
        for process in started[1:]:
            assert "numpy" not in Path(f"/proc/{process.pid}/maps").read_text()

    third.ask_to_stop()
    wait_for_state(third, "stopped")
    assert second.read_status().state == "queued" and not second.read_epochs()

    first.ask_to_stop()
    wait_for_state(first, "stopped")
    wait_for_state(second, "finished")
    done = len(first.read_epochs())
    assert f"after {done} of {ENDLESS}" in first.read_status().message
    assert not (first.folder / "stop").exists()
    with pytest.raises(RunError, match="not running"):
        first.ask_to_stop()
    assert {process.wait(60) for process in started} == {130, 0}


def test_a_killed_training_says_so_and_is_resumed(started, home, tmp_path, corpus):
    data = shutil.copytree(corpus, tmp_path / "clips")
    run = processes.start("mine", tiny_config(data, epochs=40))
    wait_for_epochs(run, 2)
    started[0].kill()
    wait_for_state(run, "interrupted")
    before = run.read_epochs()
    seen = history.read(run)
    assert seen.state == "interrupted" and not seen.is_busy
    assert f"after epoch {len(before)}" in history.what_to_do(seen)

    data.rename(tmp_path / "elsewhere")
    assert "is gone" in history.what_to_do(history.read(run))
    with pytest.raises(DataError, match="does not exist"):
        processes.resume(run)
    assert run.read_status().state == "interrupted"

    (tmp_path / "elsewhere").rename(data)
    (run.folder / "stop").touch()  # asked for too late: it was meant for the killed process
    processes.resume(run)
    with pytest.raises(RunError, match="running already"):
        processes.launch(run)
    wait_for_state(run, "finished")
    assert run.read_epochs()[: len(before)] == before and len(run.read_epochs()) == 40


def test_a_full_disk_is_told(started, home, tmp_path, corpus, monkeypatch):
    """No file may grow beyond a limit, which fails as a full disk does."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        run = processes.start("mine", tiny_config(corpus))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    wait_for_state(run, "failed")
    assert "Cannot write" in run.read_status().message
    assert "Resume" in history.what_to_do(history.read(run))
    assert "Traceback" not in processes.read_log(run)


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "/tmp/a", ".hidden", "-x", "é", "a b", "x" * 61, "a\x00", "a\n"]
)
def test_a_name_that_is_no_folder_of_the_app_is_refused(home, corpus, name):
    with pytest.raises(RunError, match="cannot be the name"):
        processes.start(name, tiny_config(corpus))
    assert not home.exists()


def test_nothing_is_made_of_a_corpus_that_cannot_be_used(home, tmp_path, corpus):
    with pytest.raises(DataError, match="does not exist"):
        processes.start("mine", tiny_config(tmp_path / "gone"))
    with pytest.raises(DataError, match="4 speakers"):
        processes.start("mine", tiny_config(SAMPLES, protocol="unseen-speakers", folds=5))
    assert not home.exists()


def test_a_taken_name_is_refused_and_a_free_one_found(home, corpus):
    pipeline.start(home / "mine", tiny_config(corpus))
    with pytest.raises(RunError, match="already"):
        processes.start("mine", tiny_config(corpus))
    assert processes.free_name("mine") == "mine-2"
    assert processes.free_name("other") == "other"


def test_a_run_is_deleted_whole_but_not_while_it_is_worked_on(home, corpus):
    run = pipeline.start(home / "mine", tiny_config(corpus))
    (run.folder / "sub").mkdir()
    (run.folder / "sub" / "file").touch()
    with run.locked(), pytest.raises(RunError, match="being worked on"):
        processes.delete(Run(run.folder))
    assert (run.folder / "sub" / "file").exists()
    processes.delete(run)
    assert list(home.iterdir()) == []


def test_a_damaged_run_can_be_deleted(home):
    (home / "mine").mkdir(parents=True)
    (home / "mine" / "config.json").write_text("{")
    processes.delete(workspace.runs()[0])
    assert workspace.runs() == []


def test_a_study_is_not_deleted_while_a_fold_is_trained(home, corpus):
    pipeline.start(home / "study", tiny_config(corpus))
    fold = pipeline.start(home / "study" / "fold-1", tiny_config(corpus))
    with fold.locked(), pytest.raises(RunError, match="being worked on"):
        processes.delete(Run(home / "study"))
    assert fold.read_config()


def test_nothing_outside_the_app_is_deleted(home, tmp_path, corpus):
    outside = pipeline.start(tmp_path / "thesis", tiny_config(corpus))
    home.mkdir()
    (home / "link").symlink_to(outside.folder, target_is_directory=True)
    for folder in (outside.folder, home / "link", home / ".." / "thesis", home):
        with pytest.raises(RunError, match="not deleted"):
            processes.delete(Run(folder))
    assert outside.read_config()
