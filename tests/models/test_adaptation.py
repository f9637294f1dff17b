from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from ser.models import adaptation
from ser.models.adaptation import Enrolment, fit_adaptation, fit_temperature, leave_one_out
from ser.models.embedding import fit_embedding

EMOTIONS = 4


def activations(rng, y_true, shift=0.0):
    """Thirty numbers per clip, of which two tell each emotion; a voice shifts ten others."""
    found = rng.normal(size=(len(y_true), 30)).astype(np.float32)
    for i, label in enumerate(y_true):
        found[i, 2 * label : 2 * label + 2] += 3
    found[:, 20:] += shift
    return found


@pytest.fixture(scope="module")
def embedding():
    rng = np.random.default_rng(0)
    y_true = np.tile(np.arange(EMOTIONS), 30)
    clips = [activations(rng, y_true, rng.normal(size=10)) for _ in range(3)]
    return fit_embedding(
        clips[0],
        y_true,
        np.full(len(y_true), "one"),
        copies=clips[1],
        validation=clips[2],
        count=EMOTIONS,
    )


def voice(embedding, each, seed, *, mixed_up=0.0, shift=3.0):
    """Return clips of a voice that the model names rightly but for a share that is mixed up."""
    rng = np.random.default_rng(seed)
    y_true = np.repeat(np.arange(EMOTIONS), each)
    named = np.where(
        rng.random(len(y_true)) < mixed_up, rng.integers(0, EMOTIONS, len(y_true)), y_true
    )
    logits = (
        2.0 * np.eye(EMOTIONS)[named] + 0.3 * rng.normal(size=(len(y_true), EMOTIONS))
    ).astype(np.float32)
    clips = pd.DataFrame({"emotion": [str(t) for t in y_true]})
    return Enrolment(clips, y_true, logits, embedding.transform(activations(rng, y_true, shift)))


def accuracy(logits, enrolment):
    return (logits.argmax(axis=1) == enrolment.y_true).mean()


def test_a_model_that_is_mostly_wrong_learns_from_five_takes(embedding):
    enrolment, others = voice(embedding, 5, 1, mixed_up=0.7), voice(embedding, 50, 2, mixed_up=0.7)
    assert accuracy(others.logits, others) < 0.6
    assert accuracy(fit_adaptation(embedding, enrolment).logits(others), others) > 0.85


def test_one_take_per_emotion_does_no_harm(embedding):
    for mixed_up in (0.0, 0.5):
        others = voice(embedding, 50, 3, mixed_up=mixed_up)
        after = [
            accuracy(
                fit_adaptation(embedding, voice(embedding, 1, seed, mixed_up=mixed_up)).logits(
                    others
                ),
                others,
            )
            for seed in range(10, 20)
        ]
        assert np.mean(after) >= accuracy(others.logits, others) - 0.01


@pytest.mark.parametrize("missing", range(EMOTIONS))
def test_an_emotion_without_a_take_keeps_working(embedding, missing):
    enrolment, others = voice(embedding, 5, 4, mixed_up=0.4), voice(embedding, 50, 5, mixed_up=0.4)
    answers = (
        fit_adaptation(embedding, enrolment[enrolment.y_true != missing])
        .logits(others)
        .argmax(axis=1)
    )
    before = others.logits.argmax(axis=1)
    mine = others.y_true == missing
    assert (answers[mine] == missing).mean() >= (before[mine] == missing).mean() - 0.05
    assert (answers[~mine] == others.y_true[~mine]).mean() > 0.75  # nor does it swamp the others


def test_a_label_of_which_nothing_is_known_is_neither_given_nor_taken_chances(embedding):
    from dataclasses import replace

    unknown = embedding.class_means.copy()
    unknown[3] = np.nan
    enrolment, others = voice(embedding, 5, 6), voice(embedding, 20, 7)
    found = fit_adaptation(
        replace(embedding, class_means=unknown), enrolment[enrolment.y_true != 3]
    )
    assert np.isfinite(found.logits(others)).all()


def test_the_same_takes_teach_the_same_in_any_order_of_calls(embedding):
    enrolment = voice(embedding, 3, 8, mixed_up=0.5)
    first, second = fit_adaptation(embedding, enrolment), fit_adaptation(embedding, enrolment)
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.bias, second.bias)
    assert first.logit_scale == second.logit_scale


def test_a_model_that_is_wrong_about_a_voice_is_trusted_less(embedding):
    right = fit_adaptation(embedding, voice(embedding, 5, 9)).logit_scale
    wrong = fit_adaptation(embedding, voice(embedding, 5, 9, mixed_up=1.0)).logit_scale
    assert wrong < 0.5 < 1 < right


def test_the_regression_is_that_of_scikit_learn():
    """Penalties are scales of the features, and the bias is one more feature."""
    rng = np.random.default_rng(0)
    x, y_true, weight = rng.normal(size=(40, 6)), np.arange(40) % 3, rng.uniform(0.5, 2, 40)
    x[:, 0] += y_true
    weights, bias = adaptation.fit_regression(x, np.zeros((40, 3)), y_true, weight)
    scaled = np.c_[
        x / np.sqrt(adaptation._WEIGHT_PENALTY), np.full(40, 1 / np.sqrt(adaptation._BIAS_PENALTY))
    ]
    theirs = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=10_000)
    theirs.fit(scaled, y_true, sample_weight=weight)
    ours = x @ weights + bias
    expected = theirs.decision_function(scaled)
    np.testing.assert_allclose(ours - ours[:, :1], expected - expected[:, :1], atol=0.05)


def test_what_is_learned_is_added_to_what_was_known():
    """Given logits that explain everything, there is nothing left to learn."""
    rng = np.random.default_rng(0)
    x, y_true = rng.normal(size=(30, 4)), np.arange(30) % 3
    weights, bias = adaptation.fit_regression(x, 50.0 * np.eye(3)[y_true], y_true, np.ones(30))
    assert np.abs(weights).max() < 1e-3
    assert np.abs(bias).max() < 1e-3


def test_a_take_left_out_is_answered_by_the_others_alone(embedding):
    enrolment = voice(embedding, 3, 11, mixed_up=0.5)
    recognizer = SimpleNamespace(embedding=embedding)
    logits, distances = leave_one_out(recognizer, enrolment)
    for i in (0, 5, 11):
        others = np.delete(np.arange(len(enrolment)), i)
        alone = enrolment[np.array([i])]
        np.testing.assert_allclose(
            logits[i], fit_adaptation(embedding, enrolment[others]).logits(alone)[0]
        )
        near = embedding.with_clips(enrolment.embeddings[others]).distances(alone.embeddings)
        np.testing.assert_allclose(distances[i], near[0])
    assert (distances > 0).all()


def test_of_many_takes_some_are_left_out_together_and_each_once(embedding):
    y_true = np.sort(np.random.default_rng(0).integers(0, 4, 300))
    folds = list(adaptation.leave_out(y_true))
    assert len(folds) == 64
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(300))


def test_the_temperature_stays_near_the_parents_when_takes_say_little():
    y_true = np.arange(4)
    right = 3.0 * np.eye(4)[y_true]
    assert fit_temperature(right, np.zeros(4), y_true, 1.5) == pytest.approx(1.5, rel=0.2)
    wrong = np.tile(right, (25, 1))
    assert fit_temperature(wrong, np.zeros(100), np.roll(np.tile(y_true, 25), 1), 1.5) > 5
