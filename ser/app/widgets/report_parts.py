"""The parts of the Evaluation page: what a report says, one function per part."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ser import plots
from ser.app import access, catalogue
from ser.app.catalogue import Entry
from ser.app.glossary import TERMS
from ser.app.widgets import layout
from ser.evaluation import metrics
from ser.evaluation.figures import as_table
from ser.evaluation.report import GOAL, Report

MOST_SPEAKERS = 100
"""Rows of a table by speaker that can still be read."""

_SHARES = (
    *("accuracy", "low", "high", "uar", "uncertain", "weighted_f1"),
    *("precision", "recall", "f1", "probability", "confidence"),
)


def emotions(report: Report) -> None:
    """Show the classification report, and every emotion against the goal."""
    table = report.per_class()
    below = table.loc[table["recall"] < GOAL, "emotion"].tolist()
    reached = len(table) - len(below)
    words = f"{reached} of {len(table)} emotions reach the goal of {GOAL:.0%} recall."
    st.write(f"{words} Below it: {', '.join(below)}." if below else words)
    layout.show(plots.recalls(table, GOAL))
    st.caption(
        f"Pale bar: recall. Line: its 95% interval. Dashed: the goal. Dotted: "
        f"{_chance_of(report)}.",
        help=TERMS["recall"],
    )
    st.dataframe(
        per_cent(table),
        hide_index=True,
        column_order=["emotion", "precision", "recall", "f1", "clips", "answer"],
        column_config={
            "emotion": "Emotion",
            "precision": percent("Precision", TERMS["precision"]),
            "recall": percent("Recall", TERMS["recall"]),
            "f1": percent("F1", TERMS["F1"]),
            "clips": "Clips",
            "answer": "Most often taken for",
        },
    )


@st.fragment
def confusions(entry: Entry, report: Report) -> None:
    """Show the confusion matrix, and the clips of the cell that is chosen."""
    labels = report.labels
    truth_key, answer_key = f"truth {entry.key}", f"answer {entry.key}"
    first = report.commonest_mistake()
    chosen = (
        st.session_state.get(truth_key, first[0]),
        st.session_state.get(answer_key, first[1]),
    )
    left, right = st.columns([3, 2], gap="medium")
    with left:
        shown = st.segmented_control(
            "Cells show",
            ["Clips", "Rates"],
            default="Clips",
            required=True,
            help=f"{TERMS['confusion']} Rates are per cent of the true emotion.",
        )
        # Named after the chosen cell: so a click on a cell that was left can choose it again.
        chart_key = f"matrix {entry.key} {shown} {' '.join(chosen)}"
        layout.show(
            plots.confusion(report.confusion_matrix, labels, rates=shown == "Rates", chosen=chosen),
            table=report.confusion().reset_index(),
            key=chart_key,
            on_select=partial(_take_cell, chart_key, truth_key, answer_key, labels),
        )
        st.caption("Click a cell to hear its clips. Shown first: the most frequent mistake.")
    with right:
        boxes = st.columns(2)
        boxes[0].selectbox("Truth", labels, labels.index(first[0]), key=truth_key)
        boxes[1].selectbox("Answer", labels, labels.index(first[1]), key=answer_key)
        _cell(entry, report, *chosen)


def _take_cell(chart_key: str, truth_key: str, answer_key: str, labels: list[str]) -> None:
    """Choose the cell that was clicked."""
    cells = st.session_state[chart_key]["selection"].get("cell", [])
    if cells and {cells[0].get("truth"), cells[0].get("predicted")} <= set(labels):
        st.session_state[truth_key] = cells[0]["truth"]
        st.session_state[answer_key] = cells[0]["predicted"]


def _cell(entry: Entry, report: Report, truth: str, answer: str) -> None:
    table = report.clips(truth, answer)
    if table.empty:
        st.info(layout.plain(f"No {truth} clip was called {answer}."), icon=":material/check:")
        return
    total = report.classes[truth].support
    st.write(
        f"**{len(table)}** of {total} {layout.plain(truth)} clips were called "
        f"**{layout.plain(answer)}**."
    )
    st.dataframe(
        per_cent(table),
        hide_index=True,
        height=min(38 + 35 * len(table), 213),
        column_order=["file", "probability", "verdict", "speaker", "intensity", "channel"],
        column_config={
            "file": "Clip",
            "probability": percent("Probability", f"Of {answer}."),
            "verdict": st.column_config.TextColumn(
                "Verdict", help="Whether the model believes its own answer."
            ),
            "speaker": "Speaker",
            "intensity": "Intensity",
            "channel": "Channel",
        },
    )
    number = st.selectbox(
        "Clip to hear",
        range(len(table)),
        format_func=lambda i: f"{Path(table['file'][i]).name} · {table['probability'][i]:.0%}",
        key=f"clip {entry.key} {truth} {answer}",
    )
    row = table.iloc[number]
    _play(entry, row)
    layout.show(plots.probabilities(row, report.labels))


def _play(entry: Entry, row: pd.Series) -> None:
    given_key = f"folder {entry.key}"
    given = "" if not access.may_change() else st.session_state.get(given_key, "").strip()
    folders = [Path(given)] if given else []
    path = catalogue.find_clip(row["file"], [*folders, *catalogue.corpora_at_hand(entry)])
    if path is None and not access.may_change():
        st.info("The recordings of this corpus are not on this server.", icon=":material/lock:")
        return
    if path is None:
        if given:
            words = f"{given} holds no {row['file']}. Give the folder that does."
            st.warning(layout.plain(words))
        st.text_input(
            "Folder of the corpus",
            key=given_key,
            placeholder="/path/to/the/corpus",
            help=layout.plain(f"To hear the clip: the folder in which {row['file']} lies."),
        )
        return
    try:
        data = path.read_bytes()
    except OSError as error:
        words = layout.plain(f"{path} cannot be read: {error.strerror}.")
        st.error(words, icon=":material/error:")
        return
    st.audio(data, format=mimetypes.guess_type(path.name)[0] or "audio/wav")
    place = layout.plain(layout.display_path(path))
    st.caption(f"Heard: {row['start']:.1f} s to {row['end']:.1f} s of {place}.")


def groups(report: Report) -> None:
    """Show the accuracy per gender, channel, intensity and speaker."""
    found = report.groups()
    if not found:
        st.info("Nothing is known about the speakers of these clips, or all are alike.")
    for name, table in found.items():
        ordered = table.sort_values("accuracy")
        worst, best = ordered.iloc[0], ordered.iloc[-1]
        real = metrics.differ(table["accuracy"], table["clips"])
        st.write(
            f"**By {name}** from {worst['accuracy']:.0%} ({worst['group']}) to "
            f"{best['accuracy']:.0%} ({best['group']}): "
            + ("a real difference (p < .05)." if real else "it may be chance.")
        )
    few = [table for name, table in found.items() if name != "speaker"]
    many = [table for name, table in found.items() if name == "speaker"]
    for shown in (few, many):
        if shown:
            table = pd.concat(shown)
            layout.show(
                plots.intervals(
                    table, "group", line=report.accuracy, chance=1 / len(report.labels)
                ),
                table=_readable(table),
            )
    cells = report.by_speaker_and_emotion()
    if len(cells) > 0 and cells["speaker"].nunique() <= MOST_SPEAKERS:
        st.markdown("**By speaker and emotion**")
        layout.show(plots.speakers_by_emotion(cells, shares=True), table=cells.round(3))
        st.caption("Share of right answers, in per cent. Cells with few clips are uncertain.")
    if found:
        st.caption(
            f"Dot: accuracy. Line: its 95% interval. Dashed: all clips together. Dotted: "
            f"{_chance_of(report)}. Differences are judged by a chi-square test at the 5% level."
        )


def confidence(report: Report) -> None:
    """Show whether the model's probabilities can be believed."""
    confident = sum(r.n * r.confidence for r in report.reliability) / report.n_test
    words = f"Its mean confidence is {confident:.0%}, its accuracy {report.accuracy:.0%}"
    st.write(
        f"{words}; over the levels of confidence they differ by {report.ece:.3f} on average "
        "(calibration error)."
    )
    left, right = st.columns(2)
    with left:
        st.markdown("**How often is it right when it is this sure?**")
        bins = as_table(report.reliability)
        layout.show(plots.reliability(bins), table=bins)
        st.caption("On the dashed line confidence is honest; bars below it: too sure.")
    with right:
        st.markdown("**And if it only answers where it is surest?**")
        points = as_table(report.coverage)
        layout.show(plots.coverage(points), table=points)
        share = report.surer_half.accuracy
        st.caption(f"On the surer half of the clips {share:.0%} of its answers are right.")
    sure = str(report.sure_answers()).replace(" %", "%")  # as everywhere in the app
    st.write(f"{sure}. The others are uncertain; they still count in all figures.")


