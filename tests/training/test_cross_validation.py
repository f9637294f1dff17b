import json
import shutil
from dataclasses import replace

import pytest
import soundfile

from ser.data import corpora
from ser.errors import DataError, RunError, Stopped
from ser.evaluation.rendering import to_html
from ser.evaluation.report import Report, Speakers
from ser.training import cross_validation, pipeline
from ser.training.config import TrainingConfig
from ser.training.runs import Run
from tests.tiny import tiny_config, tiny_corpus

SMALLEST = {"epochs": 1, "copies": 0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("corpus") / "clips")


@pytest.fixture(scope="module")
def config(corpus):
    return tiny_config(corpus, protocol="unseen-speakers", folds=4, **SMALLEST)


@pytest.fixture(scope="module")
def study(tmp_path_factory, config):
    folder = tmp_path_factory.mktemp("study") / "folds"
    return folder, cross_validation.cross_validate(folder, config, n_jobs=1)


def test_every_clip_is_tested_once_by_a_model_that_never_saw_its_speaker(study, corpus):
    folder, result = study
    table = result.predictions
    assert sorted(table["file"]) == sorted(file.name for file in corpus.iterdir())
    assert result.n_test == len(table)
    for fold, rows in table.groupby("fold"):
        split = json.loads((folder / f"fold-{fold}" / "split.json").read_text())
        assert sorted(rows["file"]) == sorted(split["test"])
        heard = {name.split("-")[-1] for name in split["train"] + split["validation"]}
        assert not heard & {name.split("-")[-1] for name in split["test"]}


def test_the_report_pools_and_compares_the_folds(study, config):
    folder, result = study
    assert Report.load(folder / "report.json") == result
    assert result.speakers is Speakers.UNSEEN_SPEAKERS
    # Whoever reads it can make it again, wherever the clips lie.
    told = {"data": config.data, "fold": config.fold}
    assert TrainingConfig.from_json(result.config | told) == config
    assert config.data[0] not in json.dumps(result.config)
    assert [fold.fold for fold in result.folds] == [1, 2, 3, 4]
    weighted = sum(f.accuracy * f.n_test for f in result.folds) / result.n_test
    assert result.accuracy == pytest.approx(weighted)
    assert result.mean.uar == pytest.approx(sum(f.uar for f in result.folds) / 4)


def test_random_folds_test_every_clip_once_and_open_it_once(tmp_path, corpus, monkeypatch):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    opened = []
    real = corpora.measure

    def watch(paths, **rest):
        opened.extend(paths)
        return real(paths, **rest)

    monkeypatch.setattr(corpora, "measure", watch)
    config = tiny_config(corpus, protocol="kfold-speech", folds=2, **SMALLEST)
    result = cross_validation.cross_validate(tmp_path / "study", config, n_jobs=1)
    table = result.predictions
    assert sorted(table["file"]) == sorted(file.name for file in corpus.iterdir())
    assert "random folds" in result.protocol_in_words
    assert not Report.load(tmp_path / "study" / "fold-1" / "report.json").robustness
    assert sorted(opened) == sorted(str(clip) for clip in corpus.iterdir())


