import numpy as np
import pytest

from ser.errors import BundleError
from ser.models.embedding import fit_embedding, ood_temperature, read_embedding, write_embedding
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
def embedding():
    rng = np.random.default_rng(0)
    return fit_embedding(
        activations(rng, LABELS, SPEAKERS),
        LABELS,
        SPEAKERS,
        copies=activations(rng, LABELS, SPEAKERS),
        validation=activations(rng, LABELS, SPEAKERS),
        count=3,
    )


def test_training_clips_are_at_no_distance_and_strangers_far(embedding):
    rng = np.random.default_rng(0)
    heard = activations(rng, LABELS, SPEAKERS)
    np.testing.assert_allclose(embedding.distances(embedding.transform(heard)), 0, atol=0.02)
    alike = activations(np.random.default_rng(7), LABELS, SPEAKERS)
    assert (embedding.distances(embedding.transform(alike)) < 1.5).all()
    assert np.median(embedding.distances(embedding.transform(alike))) < 1
    assert (embedding.distances(embedding.transform(alike + 20)) > 1.5).all()


def test_one_in_twenty_validation_clips_is_beyond_reach():
    rng = np.random.default_rng(0)
    heard, copies, others = (activations(rng, LABELS, SPEAKERS) for _ in range(3))
    embedding = fit_embedding(heard, LABELS, SPEAKERS, copies=copies, validation=others, count=3)
    assert (embedding.distances(embedding.transform(others)) > 1).sum() == 4


def test_the_distance_is_that_to_the_nearest_clip(embedding):
    embeddings = embedding.transform(activations(np.random.default_rng(3), LABELS, SPEAKERS))
    points = embedding.points.astype(float)
    nearest = [
        np.linalg.norm(points - place, axis=1).min() / embedding.threshold for place in embeddings
    ]
    np.testing.assert_allclose(embedding.distances(embeddings), nearest, rtol=1e-5)


def test_a_clip_that_was_learned_is_near_from_then_on(embedding):
    strange = embedding.transform(activations(np.random.default_rng(5), LABELS, SPEAKERS) + 20)
    again = strange + 0.01 * embedding.threshold
    before, after = embedding.distances(again), embedding.with_clips(strange).distances(again)
    assert (after < 0.2).all()
    assert (before > 1.5).all()


def test_class_means_say_the_emotion_whoever_speaks(embedding):
    assert np.isnan(embedding.class_means[2]).all()
    rng = np.random.default_rng(9)
    truth = np.repeat([0, 1], 50)
    for speaker in ("a", "b"):
        embeddings = embedding.transform(activations(rng, truth, np.full(100, speaker)))
        centred = (embeddings - embeddings.mean(axis=0))[:, None]
        nearest = np.linalg.norm(centred - embedding.class_means[:2], axis=2).argmin(axis=1)
        assert (nearest == truth).mean() > 0.9


def test_confidence_falls_with_distance_and_the_answer_stays():
    logits = np.tile([2.0, 1.0, 0.0], (4, 1))
    found = calibrated(logits, np.array([0.1, 1.0, 1.5, 4.0]), 1.0)
    np.testing.assert_allclose(found[0], found[1])
    assert (np.diff(found.max(axis=1)[1:]) < 0).all()
    assert (found.argmax(axis=1) == 0).all()
    assert ood_temperature(np.array([1.5]))[0] == pytest.approx(1.5**5)


def test_an_embedding_is_read_as_it_was_written(embedding, tmp_path):
    write_embedding(tmp_path / "embedding.npz", embedding)
    again = read_embedding(tmp_path / "embedding.npz", labels=3)
    for part in ("mean", "components", "points", "class_means"):
        np.testing.assert_array_equal(getattr(again, part), getattr(embedding, part))
    assert again.threshold == embedding.threshold
    with pytest.raises(BundleError, match="class_means have the shape"):
        read_embedding(tmp_path / "embedding.npz", labels=8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": np.zeros(3, np.float32)}, "mean have the shape"),
        ({"points": np.zeros((0, 1), np.float16)}, "points have the shape"),
        ({"components": np.full((40, 2), np.nan, np.float32)}, "class_means have|points have"),
        ({"threshold": np.array(0.0)}, "threshold are not finite"),
        ({"threshold": np.array("far")}, "cannot be read"),
        ({"mean": np.array([object()] * 40)}, "cannot be read"),
        ({"class_means": None}, "cannot be read"),
        ({"points": np.full((2, 1), np.inf, np.float16)}, "points have"),
    ],
)
def test_an_embedding_that_makes_no_sense_is_refused(embedding, tmp_path, changes, words):
    parts = {
        k: getattr(embedding, k)
        for k in ("mean", "components", "points", "threshold", "class_means")
    }
    parts = {k: v for k, v in (parts | changes).items() if v is not None}
    np.savez(tmp_path / "embedding.npz", **parts)
    with pytest.raises(BundleError, match=words):
        read_embedding(tmp_path / "embedding.npz", labels=3)


def test_an_embedding_full_of_nothing_is_refused(embedding, tmp_path):
    parts = {k: getattr(embedding, k) for k in ("mean", "components", "threshold", "class_means")}
    np.savez_compressed(
        tmp_path / "embedding.npz", points=np.zeros((100_000, 600), np.float16), **parts
    )
    with pytest.raises(BundleError, match="unpacks to"):
        read_embedding(tmp_path / "embedding.npz", labels=3)
    (tmp_path / "embedding.npz").write_bytes(b"PK no archive")
    with pytest.raises(BundleError, match="cannot be read"):
        read_embedding(tmp_path / "embedding.npz", labels=3)
