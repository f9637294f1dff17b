"""The eight emotions: their order, their RAVDESS codes, their other names, their colours."""

from __future__ import annotations

EMOTIONS: tuple[str, ...] = (
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
)
"""The labels in the order of the RAVDESS codes 01 to 08; index 0 to 7 in every model's output."""

COLORS: dict[str, str] = {
    "neutral": "#7d8590",
    "calm": "#1f9488",
    "happy": "#c98500",
    "sad": "#4a7fd4",
    "angry": "#dc4437",
    "fearful": "#9a62dd",
    "disgust": "#6d8f1f",
    "surprised": "#d9539b",
}
"""One colour per emotion, used by every chart; each stands out 3:1 on white and on near-black."""

# Spellings found in other corpora and in people's own folders.
_OTHER_NAMES = {
    "anger": "angry",
    "mad": "angry",
    "fear": "fearful",
    "afraid": "fearful",
    "scared": "fearful",
    "anxiety": "fearful",
    "happiness": "happy",
    "joy": "happy",
    "joyful": "happy",
    "sadness": "sad",
    "disgusted": "disgust",
    "surprise": "surprised",
    "calmness": "calm",
    "neutrality": "neutral",
}


def emotion_of(name: str) -> str | None:
    """Return the emotion that a folder or table calls `name`, or None if it is none of the eight.

    Examples
    --------
    >>> emotion_of("Anger"), emotion_of("fearful"), emotion_of("boredom")
    ('angry', 'fearful', None)
    """
    word = name.strip().lower()
    word = _OTHER_NAMES.get(word, word)
    return word if word in EMOTIONS else None
