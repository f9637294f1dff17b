import shutil

import pytest

from ser.data import corpora
from ser.data.inspection import inspect_corpus, update_inspection
from ser.data.label_review import (
    CORRECT,
    EXCLUDE,
    EXCLUDED,
    KEEP,
    Decision,
    counts,
    decide,
    read_review,
    review_file,
)
from ser.errors import DataError, OutputError


@pytest.fixture
def corpus(tmp_path, clips):
    folder = tmp_path / "corpus"
    (folder / "inside").mkdir(parents=True)
    for clip in clips[:6]:
        shutil.copy(clip, folder / "inside")
    return folder


def first(corpus, n=0):
    return corpora.scan(corpus).clips.iloc[n]


def test_corrected_and_excluded_clips_are_no_longer_what_their_names_say(corpus):
    one, two, three = (first(corpus, n) for n in range(3))
    decide(corpus, one["path"], Decision(one["emotion"], CORRECT, "sad"))
    decide(corpus, two["path"], Decision(two["emotion"], EXCLUDE))
    decide(corpus, three["path"], Decision(three["emotion"], KEEP))
    found = corpora.scan(corpus)
    emotions = dict(zip(found.clips["path"], found.clips["emotion"], strict=True))
    assert emotions[one["path"]] == "sad"
    assert emotions[three["path"]] == three["emotion"]
    assert two["path"] not in emotions
    reasons = dict(found.skipped.to_numpy().tolist())
    assert reasons == {two["path"]: EXCLUDED}, "the review itself is no file that was left out"
    assert counts(corpus) == {"keep": 1, "correct": 1, "exclude": 1}
    assert set(read_review(corpus)) == {f"inside/{c['name']}" for c in (one, two, three)}


def test_what_is_decided_again_remembers_the_name_s_own_label(corpus):
    clip = first(corpus)
    decide(corpus, clip["path"], Decision(clip["emotion"], CORRECT, "sad"))
    decide(corpus, clip["path"], Decision("sad", CORRECT, "angry"), named=clip["emotion"])
    assert first(corpus)["emotion"] == "angry"
    (decision,) = read_review(corpus).values()
    assert decision.emotion == clip["emotion"]
    decide(corpus, clip["path"], Decision("angry", KEEP), named=clip["emotion"])
    assert first(corpus)["emotion"] == "angry", "who keeps a correction does not take it back"
    decide(corpus, clip["path"], None)
    assert first(corpus)["emotion"] == clip["emotion"]
    assert counts(corpus) == {}


SAD, ANGRY, OUT = (CORRECT, "sad"), (CORRECT, "angry"), (EXCLUDE, "")


@pytest.mark.parametrize(
    ("decisions", "ends"),
    [
        ([SAD, OUT], None),
        ([None, OUT], None),
        ([None, SAD], "sad"),
        ([SAD, ANGRY], "angry"),
        ([SAD, (KEEP, "")], "happy"),
        ([OUT, (KEEP, "")], "happy"),
        ([(CORRECT, "neutral")], "neutral"),
    ],
)
def test_the_last_decision_holds_whatever_label_was_shown(corpus, decisions, ends):
    """As a page decides that shows a correction and has not scanned the corpus since."""
    clip = next(row for _, row in corpora.scan(corpus).clips.iterrows() if row.emotion == "neutral")
    decide(corpus, clip["path"], Decision("neutral", CORRECT, "happy"))
    for each in decisions:
        named = corpora.named_emotion(corpus, clip["path"])
        shown = Decision("happy", *each) if each else None
        decide(corpus, clip["path"], shown, named=named)
    found = dict(corpora.scan(corpus).clips[["path", "emotion"]].to_numpy().tolist())
    assert found.get(clip["path"]) == ends


def test_nothing_is_decided_about_a_corpus_that_is_gone(corpus):
    clip = first(corpus)
    gone = corpus.parent / "gone"
    with pytest.raises(DataError, match="is gone"):
        decide(gone, gone / clip["name"], Decision("neutral", KEEP))
    assert not gone.exists()


def test_inspection_and_study_follow_a_decision(corpus):
    before = update_inspection(corpus, n_jobs=1)
    clip = before.clips.iloc[0]
    decide(corpus, clip["path"], Decision(clip["emotion"], EXCLUDE))
    after = update_inspection(corpus, n_jobs=1)
    assert len(after.clips) == len(before.clips) - 1 and after.key != before.key
    assert after.complete
    found = inspect_corpus(corpus, n_jobs=1)
    assert clip["path"] not in set(found.clips["path"])


def test_a_corpus_of_a_csv_file_has_its_review_beside_it(corpus):
    table = corpus / "list.csv"
    rows = [
        f"{path},{emotion}"
        for path, emotion in corpora.scan(corpus).clips[["path", "emotion"]].to_numpy()
    ]
    table.write_text("\n".join(["path,emotion", *rows]))
    clip = first(table)
    decide(table, clip["path"], Decision(clip["emotion"], EXCLUDE))
    assert review_file(table) == corpus / "list-label-review.csv"
    assert clip["path"] not in set(corpora.scan(table).clips["path"])
    assert clip["path"] in set(corpora.scan(corpus).clips["path"])


def test_a_clip_that_two_people_labelled_is_left_out_as_a_whole(corpus):
    clip, other = first(corpus)["path"], first(corpus, 1)["path"]
    table = corpus / "list.csv"
    table.write_text(f"path,emotion\n{clip},happy\n{clip},sad\n{other},sad\n")
    decide(table, clip, Decision("happy", EXCLUDE))
    found = corpora.scan(table)
    assert found.clips["path"].tolist() == [other]
    assert set(found.skipped["path"]) == {clip}


def test_a_label_that_changed_since_is_not_overruled(corpus, clips):
    clip = first(corpus)
    decide(corpus, clip["path"], Decision("disgust", CORRECT, "sad"))
    assert first(corpus)["emotion"] == clip["emotion"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "has the columns a, b"),
        ("path,emotion,decision,corrected\nx.wav,sad,delete,\n", "line 2: 'delete'"),
        ("path,emotion,decision,corrected\nx.wav,sad,correct,bored\n", "'bored'"),
        ("path,emotion,decision,corrected\nx.wav,sad,keep,angry\n", "line 2"),
        ('path,emotion\n"', "cannot be read"),
    ],
)
def test_a_damaged_review_is_refused_and_named(corpus, text, words):
    review_file(corpus).write_text(text)
    with pytest.raises(DataError, match=words):
        corpora.scan(corpus)


def test_a_corpus_that_cannot_be_written_says_so(corpus):
    clip = first(corpus)
    review_file(corpus).mkdir()
    with pytest.raises((DataError, OutputError), match="label-review"):
        decide(corpus, clip["path"], Decision(clip["emotion"], EXCLUDE))


def test_a_report_says_that_labels_were_reviewed(corpus, finished_run):
    from ser.evaluation import rendering
    from ser.evaluation.evaluate import evaluate_corpus
    from ser.models.recognizer import Recognizer

    clip = first(corpus)
    decide(corpus, clip["path"], Decision(clip["emotion"], EXCLUDE))
    recognizer = Recognizer.load(finished_run.folder)
    report = evaluate_corpus(recognizer, corpus, protocol="all", n_jobs=1)
    assert "0 corrected, 1 clips left out" in str(report.label_review)
    assert "1 clips left out" in rendering.to_html(report, [])
    assert type(report).model_validate(report.to_json()).label_review == report.label_review
