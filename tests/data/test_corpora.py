import os
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.data import corpora
from ser.errors import DataError
from ser.labels import EMOTIONS


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def beep(path, *, frequency=440, seconds=0.5, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(16_000 * seconds)) / 16_000
    sound = (8_000 * np.sin(2 * np.pi * frequency * t)).astype(np.int16)
    soundfile.write(path, sound, 16_000, **options)


def reasons(corpus, root):
    """Return {path inside the corpus: reason}."""
    relative = [os.path.relpath(path, root) for path in corpus.skipped["path"]]
    return dict(zip(relative, corpus.skipped["reason"], strict=True))


# --- RAVDESS ----------------------------------------------------------------------------------

NAME = "03-01-06-02-02-01-12"


def test_a_film_and_its_sound_are_one_recording(tmp_path):
    for name in (f"{NAME}.wav", f"01{NAME[2:]}.mp4"):
        touch(tmp_path / name)
    assert corpora.scan(tmp_path).clips["clip_id"].tolist() == [f"ravdess:{NAME}"] * 2


def test_a_folder_above_the_corpus_is_nobody(tmp_path):
    touch(tmp_path / "people" / "happy" / "a.wav")
    touch(tmp_path / "people" / "anna" / "happy" / "b.wav")
    places = ["people/happy/a.wav", "people/anna/happy/b.wav"]
    rows = [{"path": str(tmp_path / place)} for place in places]
    for location, speakers in (("people", ["", "anna"]), ("elsewhere/m.parquet", ["", ""])):
        clips = corpora.described(rows, tmp_path / location).clips
        assert clips["speaker"].tolist() == speakers


@pytest.mark.parametrize(
    "place",
    [f"Actor_12/{NAME}.wav", f"{NAME}.wav", f"a/b c/d/ę/{NAME}.wav", f"angry/{NAME}.WAV",
     f"x/{NAME}.Flac"],
)  # fmt: skip
def test_a_ravdess_clip_is_known_wherever_it_lies(tmp_path, place):
    touch(tmp_path / place)
    corpus = corpora.scan(tmp_path)
    assert list(corpus.clips.columns) == list(corpora.COLUMNS)
    assert corpus.clips.iloc[0].to_dict() == {
        "path": str(tmp_path / place),
        "name": os.path.basename(place),
        "clip_id": f"ravdess:{NAME}",
        "corpus": "ravdess",
        "emotion": "fearful",
        "speaker": "actor 12",
        "gender": "female",
        "channel": "speech",
        "modality": "audio",
        "intensity": "strong",
        "statement": "Dogs are sitting by the door",
        "repetition": "1",
    }
    assert corpus.skipped.empty


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("00-01-01-01-01-01-01", "modality 00"),
        ("04-01-01-01-01-01-01", "modality 04"),
        ("03-03-01-01-01-01-01", "channel 03"),
        ("03-01-00-01-01-01-01", "emotion 00"),
        ("03-01-09-01-01-01-01", "emotion 09"),
        ("03-01-02-03-01-01-01", "intensity 03"),
        ("03-01-01-02-01-01-01", "intensity 02: neutral is never strong"),
        ("03-01-02-01-03-01-01", "statement 03"),
        ("03-01-02-01-01-00-01", "repetition 00"),
        ("03-01-02-01-01-01-00", "actor 00"),
    ],
)
def test_an_impossible_field_is_named(tmp_path, name, field):
    touch(tmp_path / "happy" / f"{name}.wav", tmp_path / f"{NAME}.wav")
    corpus = corpora.scan(tmp_path)
    assert list(corpus.clips["name"]) == [f"{NAME}.wav"]
    assert f"impossible {field}" in reasons(corpus, tmp_path)[f"happy/{name}.wav"]


# --- other corpora ----------------------------------------------------------------------------


