"""Reports: figures as JSON, the same as a page that people can read, and the model card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from ser import plots
from ser.data import corpora
from ser.errors import DataError, ReportError
from ser.evaluation import metrics, robustness
from ser.models import bundle
from ser.models.manifest import Manifest
from ser.models.recognizer import REFUSED, SURE, Recognizer
from ser.utils.files import read_json, write_json, write_text
from ser.utils.parallel import Progress

PROTOCOL_WORDS = {
    "random": (
        "a random fifth of the clips, stratified by emotion; the same speakers are in "
        "training and test"
    ),
    "unseen-speakers": "clips of speakers who were never seen in training",
    "luna-jimenez": (
        "speech of actors who were never seen in training, in the five folds of Luna-Jiménez et "
        "al. 2021"
    ),
    "kfold-speech": (
        "speech clips in random folds, stratified by emotion; the same actors are in "
        "training and test"
    ),
    "all": "every clip of the corpus",
}
"""What each protocol means, for people."""

KEPT = ("speaker", "gender", "channel", "intensity", "statement", "corpus")


def evaluate_clips(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    *,
    root: str | Path,
    protocol: str,
    seed: int | None,
    in_words: str | None = None,
    n_jobs: int = -1,
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
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    dict
        See `ser.evaluation.metrics.evaluate`, with the protocol, the corpora, how many of the clips
        the model had seen in training, how many it was uncertain about (they count as answered all
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
    found = recognizer.predict_files(clips["path"].tolist(), n_jobs=n_jobs, progress=progress)
    for path, reason in found.loc[found["verdict"] == REFUSED, ["file", "reason"]].to_numpy():
        raise DataError(f"{path}: {reason}")
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
        "n_seen_in_training": int(seen_in_training(clips, manifest).sum()),
        "n_uncertain": int((predictions["verdict"] != SURE).sum()),
        "n_train": manifest.training.get("n_train"),
        "n_validation": manifest.training.get("n_validation"),
        "refit": bool(manifest.training.get("refit")),
        **metrics.evaluate(predictions, labels),
        "predictions": to_rows(predictions),
    }


def evaluate_corpus(
    recognizer: Recognizer,
    data: str | Path,
    *,
    protocol: str = "random",
    seed: int = 42,
    robustness: bool = False,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Test a model on a corpus, and never call a clip unseen that trained it.

    Parameters
    ----------
    recognizer : Recognizer
        The model.
    data : str or Path
        The corpus, see `ser.data.corpora.scan`.
    protocol : {"random", "all"}
        The test clips of the random split, or every clip.
    seed : int
        Of the random split.
    robustness : bool
        Also `evaluate_robustness`.
    n_jobs, progress
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    report : dict
        See `evaluate_clips`.
    skipped : DataFrame
        What of the corpus was left out and why, see `ser.data.corpora.Corpus`.

    Raises
    ------
    DataError
        If the corpus cannot be used, or the model was trained on test clips of the split.
    """
    from ser.data import splits

    corpus = corpora.inspect(corpora.scan(data), n_jobs=n_jobs, progress=progress)
    clips, in_words = corpus.clips, None
    if protocol == "random":
        if not seen_in_training(clips, recognizer.manifest).any():
            in_words = (
                "a random fifth of the clips, stratified by emotion, of a corpus that the model "
                "was not trained on (protocol all tests on every clip)"
            )
        _, chosen = splits.random_split(clips, seed=seed)
        clips = clips.iloc[chosen].reset_index(drop=True)
        known = seen_in_training(clips, recognizer.manifest)
        if known.any():
            raise DataError(
                f"{recognizer.manifest.name} was trained on {known.sum()} of the {len(clips)} test "
                "clips of this split, so they are not unseen. Use the seed it was trained with, "
                "or protocol all, which says how many clips were heard."
            )
    result = evaluate_clips(
        recognizer,
        clips,
        root=data,
        protocol=protocol,
        seed=seed if protocol == "random" else None,
        in_words=in_words,
        n_jobs=n_jobs,
        progress=progress,
    )
    if robustness:
        result |= evaluate_robustness(recognizer, clips, n_jobs=n_jobs, progress=progress)
    return result, corpus.skipped


