"""What README and model card claim is what the reports and the code say."""

import json
import re
import runpy

import pytest

from ser.cli import main
from ser.evaluation.few_shot_report import FewShotReport
from ser.evaluation.metrics import evaluate
from ser.evaluation.report import Report
from ser.models.bundle import load_bundle, read_manifest
from tests.tiny import SAMPLES

PROJECT = SAMPLES.parent.parent
README = (PROJECT / "README.md").read_text()
MODEL = PROJECT / "models" / "ravdess"


@pytest.fixture(scope="module")
def report():
    return Report.load(MODEL / "report.json")


def percent(share):
    return f"{100 * share:.1f} %"


def test_the_figures_are_those_of_the_report(report):
    low, high = report.accuracy_interval
    for claim in (
        f"{percent(report.accuracy)} ({100 * low:.1f} to {100 * high:.1f})",
        f"| {report.weighted_f1:.3f} |",
        f"| {percent(report.uar)} |",
        f"| {report.n_test} |",
        f"| {report.ece:.3f} |",
    ):
        assert claim in README, claim


@pytest.mark.parametrize("name", sorted(file.stem for file in (PROJECT / "reports").glob("*.json")))
def test_the_other_figures_are_those_of_their_reports(name):
    figures = Report.load(PROJECT / "reports" / f"{name}.json")
    low, high = figures.accuracy_interval
    claim = (
        f"| {figures.n_test} | {percent(figures.accuracy)} ({100 * low:.1f} to "
        f"{100 * high:.1f}) | {figures.weighted_f1:.3f} | {percent(figures.uar)} | "
        f"{figures.ece:.3f} | [report](reports/{name}.json) |"
    )
    assert claim in README
    if name in ("emodb", "samples"):
        model = json.loads((MODEL / "manifest.json").read_text())["model"]
        assert figures.model_sha256 == model["sha256"], "made with another model"
        assert figures.n_seen_in_training == 0


@pytest.mark.parametrize("takes", [1, 3, 5, 8])
def test_what_adaptation_gave_is_that_of_its_reports(takes):
    figures = FewShotReport.load(PROJECT / "reports" / "adapt" / f"emodb-{takes}.json")
    before, after = figures.before, figures.after
    low, high = after.accuracy_interval
    assert (
        f"| {takes} | {percent(before.accuracy)} | {percent(after.accuracy)} "
        f"({100 * low:.1f} to {100 * high:.1f}) | {100 * figures.gain.accuracy:+.1f} | "
        f"{percent(after.uar)} | [report](reports/adapt/emodb-{takes}.json) |"
    ) in README
    model = json.loads((MODEL / "manifest.json").read_text())["model"]
    assert figures.model_sha256 == model["sha256"], "made with another model"
    assert figures.n_seen_in_training == 0
    assert (figures.shots, figures.repeats) == (takes, 10)
    speakers = [row.after.accuracy for row in figures.speakers]
    assert len(speakers) == 10 and sum(speakers) / 10 == pytest.approx(after.accuracy)


def test_the_card_is_made_from_the_reports():
    script = runpy.run_path(str(PROJECT / "scripts" / "make_card.py"))
    assert (MODEL / "MODEL_CARD.md").read_text() == script["card"]()
    for file in (PROJECT / "reports").glob("*.json"):
        assert f"| {Report.load(file).title} |" in script["card"](), file


def test_published_predictions_give_the_published_figures():
    for file in [MODEL / "report.json", *(PROJECT / "reports").glob("*.json")]:
        figures = Report.load(file)
        table = figures.predictions
        again = evaluate(table, figures.labels)
        assert again.accuracy == figures.accuracy, file
        assert again.confusion_matrix == figures.confusion_matrix, file
        assert again.ece == pytest.approx(figures.ece, abs=1e-3), file
        for part in figures.folds:
            rows = table[table["fold"] == part.fold]
            assert part.accuracy == (rows["truth"] == rows["emotion"]).mean(), file


def test_the_shipped_model_was_tested_on_clips_it_never_heard(report):
    assert (report.protocol, report.seed, report.n_test) == ("random", 42, 491)
    assert report.n_seen_in_training == 0
    split = json.loads((MODEL / "split.json").read_text())
    assert not set(split["test"]) & set(split["train"] + split["validation"])
    heard = {clip.removeprefix("ravdess:") for clip in read_manifest(MODEL).training_clips["ids"]}
    assert not heard & {name.split(".")[0] for name in split["test"]}
    recalls = [c.recall * c.support for c in report.classes.values()]
    assert sum(recalls) / 491 == pytest.approx(report.accuracy)


def test_the_shipped_model_loads_and_is_small():
    load_bundle(MODEL)
    assert sum((MODEL / name).stat().st_size for name in ("model.keras", "embedding.npz")) <= 10e6


def test_every_command_of_the_readme_exists(capsys):
    commands = set(re.findall(r"`ser ([a-z]+)", README))
    assert len(commands) == 10
    for command in commands:
        with pytest.raises(SystemExit) as exit:
            main([command, "--help"])
        assert exit.value.code == 0
        assert f"usage: ser {command}" in capsys.readouterr().out


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (PROJECT / target).exists(), target


def test_the_samples_are_small_and_said_to_be_synthetic():
    clips = list(SAMPLES.rglob("*.flac"))
    assert len(clips) == 120
    assert sum(clip.stat().st_size for clip in clips) < 8e6
    assert all(int(clip.stem.split("-")[-1]) > 24 for clip in clips)
    assert "synthetic" in (SAMPLES / "README.md").read_text().lower()
