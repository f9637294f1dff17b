"""Features in files: what is read is what was computed, whenever the computing was stopped."""

import numpy as np
import pytest

from ser.data import features
from ser.data.features import Features, StoredFeatures, StoredRows, store_features
from ser.errors import Stopped

SHAPES = {"frames": (3, 2), "summary": (4,)}
ITEMS = range(11)


def computed(items, **_):
    """Of every item something else, which half precision can hold."""
    numbers = np.asarray(items, np.float32)
    return {
        name: Features(
            numbers.reshape(-1, *[1] * len(shape)) + np.zeros(shape, np.float32),
            (numbers.reshape(-1, 1, *[1] * len(shape)) + 100 * np.ones((2, *shape))).astype(
                np.float16
            ),
        )
        for name, shape in SHAPES.items()
    }


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 4)


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_is_kept_is_what_was_computed(tmp_path):
    seen = []

    def compute(items, progress):
        progress("Computing", len(items), len(items))
        return computed(items)

    stored = store_features(
        tmp_path, ITEMS, compute, SHAPES, copies=2, progress=lambda *step: seen.append(step)
    )
    for name, each in computed(ITEMS).items():
        np.testing.assert_array_equal(stored[name].clean[:], each.clean)
        np.testing.assert_array_equal(stored[name].copies[:], each.copies)
        kinds = stored[name].clean[:].dtype, stored[name].copies[:].dtype
        assert kinds == (np.float32, np.float16)
    assert seen == [("Computing", done, 11) for done in (4, 8, 11)]


def test_a_stop_costs_only_what_was_being_computed(tmp_path):
    store_features(tmp_path / "whole", ITEMS, computed, SHAPES, copies=2)
    calls = []

    def stops(items, **_):
        calls.append(list(items))
        if len(calls) == 3:
            raise Stopped("Ctrl-C")
        return computed(items)

    with pytest.raises(Stopped):
        store_features(tmp_path / "stopped", ITEMS, stops, SHAPES, copies=2)
    # As a process that was killed while it wrote would leave it.
    with (tmp_path / "stopped" / "summary-copies.npy").open("ab") as file:
        file.write(b"half a cl")
    store_features(tmp_path / "stopped", ITEMS, stops, SHAPES, copies=2)
    assert calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], [8, 9, 10]]
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


@pytest.mark.parametrize(("items", "copies"), [(range(0), 2), (range(3), 0)])
def test_there_may_be_no_clips_or_no_copies(tmp_path, items, copies):
    def compute(some, **_):
        return {name: Features(f.clean, f.copies[:, :copies]) for name, f in computed(some).items()}

    stored = store_features(tmp_path, items, compute, SHAPES, copies=copies)
    assert stored["frames"].clean[:].shape == (len(items), 3, 2)
    assert stored["frames"].copies.shape == (len(items), copies, 3, 2)


def test_rows_of_several_files_read_as_one_array(tmp_path):
    every = computed(ITEMS)["frames"]
    parts = []
    for number, some in enumerate([slice(0, 5), slice(5, 5), slice(5, 11)]):
        pair = []
        for kind in ("clean", "copies"):
            file = tmp_path / f"{number}-{kind}.npy"
            np.save(file, getattr(every, kind)[some])
            pair.append(StoredRows.of(file))
        parts.append(StoredFeatures(*pair))
    stored = parts[0].joined(parts[1]).joined(parts[2])
    rng = np.random.default_rng(0)
    assert stored.clean.shape == every.clean.shape and len(stored.clean) == 11
    for _ in range(20):
        rows = rng.integers(0, 11, 7)
        np.testing.assert_array_equal(stored.clean[rows], every.clean[rows])
        which = rng.integers(0, 2, 7)
        np.testing.assert_array_equal(stored.copies[rows, which], every.copies[rows, which])
        np.testing.assert_array_equal(stored.copies[2:9, 1], every.copies[2:9, 1])
        kept = rng.random(11) < 0.5
        chosen, known = stored.select(kept), every.select(kept)
        np.testing.assert_array_equal(chosen.clean[:], known.clean)
        np.testing.assert_array_equal(chosen.copies[1:3], known.copies[1:3])
