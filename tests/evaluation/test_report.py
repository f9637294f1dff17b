import json

import pytest

from ser.assets import SHIPPED_MODEL
from ser.data import corpora
from ser.errors import DataError, ReportError
from ser.evaluation import report
from ser.models.recognizer import Recognizer
from tests import tiny


@pytest.fixture(scope="module")
def figures(finished_run):
    return report.read_report(finished_run.folder)


@pytest.fixture(scope="module")
def clips(finished_run):
    data = finished_run.read_config()["data"]
    return corpora.inspect(corpora.scan(data), n_jobs=1).clips


def test_the_report_has_what_others_build_on(figures):
    assert {
        "protocol", "seed", "n_test", "accuracy", "accuracy_interval", "weighted_f1", "macro_f1",
        "uar", "ece", "per_class", "confusion_matrix", "labels", "by", "temperature",
    } <= set(figures)  # fmt: skip
    for values in figures["per_class"].values():
        assert set(values) == {"precision", "recall", "f1", "support"}
    assert sum(map(sum, figures["confusion_matrix"])) == figures["n_test"]
    assert set(figures["by"]) == {"channel", "gender", "intensity", "speaker"}


def test_the_page_stands_alone_and_says_the_figures(finished_run, figures):
    page = (finished_run.folder / "report.html").read_text()
    assert f"{100 * figures['accuracy']:.1f} %" in page
    # The confusion matrix, its confidence, the conditions and the curves.
    assert page.count("<svg") == 4
    assert "<script" not in page and "src=" not in page
    for label in figures["per_class"]:
        assert label in page


def test_the_model_card_says_figures_limits_and_the_command(finished_run, figures):
    card = (finished_run.folder / "MODEL_CARD.md").read_text()
    assert f"{100 * figures['accuracy']:.1f} %" in card
    assert "python -m ser train" in card
    assert "AI Act" in card
    assert "same speakers" in card


def test_names_cannot_break_the_page(figures):
    page = report.to_html(figures | {"model": "<script>alert(1)</script>"}, [])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_clips_heard_in_training_are_counted(finished_run, clips):
    recognizer = Recognizer.load(finished_run.folder)
    split = json.loads((finished_run.folder / "split.json").read_text())
    result = report.evaluate_clips(recognizer, clips, root="x", protocol="all", seed=None, n_jobs=1)
    assert result["n_test"] == len(clips) == len(report.predictions_of(result))
    assert result["n_seen_in_training"] == len(split["train"]) + len(split["validation"])
    assert "seen in\ntraining" in report.to_html(result, [])


def test_a_clip_is_recognised_as_heard_by_name_or_by_sound(finished_run, clips):
    manifest = Recognizer.load(finished_run.folder).manifest
    heard = clips[report.seen_in_training(clips, manifest)].iloc[:1]
    assert report.seen_in_training(heard.assign(clip_id=""), manifest).all(), "renamed"
    assert report.seen_in_training(heard.assign(audio="0" * 32), manifest).all(), (
        "encoded otherwise"
    )
    assert not report.seen_in_training(heard.assign(clip_id="", audio="0" * 32), manifest).any()


def test_an_emotion_the_model_does_not_know_is_refused(finished_run, clips):
    recognizer = Recognizer.load(finished_run.folder)
    odd = clips.assign(emotion="boredom")
    with pytest.raises(DataError, match="no label for: boredom"):
        report.evaluate_clips(recognizer, odd, root="x", protocol="all", seed=None, n_jobs=1)


def test_a_clip_that_vanished_is_reported_by_name(finished_run, clips, tmp_path):
    recognizer = Recognizer.load(finished_run.folder)
    gone = clips.iloc[:2].assign(path=str(tmp_path / "gone.flac"))
    with pytest.raises(DataError, match=r"gone\.flac"):
        report.evaluate_clips(recognizer, gone, root="x", protocol="all", seed=None, n_jobs=1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}'])
def test_a_report_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    assert report.read_report(tmp_path) is None


def test_predictions_are_a_table_of_clips(figures):
    table = report.predictions_of(figures)
    assert list(table.columns[:5]) == ["file", "start", "end", "emotion", "verdict"]
    assert table[figures["labels"]].sum(axis=1).between(0.999, 1.001).all()
    assert not table["file"].str.startswith("/").any()


@pytest.fixture
def samples_report():
    return json.loads((tiny.SAMPLES.parent.parent / "reports" / "samples.json").read_text())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accuracy": "high"}, "accuracy"),
        ({"accuracy": 1.5}, "accuracy"),
        ({"accuracy_interval": [0.1]}, "accuracy_interval"),
        ({"per_class": {"sad": {}}}, "per_class.sad"),
        ({"per_class": {"bored": {"precision": 1, "recall": 1, "f1": 1, "support": 1}}}, "label"),
        ({"by": []}, "by"),
        ({"robustness": [{}], "rejection": []}, "robustness|rejection"),
        ({"folds": 5}, "folds"),
        ({"n_test": 119}, "rows are missing"),
        ({"labels": ["sad"]}, "no text"),
        ({"confusion_matrix": [[120]]}, "the confusion matrix is not that"),
        ({"predictions": {"columns": ["file"], "rows": []}}, "no column"),
    ],
)
def test_a_report_from_a_stranger_is_checked(samples_report, tmp_path, change, words):
    (tmp_path / "report.json").write_text(json.dumps(samples_report | change))
    with pytest.raises(ReportError, match=words):
        report.load_report(tmp_path / "report.json")
    assert report.read_report(tmp_path) is None


@pytest.mark.parametrize(
    ("column", "cell"),
    [("truth", "sad"), ("truth", {}), ("sad", "much"), ("file", None), ("start", [])],
)
def test_predictions_of_a_stranger_are_checked(samples_report, tmp_path, column, cell):
    predictions = samples_report["predictions"]
    predictions["rows"][0][predictions["columns"].index(column)] = cell
    (tmp_path / "report.json").write_text(json.dumps(samples_report))
    with pytest.raises(ReportError, match="no report of this program"):
        report.load_report(tmp_path / "report.json")


def test_every_published_report_is_accepted():
    project = tiny.SAMPLES.parent.parent
    files = [SHIPPED_MODEL / "report.json", *project.glob("reports/*.json")]
    for file in files:
        assert report.load_report(file)["n_test"] > 0


def test_a_cross_validation_has_a_page_with_its_folds():
    file = tiny.SAMPLES.parent.parent / "reports" / "speakers-quick.json"
    page = report.to_html(report.load_report(file), [])
    assert "<h1>unseen-speakers, ravdess</h1>" in page and "By fold" in page
