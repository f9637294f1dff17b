import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, chi2_contingency
from sklearn import metrics

from ser.errors import DataError
from ser.evaluation.figures import Figures
from ser.evaluation.metrics import (
    calibration_error,
    coverage,
    differ,
    evaluate,
    fit_min_confidence,
    fit_temperature,
    reliability,
    wilson_interval,
)
from ser.labels import EMOTIONS
from ser.models.inference import softmax


def table(counts, *, seed=0, wrong=0.3, never=()):
    """Predictions for so many clips of each emotion, some wrong, none of them in `never`."""
    rng = np.random.default_rng(seed)
    rows = []
    for emotion, count in counts.items():
        for n in range(count):
            logits = rng.normal(0, 1, 8)
            logits[EMOTIONS.index(emotion)] += 4 if rng.random() > wrong else 0
            logits[[EMOTIONS.index(name) for name in never]] = -9
            probabilities = softmax(logits[None])[0]
            rows.append(
                {"truth": emotion, "emotion": EMOTIONS[int(probabilities.argmax())]}
                | dict(zip(EMOTIONS, probabilities, strict=True))
                | {"speaker": f"actor {n % 3}", "gender": ["male", "female", ""][n % 3],
                   "channel": "speech"}
            )  # fmt: skip
    return pd.DataFrame(rows)


UNEVEN = {"neutral": 7, "calm": 31, "happy": 12, "sad": 2, "angry": 55, "fearful": 20}


@pytest.fixture(scope="module")
def predictions():
    """Six of eight emotions occur, and what does not occur is predicted too."""
    found = table(UNEVEN)
    assert set(found["emotion"]) - set(found["truth"]) == {"disgust", "surprised"}
    return found


@pytest.fixture(scope="module")
def report(predictions):
    return evaluate(predictions, EMOTIONS)


def test_every_figure_is_that_of_scikit_learn(predictions, report):
    y_true, y_pred = predictions["truth"], predictions["emotion"]
    present = list(UNEVEN)
    average = {"labels": present, "zero_division": 0.0}
    assert report.n_test == 127
    assert report.accuracy == pytest.approx(metrics.accuracy_score(y_true, y_pred))
    assert report.weighted_f1 == pytest.approx(
        metrics.f1_score(y_true, y_pred, average="weighted", zero_division=0.0)
    )
    assert report.macro_f1 == pytest.approx(
        metrics.f1_score(y_true, y_pred, average="macro", **average)
    )
    assert report.uar == pytest.approx(
        metrics.recall_score(y_true, y_pred, average="macro", **average)
    )
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        y_true, y_pred, average=None, **average
    )
    assert list(report.classes) == present
    for i, label in enumerate(present):
        assert report.classes[label].model_dump() == pytest.approx(
            {"precision": precision[i], "recall": recall[i], "f1": f1[i], "support": support[i]}
        )
    assert report.labels == list(EMOTIONS)
    assert report.confusion_matrix == (
        metrics.confusion_matrix(y_true, y_pred, labels=EMOTIONS).tolist()
    )


def test_groups_are_evaluated_on_their_own(predictions, report):
    assert set(report.by) == {"speaker", "gender", "channel"}
    assert set(report.by["gender"]) == {"male", "female"}, "an unknown gender is no group"
    for value, figures in report.by["speaker"].items():
        rows = predictions[predictions["speaker"] == value]
        right = (rows["truth"] == rows["emotion"]).sum()
        assert figures.n == len(rows)
        assert figures.accuracy == pytest.approx(right / len(rows))
        assert figures.accuracy_interval == wilson_interval(right, len(rows))
        assert figures.uar == pytest.approx(
            metrics.balanced_accuracy_score(rows["truth"], rows["emotion"])
        )
    assert report.by["channel"]["speech"].accuracy == report.accuracy


def test_the_report_is_strict_json(report):
    text = json.dumps(report.to_json(), allow_nan=False)
    assert Figures.model_validate_json(text, strict=True) == report


FIGURES = ("accuracy", "weighted_f1", "macro_f1", "uar")


@pytest.mark.parametrize("name", FIGURES)
def test_intervals_contain_the_figure(report, name):
    low, high = getattr(report, f"{name}_interval")
    assert 0 <= low < getattr(report, name) < high <= 1


@pytest.mark.parametrize("name", FIGURES)
def test_intervals_are_narrow_for_many_clips(report, name):
    many = evaluate(table({emotion: 300 for emotion in EMOTIONS}, seed=1), EMOTIONS)
    low, high = getattr(many, f"{name}_interval")
    assert low < getattr(many, name) < high
    assert high - low < 0.05
    assert high - low < np.ptp(getattr(report, f"{name}_interval")) / 2


def test_a_perfect_model(predictions):
    perfect = predictions.assign(emotion=predictions["truth"])
    report = evaluate(perfect, EMOTIONS)
    assert [getattr(report, name) for name in FIGURES] == [1, 1, 1, 1]
    assert report.uar_interval == (1, 1)
    assert report.accuracy_interval[0] < 1


def test_one_clip_is_enough():
    report = evaluate(table({"sad": 1}, wrong=0), EMOTIONS)
    assert json.dumps(report.to_json(), allow_nan=False)
    assert list(report.classes) == ["sad"]


