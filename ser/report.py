"""Reports: figures as JSON, the same as a page that people can read, and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ser import bundle, charts, evaluation, robustness
from ser.bundle import Manifest
from ser.errors import DataError
from ser.files import read_json, write_json, write_text
from ser.parallel import Progress
from ser.recognizer import SURE, Recognizer

PROTOCOL_WORDS = {
    "reference": (
        "a random fifth of the clips, stratified by emotion; the same speakers are heard in "
        "training and test"
    ),
    "speakers": "clips of speakers who were never heard in training",
    "luna-jimenez": (
        "speech of actors who were never heard in training, in the five folds of Luna-Jiménez et "
        "al. 2021"
    ),
    "kfold-speech": (
        "speech clips in random folds, stratified by emotion; the same actors are heard in "
        "training and test"
    ),
    "all": "every clip of the corpus",
}
"""What each protocol means, for people."""

# What readers of a report rely on.
_NEEDED = {
    *("protocol", "protocol_in_words", "corpora", "n_test", "per_class", "confusion_matrix"),
    *("labels", "by", "ece", "accuracy", "weighted_f1", "macro_f1", "uar", "accuracy_interval"),
    *("reliability", "coverage", "predictions"),
    *("weighted_f1_interval", "macro_f1_interval", "uar_interval"),
}

KEPT = ("speaker", "gender", "channel", "intensity", "statement", "corpus")


def test(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    *,
    root: str | Path,
    protocol: str,
    seed: int | None,
    in_words: str | None = None,
    jobs: int = -1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask a recogniser about clips whose emotion is known, and report.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    clips : DataFrame
        Table of clips to test on.
    root : str or Path
        Folder of the corpus; the predictions name files relative to it.
    protocol : str
        How these clips were chosen, see `PROTOCOL_WORDS`.
    seed : int or None
        Of the split, if there was one.
    in_words : str, optional
        What the protocol means here, if not what `PROTOCOL_WORDS` says.
    jobs, progress
        See `ser.parallel.map_items`.

    Returns
    -------
    dict
        See `ser.evaluation.evaluate`, with the protocol, the corpora, how many of the clips the
        model had heard in training, how many it was uncertain about (they count as answered all
        the same), the temperature, the SHA-256 of the model, and the ``predictions``, see
        `predictions_of`.

    Raises
    ------
    DataError
        If a clip has an emotion the model has no label for, or cannot be decoded.
    """
    labels = recognizer.labels
    foreign = sorted(set(clips["emotion"]) - set(labels))
    if foreign:
        raise DataError(
            f"The model has no label for: {', '.join(foreign)}. It knows: {', '.join(labels)}."
        )
    found, refused = recognizer.predict_files(clips["path"].tolist(), jobs=jobs, progress=progress)
    if len(refused):
        raise DataError(f"{refused.iloc[0]['path']}: {refused.iloc[0]['reason']}")
    known = clips[["emotion", *KEPT]].rename(columns={"emotion": "truth"})
    predictions = found.drop(columns=["reason", "distance"]).join(known.reset_index(drop=True))
    base = Path(root) if Path(root).is_dir() else Path(root).parent
    predictions["file"] = [
        Path(f).relative_to(base).as_posix() if Path(f).is_relative_to(base) else Path(f).name
        for f in predictions["file"]
    ]
    manifest = recognizer.manifest
    return {
        "protocol": protocol,
        "protocol_in_words": in_words or PROTOCOL_WORDS[protocol],
        "seed": seed,
        "corpora": sorted(clips["corpus"].unique()),
        "model": manifest.name,
        "model_sha256": manifest.model_sha256,
        "temperature": manifest.temperature,
        "min_confidence": manifest.min_confidence,
        "n_heard_in_training": int(heard(clips, manifest).sum()),
        "n_uncertain": int((predictions["verdict"] != SURE).sum()),
        "n_train": manifest.training.get("n_train"),
        "n_validation": manifest.training.get("n_validation"),
        **evaluation.evaluate(predictions, labels),
        "predictions": to_rows(predictions),
    }


