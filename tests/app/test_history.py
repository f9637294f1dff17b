import json
import os
import shutil

import pytest

from ser.app import history, workspace
from ser.app.history import DAMAGED
from ser.training import pipeline
from ser.training.runs import Run
from tests.tiny import SAMPLES, tiny_config


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path))
    return tmp_path


def test_a_finished_training_is_read_whole(finished_run):
    seen = history.read(finished_run)
    report = json.loads((finished_run.folder / "report.json").read_text())
    assert seen.state == "finished" and not seen.is_busy
    assert seen.figures == {key: report[key] for key in (*history.FIGURES, "training_seconds")}
    assert list(seen.epochs["epoch"]) == [1, 2, 3]
    losses = [epoch["val_loss"] for epoch in finished_run.read_epochs()]
    assert seen.best_epoch == 1 + losses.index(min(losses))
    assert seen.seconds == pytest.approx(report["training_seconds"], abs=0.1)
    assert history.what_to_do(seen) == ""


@pytest.mark.parametrize(
    ("file", "text", "state"),
    [
        ("config.json", "{", DAMAGED),
        ("config.json", '{"epochs": 3}', DAMAGED),
        ("config.json", '{"data": "x", "model": 7}', DAMAGED),
        ("epochs.jsonl", '{"epoch": 1}\n{"ep', DAMAGED),
        ("epochs.jsonl", "[]\n", DAMAGED),
        ("epochs.jsonl", '{"epoch": "<b>one</b>"}\n', DAMAGED),
        ("status.json", "\x00", "interrupted"),
        ("status.json", '{"state": "winning", "message": []}', "interrupted"),
        ("status.json", '{"state": ["finished"]}', "interrupted"),
        ("status.json", '{"state": "stopped", "message": "x", "done": "many"}', "stopped"),
        ("status.json", '{"state": "stopped", "message": "x", "since": 7}', "stopped"),
        ("report.json", '{"accuracy": "high"}', "finished"),
        ("report.json", "[", "finished"),
    ],
)
def test_a_damaged_run_is_a_row_and_not_an_error(tmp_path, finished_run, file, text, state):
    folder = shutil.copytree(finished_run.folder, tmp_path / "run")
    (folder / file).write_text(text)
    seen = history.read(Run(folder))
    assert seen.state == state
    assert seen.figures == ({} if file == "report.json" else seen.figures)
    table = history.table([seen, history.read(finished_run)])
    assert list(table["State"]) == [state, "finished"]
    assert len(history.differences([seen, history.read(finished_run)])) > 0
    if state == DAMAGED:
        assert "Delete" in history.what_to_do(seen)


def test_the_newest_is_first_and_studies_are_left_out(home):
    for age, name in ((10, "old"), (0, "new"), (5, "study")):
        run = pipeline.start(home / name, tiny_config(SAMPLES))
        file = run.folder / "config.json"
        os.utime(file, (file.stat().st_mtime - age, file.stat().st_mtime - age))
    pipeline.start(home / "study" / "fold-1", tiny_config(SAMPLES))
    found = history.read_all(workspace.runs())
    assert [seen.name for seen in found] == ["new", "old"]


def test_only_what_differs_is_compared(home, finished_run):
    shutil.copytree(finished_run.folder, home / "one")
    pipeline.start(home / "two", tiny_config(SAMPLES, epochs=7, seed=3))
    rows = history.differences(history.read_all(workspace.runs())).set_index("")
    assert rows.loc["Seed", "two"] == "3" and rows.loc["Seed", "one"] == "42"
    assert rows.loc["Epochs", "two"] == "7"
    assert rows.loc["Accuracy", "two"] == "–"
    assert "Batch size" not in rows.index and "Protocol" not in rows.index


def test_time_left_comes_from_the_epochs(finished_run):
    seen = history.read(finished_run)
    status = seen.status.model_copy(update={"state": "training", "done": 3, "total": 13})
    running = history.Training(seen.run, status, seen.started, seen.config, seen.epochs)
    mean = seen.epochs["seconds"].mean()
    assert history.seconds_left(running) == pytest.approx(10 * mean)
    refit = history.Training(
        seen.run, status.model_copy(update={"stages": 2}), seen.started, seen.config, seen.epochs
    )
    assert history.seconds_left(refit) == pytest.approx((10 + 13) * mean)


def test_what_was_done_by_an_earlier_process_says_nothing_about_speed(tmp_path):
    run = pipeline.start(tmp_path / "run", tiny_config(SAMPLES))
    with run.locked():
        run.write_status("preparing", "Opening clips", 60, 120)
        assert history.seconds_left(history.read(run)) is None
        run.write_status("preparing", "Opening clips", 120, 120)
        assert history.read(run).status.begun_with == 60
