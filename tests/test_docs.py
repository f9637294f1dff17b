"""What README, docs and model card claim is what the reports and the code say."""

import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from ser.app.glossary import TERMS
from ser.cli import main
from ser.data import known_corpora, parsers
from ser.evaluation.few_shot_report import FewShotReport
from ser.evaluation.metrics import evaluate
from ser.evaluation.report import Report
from ser.models.bundle import load_bundle, read_manifest
from tests.tiny import SAMPLES

PROJECT = SAMPLES.parent.parent
README = (PROJECT / "README.md").read_text()
RESULTS = (PROJECT / "docs" / "results.md").read_text()
MODEL, EVERYDAY = (PROJECT / "models" / name for name in ("ravdess", "everyday"))


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
        assert claim in _row(RESULTS, "../models/ravdess/report.json"), claim


def _row(text, report):
    """Return the row of a table that links to a report."""
    (row,) = [line for line in text.splitlines() if line.endswith(f"| [report]({report}) |")]
    return row


@pytest.mark.parametrize("name", sorted(file.stem for file in (PROJECT / "reports").glob("*.json")))
def test_the_other_figures_are_those_of_their_reports(name):
    figures = Report.load(PROJECT / "reports" / f"{name}.json")
    low, high = figures.accuracy_interval
    claim = (
        f"| {figures.n_test} | {percent(figures.accuracy)} ({100 * low:.1f} to "
        f"{100 * high:.1f}) | {figures.weighted_f1:.3f} | {percent(figures.uar)} | "
        f"{figures.ece:.3f} | [report](../reports/{name}.json) |"
    )
    assert claim in RESULTS
    if model := {"emodb": MODEL, "samples": EVERYDAY}.get(name):
        assert figures.model_sha256 == read_manifest(model).model_sha256, "made with another model"
        assert figures.n_seen_in_training == 0


@pytest.mark.parametrize("takes", [1, 3, 5, 8])
def test_what_adaptation_gave_is_that_of_its_reports(takes):
    figures = FewShotReport.load(PROJECT / "reports" / "adapt" / f"emodb-{takes}.json")
    before, after = figures.before, figures.after
    low, high = after.accuracy_interval
    assert (
        f"| {takes} | {percent(before.accuracy)} | {percent(after.accuracy)} "
        f"({100 * low:.1f} to {100 * high:.1f}) | {100 * figures.gain.accuracy:+.1f} | "
        f"{percent(after.uar)} | [report](../reports/adapt/emodb-{takes}.json) |"
    ) in RESULTS
    model = json.loads((MODEL / "manifest.json").read_text())["model"]
    assert figures.model_sha256 == model["sha256"], "made with another model"
    assert figures.n_seen_in_training == 0
    assert (figures.shots, figures.repeats) == (takes, 10)
    speakers = [row.after.accuracy for row in figures.speakers]
    assert len(speakers) == 10 and sum(speakers) / 10 == pytest.approx(after.accuracy)


def test_what_everyday_learns_of_a_voice_is_that_of_its_report():
    figures = FewShotReport.load(PROJECT / "reports" / "adapt" / "everyday-emodb-5.json")
    before, after = figures.before, figures.after
    low, high = after.accuracy_interval
    assert (
        f"| {percent(before.accuracy)} | {percent(after.accuracy)} ({100 * low:.1f} to "
        f"{100 * high:.1f}) | {100 * figures.gain.accuracy:+.1f} | {percent(after.uar)} | "
        "[report](../reports/adapt/everyday-emodb-5.json) |"
    ) in RESULTS
    assert (figures.shots, figures.repeats, figures.n_seen_in_training) == (5, 10, 0)


def test_how_far_the_folds_of_unseen_actors_lie_apart_is_that_of_the_report():
    figures = Report.load(PROJECT / "reports" / "speakers.json")
    folds = [fold.accuracy for fold in figures.folds]
    assert f"five folds reach from {percent(min(folds))} to {percent(max(folds))}" in RESULTS


def test_the_readme_has_seven_rows_of_figures_and_each_is_that_of_its_report():
    reports = re.findall(r"\| \[report\]\(([^)]+)\) \|$", README, flags=re.M)
    assert len(reports) == 7
    for name in reports:
        if "adapt" in name:
            study = FewShotReport.load(PROJECT / name)
            clips, ece = f"{len(study.speakers)} speakers", "–"
            figures = study.after
        else:
            figures = Report.load(PROJECT / name)
            clips, ece = figures.n_test, f"{figures.ece:.3f}"
        low, high = figures.accuracy_interval
        accuracy = f"{percent(figures.accuracy)} ({100 * low:.1f} to {100 * high:.1f})"
        if "corpora" in name:  # each counts alike, however many clips it has
            each = [100 * fold.accuracy for fold in figures.folds]
            (mean,) = re.findall(r"\| \*\*Mean of the six\*\* \|.*", RESULTS)
            own = percent(figures.headline)
            (interval,) = re.findall(rf"\*\*{own}\*\* \((.+?)\)", mean)
            accuracy = f"{own} ({interval}; by corpus {min(each):.1f} to {max(each):.1f})"
            figures, ece = figures.mean, f"{figures.mean.ece:.3f}"
        row = _row(README, name)
        assert f"| {clips} | {accuracy} | {percent(figures.uar)} | {ece} |" in row


