import numpy as np
import pandas as pd
import pytest

from ser.data import corpora, feature_cache, projections
from ser.errors import DataError, Stopped
from ser.labels import EMOTIONS
from tests.tiny import tiny_corpus


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """40 clips of three emotions."""
    folder = tiny_corpus(tmp_path_factory.mktemp("embedding") / "corpus")
    return corpora.inspect(corpora.scan(folder), n_jobs=1).clips


@pytest.fixture(scope="module")
def summary(clips):
    return projections.summarise(clips, n_jobs=1)


def test_a_clip_is_summed_up_by_mean_and_spread_of_its_rows(clips, summary):
    inputs = feature_cache.compute_features(clips["path"][:1].tolist())["features"].clean[0]
    rows = np.concatenate([inputs[:, :, 0], inputs[:, :, 1]])
    assert summary.statistics.shape == (len(clips), 128)
    np.testing.assert_allclose(summary.statistics[0, :64], rows.mean(axis=1), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(summary.statistics[0, 64:], rows.std(axis=1), rtol=1e-4, atol=1e-4)


def test_the_mean_of_an_emotion_is_that_of_its_clips_and_of_no_others(clips, summary):
    inputs = feature_cache.compute_features(clips["path"].tolist(), n_jobs=1)["features"].clean[
        ..., 0
    ]
    for i, emotion in enumerate(EMOTIONS):
        own = (clips["emotion"] == emotion).to_numpy()
        assert summary.counts[i] == own.sum()
        if own.any():
            np.testing.assert_allclose(
                summary.means[i], inputs[own].mean(axis=0), rtol=1e-4, atol=1e-3
            )
        else:
            assert np.isnan(summary.means[i]).all()


def test_it_is_computed_once_for_the_same_clips(clips, summary):
    def refuse(*_):
        raise AssertionError("computed again")

    again = projections.summarise(clips, progress=refuse)
    np.testing.assert_array_equal(again.statistics, summary.statistics)
    other = clips.assign(emotion="angry")
    assert projections.summarise(other, n_jobs=1).counts.sum() == len(clips)


def test_a_torn_entry_is_made_again(clips, summary, tmp_path):
    projections.summarise(clips, cache=tmp_path, n_jobs=1)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:-5000])
    again = projections.summarise(clips, cache=tmp_path, n_jobs=1)
    np.testing.assert_array_equal(again.statistics, summary.statistics)


def test_pca_parts_what_differs_most():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 20)
    # Two groups that differ in eight of ten rows, whatever their units.
    rows = rng.normal(0, 0.1, (40, 10)) + group[:, None] * np.array([1] * 8 + [0] * 2)
    points, shares = projections.pca((rows * 10 ** np.arange(10)).astype(np.float32))
    first = points[:, 0]
    assert max(first[group == 0]) < min(first[group == 1]) or min(first[group == 0]) > max(
        first[group == 1]
    )
    assert shares[0] > 0.6


def test_tsne_puts_like_beside_like_and_tells_how_far_it_is(clips):
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 20)
    rows = (rng.normal(0, 0.1, (40, 10)) + group[:, None]).astype(np.float32)
    told = []
    points = projections.tsne(clips.head(40), rows, progress=lambda *told_: told.append(told_))
    assert points.shape == (40, 2)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(40)
    assert (group[distances.argmin(axis=1)] == group).all()
    assert told[0] == ("Arranging clips", 0, 1000)
    assert told[-1] == ("Arranging clips", 1000, 1000)
    np.testing.assert_array_equal(projections.tsne(clips.head(40), rows), points)


def test_tsne_can_be_stopped(clips, tmp_path):
    def stop(what, done, total):
        raise Stopped("enough")

    rows = np.random.default_rng(0).normal(size=(len(clips), 8)).astype(np.float32)
    with pytest.raises(Stopped, match="enough"):
        projections.tsne(clips, rows, cache=tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_too_few_clips_make_no_map(clips):
    rows = np.ones((4, 8), np.float32)
    with pytest.raises(DataError, match="at least 5 clips that differ, and there are 1"):
        projections.pca(rows)
    with pytest.raises(DataError, match="at least 5 clips"):
        projections.tsne(clips.head(4), rows)
    with pytest.raises(DataError, match="and there are 1"):
        projections.pca(np.ones((9, 8), np.float32))


def test_of_many_clips_the_same_are_drawn_each_time():
    many = pd.DataFrame({"path": [f"{i:05}" for i in range(projections.SAMPLE + 500)]})
    drawn = projections.sample(many)
    assert len(drawn) == projections.SAMPLE
    assert drawn["path"].is_monotonic_increasing and drawn["path"].is_unique
    assert drawn.equals(projections.sample(many))
    assert len(projections.sample(many.head(10))) == 10


def test_the_nearest_clips_are_those_that_sound_alike():
    rng = np.random.default_rng(0)
    statistics = rng.normal(size=(12, 128)).astype(np.float32)
    statistics[7] = statistics[2] + 0.01
    near = projections.nearest(statistics, 2, count=5)
    assert near[0] == 7 and len(near) == 5 and 2 not in near
