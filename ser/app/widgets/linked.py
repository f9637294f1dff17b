"""Clips linked to a model: what it answers for each, and whose labels are doubtful."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ser.app import workspace
from ser.app.tasks import Task
from ser.app.widgets import layout, resources, tasks
from ser.data.inspection import Inspection

ANSWER_COLUMNS: dict[str, Any] = {
    "answer": "Model's answer",
    "probability": st.column_config.ProgressColumn(
        "Probability", format="percent", min_value=0.0, max_value=1.0
    ),
    "agrees": st.column_config.CheckboxColumn(
        "As labelled", help="Whether the model answers what the label says."
    ),
}
DOUBT_COLUMNS: dict[str, Any] = {
    "suggested": st.column_config.TextColumn(
        "Sounds like",
        help="The answer of a classifier trained on other clips of this corpus.",
    ),
    "doubt": st.column_config.NumberColumn(
        "Doubt",
        format="%.2f",
        help="By how much the likeliest other emotion is more probable than the label, -1 to 1. "
        "(Confident learning: the normalised margin, out of sample.)",
    ),
}


def with_answers(shown: pd.DataFrame, index: Inspection, location: Path) -> pd.DataFrame | None:
    """Return clips with what the active model answers for each, as soon as that is known."""
    folder = workspace.active_model()
    with layout.errors_for_people():
        model = resources.recognizer(folder)
        st.caption(
            f"Answers of **{layout.plain(layout.model_label(folder))}**. If it has learned from a "
            "clip, its answer to that clip proves nothing."
        )

        def work(task: Task) -> pd.DataFrame:
            # Imported late: a page loads no model code before it is needed.
            from ser.evaluation.clip_answers import answers_for

            found = answers_for(model, index.clips, location, progress=task.report)
            return found.assign(path=index.clips["path"].astype(str).to_numpy())

        key = ("answers", f"{model.manifest.model_sha256} {model.labels} {index.key}")
        found = tasks.result(key, work, "Asking the model")
        if found is not None:
            table = shown.merge(found.drop_duplicates("path"), on="path", how="left")
            return table.assign(agrees=table["answer"] == table["emotion"].astype(str))
    return None


def with_doubt(shown: pd.DataFrame, index: Inspection) -> pd.DataFrame | None:
    """Return clips, the most doubtful labels first, as soon as these are known."""
    st.caption(
        "Each label is compared with the answer of a classifier trained on the other clips of "
        "this corpus. A doubtful label may be wrong, or the clip may be acted unusually: listen."
    )

    tools = resources.learning_tools()

    def work(task: Task) -> pd.DataFrame:
        task.report("Loading the encoder (a few seconds, the first time only)")
        tools.exception()  # two threads must not load TensorFlow at once
        from ser.training.label_errors import find_label_errors

        return find_label_errors(index.clips, progress=task.report)

    found = tasks.result(("doubt", index.key), work, "Encoding clips")
    if found is None:
        return None
    # A CSV file may list a clip twice.
    once = found[["path", "suggested", "doubt"]].drop_duplicates("path")
    table = shown.merge(once, on="path", how="left")
    return table.sort_values("doubt", ascending=False, ignore_index=True, na_position="last")
