import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from ser import audio
from ser.audio.features import SPECTRAL, SpectralFeatures
from ser.audio.log_mel import LogMelFeatures
from ser.data import feature_cache
from ser.data.feature_cache import compute_features, save_features
from ser.errors import OutputError


@pytest.fixture
def paths(clips):
    return [str(clip) for clip in clips[::40]]


@pytest.fixture
def compute(tmp_path):
    """Compute features with one cache and in this process, unless told otherwise."""

    def compute(paths, **options):
        options = {"cache": tmp_path / "cache", "n_jobs": 1} | options
        return compute_features(paths, **options)["features"]

    return compute


@pytest.fixture
def only_read(monkeypatch):
    """From now on nothing may be computed."""

    def forbid():
        monkeypatch.setattr(feature_cache, "_compute", computed_again)

    return forbid


class ComputedAgainError(Exception):
    pass


def computed_again(*args):
    raise ComputedAgainError


def same(one, other):
    return np.array_equal(one.clean, other.clean) and np.array_equal(one.copies, other.copies)


def test_features_are_those_of_the_clips(compute, paths):
    found = compute(paths, copies=2)
    assert found.clean.shape == (3, 32, 94, 2)
    assert found.clean.dtype == np.float32
    assert found.copies.shape == (3, 2, 32, 94, 2)
    assert found.copies.dtype == np.float16
    assert np.isfinite(found.copies).all()
    for path, clean in zip(paths, found.clean, strict=True):
        clip = audio.prepare_clip(audio.load_audio(path))
        assert np.array_equal(clean, SPECTRAL.extract(clip.samples)["features"])


def test_no_clips_give_no_features(compute):
    found = compute([], copies=2)
    assert found.clean.shape == (0, 32, 94, 2)
    assert found.copies.shape == (0, 2, 32, 94, 2)


def test_the_second_call_reads_what_the_first_computed(compute, paths, only_read):
    first = compute(paths, copies=1)
    only_read()
    second = compute(paths, copies=1)
    assert same(first, second)
    assert (second.clean.dtype, second.copies.dtype) == (np.float32, np.float16)


def test_the_same_sound_elsewhere_is_read_too(compute, paths, only_read, tmp_path):
    first = compute(paths[:1])
    only_read()
    shutil.copy(paths[0], tmp_path / "renamed.flac")
    assert same(compute([str(tmp_path / "renamed.flac")]), first)