def test_no_clip_is_refused(predictions):
    with pytest.raises(DataError, match=r"no clip to evaluate on\. Check the corpus"):
        evaluate(predictions.iloc[:0], EMOTIONS)


def test_a_truth_that_the_model_does_not_know_is_refused(predictions):
    labels = [label for label in EMOTIONS if label not in ("sad", "calm")]
    with pytest.raises(DataError, match="knows no calm, sad; it names: neutral, happy"):
        evaluate(predictions, labels)


@pytest.mark.parametrize(("right", "total"), [(398, 491), (0, 7), (7, 7), (1, 1), (50, 1000)])
def test_the_interval_of_wilson(right, total):
    reference = binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, total) == pytest.approx(list(reference), abs=1e-6)


@pytest.mark.parametrize("right", [[191, 244], [180, 250], [10, 11, 25]])
def test_differences_are_judged_as_scipy_does(right):
    clips = [205, 286, 40][: len(right)]
    wrong = [n - r for n, r in zip(clips, right, strict=True)]
    expected = chi2_contingency([right, wrong], correction=False).pvalue < 0.05
    shares = [r / n for r, n in zip(right, clips, strict=True)]
    assert differ(shares, clips) == expected


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.3, 0.7], [1.0, 0.0]])
    y_true = np.array([0, 1, 1, 1, 0])
    # Two bins: all five clips lie in the upper one, 4 of 5 right, mean confidence .83.
    assert calibration_error(probabilities, y_true, bins=2) == pytest.approx(0.03)
    # Five bins: .6 and .7 together (2 of 2 right, mean .65), .9, .95 and 1.0 (2 of 3, mean .95).
    expected = (2 * (1 - 0.65) + 3 * (0.95 - 2 / 3)) / 5
    assert calibration_error(probabilities, y_true, bins=5) == pytest.approx(expected)


def test_calibration_error_at_its_ends():
    sure = np.tile([1.0, 0.0], (10, 1))
    assert calibration_error(sure, np.zeros(10, int)) == 0
    assert calibration_error(sure, np.ones(10, int)) == 1


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_of_synthetic_logits_is_recovered(temperature):
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 8))
    y_true = np.array([rng.choice(8, p=p) for p in softmax(honest)])
    logits = honest * temperature
    assert fit_temperature(logits, y_true) == pytest.approx(temperature, rel=0.05)
    assert fit_temperature(logits.astype(np.float32), y_true) == pytest.approx(
        temperature, rel=0.05
    )
    assert calibration_error(softmax(logits / fit_temperature(logits, y_true)), y_true) < 0.02


def test_a_model_that_is_never_wrong_keeps_a_temperature_within_bounds():
    logits = 1000.0 * np.eye(8)
    assert 0.05 <= fit_temperature(logits, np.arange(8)) <= 20
    assert fit_temperature(logits, (np.arange(8) + 1) % 8) == pytest.approx(20, rel=0.01)


def test_the_reliability_diagram_counts_every_clip_once(predictions, report):
    confidence = predictions[list(EMOTIONS)].max(axis=1)
    right = predictions["truth"] == predictions["emotion"]
    assert sum(row.n for row in report.reliability) == len(predictions)
    for row in report.reliability:
        inside = confidence.between(row.low, row.high, inclusive="left")
        assert row.n == inside.sum()
        assert row.confidence == pytest.approx(confidence[inside].mean())
        assert row.accuracy == pytest.approx(right[inside].mean())


def test_coverage_answers_the_surest_first(predictions, report):
    rows = report.coverage
    assert [row.coverage for row in rows] == sorted(row.coverage for row in rows)
    assert rows[-1].model_dump() == {
        "coverage": 1.0,
        "accuracy": pytest.approx(report.accuracy),
        "confidence": predictions[list(EMOTIONS)].max(axis=1).min(),
    }
    half = predictions[predictions[list(EMOTIONS)].max(axis=1) >= rows[9].confidence]
    assert rows[9].coverage == pytest.approx(0.5, abs=0.01)
    assert rows[9].accuracy == pytest.approx((half["truth"] == half["emotion"]).mean())


def test_one_clip_has_a_reliability_and_a_coverage():
    probabilities, y_true = np.array([[1.0, 0.0]]), np.array([0])
    assert reliability(probabilities, y_true)[0].high == 1.0
    assert [point.model_dump() for point in coverage(probabilities, y_true)] == [
        {"coverage": 1.0, "accuracy": 1.0, "confidence": 1.0}
    ]


def test_few_validation_clips_are_called_uncertain():
    probabilities = softmax(np.random.default_rng(0).normal(0, 3, (1000, 8)))
    least = fit_min_confidence(probabilities)
    assert (probabilities.max(axis=1) < least).mean() == pytest.approx(0.03, abs=0.001)
    assert fit_min_confidence(np.eye(8)) == 0.5, "even if the model is always sure"
    assert fit_min_confidence(np.full((9, 8), 1 / 8)) == 0.25, "or never"


def test_of_two_classes_a_guess_is_never_sure():
    guesses = np.array([[0.503, 0.497], [0.49, 0.51]] * 9)
    assert fit_min_confidence(guesses) > guesses.max()
    assert fit_min_confidence(np.eye(2)) < 0.75
