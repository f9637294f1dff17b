import json
import shutil

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from ser.app import evaluations, workspace
from ser.assets import DEFAULT_MODEL, RAVDESS_MODEL
from ser.evaluation.report import Report
from ser.training.runs import Run
from tests.app.pages.conftest import PROJECT

RAVDESS = RAVDESS_MODEL / "report.json"
PUBLISHED = sorted((PROJECT / "reports").glob("*.json"))
PARTS = (
    *("Emotions", "Confusions", "Groups", "Confidence", "Conditions", "Training", "Compare"),
    "Protocols",
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def open_report(page, home):
    """Open the page at a report, as a link with ``?report=`` does."""

    def open_report(key=None, part=None):
        app = AppTest.from_file(str(PROJECT / "pages" / "3_Evaluation.py"), default_timeout=120)
        if key is not None:
            app.query_params["report"] = key
        if part is not None:
            app.session_state["part"] = part
        return well(app.run())

    # `page` is asked for since it goes to the project's folder.
    return open_report


def well(app):
    assert not app.exception
    assert not app.error
    return app


def metrics(app):
    return {metric.label: metric.value for metric in app.metric}


def shown(figures):
    columns = figures["predictions"]["columns"]
    verdict, said, meant = (columns.index(c) for c in ("verdict", "emotion", "truth"))
    sure = [row for row in figures["predictions"]["rows"] if row[verdict] == "sure"]
    right = sum(row[said] == row[meant] for row in sure)
    return {
        "Sure answers right": f"{right / len(sure):.1%}" if sure else "–",
        "Accuracy": f"{figures['accuracy']:.1%}",
        "Weighted F1": f"{figures['weighted_f1']:.1%}",
        "Average recall": f"{figures['uar']:.1%}",
        "Calibration error": f"{figures['ece']:.3f}",
    }


def words(app):
    return " ".join(text.value for text in [*app.markdown, *app.caption])


def find(elements, label):
    return next(element for element in elements if element.label == label)


@pytest.mark.parametrize("model", [DEFAULT_MODEL, RAVDESS_MODEL])
def test_shipped_models_are_shown_the_default_first(open_report, model):
    app = open_report(None if model == DEFAULT_MODEL else f"model/{model.name}")
    figures = json.loads((model / "report.json").read_text())
    assert metrics(app) == shown(figures)
    report = Report.load(model / "report.json")
    assert f"{report.n_test} clips" in words(app) and "seed 42" in words(app)
    assert report.protocol_in_words in words(app)
    table = app.dataframe[0].value.set_index("emotion")
    for emotion, row in figures["per_class"].items():
        assert table["recall"][emotion] == pytest.approx(100 * row["recall"])


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)
def test_every_published_report_opens_with_all_its_parts(open_report, file):
    app = open_report(f"published/{file.stem}")
    assert metrics(app) == shown(json.loads(file.read_text()))
    for part in PARTS:
        app.session_state["part"] = part
        well(app.run())
        assert app.get("vega_lite_chart") or app.info, part


def test_a_run_is_opened_by_its_address(open_report, home, finished_run):
    shutil.copytree(finished_run.folder, home / "mine")
    app = open_report("run/mine", "Training")
    assert find(app.selectbox, "Report").value == "run/mine"
    assert metrics(app) == shown(json.loads((home / "mine" / "report.json").read_text()))
    assert "3 epochs" in words(app)
    assert len(app.get("vega_lite_chart")) == 2


def test_a_run_without_a_report_says_how_far_it_is(open_report, home):
    run = Run(home / "half")
    run.create({})
    run.write_status("stopped", "Stopped after epoch 2.")
    app = open_report("run/half")
    assert not app.metric
    assert "no report yet" in app.info[0].value and "epoch 2" in app.info[0].value


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"accuracy": 1}'])
def test_a_damaged_report_gets_a_sentence(open_report, page, home, text):
    Run(home / "broken").create({})
    (home / "broken" / "report.json").write_text(text)
    app = AppTest.from_file(str(PROJECT / "pages" / "3_Evaluation.py"), default_timeout=120)
    app.query_params["report"] = "run/broken"
    app.run()
    assert not app.exception and not app.metric
    assert "report.json" in app.error[0].value