def test_what_the_readme_says_of_people_it_never_heard_is_what_was_measured():
    plain, after = (
        Report.load(PROJECT / f"reports/{name}.json") for name in ("corpora", "corpora-after-10")
    )
    sure, used = plain.sure_answers(), after.sure_answers()
    recalls = plain.per_class().set_index("emotion")
    clips = recalls["clips"]
    found = (recalls["recall"] * clips).round().astype(int)
    for claim in (
        f"name {plain.headline:.0%} of the clips rightly on average",
        f"{after.headline:.0%} after ten clips of each voice in various emotions",
        f"sure of {sure.n} of all {plain.n_test}, and {sure.accuracy:.0%} of those were right",
        f"after the ten clips, of {used.n}, and {used.accuracy:.0%}",
        f"({found['calm']} of {clips['calm']} and {found['surprised']} of {clips['surprised']} "
        f"clips), and {found['sad'] / clips['sad']:.0%} of the sad ones",
    ):
        assert claim.replace("%", " %") in " ".join(README.split()), claim


def test_how_fast_it_is_said_to_be_is_what_was_measured():
    speed, pages, corpus, server = (
        json.loads((PROJECT / "benchmarks" / f"{name}.json").read_text())
        for name in ("speed", "pages", "corpus", "server_memory")
    )
    steps = {k: v for k, v in corpus["milliseconds"].items() if "in the background" not in k}
    first = steps.pop("first chart, by file names")
    read = steps.pop("read the index, once per server")
    words = " ".join(RESULTS.split())
    for claim in (
        *(
            f"{speed[f'{m}: one prediction from bytes']['ms']:.0f} ms"
            for m in ("ravdess", "everyday")
        ),
        f"from 40 recordings in {speed['learning 40 takes']['ms'] / 1000:.0f} s",
        f"opens in {np.floor(min(pages['open'].values()) / 100) / 10} to "
        f"{np.ceil(max(pages['open'].values()) / 100) / 10} s",
        f"follow a voice within {np.ceil(max(pages['live lag']) / 100) / 10} s",
        f"the first chart, by file names, comes after {first / 1000:.1f} s",
        f"is read in {read / 1000:.1f} s",
        f"takes longer than {np.ceil(max(steps.values()) / 100) / 10} s",
        f"takes {server['most']} MB at most",
    ):
        assert claim in words, claim


def test_card_results_and_glossary_are_made_from_reports_and_help():
    script = runpy.run_path(str(PROJECT / "scripts" / "make_docs.py"))
    cards = {model: script["card"](model) for model in (MODEL, EVERYDAY)}
    for page, made in (
        *((model / "MODEL_CARD.md", card) for model, card in cards.items()),
        (script["GLOSSARY"], script["glossary"]()),
        (script["RESULTS"], script["results"]()),
        (script["PERFORMANCE"], script["performance"]()),
    ):
        assert page.read_text() == made, "python scripts/make_docs.py"
    for file in (PROJECT / "reports").glob("*.json"):
        assert f"| {Report.load(file).title} |" in "".join(cards.values()), file


def test_published_predictions_give_the_published_figures():
    own = [model / "report.json" for model in (MODEL, EVERYDAY)]
    for file in [*own, *(PROJECT / "reports").glob("*.json")]:
        figures = Report.load(file)
        table = figures.predictions
        again = evaluate(table, figures.labels)
        assert again.accuracy == figures.accuracy, file
        assert again.confusion_matrix == figures.confusion_matrix, file
        assert again.ece == pytest.approx(figures.ece, abs=1e-3), file
        for part in figures.folds:
            rows = table[table["fold"] == part.fold]
            assert part.accuracy == (rows["truth"] == rows["emotion"]).mean(), file


def test_the_shipped_model_was_tested_on_clips_it_never_saw(report):
    assert (report.protocol, report.seed, report.n_test) == ("random", 42, 491)
    assert report.n_seen_in_training == 0
    split = json.loads((MODEL / "split.json").read_text())
    assert not set(split["test"]) & set(split["train"] + split["validation"])
    heard = {clip.removeprefix("ravdess:") for clip in read_manifest(MODEL).training_clips.ids}
    assert not heard & {name.split(".")[0] for name in split["test"]}
    recalls = [c.recall * c.support for c in report.classes.values()]
    assert sum(recalls) / 491 == pytest.approx(report.accuracy)


