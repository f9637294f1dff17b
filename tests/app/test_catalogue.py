import json
import shutil

import pytest

from ser import assets
from ser.app import catalogue
from ser.errors import ReportError
from ser.evaluation.report import Speakers
from ser.training.runs import Run
from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def entry(key):
    return next(e for e in catalogue.entries() if e.key == key)


def test_shipped_runs_evaluations_and_published_reports_are_at_hand(home):
    for name in ("first", "evaluations/second"):
        Run(home / name).create({})
        shutil.copy(catalogue.REPORTS / "samples.json", home / name / "report.json")
    keys = [e.key for e in catalogue.entries()]
    assert keys[:4] == [
        "model/everyday",
        "model/ravdess",
        "run/first",
        "evaluation/second",
    ]
    assert {f"published/{file.stem}" for file in catalogue.REPORTS.glob("*.json")} == set(keys[4:])
    assert all(e.file.is_file() for e in catalogue.entries())


def test_an_evaluation_that_has_not_finished_has_no_report_to_choose(home):
    Run(home / "evaluations" / "half").create({})
    assert "evaluation/half" not in [e.key for e in catalogue.entries()]


def test_the_day_is_known_where_a_status_says_it(home):
    status = json.loads((assets.RAVDESS_MODEL / "status.json").read_text())
    assert catalogue.finished_on(entry("model/ravdess")) == status["updated"][:10]
    assert catalogue.finished_on(entry("published/samples")) == ""
    Run(home / "odd").create({})
    (home / "odd" / "status.json").write_text('{"updated": "some day"}')
    assert catalogue.finished_on(entry("run/odd")) == ""


@pytest.mark.parametrize("line", ["{", "[]", '{"epoch": 1}', '{"epoch": "a", "loss": 1}'])
def test_damaged_epochs_are_said_to_be(home, line):
    Run(home / "run").create({})
    (home / "run" / "epochs.jsonl").write_text(line + "\n")
    with pytest.raises(ReportError, match="damaged"):
        catalogue.epochs_of(entry("run/run"))


def test_a_clip_is_found_in_its_corpus():
    name = CLIP.relative_to(SAMPLES).as_posix()
    assert catalogue.find_clip(name, catalogue.corpora_at_hand()) == CLIP
    assert catalogue.find_clip("Actor_99/nobody.flac", catalogue.corpora_at_hand()) is None


def test_a_clip_is_found_beside_its_csv(tmp_path):
    shutil.copy(CLIP, tmp_path / "a.flac")
    (tmp_path / "corpus.csv").write_text("path,emotion\na.flac,sad\n")
    assert catalogue.find_clip("a.flac", [tmp_path / "corpus.csv"]) == tmp_path / "a.flac"


def test_a_clip_of_one_of_several_corpora_is_found(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "x").mkdir(parents=True)
    shutil.copy(CLIP, tmp_path / "two" / "x" / "a.flac")
    both = [tmp_path / "one", tmp_path / "two"]
    assert catalogue.find_clip("two/x/a.flac", both) == tmp_path / "two" / "x" / "a.flac"
    assert catalogue.find_clip("one/x/a.flac", both) is None


@pytest.mark.parametrize("name", ["../secret.flac", "{}/secret.flac", "notes.txt", "", "x" * 5000])
def test_a_report_cannot_make_other_files_play(tmp_path, name):
    shutil.copy(CLIP, tmp_path / "secret.flac")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "notes.txt").write_text("private")
    assert catalogue.find_clip(name.format(tmp_path), [tmp_path / "corpus"]) is None


def test_the_corpus_of_a_run_is_looked_in_first(home, tmp_path):
    (tmp_path / "mine").mkdir()
    Run(home / "run").create({"data": str(tmp_path / "mine")})
    assert catalogue.corpora_at_hand(entry("run/run"))[0] == tmp_path / "mine"
    assert assets.SAMPLES in catalogue.corpora_at_hand(entry("run/run"))


def test_protocols_are_compared_by_who_speaks(home):
    table = catalogue.compare().set_index("key")
    assert table["speakers"]["model/ravdess"] == Speakers.SEEN_SPEAKERS
    assert table["speakers"]["published/speakers-quick"] == Speakers.UNSEEN_SPEAKERS
    assert table["speakers"]["published/emodb"] == Speakers.OTHER_CORPUS
    order = [list(Speakers).index(speakers) for speakers in table["speakers"]]
    assert order == sorted(order)


def test_a_report_on_clips_seen_in_training_is_not_put_beside_honest_ones(home):
    Run(home / "run").create({})
    figures = json.loads((catalogue.REPORTS / "samples.json").read_text())
    file = home / "run" / "report.json"
    # As if it were of another corpus: that contradicts itself, so it is not shown at all.
    file.write_text(json.dumps(figures | {"n_seen_in_training": 5}))
    assert "run/run" not in set(catalogue.compare(entry("run/run"))["key"])
    file.write_text(json.dumps(figures | {"n_seen_in_training": 5, "speakers": "seen-clips"}))
    table = catalogue.compare(entry("run/run")).set_index("key")
    assert table["speakers"]["run/run"] == Speakers.SEEN_CLIPS


def test_the_gap_is_that_of_one_recipe(home):
    figures = {
        name: json.loads((catalogue.REPORTS / f"{name}.json").read_text())["accuracy"]
        for name in ("quick", "speakers-quick")
    }
    (gap,) = [g for g in catalogue.gaps(catalogue.compare()) if g.recipe == "quick preset"]
    assert (gap.seen, gap.unseen) == (figures["quick"], figures["speakers-quick"])
    assert gap.clear


def test_a_new_published_report_is_one_file_and_no_edit(home, tmp_path, monkeypatch):
    published = shutil.copytree(catalogue.REPORTS, tmp_path / "reports")
    monkeypatch.setattr(catalogue, "REPORTS", published)
    figures = json.loads((published / "speakers.json").read_text())
    new = {"title": "Mine, unseen actors", "recipe": "my recipe"}
    (published / "mine.json").write_text(json.dumps(figures | new))
    figures = json.loads((published / "quick.json").read_text())
    (published / "mine-random.json").write_text(json.dumps(figures | {"recipe": "my recipe"}))
    assert entry("published/mine").label == "Published: Mine, unseen actors"
    table = catalogue.compare()
    assert "Mine, unseen actors" in set(table["title"])
    assert "my recipe" in [gap.recipe for gap in catalogue.gaps(table)]
    (published / "mine.json").write_text("{")
    assert entry("published/mine").label == "Published: mine"


def test_a_report_that_changes_is_read_again(home):
    folder = Run(home / "run")
    folder.create({})
    file = home / "run" / "report.json"
    shutil.copy(catalogue.REPORTS / "samples.json", file)
    first = catalogue.load_report(file)
    assert catalogue.load_report(file) is first
    shutil.copy(catalogue.REPORTS / "quick.json", file)
    assert catalogue.load_report(file).title == "Quick preset, random split"
    file.unlink()
    assert catalogue.find_report(file) is None


def test_a_damaged_report_is_left_out_of_the_comparison(home):
    Run(home / "run").create({})
    (home / "run" / "report.json").write_text("{")
    assert "run/run" not in set(catalogue.compare(entry("run/run"))["key"])