def test_emodb_names_are_read(tmp_path):
    touch(tmp_path / "wav" / "16b10Wb.wav", tmp_path / "wav" / "03a02La.wav")
    corpus = corpora.scan(tmp_path)
    row = corpus.clips.iloc[0]
    assert (row["emotion"], row["speaker"], row["gender"]) == ("angry", "emodb 16", "female")
    assert (row["corpus"], row["clip_id"]) == ("emodb", "emodb:16b10Wb")
    assert (row["channel"], row["statement"], row["repetition"]) == ("speech", "b10", "b")
    assert reasons(corpus, tmp_path) == {"wav/03a02La.wav": "boredom is none of the eight emotions"}


def test_a_folder_can_be_called_like_an_emotion(tmp_path):
    touch(
        tmp_path / "Anger" / "one.wav",
        tmp_path / "joy" / "two.mp3",
        tmp_path / "anna" / "sadness" / "three.ogg",
        tmp_path / "contempt" / "four.wav",
        tmp_path / "five.wav",
    )
    corpus = corpora.scan(tmp_path)
    rows = corpus.clips[["name", "emotion", "speaker", "corpus"]].to_numpy().tolist()
    assert rows == [
        ["one.wav", "angry", "", "folders"],
        ["three.ogg", "sad", "anna", "folders"],
        ["two.mp3", "happy", "", "folders"],
    ]
    left_out = "neither the name nor the folder says an emotion"
    assert reasons(corpus, tmp_path) == {"five.wav": left_out, "contempt/four.wav": left_out}


def test_parts_of_a_corpus_are_no_speakers(tmp_path):
    touch(*(tmp_path / part / "happy" / f"{part}.wav" for part in ("Train", "test", "anna")))
    clips = corpora.scan(tmp_path).clips
    assert dict(zip(clips["name"], clips["speaker"], strict=True)) == {
        "anna.wav": "anna",
        "Train.wav": "",
        "test.wav": "",
    }


# --- CSV --------------------------------------------------------------------------------------


def test_a_csv_file_lists_clips(tmp_path):
    elsewhere = tmp_path / "elsewhere" / "b.wav"
    touch(tmp_path / "data" / "a.wav", elsewhere)
    table = tmp_path / "data" / "table.csv"
    table.write_text(
        "path,emotion,speaker,mood\n"
        "a.wav,Anger,anna,x\n"
        f"{elsewhere},happy,,x\n"
        "a.wav,anger, anna ,x\n"
        "a.wav,bored,anna,x\n"
        "gone.wav,sad,anna,x\n"
        f"{'n' * 300}.wav,sad,anna,x\n"
    )
    corpus = corpora.scan(table)
    rows = corpus.clips[["path", "emotion", "speaker", "corpus"]].to_numpy().tolist()
    assert rows == [
        *[[str(tmp_path / "data" / "a.wav"), "angry", "anna", "table"]] * 2,
        [str(elsewhere), "happy", "", "table"],
    ]
    assert list(corpus.skipped["reason"]) == [
        "'bored' is none of the eight emotions",
        "no such file",
        "no such file",
    ]


def test_an_empty_cell_of_a_csv_says_nothing(tmp_path):
    touch(tmp_path / "a.wav")
    table = tmp_path / "table.csv"
    table.write_text("path,emotion,corpus,clip_id\na.wav,happy,,\n")
    (clip,) = corpora.scan(table).clips.to_dict("records")
    assert clip["corpus"] == "table"


def test_a_csv_of_a_spreadsheet_is_read(tmp_path):
    touch(tmp_path / "a.wav")
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbfpath,emotion,\r\na.wav,happy,\r\n")
    assert list(corpora.scan(tmp_path / "table.csv").clips["emotion"]) == ["happy"]


