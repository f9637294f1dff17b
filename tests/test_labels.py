from itertools import combinations

import colour
import numpy as np
import pytest

from ser.labels import COLORS, EMOTIONS, emotion_of


def luminance(color):
    """Relative luminance of WCAG 2."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_order_is_that_of_the_ravdess_codes():
    assert EMOTIONS == (
        "neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised",
    )  # fmt: skip


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_has_a_colour_that_stands_out_on_light_and_dark_pages(emotion):
    assert contrast(COLORS[emotion], "#ffffff") >= 3
    assert contrast(COLORS[emotion], "#0e1117") >= 3


def test_no_two_emotions_share_a_colour():
    assert set(COLORS) == set(EMOTIONS)
    assert len(set(COLORS.values())) == len(EMOTIONS)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_knows_its_own_name(emotion):
    assert emotion_of(emotion) == emotion
    assert emotion_of(f" {emotion.upper()} ") == emotion


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("Anger", "angry"),
        ("fear", "fearful"),
        ("Happiness", "happy"),
        ("joy", "happy"),
        ("sadness", "sad"),
        ("disgusted", "disgust"),
        ("SURPRISE", "surprised"),
        ("calmness", "calm"),
        ("neutrality", "neutral"),
    ],
)
def test_other_names_are_understood(name, emotion):
    assert emotion_of(name) == emotion


@pytest.mark.parametrize("name", ["boredom", "", "happy birthday", "05", "contempt"])
def test_what_is_none_of_the_eight_is_nothing(name):
    assert emotion_of(name) is None


@pytest.mark.parametrize("sight", ["normal", "Protanomaly", "Deuteranomaly", "Tritanomaly"])
def test_no_two_colours_are_alike_whatever_the_sight(sight):
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLORS.values()])
    linear = colour.models.eotf_sRGB(rgb)
    if sight != "normal":
        seen = linear @ colour.blindness.matrix_cvd_Machado2009(sight, 1.0).T
        linear = np.clip(seen, 0, 1)
    lab = colour.XYZ_to_Lab(colour.RGB_to_XYZ(linear, "sRGB"))
    for (first, one), (second, other) in combinations(zip(COLORS, lab, strict=True), 2):
        apart = colour.difference.delta_E_CIE2000(one, other)
        assert apart >= 10, f"{first} and {second} are {apart:.1f} apart"
