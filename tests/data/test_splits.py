from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from ser.data import splits
from ser.data.ravdess import parse_ravdess
from ser.data.splits import LeakError, Split, check_split, make_split, random_split, speaker_folds
from ser.errors import DataError

TWINS = ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")  # RAVDESS has this one duplicate


@pytest.fixture(scope="module")
def ravdess():
    """The table of all 2452 clips, without their sound."""
    rows = []
    for channel, emotions, actors in (
        (1, range(1, 9), range(1, 25)),
        (2, range(1, 7), [n for n in range(1, 25) if n != 18]),
    ):
        for actor in actors:
            for emotion in emotions:
                for intensity in (1,) if emotion == 1 else (1, 2):
                    for statement in (1, 2):
                        for repetition in (1, 2):
                            numbers = (3, channel, emotion, intensity, statement, repetition, actor)
                            stem = "-".join(f"{n:02}" for n in numbers)
                            rows.append(
                                {"name": f"{stem}.wav", "audio": stem} | parse_ravdess(Path(stem))
                            )
    table = pd.DataFrame(rows).sort_values("name", ignore_index=True)
    table["audio"] = table["audio"].replace(TWINS[1], TWINS[0])
    return table


def small(emotions, speakers=None, audio=None):
    size = len(emotions)
    return pd.DataFrame(
        {
            "name": [f"{n}.wav" for n in range(size)],
            "emotion": list(emotions),
            "speaker": list(speakers or [f"s{n % 4}" for n in range(size)]),
            "audio": [str(each) for each in audio or range(size)],
            "clip_id": "",
            "corpus": "c",
        }
    )


# --- the random split ----------------------------------------------------------------------


def test_the_table_is_shaped_like_ravdess(ravdess):
    assert len(ravdess) == 2452
    assert ravdess["channel"].value_counts().to_dict() == {"speech": 1440, "song": 1012}


@pytest.mark.parametrize("seed", [42, 0])
def test_the_reference_split_is_that_of_scikit_learn(ravdess, seed):
    names, emotions = ravdess["name"].tolist(), ravdess["emotion"].tolist()
    expected_rest, expected_test = train_test_split(
        names, test_size=0.2, stratify=emotions, random_state=seed
    )
    rest, test = random_split(ravdess, seed=seed)
    assert ravdess["name"].iloc[test].tolist() == sorted(expected_test)
    assert ravdess["name"].iloc[rest].tolist() == sorted(expected_rest)


def test_the_reference_split_has_the_published_counts(ravdess):
    _, test = random_split(ravdess)
    assert len(test) == 491
    assert ravdess["emotion"].iloc[test].value_counts().to_dict() == {
        "angry": 75, "calm": 75, "fearful": 75, "happy": 75, "sad": 75,
        "disgust": 39, "surprised": 39, "neutral": 38,
    }  # fmt: skip


def parts(clips, split):
    return [set(clips["audio"].iloc[rows]) for rows in (split.train, split.validation, split.test)]


@pytest.mark.parametrize("seed", range(8))
def test_the_test_part_is_complete_and_the_rest_free_of_its_duplicates(ravdess, seed):
    split = make_split(ravdess, "random", seed=seed)
    assert np.array_equal(split.test, random_split(ravdess, seed=seed)[1])
    train, validation, test = parts(ravdess, split)
    assert not train & test
    assert not validation & test
    assert not train & validation
    rows = np.concatenate([split.train, split.validation, split.test])
    assert len(set(rows)) == len(rows) >= 2451, "at most the one duplicate is left out"