@pytest.mark.filterwarnings("ignore::pandas.errors.ParserWarning")
def test_commas_at_the_ends_of_lines_shift_nothing(tmp_path):
    touch(tmp_path / "a.wav")
    (tmp_path / "table.csv").write_text("path,emotion\na.wav,happy,\n")
    assert list(corpora.scan(tmp_path / "table.csv").clips["name"]) == ["a.wav"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file,emotion\na.wav,happy\n", "has no column path; it has: file, emotion"),
        (b"path,label\na.wav,happy\n", "has no column emotion; it has: path, label"),
        (b"path;emotion\na.wav;happy\n", "no column path and no column emotion"),
        (b"", "cannot be read as a CSV table"),
        (bytes(range(256)) * 9, "cannot be read as a CSV table"),
        ("path,emotion\nä.wav,happy\n".encode("utf-16"), "cannot be read as a CSV table"),
        (b"path,emotion\n", "holds no clip"),
        (b"path,emotion\ngone.wav,happy\n", "Left out: 1 × no such file"),
    ],
)
def test_a_csv_that_is_no_use_says_why(tmp_path, content, words):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        corpora.scan(tmp_path / "table.csv")
    assert "table.csv" in str(caught.value)


# --- what is left out -------------------------------------------------------------------------


def test_nothing_is_left_out_in_silence(tmp_path):
    touch(
        tmp_path / f"{NAME}.wav",
        tmp_path / f"._{NAME}.wav",
        tmp_path / ".DS_Store",
        tmp_path / ".git" / f"{NAME}.wav",
        tmp_path / "readme.txt",
        tmp_path / "noextension",
        tmp_path / "happy" / "x.wav",
        tmp_path / "happy" / ".wav",
        tmp_path / "03-01-09-01-01-01-01.wav",
    )
    with open(os.fsencode(tmp_path) + b"/happy/\xff.wav", "wb"):  # no UTF-8, as old disks have
        pass
    corpus = corpora.scan(tmp_path)
    on_disk = sum(len(names) for _, _, names in os.walk(tmp_path))
    assert len(corpus.clips) + len(corpus.skipped) == on_disk
    found = reasons(corpus, tmp_path)
    assert found[f"._{NAME}.wav"] == found[".DS_Store"] == "hidden file"
    assert found["readme.txt"] == found["noextension"] == "no audio file"
    assert found[r"happy/\udcff.wav"].startswith("name is not UTF-8")


def test_links_to_folders_are_listed_and_not_followed(tmp_path):
    touch(tmp_path / "corpus" / f"{NAME}.wav")
    (tmp_path / "corpus" / "loop").symlink_to(tmp_path / "corpus")
    corpus = corpora.scan(tmp_path / "corpus")
    assert len(corpus.clips) == 1
    assert reasons(corpus, tmp_path / "corpus") == {"loop": "link to a folder"}


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    touch(tmp_path / f"{NAME}.wav", tmp_path / "locked" / f"{NAME}.wav")
    listed = os.scandir

    def scandir(path):  # root may read every folder, so none can be locked for it
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    corpus = corpora.scan(tmp_path)
    assert reasons(corpus, tmp_path) == {"locked": "folder: Permission denied"}


def test_clips_are_sorted_by_file_name(tmp_path):
    names = ["03-01-02-01-01-01-09", "03-01-01-01-01-01-10", "03-02-01-01-01-01-01"]
    for folder, name in zip("abc", names, strict=True):
        touch(tmp_path / folder / f"{name}.wav")
    assert list(corpora.scan(tmp_path).clips["name"]) == sorted(f"{n}.wav" for n in names)


def test_several_corpora_are_one_table_in_their_order(tmp_path):
    for name in ("b/03a01Fa.wav", "a/x/03-01-05-01-01-01-12.wav", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    both = [tmp_path / "b", str(tmp_path / "a")]
    found = corpora.scan(both)
    assert found.clips["corpus"].tolist() == ["emodb", "ravdess"]
    assert found.skipped["path"].tolist() == [str(tmp_path / "a" / "notes.txt")]
    assert corpora.places(found.clips["path"], both) == [
        "b/03a01Fa.wav", "a/x/03-01-05-01-01-01-12.wav",
    ]  # fmt: skip
    moved = tmp_path / "elsewhere" / "b"
    before = corpora.fingerprint(found.clips.assign(audio=["1", "2"]), both)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "b").rename(moved)
    again = corpora.scan([moved, both[1]]).clips.assign(audio=["1", "2"])
    assert corpora.fingerprint(again, [moved, both[1]]) == before


