"""Speech emotion recognition: from an audio file to an emotion, every step visible.

Heavy libraries (TensorFlow, librosa) are imported where they are used, so that ``import ser`` is
fast.
"""

__version__ = "0.1.0"
