import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ser.app import history
from ser.audio.features import SPECTRAL
from ser.data.feature_cache import compute_features
from ser.data.features import Features
from ser.errors import DataError, RunError, Stopped
from ser.evaluation.report import Report
from ser.labels import EMOTIONS
from ser.models.bundle import read_manifest
from ser.models.inference import softmax
from ser.models.networks import ModelConfig
from ser.models.recognizer import Recognizer
from ser.training import fitting, pipeline
from ser.training.runs import Run
from tests.tiny import SAMPLES, tiny_config, tiny_corpus, tiny_run

# As many members as cores, see conftest.py: what another process began must end with the same bits.
TWO = ModelConfig(members=2, filters=(8, 8, 8, 8), lstm=4)
FILES = {
    "config.json",
    "environment.json",
    "skipped.csv",
    "split.json",
    "status.json",
    "epochs.jsonl",
    "model.keras",
    "network.onnx",
    "embedding.npz",
    "manifest.json",
    "report.json",
    "report.html",
    "MODEL_CARD.md",
    ".lock",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("corpus") / "clips")


def wait_for(condition, process, what):
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, f"the process ended before {what}"
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.01)


def start_process(run):
    # Through the command line's own entry, so that its signal handling is what is tested.
    return subprocess.Popen(
        [sys.executable, "-m", "ser", "train", "--resume", str(run.folder), "--n-jobs", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SAMPLES.parent.parent)},
    )


def figures(run):
    """Everything of a run that must not depend on interruptions."""
    epochs = [{k: v for k, v in e.items() if k != "seconds"} for e in run.read_epochs()]
    report = json.loads((run.folder / "report.json").read_text())
    del report["model_sha256"], report["training_seconds"]  # the file holds the time it was saved
    for optional in ("robustness", "rejection"):  # measured for the run that all tests share only
        report.pop(optional, None)
    return epochs, report


def test_a_finished_run_holds_everything(finished_run):
    assert {file.name for file in finished_run.folder.iterdir()} == FILES
    assert finished_run.read_status().state == "finished"
    environment = json.loads((finished_run.folder / "environment.json").read_text())
    assert {"ser", "tensorflow", "keras", "librosa"} <= set(environment["versions"])


def test_every_epoch_is_on_record(finished_run):
    epochs = finished_run.read_epochs()
    assert [e["epoch"] for e in epochs] == [1, 2, 3]
    for epoch in epochs:
        assert set(epoch) == {
            "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
        }  # fmt: skip
        assert 0 <= epoch["accuracy"] <= 1 and epoch["loss"] > 0 and epoch["seconds"] > 0
    assert epochs[-1]["learning_rate"] < epochs[0]["learning_rate"]


def test_the_manifest_lists_the_training_clips_and_no_test_clip(finished_run):
    manifest = read_manifest(finished_run.folder)
    split = json.loads((finished_run.folder / "split.json").read_text())
    heard = {clip.removeprefix("ravdess-style:") for clip in manifest.training_clips.ids}
    assert heard == {name.removesuffix(".flac") for name in split["train"] + split["validation"]}
    assert not heard & {name.removesuffix(".flac") for name in split["test"]}
    assert len(manifest.training_clips.audio) == len(heard)


def test_the_report_is_about_the_test_clips(finished_run):
    split = json.loads((finished_run.folder / "split.json").read_text())
    report = Report.load(finished_run.folder / "report.json")
    predictions = report.predictions
    assert report.n_test == len(split["test"]) == len(predictions)
    assert {name.split("/")[-1] for name in predictions["file"]} == set(split["test"])
    assert report.n_seen_in_training == 0
    right = (predictions["truth"] == predictions["emotion"]).mean()
    assert report.accuracy == pytest.approx(right)
    assert report.n_uncertain == (predictions["verdict"] != "sure").sum()
    assert report.robustness[0].accuracy == report.accuracy


def test_it_learns(tmp_path, corpus):
    """Three very different emotions of the samples are told apart after a few seconds."""
    run = tiny_run(tmp_path / "run", corpus, epochs=40, copies=3, learning_rate=0.01, ema_decay=0.9)
    epochs = run.read_epochs()
    assert epochs[-1]["loss"] < 0.7 * epochs[0]["loss"]
    report = json.loads((run.folder / "report.json").read_text())
    assert report["accuracy_interval"][0] > 1 / 3