def test_everyday_was_tested_on_people_it_never_heard():
    report = Report.load(EVERYDAY / "report.json")
    assert (report.protocol, report.n_seen_in_training) == ("unseen-speakers", 0)
    split = json.loads((EVERYDAY / "split.json").read_text())
    assert not set(split["test"]) & set(split["train"] + split["validation"])
    assert read_manifest(EVERYDAY).training["corpora"] == sorted(
        Report.load(PROJECT / "reports" / "corpora.json").corpora
    )


@pytest.mark.parametrize(("model", "megabytes"), [(MODEL, 10), (EVERYDAY, 25)])
def test_the_shipped_models_load_and_are_small(model, megabytes):
    load_bundle(model)
    assert sum((model / name).stat().st_size for name in ("model.keras", "embedding.npz")) <= (
        megabytes * 1e6
    )


def test_the_readme_names_every_command_and_no_other(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.split("\ncommands:\n")[1].split("\n\n")[0]
    commands = set(re.findall(r"^    ([a-z]+) ", listed, flags=re.M))
    assert set(re.findall(r"`ser ([a-z]+)", README)) == commands and len(commands) >= 9
    for command in commands:
        with pytest.raises(SystemExit) as exit:
            main([command, "--help"])
        assert exit.value.code == 0
        assert f"usage: ser {command}" in capsys.readouterr().out


def test_the_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 150


def test_the_lines_of_python_in_the_readme_run(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    clips = sorted(SAMPLES.rglob("*.flac"))
    for name in ("clip.wav", "interview.mp3"):  # what is in a file counts, not its name
        shutil.copy(clips[0], tmp_path / name)
    for corpus in ("ravdess", "my-corpus"):
        shutil.copytree(SAMPLES, tmp_path / "data" / corpus)
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    given = {
        "samples": rng.normal(0, 0.1, 88_200).astype(np.float32),
        "paths": clips[:3],
        "recordings": tmp_path / "data" / "ravdess" / "Actor_25",
    }
    exec(code, given)
    assert 0 < given["report"].accuracy < 1
    assert (tmp_path / "runs" / "x" / "report.json").exists()


PAPERS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PAPERS += [f"docs/{page.name}" for page in sorted((PROJECT / "docs").glob("*.md"))]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_link_leads_somewhere(paper):
    file = PROJECT / paper
    for target in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", file.read_text()):
        assert (file.parent / target).exists(), target


def test_the_architecture_names_what_exists():
    page = (PROJECT / "docs" / "architecture.md").read_text()
    for name in re.findall(r"`(ser(?:\.[a-z_]+)+)`", page):
        path = PROJECT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").exists(), name
    for name in re.findall(r"`((?:ser|pages|models|reports|data|tests|scripts)/[\w./]*)`", page):
        assert (PROJECT / name).exists(), name


def test_the_glossary_is_the_app_s_help():
    page = (PROJECT / "docs" / "glossary.md").read_text()
    for key, text in TERMS.items():
        word, meaning = text.split(": ", maxsplit=1)
        assert f"- **{word}**: {meaning}\n" in page, key
    used = {
        key
        for file in (PROJECT / "ser").rglob("*.py")
        for key in re.findall(r"TERMS\[[\"']([^\"']+)[\"']\]", file.read_text())
    }
    assert len(used) > 10 and used <= set(TERMS)


def test_the_version_to_cite_is_the_changelog_s_newest():
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), flags=re.M)
    assert cited["version"] == newest[1]
    assert cited["cff-version"] == "1.2.0" and cited["authors"] and len(cited["references"]) == 8


def test_the_samples_are_small_and_said_to_be_synthetic():
    clips = list(SAMPLES.rglob("*.flac"))
    assert len(clips) == 120
    assert sum(clip.stat().st_size for clip in clips) < 8e6
    assert all(int(clip.stem.split("-")[-1]) > 24 for clip in clips)
    assert "synthetic" in (SAMPLES / "README.md").read_text().lower()


def test_the_list_of_corpora_is_that_of_the_parsers():
    listed = re.findall(
        r"^\| ([^|]+) \| [^|]+ \| `([^`]+)`", (PROJECT / "docs" / "corpora.md").read_text(), re.M
    )
    assert ", ".join(title for title, _ in listed) == known_corpora.TITLES.replace(" and", ",")
    assert len(listed) == len(known_corpora.PARSERS)
    for (title, name), corpus in zip(listed, known_corpora.PARSERS, strict=True):
        assert title.lower().replace("emo-db", "emodb") == corpus
        if corpus != "meld":
            assert parsers.parse_name(Path(name))["corpus"] == corpus
