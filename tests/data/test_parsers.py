import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser.data import corpora, parsers, splits
from ser.data.parsers import load_parsers, parse_emodb, parse_ravdess, register_parser
from ser.errors import DataError
from ser.labels import EMOTIONS
from tests.tiny import SAMPLES

NAME = "03-01-06-02-02-01-12"


@pytest.mark.parametrize("number", range(8))
def test_ravdess_emotions_have_their_codes(number):
    fields = parse_ravdess(Path(f"03-02-{number + 1:02}-01-01-02-07"))
    assert fields["emotion"] == EMOTIONS[number]
    assert (fields["channel"], fields["gender"], fields["repetition"]) == ("song", "male", "2")


@pytest.mark.parametrize(
    "name", ["03-01-01-01-01-01", f"{NAME}-01", "3-1-1-1-1-1-1", "٠٣" + NAME[2:]]
)
def test_other_names_are_not_ravdess(name):
    assert parse_ravdess(Path(name)) is None


def test_actors_above_24_are_another_corpus():
    assert parse_ravdess(Path("03-01-05-01-01-01-25"))["corpus"] == "ravdess-style"
    assert parse_ravdess(Path("03-01-05-01-01-01-24"))["corpus"] == "ravdess"


@pytest.mark.parametrize(
    ("letter", "emotion"),
    [("W", "angry"), ("E", "disgust"), ("A", "fearful"), ("F", "happy"), ("T", "sad"),
     ("N", "neutral")],
)  # fmt: skip
def test_emodb_letters_are_german(letter, emotion):
    assert parse_emodb(Path(f"11a05{letter}c"))["emotion"] == emotion


def test_own_voices_have_more_sentences_and_takes_and_no_gender():
    fields = parse_ravdess(Path("03-01-05-01-99-17-90"))
    assert (fields["statement"], fields["repetition"], fields["gender"]) == ("99", "17", "")
    assert (fields["corpus"], fields["speaker"]) == ("own voice", "voice 90")
    with pytest.raises(ValueError, match="impossible repetition 00"):
        parse_ravdess(Path("03-01-05-01-01-00-90"))


# --- parsers of others ------------------------------------------------------------------------

CREMA_D = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "SAD": "sad"}


def parse_crema_d(path):
    match = re.fullmatch(r"(1[0-9]{3})_([A-Z]{3})_([A-Z]{3})_(XX|LO|MD|HI)", path.stem)
    if match is None:
        return None
    speaker, statement, emotion, intensity = match.groups()
    if emotion not in CREMA_D:
        raise ValueError(f"CREMA-D name with an impossible emotion {emotion}")
    return {
        "emotion": CREMA_D[emotion],
        "clip_id": f"crema-d:{path.stem}",
        "speaker": f"crema-d {speaker}",
        "statement": statement,
        "intensity": None if intensity == "XX" else intensity,
    }


@pytest.fixture
def crema_d(tmp_path):
    """Forty clips of four speakers with names as in CREMA-D."""
    clips = iter(sorted(SAMPLES.rglob("*.flac")))
    folder = tmp_path / "AudioWAV"
    folder.mkdir()
    for speaker in range(1001, 1005):
        for emotion in CREMA_D:
            for statement in ("DFA", "IEO"):
                name = f"{speaker}_{statement}_{emotion}_XX.flac"
                shutil.copy(next(clips), folder / name)
    return folder


