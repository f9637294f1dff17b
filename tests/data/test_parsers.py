import pytest

from ser.data.parsers import parse_emodb, parse_ravdess
from ser.labels import EMOTIONS

NAME = "03-01-06-02-02-01-12"


@pytest.mark.parametrize("number", range(8))
def test_ravdess_emotions_have_their_codes(number):
    fields = parse_ravdess(f"03-02-{number + 1:02}-01-01-02-07")
    assert fields["emotion"] == EMOTIONS[number]
    assert (fields["channel"], fields["gender"], fields["repetition"]) == ("song", "male", "2")


@pytest.mark.parametrize(
    "name", ["03-01-01-01-01-01", f"{NAME}-01", "3-1-1-1-1-1-1", "٠٣" + NAME[2:]]
)
def test_other_names_are_not_ravdess(name):
    assert parse_ravdess(name) is None


def test_actors_above_24_are_another_corpus():
    assert parse_ravdess("03-01-05-01-01-01-25")["corpus"] == "ravdess-style"
    assert parse_ravdess("03-01-05-01-01-01-24")["corpus"] == "ravdess"


@pytest.mark.parametrize(
    ("letter", "emotion"),
    [("W", "angry"), ("E", "disgust"), ("A", "fearful"), ("F", "happy"), ("T", "sad"),
     ("N", "neutral")],
)  # fmt: skip
def test_emodb_letters_are_german(letter, emotion):
    assert parse_emodb(f"11a05{letter}c")["emotion"] == emotion


def test_own_voices_have_more_sentences_and_takes_and_no_gender():
    fields = parse_ravdess("03-01-05-01-99-17-90")
    assert (fields["statement"], fields["repetition"], fields["gender"]) == ("99", "17", "")
    assert (fields["corpus"], fields["speaker"]) == ("own voice", "voice 90")
    with pytest.raises(ValueError, match="impossible repetition 00"):
        parse_ravdess("03-01-05-01-01-00-90")
