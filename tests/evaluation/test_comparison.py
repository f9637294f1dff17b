import re

import numpy as np
import pandas as pd
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


class Files:
    """A report of some files, as far as it is compared."""

    labels = ("angry", "sad")
    classes: dict[str, object] = {}  # noqa: RUF012

    def __init__(self, files, right, start=0.0):
        answers = ["angry" if each else "sad" for each in right]
        table = {"corpus": "savee", "file": files, "truth": "angry", "emotion": answers}
        table |= {"start": start, "end": 3.0}
        self.predictions = pd.DataFrame(table)
        self.accuracy, self.n_test = float(np.mean(right)), len(files)
        self.n_clips = len(set(files))


def test_clips_of_one_name_in_several_folders_are_told_apart():
    files = ["DC/a01.wav", "JE/a01.wav", "JK/a01.wav"]
    found = compare(Files(files, [1, 0, 1]), Files(files, [1, 1, 1]))
    assert found.paired and (found.n, found.only_first, found.only_second) == (3, 0, 1)
    of_several = [f"savee/{file.replace('a01', f'a0{i}')}" for i, file in enumerate(files)]
    alone = [file.removeprefix("savee/") for file in of_several]
    assert compare(Files(of_several, [1, 0, 1]), Files(alone, [1, 1, 1])).n == 3


def test_recordings_of_one_name_of_which_other_parts_were_heard_are_others():
    files = ["angry/1.wav", "angry/2.wav"]
    found = compare(Files(files, [1, 0]), Files(files, [1, 1], start=[0.5, 0.25]))
    assert not found.paired


def test_clips_that_come_again_do_not_make_an_interval_narrower():
    few = [f"{i}.wav" for i in range(20)]
    other = Files([f"other-{i}.wav" for i in range(20)], [1] * 20)
    once, often = (compare(Files(few * n, [1, 0] * 10 * n), other) for n in (1, 5))
    assert often.interval == pytest.approx(once.interval)


def test_clips_that_were_tested_several_times_are_not_called_different():
    files = ["a.wav", "b.wav"] * 3
    found = compare(Files(files, [1, 0] * 3), Files(files, [1, 1] * 3))
    assert found.repeated and not found.paired and found.p_value is None
    assert not compare(Files(["a.wav"], [1]), Files(["b.wav"], [1])).repeated


def test_what_is_called_real_is_what_the_test_says():
    """Bonett & Price's interval excludes zero here, while McNemar's p is .057."""
    files = [f"{i}.wav" for i in range(1000)]
    first, second = np.ones(1000), np.ones(1000)
    first[:11], second[11:14] = 0, 0
    found = compare(Files(files, first), Files(files, second))
    assert found.p_value == pytest.approx(0.0574, abs=1e-3) and found.interval[0] > 0
    assert not found.real


@pytest.mark.parametrize(("one", "other"), [("samples", "emodb"), ("emodb", "samples")])
def test_different_clips_are_compared_as_proportions(one, other):
    found = compare(published(one), published(other))
    assert not found.paired and found.p_value is None
    counts = [published(name).n_test for name in (one, other)]
    assert re.findall(r"% of (\d+) clips", str(found)) == [str(count) for count in counts]
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
            accuracy, n_test, n_clips = right / of, of, of

        return Some()

    found = compare(report(*first), report(*second))
    np.testing.assert_allclose(found.interval, expected, atol=1e-3)
