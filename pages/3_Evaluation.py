"""How good a model is, on whom, where it errs, and how far that can be trusted."""

import streamlit as st

import ui
from ser import archive
from ui import evaluation, trials

ui.page("Evaluation")
st.write(
    "Every figure here comes from clips whose emotion is known. Choose a report to see how often "
    "the model was right, what it mixes up, for whom, and whether its confidence can be believed."
)

trials.open_mine()
entries = archive.entries()
entry = evaluation.choose(entries)

figures = None
with ui.errors_for_people():
    if not entry.file.exists():
        evaluation.unfinished(entry)
    else:
        figures = ui.load_report(entry.file)
        evaluation.summary(entry, figures)
        files = st.container(horizontal=True)
        if entry.kind == "Evaluation":
            trials.show_remove(entry.title)
        parts = {
            "Emotions": lambda: evaluation.emotions(figures),
            "Confusions": lambda: evaluation.confusions(entry, figures),
            "Groups": lambda: evaluation.groups(figures),
            "Confidence": lambda: evaluation.confidence(figures),
            "Conditions": lambda: evaluation.conditions(figures),
            "Training": lambda: evaluation.training(entry, figures),
            "Protocols": lambda: evaluation.protocols(entry, entries),
        }
        # Only the part that is open is drawn.
        for tab, show in zip(
            st.tabs(list(parts), key="part", on_change="rerun"), parts.values(), strict=True
        ):
            if tab.open:
                with tab:
                    show()

trials.show()
if figures is not None:
    with files:
        evaluation.downloads(entry, figures)

ui.finish()