def test_an_address_that_leads_nowhere_is_said_to(open_report):
    app = open_report("run/../../etc")
    assert "no report called run/../../etc" in app.warning[0].value
    assert find(app.selectbox, "Report").value == "model/everyday"


def test_an_address_puts_no_link_on_the_page(open_report):
    app = open_report("[a prize](https://example.org)")
    words = "called \\[a prize\\](https:\N{WORD JOINER}//example.org) here"
    assert words in app.warning[0].value


def test_another_page_can_ask_for_a_report(open_report):
    app = open_report("published/quick")
    find(app.selectbox, "Report").select("published/emodb").run()
    assert metrics(well(app)) == shown(json.loads((PROJECT / "reports" / "emodb.json").read_text()))
    app.query_params["report"] = "published/quick"  # the address of before, sent too late
    assert find(well(app.run()).selectbox, "Report").value == "published/emodb"
    app.session_state["open report"] = "model/ravdess"
    assert find(well(app.run()).selectbox, "Report").value == "model/ravdess"


def test_the_boxes_list_the_clips_of_a_cell(open_report):
    app = open_report("model/ravdess", "Confusions")
    predictions = Report.load(RAVDESS).predictions
    for truth, answer in [("sad", "fearful"), ("happy", "happy"), ("calm", "disgust")]:
        find(app.selectbox, "Truth").select(truth)
        find(app.selectbox, "Answer").select(answer)
        well(app.run())
        expected = predictions[(predictions["truth"] == truth) & (predictions["emotion"] == answer)]
        if expected.empty:
            assert f"No {truth} clip was called {answer}" in app.info[0].value
            continue
        assert sorted(app.dataframe[-1].value["file"]) == sorted(expected["file"])
        assert f"**{len(expected)}** of" in words(app)


def test_cells_show_counts_or_rates(open_report):
    app = open_report(part="Confusions")
    chart = app.get("vega_lite_chart")[0]
    assert "number of clips" in json.loads(chart.proto.spec)["description"]
    app.segmented_control[0].set_value("Rates").run()
    chart = well(app).get("vega_lite_chart")[0]
    assert "per cent" in json.loads(chart.proto.spec)["description"]


def test_a_clip_is_played_with_its_probabilities(open_report):
    app = open_report("published/samples", "Confusions")
    assert len(app.get("audio")) == 1
    clip = find(app.selectbox, "Clip to hear")
    assert "data/samples" in words(app)
    clip.select_index(1).run()
    name = clip.format_func(1).split(" ")[0]
    assert f"{name}." in words(well(app))


def test_a_clip_that_is_not_at_hand_asks_for_its_folder(open_report, home, tmp_path):
    figures = json.loads((PROJECT / "reports" / "samples.json").read_text())
    column = figures["predictions"]["columns"].index("file")
    for row in figures["predictions"]["rows"]:
        row[column] = row[column].replace("Actor", "Voice")
    Run(home / "moved").create({})
    (home / "moved" / "report.json").write_text(json.dumps(figures))
    app = open_report("run/moved", "Confusions")
    assert not app.get("audio")
    app.text_input[0].set_value(str(tmp_path)).run()
    assert f"{tmp_path} holds no Voice" in well(app).warning[0].value
    for folder in (PROJECT / "data" / "samples").glob("Actor*"):
        shutil.copytree(folder, tmp_path / "moved" / folder.name.replace("Actor", "Voice"))
    app.text_input[0].set_value(str(tmp_path / "moved")).run()
    assert len(well(app).get("audio")) == 1


def test_groups_say_what_chance_explains(open_report):
    app = open_report("model/ravdess", "Groups")
    table = Report.load(RAVDESS).predictions
    right = (table["truth"] == table["emotion"]).groupby(table["channel"]).mean()
    assert f"from {right['speech']:.0%} (speech) to {right['song']:.0%} (song)" in words(app)
    numbers = pd.concat([frame.value for frame in app.dataframe])
    assert set(table["speaker"]) <= set(numbers["Group"])


def test_the_gap_between_protocols_is_computed(open_report):
    app = open_report(part="Protocols")
    quick, unseen = (
        json.loads((PROJECT / "reports" / f"{name}.json").read_text())["accuracy"]
        for name in ("quick", "speakers-quick")
    )
    assert f"it gets {100 * quick:.0f} right" in words(app)
    assert f"and {100 * unseen:.0f} when it does not" in words(app)


