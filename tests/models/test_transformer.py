"""Embeddings as features of scikit-learn's own classifiers."""

import pickle

import numpy as np
import pytest
import sklearn.base
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

import ser
from ser.errors import DataError
from tests.tiny import SAMPLES

FILES = sorted(SAMPLES.glob("*/03-01-0[35]*.flac"))  # happy and angry
EMOTIONS = [file.name[6:8] for file in FILES]
SPEAKERS = [file.parent.name for file in FILES]


def test_they_tell_emotions_apart_in_unseen_speakers_and_other_processes():
    classifier = make_pipeline(
        ser.EmbeddingTransformer(n_jobs=1), LogisticRegression(max_iter=1000)
    )
    shares = cross_val_score(
        classifier, FILES, EMOTIONS, groups=SPEAKERS, cv=GroupKFold(4), n_jobs=2
    )
    assert shares.mean() > 0.8


def test_a_copy_gives_the_same_whether_or_not_the_model_was_loaded():
    transformer = ser.EmbeddingTransformer(n_jobs=1)
    embeddings = transformer.fit_transform(FILES[:3])
    assert embeddings.shape == (3, transformer.transform([]).shape[1])
    for copy in (sklearn.base.clone(transformer), pickle.loads(pickle.dumps(transformer))):
        np.testing.assert_allclose(copy.transform(FILES[:3]), embeddings, atol=1e-5)


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"broken\.wav"):
        ser.EmbeddingTransformer(n_jobs=1).transform([FILES[0], tmp_path / "broken.wav"])