def conditions(report: Report) -> None:
    """Show the figures in noise, rooms and codecs, and the answers to what is not speech."""
    table = report.conditions()
    if table.empty:
        st.info(
            "Other conditions were not measured for this report. To measure them, test the model "
            "at the end of this page, with noise, rooms and codecs.",
            icon=":material/info:",
        )
        return
    worst = table.sort_values("accuracy").iloc[0]
    st.markdown("**Outside the studio**")
    st.write(
        "The same clips, changed by code on their way to the model. The hardest is "
        f"{worst['condition']}: {worst['accuracy']:.0%} are right instead of "
        f"{table['accuracy'][0]:.0%}, and {worst['uncertain']:.0%} of the answers are called "
        "uncertain."
    )
    layout.show(plots.robustness(table, chance=1 / len(report.labels)))
    st.caption(f"Dashed: clean. Dotted: {_chance_of(report)}.")
    st.dataframe(_readable(table), hide_index=True)
    sounds = report.sounds()
    st.markdown("**Sounds that are not speech**")
    st.write(
        f"{sounds['n'].sum()} sounds without speech: "
        + (
            f"{layout.count(alarms, 'false alarm')}."
            if (alarms := int(sounds["sure"].sum()))
            else "no false alarm."
        )
    )
    st.dataframe(
        per_cent(sounds),
        hide_index=True,
        column_config={
            "kind": "Sound",
            "like_training": st.column_config.CheckboxColumn("Similar ones in training"),
            "n": "Sounds",
            "sure": "Sure answers",
            "confidence": percent("Mean confidence", "Empty: all refused as silent."),
        },
    )


