import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest

from ser.errors import DataError, RunError, Stopped
from ser.training import runs
from ser.training.runs import Run, find_runs


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a training run"):
        Run(tmp_path).read_config()
    with pytest.raises(RunError, match="not a training run"):
        Run(tmp_path / "missing").read_config()


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_configuration_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        Run(tmp_path).read_config()


def test_an_existing_file_or_folder_is_never_overwritten(tmp_path):
    (tmp_path / "file").write_text("mine")
    for name in ("file", "."):
        with pytest.raises(RunError, match="not empty"):
            Run(tmp_path / name).create({})
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_folder_becomes_a_run(tmp_path):
    Run(tmp_path).create({"epochs": 1})
    assert Run(tmp_path).read_config() == {"epochs": 1}


def test_progress_is_not_written_more_often_than_anyone_can_read(tmp_path):
    run = Run(tmp_path)
    with run.locked():
        for i in range(1000):
            run.write_status("preparing", "Opening clips", i, 1000)
        assert run.read_status().done < 999
        run.write_status("preparing", "Opening clips", 1000, 1000)
        assert run.read_status().done == 1000, "the last one is always written"
        run.write_status("training", "Training", 0, 5)
        assert run.read_status().state == "training", "and so is a change of state"


def test_a_busy_run_without_its_process_reads_interrupted(tmp_path):
    code = (
        "import os, sys; from ser.training.runs import Run\n"
        "run = Run(sys.argv[1]); run.create({})\n"
        "lock = run.locked(); lock.__enter__()\n"
        "run.write_status('training', 'Training', 1, 5)\n"
        "print(run.read_status().state, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True
    )
    assert process.stdout.strip() == "training"
    status = Run(tmp_path / "run").read_status()
    assert status.state == "interrupted"
    assert "Resume" in status.message


def test_the_time_worked_adds_up_over_processes_and_leaves_out_the_queue(tmp_path, monkeypatch):
    clock = iter([100, 160, 170, 1000, 1005])
    monkeypatch.setattr(runs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    first = Run(tmp_path)
    first.write_status("queued", "Waiting for its turn")
    first.write_status("preparing", "Opening clips")
    first.write_status("stopped", "Stopped")
    assert first.read_status().worked == 10
    second = Run(tmp_path)
    second.write_status("preparing", "Starting")
    second.write_status("finished", "Done")
    assert second.read_status().worked == 15


def test_a_torn_status_does_not_break_its_readers(tmp_path):
    (tmp_path / "status.json").write_text('{"state": "trai')
    assert Run(tmp_path).read_status().state == "interrupted"


def test_epochs_are_read_back(tmp_path):
    run = Run(tmp_path)
    assert run.read_epochs() == []
    figures = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    records = [{"epoch": n} | {name: 1 / n / 3 for name in figures} for n in (1, 2)]
    run.write_epochs(records)
    assert run.read_epochs() == records
    lines = (tmp_path / "epochs.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records


def test_a_damaged_record_of_epochs_is_refused(tmp_path):
    (tmp_path / "epochs.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(RunError, match="damaged"):
        Run(tmp_path).read_epochs()


@pytest.mark.parametrize("text", [None, "{", "[]", '{"corpus": "x", "train": 3}'])
def test_a_split_that_cannot_be_read_is_refused(tmp_path, text):
    if text:
        (tmp_path / "split.json").write_text(text)
    with pytest.raises(RunError, match=r"split\.json (is damaged|cannot be read)"):
        Run(tmp_path).read_split()


def test_runs_are_found(tmp_path):
    for name in ("b", "a"):
        Run(tmp_path / name).create({})
    (tmp_path / "other").mkdir()
    assert [run.folder.name for run in find_runs(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("error", "raised", "state", "words"),
    [
        (DataError("The corpus is gone."), DataError, "failed", "The corpus is gone."),
        (ValueError("odd"), ValueError, "failed", "Unexpected ValueError: odd"),
        (KeyboardInterrupt(), Stopped, "stopped", "Two of three done"),
    ],
)
def test_how_the_work_on_a_run_ended_is_in_its_status(tmp_path, error, raised, state, words):
    run = Run(tmp_path)
    run.create({})

    def work():
        with runs.working_on(run, how_far=lambda: "Two of three done", go_on="Start again."):
            assert run.is_held() and run.read_status().state == "preparing"
            raise error

    with pytest.raises(raised) as told:
        work()
    status = run.read_status()
    assert (status.state, status.message) == (state, words)
    assert not run.is_held()
    if raised is Stopped:
        assert str(told.value) == "Two of three done. Start again."


def test_the_stage_is_read_back_and_a_new_one_is_written_at_once(tmp_path):
    run = Run(tmp_path)
    with run.locked():
        run.write_status("training", "Training", 1, 9, stage=1, stages=2)
        run.write_status("training", "Training", 1, 9, stage=2, stages=2)
        status = run.read_status()
    assert (status.stage, status.stages) == (2, 2)


def test_of_two_who_begin_at_once_one_is_refused(tmp_path):
    for number in range(20):
        begin = Barrier(4)

        def start(_, number=number, begin=begin):
            begin.wait()
            try:
                Run(tmp_path / str(number)).create({"epochs": 1})
            except RunError:
                return False
            return True

        with ThreadPoolExecutor(4) as threads:
            assert sum(threads.map(start, range(4))) == 1
