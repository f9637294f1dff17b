"""From a recording to a clip: decoding, trimming, level, length; features and augmentation.

Internal: what is public is offered by `ser` itself.
"""

from ser.audio.clip import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    LEVEL_DBFS,
    SILENCE_PEAK,
    TRIM_DB,
    Clip,
    audio_hash,
    find_speech,
    level_dbfs,
    prepare_clip,
    to_level,
)
from ser.audio.decoding import (
    EXTENSIONS,
    SAMPLING_RATE,
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
    mono_samples,
    read_bytes,
    use_decoder,
)
from ser.audio.quality import check_recording, measure_signal

__all__ = [
    "CLIP_SAMPLES",
    "CLIP_SECONDS",
    "EXTENSIONS",
    "LEVEL_DBFS",
    "SAMPLING_RATE",
    "SILENCE_PEAK",
    "TRIM_DB",
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
    "check_recording",
    "find_speech",
    "level_dbfs",
    "load_audio",
    "measure_signal",
    "mono_samples",
    "prepare_clip",
    "read_bytes",
    "to_level",
    "use_decoder",
]
