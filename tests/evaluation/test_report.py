import json
import pickle

import pandas as pd
import pytest
from sklearn.metrics import classification_report

from ser.assets import DEFAULT_MODEL, RAVDESS_MODEL, REPORTS
from ser.errors import ReportError
from ser.evaluation.figures import Figures
from ser.evaluation.rendering import to_html
from ser.evaluation.report import Report, Speakers, on_unseen_speakers
from ser.training.config import configure, read_config

SHIPPED = RAVDESS_MODEL / "report.json"
PUBLISHED = [SHIPPED, *sorted(REPORTS.glob("*.json"))]


@pytest.fixture(scope="module")
def report():
    return Report.load(SHIPPED)


@pytest.fixture(scope="module")
def predictions(report):
    return report.predictions


@pytest.fixture
def samples_report():
    return json.loads((REPORTS / "samples.json").read_text())


def test_the_report_of_a_run_has_what_others_build_on(finished_run):
    found = Report.load(finished_run.folder / "report.json")
    assert set(Figures.model_fields) <= set(type(found).model_fields)
    assert found.temperature and found.seed is not None and found.protocol == "random"
    for values in found.classes.values():
        assert set(values.model_dump()) == {"precision", "recall", "f1", "support"}
    assert sum(map(sum, found.confusion_matrix)) == found.n_test
    assert set(found.by) == {"channel", "gender", "intensity", "speaker"}
    assert found.speakers is Speakers.SEEN_SPEAKERS


def test_predictions_are_a_table_of_clips(finished_run):
    found = Report.load(finished_run.folder / "report.json")
    table = found.predictions
    assert list(table.columns[:5]) == ["file", "start", "end", "emotion", "verdict"]
    assert table[found.labels].sum(axis=1).between(0.999, 1.001).all()
    assert not table["file"].str.startswith("/").any()


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)
def test_every_published_report_is_kept_to_the_last_digit_when_saved(file, tmp_path):
    found = Report.load(file)
    assert found.n_test > 0
    found.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()
    assert Report.load(tmp_path / "again.json") == found
    assert pickle.loads(pickle.dumps(found)) == found


def test_every_published_report_has_a_title_of_its_own():
    titles = [Report.load(file).title for file in PUBLISHED]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "[" * 100_000])
def test_a_report_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    assert Report.find(tmp_path / "report.json") is None
    assert Report.find(tmp_path / "nowhere.json") is None


def test_a_report_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(ReportError, match="There is no report at"):
        Report.load(tmp_path / "report.json")
    with pytest.raises(ReportError, match="cannot be read"):
        Report.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accuracy": "high"}, "accuracy"),
        ({"accuracy": "0.175"}, "accuracy"),
        ({"accuracy": 1.5}, "accuracy"),
        ({"accuracy": 0.5}, "the accuracy is not that of the predictions"),
        ({"accuracy_interval": [0.1]}, "accuracy_interval"),
        ({"per_class": {"sad": {}}}, "per_class.sad"),
        ({"per_class": {"bored": {"precision": 1, "recall": 1, "f1": 1, "support": 1}}}, "label"),
        ({"by": []}, "by"),
        ({"robustness": [{}], "rejection": []}, "robustness|rejection"),
        ({"rejection": [{"kind": "a", "like_training": True, "n": 1, "sure": 0}]}, "together"),
        ({"folds": 5}, "folds"),
        ({"n_test": 119}, "rows are missing"),
        ({"labels": ["sad"]}, "not a text"),
        ({"confusion_matrix": [[120]]}, "the confusion matrix is not that"),
        ({"predictions": {"columns": ["file"], "rows": []}}, "no column"),
        ({"title": ""}, "title"),
        ({"speakers": "strangers"}, "speakers should be 'seen-clips'"),
        ({"speakers": "seen-clips"}, "n_seen_in_training is 0 but speakers seen-clips"),
        ({"protocol": "guesswork"}, "protocol: 'guesswork' is none of random"),
        ({"titel": "Mine"}, "titel is unknown"),
    ],
)
def test_a_report_from_a_stranger_is_checked(samples_report, tmp_path, change, words):
    (tmp_path / "report.json").write_text(json.dumps(samples_report | change))
    with pytest.raises(ReportError, match=words):
        Report.load(tmp_path / "report.json")
    assert Report.find(tmp_path / "report.json") is None


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        *(("truth", "sad"), ("truth", {}), ("sad", "much"), ("file", None), ("start", [])),
        *(("sad", float("nan")), ("start", float("inf")), ("start", 10**400), ("emotion", 3)),
    ],
)
def test_predictions_of_a_stranger_are_checked(samples_report, tmp_path, column, cell):
    predictions = samples_report["predictions"]
    predictions["rows"][0][predictions["columns"].index(column)] = cell
    (tmp_path / "report.json").write_text(json.dumps(samples_report))
    with pytest.raises(ReportError, match="not a report of this program"):
        Report.load(tmp_path / "report.json")