def test_the_same_seed_gives_the_same_run(tmp_path, corpus, finished_run):
    again = tiny_run(tmp_path / "run", corpus)
    assert figures(again) == figures(finished_run)


def test_another_seed_gives_another_run(tmp_path, corpus, finished_run):
    other = tiny_run(tmp_path / "other", corpus, seed=7)
    assert figures(other) != figures(finished_run)
    split = json.loads((other.folder / "split.json").read_text())
    assert split != json.loads((finished_run.folder / "split.json").read_text())


def test_unseen_speakers_are_unseen(tmp_path, corpus):
    run = tiny_run(tmp_path / "run", corpus, protocol="unseen-speakers", folds=4, fold=1, epochs=1)
    split = json.loads((run.folder / "split.json").read_text())
    del split["corpus"]
    actors = {part: {name.split("-")[-1] for name in names} for part, names in split.items()}
    assert not actors["train"] & actors["test"]
    assert not actors["validation"] & (actors["train"] | actors["test"])


def test_training_never_gets_test_clips(tmp_path, corpus, monkeypatch):
    """What reaches the function that trains is exactly the training and the validation part."""
    seen = {}
    real = fitting.fit

    def watch(inputs, targets, validation, y_validation, **rest):
        spoken = targets.max(axis=1) == 1
        assert 0 < (~spoken).sum() < len(spoken) / 5
        assert (targets[~spoken] == 1 / 8).all(), "what is not speech must not answer to a label"
        seen.update(train=inputs["features"].clean[spoken], validation=validation["features"][:])
        return real(inputs, targets, validation, y_validation, **rest)

    monkeypatch.setattr(fitting, "fit", watch)
    run = tiny_run(tmp_path / "run", corpus, epochs=1)
    split = json.loads((run.folder / "split.json").read_text())
    for part, arrays in seen.items():
        paths = [str(corpus / name) for name in split[part]]
        again = compute_features(paths, n_jobs=1)["features"].clean
        np.testing.assert_array_equal(arrays, again)


def test_what_the_validation_clips_have_told_stays_when_they_are_learned_as_well(
    tmp_path, corpus, finished_run, monkeypatch
):
    given = []
    real = fitting.fit

    def watch(inputs, targets, *rest, **options):
        given.append(inputs["features"].clean[targets.max(axis=1) == 1])
        return real(inputs, targets, *rest, **options)

    monkeypatch.setattr(fitting, "fit", watch)
    run = tiny_run(tmp_path / "run", corpus, refit=True)
    split = json.loads((run.folder / "split.json").read_text())
    paths = [str(corpus / name) for name in split["train"] + split["validation"]]
    np.testing.assert_array_equal(given[1], compute_features(paths, n_jobs=1)["features"].clean)
    assert len(given[0]) == len(split["train"])
    (epochs, report), (other_epochs, other) = figures(run), figures(finished_run)
    assert epochs == other_epochs
    for key in ("temperature", "min_confidence", "n_test", "n_validation"):
        assert report[key] == other[key], key
    assert (report["n_train"], report["refit"]) == (len(paths), True)
    assert report["predictions"] != other["predictions"]
    card = (run.folder / "MODEL_CARD.md").read_text()
    held_out = len(split["validation"])
    assert f"{len(paths)} clips, {held_out} of which watched and calibrated" in card
    # Time spent is told whole, though only what was watched is on record.
    told = json.loads((run.folder / "report.json").read_text())["training_seconds"]
    assert told > sum(epoch["seconds"] for epoch in run.read_epochs())
    assert history.read(run).seconds == told
    spaces = [Recognizer.load(folder).embedding for folder in (run.folder, finished_run.folder)]
    assert spaces[0].threshold == spaces[1].threshold
    assert len(spaces[0].points) > len(spaces[1].points)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, corpus):
    return tiny_run(tmp_path_factory.mktemp("undisturbed") / "run", corpus, epochs=30, model=TWO)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_resumes_to_the_same_end(tmp_path, corpus, undisturbed, number):
    """A signal between two epochs, or within one, costs at most that epoch."""
    run = pipeline.start(tmp_path / "run", tiny_config(corpus, epochs=30, model=TWO))
    process = start_process(run)
    wait_for(lambda: len(run.read_epochs()) >= 3, process, "the third epoch")
    process.send_signal(number)
    process.communicate()
    before = run.read_epochs()
    assert 3 <= len(before) < 30
    expected = "interrupted" if number == signal.SIGKILL else "stopped"
    assert run.read_status().state == expected

    pipeline.train(run, n_jobs=1)
    assert run.read_status().state == "finished"
    assert run.read_epochs()[: len(before)] == before, "finished epochs were trained again"
    assert figures(run) == figures(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_and_can_be_resumed(tmp_path, corpus, number):
    run = pipeline.start(tmp_path / "run", tiny_config(corpus, epochs=500))
    process = start_process(run)
    wait_for(lambda: len(run.read_epochs()) >= 1, process, "the first epoch")
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"ser train --resume {run.folder}" in errors
    assert "Traceback" not in errors
    status = run.read_status()
    assert status.state == "stopped"
    epochs = run.read_epochs()
    assert f"after {len(epochs)} of 500" in status.message
    assert not [file for file in run.folder.iterdir() if file.name.startswith(".writing-")]
    with np.load(run.folder / "checkpoint.npz", allow_pickle=False) as checkpoint:
        assert len(json.loads(str(checkpoint["epochs"]))) in (len(epochs), len(epochs) + 1)


def test_a_signal_within_compiled_code_stops_it_as_well(tmp_path, corpus):
    """Python makes a SystemError of what a handler raises while NumPy converts something."""
    run = pipeline.start(tmp_path / "run", tiny_config(corpus))

    with pytest.raises(Stopped, match="Go on with"), pipeline.working_on(run):
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()
    assert run.read_status().state == "stopped"


def test_a_signal_within_a_destructor_is_obeyed_after_the_step():
    """Python swallows what is raised there, and TensorFlow has many destructors."""

    class Released:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)
            assert True  # where the handler is called

    steps = 0
    with pytest.raises(KeyboardInterrupt):
        for _ in fitting.read_ahead(iter([(np.zeros(2),), (np.ones(2),)])):
            steps += 1
            Released()
    assert steps == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_is_not_trained_again(finished_run):
    before = (finished_run.folder / "model.keras").read_bytes()
    with pytest.raises(RunError, match="is finished"):
        pipeline.train(finished_run, n_jobs=1)
    assert (finished_run.folder / "model.keras").read_bytes() == before
    assert finished_run.read_status().state == "finished"