def test_trust(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    *,
    jobs: int = -1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Test what clean figures do not show: other conditions, and sounds that are no speech.

    Parameters
    ----------
    recognizer, clips, jobs, progress
        See `test`.

    Returns
    -------
    dict
        ``robustness`` and ``rejection``, see `ser.robustness`.
    """
    return {
        "robustness": robustness.measure(recognizer, clips, jobs=jobs, progress=progress),
        "rejection": robustness.measure_rejection(recognizer),
    }


def predictions_of(report: dict[str, Any]) -> pd.DataFrame:
    """Return the predictions in a report as a table.

    Returns
    -------
    DataFrame
        One row per clip: file, start and end (s), ``emotion`` (predicted), ``verdict``,
        ``truth``, what is known of the clip, and one column of probabilities per label.
    """
    table = report["predictions"]
    return pd.DataFrame(table["rows"], columns=table["columns"])


def to_rows(predictions: pd.DataFrame) -> dict[str, Any]:
    """Return a table as what JSON can hold, see `predictions_of`; probabilities to 5 digits."""
    rows = predictions.round(5).astype(object).to_numpy().tolist()
    return {"columns": list(predictions.columns), "rows": rows}


def heard(clips: pd.DataFrame, manifest: Manifest) -> pd.Series:
    """Say for each clip whether the model was trained or calibrated on it, by name or by sound."""
    by_name = clips["clip_id"].isin(set(manifest.heard["ids"]) - {""})
    return by_name | clips["audio"].isin(manifest.heard["audio"])


def write_all(
    folder: str | Path,
    report: dict[str, Any],
    epochs: Sequence[dict[str, Any]],
) -> None:
    """Write ``report.html``, ``MODEL_CARD.md`` and ``report.json`` (last).

    Parameters
    ----------
    folder : str or Path
        A bundle.
    report : dict
        See `test`.
    epochs : sequence of dict
        The run's epochs, for its curves.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    folder = Path(folder)
    write_text(folder / "report.html", to_html(report, epochs))
    write_text(folder / "MODEL_CARD.md", model_card(bundle.read_manifest(folder), report))
    write_json(folder / "report.json", report, indent=None)


def read_report(folder: str | Path, name: str = "report.json") -> dict[str, Any] | None:
    """Return the report in a folder, such as a bundle, or None if it has none that can be read."""
    try:
        report = read_json(Path(folder) / name)
    except (OSError, ValueError):
        return None
    return report if set(report) >= _NEEDED else None


def to_html(report: dict[str, Any], epochs: Sequence[dict[str, Any]]) -> str:
    """Return a report as a page that stands alone: no script, nothing loaded from elsewhere."""
    return _render(
        "report.html",
        report=report,
        confusion=charts.to_svg(charts.confusion(report["confusion_matrix"], report["labels"])),
        reliability=charts.to_svg(
            charts.beside(
                charts.reliability(report["reliability"]), charts.coverage(report["coverage"])
            )
        ),
        robustness=(
            charts.to_svg(charts.robustness(report["robustness"])) if "robustness" in report else ""
        ),
        curves=charts.to_svg(charts.curves(epochs)) if epochs else "",
        epochs=len(epochs),
        seconds=sum(e["seconds"] for e in epochs),
    )


def model_card(
    manifest: Manifest, report: dict[str, Any], others: Sequence[dict[str, Any]] = ()
) -> str:
    """Return the model card (Mitchell et al. 2019, *Model cards for model reporting*).

    Parameters
    ----------
    manifest : Manifest
        Of the bundle.
    report : dict
        Of its test.
    others : sequence of dict
        Reports on other clips or protocols, each with ``what`` it is about.
    """
    config = manifest.training.get("config", {})
    if "adapted" in manifest.training:
        learned = manifest.training["adapted"]
        return _render("ADAPTED_CARD.md", manifest=manifest, learned=learned, r=report)
    foreign = [row for row in report.get("rejection", []) if not row["like_training"]]
    return _render(
        "MODEL_CARD.md",
        manifest=manifest,
        config=config,
        model=config.get("model", {}),
        r=report,
        others=others,
        half=min(report["coverage"], key=lambda row: abs(row["coverage"] - 0.5)),
        unlike={key: sum(row[key] for row in foreign) for key in ("n", "sure")},
    )


def _render(template: str, **values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ser"),
        autoescape=template.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return environment.get_template(template).render(**values)
