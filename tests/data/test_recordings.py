import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser import audio
from ser.data import corpora
from ser.data.recordings import SENTENCES, TABLE, Voice
from ser.errors import DataError
from tests.tiny import SAMPLES

CLIPS = sorted((SAMPLES / "Actor_25").rglob("*.flac"))


@pytest.fixture
def voice(tmp_path):
    return Voice(tmp_path / "mine")


def packed(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_takes_are_a_corpus_like_any_other(voice):
    first = voice.add(CLIPS[0].read_bytes(), "angry", SENTENCES[1])
    second = voice.add(CLIPS[1], "angry", SENTENCES[1])
    third = voice.add(CLIPS[2], "calm", "my own sentence")
    assert [p.name for p in (first, second, third)] == [
        "03-01-05-01-02-01-90.wav",
        "03-01-05-01-02-02-90.wav",
        "03-01-02-01-99-01-90.wav",
    ]
    clips = corpora.inspect(corpora.scan(voice.folder)).clips.set_index("name")
    assert clips["emotion"].to_dict() == {
        first.name: "angry",
        second.name: "angry",
        third.name: "calm",
    }
    assert set(clips["speaker"]) == {"voice 90"} and set(clips["gender"]) == {""}
    assert clips.loc[first.name, "statement"] == SENTENCES[1]
    # Two people's recordings have the same names; only their sound may tell them apart.
    assert set(clips["clip_id"]) == {""}
    as_table = corpora.scan(voice.folder / TABLE).clips
    assert sorted(as_table["emotion"]) == ["angry", "angry", "calm"]
    assert (voice.recordings()["audio"].isin(clips["audio"])).all()


def test_a_take_is_kept_as_it_sounds(voice):
    kept = voice.add(CLIPS[0], "sad", SENTENCES[0])
    assert soundfile.info(kept).samplerate == 16_000
    difference = audio.load_audio(kept) - audio.load_audio(CLIPS[0])
    assert np.abs(difference).max() <= 1 / 32768
    row = voice.recordings().iloc[0]
    assert row["seconds"] == pytest.approx(soundfile.info(kept).duration, abs=0.01)
    assert row["level_dbfs"] == pytest.approx(audio.level_dbfs(audio.load_audio(kept)), abs=0.01)


@pytest.mark.parametrize(
    ("data", "emotion", "error", "words"),
    [
        (CLIPS[0].read_bytes(), "bored", DataError, "'bored' is none of the emotions"),
        (b"no audio", "sad", audio.AudioError, "not audio this program can decode"),
        ("silence", "sad", audio.SilentAudioError, "silent"),
        ("long", "sad", DataError, "lasts 31 s, and at most 30 s"),
    ],
)
def test_what_is_no_take_is_refused_and_leaves_nothing(voice, data, emotion, error, words):
    if data in ("silence", "long"):
        buffer = io.BytesIO()
        sound = np.zeros(32_000) if data == "silence" else np.tile([0.1, -0.1], 31 * 8_000)
        soundfile.write(buffer, sound, 16_000, format="WAV")
        data = buffer.getvalue()
    with pytest.raises(error, match=words):
        voice.add(data, emotion, SENTENCES[0])
    assert not voice.folder.exists()


def test_the_same_take_is_kept_once(voice):
    voice.add(CLIPS[0], "angry", SENTENCES[0])
    with pytest.raises(DataError, match=r"already there, as 03-01-05-01-01-01-90\.wav"):
        voice.add(CLIPS[0], "sad", SENTENCES[0])


@pytest.mark.parametrize("damage", ["missing", "garbage", "a line lost"])
def test_the_table_can_be_lost_without_losing_takes(voice, damage):
    voice.add(CLIPS[0], "angry", SENTENCES[0])
    voice.add(CLIPS[1], "sad", SENTENCES[0])
    before = voice.recordings().drop(columns="recorded")
    table = voice.folder / TABLE
    if damage == "missing":
        table.unlink()
    elif damage == "garbage":
        table.write_bytes(b"\x00\xff\xfe")
    else:
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    after = voice.recordings().drop(columns="recorded")
    pd.testing.assert_frame_equal(
        after.sort_values("path", ignore_index=True), before.sort_values("path", ignore_index=True)
    )


def test_takes_survive_export_and_import(voice, tmp_path):
    for clip, emotion in zip(CLIPS[:4], ("angry", "sad", "calm", "calm"), strict=True):
        voice.add(clip, emotion, SENTENCES[0])
    other = Voice(tmp_path / "other")
    added, refused = other.import_zip(voice.export())
    assert added == 4 and refused.empty
    columns = ["emotion", "statement", "seconds", "audio"]
    left, right = (
        v.recordings()[columns].sort_values(["audio"], ignore_index=True) for v in (voice, other)
    )
    pd.testing.assert_frame_equal(left, right)
    added, refused = other.import_zip(voice.export())
    assert added == 0 and len(refused) == 4 and "already there" in refused["reason"].iloc[0]


def test_a_folder_per_emotion_is_imported_and_what_is_no_clip_is_told(voice, tmp_path):
    for emotion, clip in zip(("happy", "Anger"), CLIPS, strict=False):
        (tmp_path / "own" / emotion).mkdir(parents=True)
        (tmp_path / "own" / emotion / "my clip.flac").write_bytes(clip.read_bytes())
    (tmp_path / "own" / "happy" / "notes.txt").write_text("hello")
    (tmp_path / "own" / "happy" / "broken.wav").write_text("hello")
    added, refused = voice.import_clips(tmp_path / "own")
    assert added == 2 and sorted(voice.recordings()["emotion"]) == ["angry", "happy"]
    assert set(voice.recordings()["statement"]) == {"my clip.flac"}, "what it was called is kept"
    reasons = dict(zip(refused["path"], refused["reason"], strict=True))
    assert reasons[str(tmp_path / "own" / "happy" / "notes.txt")] == "no audio file"
    assert "not audio" in reasons[str(tmp_path / "own" / "happy" / "broken.wav")]


def test_a_csv_is_imported(voice, tmp_path):
    (tmp_path / "a.flac").write_bytes(CLIPS[0].read_bytes())
    (tmp_path / "mine.csv").write_text("path,emotion\na.flac,fear\nb.flac,sad\n")
    added, refused = voice.import_clips(tmp_path / "mine.csv")
    assert added == 1 and voice.recordings()["emotion"].tolist() == ["fearful"]
    assert refused["reason"].tolist() == ["no such file"]


def test_a_damaged_archive_is_refused_in_words(voice, tmp_path):
    clip = CLIPS[0].read_bytes()
    whole = packed({f"{emotion}/{n}.flac": clip for emotion in ("sad", "angry") for n in range(2)})
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        # Half of the damage where the archive lists its entries, at its end.
        low = len(data) - 400 if rng.random() < 0.5 else 0
        for place in rng.integers(low, len(data), 8):
            data[place] = rng.integers(256)
        try:
            Voice(tmp_path / "other").import_zip(bytes(data))
        except DataError as error:
            assert str(error)


def test_a_hostile_archive_writes_nothing_outside_and_names_what_it_refuses(voice, tmp_path):
    clip = CLIPS[0].read_bytes()
    archive = packed(
        {
            "../../../evil/angry/../sad/../../escape.flac": clip,
            "/absolute/happy/a.flac": CLIPS[1].read_bytes(),
            "C:\\windows\\sad\\b.flac": CLIPS[2].read_bytes(),
            "sad/" + "x" * 300 + ".flac": CLIPS[3].read_bytes(),
            "sad/.hidden.flac": clip,
            "sad/program.exe": b"MZ",
        }
    )
    before = {p for p in tmp_path.rglob("*")}
    added, refused = voice.import_zip(archive)
    inside = {p for p in tmp_path.rglob("*")} - before
    assert all(p == voice.folder or voice.folder in p.parents for p in inside)
    assert added == 2 and sorted(voice.recordings()["emotion"]) == ["happy", "sad"]
    assert set(refused["path"]) == {
        "../../../evil/angry/../sad/../../escape.flac",
        "C:\\windows\\sad\\b.flac",
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK no zip", "cannot be read"),
        (packed({"readme.txt": b"hello"}), "The archive holds no clip"),
        (packed({f"sad/{i}.wav": b"" for i in range(2001)}), "2001 audio files"),
        (packed({"sad/a.wav": bytes(20 * 10**6 + 1)}), "more than a recording can have"),
    ],
)
def test_an_impossible_archive_gets_a_sentence(voice, data, words):
    with pytest.raises(DataError, match=words):
        voice.import_zip(data)
    assert not voice.folder.exists()


