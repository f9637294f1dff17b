"""Finding where phrases begin and end in sound as it arrives, by its level above the room's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ser.audio.clip import level_dbfs
from ser.audio.decoding import SAMPLING_RATE, Samples

ROOM_SECONDS = 1.0
"""So much sound in which nobody is taken to speak says how loud the room is."""

_BLOCK = SAMPLING_RATE // 50  # 20 ms
_ROOM_BLOCKS = round(ROOM_SECONDS * SAMPLING_RATE / _BLOCK)
_ABOVE_DB = 12.0  # what is so far above the room is speech
_LEAST_DBFS = -55.0  # and nothing below this is
_BEGIN_BLOCKS = 6  # .12 s: a click is shorter
_END_SECONDS = 0.8  # pauses within a sentence are shorter
_BEFORE, _AFTER = 0.3, 0.3  # seconds kept on both sides
_LONGEST = 8.0  # seconds: somebody talks on, or the room has become louder


@dataclass
class Endpointer:
    """Takes sound at 16 kHz in pieces, and says where the phrases in it are.

    Attributes
    ----------
    room_dbfs : float or None
        Level of the room; None before `ROOM_SECONDS` are heard.
    speaking : bool
        Whether a phrase has begun that has not ended.

    Examples
    --------
    >>> ears = Endpointer()
    >>> room, voice = np.full(16_000, 1e-4), np.tile([0.1, -0.1], 8_000)
    >>> for piece in (room, room, voice, room):
    ...     found = ears.push(piece.astype(np.float32))
    >>> [(round(start, 1), round(end, 1)) for start, end in found]
    [(1.7, 3.3)]
    """

    room_dbfs: float | None = None
    speaking: bool = False
    _rest: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    _room: deque[float] = field(default_factory=lambda: deque(maxlen=_ROOM_BLOCKS))
    _block: int = 0  # number of blocks heard
    _loud: int = 0  # how many of the last ones were loud, without a gap
    _begin: float = 0.0
    _last: float = 0.0  # end of the last loud block

    def push(self, samples: Samples) -> list[tuple[float, float]]:
        """Take the next piece of sound.

        Parameters
        ----------
        samples : ndarray of float32, shape (n,)

        Returns
        -------
        list of (float, float)
            Start and end, in seconds from the first sound, of each phrase that has ended in it.
        """
        sound = np.concatenate([self._rest, samples])
        count = len(sound) // _BLOCK
        self._rest = sound[count * _BLOCK :]
        ended = []
        for block in sound[: count * _BLOCK].reshape(count, _BLOCK):
            if phrase := self._hear(level_dbfs(block)):
                ended.append(phrase)
        return ended

    def _hear(self, level: float) -> tuple[float, float] | None:
        self._block += 1
        now = self._block * _BLOCK / SAMPLING_RATE
        if not self.speaking:
            self._room.append(level)
            if len(self._room) == _ROOM_BLOCKS:
                # Most of it may be somebody who began too early: the next pause sets it right.
                self.room_dbfs = float(np.quantile(self._room, 0.25))
        if self.room_dbfs is None:
            return None
        loud = level > max(self.room_dbfs + _ABOVE_DB, _LEAST_DBFS)
        self._loud = self._loud + 1 if loud else 0
        if not self.speaking and self._loud >= _BEGIN_BLOCKS:
            self.speaking = True
            self._begin = now - self._loud * _BLOCK / SAMPLING_RATE
        if self.speaking and loud:
            self._last = now
        if self.speaking and (now - self._last >= _END_SECONDS or now - self._begin >= _LONGEST):
            return self._phrase(now)
        return None

    def finish(self) -> tuple[float, float] | None:
        """Return the phrase that has begun, if there is one: no more sound comes."""
        return self._phrase(self._block * _BLOCK / SAMPLING_RATE) if self.speaking else None

    def _phrase(self, now: float) -> tuple[float, float]:
        self.speaking, self._loud = False, 0
        return max(self._begin - _BEFORE, 0.0), min(self._last + _AFTER, now)
