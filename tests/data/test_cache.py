import os

import pytest

from ser.data import cache


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An own cache with ten entries of 1000 bytes, the first used longest ago."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "own"))
    for i in range(10):
        entry = tmp_path / "own" / "features" / f"{i:02}" / "entry.npz"
        entry.parent.mkdir(parents=True)
        entry.write_bytes(bytes(1000))
        os.utime(entry, (1e9 + i, 1e9 + i))
    (tmp_path / "own" / "maps").mkdir()
    (tmp_path / "own" / "maps" / "map.npz").write_bytes(bytes(7))
    return tmp_path / "own"


def left(folder):
    return sorted(int(path.parent.name) for path in (folder / "features").rglob("*.npz"))


def test_the_cache_lies_where_the_environment_says(own, monkeypatch):
    assert cache.cache_folder("features") == own / "features"
    monkeypatch.delenv("SER_CACHE")
    assert cache.cache_folder().is_absolute()
    assert not cache.cache_folder().is_relative_to(own)


def test_what_is_in_it_is_counted(own):
    assert cache.usage() == {
        "features": (10, 10_000),
        "corpora": (0, 0),
        "maps": (1, 7),
        "answers": (0, 0),
    }


def test_what_was_used_longest_ago_goes_first(own):
    os.utime(own / "features" / "00" / "entry.npz")  # it was just read
    assert cache.prune(limit=4500) == 6000
    assert left(own) == [0, 7, 8, 9]
    assert (own / "maps" / "map.npz").exists()
    assert cache.prune(limit=4500) == 0


def test_everything_can_be_deleted(own):
    assert cache.clear() == 10_007
    assert cache.usage() == dict.fromkeys(cache.KINDS, (0, 0))
    assert cache.clear() == 0
