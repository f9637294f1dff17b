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
    "neutral": "#898c8c",
    "calm": "#25849c",
    "happy": "#c88506",
    "sad": "#2296ff",
    "angry": "#af3b38",
    "fearful": "#843fdb",
    "disgust": "#637862",
    "surprised": "#ec396f",
}
"""One colour per emotion, used by every chart; each stands out 3:1 on white and on near-black.

Found by a random search for the palette whose most similar two colours are farthest apart in
CIEDE2000 to normal, protan, deutan and tritan eyes (simulated after Machado et al. 2009).
"""

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
