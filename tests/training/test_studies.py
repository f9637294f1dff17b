from dataclasses import replace

import pytest

from ser.errors import RunError
from ser.evaluation.latex import to_latex
from ser.evaluation.metrics import wilson_interval
from ser.evaluation.rendering import to_html
from ser.evaluation.report import Report
from ser.training import cross_validation, studies
from ser.training.config import TrainingConfig
from ser.training.runs import Run
from tests.tiny import tiny_config, tiny_corpus


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    config = tiny_config(tiny_corpus(folder / "clips"), epochs=1, copies=0)
    return folder / "runs", cross_validation.cross_validate(
        folder / "runs", config, seeds=2, n_jobs=1
    )


def test_a_study_trains_with_several_seeds_and_reports_mean_and_spread(study):
    folder, report = study
    assert Report.load(folder / "report.json") == report
    runs = [Run(folder / f"seed-{seed}") for seed in (42, 43)]
    assert [TrainingConfig.from_json(run.read_config()).seed for run in runs] == [42, 43]
    single = [Report.load(run.folder / "report.json") for run in runs]
    first, second = (one.accuracy for one in single)
    assert report.mean.accuracy == pytest.approx((first + second) / 2)
    assert report.std.accuracy == pytest.approx(abs(first - second) / 2**0.5)
    assert list(report.by_fold()["fold"]) == ["42", "43"]
    assert "By seed" in to_html(report, []) and "By seed" in to_latex(report)


def test_a_clip_that_several_seeds_test_counts_once_in_the_interval(study):
    _, report = study
    table = report.predictions
    different = table["file"].nunique()
    right = (table["truth"] == table["emotion"]).mean() * different
    assert different < report.n_test == len(table), "the two test sets have a clip in common"
    assert report.accuracy_interval == pytest.approx(wilson_interval(right, different))
    for emotion, own in table.groupby("truth"):
        row = report.per_class().set_index("emotion").loc[emotion]
        right = (own["truth"] == own["emotion"]).mean() * own["file"].nunique()
        assert (row["low"], row["high"]) == pytest.approx(
            wilson_interval(right, own["file"].nunique())
        )
    for speaker, own in table.groupby("speaker"):
        right = (own["truth"] == own["emotion"]).mean() * own["file"].nunique()
        assert report.by["speaker"][speaker].accuracy_interval == pytest.approx(
            wilson_interval(right, own["file"].nunique())
        )
    assert report.groups()["speaker"]["clips"].sum() == different


def test_only_runs_of_one_configuration_make_a_study():
    config = TrainingConfig(data=("x",), protocol="unseen-speakers")
    assert studies.one_configuration([config, replace(config, seed=7)]) == "seed"
    assert studies.one_configuration([replace(config, fold=f) for f in range(3)]) == "fold"
    for others in ([], [config], [replace(config, epochs=2, seed=7)], [replace(config, data="y")]):
        with pytest.raises(RunError, match="one configuration"):
            studies.one_configuration([config, *others])


def test_a_study_needs_folds_or_seeds(tmp_path):
    config = tiny_config(tmp_path)
    for seeds in (0, 1, 101):
        with pytest.raises(RunError, match="seeds"):
            cross_validation.cross_validate(tmp_path / "study", config, seeds=seeds)
    assert not (tmp_path / "study").exists()
