"""Clips that are asked about at the same time are answered together, which costs less."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio
from ser.audio.features import Inputs
from ser.models.recognizer import Recognizer

_MOST = 32  # clips that are asked about at once


class Batcher:
    """Answers clips for many threads with one network.

    Whoever comes while it is busy waits, and is then answered with all others who wait.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self.recognizer = recognizer
        self._waiting: deque[tuple[Inputs, Future[tuple[npt.NDArray[np.float64], float]]]] = deque()
        self._come = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def predict(self, samples: audio.Samples, name: str) -> pd.DataFrame:
        """Answer a recording as `ser.models.recognizer.Recognizer.predict` does.

        Raises
        ------
        AudioError
            If it cannot be used.
        """
        clip = audio.prepare_clip(samples)
        extractor = self.recognizer.extractor
        inputs = extractor.batch([extractor.extract(clip.samples)])
        found: Future[tuple[npt.NDArray[np.float64], float]] = Future()
        with self._come:
            self._waiting.append((inputs, found))
            self._come.notify()
        probabilities, distance = found.result()
        return self.recognizer.table(
            [name], [clip.start], [clip.end], probabilities[None], np.array([distance])
        )

    def close(self) -> None:
        """Answer whoever waits, then stop."""
        with self._come:
            self._ended = True
            self._come.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._come:
                self._come.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    return
                some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))]
            try:
                joined = {
                    name: np.concatenate([inputs[name] for inputs, _ in some])
                    for name in some[0][0]
                }
                probabilities, distances = self.recognizer.answers(joined)
                for i, (_, found) in enumerate(some):
                    found.set_result((probabilities[i], float(distances[i])))
            except Exception as error:  # raised by whoever waits for it
                for _, found in some:
                    found.set_exception(error)