CHANGES = [
    {"top_db": 81.0},
    {"hop_length": 500},
    {"n_fft": 1024},
    {"n_mels": 33, "n_mfcc": 14},
    {"n_mels": 31, "n_contrast": 5},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_another_extractor_never_reads_an_old_entry(compute, paths, only_read, changes):
    compute(paths[:1])
    only_read()
    changed = SpectralFeatures(**changes)
    with pytest.raises(ComputedAgainError):
        compute(paths[:1], extractor=changed)


@pytest.mark.parametrize("options", [{"copies": 2}, {"copies": 0}, {"seed": 1}])
def test_other_copies_never_read_an_old_entry(compute, paths, only_read, options):
    compute(paths[:1], copies=1, seed=0)
    only_read()
    with pytest.raises(ComputedAgainError):
        compute(paths[:1], **{"copies": 1, "seed": 0} | options)


def test_a_changed_file_never_reads_an_old_entry(compute, paths, tmp_path):
    clip = tmp_path / "clip.flac"
    shutil.copy(paths[0], clip)
    before = compute([str(clip)])
    times = clip.stat()
    shutil.copy(paths[1], clip)
    os.utime(clip, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = compute([str(clip)])
    assert not np.array_equal(before.clean, after.clean)
    assert np.array_equal(after.clean, compute([paths[1]]).clean)


def flip(place):
    def damage(data):
        damaged = bytearray(data)
        damaged[place] ^= 4
        return bytes(damaged)

    return damage


DAMAGE = {
    "no bytes": lambda data: b"",
    "garbage": lambda data: b"garbage" * 99,
    "cut in half": lambda data: data[: len(data) // 2],
    "last byte missing": lambda data: data[:-1],
    "a bit in the samples": flip(10_000),
    "a bit in the copies": flip(30_000),
    "a bit in the length of NumPy's header": flip(67),
    "a bit in NumPy's header": flip(121),
    "a bit in the directory": flip(-110),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_torn_entry_is_made_again(compute, paths, only_read, tmp_path, name):
    first = compute(paths[:1], copies=1)
    (entry,) = (tmp_path / "cache").rglob("*.npz")
    good = entry.read_bytes()
    assert DAMAGE[name](good) != good
    entry.write_bytes(DAMAGE[name](good))
    assert same(compute(paths[:1], copies=1), first)
    only_read()
    assert same(compute(paths[:1], copies=1), first), "the entry is whole again"


def test_damage_anywhere_never_changes_a_feature(compute, paths, tmp_path, monkeypatch):
    first = compute(paths[:1], copies=1)
    (entry,) = (tmp_path / "cache").rglob("*.npz")
    good = entry.read_bytes()
    made = ({"features": first.clean[0]}, {"features": first.copies[0]})
    monkeypatch.setattr(feature_cache, "_compute", lambda *_: made)
    rng = np.random.default_rng(0)
    headers = [*range(60, 190), *range(len(good) - 150, len(good))]
    for place in [*headers, *rng.integers(0, len(good), 100)]:
        damaged = bytearray(good)
        damaged[place] ^= 1 << int(rng.integers(8))
        entry.write_bytes(damaged)
        assert same(compute(paths[:1], copies=1), first), f"byte {place}"


def test_the_order_of_clips_changes_no_copy(compute, paths, tmp_path):
    forth = compute(paths, copies=2, seed=5)
    back = compute(paths[::-1], copies=2, seed=5, cache=tmp_path / "other")
    assert np.array_equal(forth.copies, back.copies[::-1])
    alone = compute(paths[1:2], copies=2, seed=5, cache=tmp_path / "third")
    assert np.array_equal(forth.copies[1:2], alone.copies)


def test_copies_differ_from_each_other_and_between_seeds(compute, paths):
    found = compute(paths[:1], copies=2, seed=0)
    assert not np.array_equal(found.copies[0, 0], found.copies[0, 1])
    other = compute(paths[:1], copies=2, seed=1)
    assert not np.array_equal(found.copies, other.copies)
    assert np.array_equal(found.clean, other.clean)


def test_the_number_of_workers_changes_nothing(compute, clips, tmp_path):
    many = [str(clip) for clip in clips[:33]]  # enough to be spread over processes
    together = compute(many, copies=1, n_jobs=2)
    alone = compute(many[::11], copies=1, cache=tmp_path / "other")
    # A matrix product may differ in its last bits with the number of BLAS threads; half precision
    # makes that .03 in a coefficient of 60.
    np.testing.assert_allclose(together.clean[::11], alone.clean, atol=1e-3)
    np.testing.assert_allclose(together.copies[::11], alone.copies, atol=1e-3, rtol=1e-3)


def test_two_processes_may_write_the_same_entries(compute, paths, tmp_path):
    script = (
        "import sys, numpy, librosa\n"
        "from pathlib import Path\n"
        "from ser.data.feature_cache import compute_features\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "cache, result, *paths = sys.argv[1:]\n"
        "found = compute_features(paths, copies=1, cache=Path(cache), n_jobs=1)['features']\n"
        "numpy.savez(result, clean=found.clean, copies=found.copies)\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / "shared", tmp_path / f"{n}.npz", *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for n in range(2)
    ]
    for process in both:
        assert process.stdout.readline().strip() == b"ready"
    for process in both:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
        assert process.returncode == 0
    expected = compute(paths, copies=1)
    for n in range(2):
        with np.load(tmp_path / f"{n}.npz") as found:
            assert np.array_equal(found["clean"], expected.clean)
            assert np.array_equal(found["copies"], expected.copies)
    entries = [file for file in (tmp_path / "shared").rglob("*") if file.is_file()]
    assert len(entries) == len(paths), "one entry per clip and nothing left over"


def test_a_clip_that_cannot_be_used_is_named(compute, tmp_path):
    (tmp_path / "letter.wav").write_text("Dear grandmother,\n" * 9)
    with pytest.raises(audio.UnsupportedAudioError, match=r"letter\.wav"):
        compute([str(tmp_path / "letter.wav")])
    with pytest.raises(audio.UnreadableAudioError, match=r"gone\.wav does not exist"):
        compute([str(tmp_path / "gone.wav")])


def test_a_cache_that_cannot_be_written_is_named(compute, paths, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"Cannot write .*file"):
        compute(paths[:1], cache=tmp_path / "file")


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path, paths):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "own"))
    compute_features(paths[:1], n_jobs=1)
    assert len(list((tmp_path / "own" / "features").rglob("*.npz"))) == 1


def test_progress_is_told(compute, paths):
    told = []
    compute(paths, progress=lambda *what: told.append(what))
    assert told == [("Computing features", n, 3) for n in (1, 2, 3)]


def test_saved_features_come_back_without_pickle(compute, paths, tmp_path):
    found = compute(paths)
    save_features(
        tmp_path / "out" / "f.npz",
        {"features": found},
        ["sad", "fearful", "calm"],
        ["a", "bé", "c"],
    )
    with np.load(tmp_path / "out" / "f.npz", allow_pickle=False) as archive:
        assert sorted(archive) == ["emotions", "features", "names"]
        assert np.array_equal(archive["features"], found.clean)
        assert archive["emotions"].tolist() == ["sad", "fearful", "calm"]
        assert archive["names"].tolist() == ["a", "bé", "c"]


@pytest.mark.parametrize("name", ["f.npy", "f", "f.npz.gz"])
def test_another_ending_is_refused(compute, tmp_path, name):
    with pytest.raises(OutputError, match=r"must end in \.npz"):
        save_features(tmp_path / name, {"features": compute([])}, [], [])
    assert not (tmp_path / name).exists()


def test_other_backgrounds_of_the_same_names_are_heard(paths, tmp_path):
    rng = np.random.default_rng(0)
    found = []
    given = {"extractor": LogMelFeatures(), "cache": tmp_path / "cache", "n_jobs": 1, "copies": 8}
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        soundfile.write(folder / "street.wav", rng.uniform(-0.5, 0.5, 4 * 16_000), 16_000)
        for _ in range(2):
            found += compute_features(paths[:1], backgrounds=str(folder), **given).values()
    one, again, other, _ = found
    assert same(one, again)
    assert np.array_equal(one.clean, other.clean)
    assert not np.array_equal(one.copies, other.copies)
