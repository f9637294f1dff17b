import hashlib

import numpy as np
import pandas as pd

from ser import audio
from ser.evaluation.sounds import nonspeech_sounds


def test_sounds_without_speech_come_at_many_levels():
    sounds = pd.DataFrame(nonspeech_sounds(), columns=["kind", "like", "samples"])
    assert {"white noise", "pink noise", "brown noise", "hum", "clicks", "tones"} <= set(
        sounds["kind"]
    )
    assert (sounds.groupby("kind").size() >= 6).all()
    levels = sounds[sounds["kind"] == "white noise"]["samples"].map(audio.level_dbfs)
    assert levels.min() < -80 and levels.max() > -5
    assert sounds["samples"].map(lambda s: np.abs(s).max()).max() <= 1


def test_a_seed_always_makes_the_same_sounds():
    def fingerprint(seed):
        every = b"".join(samples.tobytes() for _, _, samples in nonspeech_sounds(seed))
        return hashlib.sha256(every).hexdigest()

    assert fingerprint(1) == fingerprint(1) != fingerprint(2)
