import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from ser import audio
from ser.cli import main
from ser.data import corpora
from ser.errors import DataError, OutputError
from ser.evaluation import few_shot
from ser.evaluation.evaluate import evaluate_clips
from ser.evaluation.few_shot_report import Adaptation, FewShotReport
from ser.evaluation.report import Report, Speakers
from ser.models.adaptation import enrol, fit_adaptation, leave_one_out
from ser.models.bundle import read_manifest
from ser.models.explanation import explain
from ser.models.recognizer import Recognizer
from ser.utils.files import sha256_of
from tests.tiny import SAMPLES

VOICE = SAMPLES / "Actor_25"
LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


@pytest.fixture(scope="module")
def recognizer(finished_run):
    return Recognizer.load(finished_run.folder)


@pytest.fixture(scope="module")
def clips():
    return corpora.inspect(corpora.scan(VOICE), n_jobs=1).clips


@pytest.fixture(scope="module")
def enrolment(recognizer, clips):
    return enrol(recognizer, clips, n_jobs=1)


@pytest.fixture(scope="module")
def adapted(recognizer, enrolment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted") / "mine"
    few_shot.adapt(recognizer, enrolment, folder)
    return folder


def checksums(folder):
    return {file.name: sha256_of(file) for file in sorted(folder.iterdir()) if file.is_file()}


def test_the_original_stays_untouched_and_the_same_takes_teach_the_same(
    recognizer, finished_run, enrolment, adapted, tmp_path
):
    before = checksums(finished_run.folder)
    few_shot.adapt(recognizer, enrolment, tmp_path / "again")
    assert checksums(finished_run.folder) == before
    first, second = Recognizer.load(adapted), Recognizer.load(tmp_path / "again")
    assert first.manifest.embedding.sha256 == second.manifest.embedding.sha256
    assert first.manifest.temperature == second.manifest.temperature
    np.testing.assert_array_equal(
        *(r.predict(enrolment.clips["path"][0])[list(LABELS)] for r in (first, second))
    )


def test_an_adapted_bundle_answers_as_what_was_learned(recognizer, enrolment, adapted):
    mine = Recognizer.load(adapted)
    logits, embeddings = mine.logits_and_embeddings(
        recognizer.prepare(enrolment.clips["path"].tolist(), n_jobs=1)[1]
    )
    np.testing.assert_allclose(
        logits,
        fit_adaptation(recognizer.embedding, enrolment).logits(enrolment),
        atol=2e-3,
        rtol=1e-3,
    )
    np.testing.assert_allclose(embeddings, enrolment.embeddings, atol=1e-4)


def test_an_adapted_bundle_does_what_any_bundle_does(adapted, enrolment):
    mine = Recognizer.load(adapted)
    table = mine.predict_files(enrolment.clips["path"].tolist(), n_jobs=1)
    assert (table["emotion"] == enrolment.clips["emotion"]).mean() > 0.8
    recording = np.concatenate([audio.load_audio(p) for p in enrolment.clips["path"][:3]])
    assert mine.timeline(recording, sampling_rate=16_000)[list(LABELS)].sum(
        axis=1
    ).to_numpy() == pytest.approx(1)
    why = explain(mine, audio.load_audio(enrolment.clips["path"][0]))
    assert why.emotion == table["emotion"][0]
    assert np.isfinite(why.rows["effect"]).all()
    found = evaluate_clips(mine, enrolment.clips, location=VOICE, protocol="all", n_jobs=1)
    assert found.n_seen_in_training == len(enrolment)
    assert found.speakers is Speakers.SEEN_CLIPS


def test_the_voice_it_learned_is_no_longer_unlike_training(recognizer, adapted, enrolment):
    embeddings = enrolment.embeddings
    assert (Recognizer.load(adapted).embedding.distances(embeddings) < 0.1).all()
    assert np.median(recognizer.embedding.distances(embeddings)) > 0.1


def test_manifest_and_card_name_the_parent_and_the_takes(recognizer, adapted, enrolment):
    manifest, parent = read_manifest(adapted), recognizer.manifest
    learned = manifest.training["adapted"]
    assert learned["parent_sha256"] == parent.model_sha256
    assert sum(learned["recordings"].values()) == len(enrolment) == 30
    assert manifest.model_sha256 != parent.model_sha256
    assert set(manifest.training_clips.audio) == {
        *parent.training_clips.audio,
        *enrolment.clips["audio"],
    }
    card = (adapted / "MODEL_CARD.md").read_text()
    assert parent.name in card
    assert parent.model_sha256 in card
    found = Report.load(adapted / "report.json")
    assert found.model_sha256 == manifest.model_sha256
    assert found.adaptation.sentence in card
    assert "answered by what was learned from the others" in found.protocol_in_words


def before_after(recognizer, enrolment):
    return few_shot.before_after(recognizer, enrolment, leave_one_out(recognizer, enrolment)[0])


def test_before_and_after_are_what_scikit_learn_says(recognizer, enrolment):
    found = before_after(recognizer, enrolment)
    y_true = enrolment.clips["emotion"].tolist()
    table = recognizer.predict_files(enrolment.clips["path"].tolist(), n_jobs=1)
    after = []
    for i in range(len(enrolment)):
        others = np.delete(np.arange(len(enrolment)), i)
        logits = fit_adaptation(recognizer.embedding, enrolment[others]).logits(
            enrolment[np.array([i])]
        )
        after.append(LABELS[int(logits.argmax())])
    for figures, answers in ((found.before, table["emotion"].tolist()), (found.after, after)):
        assert figures.accuracy == pytest.approx(accuracy_score(y_true, answers))
        assert figures.uar == pytest.approx(
            recall_score(y_true, answers, labels=sorted(set(y_true)), average="macro")
        )
        matrix = confusion_matrix(y_true, answers, labels=list(LABELS))
        assert figures.confusion_matrix == matrix.tolist()
        assert figures.accuracy_interval[0] < figures.accuracy
        assert figures.accuracy <= figures.accuracy_interval[1]
        assert f"{figures.right} ({figures.accuracy:.0%}" in found.sentence
    assert found.after.accuracy > found.before.accuracy + 0.2
    assert found.curve[0].recordings == 0
    assert found.curve[-1].accuracy > found.curve[0].accuracy


def test_the_published_predictions_of_an_adapted_bundle_give_its_figures(adapted):
    found = Report.load(adapted / "report.json")
    table = found.predictions
    assert (table["truth"] == table["emotion"]).mean() == found.accuracy
    assert found.accuracy == found.adaptation.after.accuracy


@pytest.mark.parametrize(("each", "words"), [(1, "cannot be known"), (2, "cannot be known")])
def test_with_few_takes_it_is_not_said_that_more_would_help(recognizer, enrolment, each, words):
    rows = [np.flatnonzero(enrolment.y_true == label)[:each] for label in range(8)]
    found = before_after(recognizer, enrolment[np.concatenate(rows)])
    assert words in found.advice


def test_emotions_without_a_take_are_named(recognizer, enrolment):
    some = enrolment[(enrolment.y_true == 2) | (enrolment.y_true == 4)]
    found = before_after(recognizer, some)
    assert "no recording of neutral, calm, sad" in found.notes[0]


def test_so_many_takes_are_drawn_as_asked_and_the_same_with_a_seed(clips):
    drawn = few_shot.choose(clips, 2, seed=3)
    assert set(drawn["emotion"].value_counts()) == {2}
    assert drawn["path"].tolist() == few_shot.choose(clips, 2, seed=3)["path"].tolist()
    assert drawn["path"].tolist() != few_shot.choose(clips, 2, seed=4)["path"].tolist()
    assert len(few_shot.choose(clips, 99)) == len(clips)


def test_what_was_learned_can_be_built_upon(adapted, clips, tmp_path):
    mine = Recognizer.load(adapted)
    more = corpora.inspect(corpora.scan(SAMPLES / "Actor_26"), n_jobs=1).clips
    few_shot.adapt(mine, enrol(mine, more, n_jobs=1), tmp_path / "both")
    both = Recognizer.load(tmp_path / "both")
    found = both.predict_files(more["path"].tolist(), n_jobs=1)
    assert (found["emotion"] == more["emotion"]).mean() > 0.8
    assert set(both.manifest.training_clips.audio) >= {*clips["audio"], *more["audio"]}
    assert both.manifest.training["adapted"]["parent"] == "mine"


def test_a_study_tests_every_clip_that_was_not_learned(recognizer, enrolment):
    two = enrolment.clips.assign(speaker=np.where(np.arange(len(enrolment)) % 2, "a", "b"))
    both = replace(enrolment, clips=two)
    found = few_shot.study(recognizer, both, shots=1, repeats=3)
    assert [row.speaker for row in found.speakers] == ["a", "b"]
    for row in found.speakers:
        own = two[two["speaker"] == row.speaker]["emotion"].value_counts()
        assert row.n == own.sum()
        assert row.learned == np.minimum(own - 1, 1).sum()
        assert row.tested == row.n - row.learned
    for when in ("before", "after"):
        mean = np.mean([getattr(row, when).accuracy for row in found.speakers])
        assert getattr(found, when).accuracy == pytest.approx(mean)
        low, high = getattr(found, when).accuracy_interval
        assert low <= mean <= high
    assert found.gain.accuracy > 0.1
    assert few_shot.study(recognizer, both, shots=1, repeats=3) == found
    assert few_shot.study(recognizer, both, shots=1, repeats=3, seed=1) != found
    text = json.dumps(found.to_json(), allow_nan=False)
    assert FewShotReport.model_validate_json(text, strict=True) == found


def test_people_of_two_corpora_are_two(recognizer, enrolment):
    halves = np.where(np.arange(len(enrolment)) % 2, "a", "b")
    both = replace(enrolment, clips=enrolment.clips.assign(speaker="1", corpus=halves))
    found = few_shot.study(recognizer, both, shots=1, repeats=1)
    assert [row.speaker for row in found.speakers] == ["a 1", "b 1"]


def test_a_study_keeps_a_clip_of_every_emotion_for_testing(recognizer, enrolment):
    found = few_shot.study(recognizer, enrolment, shots=99, repeats=1)
    assert found.speakers[0].tested == 8
    _, first = np.unique(enrolment.y_true, return_index=True)
    with pytest.raises(DataError, match="two clips each"):
        few_shot.study(recognizer, enrolment[first])
    with pytest.raises(DataError, match="1 or more"):
        few_shot.study(recognizer, enrolment, shots=0)


def test_takes_of_one_emotion_alone_are_refused(recognizer, enrolment, tmp_path):
    with pytest.raises(DataError, match="All recordings are happy"):
        few_shot.adapt(
            recognizer, enrolment[enrolment.y_true == LABELS.index("happy")], tmp_path / "x"
        )
    assert not (tmp_path / "x").exists()


def test_a_recording_with_two_labels_is_refused_and_a_copy_counts_once(recognizer, clips):
    twice = clips.iloc[[0, 1, 2, 2]].reset_index(drop=True)
    assert len(enrol(recognizer, twice, n_jobs=1)) == 3
    films = twice.assign(audio=[f"{i}" for i in range(len(twice))], clip_id="the same")
    assert len(enrol(recognizer, films, n_jobs=1)) == 1
    twice.loc[3, "emotion"] = "surprised"
    with pytest.raises(DataError, match=r"same recording is said to be .* and surprised"):
        enrol(recognizer, twice, n_jobs=1)


def test_a_label_that_the_model_does_not_know_is_refused(recognizer, clips):
    odd = clips.assign(emotion=["bored", *clips["emotion"][1:]])
    with pytest.raises(DataError, match="no label for: bored"):
        enrol(recognizer, odd, n_jobs=1)


def test_nothing_is_overwritten_but_an_older_adaptation(
    recognizer, finished_run, enrolment, adapted, tmp_path
):
    _, first = np.unique(enrolment.y_true, return_index=True)
    some = enrolment[first]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear diary")
    for folder in (tmp_path / "full", finished_run.folder):
        before = checksums(folder)
        with pytest.raises(OutputError, match="something else"):
            few_shot.adapt(recognizer, some, folder)
        assert checksums(folder) == before
    with pytest.raises(OutputError, match="is the model to be adapted"):
        few_shot.adapt(Recognizer.load(adapted), some, adapted)
    copy = shutil.copytree(adapted, tmp_path / "older")
    few_shot.adapt(recognizer, some, copy)
    assert sum(read_manifest(copy).training["adapted"]["recordings"].values()) == 8


def test_the_command_line_adapts_and_evaluates(finished_run, tmp_path, capsys):
    out, before = tmp_path / "mine", checksums(finished_run.folder)
    arguments = ["adapt", str(finished_run.folder), "--data", str(VOICE), "--out", str(out)]
    options = ["--shots", "3", "--json", str(tmp_path / "a.json"), "--n-jobs", "1"]
    assert main([*arguments, *options]) == 0
    printed = capsys.readouterr().out
    figures = Adaptation.load(tmp_path / "a.json")
    assert figures.n == 23  # of one emotion there are two
    assert figures.sentence in printed
    assert figures.advice in printed
    assert checksums(finished_run.folder) == before
    assert main(["predict", str(VOICE / "03-01-05-01-01-01-25.flac"), "--model", str(out)]) == 0
    study = ["evaluate", str(finished_run.folder), "--data", str(VOICE), "--protocol", "few-shot"]
    options = ["--shots", "1", "--repeats", "2", "--json", str(tmp_path / "s.json")]
    capsys.readouterr()
    assert main([*study, *options, "--n-jobs", "1"]) == 0
    found = FewShotReport.load(tmp_path / "s.json")
    assert (found.shots, found.repeats, found.seed) == (1, 2, 42)
    assert f"{found.after.accuracy:.1%}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["adapt", "MODEL", "--data", "VOICE", "--out", "MODEL"], "not empty"),
        (
            ["adapt", "MODEL", "--data", "VOICE", "--out", "NEW", "--shots", "0"],
            "1 or more",
        ),
        (["adapt", "MODEL", "--data", "NOWHERE", "--out", "NEW"], "does not exist"),
        (
            ["evaluate", "MODEL", "--data", "VOICE", "--protocol", "few-shot", "--repeats", "0"],
            "1 or more",
        ),
        (
            ["evaluate", "MODEL", "--data", "VOICE", "--protocol", "few-shot", "--robustness"],
            "--robustness",
        ),
    ],
)
def test_what_cannot_be_gets_one_line(finished_run, tmp_path, capsys, options, words):
    embeddings = {
        "MODEL": str(finished_run.folder),
        "VOICE": str(VOICE),
        "NEW": str(tmp_path / "new"),
        "NOWHERE": str(tmp_path / "nowhere"),
    }
    assert main([embeddings.get(option, option) for option in options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()[-1]) == len(error.strip().split("\r")[-1].strip())