def test_a_report_shows_no_path_to_files_outside_of_the_corpus(tmp_path):
    assert corpora.places(["/home/anna/secret/1.wav"], tmp_path) == ["1.wav"]


def test_places_without_clips_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    touch(tmp_path / "texts" / "a.txt", tmp_path / "clip.wav")
    with pytest.raises(DataError, match=r"empty holds no clip .*Clips need"):
        corpora.scan(tmp_path / "empty")
    with pytest.raises(DataError, match="Left out: 1 × no audio file"):
        corpora.scan(tmp_path / "texts")
    with pytest.raises(DataError, match=r"missing does not exist\. Check"):
        corpora.scan(tmp_path / "missing")
    with pytest.raises(DataError, match="does not exist"):
        corpora.scan(tmp_path / ("n" * 300))
    with pytest.raises(DataError, match=r"neither a folder nor a \.csv"):
        corpora.scan(tmp_path / "clip.wav")


def test_the_samples_are_a_corpus(samples):
    corpus = corpora.scan(samples)
    assert len(corpus.clips) == 120
    assert set(corpus.clips["emotion"]) == set(EMOTIONS)
    assert sorted(set(corpus.clips["speaker"])) == [f"actor {n}" for n in (25, 26, 27, 28)]
    assert set(corpus.clips["corpus"]) == {"ravdess-style"}


# --- inspect ----------------------------------------------------------------------------------


def test_inspect_measures_clips_and_moves_the_bad_ones(tmp_path, clips):
    shutil.copy(clips[0], tmp_path)
    (tmp_path / "03-01-02-01-01-01-01.wav").write_text("no sound")
    (tmp_path / "03-01-02-01-01-01-02.wav").touch()
    beep(tmp_path / "03-01-02-01-01-01-03.wav", seconds=0.01)
    soundfile.write(tmp_path / "03-01-02-01-01-01-04.wav", np.zeros(16_000), 16_000)
    (tmp_path / "03-01-02-01-01-01-05.wav").symlink_to(tmp_path / "gone.wav")
    found = corpora.scan(tmp_path)
    assert len(found.clips) == 6
    corpus = corpora.inspect(found, n_jobs=1)
    (row,) = corpus.clips.to_dict("records")
    assert row["name"] == clips[0].name
    assert row["seconds"] == pytest.approx(soundfile.info(clips[0]).duration)
    assert 0.5 < row["speech_seconds"] < row["seconds"]
    samples, _ = soundfile.read(clips[0])
    assert row["level_dbfs"] == pytest.approx(10 * np.log10(np.mean(samples**2)), abs=0.01)
    codes = [reason.split(":")[0] for reason in corpus.skipped["reason"]]
    assert codes == [
        "audio-unsupported", "audio-empty", "audio-too-short", "audio-silent", "audio-unreadable",
    ]  # fmt: skip
    assert len(corpus.clips) + len(corpus.skipped) == len(os.listdir(tmp_path))


def test_inspect_of_nothing_but_bad_clips_leaves_an_empty_table(tmp_path):
    touch(tmp_path / f"{NAME}.wav")
    corpus = corpora.inspect(corpora.scan(tmp_path), n_jobs=1)
    assert corpus.clips.empty
    assert {"emotion", "audio", "seconds"} <= set(corpus.clips.columns)
    again = corpora.inspect(corpora.Corpus(corpus.clips[list(corpora.COLUMNS)], corpus.skipped))
    assert {"emotion", "audio", "seconds"} <= set(again.clips.columns)


def test_the_same_sound_is_found_whatever_its_file(tmp_path):
    beep(tmp_path / "happy" / "a.wav", subtype="PCM_16")
    beep(tmp_path / "sad" / "b.flac", subtype="PCM_16")
    beep(tmp_path / "sad" / "c.wav", frequency=441)
    clips = corpora.inspect(corpora.scan(tmp_path), n_jobs=1).clips
    duplicated = corpora.duplicates(clips)
    assert list(duplicated["name"]) == ["a.wav", "b.flac"]
    assert corpora.duplicates(pd.DataFrame(clips.iloc[1:])).empty
