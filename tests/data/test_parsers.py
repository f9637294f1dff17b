import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser.data import corpora, known_corpora, parsers, splits
from ser.data.known_corpora import parse_emodb
from ser.data.parsers import load_parsers, register_parser
from ser.data.ravdess import parse_ravdess
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


# --- published corpora ------------------------------------------------------------------------

FIELDS = ("emotion", "clip_id", "speaker", "gender", "intensity", "statement", "repetition")
NAMES = {
    "ravdess": f"Actor_12/{NAME}.wav",
    "emodb": "wav/03a01Fa.wav",
    "crema-d": "AudioWAV/1001_DFA_ANG_XX.wav",
    "tess": "OAF_angry/OAF_back_angry.wav",
    "savee": "AudioData/DC/a01.wav",
    "emovo": "EMOVO/f1/dis-f1-b1.wav",
    "ased": "a5/a5-01-01-01-03.wav",
    "nemo": "samples/EB0_anger_1.wav",
    "urdu": "Angry/SM1_F10_A010.wav",
    "aesdd": "anger/a03 (4).wav",
    "esd": "0001/Angry/0001_000351.wav",
    "jl-corpus": "JL(wav+txt)/male2_happy_3b_2.wav",
    "meld": "train_splits/dia0_utt0.wav",
}


def test_no_corpus_claims_the_names_of_another():
    assert set(NAMES) == set(known_corpora.PARSERS)
    for owner, name in NAMES.items():
        claimed = []
        for corpus, parse in known_corpora.PARSERS.items():
            try:
                known = parse(Path(name)) is not None
            except ValueError:
                known = True
            claimed += [corpus] if known else []
        assert claimed == [owner], name


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("1001_DFA_ANG_XX.wav", "angry|crema-d:1001_DFA_ANG_XX|crema-d 1001|male||DFA|"),
        ("1091_IEO_SAD_LO.mp3", "sad|crema-d:1091_IEO_SAD_LO|crema-d 1091|female|low|IEO|"),
        ("1040_ITH_SAD_X.wav", "sad|crema-d:1040_ITH_SAD_XX|crema-d 1040|male||ITH|"),
        ("OAF_back_fear.wav", "fearful|tess:OAF_back_fear|tess OAF|female||back|"),
        ("YAF_dog_ps.wav", "surprised|tess:YAF_dog_ps|tess YAF|female||dog|"),
        ("OA_bite_neutral.wav", "neutral|tess:OAF_bite_neutral|tess OAF|female||bite|"),
        ("DC/sa01.wav", "sad|savee:DC_sa01|savee DC|male||sa01|"),
        ("ALL/KL_su15.wav", "surprised|savee:KL_su15|savee KL|male||su15|"),
        ("gio-f3-n5.wav", "happy|emovo:gio-f3-n5|emovo f3|female||n5|"),
        ("pau-m1-l4.wav", "fearful|emovo:pau-m1-l4|emovo m1|male||l4|"),
        ("f2-07-02-02-65.wav", "fearful|ased:f2-07-02-02-65|ased 65|male||f2-07|2"),
        ("S4-04-02-01-29.opus", "sad|ased:s4-04-02-01-29|ased 29|female||s4-04|2"),
        ("MP0_sadness_79.wav", "sad|nemo:MP0_sadness_79|nemo MP0|male||79|"),
        ("SF10_F1_H01.wav", "happy|urdu:SF10_F1_H01|urdu SF10|female|||"),
        ("SM4_F48_A0100.wav", "angry|urdu:SM4_F48_A0100|urdu SM4|male|||"),
        ("f18 (5)b.wav", "fearful|aesdd:f18 (5)b|aesdd 5|||18|b"),
        ("fear/f12 (01).wav", "fearful|aesdd:f12 (01)|aesdd 1|||12|"),
        ("0011/Neutral/0011_000350.wav", "neutral|esd:0011_000350|esd 0011|male||350|"),
        ("0020/Surprise/train/0020_001401.wav", "surprised|esd:0020_001401|esd 0020|male||1|"),
        ("male1_sad_15a_2.wav", "sad|jl-corpus:male1_sad_15a_2|jl-corpus male1|male||15|a_2"),
    ],
)  # fmt: skip
def test_names_of_published_corpora_are_read(name, fields):
    read = parsers.parse_name(Path(name))
    assert "|".join(read.get(field, "") for field in FIELDS) == fields
    assert read["channel"] == "speech" and read["clip_id"].startswith(f"{read['corpus']}:")


