import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.data import corpora, inspection
from ser.data.corpora import NUMBERS
from ser.data.inspection import PENDING, read_inspection, update_inspection
from ser.errors import DataError, Stopped
from tests.tiny import tiny_corpus

MEASURES = [*NUMBERS, "audio"]


@pytest.fixture
def corpus(tmp_path):
    """15 clips, and a file that is none."""
    folder = tiny_corpus(tmp_path / "corpus", ("01", "04"))
    for clip in sorted(folder.iterdir())[15:]:
        clip.unlink()
    (folder / "notes.txt").write_text("no clip")
    return folder


def opened(location):
    """Update an index and return the names of the clips that were opened for it."""
    counts = []
    index = update_inspection(
        location, n_jobs=1, progress=lambda what, done, all: counts.append(done)
    )
    return counts[-1] - counts[0], index


def test_it_holds_what_inspect_finds(corpus):
    count, found = opened(corpus)
    assert count == 15
    expected = corpora.inspect(corpora.scan(corpus), n_jobs=1)
    assert list(found.clips.columns) == list(expected.clips.columns)
    for column in expected.clips:
        assert found.clips[column].tolist() == expected.clips[column].tolist(), column
    assert found.skipped.to_dict("records") == expected.skipped.to_dict("records")
    assert found.complete


@pytest.mark.parametrize("place", ["folder", "folder from here", "table from here"])
def test_a_corpus_is_as_if_every_clip_had_been_opened(corpus, monkeypatch, place):
    """To the last digit and type, and with the paths as they were given: splits hang on it."""
    location = corpus
    if place != "folder":
        monkeypatch.chdir(corpus.parent)
        location = corpus.relative_to(corpus.parent)
    if place == "table from here":
        clips = corpora.scan(corpus).clips[["path", "emotion", "speaker"]]
        outside = shutil.copy(clips["path"].iloc[0], corpus.parent / "outside.flac")
        paths = [str(outside), *(Path(path).name for path in clips["path"].iloc[1:])]
        clips.assign(path=paths).to_csv(corpus / "clips.csv", index=False)
        location = location / "clips.csv"
    expected = corpora.inspect(corpora.scan(location), n_jobs=1)
    for _ in range(2):  # opened now, and known from before
        found = inspection.inspect_corpus(location, n_jobs=1)
        pd.testing.assert_frame_equal(found.clips, expected.clips, check_exact=True)
        pd.testing.assert_frame_equal(found.skipped, expected.skipped)
        assert corpora.fingerprint(found.clips, location) == corpora.fingerprint(
            expected.clips, location
        )


def test_the_second_time_nothing_is_opened(corpus):
    _, first = opened(corpus)
    before = inspection.inspection_file(corpus).stat().st_mtime_ns
    count, second = opened(corpus)
    assert count == 0
    assert second.key == first.key
    assert (
        inspection.inspection_file(corpus).stat().st_mtime_ns == before
    )  # so that no page reads it again


def test_it_is_read_without_looking_at_the_corpus(corpus):
    _, found = opened(corpus)
    shutil.rmtree(corpus)
    kept = read_inspection(corpus)
    pd.testing.assert_frame_equal(kept.clips, found.clips)
    with pytest.raises(DataError, match="does not exist"):
        update_inspection(corpus)


def test_only_what_is_new_or_changed_is_opened(corpus):
    _, before = opened(corpus)
    first, second, third = sorted(corpus.glob("*.flac"))[:3]
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    soundfile.write(first, noise, 16_000)  # changed
    shutil.copy(second, corpus / "03-01-05-01-01-01-25.flac")  # new
    third.unlink()
    count, after = opened(corpus)
    assert count == 2
    assert after.key != before.key
    clips = after.clips.set_index("name")
    assert clips.loc[first.name, "seconds"] == 1.0
    assert "03-01-05-01-01-01-25.flac" in clips.index
    assert third.name not in clips.index
    assert len(clips) == 15


def test_what_cannot_be_used_is_told_and_tried_again(corpus):
    clip = sorted(corpus.glob("*.flac"))[0]
    content = clip.read_bytes()
    clip.write_bytes(b"")
    os.utime(clip, ns=(0, 0))
    _, found = opened(corpus)
    reasons = dict(zip(found.skipped["path"], found.skipped["reason"], strict=True))
    assert reasons[str(clip)].startswith("audio-empty: ")
    assert len(found.clips) == 14
    clip.write_bytes(content)
    count, found = opened(corpus)
    assert count == 1
    assert len(found.clips) == 15


def test_a_stopped_scan_goes_on_where_it_was(corpus, monkeypatch):
    monkeypatch.setattr(inspection, "_CHUNK", 4)

    def stop_at_9(what, done, total):
        assert total == 15
        if done == 9:
            raise Stopped

    with pytest.raises(Stopped):
        update_inspection(corpus, n_jobs=1, progress=stop_at_9)
    half = read_inspection(corpus)
    assert not half.complete
    assert len(half.clips) == 8
    assert (half.skipped["reason"] == PENDING).sum() == 7
    count, whole = opened(corpus)
    assert count == 7
    assert whole.complete and len(whole.clips) == 15


@pytest.mark.parametrize("harm", ["cut off", "other columns", "no text", "no numbers"])
def test_a_damaged_table_is_made_again(corpus, harm):
    opened(corpus)
    file = inspection.inspection_file(corpus)
    data = file.read_bytes()
    file.write_bytes(
        {
            "cut off": data[: len(data) // 2],
            "other columns": data.replace(b"mtime_ns", b"age", 1),
            "no text": b"\xff\xfe\x00",
            "no numbers": data.replace(b",speech,", b",speech,x,", 1),
        }[harm]
    )
    _, found = opened(corpus)
    assert found.complete and len(found.clips) == 15


def test_corpora_do_not_share_a_table(corpus, tmp_path, monkeypatch):
    other = tiny_corpus(tmp_path / "other", ("05",))
    opened(corpus)
    opened(other)
    assert set(read_inspection(corpus).clips["emotion"]) == {"neutral", "sad"}
    assert set(read_inspection(other).clips["emotion"]) == {"angry"}
    monkeypatch.chdir(tmp_path)
    assert read_inspection("other").key == read_inspection(other).key


def test_any_name_survives(tmp_path):
    folder = tmp_path / 'a "folder",\nwith a break' / "sad"
    folder.mkdir(parents=True)
    shutil.copy(tiny_corpus(tmp_path / "tiny", ("04",)) / "03-01-04-01-01-01-25.flac", folder)
    (folder / "03-01-04-01-01-01-25.flac").rename(folder / "NA.flac")
    _, found = opened(folder.parent)
    assert found.clips["name"].tolist() == ["NA.flac"]
    assert os.path.isfile(found.clips["path"][0])
    count, _ = opened(folder.parent)
    assert count == 0


def test_a_csv_corpus_may_name_a_clip_twice(corpus, tmp_path):
    clip = sorted(corpus.glob("*.flac"))[0]
    table = tmp_path / "clips.csv"
    table.write_text(f"path,emotion\n{clip},sad\n{clip},angry\n")
    opened(table)
    count, found = opened(table)
    assert count == 0
    assert found.clips["emotion"].tolist() == ["sad", "angry"]
