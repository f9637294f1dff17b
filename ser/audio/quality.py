"""What is wrong with a recording that can be used all the same."""

from __future__ import annotations

import numpy as np

from ser.audio.clip import find_speech, level_dbfs
from ser.audio.decoding import SAMPLING_RATE, Samples

_QUIET_DBFS, _CLIPPED_SHARE, _SHORT = -45.0, 1e-3, 0.7


def check_recording(samples: Samples) -> list[str]:
    """Say what is wrong with a recording that can be used all the same.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        As `ser.audio.load_audio` returns them.

    Returns
    -------
    list of str
        Sentences; empty for a good recording.

    Raises
    ------
    SilentAudioError
        If there is nothing to hear.

    Examples
    --------
    >>> check_recording(np.tile(np.float32([0.1, -0.1]), 16_000))
    []
    >>> check_recording(np.tile(np.float32([1, -1]), 16_000))
    ['It is too loud and clips: step back from the microphone, or turn it down.']
    """
    start, end = find_speech(samples)
    speech = samples[start:end]
    found = []
    if np.mean(np.abs(samples) >= 0.999) > _CLIPPED_SHARE:
        found.append("It is too loud and clips: step back from the microphone, or turn it down.")
    if level_dbfs(speech) < _QUIET_DBFS:
        found.append("It is very quiet: come closer to the microphone, or turn it up.")
    seconds = len(speech) / SAMPLING_RATE
    if seconds < _SHORT:
        found.append("It is very short: say the whole sentence.")
    return found