def test_deletion_leaves_nothing_behind_and_touches_nothing_else(voice):
    voice.add(CLIPS[0], "angry", SENTENCES[0])
    voice.add(CLIPS[1], "sad", SENTENCES[0])
    voice.remove("03-01-05-01-01-01-90.wav")
    assert voice.recordings()["emotion"].tolist() == ["sad"]
    assert voice.clear() == 1
    assert not voice.folder.exists()

    voice.add(CLIPS[0], "angry", SENTENCES[0])
    (voice.folder / "diary.txt").write_text("mine")
    assert voice.clear() == 1
    assert [p.name for p in voice.folder.iterdir()] == ["diary.txt"]


@pytest.mark.parametrize("name", ["../x.wav", "diary.txt", "03-01-05-01-01-01-90.wav"])
def test_only_takes_can_be_removed(voice, name):
    voice.folder.mkdir()
    (voice.folder / "diary.txt").write_text("mine")
    with pytest.raises(DataError, match="is not a recording"):
        voice.remove(name)
    assert (voice.folder / "diary.txt").exists()


def test_an_empty_voice_cannot_be_taken_along(voice):
    with pytest.raises(DataError, match="holds no recording"):
        voice.export()
    assert voice.recordings().empty and voice.clear() == 0


def test_a_file_that_is_no_audio_does_not_hide_the_takes(voice):
    kept = voice.add(CLIPS[0], "angry", SENTENCES[0])
    (voice.folder / "03-01-05-01-01-02-90.wav").write_text("no audio at all")
    assert voice.recordings()["path"].tolist() == [kept.name]
    voice.clear()
    assert not voice.folder.exists()


def test_a_take_listed_twice_counts_once(voice):
    voice.add(CLIPS[0], "angry", SENTENCES[0])
    table = voice.folder / TABLE
    table.write_text(table.read_text() + table.read_text().splitlines()[1] + "\n")
    assert len(voice.recordings()) == 1


def test_a_small_zip_does_not_fill_the_disk(voice):
    """745 kB made 760 MB: each file short enough, all together far more than speech packs to."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(30):
            archive.writestr(f"angry/{number}.wav", bytes(960_044))
    with pytest.raises(DataError, match="unpacks to more"):
        voice.import_zip(buffer.getvalue())
    assert voice.recordings().empty
