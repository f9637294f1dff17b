"""How good a model is, on whom, where it errs, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from ser.app import access, catalogue
from ser.app.catalogue import Entry
from ser.app.widgets import (
    address,
    evaluations,
    frame,
    layout,
    report,
    report_comparison,
    report_parts,
)
from ser.evaluation.report import Report


def show() -> None:
    """Show the page."""
    frame.page("Evaluation")
    st.write(
        "Every figure here comes from clips whose emotion is known. Choose a report to see how "
        "often the model was right, what it mixes up, for whom, and whether its confidence can "
        "be believed."
    )

    evaluations.open_mine()
    entries = catalogue.entries()
    entry = report.choose(entries)

    with layout.errors_for_people():
        if not entry.file.exists():
            report.unfinished(entry)
        else:
            figures = catalogue.load_report(entry.file)
            report.summary(entry, figures)
            report.downloads(entry, figures)
            if entry.kind == "Evaluation":
                evaluations.show_remove(entry.title)
            show_parts(entry, figures, entries)

    if access.may_change():
        evaluations.show()

    frame.finish()


@st.fragment
def show_parts(entry: Entry, figures: Report, entries: list[Entry]) -> None:
    """Show the part of a report that is open, anew without the rest of the page."""
    parts: dict[str, Callable[[], None]] = {
        "Emotions": partial(report_parts.emotions, figures),
        "Confusions": partial(report_parts.confusions, entry, figures),
        "Groups": partial(report_parts.groups, figures),
        "Confidence": partial(report_parts.confidence, figures),
        "Conditions": partial(report_parts.conditions, figures),
        "Training": partial(report_parts.training, entry, figures),
        "Compare": partial(report_comparison.compare, entry, figures, entries),
        "Protocols": partial(report_comparison.protocols, entry, entries),
    }
    key = address.kept("part", "Emotions", parts)
    tabs = st.tabs(list(parts), key=key, on_change="rerun")
    for tab, show_part in zip(tabs, parts.values(), strict=True):
        if tab.open:
            with tab, layout.errors_for_people():
                show_part()
