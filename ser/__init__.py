"""Speech emotion recognition: from an audio file to an emotion, every step visible.

    model = ser.load()
    model.predict("clip.wav")

The names in ``__all__``, and the others that docs/api.md describes, are the public interface.
Everything else is internal and may change without notice.  Heavy libraries (TensorFlow, librosa,
pandas) are imported where they are used, so that ``import ser`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ser.labels import EMOTIONS

if TYPE_CHECKING:
    from ser.api import evaluate, load, train
    from ser.audio.features import FeatureExtractor
    from ser.data.parsers import register_parser
    from ser.evaluation.report import Report
    from ser.models.recognizer import Recognizer
    from ser.models.transformer import EmbeddingTransformer
    from ser.training.config import TrainingConfig

__version__ = "0.2.0"

__all__ = [
    "EMOTIONS",
    "EmbeddingTransformer",
    "FeatureExtractor",
    "Recognizer",
    "Report",
    "TrainingConfig",
    "evaluate",
    "load",
    "register_parser",
    "train",
]

_HOMES = {
    "EmbeddingTransformer": "ser.models.transformer",
    "FeatureExtractor": "ser.audio.features",
    "Recognizer": "ser.models.recognizer",
    "Report": "ser.evaluation.report",
    "TrainingConfig": "ser.training.config",
    "evaluate": "ser.api",
    "load": "ser.api",
    "register_parser": "ser.data.parsers",
    "train": "ser.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ser' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
