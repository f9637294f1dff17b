import json
import shutil
from copy import copy

import pytest

from ser.data import corpora
from ser.errors import DataError
from ser.evaluation.evaluate import evaluate_clips, evaluate_corpus, seen_in_training
from ser.evaluation.rendering import to_html
from ser.evaluation.report import Speakers
from ser.models.recognizer import Recognizer
from tests.tiny import SAMPLES


@pytest.fixture(scope="module")
def recognizer(finished_run):
    return Recognizer.load(finished_run.folder)


@pytest.fixture(scope="module")
def corpus(finished_run):
    return corpora.inspect(corpora.scan(finished_run.read_config()["data"][0]), n_jobs=1)


@pytest.fixture(scope="module")
def clips(corpus):
    return corpus.clips


def test_clips_seen_in_training_are_counted(finished_run, recognizer, clips):
    split = json.loads((finished_run.folder / "split.json").read_text())
    result = evaluate_clips(recognizer, clips, location="x", protocol="all", n_jobs=1)
    assert result.n_test == len(clips) == len(result.predictions)
    assert result.n_seen_in_training == len(split["train"]) + len(split["validation"])
    assert result.speakers is Speakers.SEEN_CLIPS
    assert "seen in\ntraining" in to_html(result, [])


def test_a_clip_is_recognised_as_seen_by_name_or_by_sound(recognizer, clips):
    manifest = recognizer.manifest
    heard = clips[seen_in_training(clips, manifest)].iloc[:1]
    assert seen_in_training(heard.assign(clip_id=""), manifest).all(), "renamed"
    assert seen_in_training(heard.assign(audio="0" * 32), manifest).all(), "encoded otherwise"
    assert not seen_in_training(heard.assign(clip_id="", audio="0" * 32), manifest).any()


def test_the_random_split_of_its_corpus_has_speakers_seen_in_training(
    finished_run, recognizer, corpus
):
    config = finished_run.read_config()
    result = evaluate_corpus(
        recognizer, config["data"][0], corpus=corpus, seed=config["seed"], n_jobs=1
    )
    assert result.speakers is Speakers.SEEN_SPEAKERS and result.n_seen_in_training == 0
    assert result.title == recognizer.manifest.name
    assert "same speakers" in result.protocol_in_words


@pytest.mark.parametrize(("protocol", "words"), [("random", "not trained on"), ("all", "every")])
def test_clips_of_another_corpus_are_said_to_be(recognizer, clips, tmp_path, protocol, words):
    elsewhere = corpora.scan(SAMPLES).clips
    elsewhere = elsewhere[~elsewhere["emotion"].isin(clips["emotion"])]
    for number, (path, emotion) in enumerate(elsewhere[["path", "emotion"]].to_numpy()):
        (tmp_path / emotion).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / emotion / f"{number}.flac")  # a name that says nothing
    result = evaluate_corpus(recognizer, tmp_path, protocol=protocol, n_jobs=1)
    assert result.speakers is Speakers.OTHER_CORPUS
    assert words in result.protocol_in_words
    assert result.title == f"{recognizer.manifest.name} on {', '.join(result.corpora)}"
    assert result.n_test == (len(elsewhere) if protocol == "all" else len(elsewhere) // 5)


def test_clips_of_its_corpus_that_it_has_not_seen_are_of_no_other_corpus(
    recognizer, clips, tmp_path
):
    new = corpora.scan(SAMPLES).clips
    new = new[~new["name"].isin(clips["name"])]
    new[["path", "emotion"]].to_csv(tmp_path / "mine.csv", index=False)
    of_mine = copy(recognizer)
    for protocol, expected in (
        ("random", Speakers.SEEN_SPEAKERS),
        ("unseen-speakers", Speakers.UNSEEN_SPEAKERS),
    ):
        training = {"corpora": ["mine"], "config": {"protocol": protocol}}
        of_mine.manifest = recognizer.manifest.model_copy(update={"training": training})
        result = evaluate_corpus(of_mine, tmp_path / "mine.csv", protocol="all", n_jobs=1)
        assert result.speakers is expected and result.n_seen_in_training == 0


def test_an_emotion_the_model_does_not_know_is_refused(recognizer, clips):
    odd = clips.assign(emotion="boredom")
    with pytest.raises(DataError, match="no label for: boredom"):
        evaluate_clips(recognizer, odd, location="x", protocol="all", n_jobs=1)


def test_a_protocol_that_trains_is_refused(recognizer, samples):
    with pytest.raises(DataError, match="random or all, not 'unseen-speakers'"):
        evaluate_corpus(recognizer, samples, protocol="unseen-speakers")


def test_a_clip_that_vanished_is_reported_by_name(recognizer, clips, tmp_path):
    gone = clips.iloc[:2].assign(path=str(tmp_path / "gone.flac"))
    with pytest.raises(DataError, match=r"gone\.flac"):
        evaluate_clips(recognizer, gone, location="x", protocol="all", n_jobs=1)
