"""What is printed, and what is kept off the terminal."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser.evaluation.report import Report


def print_skipped(skipped: Any) -> None:
    """Print which files of a corpus were left out, and why."""
    if len(skipped):
        print(f"\n{len(skipped)} files left out:")
        names = [Path(path).name for path in skipped["path"]]
        kinds = [
            # Else each would be a kind of its own; what has no suffix is named in no reason.
            reason.replace(name, "a file") if Path(name).suffix else reason
            for name, reason in zip(names, skipped["reason"], strict=True)
        ]
        for kind, files in skipped.assign(name=names, kind=kinds).groupby("kind", sort=False):
            print(f"  {len(files)} × {kind} (such as {files['name'].iloc[0]})")


def print_figures(report: Report) -> None:
    """Print the figures of a report."""
    print(f"\n{report.n_test} test clips: {report.protocol_in_words}")
    if report.n_seen_in_training:
        print(f"WARNING: {report.n_seen_in_training} of them were seen in training.")
    if report.label_review:
        print(report.label_review)
    for word, share, (low, high) in (
        ("accuracy", report.accuracy, report.accuracy_interval),
        ("weighted F1", report.weighted_f1, report.weighted_f1_interval),
        ("macro F1", report.macro_f1, report.macro_f1_interval),
        ("unweighted average recall", report.uar, report.uar_interval),
    ):
        print(f"  {word:26} {share:6.1%}   95 %: {low:.1%} to {high:.1%}")
    print(f"  {'calibration error (ECE)':26} {report.ece:6.3f}")
    print(f"  {report.sure_answers()}")
    print(f"\n  {'':10} precision  recall     f1  clips")
    for label, c in report.classes.items():
        print(f"  {label:10} {c.precision:9.1%} {c.recall:7.1%} {c.f1:6.1%} {c.support:6}")


def print_robustness(report: Report) -> None:
    """Print the figures in other conditions, if a report has them."""
    if not report.robustness:
        return
    print(f"\n  {'condition':20} accuracy    UAR  uncertain")
    for row in report.robustness:
        print(f"  {row.label:20} {row.accuracy:8.1%} {row.uar:6.1%} {row.uncertain:10.1%}")
    sounds = sum(row.n for row in report.rejection)
    sure = sum(row.sure for row in report.rejection)
    print(f"\n  {sure} of {sounds} sounds that are not speech got a sure answer")


def formatted(table: Any, labels: Sequence[str], form: str) -> str:
    """Return predictions as one of the formats of ``ser predict``."""
    from ser.models.recognizer import NO_SPEECH, SURE, UNCERTAIN
    from ser.models.segments import FORMATS, audformat_table, write_segments

    if form in FORMATS:
        return write_segments(table, form).rstrip("\n")
    if form == "csv":
        return str(table.to_csv(index=False, float_format="%.5f", lineterminator="\n")).rstrip()
    if form == "audformat":
        return str(audformat_table(table).to_csv(float_format="%.5f", lineterminator="\n")).rstrip()
    if form == "json":
        records = []
        for row in table.to_dict("records"):
            spoken = row["emotion"] is not None
            records.append(
                {k: row[k] for k in ("file", "start", "end", "emotion", "verdict", "reason")}
                | {"distance": row["distance"] if row["distance"] == row["distance"] else None}
                | {"probabilities": {la: row[la] for la in labels} if spoken else None}
            )
        return json.dumps(records, indent=2, ensure_ascii=False)
    shown = table[["file", "start", "end"]].copy()
    shown["emotion"] = [
        {SURE: e, UNCERTAIN: f"uncertain ({e}?)", NO_SPEECH: "(no speech)"}[v]
        for e, v in zip(table["emotion"], table["verdict"], strict=True)
    ]
    for label in labels:
        shown[label] = [f"{p:.0%}" if p == p else "" for p in table[label]]
    return str(shown.to_string(index=False, float_format=lambda v: f"{v:.2f}"))


def warm_up_tensorflow(*, members: int = 1) -> None:
    """Load TensorFlow with its start-up remarks kept off the terminal, unless something fails.

    It writes them to the file descriptor before any setting is read (tensorflow issue 100442).
    """
    if sys.stderr.isatty():
        print("Loading TensorFlow …", end="\r", file=sys.stderr)
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as remarks:
        os.dup2(remarks.fileno(), 2)
        try:
            from ser.training.pipeline import share_cores

            share_cores(members)
            import tensorflow as tf

            tf.config.list_logical_devices()
            tf.get_logger().setLevel("ERROR")
        except BaseException:
            remarks.seek(0)
            os.write(terminal, remarks.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
    if sys.stderr.isatty():
        print(" " * 30, end="\r", file=sys.stderr)