def test_two_reports_are_compared_clip_by_clip(open_report):
    app = open_report("model/ravdess", part="Compare")
    assert any("Choose a second report" in info.value for info in app.info)
    find(app.selectbox, "Compare with").set_value("published/quick").run()
    well(app)
    assert metrics(app)["Difference"] == "+5.3 points"
    assert "same **491 clips**" in words(app) and "a real difference" in words(app)
    find(app.selectbox, "Compare with").set_value("published/emodb").run()
    assert "different clips" in words(well(app))


def test_an_evaluation_of_the_app_is_compared(open_report, home):
    Run(home / "tried").create({"model": "/models/everyday", "protocol": "all"})
    shutil.copy(PROJECT / "reports" / "emodb.json", home / "tried" / "report.json")
    app = open_report("run/tried", part="Compare")
    find(app.selectbox, "Compare with").set_value("published/emodb").run()
    assert "same **454 clips**" in words(well(app))


def test_clips_seen_in_training_are_warned_of(open_report, home):
    figures = json.loads((PROJECT / "reports" / "samples.json").read_text())
    Run(home / "heard").create({})
    (home / "heard" / "report.json").write_text(
        json.dumps(figures | {"n_seen_in_training": 7, "speakers": "seen-clips"})
    )
    app = open_report("run/heard")
    assert "7 of these 120 clips were seen in training" in app.warning[0].value


def test_a_corpus_without_clips_is_refused(open_report, tmp_path):
    (tmp_path / "empty").mkdir()
    workspace.remember_corpus(tmp_path / "empty")
    app = open_report()
    find(app.selectbox, "Corpus").select(str(tmp_path / "empty"))
    find(app.button, "Evaluate").click().run()
    assert not app.exception
    assert "holds no clip" in app.error[0].value
    assert evaluations.find_evaluations() == []


def test_an_evaluation_that_failed_can_be_started_again_or_removed(open_report, home):
    evaluation = Run(home / "evaluations" / "mine")
    evaluation.create({})
    evaluation.write_status("failed", "The corpus is gone.")
    app = open_report()
    assert "The corpus is gone." in words(app)
    find(app.button, "Remove").click().run()
    well(app)
    assert evaluations.find_evaluations() == []
    assert "The corpus is gone." not in words(app)


def test_only_who_started_an_evaluation_is_taken_to_its_result(open_report, home):
    mine, other = open_report(), open_report()
    evaluation = Run(home / "evaluations" / "mine")
    evaluation.create({})
    evaluation.write_status("finished", "Done")
    shutil.copy(PROJECT / "reports" / "samples.json", evaluation.folder / "report.json")
    mine.session_state["my evaluation"] = "mine"
    assert find(well(mine.run()).selectbox, "Report").value == "evaluation/mine"
    assert find(well(other.run()).selectbox, "Report").value == "model/everyday"


def test_an_evaluation_made_here_can_be_removed(open_report, home):
    evaluation = Run(home / "evaluations" / "mine")
    evaluation.create({})
    evaluation.write_status("finished", "Done")
    shutil.copy(PROJECT / "reports" / "samples.json", evaluation.folder / "report.json")
    app = open_report("evaluation/mine")
    assert "finished on" in words(app)
    find(app.button, "Remove").click().run()
    assert find(well(app).selectbox, "Report").value == "model/everyday"
    assert not evaluation.folder.exists()


def test_an_evaluation_that_goes_on_is_shown_and_can_be_stopped(open_report, home):
    evaluation = Run(home / "evaluations" / "mine")
    evaluation.create({})
    with evaluation.locked():
        evaluation.write_status("evaluating", "Listening", 3, 9, stage=2, stages=3)
        app = open_report()
        shown = app.get("progress")[0].proto
        assert shown.value == 33 and shown.text.startswith("Listening (2 of 3)")
        app.button(key="stop-mine").click().run()
        well(app)
        assert evaluation.is_stopping
        assert app.run().get("progress")[0].proto.text == "Stopping …"
        assert app.button(key="stop-mine").disabled
