import numpy as np
import pytest
import soundfile

from ser.audio.endpointing import Endpointer
from tests.tiny import SAMPLES

CLIPS = sorted(SAMPLES.rglob("*-25.flac"))[:4]


def spoken(noise):
    """Return four sentences with pauses in a room, and where each of them lies."""
    parts, places, at = [np.zeros(24_000)], [], 1.5
    for clip in CLIPS:
        samples, _ = soundfile.read(clip)
        places.append((at, at + len(samples) / 16_000))
        parts += [samples, np.zeros(24_000)]
        at += len(samples) / 16_000 + 1.5
    sound = np.concatenate(parts)
    sound += noise * np.random.default_rng(0).normal(size=len(sound))
    return sound.astype(np.float32), places


@pytest.mark.parametrize("noise", [0.0, 1e-3], ids=["silent room", "noisy room"])
@pytest.mark.parametrize("size", [320, 1000, 16_000], ids="pieces of {}".format)
def test_every_sentence_is_found_once_and_whole(noise, size):
    sound, places = spoken(noise)
    ears, found = Endpointer(), []
    for start in range(0, len(sound), size):
        found += ears.push(sound[start : start + size])
    assert len(found) == len(places)
    for (start, end), (begin, last) in zip(found, places, strict=True):
        assert start <= begin + 0.35 and end >= last - 0.6
        assert begin - 0.7 <= start and end <= last + 0.9


def test_who_begins_too_early_is_heard_from_the_next_sentence_on():
    sound, places = spoken(1e-3)
    ears = Endpointer()
    found = ears.push(sound[round(places[0][0] * 16_000) :])
    assert len(found) >= len(places) - 1


def test_a_click_is_no_sentence():
    sound = np.zeros(64_000, np.float32)
    sound[32_000:32_800] = 0.5
    assert Endpointer().push(sound) == []


def test_who_does_not_pause_is_cut_after_a_while():
    sound = np.concatenate([np.zeros(16_000), np.tile([0.1, -0.1], 160_000)])
    ears = Endpointer()
    found = ears.push(sound.astype(np.float32))
    assert [round(end - start) for start, end in found] == [8, 8]


def test_who_stops_within_a_sentence_has_it_kept():
    sound, [(begin, _), *_] = spoken(0.0)
    ears = Endpointer()
    assert ears.push(sound[: round((begin + 1) * 16_000)]) == []
    assert ears.speaking
    start, end = ears.finish()
    assert start <= begin + 0.35
    assert begin + 0.7 <= end <= begin + 1
    assert ears.finish() is None
