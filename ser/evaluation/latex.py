r"""A report as tables for a paper, in LaTeX with booktabs.

Put them into a document that has ``\usepackage{booktabs}``.
"""

from __future__ import annotations

import pandas as pd

from ser.evaluation.report import Report


def to_latex(report: Report) -> str:
    r"""Return the tables of a report: figures, emotions, confusions, groups, folds.

    Parameters
    ----------
    report : Report
        Whatever it tested.

    Examples
    --------
    >>> from ser import assets
    >>> text = to_latex(Report.load(assets.REPORTS / "samples.json"))
    >>> print(text.splitlines()[0].removeprefix("% "))
    Model everyday, synthetic samples (made to be recognised): every clip of the corpus; 120 clips.
    >>> r"\label{tab:emotions}" in text
    True
    """
    protocol = " ".join(f"{report.title}: {report.protocol_in_words}".split())
    parts = [f"% {protocol}; {report.n_test} clips."]
    rows = [
        (name, _interval(share, *interval))
        for name, share, interval in (
            ("Accuracy", report.accuracy, report.accuracy_interval),
            ("Weighted F1", report.weighted_f1, report.weighted_f1_interval),
            ("Macro F1", report.macro_f1, report.macro_f1_interval),
            ("Unweighted average recall", report.uar, report.uar_interval),
        )
    ]
    sure = report.sure_answers()
    rows += [
        ("Calibration error (ECE)", f"{report.ece:.3f}"),
        ("Sure answers", f"{sure.n} of {sure.of}"),
        ("Sure answers that are right", _percent(sure.accuracy)),
    ]
    figures = pd.DataFrame(rows, columns=["Figure", "Value (95 % interval)"])
    parts.append(_table(figures, "figures", f"{report.title}, {report.n_test} clips."))
    emotions = report.per_class()
    shown = pd.DataFrame(
        {
            "Emotion": emotions["emotion"],
            "Precision": emotions["precision"].map(_percent),
            "Recall (95 % interval)": [
                _interval(*row) for row in emotions[["recall", "low", "high"]].to_numpy()
            ],
            "F1": emotions["f1"].map(_percent),
            "Clips": emotions["clips"],
        }
    )
    parts.append(_table(shown, "emotions", "By emotion."))
    confusion = report.confusion().rename_axis("Truth").reset_index()
    parts.append(_table(confusion, "confusion", "Confusion matrix; columns: predicted."))
    for name, table in report.groups().items():
        parts.append(_table(_accuracies(table, "group", name.capitalize()), name, f"By {name}."))
    if len(folds := report.by_fold()):
        part = report.part
        shown = _accuracies(folds, "fold", part.capitalize())
        parts.append(_table(shown, f"{part}s", f"By {part}."))
    return "\n".join(parts)


def _accuracies(table: pd.DataFrame, column: str, title: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            title: table[column].astype(str),
            "Clips": table["clips"],
            "Accuracy (95 % interval)": [
                _interval(*row) for row in table[["accuracy", "low", "high"]].to_numpy()
            ],
        }
    )


def _interval(share: float, low: float, high: float) -> str:
    return f"{_percent(share)} ({100 * low:.1f} to {100 * high:.1f})"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _table(table: pd.DataFrame, label: str, caption: str) -> str:
    styled = table.style.hide(axis="index").format(escape="latex")
    styled = styled.format_index(escape="latex", axis="columns")
    text: str = styled.to_latex(
        hrules=True,
        label=f"tab:{label}",
        caption=_escaped(caption),
        position="ht",
        position_float="centering",
        column_format="l" + "r" * (len(table.columns) - 1),
    )
    return text


_SPECIAL = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}"})


def _escaped(text: str) -> str:
    """Return text that LaTeX takes as it stands."""
    return text.translate(_SPECIAL | {ord("~"): r"\textasciitilde{}", ord("^"): r"\^{}"})
