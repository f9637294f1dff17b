import numpy as np
import pytest

from ser.audio import check_recording


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (np.tile([0.001, -0.001], 16_000), "very quiet"),
        (np.tile([0.1, -0.1], 4_000), "very short"),
        (np.clip(np.tile([2.0, -0.5], 16_000), -1, 1), "too loud and clips"),
    ],
)
def test_what_is_wrong_with_a_recording_is_told(sound, words):
    (found,) = check_recording(sound.astype(np.float32))
    assert words in found