def test_duplicates_are_left_out_of_training():
    emotions = ["happy", "sad"] * 60
    clips = small(emotions, audio=[n // 2 * 2 + n % 2 if n < 60 else n % 60 for n in range(120)])
    split = make_split(clips, "random")
    train, validation, test = parts(clips, split)
    assert len(split.test) == 24
    assert not (train & test or validation & test or train & validation)
    assert len(split.train) + len(split.validation) < 96
    assert train | validation | test == set(clips["audio"])


@pytest.mark.parametrize("protocol", ["random", "kfold-speech"])
def test_another_file_of_a_test_recording_does_not_train(ravdess, protocol):
    """As MP3, or at another rate, it sounds the same and has another hash."""
    copies = ravdess.assign(name="copy-" + ravdess["name"], audio="copy-" + ravdess["audio"])
    both = pd.concat([ravdess, copies], ignore_index=True)
    split = make_split(both, protocol, folds=10)
    ids = both["clip_id"].to_numpy()
    for one, other in ((split.train, split.test), (split.train, split.validation)):
        assert not set(ids[one]) & set(ids[other])
    leaking = Split((split.test + 2452) % 4904, split.validation, split.test)
    with pytest.raises(LeakError, match="stands in both the training and the test"):
        check_split(both, leaking, speakers_apart=False)


def test_a_seed_makes_the_same_split(ravdess):
    for protocol in set(splits.PROTOCOLS) - {"corpora"}:  # this is one corpus
        one, same = make_split(ravdess, protocol, seed=3), make_split(ravdess, protocol, seed=3)
        other = make_split(ravdess, protocol, seed=4)
        assert np.array_equal(one.validation, same.validation)
        assert np.array_equal(one.test, other.test) == (protocol == "luna-jimenez")


# --- unseen speakers -------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 5, 24])
def test_every_clip_is_tested_once_and_no_speaker_is_on_both_sides(ravdess, folds):
    found = speaker_folds(ravdess, folds=folds)
    assert len(found) == folds
    tested = np.concatenate([test for _, test in found])
    assert sorted(tested) == list(range(len(ravdess)))
    speakers = ravdess["speaker"]
    for rest, test in found:
        assert len(rest) + len(test) == len(ravdess)
        assert not set(speakers.iloc[rest]) & set(speakers.iloc[test])


@pytest.mark.parametrize("fold", range(5))
def test_three_parts_of_other_speakers(ravdess, fold):
    split = make_split(ravdess, "unseen-speakers", fold=fold)
    train, validation, test = (
        set(ravdess["speaker"].iloc[rows]) for rows in (split.train, split.validation, split.test)
    )
    assert len(train) + len(validation) + len(test) == 24
    assert len(train | validation | test) == 24
    assert validation
    assert np.array_equal(split.test, speaker_folds(ravdess)[fold][1])


@pytest.mark.parametrize("fold", range(5))
def test_at_least_two_speakers_watch_a_training_of_many(ravdess, fold):
    split = make_split(ravdess, "unseen-speakers", fold=fold, validation=0.01)
    assert ravdess["speaker"].iloc[split.validation].nunique() == 2


# --- protocols of others ----------------------------------------------------------------------

LUNA_JIMENEZ = [
    {2, 5, 14, 15, 16}, {3, 6, 7, 13, 18}, {10, 11, 12, 19, 20}, {8, 17, 21, 23, 24}, {1, 4, 9, 22},
]  # fmt: skip


@pytest.mark.parametrize("fold", range(5))
def test_the_folds_of_luna_jimenez_are_theirs(ravdess, fold):
    split = make_split(ravdess, "luna-jimenez", fold=fold)
    tested = ravdess.iloc[split.test]
    assert {int(name.split()[1]) for name in tested["speaker"]} == LUNA_JIMENEZ[fold]
    assert len(tested) == 60 * len(LUNA_JIMENEZ[fold])
    used = ravdess.iloc[np.concatenate([split.train, split.validation, split.test])]
    assert set(used["channel"]) == {"speech"}
    assert not set(ravdess["speaker"].iloc[split.train]) & set(tested["speaker"])


def test_the_folds_of_luna_jimenez_need_all_actors(ravdess):
    some = ravdess[ravdess["speaker"] != "actor 03"].reset_index(drop=True)
    with pytest.raises(DataError, match="23 of them and of 0 other speakers"):
        make_split(some, "luna-jimenez")
    with pytest.raises(DataError, match="has 5 folds, not 4"):
        make_split(ravdess, "luna-jimenez", folds=4)


def test_random_folds_of_speech_test_every_speech_clip_once(ravdess):
    found = [make_split(ravdess, "kfold-speech", folds=10, fold=fold) for fold in range(10)]
    tested = np.concatenate([split.test for split in found])
    assert sorted(tested) == list(np.flatnonzero(ravdess["channel"] == "speech"))
    for split in found:
        counts = ravdess["emotion"].iloc[split.test].value_counts()
        assert (counts.drop("neutral").between(19, 20)).all()
        assert set(ravdess["channel"].iloc[split.train]) == {"speech"}


def test_every_corpus_is_tested_by_what_the_others_taught(ravdess):
    german = small(["angry", "sad", "happy", "fearful"] * 6, speakers=list("abcdef") * 4)
    clips = pd.concat([ravdess, german.assign(corpus="emodb")], ignore_index=True).fillna("")
    splits_ = [make_split(clips, "corpora", folds=2, fold=fold) for fold in (0, 1)]
    for split, tested in zip(splits_, ("emodb", "ravdess"), strict=True):
        assert set(clips["corpus"].iloc[split.test]) == {tested}
        rest = clips.iloc[np.concatenate([split.train, split.validation])]
        assert tested not in set(rest["corpus"])
    assert len(splits_[1].test) == 1440, "song trains, speech is tested"
    for fold, name in ((2, "emodb"), (3, "ravdess")):
        split = make_split(clips, "corpora", folds=2, fold=fold)
        train, test = clips.iloc[split.train], clips.iloc[split.test]
        assert set(train["corpus"]) == {name} and set(test["corpus"]) == {"emodb", "ravdess"}
        assert not set(train["speaker"]) & set(test["speaker"])
        assert (test["corpus"] != name).sum() == {"emodb": 1440, "ravdess": 24}[name]
    with pytest.raises(DataError, match="has 2 folds, not 3"):
        make_split(clips, "corpora", folds=3)


def test_people_of_two_corpora_are_two_whatever_they_are_called():
    emotions = ["sad", "angry"] * 12
    corpora = []
    for name in "abc":
        speakers = [str(n % 6) for n in range(24)] if name != "c" else [""] * 24
        corpora.append(small(emotions, speakers).assign(corpus=name, channel="speech"))
    clips = pd.concat(corpora, ignore_index=True)
    clips["audio"] = [str(n) for n in range(len(clips))]
    for fold in range(5):  # the sixth trains on a corpus that names nobody
        assert len(make_split(clips, "corpora", folds=3, fold=fold).test)


def test_a_rare_emotion_does_not_keep_a_corpus_from_being_tested_on_itself(ravdess):
    speech = ravdess[(ravdess["channel"] == "speech") & (ravdess["emotion"] != "fearful")]
    one = ravdess[(ravdess["channel"] == "speech") & (ravdess["emotion"] == "fearful")].iloc[:1]
    other = speech.assign(corpus="other", speaker="other " + speech["speaker"])
    other["audio"] = "other " + other["audio"]
    clips = pd.concat([speech, one, other], ignore_index=True)
    pairs = splits.corpus_folds(clips)
    _, tested = pairs[3]  # trains on RAVDESS alone
    own = clips.iloc[tested]
    own = own[own["corpus"] == "ravdess"]
    assert 1 <= own["speaker"].nunique() <= 6


def test_one_corpus_alone_cannot_be_left_out(ravdess):
    with pytest.raises(DataError, match="of one corpus, ravdess"):
        make_split(ravdess, "corpora", folds=2)


def test_a_corpus_without_speech_is_refused(ravdess):
    with pytest.raises(DataError, match="no clip here is known to be speech"):
        make_split(ravdess[ravdess["channel"] == "song"].reset_index(), "kfold-speech", folds=10)


# --- the leak check ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "validation", "test", "words"),
    [
        ([0, 1], [2], [3, 0], r"0\.wav stands in both the training and the test"),
        ([0, 1], [2, 1], [3], r"1\.wav stands in both the training and the validation"),
        ([0, 1], [2], [3, 2], r"2\.wav stands in both the validation and the test"),
        ([0, 1], [2], [3, 4], r"1\.wav stands in both the training and the test"),  # a duplicate
        ([0, 1], [2], [5], r"s1 stands in both the training and the test"),  # a speaker
    ],
)
def test_a_leak_is_found(train, validation, test, words):
    clips = small(["sad"] * 6, ["s1", "s1", "s2", "s3", "s4", "s1"], [0, 1, 2, 3, 1, 5])
    split = Split(*(np.array(rows) for rows in (train, validation, test)))
    with pytest.raises(LeakError, match=words) as caught:
        check_split(clips, split, speakers_apart=True)
    assert caught.value.code == "leak"


def test_a_speaker_on_both_sides_is_no_leak_of_the_reference_split():
    clips = small(["sad"] * 3, ["s1"] * 3)
    split = Split(*(np.array([n]) for n in range(3)))
    check_split(clips, split, speakers_apart=False)
    with pytest.raises(LeakError, match="s1"):
        check_split(clips, split, speakers_apart=True)


# --- what cannot be split ---------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["random", "unseen-speakers"])
@pytest.mark.parametrize(
    ("emotions", "words"),
    [
        ([], "at least two emotions; here are only: none"),
        (["sad"] * 40, "at least two emotions; here are only: sad"),
        (["sad"] * 40 + ["happy"], "happy with 1 each; every emotion needs at least 2"),
        (["sad", "happy", "calm", "angry"] * 2, "Use fewer folds, or add clips|Add clips"),
    ],
)
def test_too_few_clips(protocol, emotions, words):
    clips = small(emotions, [f"s{n}" for n in range(len(emotions))])
    with pytest.raises(DataError, match=words):
        make_split(clips, protocol)


def test_clips_that_all_sound_the_same():
    clips = small(["sad", "happy"] * 30, audio=[1] * 60)
    with pytest.raises(DataError, match="Nothing is left to train on"):
        make_split(clips, "random")


def test_too_few_speakers():
    clips = small(["sad", "happy"] * 30)
    with pytest.raises(DataError, match="this corpus has 4 speakers"):
        make_split(clips, "unseen-speakers", folds=5)
    with pytest.raises(DataError, match="at least 2 folds"):
        make_split(clips, "unseen-speakers", folds=1)
    two = small(["sad", "happy"] * 30, ["anna", "anna", "ben", "ben"] * 15)
    with pytest.raises(DataError, match="1 speakers are left to train on; at least 2 are needed"):
        make_split(two, "unseen-speakers", folds=2)


def test_unknown_speakers():
    clips = small(["sad", "happy"] * 30, ["anna", "ben", ""] * 20)
    with pytest.raises(DataError, match=r"does not say who speaks.*add a column speaker"):
        make_split(clips, "unseen-speakers", folds=2)


@pytest.mark.parametrize("seed", range(12))
def test_a_corpus_without_names_of_speakers_trains_and_is_not_held_out(seed):
    parts = [small(["sad", "happy"] * 20) for _ in range(3)]
    parts[1]["speaker"] = ""
    clips = pd.concat(
        [each.assign(corpus=f"c{i}", channel="speech") for i, each in enumerate(parts)]
    )
    clips["audio"] = [str(i) for i in range(len(clips))]
    split = make_split(clips, "corpora", folds=3, fold=0, seed=seed)
    assert (clips["corpus"].iloc[split.train] == "c1").sum() == 40


@pytest.mark.parametrize("fold", [-1, 4, 99])
def test_a_fold_that_is_none(fold):
    with pytest.raises(DataError, match=f"no fold {fold}: 4 folds count from 0 to 3"):
        make_split(small(["sad", "happy"] * 30), "unseen-speakers", folds=4, fold=fold)


def test_an_unknown_protocol():
    with pytest.raises(DataError, match=r"Unknown protocol 'anything'\. Use one of: random, u"):
        make_split(small(["sad", "happy"] * 30), "anything")
