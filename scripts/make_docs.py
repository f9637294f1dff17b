"""Write again what is made of published reports and of the app's help.

That is the cards of the shipped models, the tables in ``docs/results.md``, and
``docs/glossary.md``.  Run it as ``python scripts/make_docs.py``, such as after a report was added
to ``reports``.
"""

import sys
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from ser.app.glossary import SECTIONS  # noqa: E402
from ser.evaluation.metrics import wilson_interval  # noqa: E402
from ser.evaluation.rendering import model_card  # noqa: E402
from ser.evaluation.report import Report  # noqa: E402
from ser.models import bundle  # noqa: E402
from ser.models.recognizer import SURE  # noqa: E402
from ser.utils.files import write_text  # noqa: E402

MODELS = [PROJECT / "models" / name for name in ("everyday", "ravdess")]
GLOSSARY = PROJECT / "docs" / "glossary.md"
RESULTS = PROJECT / "docs" / "results.md"
LEFT_OUT = ("corpora", "corpora-after-10")
"""Reports of every corpus, by a model that never heard it; and after ten unlabelled clips."""

_GLOSSARY_HEAD = """\
# Glossary

The words of the field as this project uses them. The app shows the same texts as help, from
`ser/app/glossary.py`; `scripts/make_docs.py` writes this page.
"""
_STRANGERS_HEAD = """\
| Left out | Clips | Eight answers | After ten unlabelled clips of the voice | Its own emotions possible | Sure | Sure answers right | Calibration error |
|---|---|---|---|---|---|---|---|
"""  # noqa: E501
_TABLE_HEAD = """\
| What was tested | Tested on | Test clips | Accuracy (95 % interval) | Weighted F1 | Average recall | Calibration error | Report |
|---|---|---|---|---|---|---|---|
"""  # noqa: E501


def published() -> dict[str, Report]:
    """Return the published reports by their path in the project."""
    files = sorted(PROJECT.glob("reports/*.json"))
    return {file.relative_to(PROJECT).as_posix(): Report.load(file) for file in files}


def card(model: Path) -> str:
    """Return the card of a shipped model, with the reports of models made like it."""
    own = Report.load(model / "report.json")
    alike = [r for r in published().values() if _listens(r) == (model.name == "everyday")]
    return model_card(bundle.read_manifest(model), own, alike)


def _listens(report: Report) -> bool:
    config = report.config or {}
    return report.model == "everyday" or bool(config.get("model", {}).get("encoder"))


def glossary() -> str:
    """Return the page of the field's words."""
    parts = [_GLOSSARY_HEAD]
    for title, terms in SECTIONS.items():
        words = [text.split(": ", maxsplit=1) for text in terms.values()]
        lines = [f"- **{word}**: {meaning}" for word, meaning in words]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def results() -> str:
    """Return the page of results with its tables as the reports have them now."""
    own = {f"models/{m.name}/report.json": Report.load(m / "report.json") for m in MODELS}
    named = {
        path: report.model_copy(update={"title": f"**Model {report.model}**, its own test clips"})
        for path, report in own.items()
    }
    everything = {**named, **published()}.items()
    ordered = sorted(everything, key=lambda pair: (pair[1].speakers.difficulty, pair[0]))
    tables = {
        "reports": _TABLE_HEAD + "".join(_row(path, report) for path, report in ordered),
        "strangers": strangers(),
    }
    page = RESULTS.read_text(encoding="utf-8")
    for name, table in tables.items():
        before, rest = page.split(f"<!-- {name} -->\n")
        _, after = rest.split(f"<!-- /{name} -->")
        page = f"{before}<!-- {name} -->\n{table}<!-- /{name} -->{after}"
    return page


def strangers() -> str:
    """Return the table of how each corpus is answered by a model that never heard it."""
    plain, after = (Report.load(PROJECT / "reports" / f"{name}.json") for name in LEFT_OUT)
    shares, clips, rows = {}, {}, ""
    for fold, heard in zip(plain.folds, after.folds, strict=True):
        own = plain.predictions[plain.predictions["fold"] == fold.fold]
        sure = own[own["verdict"] == SURE]
        n, right = len(own), int((sure["truth"] == sure["emotion"]).sum())
        clips[fold.corpus] = n
        shares[fold.corpus] = [fold.accuracy, heard.accuracy, _among_possible(own)]
        cells = [_with_interval(round(share * n), n) for share in shares[fold.corpus]]
        cells += [f"{100 * len(sure) / n:.0f} %", _with_interval(right, len(sure))]
        rows += f"| {fold.corpus} | {n} | {' | '.join(cells)} | {fold.ece:.3f} |\n"
    for words, corpora in (
        ("Mean of the six", list(shares)),
        ("Mean of the five without emospeech", [c for c in shares if c != "emospeech"]),
    ):
        total = sum(clips[corpus] for corpus in corpora)
        of_each = zip(*(shares[corpus] for corpus in corpora), strict=True)
        cells = [_mean([*each], [clips[c] for c in corpora]) for each in of_each]
        rows += f"| **{words}** | {total} | {' | '.join(cells)} | | | |\n"
    return _STRANGERS_HEAD + rows


def _among_possible(predictions: pd.DataFrame) -> float:
    """Return the accuracy if only emotions of this corpus could be answered."""
    possible = sorted(set(predictions["truth"]))
    return float((predictions[possible].idxmax(axis=1) == predictions["truth"]).mean())


def _with_interval(right: int, n: int) -> str:
    if not n:
        return "–"
    low, high = wilson_interval(right, n)
    return f"{100 * right / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _mean(shares: list[float], clips: list[int]) -> str:
    """Return a mean over corpora, with the interval that the clips of each leave (normal)."""
    spread = sum(p * (1 - p) / n for p, n in zip(shares, clips, strict=True)) ** 0.5 / len(shares)
    mean = sum(shares) / len(shares)
    low, high = mean - 1.96 * spread, mean + 1.96 * spread
    return f"**{100 * mean:.1f} %** ({100 * low:.1f} to {100 * high:.1f})"


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
    for each in MODELS:
        write_text(each / "MODEL_CARD.md", card(each))
    write_text(GLOSSARY, glossary())
    write_text(RESULTS, results())