@pytest.mark.parametrize(
    "name",
    [
        "1092_DFA_ANG_XX", "1000_DFA_ANG_XX", "1001_DFA_XYZ_XX", "MAF_back_angry", "OAF_back_calm",
        "JB/a01", "a01", "gio-f4-n5", "gio-f3-b4", "a4-01-01-01-03", "n1-01-01-01-66",
        "XX0_anger_1", "EB0_calm_1", "SM1_F10_X010", "happy/a03 (4)", "a03(4)",
        "0001/0001_000351", "0001/Happy/0001_000351", "0001/Angry/0001_001751",
        "0021/Angry/0021_000351", "male3_sad_15a_2", "joy/dia0_utt0",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_published_name_is_none(name):
    assert parsers.parse_name(Path(f"{name}.wav")) is None


@pytest.mark.parametrize("emotion", ["excited", "anxious", "encouraging"])
def test_other_emotions_of_the_jl_corpus_are_left_out(tmp_path, emotion):
    for name in (f"female2_{emotion}_1a_1.wav", "female2_sad_1a_1.wav"):
        (tmp_path / name).touch()
    corpus = corpora.scan(tmp_path)
    assert corpus.clips["emotion"].tolist() == ["sad"]
    assert corpus.skipped["reason"].tolist() == [f"{emotion} is none of the eight emotions"]


MELD = "Sr No.,Utterance,Speaker,Emotion,Dialogue_ID,Utterance_ID\n"


def test_meld_is_looked_up_in_its_tables(tmp_path):
    train, test = tmp_path / "train_splits", tmp_path / "output_repeated_splits_test"
    for folder in (train, test):
        folder.mkdir()
        for name in ("dia0_utt0.wav", "dia0_utt1.wav"):
            (folder / name).touch()
    (test / "final_videos_testdia0_utt0.wav").touch()
    with pytest.raises(DataError, match=r"MELD names say no emotion: put t.*_sent_emo\.csv"):
        corpora.scan(tmp_path)
    (tmp_path / "train_sent_emo.csv").write_text(
        f'{MELD}1,"Oh, my",Phoebe,joy,0,0\n2,What?,Monica,surprise,0,1\n'
    )
    (tmp_path / "test_sent_emo.csv").write_text(f"{MELD}1,No.,Monica,fear,0,0\n")
    corpus = corpora.scan(tmp_path)
    rows = corpus.clips[["name", "corpus", "emotion", "speaker", "clip_id"]].to_numpy().tolist()
    assert rows == [
        ["dia0_utt0.wav", "meld", "happy", "meld Phoebe", "meld:train-0-0"],
        ["dia0_utt1.wav", "meld", "surprised", "meld Monica", "meld:train-0-1"],
        ["final_videos_testdia0_utt0.wav", "meld", "fearful", "meld Monica", "meld:test-0-0"],
    ]
    reasons = corpus.skipped.set_index("path")["reason"]
    assert "cut this clip anew" in reasons[str(test / "dia0_utt0.wav")]
    assert "does not list this clip" in reasons[str(test / "dia0_utt1.wav")]


def test_a_clip_of_meld_in_a_place_that_no_file_can_have_is_left_out(tmp_path):
    """A manifest may name it."""
    with pytest.raises(ValueError, match="train, dev or test"):
        parsers.parse_name(tmp_path / ("x" * 300) / "dia0_utt0.wav")


def test_a_meld_table_that_is_put_right_is_read_again(tmp_path):
    clip, table = tmp_path / "dev" / "dia7_utt3.wav", tmp_path / "dev_sent_emo.csv"
    clip.parent.mkdir()
    clip.touch()
    table.write_text("path,emotion\nx,y\n")
    with pytest.raises(ValueError, match=r"dev_sent_emo\.csv cannot be read"):
        parsers.parse_name(clip)
    table.write_text(f"{MELD}1,No.,Ross,anger,7,3\n")
    os.utime(table, (1, 1))
    assert parsers.parse_name(clip)["emotion"] == "angry"
    with pytest.raises(ValueError, match="folder whose name says train, dev or test"):
        parsers.parse_name(tmp_path / "latest" / "dia7_utt3.wav")


# --- parsers of others ------------------------------------------------------------------------

MOODS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "SAD": "sad"}


def parse_kitchen(path):
    match = re.fullmatch(r"cook([0-9])\.([A-Z]{3})\.([A-Z]{3})\.(quiet|loud)", path.stem)
    if match is None:
        return None
    speaker, statement, mood, intensity = match.groups()
    if mood not in MOODS:
        raise ValueError(f"kitchen name with an impossible mood {mood}")
    return {
        "emotion": MOODS[mood],
        "clip_id": f"kitchen:{path.stem}",
        "speaker": f"kitchen {speaker}",
        "statement": statement,
        "intensity": None if intensity == "quiet" else intensity,
    }


@pytest.fixture
def kitchen(tmp_path):
    """Forty clips of four speakers with names of no published corpus."""
    clips = iter(sorted(SAMPLES.rglob("*.flac")))
    folder = tmp_path / "kitchen"
    folder.mkdir()
    for speaker in range(1, 5):
        for mood in MOODS:
            for statement in ("EGG", "TEA"):
                name = f"cook{speaker}.{statement}.{mood}.quiet.flac"
                shutil.copy(next(clips), folder / name)
    return folder


def test_a_registered_parser_makes_a_corpus_to_split_and_to_open(kitchen):
    with pytest.raises(DataError, match=r"known corpus \(ravdess, emodb, crema-d"):
        corpora.scan(kitchen)
    register_parser("kitchen")(parse_kitchen)
    (kitchen / "cook1.EGG.XYZ.loud.flac").touch()
    corpus = corpora.inspect(corpora.scan(kitchen), n_jobs=1)
    assert corpus.skipped["reason"].tolist() == ["kitchen name with an impossible mood XYZ"]
    assert len(corpus.clips) == 40 and (corpus.clips["seconds"] > 0).all()
    row = corpus.clips.iloc[0]
    assert row[["corpus", "emotion", "speaker", "statement", "intensity"]].tolist() == [
        "kitchen", "angry", "kitchen 1", "EGG", "",
    ]  # fmt: skip
    assert row["clip_id"] == "kitchen:cook1.EGG.ANG.quiet"
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
    register_parser("mine")(lambda path: ("sad",))
    with pytest.raises(DataError, match=r"parser of mine gives \('sad',\)"):
        corpora.scan(tmp_path)
    register_parser("mine")(lambda path: {}[path.stem])
    with pytest.raises(DataError, match=r"parser of mine fails for .*a\.wav: KeyError"):
        corpora.scan(tmp_path)
    register_parser("mine")(lambda path: {"emotion": "envy"})
    with pytest.raises(DataError, match="1 × 'envy' is none of the eight emotions"):
        corpora.scan(tmp_path)


def test_a_table_that_names_the_corpus_identifies_its_clips(tmp_path):
    (tmp_path / f"{NAME}.wav").touch()
    (tmp_path / "ravdess.csv").write_text(f"path,emotion\n{NAME}.wav,fear\n")
    (row,) = corpora.scan(tmp_path / "ravdess.csv").clips.to_dict("records")
    assert (row["corpus"], row["clip_id"]) == ("ravdess", f"ravdess:{NAME}")
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
