"""Write the shipped model's card again from its report and the other published reports.

Run it as ``python scripts/make_card.py``.
"""

import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser.evaluation import report  # noqa: E402
from ser.models import bundle  # noqa: E402
from ser.utils.files import write_text  # noqa: E402

MODEL = PROJECT / "models" / "ravdess"

OTHERS = {
    "quick": "the quick preset (one network) on the same split",
    "seed-7": "the same recipe on another random split (seed 7), run once",
    "seed-2024": "the same recipe on another random split (seed 2024), run once",
    "speakers-quick": "RAVDESS speech and song, every actor unseen once (5 folds, quick preset)",
    "speakers": "the same, preset for unseen speakers",
    "luna-jimenez": "RAVDESS speech, folds of Luna-Jiménez et al. 2021, preset for unseen speakers",
    "kfold-speech-quick": "RAVDESS speech, random 10-fold, the same actors heard (quick preset)",
    "kfold-speech": "the same, three networks and 60 epochs",
    "emodb": "this model on EMO-DB (German, other actors and studio), six shared emotions",
    "samples": "this model on the synthetic samples of this project",
}


def card() -> str:
    """Return the card of the shipped model."""
    own = report.read_report(MODEL)
    if own is None:
        raise SystemExit(f"{MODEL} has no report.")
    others: list[dict[str, Any]] = []
    for name, what in OTHERS.items():
        if not (PROJECT / "reports" / f"{name}.json").exists():
            continue
        found = report.read_report(PROJECT / "reports", f"{name}.json")
        if found is None:
            raise SystemExit(f"reports/{name}.json cannot be read. Make it again.")
        others.append(found | {"what": what})
    return report.model_card(bundle.read_manifest(MODEL), own, others)


if __name__ == "__main__":
    write_text(MODEL / "MODEL_CARD.md", card())
