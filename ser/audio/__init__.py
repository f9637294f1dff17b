"""From a recording to a clip: decoding, trimming, level, length; features and augmentation."""

from ser.audio.clip import (
    SILENCE_PEAK,
    Clip,
    audio_hash,
    find_speech,
    level_dbfs,
    prepare_clip,
    to_level,
)
from ser.audio.decoding import (
    EXTENSIONS,
    AudioError,
    EmptyAudioError,
    NotFiniteAudioError,
    Samples,
    SilentAudioError,
    TooLargeAudioError,
    TooLongAudioError,
    TooShortAudioError,
    UnreadableAudioError,
    UnsupportedAudioError,
    load_audio,
    read_bytes,
)

__all__ = [
    "EXTENSIONS",
    "SILENCE_PEAK",
    "AudioError",
    "Clip",
    "EmptyAudioError",
    "NotFiniteAudioError",
    "Samples",
    "SilentAudioError",
    "TooLargeAudioError",
    "TooLongAudioError",
    "TooShortAudioError",
    "UnreadableAudioError",
    "UnsupportedAudioError",
    "audio_hash",
    "find_speech",
    "level_dbfs",
    "load_audio",
    "prepare_clip",
    "read_bytes",
    "to_level",
]