def test_a_process_holds_its_run_alone(tmp_path, corpus):
    run = pipeline.start(tmp_path / "run", tiny_config(corpus, epochs=500))
    process = start_process(run)
    wait_for(lambda: len(run.read_epochs()) >= 1, process, "the first epoch")
    assert run.read_status().state == "training"
    with pytest.raises(RunError, match="another process"):
        pipeline.train(Run(run.folder), n_jobs=1)
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == 130


@pytest.fixture(scope="module")
def refitted_run(tmp_path_factory, corpus):
    return tiny_run(tmp_path_factory.mktemp("refitted") / "run", corpus, refit=True)


class Died(BaseException):
    """Stands for a process that ends between two writes."""


@pytest.mark.no_cover  # nothing runs here that other tests do not run, only more slowly
@pytest.mark.parametrize(
    ("file", "undisturbed_run"),
    [
        *((f, "finished_run") for f in ("split.json", "checkpoint.npz", "epochs.jsonl")),
        *((f, "finished_run") for f in ("embedding.npz", "manifest.json", "report.json")),
        ("checkpoint-refit.npz", "refitted_run"),
    ],
)
def test_a_run_that_died_between_two_writes_resumes_to_the_same_end(
    tmp_path, corpus, monkeypatch, request, file, undisturbed_run
):
    """After one write is also before the next one."""
    expected = request.getfixturevalue(undisturbed_run)
    refit = undisturbed_run == "refitted_run"
    run = pipeline.start(tmp_path / "run", tiny_config(corpus, refit=refit))
    real = Path.replace
    written = []

    def dying(source, target):
        mine = Path(target) == run.folder / file
        written.append(mine)
        real(source, target)
        if mine and sum(written) == (2 if file.startswith(("checkpoint", "epochs")) else 1):
            raise Died

    monkeypatch.setattr(Path, "replace", dying)
    with pytest.raises(Died):
        pipeline.train(run, n_jobs=1)
    monkeypatch.setattr(Path, "replace", real)
    pipeline.train(run, n_jobs=1)
    assert figures(run) == figures(expected)
    assert {path.name for path in run.folder.iterdir()} == FILES