@pytest.mark.parametrize("column", ["speaker", "corpus", "channel"])
def test_predictions_that_lack_what_pages_show_are_refused(samples_report, tmp_path, column):
    predictions = samples_report["predictions"]
    place = predictions["columns"].index(column)
    for row in (predictions["columns"], *predictions["rows"]):
        del row[place]
    (tmp_path / "report.json").write_text(json.dumps(samples_report))
    with pytest.raises(ReportError, match=f"no column {column}"):
        Report.load(tmp_path / "report.json")


def test_a_part_that_is_missing_is_named(samples_report, tmp_path):
    del samples_report["uar"]
    (tmp_path / "report.json").write_text(json.dumps(samples_report))
    with pytest.raises(ReportError, match="uar is missing"):
        Report.load(tmp_path / "report.json")


def test_how_it_was_tested_is_said_from_protocol_and_speakers(samples_report):
    def words(**change):
        return Report(**(samples_report | change)).protocol_in_words

    assert words() == "every clip of the corpus"
    assert "same speakers are in training" in words(protocol="random", speakers="seen-speakers")
    assert "was not trained on" in words(protocol="random", speakers="other-corpus")


def test_what_to_expect_of_an_unseen_voice_is_measured_on_the_most_clips():
    reports = {file.stem: Report.load(file) for file in PUBLISHED}
    unseen = [r for r in reports.values() if r.speakers is Speakers.UNSEEN_SPEAKERS]
    chosen = on_unseen_speakers(reports.values())
    assert chosen == reports["everyday-crema-d"]
    assert chosen.n_test == max(r.n_test for r in unseen)
    assert on_unseen_speakers([reports["quick"], reports["emodb"]]) is None


def test_sure_answers_are_counted_from_the_predictions(report, predictions):
    sure = report.sure_answers()
    said = predictions[predictions["verdict"] == "sure"]
    assert (
        (sure.n, sure.of) == (len(said), report.n_test) == (report.n_test - report.n_uncertain, 491)
    )
    assert sure.accuracy == pytest.approx((said["emotion"] == said["truth"]).mean())
    assert sure.interval[0] < sure.accuracy < sure.interval[1]


def test_the_classes_are_those_scikit_learn_finds(report, predictions):
    found = report.per_class().set_index("emotion")
    expected = classification_report(predictions["truth"], predictions["emotion"], output_dict=True)
    for emotion, row in found.iterrows():
        assert row["precision"] == pytest.approx(expected[emotion]["precision"])
        assert row["recall"] == pytest.approx(expected[emotion]["recall"])
        assert row["f1"] == pytest.approx(expected[emotion]["f1-score"])
        assert row["clips"] == expected[emotion]["support"]
        assert row["low"] < row["recall"] <= row["high"] <= 1
        assert row["recall"] < row["high"] or row["recall"] == 1
    mistakes = predictions[
        (predictions["truth"] == "fearful") & (predictions["emotion"] != "fearful")
    ]
    assert found["answer"]["fearful"] == mistakes["emotion"].value_counts().index[0]


