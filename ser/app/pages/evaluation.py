"""How good a model is, on whom, where it errs, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from ser.app import access, catalogue
from ser.app.widgets import address, evaluations, frame, layout, report


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

    figures = None
    with layout.errors_for_people():
        if not entry.file.exists():
            report.unfinished(entry)
        else:
            figures = catalogue.load_report(entry.file)
            report.summary(entry, figures)
            files = st.container(horizontal=True)
            if entry.kind == "Evaluation":
                evaluations.show_remove(entry.title)
            parts: dict[str, Callable[[], None]] = {
                "Emotions": partial(report.emotions, figures),
                "Confusions": partial(report.confusions, entry, figures),
                "Groups": partial(report.groups, figures),
                "Confidence": partial(report.confidence, figures),
                "Conditions": partial(report.conditions, figures),
                "Training": partial(report.training, entry, figures),
                "Compare": partial(report.compare, entry, figures, entries),
                "Protocols": partial(report.protocols, entry, entries),
            }
            # Only the part that is open is drawn.
            for tab, show_part in zip(
                st.tabs(
                    list(parts), key=address.kept("part", "Emotions", parts), on_change="rerun"
                ),
                parts.values(),
                strict=True,
            ):
                if tab.open:
                    with tab:
                        show_part()

    if access.may_change():
        evaluations.show()
    if figures is not None:
        with files:
            report.downloads(entry, figures)

    frame.finish()