def test_a_changed_corpus_is_not_mixed_into_a_run(tmp_path, corpus):
    """Not even if only the sound behind a name has changed."""
    data = shutil.copytree(corpus, tmp_path / "clips")
    run = pipeline.start(tmp_path / "run", tiny_config(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "fit", lambda *_, **__: (_ for _ in ()).throw(Died()))
        with pytest.raises(Died):
            pipeline.train(run, n_jobs=1)
    first, second = sorted(data.iterdir())[:2]
    shutil.copy(first, second)
    with pytest.raises(RunError, match="corpus has changed"):
        pipeline.train(run, n_jobs=1)
    assert run.read_status().state == "failed"


def test_other_versions_do_not_continue_a_run(tmp_path, corpus):
    run = pipeline.start(tmp_path / "run", tiny_config(corpus))
    (run.folder / "environment.json").write_text('{"versions": {"tensorflow": "1.0"}}')
    with pytest.raises(RunError, match="other versions"):
        pipeline.train(run, n_jobs=1)


def test_a_vanished_corpus_is_reported(tmp_path):
    run = pipeline.start(tmp_path / "run", tiny_config(tmp_path / "gone"))
    with pytest.raises(DataError, match="does not exist"):
        pipeline.train(run, n_jobs=1)
    status = run.read_status()
    assert status.state == "failed"
    assert "does not exist" in status.message


def test_a_damaged_checkpoint_is_reported(tmp_path, corpus):
    run = pipeline.start(tmp_path / "run", tiny_config(corpus))
    (run.folder / "checkpoint.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(RunError, match="checkpoint"):
        pipeline.train(run, n_jobs=1)


def test_results_are_never_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="not empty"):
        pipeline.start(tmp_path / "run", tiny_config(SAMPLES))
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


def test_an_epoch_draws_clips_and_copies_alike():
    shape = SPECTRAL.shapes["features"]
    clean = np.zeros((50, *shape), np.float32)
    copies = np.ones((50, 4, *shape), np.float16) * np.arange(1, 5)[None, :, None, None, None]
    inputs = Features(clean, copies.astype(np.float16))
    rng = np.random.default_rng(0)

    def drawn(clean):
        which = [
            fitting.take(inputs, rows, fitting._draw(len(rows), 4, rng, clean))[:, 0, 0, 0]
            for _ in range(20)
            for (_, rows) in fitting._batches(50, 16, 2, rng)
        ]
        counts = np.bincount(np.concatenate(which).astype(int), minlength=5)
        assert counts.sum() == 20 * 48
        return counts / counts.sum()

    assert (np.abs(drawn(0.0) - 1 / 5) < 0.04).all()
    assert (np.abs(drawn(0.5) - [0.6, 0.1, 0.1, 0.1, 0.1]) < 0.05).all()


def test_members_learn_from_clips_of_their_own():
    first, second = next(iter(fitting._batches(50, 50, 2, np.random.default_rng(0))))
    assert sorted(first) == sorted(second) == list(range(50))
    assert (first != second).any()


@pytest.mark.parametrize(("balanced", "expected"), [(False, 0.75), (True, 0.5)])
def test_balanced_training_prefers_no_emotion(tmp_path, balanced, expected):
    """Where the clips tell nothing, how many there are of each emotion is all there is to learn."""
    silent = Features(
        np.zeros((64, *SPECTRAL.shapes["features"]), np.float32),
        np.zeros((64, 1, *SPECTRAL.shapes["features"]), np.float16),
    )
    y_true = np.where(np.arange(64) % 4 == 0, EMOTIONS.index("sad"), 0)
    config = tiny_config(
        Path("unused"),
        balanced=balanced,
        epochs=40,
        learning_rate=0.05,
        label_smoothing=0.0,
        ema_decay=0.5,
    )
    run = pipeline.start(tmp_path / "run", config)
    model, _ = fitting.fit(
        {"features": silent},
        np.eye(8, dtype=np.float32)[y_true],
        {"features": silent.clean[:8]},
        y_true[:8],
        config=config,
        run=run,
    )
    probabilities = softmax(model.predict(silent.clean[:1], verbose=0))[0]
    assert probabilities[0] == pytest.approx(expected, abs=0.05)
    assert probabilities[EMOTIONS.index("sad")] == pytest.approx(1 - expected, abs=0.05)