def test_a_registered_parser_makes_a_corpus_to_split_and_to_open(crema_d):
    with pytest.raises(DataError, match=r"known corpus \(ravdess, emodb"):
        corpora.scan(crema_d)
    register_parser("crema-d")(parse_crema_d)
    (crema_d / "1001_DFA_XYZ_XX.flac").touch()
    corpus = corpora.inspect(corpora.scan(crema_d), n_jobs=1)
    assert corpus.skipped["reason"].tolist() == ["CREMA-D name with an impossible emotion XYZ"]
    assert len(corpus.clips) == 40 and (corpus.clips["seconds"] > 0).all()
    row = corpus.clips.iloc[0]
    assert row[["corpus", "emotion", "speaker", "statement", "intensity"]].tolist() == [
        "crema-d", "angry", "crema-d 1001", "DFA", "",
    ]  # fmt: skip
    assert row["clip_id"] == "crema-d:1001_DFA_ANG_XX"
    split = splits.make_split(corpus.clips, "unseen-speakers", folds=4)
    tested = set(corpus.clips["speaker"].iloc[split.test])
    assert len(tested) == 1 and not tested & set(corpus.clips["speaker"].iloc[split.train])


def test_a_cell_that_is_run_again_replaces_its_parser(tmp_path):
    (tmp_path / "x_1.wav").touch()
    register_parser("mine")(lambda path: {"emotion": "joy"})
    register_parser("mine")(lambda path: {"emotion": "sad", "speaker": path.parent.name})
    (row,) = corpora.scan(tmp_path).clips.to_dict("records")
    assert (row["emotion"], row["speaker"], row["clip_id"]) == ("sad", tmp_path.name, "")
    assert parsers.registered_parsers().count("mine") == 1


def test_the_parser_registered_last_is_asked_first(tmp_path):
    (tmp_path / "03a01Fa.wav").touch()
    register_parser("mine")(lambda path: {"emotion": "sad"})
    assert corpora.scan(tmp_path).clips["emotion"].tolist() == ["sad"]


def test_what_a_parser_may_not_say_is_named(tmp_path):
    (tmp_path / "a.wav").touch()
    register_parser("mine")(lambda path: {"emotion": "sad", "speeker": "anna"})
    with pytest.raises(DataError, match=r"parser of mine gives speeker.*speaker"):
        corpora.scan(tmp_path)
    register_parser("mine")(lambda path: {"emotion": "envy"})
    with pytest.raises(DataError, match="1 × 'envy' is none of the eight emotions"):
        corpora.scan(tmp_path)


def test_a_table_that_names_the_corpus_identifies_its_clips(tmp_path):
    (tmp_path / f"{NAME}.wav").touch()
    table = tmp_path / "table.csv"
    table.write_text(f"path,emotion,corpus\n{NAME}.wav,fear,ravdess\n{NAME}.wav,fear,mine\n")
    assert corpora.scan(table).clips["clip_id"].tolist() == [f"ravdess:{NAME}", ""]


def test_a_file_with_a_parser_is_run(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from ser.data.parsers import register_parser\n"
        "@register_parser('mine')\n"
        "def parse(path):\n"
        "    return {'emotion': path.stem.split('_')[1]}\n"
    )
    (tmp_path / "a_happy.wav").touch()
    load_parsers(file)
    assert corpora.scan(tmp_path).clips["corpus"].tolist() == ["mine"]
    file.write_text("import no_such_module\n")
    with pytest.raises(DataError, match=r"mine\.py cannot be run: .*no_such_module"):
        load_parsers(file)
    for name in ("gone.py", "notes.txt"):
        with pytest.raises(DataError, match=name):
            load_parsers(tmp_path / name)


def test_an_installed_package_brings_its_parser(tmp_path):
    (tmp_path / "mine.py").write_text("def parse(path):\n    return {'emotion': 'sad'}\n")
    about = tmp_path / "mine-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ser.parsers]\nmine-corpus = mine:parse\n")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").touch()

    def scan():
        code = "from ser.data import corpora; print(*corpora.scan('clips').clips['corpus'])"
        search = os.pathsep.join([str(tmp_path), str(SAMPLES.parent.parent)])
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": search},
            capture_output=True, text=True,
        )  # fmt: skip

    assert scan().stdout.strip() == "mine-corpus"
    (tmp_path / "mine.py").unlink()
    assert "The parser mine-corpus (mine:parse) cannot be loaded" in scan().stderr
