import json
import time

import pytest

from ser.app import evaluations, processes
from ser.errors import BundleError, DataError, RunError, Stopped
from ser.evaluation.report import Report
from ser.training.runs import BUSY_STATES, Run
from tests.tiny import SAMPLES, tiny_corpus


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("trial") / "data", ("05",))


@pytest.fixture
def waiting(finished_run, corpus, monkeypatch):
    """A trial whose process is still to be started."""
    monkeypatch.setattr(evaluations, "launch", lambda trial: None)
    return evaluations.start(finished_run.folder, corpus, protocol="all")


def test_a_trial_runs_in_a_process_of_its_own_and_leaves_a_report(finished_run, corpus):
    trial = evaluations.start(finished_run.folder, corpus, protocol="all")
    assert trial.is_held()
    deadline = time.monotonic() + 300
    while trial.read_status()["state"] in BUSY_STATES:
        assert time.monotonic() < deadline, processes.read_log(trial)
        time.sleep(0.05)
    assert trial.read_status()["state"] == "finished", processes.read_log(trial)
    found = Report.load(trial.folder / "report.json")
    assert found.n_test == len(list(corpus.iterdir()))
    assert [t.folder for t in evaluations.find_trials()] == [trial.folder]
    processes.delete(trial)
    assert evaluations.find_trials() == []


def test_it_tells_how_far_it_is(waiting, monkeypatch):
    seen = []
    write = Run.write_status
    monkeypatch.setattr(Run, "write_status", lambda *told: (seen.append(told[1:]), write(*told)))
    evaluations.run(waiting)
    steps = [told for told in seen if len(told) == 4]
    assert {words for _, words, _, _ in steps} == {"Opening clips (1 of 2)", "Listening (2 of 2)"}
    assert steps[-1][2] == steps[-1][3] > 0


def test_it_stops_when_asked_and_can_be_started_again(waiting, monkeypatch):
    asked = []

    def ask(run, *told):
        write(run, *told)
        if "Listening" in told[1] and not asked:
            asked.append(run)
            run.ask_to_stop()

    write = Run.write_status
    monkeypatch.setattr(Run, "write_status", ask)
    with pytest.raises(Stopped):
        evaluations.run(waiting)
    assert waiting.read_status()["state"] == "stopped"
    assert not (waiting.folder / "report.json").exists()
    evaluations.run(waiting)
    assert waiting.read_status()["state"] == "finished"


def test_a_second_one_waits_its_turn(waiting, finished_run):
    waiting.write_status("evaluating", "Listening")
    with waiting.locked():
        with pytest.raises(RunError, match="still going on"):
            evaluations.start(finished_run.folder, SAMPLES, protocol="all")
        with pytest.raises(RunError, match="being worked on"):
            processes.delete(Run(waiting.folder))


def test_a_killed_process_is_noticed(waiting):
    waiting.write_status("evaluating", "Listening")
    assert waiting.read_status()["state"] == "interrupted"


def test_what_cannot_be_tested_is_refused_before_anything_is_made(finished_run, tmp_path):
    with pytest.raises(BundleError):
        evaluations.start(tmp_path, SAMPLES, protocol="all")
    with pytest.raises(DataError, match="does not exist"):
        evaluations.start(finished_run.folder, tmp_path / "nowhere", protocol="all")
    assert evaluations.find_trials() == []


def test_clips_it_was_trained_on_are_refused_with_a_reason(finished_run, monkeypatch):
    monkeypatch.setattr(evaluations, "launch", lambda trial: None)
    data = finished_run.read_config()["data"]
    trial = evaluations.start(finished_run.folder, data, protocol="random", seed=7)
    with pytest.raises(DataError):
        evaluations.run(trial)
    status = trial.read_status()
    assert status["state"] == "failed" and "was trained on" in status["message"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model": 1}'])
def test_a_damaged_trial_is_said_to_be(waiting, text):
    (waiting.folder / "config.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        evaluations.run(Run(waiting.folder))


def test_names_are_free_and_fit_for_files(waiting, finished_run, corpus):
    second = evaluations.start(finished_run.folder, corpus, protocol="all")
    assert waiting.folder.name == "run-on-data-all"
    assert second.folder.name == "run-on-data-all-2"
    assert json.loads((second.folder / "config.json").read_text())["data"] == str(corpus)
