import numpy as np
import pandas as pd
import pytest

from ser.data.inspection import inspect_corpus
from ser.errors import DataError, Stopped
from ser.training.label_errors import find_label_errors, out_of_sample_probabilities


@pytest.fixture(scope="module")
def clips(samples):
    return inspect_corpus(samples, n_jobs=1).clips


def test_labels_that_were_swapped_come_first(clips):
    rng = np.random.default_rng(5)
    wrong = clips.iloc[rng.choice(len(clips), 6, replace=False)]
    emotions = clips["emotion"].copy()
    emotions[wrong.index] = np.where(wrong["emotion"] == "angry", "sad", "angry")
    found = find_label_errors(clips.assign(emotion=emotions), n_jobs=1)
    assert len(found) == len(clips) and found["doubt"].is_monotonic_decreasing
    first = set(found["path"].head(len(clips) // 10))
    assert len(first & set(wrong["path"])) >= 5
    by_path = found.set_index("path").loc[wrong["path"]]
    assert (by_path["suggested"].to_numpy() == wrong["emotion"].to_numpy()).mean() > 0.6


def test_no_clip_is_judged_by_what_learned_from_it():
    """Labels without any sense cannot be told: who has learned a clip would know its label."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(400, 40)).astype(np.float32)
    y_true = rng.permutation(np.repeat(["a", "b"], 200))
    probabilities = out_of_sample_probabilities(embeddings, y_true)
    right = (probabilities.argmax(axis=1) == (y_true == "b")).mean()
    assert 0.4 < right < 0.6


def test_what_cannot_be_compared_is_said(clips):
    few = clips.groupby("emotion", observed=True).head(2)
    with pytest.raises(DataError, match="two emotions have 5 clips"):
        find_label_errors(few)


def test_it_can_be_stopped(clips):
    def stop(what, done, total):
        raise Stopped("Stopped.")

    with pytest.raises(Stopped):
        find_label_errors(clips.head(40), n_jobs=1, progress=stop)


def test_rare_emotions_are_left_out(clips):
    rare = pd.concat([clips[clips["emotion"] != "sad"], clips[clips["emotion"] == "sad"].head(3)])
    assert "sad" not in set(find_label_errors(rare, n_jobs=1)["emotion"])