def test_every_cell_of_the_matrix_holds_its_clips(report):
    matrix = report.confusion()
    assert list(matrix.index) == list(matrix.columns) == report.labels
    for i, truth in enumerate(report.labels):
        for j, answer in enumerate(report.labels):
            found = report.clips(truth, answer)
            assert len(found) == report.confusion_matrix[i][j] == matrix.loc[truth, answer]
            assert set(found["truth"]) <= {truth} and set(found["emotion"]) <= {answer}
            assert found["probability"].is_monotonic_decreasing


def test_the_commonest_mistake_is_found_and_none_is_invented(report, predictions):
    wrong = predictions[predictions["truth"] != predictions["emotion"]]
    assert report.commonest_mistake() == wrong[["truth", "emotion"]].value_counts().index[0]
    perfect = report.model_copy(
        update={"labels": ["sad", "calm"], "confusion_matrix": [[2, 0], [0, 3]]}
    )
    assert perfect.commonest_mistake() == ("sad", "sad")


def test_groups_are_recomputed_from_the_predictions(report, predictions):
    found = report.groups()
    assert set(found) == {"gender", "channel", "intensity", "speaker"}
    for name, table in found.items():
        right = (predictions["truth"] == predictions["emotion"]).groupby(predictions[name]).mean()
        assert table.set_index("group")["accuracy"].to_dict() == pytest.approx(right.to_dict())
        assert (table["low"] < table["accuracy"]).all()
        assert (table["accuracy"] <= table["high"] + 1e-9).all()


def test_a_speaker_is_called_by_the_corpus_where_there_are_several():
    everyday = Report.load(DEFAULT_MODEL / "report.json")
    table = everyday.predictions
    corpora = table[table["speaker"].fillna("") != ""].groupby("speaker")["corpus"].first()
    names = everyday.groups()["speaker"]["group"]
    for name, corpus in zip(names, corpora[list(everyday.by["speaker"])], strict=True):
        assert name.startswith(f"{corpus} "), name
    assert set(everyday.by_speaker_and_emotion()["speaker"]) == set(names)


def test_a_group_of_one_kind_is_no_comparison(report):
    women = {"gender": {"female": report.by["gender"]["female"]}}
    assert "gender" not in report.model_copy(update={"by": women}).groups()


def test_folds_have_intervals_around_their_accuracy(report):
    study = Report.load(REPORTS / "speakers-quick.json")
    table = study.by_fold()
    assert table["clips"].sum() == study.n_test
    assert ((table["low"] < table["accuracy"]) & (table["accuracy"] < table["high"])).all()
    assert report.by_fold().empty and study.conditions().empty and study.sounds().empty


def test_conditions_and_sounds_keep_their_rows(report):
    conditions = report.conditions()
    assert conditions["accuracy"].tolist() == [row.accuracy for row in report.robustness]
    assert conditions["condition"].tolist()[:2] == ["clean", "gain −30 dB"]
    assert {"white noise, 20 dB", "babble, 10 dB", "room, RT60 0.3 s"} <= set(
        conditions["condition"]
    )
    assert pd.isna(report.sounds()["confidence"]).sum() == 1  # digital silence


def test_a_report_says_how_to_make_it_again():
    reports = {file.stem: Report.load(file) for file in REPORTS.glob("*.json")}
    for name, report in reports.items():
        known = report.model is not None or report.config is not None
        assert report.command.startswith("ser " if known else "") and bool(report.command) == known
        if report.config is not None:
            config = configure({"data": "x"}, read_config(REPORTS / f"{name}.json"))
            assert config.protocol == report.protocol, name
    after = reports["corpora-after-10"].command
    assert "--data path/to/ased" in after and "--listen 10" in after
    page = to_html(reports["luna-jimenez"], [])
    assert "ser crossval --config REPORT.json" in page and "none of its speakers" in page
    assert reports["samples"].command.endswith("--protocol all")
    assert reports["everyday-random"].command.startswith("ser train --config REPORT.json --data ")
