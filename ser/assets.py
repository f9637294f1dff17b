"""Where what ships with the package lies: models, samples, reports, the app's first page.

In a checkout these are folders beside the package; a wheel carries copies of them inside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_assets"

ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
"""Folder that holds ``models``, ``reports``, ``data/samples``, ``Home.py`` and ``pages``."""
IS_CHECKOUT = ROOT != _INSTALLED
"""Whether the package runs from a checkout, whose folders are its user's to write in."""
MODELS = ROOT / "models"
DEFAULT_MODEL = MODELS / "everyday"
"""Answers wherever no other model is named: trained on several corpora, for people it has never
heard."""
RAVDESS_MODEL = MODELS / "ravdess"
"""Knows the 24 actors of RAVDESS, and hardly anybody else."""
ENCODER_WEIGHTS = MODELS / "whisper-tiny-en" / "encoder.npz"
ENCODER_ONNX = MODELS / "whisper-tiny-en" / "encoder.onnx"
REPORTS = ROOT / "reports"
SAMPLES = ROOT / "data" / "samples"
APP = ROOT / "Home.py"
ICON = ROOT / "docs" / "icon.png"
DEMO = ROOT / "docs" / "demo"
"""The page that runs a model in the browser, see `ser.models.web_export`."""