def evaluate_robustness(
    recognizer: Recognizer,
    clips: pd.DataFrame,
    *,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Test what clean figures do not show: other conditions, and sounds that are no speech.

    Parameters
    ----------
    recognizer, clips, n_jobs, progress
        See `evaluate_clips`.

    Returns
    -------
    dict
        ``robustness`` and ``rejection``, see `ser.evaluation.robustness`.
    """
    return {
        "robustness": robustness.measure(recognizer, clips, n_jobs=n_jobs, progress=progress),
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


def seen_in_training(clips: pd.DataFrame, manifest: Manifest) -> pd.Series:
    """Say for each clip whether the model was trained or calibrated on it, by name or by sound."""
    by_name = clips["clip_id"].isin(set(manifest.training_clips.ids) - {""})
    return by_name | clips["audio"].isin(manifest.training_clips.audio)


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
        See `evaluate_clips`.
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
        return load_report(Path(folder) / name)
    except ReportError:
        return None


def load_report(file: str | Path) -> dict[str, Any]:
    """Read a report that may come from anyone: it has all parts, and they fit each other.

    Raises
    ------
    ReportError
        If there is none, or it is damaged, or its figures are not those of its predictions.
    """
    import jsonschema

    file = Path(file)
    try:
        report = read_json(file)
    except FileNotFoundError:
        raise ReportError(f"There is no report at {file}.") from None
    except (OSError, ValueError) as error:
        raise ReportError(f"{file} cannot be read: {error}. Copy or make it again.") from error
    wrong = jsonschema.exceptions.best_match(_validator().iter_errors(report))
    if wrong is not None:
        place = wrong.json_path.removeprefix("$").removeprefix(".")
        # What is wrong may be a table of thousands of rows.
        words = wrong.message if len(wrong.message) < 100 else f"no {wrong.validator_value}"
        reason = f"{place}: {words}" if place else words
    else:
        reason = _contradiction(report)
    if reason:
        raise ReportError(f"{file} is no report of this program ({reason}). Make it again.")
    return report


@cache
def _validator() -> Any:
    import jsonschema

    schema = resources.files("ser.evaluation").joinpath("templates/report.schema.json")
    return jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))


def _contradiction(report: dict[str, Any]) -> str:
    """Say what in a report of the right form cannot be true, or nothing."""
    labels = report["labels"]
    columns, rows = report["predictions"]["columns"], report["predictions"]["rows"]
    needed = ["file", "start", "end", "emotion", "verdict", "truth", *labels]
    if missing := [column for column in needed if column not in columns]:
        return f"predictions have no column {missing[0]}"
    if len(rows) != report["n_test"] or not all(
        isinstance(row, list) and len(row) == len(columns) for row in rows
    ):
        return "predictions: rows are missing or have the wrong length"
    table = dict(zip(columns, zip(*rows, strict=True), strict=True))
    for column, cells in table.items():
        numbers = column in ("start", "end", "fold", *labels)
        if not all(isinstance(cell, (int, float) if numbers else str) for cell in cells):
            kind = "number" if numbers else "text"
            return f"predictions: {column} holds something that is no {kind}"
    counts = Counter(zip(table["truth"], table["emotion"], strict=True))
    if [[counts.pop((t, p), 0) for p in labels] for t in labels] != report["confusion_matrix"]:
        return "the confusion matrix is not that of the predictions"
    if counts:
        return "predictions name something that is no label"
    if not set(report["per_class"]) <= set(labels):
        return "per_class names something that is no label"
    return ""


def to_html(report: dict[str, Any], epochs: Sequence[dict[str, Any]]) -> str:
    """Return a report as a page that stands alone: no script, nothing loaded from elsewhere."""
    return _render(
        "report.html",
        report=report,
        confusion=plots.to_svg(plots.confusion(report["confusion_matrix"], report["labels"])),
        reliability=plots.to_svg(
            plots.beside(
                plots.reliability(report["reliability"]), plots.coverage(report["coverage"])
            )
        ),
        robustness=(
            plots.to_svg(plots.robustness(report["robustness"])) if "robustness" in report else ""
        ),
        name=report.get("model") or f"{report['protocol']}, {', '.join(report['corpora'])}",
        curves=plots.to_svg(plots.curves(epochs)) if epochs else "",
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
        loader=jinja2.PackageLoader("ser.evaluation"),
        autoescape=template.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return environment.get_template(template).render(**values)
