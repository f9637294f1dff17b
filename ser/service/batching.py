"""Clips that are asked about at the same time are answered together, which costs less."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

from ser import audio
from ser.audio.features import Inputs
from ser.models.recognizer import Recognizer

_MOST = 32  # clips that are asked about at once

Row = dict[str, Any]
"""A row of a table of predictions, by the names of its columns."""


class _Question(NamedTuple):
    name: str
    clip: audio.Clip
    inputs: Inputs
    answer: Future[Row]


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
        self._waiting: deque[_Question] = deque()
        self._come = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def predict(self, samples: audio.Samples, name: str) -> Row:
        """Answer a recording as `ser.models.recognizer.Recognizer.predict` does, with its row.

        Raises
        ------
        AudioError
            If it cannot be used.
        """
        clip = audio.prepare_clip(samples)
        extractor = self.recognizer.extractor
        inputs = extractor.batch([extractor.extract(clip.samples)])
        question = _Question(name, clip, inputs, Future())
        with self._come:
            self._waiting.append(question)
            self._come.notify()
        return question.answer.result()

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
                for question, row in zip(some, self._rows(some), strict=True):
                    question.answer.set_result(row)
            except Exception as error:  # raised by whoever waits for it
                for question in some:
                    question.answer.set_exception(error)

    def _rows(self, some: list[_Question]) -> list[Row]:
        joined = {
            name: np.concatenate([question.inputs[name] for question in some])
            for name in some[0].inputs
        }
        table = self.recognizer.table(
            [question.name for question in some],
            [question.clip.start for question in some],
            [question.clip.end for question in some],
            *self.recognizer.answers(joined),
        )
        return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
