import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ser.data.corpora import scan
from ser.data.manifests import MOST_CLIPS
from ser.errors import DataError
from ser.shards.manifest import Clip, count_shards, find_clips, read_shard, write_manifest
from ser.utils.files import sha256_of


def clips(count):
    return [Clip(f"/{i}.wav", emotion="happy", hash=str(i)) for i in range(count)]


def test_every_clip_is_in_one_shard_in_order(tmp_path):
    file = tmp_path / "clips.parquet"
    write_manifest(file, clips(8), size=3)
    assert count_shards(file) == (8, 3)
    shards = [read_shard(file, number)["path"].to_pylist() for number in range(3)]
    assert [len(shard) for shard in shards] == [3, 3, 2]
    assert [path for shard in shards for path in shard] == [clip.path for clip in clips(8)]
    with pytest.raises(DataError, match="damaged"):
        read_shard(file, 3)


def test_the_same_clips_give_the_same_bytes_and_others_do_not(tmp_path):
    names = ("a", "b", "other", "larger")
    files = {name: tmp_path / f"{name}.parquet" for name in names}
    write_manifest(files["a"], iter(clips(8)), size=3)
    write_manifest(files["b"], clips(8), size=3)
    write_manifest(files["other"], clips(9), size=3)
    write_manifest(files["larger"], clips(8), size=4)
    hashes = {name: sha256_of(file) for name, file in files.items()}
    assert hashes["a"] == hashes["b"]
    assert len(set(hashes.values())) == 3


def test_folders_files_and_manifests_are_found_in_a_fixed_order(tmp_path):
    for name in ("b/2.wav", "b/10.FLAC", "a/x/1.mp3", "c.ogg", "b/notes.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    found = list(find_clips([tmp_path / "in"]))
    places = [str(Path(clip.path).relative_to(tmp_path / "in")) for clip in found]
    assert places == ["c.ogg", "a/x/1.mp3", "b/10.FLAC", "b/2.wav"]
    assert list(find_clips([tmp_path / "in" / "b" / "2.wav"])) == [found[-1]]
    write_manifest(tmp_path / "m.parquet", found, size=2)
    assert list(find_clips([tmp_path / "m.parquet"])) == found


def test_a_manifest_made_by_someone_else_is_read(tmp_path):
    """Paths are relative to it, and text may have another type of Arrow."""
    table = pd.DataFrame([Clip("x/1.wav", emotion="sad"), Clip("/2.wav", speaker="7")])
    table.to_parquet(tmp_path / "theirs.parquet")
    first, second = find_clips([tmp_path / "theirs.parquet"])
    assert first == Clip(str(tmp_path / "x" / "1.wav"), emotion="sad")
    assert second == Clip("/2.wav", speaker="7")


def test_what_a_manifest_leaves_out_or_empty_is_not_known(tmp_path):
    (tmp_path / "1.wav").write_bytes(b"sound")
    table = pd.DataFrame({"path": ["1.wav", "2.wav"], "emotion": ["sad", None]})
    table.to_parquet(tmp_path / "few.parquet")
    first, second = find_clips([tmp_path / "few.parquet"])
    assert (first.emotion, second.emotion) == ("sad", "")
    assert first.hash.startswith("5-"), "the file says when it has changed"
    table.assign(offset=[None, 0.0], speaker=[None, "7"]).to_parquet(tmp_path / "few.parquet")
    assert [clip.speaker for clip in find_clips([tmp_path / "few.parquet"])] == ["", "7"]
    pd.DataFrame({"path": ["a\0b.wav"]}).to_parquet(tmp_path / "few.parquet")
    assert [clip.hash for clip in find_clips([tmp_path / "few.parquet"])] == [""]


def test_what_is_no_manifest_is_refused(tmp_path):
    table = pd.DataFrame([Clip("1.wav")])
    cases = {
        "no column path": table.drop(columns="path"),
        "begins 2.5 s into": table.assign(offset=2.5),
        "is not a manifest": table.assign(path=pd.Series([None], dtype="string")),
        "it is not a manifest": table.assign(offset="soon"),
    }
    for words, wrong in cases.items():
        wrong.to_parquet(tmp_path / "wrong.parquet")
        with pytest.raises(DataError, match=words.removeprefix("it ")):
            list(find_clips([tmp_path / "wrong.parquet"]))
    (tmp_path / "wrong.parquet").write_bytes(b"PAR1, and then nothing")
    with pytest.raises(DataError, match="cannot be read as a manifest"):
        list(find_clips([tmp_path / "wrong.parquet"]))


def test_a_small_manifest_that_stands_for_much_text_is_refused(tmp_path):
    write_manifest(tmp_path / "m.parquet", [Clip("x" * 5000 + ".wav", emotion="sad")] * 9, size=9)
    with pytest.raises(DataError, match="a text of 5004 bytes"):
        list(find_clips([tmp_path / "m.parquet"]))
    with pytest.raises(DataError, match="a text of 5004 bytes"):
        scan(tmp_path / "m.parquet")


def test_a_small_manifest_of_too_many_clips_is_refused_before_they_are_read(tmp_path):
    paths = pa.array(["a.wav"]).take(pa.array(np.zeros(MOST_CLIPS + 1, np.int8)))
    pq.write_table(pa.table({"path": paths, "emotion": paths}), tmp_path / "m.parquet")
    assert (tmp_path / "m.parquet").stat().st_size < 100_000
    with pytest.raises(DataError, match=f"more than the {MOST_CLIPS}.*--out"):
        scan(tmp_path / "m.parquet")


def test_a_manifest_whose_columns_have_no_names_of_utf8_is_refused(tmp_path):
    write_manifest(tmp_path / "m.parquet", [Clip("a.wav", emotion="sad")], size=1)
    content = (tmp_path / "m.parquet").read_bytes()
    (tmp_path / "m.parquet").write_bytes(content.replace(b"speaker", b"\xffpeaker"))
    with pytest.raises(DataError, match="cannot be read as a manifest"):
        list(find_clips([tmp_path / "m.parquet"]))
    with pytest.raises(DataError, match="cannot be read as a manifest"):
        scan(tmp_path / "m.parquet")


def test_places_without_clips_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no audio file"):
        list(find_clips([tmp_path]))
    with pytest.raises(DataError, match="does not exist"):
        list(find_clips([tmp_path / "nowhere"]))


def test_a_name_that_no_table_can_hold_is_named(tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    try:
        Path(os.fsdecode(name)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(DataError, match=r"caf.*not UTF-8.*Rename"):
        write_manifest(tmp_path / "m.parquet", find_clips([tmp_path]), size=2)
    assert not (tmp_path / "m.parquet").exists()
