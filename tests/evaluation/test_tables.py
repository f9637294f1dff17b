import json

import pandas as pd
import pytest
from scipy.stats import chi2_contingency
from sklearn.metrics import classification_report

from ser.assets import SHIPPED_MODEL
from ser.evaluation import report, tables
from tests.tiny import SAMPLES

PROJECT = SAMPLES.parent.parent


@pytest.fixture(scope="module")
def figures():
    return json.loads((SHIPPED_MODEL / "report.json").read_text())


@pytest.fixture(scope="module")
def predictions(figures):
    return report.predictions_of(figures)


def test_the_classes_are_those_scikit_learn_finds(figures, predictions):
    found = tables.classes(figures).set_index("emotion")
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


def test_every_cell_of_the_matrix_holds_its_clips(figures, predictions):
    for i, truth in enumerate(figures["labels"]):
        for j, answer in enumerate(figures["labels"]):
            found = tables.clips(figures, truth, answer)
            assert len(found) == figures["confusion_matrix"][i][j]
            assert set(found["truth"]) <= {truth} and set(found["emotion"]) <= {answer}
            assert found["probability"].is_monotonic_decreasing


def test_the_commonest_mistake_is_found_and_none_is_invented(figures, predictions):
    wrong = predictions[predictions["truth"] != predictions["emotion"]]
    assert tables.commonest_mistake(figures) == wrong[["truth", "emotion"]].value_counts().index[0]
    perfect = {"labels": ["sad", "calm"], "confusion_matrix": [[2, 0], [0, 3]]}
    assert tables.commonest_mistake(perfect) == ("sad", "sad")


def test_groups_are_recomputed_from_the_predictions(figures, predictions):
    found = tables.groups(figures)
    assert set(found) == {"gender", "channel", "intensity", "speaker"}
    for name, table in found.items():
        right = (predictions["truth"] == predictions["emotion"]).groupby(predictions[name]).mean()
        assert table.set_index("group")["accuracy"].to_dict() == pytest.approx(right.to_dict())


def test_a_group_of_one_kind_is_no_comparison(figures):
    assert "gender" not in tables.groups(
        {"by": {"gender": {"female": figures["by"]["gender"]["female"]}}}
    )


@pytest.mark.parametrize("right", [[191, 244], [180, 250], [10, 11, 25]])
def test_differences_are_judged_as_scipy_does(right):
    clips = [205, 286, 40][: len(right)]
    wrong = [n - r for n, r in zip(clips, right, strict=True)]
    expected = chi2_contingency([right, wrong], correction=False).pvalue < 0.05
    shares = [r / n for r, n in zip(right, clips, strict=True)]
    assert tables.differ(shares, clips) == expected


def test_folds_have_intervals_around_their_accuracy():
    folds = json.loads((PROJECT / "reports" / "speakers-quick.json").read_text())
    table = tables.folds(folds)
    assert table["clips"].sum() == folds["n_test"]
    assert ((table["low"] < table["accuracy"]) & (table["accuracy"] < table["high"])).all()
    assert tables.folds({}).empty and tables.conditions({}).empty and tables.sounds({}).empty


def test_conditions_and_sounds_keep_their_rows(figures):
    conditions = tables.conditions(figures)
    assert conditions["accuracy"].tolist() == [r["accuracy"] for r in figures["robustness"]]
    assert pd.isna(tables.sounds(figures)["confidence"]).sum() == 1  # digital silence
