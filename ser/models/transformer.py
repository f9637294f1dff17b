"""Embeddings of clips as features for whatever scikit-learn offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ser.assets import DEFAULT_MODEL
from ser.errors import DataError
from ser.models.recognizer import Recognizer
from ser.utils.extras import need

need("train", "sklearn")
from sklearn.base import BaseEstimator, TransformerMixin  # noqa: E402

_AT_ONCE = 500  # clips whose features are held in memory


class EmbeddingTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """Turn audio files into embeddings, as a step of a scikit-learn pipeline.

    An embedding says how a clip sounds in uncorrelated numbers of equal spread over the clips that
    the model was trained on, see `ser.models.embedding`.  A classifier on top of it needs few
    recordings, and may know other classes than the model does.

    Parameters
    ----------
    model : str or Path
        Folder of a model; by default ``everyday``, which ships.
    n_jobs : int
        See `ser.utils.parallel.map_items`.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from ser.assets import SAMPLES
    >>> files = sorted(SAMPLES.glob("Actor_25/03-01-0[35]*.flac"))
    >>> emotions = ["happy" if "03-01-03" in file.name else "angry" for file in files]
    >>> classifier = make_pipeline(EmbeddingTransformer(n_jobs=1), LogisticRegression())
    >>> unheard = [SAMPLES / "Actor_27" / "03-01-05-02-02-01-27.flac"]
    >>> classifier.fit(files, emotions).predict(unheard)
    array(['angry'], dtype='<U5')
    """

    def __init__(self, model: str | Path = DEFAULT_MODEL, *, n_jobs: int = -1) -> None:
        self.model = model
        self.n_jobs = n_jobs

    def fit(self, X: Sequence[str | Path], y: Any = None) -> Self:  # noqa: N803
        """Load the model, which learns nothing here.

        Parameters
        ----------
        X : sequence of str or Path
            Audio files; not read.
        y
            Ignored.

        Raises
        ------
        BundleError
            See `Recognizer.load`.
        """
        self._load()
        return self

    def transform(self, X: Sequence[str | Path]) -> npt.NDArray[np.float32]:  # noqa: N803
        """Return the embeddings of clips, shape (n, dimensions).

        Parameters
        ----------
        X : sequence of str or Path
            Audio files; of each the 3 s that hold most of its energy.

        Raises
        ------
        DataError
            If a file cannot be used, with the reason.
        """
        recognizer = self._load()
        found = []
        for first in range(0, len(X), _AT_ONCE):
            clips, inputs = recognizer.prepare(X[first : first + _AT_ONCE], n_jobs=self.n_jobs)
            if (bad := clips[clips["reason"] != ""]).size:
                raise DataError(f"{bad['path'].iloc[0]}: {bad['reason'].iloc[0]}")
            found.append(recognizer.logits_and_embeddings(inputs)[1])
        dimensions = recognizer.embedding.components.shape[1]
        return np.concatenate([*found, np.empty((0, dimensions), np.float32)])

    def __sklearn_is_fitted__(self) -> bool:
        """There is nothing to be fitted."""
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the loaded model: whoever gets a copy in another process loads it there."""
        return {name: value for name, value in super().__getstate__().items() if name != "_loaded"}

    def _load(self) -> Recognizer:
        loaded, recognizer = getattr(self, "_loaded", (None, None))
        if recognizer is None or loaded != self.model:
            recognizer = Recognizer.load(self.model)
            self._loaded = self.model, recognizer
        return recognizer
