"""Reports for people: a page that stands alone, and the model card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ser.evaluation.figures import as_table
from ser.evaluation.report import Report, on_unseen_speakers
from ser.models import bundle
from ser.models.bundle import Manifest
from ser.utils.extras import DRAWS, has, need
from ser.utils.files import write_text


class _Source(NamedTuple):
    """Where a corpus comes from, whom it lets be heard, and its licence."""

    source: str
    people: str
    licence: str


_SOURCES = {
    "ravdess": _Source(
        "Livingstone & Russo 2018, https://doi.org/10.5281/zenodo.1188976",
        "RAVDESS: 24 professional actors, 12 women and 12 men, who speak and sing two sentences of "
        "North American English in one studio",
        "CC BY-NC-SA 4.0",
    ),
    "crema-d": _Source(
        "Cao et al. 2014, https://doi.org/10.1109/TAFFC.2014.2336244",
        "CREMA-D: 91 actors of 20 to 74 years, twelve English sentences",
        "Open Database License 1.0",
    ),
    "emodb": _Source(
        "Burkhardt et al. 2005, http://emodb.bilderbar.info",
        "EMO-DB: 10 actors, ten German sentences",
        "free use with citation",
    ),
    "emovo": _Source(
        "Costantini et al. 2014, LREC, 3501-3504",
        "EMOVO: 6 actors, 14 Italian sentences",
        "free for research",
    ),
    "ased": _Source(
        "Retta et al. 2022, https://doi.org/10.1145/3529759",
        "ASED: 65 lay people who read Amharic sentences where they liked",
        "none stated; published by its authors for research",
    ),
    "emospeech": _Source(
        "Banga et al. 2019, https://arxiv.org/abs/1910.13801",
        "Indian EmoSpeech Command Dataset, a part: 42 lay people, six words, on their own phones "
        "and computers",
        "CC BY-NC-SA 4.0",
    ),
}


def write_all(folder: str | Path, report: Report, epochs: Sequence[dict[str, Any]]) -> None:
    """Write ``report.html``, ``MODEL_CARD.md`` and ``report.json`` (last).

    Where what draws charts is not installed (``ser[train]``), there is no ``report.html``.

    Parameters
    ----------
    folder : str or Path
        A bundle.
    report : Report
        Of its test.
    epochs : sequence of dict
        The run's epochs, for its curves.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    folder = Path(folder)
    if has(*DRAWS):
        write_text(folder / "report.html", to_html(report, epochs))
    write_text(folder / "MODEL_CARD.md", model_card(bundle.read_manifest(folder), report))
    report.save(folder / "report.json")


def to_html(report: Report, epochs: Sequence[dict[str, Any]]) -> str:
    """Return a report as a page that stands alone: no script, nothing loaded from elsewhere."""
    need("train", *DRAWS)
    from ser import plots

    conditions = report.conditions()
    return _render(
        "report.html",
        report=report,
        confusion=plots.to_svg(plots.confusion(report.confusion_matrix, report.labels)),
        reliability=plots.to_svg(
            plots.beside(
                plots.reliability(as_table(report.reliability)),
                plots.coverage(as_table(report.coverage)),
            )
        ),
        robustness=plots.to_svg(plots.robustness(conditions)) if len(conditions) else "",
        transfer=plots.to_svg(plots.transfer(as_table(report.transfer))) if report.transfer else "",
        curves=plots.to_svg(plots.curves(epochs)) if epochs else "",
        epochs=len(epochs),
        seconds=sum(e["seconds"] for e in epochs),
    )


def model_card(manifest: Manifest, report: Report, others: Iterable[Report] = ()) -> str:
    """Return the model card (Mitchell et al. 2019, *Model cards for model reporting*).

    Parameters
    ----------
    manifest : Manifest
        Of the bundle.
    report : Report
        Of its test.
    others : iterable of Report
        On other clips or protocols; the easiest are listed first.
    """
    config = manifest.training.get("config", {})
    if report.adaptation is not None:
        return _render(
            "ADAPTED_CARD.md",
            manifest=manifest,
            learned=manifest.training["adapted"],
            adaptation=report.adaptation,
        )
    others = sorted(others, key=lambda other: (other.speakers.difficulty, -other.accuracy))
    foreign = [row for row in report.rejection if not row.like_training]
    return _render(
        "MODEL_CARD.md",
        manifest=manifest,
        config=config,
        model=config.get("model", {}),
        r=report,
        others=others,
        unseen=on_unseen_speakers(others),
        # The least of them: others may have listened to the voices before.
        elsewhere=next((each for each in others[::-1] if each.protocol == "corpora"), None),
        sources=[_SOURCES[c] for c in manifest.training.get("corpora", ()) if c in _SOURCES],
        on_corpora=manifest.training.get("calibrated_on") == "unseen corpora",
        half=report.surer_half,
        unlike={key: sum(getattr(row, key) for row in foreign) for key in ("n", "sure")},
    )


def _render(template: str, **values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ser.evaluation"),
        autoescape=template.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return environment.get_template(template).render(**values)
