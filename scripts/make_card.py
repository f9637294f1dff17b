"""Write the shipped model's card again from its report and the other published reports.

Run it as ``python scripts/make_card.py``.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser.evaluation.rendering import model_card  # noqa: E402
from ser.evaluation.report import Report  # noqa: E402
from ser.models import bundle  # noqa: E402
from ser.utils.files import write_text  # noqa: E402

MODEL = PROJECT / "models" / "ravdess"


def card() -> str:
    """Return the card of the shipped model."""
    others = [Report.load(file) for file in sorted(PROJECT.glob("reports/*.json"))]
    return model_card(bundle.read_manifest(MODEL), Report.load(MODEL / "report.json"), others)


if __name__ == "__main__":
    write_text(MODEL / "MODEL_CARD.md", card())
