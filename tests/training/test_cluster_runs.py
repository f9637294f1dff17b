"""Folds of a cross-validation, and members, trained over Dask's workers, with real processes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest

from ser.cli import main
from ser.evaluation.report import Report
from ser.models.bundle import load_bundle
from ser.models.networks import ModelConfig
from ser.training.runs import Run
from tests.tiny import SAMPLES, tiny_config, tiny_corpus

pytestmark = pytest.mark.skipif(find_spec("distributed") is None, reason="Dask is not installed")

PROJECT = SAMPLES.parent.parent


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Let the processes that workers start find the project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROJECT))
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("corpus") / "clips")


@pytest.fixture(scope="module")
def config_file(tmp_path_factory, corpus):
    # As many members as cores, see conftest.py: another process must end with the same bits.
    model = ModelConfig(members=2, filters=(8, 8, 8, 8), lstm=4)
    settings = {"protocol": "unseen-speakers", "folds": 2, "epochs": 2, "nonspeech": 0.0}
    config = tiny_config(corpus, model=model, **settings)
    file = tmp_path_factory.mktemp("config") / "config.json"
    file.write_text(json.dumps(config.to_json()))
    return file


def command(config_file, out, *more):
    given = ["crossval", "--config", config_file, "--out", out, "--n-jobs", 2, *more]
    return [str(each) for each in given]


def figures(report):
    """Everything of a report that must not depend on where it was made."""
    values = json.loads(report.read_text())
    values.pop("title")
    return values


@pytest.fixture(scope="module")
def alone(config_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "study"
    assert main(command(config_file, out)) == 0
    return figures(out / "report.json")


@pytest.fixture(scope="module")
def spread(config_file, tmp_path_factory):
    """Train on workers; the client is killed when they have begun, and resumed."""
    folder = tmp_path_factory.mktemp("spread")
    out = folder / "study"
    started = command(config_file, out, "--cluster", "local")
    running = subprocess.Popen(
        [sys.executable, "-m", "ser", *started], cwd=folder, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 240
    while not any((out / f"fold-{fold}" / "split.json").exists() for fold in (1, 2)):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert main(command(config_file, out, "--cluster", "local", "--resume")) == 0
    return out


def test_folds_trained_by_workers_whose_client_was_killed_are_those_trained_here(alone, spread):
    assert figures(spread / "report.json") == alone


def test_a_training_that_fails_says_why_and_keeps_the_others(config_file, spread, tmp_path, capfd):
    out = shutil.copytree(spread, tmp_path / "study")
    broken = out / "fold-2"
    (broken / "report.json").unlink()
    Run(broken).write_status("stopped", "as if stopped")
    split = json.loads((broken / "split.json").read_text())
    (broken / "split.json").write_text(json.dumps(split | {"corpus": "another"}))
    before = (out / "fold-1" / "report.json").stat().st_mtime_ns
    assert main(command(config_file, out, "--cluster", "local", "--resume")) == 2
    assert "fold-2 cannot be resumed: the corpus has changed" in capfd.readouterr().err
    assert (out / "fold-1" / "report.json").stat().st_mtime_ns == before
    assert Report.find(broken / "report.json") is None


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory, corpus):
    """A configuration that trains again on all clips, so that both stages are spread."""
    model = ModelConfig(members=2, filters=(8, 8, 8, 8), lstm=4)
    config = tiny_config(corpus, model=model, epochs=3, copies=1, refit=True)
    file = tmp_path_factory.mktemp("ensemble") / "config.json"
    file.write_text(json.dumps(config.to_json()))
    return file


def training(config_file, out, *more):
    return ["train", *map(str, ("--config", config_file, "--out", out, "--n-jobs", 2, *more))]


def test_members_trained_by_workers_are_those_trained_side_by_side(ensemble, tmp_path):
    alone, spread = tmp_path / "alone" / "run", tmp_path / "spread" / "run"
    assert main(training(ensemble, alone)) == 0
    started = training(ensemble, spread, "--cluster", "local")
    running = subprocess.Popen(
        [sys.executable, "-m", "ser", *started], cwd=PROJECT, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 240
    while not any(spread.glob("members/again/member-*/checkpoint-refit.npz")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130 and f"ser train --resume {spread}" in said.decode()
    assert Run(spread).read_status().state == "stopped"
    members = [Run(folder) for folder in spread.glob("members/again/member-*")]
    while any(member.is_held() for member in members):  # they end with it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert main(["train", "--resume", str(spread), "--n-jobs", "2"]) == 0
    reports = [figures(run / "report.json") for run in (alone, spread)]
    for report in reports:  # a model's file says when it was made
        del report["model_sha256"], report["training_seconds"]
    assert reports[0] == reports[1]
    first, second = (load_bundle(run)[0].get_weights() for run in (alone, spread))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    for one, other in zip(Run(alone).read_epochs(), Run(spread).read_epochs(), strict=True):
        del one["seconds"], other["seconds"]
        assert one == pytest.approx(other, rel=1e-5)
    assert not (spread / "members").exists()


def test_a_network_without_members_that_learn_apart_is_not_spread(config_file, tmp_path, capsys):
    out = tmp_path / "run"
    given = ["--members", "1", "--cluster", "local"]
    assert main(training(config_file, out, *given)) == 2
    assert "--cluster spreads the members of an ensemble" in capsys.readouterr().err
    assert not out.exists()


def test_a_run_that_has_begun_to_learn_here_is_not_spread(ensemble, tmp_path, capsys):
    run = Run(tmp_path / "run")
    run.create(json.loads(ensemble.read_text()))
    (run.folder / "checkpoint.npz").write_bytes(b"")
    assert main(["train", "--resume", str(run.folder), "--cluster", "local"]) == 2
    assert "Go on without --cluster" in capsys.readouterr().err
