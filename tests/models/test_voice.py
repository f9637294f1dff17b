import numpy as np
import pytest

from ser.models.voice import Voice, means_of, without_chosen, without_each_other


def encoded(count, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "frames": rng.normal(size=(count, 4, 5, 1)).astype(np.float32),
        "summary": rng.normal(size=(count, 6)).astype(np.float32),
    }


TYPICAL = {"frames": np.full((4, 1, 1), 0.5, np.float32), "summary": np.ones(6, np.float32)}


def test_the_more_was_heard_the_more_of_a_voice_is_taken_off():
    clips = encoded(5)
    for count in (1, 5):
        some = {name: values[:count] for name, values in clips.items()}
        offset = Voice().heard(some).offset(TYPICAL)
        mean = some["frames"].mean(axis=(0, 2), keepdims=True)[0]
        np.testing.assert_allclose(offset["frames"], count / (count + 3) * (mean - 0.5), rtol=1e-5)
    nothing = Voice().offset(TYPICAL)
    assert all((values == 0).all() for values in nothing.values())


def test_clip_after_clip_is_the_same_as_all_at_once():
    clips = encoded(4)
    voice = Voice()
    for i in range(4):
        voice = voice.heard({name: values[i : i + 1] for name, values in clips.items()})
    at_once = Voice().heard(clips)
    assert voice.count == at_once.count == 4
    for name in clips:
        np.testing.assert_allclose(voice.sums[name], at_once.sums[name], rtol=1e-5)
    as_one = at_once.counting(1)
    assert as_one.count == 1
    np.testing.assert_allclose(
        as_one.offset(TYPICAL)["summary"], 0.25 * (clips["summary"].mean(axis=0) - 1), rtol=1e-4
    )


def test_others_are_those_chosen_and_never_the_clip_itself():
    clips = encoded(3)
    each = without_each_other(clips, TYPICAL)
    chosen = without_chosen(clips, TYPICAL, [np.array([1, 2]), np.array([0, 2]), np.array([0, 1])])
    for name in clips:
        np.testing.assert_allclose(each[name], chosen[name], rtol=1e-5, atol=1e-6)
    means = means_of(clips)["summary"]
    expected = clips["summary"][0] - 0.4 * (means[1:].mean(axis=0) - 1)
    np.testing.assert_allclose(each["summary"][0], expected, rtol=1e-5)
    alone = without_each_other(encoded(1), TYPICAL)
    np.testing.assert_array_equal(alone["summary"], encoded(1)["summary"])


def test_a_voice_from_a_file_is_checked():
    voice = Voice().heard(encoded(2))
    again = Voice.from_arrays(voice.to_arrays())
    assert again.count == 2
    np.testing.assert_array_equal(again.sums["summary"], voice.sums["summary"])
    assert Voice.from_arrays({}).count == 0
    for damage in ({"count": np.array(0)}, {"summary": np.full(6, np.nan)}):
        with pytest.raises(ValueError, match="voice"):
            Voice.from_arrays(voice.to_arrays() | damage)