def training(entry: Entry, report: Report) -> None:
    """Show the curves of the training, and the folds of a cross-validation."""
    epochs: Sequence[Mapping[str, Any]] = []
    with layout.errors_for_people():
        epochs = catalogue.epochs_of(entry)
        if epochs:
            best = max(epochs, key=lambda epoch: epoch["val_accuracy"])
            st.write(
                f"{len(epochs)} epochs in {sum(e['seconds'] for e in epochs) / 60:.1f} minutes; "
                f"best accuracy on validation clips in epoch {best['epoch']}. Training clips are "
                "augmented and seen with dropout, so training can look worse than validation."
            )
            left, right = st.columns(2)
            with left:
                layout.show(
                    plots.curve(pd.DataFrame(epochs), "accuracy"), table=pd.DataFrame(epochs)
                )
            with right:
                layout.show(plots.curve(pd.DataFrame(epochs), "loss"))
    table = report.by_fold()
    if report.mean is not None and report.std is not None:
        mean, spread = report.mean.accuracy, report.std.accuracy
        part = report.part
        st.markdown(f"**By {part}**", help=TERMS[part])
        st.write(
            f"{len(table)} {part}s: {mean:.1%} on average, with a standard deviation of "
            f"{spread:.1%} from {part} to {part}."
        )
        layout.show(
            plots.intervals(
                table.rename(columns={"fold": part}),
                part,
                line=report.accuracy,
                chance=1 / len(report.labels),
                step=30,
            )
        )
        st.caption(f"Dashed: all clips together. Dotted: {_chance_of(report)}.")
        st.dataframe(_readable(table.rename(columns={"fold": part})), hide_index=True)
    if report.transfer:
        st.markdown("**Trained on one corpus, tested on another**")
        cells = as_table(report.transfer)
        layout.show(plots.transfer(cells), table=cells)
        st.caption(
            "Accuracy in per cent. Where a corpus is tested on itself, its test speakers were not "
            "in training."
        )
    if not epochs and table.empty:
        st.info("This report tests an existing model, so there is no training to show.")


def _chance_of(report: Report) -> str:
    return f"chance, {1 / len(report.labels):.1%} among {len(report.labels)} answers"


def per_cent(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose shares are in per cent, for the columns of `percent`."""
    return table.assign(**{c: 100 * table[c] for c in _SHARES if c in table})


def percent(title: str, words: str) -> Any:
    """Return a column of per cent, and what explains it."""
    return st.column_config.NumberColumn(title, format="%.1f%%", help=words)


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as text for people: shares in per cent, columns named."""
    names = {"low": "95% from", "high": "to", "weighted_f1": "Weighted F1"}
    names |= {"uar": "Average recall", "ece": "Calibration error"}
    shown = table.copy()
    for column in table:
        if column in _SHARES:
            shown[column] = table[column].map("{:.1%}".format)
    if "ece" in table:
        shown["ece"] = table["ece"].map("{:.3f}".format)
    return shown.rename(columns=lambda column: names.get(column, column.capitalize()))
