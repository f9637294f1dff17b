import json
import os
import shutil
import time
from datetime import date

import pytest

from ser import assets
from ser.app import history, workspace
from ser.evaluation.report import Report
from ser.models.networks import ModelConfig
from ser.training import pipeline
from ser.training.config import PRESETS, TrainingConfig
from ser.training.runs import Run
from ser.training.studies import one_configuration
from tests.tiny import SAMPLES, tiny_config


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A workspace of its own."""
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def open_training(home, page):
    def open_training():
        app = page("pages/2_Training.py")
        assert not app.exception
        return app

    return open_training


@pytest.fixture
def open_form(open_training):
    def open_form():
        return button(open_training(), "New training").click().run()

    return open_form


@pytest.fixture
def run_of(home):
    """Make a run in some state; the newest is the one made last."""
    made = []

    def run_of(name, state, message="", **settings):
        run = pipeline.start(home / name, tiny_config(SAMPLES, **settings))
        run.write_status(state, message)
        made.append(run)
        for age, each in enumerate(reversed(made)):
            file = each.folder / "config.json"
            os.utime(file, (1_700_000_000 - 60 * age,) * 2)
        return run

    return run_of


@pytest.fixture
def finished(home, finished_run):
    shutil.copytree(finished_run.folder, home / "finished")
    return Run(home / "finished")


def field(page, label):
    kinds = (
        *("selectbox", "text_input", "number_input", "radio", "multiselect"),
        "segmented_control",
    )
    found = [widget for kind in kinds for widget in getattr(page, kind) if widget.label == label]
    assert len(found) == 1, f"{len(found)} fields are called {label}"
    return found[0]


def button(page, label):
    found = [button for button in page.button if button.label == label]
    assert len(found) == 1, f"{len(found)} buttons are called {label}"
    return found[0]


def said(page):
    kinds = ("info", "warning", "error", "success", "caption", "markdown")
    return "\n".join(element.value for kind in kinds for element in getattr(page, kind))


def test_an_empty_page_says_what_to_do(open_training):
    page = open_training()
    assert "Nothing has been trained here yet" in said(page)
    assert "everyday (shipped)" in said(page)
    button(page, "New training").click().run()
    assert not button(page, "Start").disabled
    assert field(page, "Name").value == f"samples-quick-{date.today():%Y-%m-%d}"
    assert not [b for b in page.button if "Back to" in b.label]


def test_a_preset_fills_in_the_fields(open_form):
    page = open_form()
    assert field(page, "Epochs").value == PRESETS["quick"]["epochs"]
    field(page, "Preset").set_value("full").run()
    assert field(page, "Epochs").value == PRESETS["full"]["epochs"]
    assert field(page, "Networks").value == PRESETS["full"]["model"].members
    assert "-full-" in field(page, "Name").value


def test_it_is_said_how_long_the_last_training_with_the_preset_took(open_form, home):
    def finish(name, seconds, finished, **changes):
        config = TrainingConfig(data="x", **PRESETS["quick"] | changes)
        run = pipeline.start(home / name, config)
        (run.folder / "split.json").write_text(
            '{"corpus": "x", "train": ["a", "b"], "validation": ["c"], "test": ["d"]}'
        )
        run.write_status("finished", "Accuracy 90.0% on unseen clips")
        status = run.read_status().model_dump() | {"worked": seconds, "updated": finished}
        (run.folder / "status.json").write_text(json.dumps(status))

    page = open_form()
    assert "The last training" not in said(page)
    finish("first", 7000, "2026-01-01T10:00:00+00:00")
    finish("second", 40, "2026-01-02T10:00:00+00:00")
    finish("shorter", 3, "2026-01-03T10:00:00+00:00", epochs=2)
    page.run()
    assert "The last training with the quick preset took **40 s** here (4 clips)." in said(page)
    field(page, "Preset").set_value("full").run()
    assert "The last training" not in said(page)


@pytest.mark.parametrize(
    ("folder", "words"),
    [("/nowhere/at/all", "does not exist"), ("docs", "holds no clip")],
)
def test_a_corpus_that_cannot_be_used_gets_a_sentence(open_form, folder, words):
    page = open_form()
    box = field(page, "Corpus")
    box.options += [" ", folder]  # AppTest only selects; a person types what is not in the list
    box.select(" ").run()
    assert "type the path of one" in said(page) and button(page, "Start").disabled
    box = field(page, "Corpus")
    box.options.append(folder)
    box.select(folder).run()
    assert not page.exception
    assert words in page.error[0].value
    assert button(page, "Start").disabled


@pytest.mark.parametrize("name", ["../escape", "a b", "finished"])
def test_a_name_that_cannot_be_is_refused(open_form, finished, home, name):
    page = open_form()
    field(page, "Name").set_value(name)
    button(page, "Start").click().run()
    assert not page.exception
    assert "name" in page.error[0].value
    assert {run.folder.name for run in workspace.runs()} == {"finished"}


def test_every_run_has_a_row_whatever_its_state(open_training, run_of, finished, home):
    run_of("stopped", "stopped", "Stopped after 3 of 5 epochs")
    run_of("failed", "failed", "the corpus has changed")
    run_of("killed", "training", "Training")
    damaged = run_of("damaged", "stopped")
    (damaged.folder / "config.json").write_text('{"epochs": "many"}')
    torn = run_of("torn", "finished")
    (torn.folder / "epochs.jsonl").write_text("<script>")
    page = open_training()
    rows = page.dataframe[0].value.set_index("Name")
    assert rows["State"].to_dict() == {
        "stopped": "stopped",
        "failed": "failed",
        "killed": "interrupted",
        "damaged": "damaged",
        "torn": "damaged",
        "finished": "finished",
    }
    assert rows.loc["finished", "Accuracy"] == history.read(finished).figures["accuracy"]
    for name, words in (
        ("failed", "the corpus has changed"),
        ("killed", "Resume begins again"),
        ("damaged", "Delete it"),
    ):
        field(page, "Look at").set_value([name]).run()
        assert not page.exception
        assert words in said(page)
        assert ("Resume" in [b.label for b in page.button]) == (name != "damaged")


def test_a_finished_model_is_made_active_and_back(open_training, finished):
    page = open_training()
    button(page, "Make it the active model").click().run()
    assert not page.exception and not page.error
    assert workspace.active_model() == finished.folder
    assert "The active model is **finished**" in said(page)
    button(page, "Back to everyday").click().run()
    assert workspace.active_model() == assets.DEFAULT_MODEL
    assert "everyday (shipped)" in said(page)


def test_a_finished_training_shows_its_figures_and_epochs(open_training, finished):
    page = open_training()
    seen = history.read(finished)
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Accuracy"] == f"{seen.figures['accuracy']:.1%}"
    assert shown["Average recall"] == f"{seen.figures['uar']:.1%}"
    assert shown["Epochs"] == "3" and shown["Best epoch"] == str(seen.best_epoch)


def test_two_trainings_are_compared(open_training, finished, home):
    other = shutil.copytree(finished.folder, home / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"seed": 7}))
    page = open_training()
    field(page, "Look at").set_value(["finished", "other"]).run()
    assert not page.exception
    differences = page.dataframe[-1].value.set_index("")
    assert differences.loc["Seed"].to_dict() == {"finished": "42", "other": "7"}
    assert "Epochs" not in differences.index
    recalls = page.dataframe[-2].value
    truth = Report.load(finished.folder / "report.json").per_class()
    for name in ("finished", "other"):
        own = recalls[recalls["run"] == name].set_index("emotion")["recall"]
        assert own.to_dict() == truth.set_index("emotion")["recall"].round(3).to_dict()
    assert not [b for b in page.button if b.label == "Delete it"]


def test_two_folds_are_not_compared_as_they_stand(open_training, finished, home):
    other = shutil.copytree(finished.folder, home / "other")
    for folder, fold in ((finished.folder, 0), (other, 1)):
        config = json.loads((folder / "config.json").read_text())
        changes = {"protocol": "unseen-speakers", "fold": fold, "batch_size": 8 + fold}
        (folder / "config.json").write_text(json.dumps(config | changes))
    page = open_training()
    field(page, "Look at").set_value(["finished", "other"]).run()
    assert not page.exception
    assert page.dataframe[-1].value.set_index("").loc["Fold"].tolist() == ["0", "1"]
    assert "different clips" in said(page)


def test_a_run_is_deleted_after_a_second_click(open_training, finished, home):
    workspace.set_active_model(finished.folder)
    page = open_training()
    assert "everyday will answer again" in said(page)
    button(page, "Delete it").click().run()
    assert not page.exception and not page.error
    assert not finished.folder.exists()
    assert workspace.active_model() == assets.DEFAULT_MODEL
    assert "Nothing has been trained here yet" in said(page)


def test_a_training_that_runs_is_shown_with_its_progress(open_training, finished, home, run_of):
    run = run_of("running", "training", "Training")
    shutil.copy(finished.folder / "epochs.jsonl", run.folder)
    waiting = run_of("waiting", "queued", "Waiting for its turn")
    with run.locked(), waiting.locked():
        Run(run.folder).write_status("training", "Training", 3, 9)
        page = open_training()
        assert "Running now" in [heading.value for heading in page.subheader]
        progress = page.get("progress")[0].proto
        assert "Epoch 4 of 9" in progress.text and "left" in progress.text
        Run(run.folder).write_status("training", "Training again, on all clips", 4, 9, stage=2)
        progress = page.run().get("progress")[0].proto
        assert progress.text.startswith("Training again, on all clips: epoch 5 of 9")
        (run.folder / "members").mkdir()
        words = "Training the members again, on all clips"
        Run(run.folder).write_status("training", words, 1, 3)
        assert page.run().get("progress")[0].proto.text.startswith(f"{words}: 1 of 3")
        (run.folder / "members").rmdir()
        assert "Begins when running has ended" in said(page)
        assert "this one will wait" in said(button(page, "New training").click().run())
        assert "running" not in field(page, "Look at").options
        page.button(key="stop-running").click().run()
        assert not page.exception and not page.error
        assert run.is_stopping
        assert page.run().get("progress")[0].proto.text == "Stopping …"
    page.run()
    assert "Running now" not in [heading.value for heading in page.subheader]
    assert field(page, "Look at").value == ["running", "waiting"]


def test_nobody_sees_what_another_user_has_chosen(open_training, finished, home):
    shutil.copytree(finished.folder, home / "other")
    one, two = (button(open_training(), "New training").click().run() for _ in range(2))
    field(one, "Look at").set_value(["finished", "other"]).run()
    field(one, "Preset").set_value("full").run()
    two.run()
    assert field(two, "Preset").value == "quick"
    assert len(field(two, "Look at").value) == 1


def test_a_training_can_be_begun_again_with_other_settings(open_training, finished):
    page = open_training()
    button(page, "Again with these settings").click().run()
    assert "Uses the corpus and protocol of **finished**" in said(page)
    config = TrainingConfig.from_json(finished.read_config())
    assert field(page, "Epochs").value == config.epochs
    assert field(page, "Name").value == "finished-2"
    field(page, "Seed").set_value(7).run()
    assert not page.exception
    assert "**finished**" in said(page), "a change must not close the form"


def test_settings_that_cannot_be_begin_nothing_and_say_why(open_training, run_of):
    page_of = {"slow": {"learning_rate": 5e-6}, "encoded": {"model": ModelConfig(encoder=True)}}
    for name, settings in page_of.items():
        run_of(name, "stopped", **settings)
    page = open_training()
    field(page, "Look at").set_value(["slow"]).run()
    button(page, "Again with these settings").click().run()
    assert not page.exception and field(page, "Learning rate").value == 5e-6
    field(page, "Seed").set_value(2**32 - 1).run()
    field(page, "Runs").set_value("Several seeds").run()
    assert not page.exception and "seed 4294967296 is impossible" in said(page)
    assert button(page, "Start").disabled
    page = open_training()
    field(page, "Look at").set_value(["encoded"]).run()
    button(page, "Again with these settings").click().run()
    field(page, "Batch size").set_value(30).run()
    assert not page.exception and "batch_size 30 is impossible" in said(page)
    assert button(page, "Start").disabled


def test_notes_are_kept_with_the_run(open_training, finished):
    page = open_training()
    (notes,) = (area for area in page.text_area if area.label == "Notes")
    notes.set_value("first try *with* rooms").run()
    assert finished.read_notes() == "first try *with* rooms"
    (notes,) = (area for area in open_training().text_area if area.label == "Notes")
    assert notes.value == "first try *with* rooms"


def test_the_quick_preset_does_not_test_conditions():
    assert not TrainingConfig(data="x", **PRESETS["quick"]).robustness
    assert TrainingConfig(data="x", **PRESETS["full"]).robustness


@pytest.mark.parametrize("name", workspace.TAKEN)
def test_a_run_cannot_take_the_name_of_what_else_lies_there(home, name):
    from ser.app import processes
    from ser.errors import RunError

    with pytest.raises(RunError, match="something else"):
        processes.start(name, tiny_config(SAMPLES))
    (home / name).mkdir(parents=True)
    with pytest.raises(RunError, match="not deleted"):
        processes.delete(Run(home / name))
    assert (home / name).exists()


def test_a_run_gets_another_name_and_its_model_stays_active(open_training, finished, home):
    workspace.set_active_model(finished.folder)
    page = open_training()
    field(page, "New name").set_value("voices").run()
    button(page, "Rename it").click().run()
    assert "the name of something else" in page.error[0].value
    field(page, "New name").set_value("my-first").run()
    button(page, "Rename it").click().run()
    assert not page.exception and not finished.folder.exists()
    assert workspace.active_model() == home / "my-first"
    assert field(page, "Look at").value == ["my-first"]


def test_several_seeds_of_one_configuration_become_one_report(open_training, finished, home):
    other = home / "other-seed"
    shutil.copytree(finished.folder, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"seed": 43}))
    page = open_training()
    field(page, "Look at").set_value(["finished", "other-seed"]).run()
    assert "2 runs of one configuration" in said(page)
    assert "different clips" not in said(page)
    assert any("± 0.0%" in metric.value for metric in page.metric)
    split = json.loads((other / "split.json").read_text())
    (other / "split.json").write_text(json.dumps(split | {"corpus": "changed since"}))
    page.run()
    assert "runs of one configuration" not in said(page)
    assert "different clips" in said(page)
    (other / "split.json").write_text(json.dumps(split))
    page.run()
    button(page, "Make one report of them").click().run()
    report = Report.load(home / "evaluations" / "finished-2-seeds" / "report.json")
    assert list(report.by_fold()["fold"]) == ["42", "43"]
    assert report.std.accuracy == 0


def started(home, page):
    """Start what the form says, and stop it again; returns the configurations by name."""
    try:
        button(page, "Start").click().run(timeout=240)
        assert not page.exception and not page.error
        return {
            run.folder.name: TrainingConfig.from_json(run.read_config()) for run in workspace.runs()
        }
    finally:
        for run in workspace.runs():
            run.ask_to_stop()
        deadline = time.monotonic() + 120
        while any(run.is_held() for run in workspace.runs()):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_several_runs_wait_in_the_queue_each_with_its_seed(open_form, home):
    page = open_form()
    field(page, "Epochs").set_value(1)
    field(page, "Name").set_value("study")
    field(page, "Runs").set_value("Several seeds").run()
    field(page, "Seeds").set_value(2).run()
    seeds = {name: config.seed for name, config in started(home, page).items()}
    assert seeds == {"study-seed-42": 42, "study-seed-43": 43}


def test_all_folds_of_unseen_speakers_wait_in_the_queue(open_form, home):
    page = open_form()
    assert "folds" not in " ".join(field(page, "Runs").options)  # of the random protocol
    field(page, "Protocol").set_value("unseen-speakers")
    field(page, "Epochs").set_value(1)
    field(page, "Name").set_value("study").run()
    folds = field(page, "Runs").options[-1]
    field(page, "Runs").set_value(folds).run()
    configs = started(home, page)
    assert folds == f"All {len(configs)} folds"
    assert one_configuration(list(configs.values())) == "fold"
    assert next(iter(configs)) == "study-fold-1"