def test_every_corpus_is_tested_by_a_model_of_the_others(tmp_path, corpus, monkeypatch):
    """Two folders of samples, one of them with names as of another corpus."""
    german = tmp_path / "german"
    german.mkdir()
    letters = {"01": "N", "04": "T", "05": "W"}
    for number, clip in enumerate(sorted(corpus.iterdir())):
        code, actor = clip.stem.split("-")[2], int(clip.stem.split("-")[-1]) % 8 + 8
        shutil.copy(clip, german / f"{actor:02}a{number:02}{letters[code]}a.flac")
    english = tmp_path / "english"
    english.mkdir()
    for clip in list(corpus.iterdir()):
        samples, rate = soundfile.read(clip)
        soundfile.write(english / clip.name, samples[::-1], rate)  # no duplicates of the others
    config = tiny_config(english, protocol="corpora", folds=2, **SMALLEST)
    config = replace(config, data=(str(english), str(german)))
    real = pipeline.train

    def only_what_leaves_one_out(run, **rest):
        if run.folder.name == "fold-3":
            raise Stopped("enough")
        return real(run, **rest)

    with monkeypatch.context() as patch, pytest.raises(Stopped, match="fold 3 of 4"):
        patch.setattr(pipeline, "train", only_what_leaves_one_out)
        cross_validation.cross_validate(tmp_path / "study", config, n_jobs=1)
    first = Report.load(tmp_path / "study" / "report.json")
    assert {cell.trained_on for cell in first.transfer} == {"all others"}
    report = cross_validation.cross_validate(tmp_path / "study", config, resume=True, n_jobs=1)
    assert first.folds == report.folds
    assert [fold.label for fold in report.folds] == ["emodb", "ravdess-style"]
    assert report.speakers is Speakers.OTHER_CORPUS
    for fold, tested in ((1, "german"), (2, "english")):
        split = json.loads((tmp_path / "study" / f"fold-{fold}" / "split.json").read_text())
        there = {clip.name for clip in (tmp_path / tested).iterdir()}
        assert set(split["test"]) == there
        assert not there & {*split["train"], *split["validation"]}
    assert {name.split("/")[0] for name in report.predictions["file"]} == {"english", "german"}
    cells = {(c.trained_on, c.tested_on): c for c in report.transfer}
    assert cells["all others", "emodb"].accuracy == report.folds[0].accuracy
    own = cells["ravdess-style", "ravdess-style"]
    assert 0 < own.n < len(list(english.iterdir())), "its own speakers, but not those it learned"
    assert cells["ravdess-style", "emodb"].n == len(list(german.iterdir()))
    assert Report.load(tmp_path / "study" / "report.json").transfer == report.transfer
    page = to_html(report, [])
    assert "Trained on one corpus" in page and ">all others<" in page


def test_only_a_network_with_an_encoder_listens(tmp_path, config):
    with pytest.raises(DataError, match="--encoder"):
        cross_validation.cross_validate(tmp_path / "study", config, listen=3, n_jobs=1)
    assert not (tmp_path / "study").exists()


def test_finished_folds_are_not_trained_again(tmp_path, corpus, monkeypatch):
    config = tiny_config(corpus, protocol="unseen-speakers", folds=2, **SMALLEST)
    trained = []
    real = pipeline.train

    def stop_at_the_second(run, **rest):
        if len(trained) == 1:
            raise Stopped("enough")
        trained.append(run.folder.name)
        return real(run, **rest)

    monkeypatch.setattr(pipeline, "train", stop_at_the_second)
    with pytest.raises(Stopped, match=r"fold 2 of 2.*the same command and --resume"):
        cross_validation.cross_validate(tmp_path / "study", config, n_jobs=1)
    monkeypatch.setattr(
        pipeline, "train", lambda run, **rest: trained.append(run.folder.name) or real(run, **rest)
    )
    first = Run(tmp_path / "study" / "fold-1")
    first.write_status("evaluating", "as if killed before it said that it was finished")
    result = cross_validation.cross_validate(tmp_path / "study", config, resume=True, n_jobs=1)
    assert trained == ["fold-1", "fold-2"]
    assert len(result.folds) == 2
    assert first.read_status().state == "finished"


def test_folds_of_a_changed_corpus_are_not_pooled(tmp_path, corpus, monkeypatch):
    data = shutil.copytree(corpus, tmp_path / "clips")
    config = tiny_config(data, protocol="unseen-speakers", folds=4, **SMALLEST)
    real = pipeline.train

    def stop_at_the_second(run, **rest):
        if run.folder.name == "fold-2":
            raise Stopped("enough")
        return real(run, **rest)

    monkeypatch.setattr(pipeline, "train", stop_at_the_second)
    with pytest.raises(Stopped, match=r"fold 2 of 4.*the same command and --resume"):
        cross_validation.cross_validate(tmp_path / "study", config, n_jobs=1)
    monkeypatch.setattr(pipeline, "train", real)
    sorted(data.iterdir())[0].unlink()
    with pytest.raises(RunError, match="corpus has changed"):
        cross_validation.cross_validate(tmp_path / "study", config, resume=True, n_jobs=1)


def test_a_study_is_not_mixed_with_another(study, config):
    folder, _ = study
    with pytest.raises(RunError, match="not empty"):
        cross_validation.cross_validate(folder, config, n_jobs=1)
    with pytest.raises(RunError, match="other settings"):
        cross_validation.cross_validate(folder, replace(config, seed=1), resume=True, n_jobs=1)
