import json
import time

import pytest

from ser.app import evaluations, processes
from ser.errors import BundleError, DataError, RunError
from ser.evaluation.report import Report
from ser.training.runs import Run
from tests.tiny import SAMPLES, tiny_corpus


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("evaluation") / "data", ("05",))


@pytest.fixture
def waiting(finished_run, corpus, monkeypatch):
    """An evaluation whose process is still to be started."""
    monkeypatch.setattr(evaluations, "launch", lambda evaluation: None)
    return evaluations.start(finished_run.folder, corpus, protocol="all")


def wait_for_state(evaluation, *states):
    deadline = time.monotonic() + 300
    while evaluation.read_status().state not in states:
        assert time.monotonic() < deadline, processes.read_log(evaluation)
        time.sleep(0.05)


def test_an_evaluation_runs_in_a_process_of_its_own_and_leaves_a_report(finished_run, corpus):
    evaluation = evaluations.start(finished_run.folder, corpus, protocol="all")
    assert evaluation.is_held()
    wait_for_state(evaluation, "finished", "failed", "interrupted")
    assert evaluation.read_status().state == "finished", processes.read_log(evaluation)
    found = Report.load(evaluation.folder / "report.json")
    assert found.n_test == len(list(corpus.iterdir()))
    assert "evaluating: Listening" in processes.read_log(evaluation)
    assert [e.folder for e in evaluations.find_evaluations()] == [evaluation.folder]
    processes.delete(evaluation)
    assert evaluations.find_evaluations() == []


def test_it_tells_how_far_it_is(waiting, monkeypatch):
    seen = []
    write = Run.write_status

    def watch(run, *told, **stage):
        write(run, *told, **stage)
        seen.append(run.read_status())

    monkeypatch.setattr(Run, "write_status", watch)
    evaluations.run(waiting)
    steps = [status for status in seen if status.state == "evaluating"]
    assert {(s.message, s.stage, s.stages) for s in steps} == {
        ("Opening clips", 1, 2),
        ("Listening", 2, 2),
    }
    assert steps[-1].done == steps[-1].total > 0


def test_it_stops_when_asked_and_can_be_started_again(finished_run, corpus):
    evaluation = evaluations.start(finished_run.folder, corpus, protocol="all", robustness=True)
    wait_for_state(evaluation, "evaluating")
    evaluation.ask_to_stop()
    assert evaluation.is_stopping
    wait_for_state(evaluation, "stopped", "finished")
    assert evaluation.read_status().state == "stopped"
    assert "Traceback" not in processes.read_log(evaluation)
    assert not evaluation.is_stopping
    assert not (evaluation.folder / "report.json").exists()
    evaluations.launch(evaluation)
    wait_for_state(evaluation, "finished")
    assert Report.load(evaluation.folder / "report.json").robustness
    with pytest.raises(RunError, match="is finished"):
        evaluations.launch(evaluation)


def test_a_second_one_waits_its_turn(waiting, finished_run):
    waiting.write_status("evaluating", "Listening")
    with waiting.locked():
        with pytest.raises(RunError, match="still going on"):
            evaluations.start(finished_run.folder, SAMPLES, protocol="all")
        with pytest.raises(RunError, match="being worked on"):
            processes.delete(Run(waiting.folder))


def test_a_killed_process_is_noticed(waiting):
    waiting.write_status("evaluating", "Listening")
    assert waiting.read_status().state == "interrupted"


def test_what_cannot_be_tested_is_refused_before_anything_is_made(finished_run, tmp_path):
    with pytest.raises(BundleError):
        evaluations.start(tmp_path, SAMPLES, protocol="all")
    with pytest.raises(DataError, match="does not exist"):
        evaluations.start(finished_run.folder, tmp_path / "nowhere", protocol="all")
    assert evaluations.find_evaluations() == []


def test_clips_it_was_trained_on_are_refused_with_a_reason(finished_run, monkeypatch):
    monkeypatch.setattr(evaluations, "launch", lambda evaluation: None)
    data = finished_run.read_config()["data"][0]
    evaluation = evaluations.start(finished_run.folder, data, protocol="random", seed=7)
    with pytest.raises(DataError):
        evaluations.run(evaluation)
    status = evaluation.read_status()
    assert status.state == "failed" and "was trained on" in status.message


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model": 1}'])
def test_a_damaged_evaluation_is_said_to_be(waiting, text):
    (waiting.folder / "config.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        evaluations.run(Run(waiting.folder))


def test_names_are_free_and_fit_for_files(waiting, finished_run, corpus):
    second = evaluations.start(finished_run.folder, corpus, protocol="all")
    assert waiting.folder.name == "run-on-data-all"
    assert second.folder.name == "run-on-data-all-2"
    assert json.loads((second.folder / "config.json").read_text())["data"] == str(corpus)
