import numpy as np
import pytest

from ser.errors import BundleError
from ser.models.embedding import doubt, fit_space, read_space, write_space
from ser.models.recognizer import calibrated

LABELS = np.repeat([0, 1], 40)
SPEAKERS = np.tile(["a", "b"], 40)


def activations(rng, labels, speakers):
    """Forty numbers per clip: five tell the emotion, five the speaker, ten are dead."""
    found = rng.normal(size=(len(labels), 40)).astype(np.float32)
    found[:, :5] += 4 * labels[:, None]
    found[:, 5:10] += 9 * (speakers == "b")[:, None]
    found[:, 30:] = 0
    return found


@pytest.fixture
def space():
    rng = np.random.default_rng(0)
    return fit_space(
        activations(rng, LABELS, SPEAKERS),
        LABELS,
        SPEAKERS,
        copies=activations(rng, LABELS, SPEAKERS),
        validation=activations(rng, LABELS, SPEAKERS),
        count=3,
    )


def test_training_clips_are_at_no_distance_and_strangers_far(space):
    rng = np.random.default_rng(0)
    heard = activations(rng, LABELS, SPEAKERS)
    np.testing.assert_allclose(space.distances(space.coordinates(heard)), 0, atol=0.02)
    alike = activations(np.random.default_rng(7), LABELS, SPEAKERS)
    assert (space.distances(space.coordinates(alike)) < 1.5).all()
    assert np.median(space.distances(space.coordinates(alike))) < 1
    assert (space.distances(space.coordinates(alike + 20)) > 1.5).all()


def test_one_in_twenty_validation_clips_is_beyond_reach():
    rng = np.random.default_rng(0)
    heard, copies, others = (activations(rng, LABELS, SPEAKERS) for _ in range(3))
    space = fit_space(heard, LABELS, SPEAKERS, copies=copies, validation=others, count=3)
    assert (space.distances(space.coordinates(others)) > 1).sum() == 4


def test_the_distance_is_that_to_the_nearest_clip(space):
    places = space.coordinates(activations(np.random.default_rng(3), LABELS, SPEAKERS))
    points = space.points.astype(float)
    nearest = [np.linalg.norm(points - place, axis=1).min() / space.reach for place in places]
    np.testing.assert_allclose(space.distances(places), nearest, rtol=1e-5)


def test_a_clip_that_was_heard_is_near_from_then_on(space):
    strange = space.coordinates(activations(np.random.default_rng(5), LABELS, SPEAKERS) + 20)
    again = strange + 0.01 * space.reach
    before, after = space.distances(again), space.with_points(strange).distances(again)
    assert (after < 0.2).all()
    assert (before > 1.5).all()


def test_centres_say_the_emotion_whoever_speaks(space):
    assert np.isnan(space.centres[2]).all()
    rng = np.random.default_rng(9)
    truth = np.repeat([0, 1], 50)
    for speaker in ("a", "b"):
        places = space.coordinates(activations(rng, truth, np.full(100, speaker)))
        centred = (places - places.mean(axis=0))[:, None]
        nearest = np.linalg.norm(centred - space.centres[:2], axis=2).argmin(axis=1)
        assert (nearest == truth).mean() > 0.9


def test_confidence_falls_with_distance_and_the_answer_stays():
    logits = np.tile([2.0, 1.0, 0.0], (4, 1))
    found = calibrated(logits, np.array([0.1, 1.0, 1.5, 4.0]), 1.0)
    np.testing.assert_allclose(found[0], found[1])
    assert (np.diff(found.max(axis=1)[1:]) < 0).all()
    assert (found.argmax(axis=1) == 0).all()
    assert doubt(np.array([1.5]))[0] == pytest.approx(1.5**5)


def test_a_space_is_read_as_it_was_written(space, tmp_path):
    write_space(tmp_path / "space.npz", space)
    again = read_space(tmp_path / "space.npz", labels=3)
    for part in ("mean", "components", "points", "centres"):
        np.testing.assert_array_equal(getattr(again, part), getattr(space, part))
    assert again.reach == space.reach
    with pytest.raises(BundleError, match="centres have the shape"):
        read_space(tmp_path / "space.npz", labels=8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": np.zeros(3, np.float32)}, "mean have the shape"),
        ({"points": np.zeros((0, 1), np.float16)}, "points have the shape"),
        ({"components": np.full((40, 2), np.nan, np.float32)}, "centres have|points have"),
        ({"reach": np.array(0.0)}, "reach are not finite"),
        ({"reach": np.array("far")}, "cannot be read"),
        ({"mean": np.array([object()] * 40)}, "cannot be read"),
        ({"centres": None}, "cannot be read"),
        ({"points": np.full((2, 1), np.inf, np.float16)}, "points have"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(space, tmp_path, changes, words):
    parts = {k: getattr(space, k) for k in ("mean", "components", "points", "reach", "centres")}
    parts = {k: v for k, v in (parts | changes).items() if v is not None}
    np.savez(tmp_path / "space.npz", **parts)
    with pytest.raises(BundleError, match=words):
        read_space(tmp_path / "space.npz", labels=3)


def test_a_space_full_of_nothing_is_refused(space, tmp_path):
    parts = {k: getattr(space, k) for k in ("mean", "components", "reach", "centres")}
    np.savez_compressed(
        tmp_path / "space.npz", points=np.zeros((100_000, 600), np.float16), **parts
    )
    with pytest.raises(BundleError, match="unpacks to"):
        read_space(tmp_path / "space.npz", labels=3)
    (tmp_path / "space.npz").write_bytes(b"PK no archive")
    with pytest.raises(BundleError, match="cannot be read"):
        read_space(tmp_path / "space.npz", labels=3)
