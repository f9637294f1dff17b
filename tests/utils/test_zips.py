import io
import zipfile

import pytest

from ser.errors import DataError, OutputError, Stopped
from ser.utils import zips
from ser.utils.zips import unpack


def packed(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer


def test_only_what_was_asked_for_is_unpacked_whatever_it_is_called(tmp_path):
    names = ["corpus/angry/a.wav", "../../out.WAV", "/etc/abs.wav", "c:\\x/b.wav"]
    names += ["readme.txt", "corpus/.hidden.wav", "__MACOSX/corpus/._a.wav"]
    told = []
    count = unpack(
        packed(**dict.fromkeys(names, b"sound")),
        tmp_path / "in" / "corpus",
        {".wav"},
        progress=lambda *step: told.append(step),
    )
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    inside = ["corpus/angry/a.wav", "out.WAV", "etc/abs.wav", "c__x/b.wav"]
    assert found == {f"in/corpus/{name}" for name in inside} and count == 4
    assert told[-1] == ("Unpacking", 3, 4)


@pytest.mark.parametrize("damage", ["no zip", "cut off", "changed", "nothing", "twice"])
def test_what_cannot_be_unpacked_leaves_nothing(tmp_path, damage):
    good = packed(**{"a.wav": bytes(range(256)) * 100, "b/c.wav": b"2"}).getvalue()
    middle = len(good) // 3
    data = {
        "no zip": b"RIFF of something else",
        "cut off": good[:-30],
        "changed": good[:middle] + b"?" * 40 + good[middle + 40 :],
        "nothing": packed(**{"a.txt": b"1"}).getvalue(),
        "twice": packed(**{"x/../a.wav": b"1", "x/a.wav": b"2"}).getvalue(),
    }[damage]
    with pytest.raises(DataError, match=r"archive"):
        unpack(io.BytesIO(data), tmp_path / "corpus", {".wav"})
    assert list(tmp_path.iterdir()) == []


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "LARGEST_FILE", 3_000_000)
    monkeypatch.setattr(zips, "MOST_BYTES", 5_000_000)
    for names in (["a.wav"], ["a.wav", "b.wav"]):
        size = 4_000_000 if len(names) == 1 else 2_900_000
        with pytest.raises(DataError, match="unpacks to more"):
            unpack(packed(**dict.fromkeys(names, bytes(size))), tmp_path / "corpus", {".wav"})
    monkeypatch.setattr(zips, "MOST_FILES", 1)
    with pytest.raises(DataError, match="2 files, more than 1"):
        unpack(packed(**dict.fromkeys(names, b"1")), tmp_path / "corpus", {".wav"})
    assert list(tmp_path.iterdir()) == []


def test_it_can_be_stopped_and_the_place_may_be_impossible(tmp_path):
    def stop(*_):
        raise Stopped("enough")

    with pytest.raises(Stopped):
        unpack(packed(**{"a.wav": b"1"}), tmp_path / "corpus", {".wav"}, progress=stop)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        unpack(packed(**{"a.wav": b"1"}), tmp_path / "file" / "corpus", {".wav"})
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
