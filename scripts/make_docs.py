"""Write again what is made of published reports and of the app's help.

That is the shipped model's card, the table in ``docs/results.md``, and ``docs/glossary.md``.  Run
it as ``python scripts/make_docs.py``, such as after a report was added to ``reports``.
"""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser.app.glossary import SECTIONS  # noqa: E402
from ser.evaluation.rendering import model_card  # noqa: E402
from ser.evaluation.report import Report  # noqa: E402
from ser.models import bundle  # noqa: E402
from ser.utils.files import write_text  # noqa: E402

MODEL = PROJECT / "models" / "ravdess"
CARD, GLOSSARY = MODEL / "MODEL_CARD.md", PROJECT / "docs" / "glossary.md"
RESULTS = PROJECT / "docs" / "results.md"

_GLOSSARY_HEAD = """\
# Glossary

The words of the field as this project uses them. The app shows the same texts as help, from
`ser/app/glossary.py`; `scripts/make_docs.py` writes this page.
"""
_TABLE_HEAD = """\
| What was tested | Tested on | Test clips | Accuracy (95 % interval) | Weighted F1 | Average recall | Calibration error | Report |
|---|---|---|---|---|---|---|---|
"""  # noqa: E501


def published() -> dict[str, Report]:
    """Return the published reports by their path in the project."""
    files = sorted(PROJECT.glob("reports/*.json"))
    return {file.relative_to(PROJECT).as_posix(): Report.load(file) for file in files}


def card() -> str:
    """Return the card of the shipped model."""
    own = Report.load(MODEL / "report.json")
    return model_card(bundle.read_manifest(MODEL), own, list(published().values()))


def glossary() -> str:
    """Return the page of the field's words."""
    parts = [_GLOSSARY_HEAD]
    for title, terms in SECTIONS.items():
        words = [text.split(": ", maxsplit=1) for text in terms.values()]
        lines = [f"- **{word}**: {meaning}" for word, meaning in words]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def results() -> str:
    """Return the page of results with its table as the reports have it now."""
    path = "models/ravdess/report.json"
    own = Report.load(PROJECT / path).model_copy(
        update={"title": "**Shipped model**, random split"}
    )
    others = sorted(published().items(), key=lambda pair: (pair[1].speakers.difficulty, pair[0]))
    rows = "".join(_row(path, report) for path, report in [(path, own), *others])
    table = f"<!-- reports -->\n{_TABLE_HEAD}{rows}<!-- /reports -->"
    page = RESULTS.read_text(encoding="utf-8")
    return re.sub(r"<!-- reports -->.*<!-- /reports -->", lambda _: table, page, flags=re.DOTALL)


def _row(path: str, report: Report) -> str:
    low, high = report.accuracy_interval
    cells = (
        report.title,
        report.speakers.words,
        str(report.n_test),
        f"{100 * report.accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})",
        f"{report.weighted_f1:.3f}",
        f"{100 * report.uar:.1f} %",
        f"{report.ece:.3f}",
        f"[report](../{path})",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    for file, make in ((CARD, card), (GLOSSARY, glossary), (RESULTS, results)):
        write_text(file, make())
