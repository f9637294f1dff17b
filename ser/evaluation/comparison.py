"""Two reports beside each other: how far apart they are, and what of that chance explains."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.evaluation import metrics
from ser.evaluation.report import Report
from ser.utils.extras import need

_Z = 1.959964  # of a 95 % interval
# What tells a clip from another: folders of two people may hold files of the same names.
_CLIP = ["corpus", "file", "truth", "start", "end"]


@dataclass(frozen=True)
class Comparison:
    """How much better the second of two reports is than the first.

    Attributes
    ----------
    n : int
        Clips that were compared: where `paired`, those that both tested; else those of the second.
    n_first : int
        The same, or else those of the first.
    paired : bool
        Whether both tested the same clips, at least in part, and each of them once.
    repeated : bool
        Whether they tested the same clips, but one of them several times, as a study of seeds does.
    first, second : float
        Accuracies on these clips.
    difference : float
        Second minus first, in -1 to 1.
    interval : tuple of float
        Its 95 % interval: of paired clips that of Bonett & Price (2012, doi:10.3102/\
1076998611411915), else Newcombe's hybrid score interval (1998, doi:10.1002/(SICI)1097-0258\
(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10).
    only_first, only_second : int
        Paired clips that only one of them answered rightly.
    p_value : float or None
        McNemar's exact test; None if the clips are not the same.
    recalls : DataFrame
        ``emotion``, ``first``, ``second`` and ``difference`` of the emotions that both know.
    """

    n: int
    n_first: int
    paired: bool
    repeated: bool
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    p_value: float | None
    recalls: pd.DataFrame

    def __str__(self) -> str:
        """Say it in a sentence."""
        low, high = (100 * value for value in self.interval)
        of_first = "" if self.paired else f" of {self.n_first} clips"
        words = (
            f"{100 * self.first:.1f} %{of_first} and {100 * self.second:.1f} % of "
            f"{self.n} {'common clips' if self.paired else 'clips'}: a difference of "
            f"{100 * self.difference:+.1f} points ({low:+.1f} to {high:+.1f})"
        )
        if self.p_value is not None:
            shown = "< .001" if self.p_value < 0.001 else f"= {self.p_value:.3f}"
            words += f"; McNemar's exact test: p {shown.replace('0.', '.')}"
        return words

    @property
    def real(self) -> bool:
        """Whether chance is unlikely (p < .05): by the test, or as the interval excludes zero."""
        if self.p_value is not None:
            return self.p_value < 0.05
        return not self.interval[0] <= 0 <= self.interval[1]


def compare(first: Report, second: Report) -> Comparison:
    """Compare two reports, clip by clip where they tested the same clips.

    Clips are the same if corpus, file, true emotion and the part that was heard are.

    Parameters
    ----------
    first, second : Report
        What is compared.

    Examples
    --------
    >>> from ser import assets
    >>> reports = [Report.load(assets.REPORTS / f"{name}.json") for name in ("samples", "emodb")]
    >>> compare(reports[0], reports[0]).difference, compare(*reports).paired
    (0.0, False)
    """
    repeated = False
    # A cross-validation of several corpora names files with their folder, one report without.
    for whole in (True, False):
        tables = [_answers(report, whole=whole) for report in (first, second)]
        single = [table.drop_duplicates(_CLIP, keep=False) for table in tables]
        both = single[0].merge(single[1], on=_CLIP, suffixes=("_first", "_second"))
        if len(both):
            return _paired(both, first, second)
        repeated |= len(tables[0].merge(tables[1], on=_CLIP)) > 0
    return _unpaired(first, second, repeated=repeated)


def _answers(report: Report, *, whole: bool) -> pd.DataFrame:
    table = report.predictions
    files = table["file"].astype(str)
    heard = (1000 * table[["start", "end"]]).round().astype(int)
    return table[["corpus", "truth"]].assign(
        start=heard["start"],
        end=heard["end"],
        file=files if whole else files.str.split("/").str[-1],
        right=(table["emotion"] == table["truth"]).astype(bool),
    )


def _paired(both: pd.DataFrame, first: Report, second: Report) -> Comparison:
    need("train", "scipy")
    from scipy.stats import binomtest

    a, b = both["right_first"].to_numpy(bool), both["right_second"].to_numpy(bool)
    n, only_first, only_second = len(both), int((a & ~b).sum()), int((b & ~a).sum())
    # Two imagined clips, one for each side, keep the interval honest where few clips differ.
    gained, lost = (only_second + 1) / (n + 2), (only_first + 1) / (n + 2)
    half = _Z * math.sqrt(max(gained + lost - (gained - lost) ** 2, 0) / (n + 2))
    middle = gained - lost
    apart = only_first + only_second
    recalls = both.groupby("truth")[["right_first", "right_second"]].mean().reset_index()
    return Comparison(
        n=n,
        n_first=n,
        paired=True,
        repeated=False,
        first=float(a.mean()),
        second=float(b.mean()),
        difference=float(b.mean() - a.mean()),
        interval=(max(middle - half, -1.0), min(middle + half, 1.0)),
        only_first=only_first,
        only_second=only_second,
        p_value=float(binomtest(only_first, apart).pvalue) if apart else 1.0,
        recalls=_recalls(recalls.to_numpy().tolist(), first.labels),
    )


def _unpaired(first: Report, second: Report, *, repeated: bool) -> Comparison:
    p, q = first.accuracy, second.accuracy
    (p_low, p_high), (q_low, q_high) = (
        metrics.wilson_interval(report.accuracy * report.n_clips, report.n_clips)
        for report in (first, second)
    )
    difference = q - p
    low = difference - math.hypot(q - q_low, p_high - p)
    high = difference + math.hypot(q_high - q, p - p_low)
    rows = [
        [label, first.classes[label].recall, second.classes[label].recall]
        for label in first.labels
        if label in first.classes and label in second.classes
    ]
    return Comparison(
        n=second.n_test,
        n_first=first.n_test,
        paired=False,
        repeated=repeated,
        first=p,
        second=q,
        difference=difference,
        interval=(max(low, -1.0), min(high, 1.0)),
        only_first=0,
        only_second=0,
        p_value=None,
        recalls=_recalls(rows, first.labels),
    )


def _recalls(rows: list[list[object]], order: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["emotion", "first", "second"])
    table = table.assign(difference=table["second"] - table["first"])
    places = [order.index(label) if label in order else len(order) for label in table["emotion"]]
    return table.iloc[np.argsort(places, kind="stable")].reset_index(drop=True)
