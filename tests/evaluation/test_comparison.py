import numpy as np
import pytest
from scipy.stats import binomtest

from ser import assets
from ser.evaluation.comparison import compare
from ser.evaluation.report import Report


def published(name):
    return Report.load(assets.REPORTS / f"{name}.json")


def test_the_same_clips_are_compared_clip_by_clip():
    first, second = published("quick"), Report.load(assets.RAVDESS_MODEL / "report.json")
    found = compare(first, second)
    assert found.paired and found.n == first.n_test == second.n_test == 491
    assert found.first == pytest.approx(first.accuracy)
    assert found.second == pytest.approx(second.accuracy)
    tables = [report.predictions.set_index("file") for report in (first, second)]
    a, b = ((table["emotion"] == table["truth"]).sort_index() for table in tables)
    assert found.only_first == int((a & ~b).sum())
    assert found.only_second == int((b & ~a).sum())
    assert found.p_value == pytest.approx(
        binomtest(found.only_first, found.only_first + found.only_second).pvalue
    )
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.real
    recalls = found.recalls.set_index("emotion")
    assert recalls.loc["sad", "second"] == pytest.approx(second.classes["sad"].recall)


def test_a_report_is_no_better_than_itself():
    found = compare(published("quick"), published("quick"))
    assert (found.difference, found.only_first, found.only_second, found.p_value) == (0, 0, 0, 1)
    assert found.interval[0] < 0 < found.interval[1] and not found.real


@pytest.mark.parametrize(("one", "other"), [("samples", "emodb"), ("emodb", "samples")])
def test_different_clips_are_compared_as_proportions(one, other):
    found = compare(published(one), published(other))
    assert not found.paired and found.p_value is None
    assert set(found.recalls["emotion"]) == {
        "neutral", "happy", "sad", "angry", "fearful", "disgust",
    }  # fmt: skip
    assert found.interval[0] < found.difference < found.interval[1]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Newcombe 1998, table II, method 10, with the groups in the other order.
        ((56, 70), (48, 80), (-0.3339, -0.0524)),
        ((9, 10), (3, 10), (-0.8090, -0.1705)),
    ],
)
def test_the_interval_of_two_proportions_is_newcombes(first, second, expected):
    def report(right, of):
        class Some:
            predictions = published("samples").predictions.head(0)
            labels: list[str] = []  # noqa: RUF012
            accuracy, n_test = right / of, of

        return Some()

    found = compare(report(*first), report(*second))
    np.testing.assert_allclose(found.interval, expected, atol=1e-3)
