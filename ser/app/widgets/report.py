"""The parts of the Evaluation page: what a report says, one function per part."""

from __future__ import annotations

import json
import mimetypes
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ser import plots
from ser.app import access, catalogue
from ser.app.catalogue import Entry
from ser.app.glossary import TERMS
from ser.app.widgets import address, layout
from ser.errors import ReportError
from ser.evaluation import comparison, metrics, rendering
from ser.evaluation.figures import as_table
from ser.evaluation.latex import to_latex
from ser.evaluation.report import GOAL, Report, Speakers
from ser.training.runs import Run

MOST_SPEAKERS = 100
"""Rows of a table by speaker that can still be read."""


def choose(entries: list[Entry]) -> Entry:
    """Let the user choose a report; an address with ``?report=`` or another page may ask for one.

    Another page does so with ``st.session_state["open report"]``, the `Entry.key`.
    """
    by_key = {entry.key: entry for entry in entries}
    asked = _report_asked_for(default=entries[0].key)
    if asked not in by_key:
        st.warning(f"There is no report called {layout.plain(asked)} here. Choose another one.")
    key = st.selectbox(
        "Report",
        list(by_key),
        index=list(by_key).index(asked) if asked in by_key else 0,
        format_func=lambda key: by_key[key].label,
        # A new box for every report that is asked for: its first choice is the one the browser
        # shows even if it is busy, which a change of the session's state is not.
        key=f"report {st.session_state['times asked']}",
        help="Of a shipped model, of a run of yours, made on this page, or published with this "
        "project.",
    )
    # Leaving the page forgets the box, not what was chosen in it.
    st.session_state["report asked"] = key
    if st.query_params.get("report") != key:
        st.query_params["report"] = key
    return by_key[key]


def _report_asked_for(default: str) -> str:
    """Return the key of the report that address or page ask for now, or that was chosen last."""
    state = st.session_state
    opened = f"report {state.get('times asked')}" not in state
    if (opened or address.moved()) and "report" in st.query_params:
        state["open report"] = st.query_params["report"]
    if "open report" in state or "report asked" not in state:
        state["report asked"] = state.pop("open report", default)
        state["times asked"] = state.get("times asked", 0) + 1
    return str(state["report asked"])


def unfinished(entry: Entry) -> None:
    """Say why there is no report yet."""
    if not entry.folder.joinpath("status.json").exists():
        st.info(
            f"{layout.plain(entry.title)} has no report. Test it below.", icon=":material/info:"
        )
        return
    status = Run(entry.folder).read_status()
    st.info(
        f"{layout.plain(entry.title)} has no report yet. It is {status.state}: "
        + layout.plain(status.message),
        icon=":material/hourglass_empty:",
    )


def summary(entry: Entry, report: Report) -> None:
    """Show what was tested on what, and the figures that sum it up."""
    corpora = layout.plain(", ".join(report.corpora))
    st.write(f"**{report.n_test} clips** of {corpora}: {report.protocol_in_words}.")
    facts = [f"Model {report.model}" if report.model else "One model per fold"]
    if report.n_train:
        facts.append(f"trained on {report.n_train} clips")
    if report.n_validation:
        which = "of them before all were learned" if report.refit else "others"
        facts.append(f"calibrated on {report.n_validation} {which}")
    if report.seed is not None:
        facts.append(f"seed {report.seed}")
    if day := catalogue.finished_on(entry):
        facts.append(f"finished on {day}")
    st.caption(layout.plain(f"{', '.join(facts)}."))
    if report.label_review:
        st.caption(str(report.label_review))
    if count := report.n_seen_in_training:
        st.warning(
            f"{count} of these {report.n_test} clips were seen in training, so the figures "
            "say little about clips it does not know.",
            icon=":material/warning:",
        )
    with st.container(horizontal=True):
        for name, share, (low, high), term in (
            ("Accuracy", report.accuracy, report.accuracy_interval, "accuracy"),
            ("Weighted F1", report.weighted_f1, report.weighted_f1_interval, "F1"),
            ("Average recall", report.uar, report.uar_interval, "UAR"),
        ):
            st.metric(
                name,
                f"{share:.1%}",
                f"{low:.1%} to {high:.1%}",
                delta_color="off",
                delta_arrow="off",
                border=True,
                help=f"{TERMS[term]} Below: {TERMS['interval']}",
            )
        st.metric(
            "Calibration error",
            f"{report.ece:.3f}",
            "0 is best",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=TERMS["ECE"],
        )
        sure = report.sure_answers()
        st.metric(
            "Sure answers right",
            "–" if sure.accuracy is None else f"{sure.accuracy:.1%}",
            f"{sure.n} of {sure.of} are sure",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=TERMS["abstain"],
        )
    _sources(entry, report)


def _sources(entry: Entry, report: Report) -> None:
    """Say which file the figures come from, and which command makes it again."""
    with st.expander("Where these figures come from", icon=":material/source:"):
        st.write(f"Every figure on this page is read from `{layout.display_path(entry.file)}`.")
        if report.command:
            st.write("Made again, for who has the corpora, by:")
            command = report.command.replace("REPORT.json", layout.display_path(entry.file))
            st.code(command, language="bash", wrap_lines=True)
        if report.versions:
            words = ", ".join(f"{name} {number}" for name, number in report.versions.items())
            st.caption(layout.plain(f"Made with {words}."))


@st.cache_data(show_spinner=False, max_entries=16)
def _page(entry: Entry, changed: int, _report: Report) -> str:
    try:
        epochs = catalogue.epochs_of(entry)
    except ReportError:
        epochs = []
    return rendering.to_html(_report, epochs)


def downloads(entry: Entry, report: Report) -> None:
    """Offer the report as a page, as JSON, and its predictions as a table.

    A page calls it last, since it takes a moment to draw the charts of the page.
    """
    name = entry.key.replace("/", "-")
    st.download_button(
        "Report as a page",
        _page(entry, entry.file.stat().st_mtime_ns, report),
        f"{name}.html",
        "text/html",
        on_click="ignore",
        icon=":material/description:",
        help="One HTML file that stands alone.",
    )
    st.download_button(
        "Report as JSON",
        json.dumps(report.to_json(), ensure_ascii=False),
        f"{name}.json",
        "application/json",
        on_click="ignore",
        icon=":material/data_object:",
        help="Every figure, with all predictions.",
    )
    st.download_button(
        "Tables as LaTeX",
        lambda: to_latex(report),
        f"{name}.tex",
        "text/x-tex",
        on_click="ignore",
        icon=":material/functions:",
        help="For a paper: figures, emotions, confusions, groups and folds, with booktabs.",
    )
    st.download_button(
        "Predictions as CSV",
        layout.csv(report.predictions),
        f"{name}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/table:",
        help="One row per clip: truth, answer, and all probabilities.",
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
        _per_cent(table),
        hide_index=True,
        column_order=["emotion", "precision", "recall", "f1", "clips", "answer"],
        column_config={
            "emotion": "Emotion",
            "precision": _percent("Precision", TERMS["precision"]),
            "recall": _percent("Recall", TERMS["recall"]),
            "f1": _percent("F1", TERMS["F1"]),
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
        _per_cent(table),
        hide_index=True,
        height=min(38 + 35 * len(table), 213),
        column_order=["file", "probability", "verdict", "speaker", "intensity", "channel"],
        column_config={
            "file": "Clip",
            "probability": _percent("Probability", f"Of {answer}."),
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
        st.info("Nothing is known of the speakers of these clips, or all are of one kind.")
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
        st.caption("Clips answered rightly, in per cent. Few clips make a cell uncertain.")
    if found:
        st.caption(
            f"Dot: accuracy. Line: its 95% interval. Dashed: all clips together. Dotted: "
            f"{_chance_of(report)}. What chance explains is judged by a chi-square test at the 5% "
            "level."
        )


def confidence(report: Report) -> None:
    """Show whether the model's probabilities can be believed."""
    confident = sum(r.n * r.confidence for r in report.reliability) / report.n_test
    words = f"On average it is {confident:.0%} sure and right in {report.accuracy:.0%}"
    st.write(
        f"{words}; over all levels of confidence the two lie {report.ece:.3f} apart "
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
    st.write(f"{sure}. The others are uncertain; in all figures they count.")


def conditions(report: Report) -> None:
    """Show the figures in noise, rooms and codecs, and the answers to what is no speech."""
    table = report.conditions()
    if table.empty:
        st.info(
            "Other conditions were not measured for this report. An evaluation with noise, rooms "
            "and codecs, started at the end of this page, does.",
            icon=":material/info:",
        )
        return
    worst = table.sort_values("accuracy").iloc[0]
    st.markdown("**Elsewhere than in a studio**")
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
    st.markdown("**Sounds that are no speech**")
    st.write(
        f"{sounds['n'].sum()} sounds without speech: "
        + (
            f"{layout.count(alarms, 'false alarm')}."
            if (alarms := int(sounds["sure"].sum()))
            else "no false alarm."
        )
    )
    st.dataframe(
        _per_cent(sounds),
        hide_index=True,
        column_config={
            "kind": "Sound",
            "like_training": st.column_config.CheckboxColumn("Its like seen in training"),
            "n": "Sounds",
            "sure": "Sure answers",
            "confidence": _percent("Mean confidence", "Empty: all refused as silent."),
        },
    )


def training(entry: Entry, report: Report) -> None:
    """Show the curves of the training, and the folds of a cross-validation."""
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
        st.markdown("**Which corpus teaches what about which**")
        cells = as_table(report.transfer)
        layout.show(plots.transfer(cells), table=cells)
        st.caption(
            "Accuracy in per cent. Where a corpus is tested on itself, its test speakers were not "
            "in training."
        )
    if not epochs and table.empty:
        st.info("No training belongs to this report: it tests a model that existed before.")


def _chance_of(report: Report) -> str:
    return f"chance, {1 / len(report.labels):.1%} among {len(report.labels)} answers"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}")


def compare(chosen: Entry, report: Report, entries: list[Entry]) -> None:
    """Show how far a report is from another one, and in what their trainings differ."""
    others = {e.key: e for e in entries if e.key != chosen.key and e.file.is_file()}
    key = st.selectbox(
        "Compare with",
        list(others),
        index=None,
        format_func=lambda key: others[key].label,
        placeholder="Choose another report",
        key=address.kept("compared with", None, others),
        persist_state="session",
        help="Where both tested the same clips, they are compared clip by clip.",
    )
    if key is None:
        st.info("Choose a second report to see what is different.", icon=":material/compare:")
        return
    other = others[key]
    found = comparison.compare(catalogue.load_report(other.file), report)
    low, high = found.interval
    names = (other.label, chosen.label)
    with st.container(horizontal=True):
        for name, share in zip(names, (found.first, found.second), strict=True):
            st.metric(layout.plain(name), f"{share:.1%}", border=True)
        st.metric(
            "Difference",
            f"{_points(found.difference)} points",
            f"{_points(low)} to {_points(high)}",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=f"Accuracy. Below: {TERMS['interval']}",
        )
    if found.p_value is not None:
        p = "p < .001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
        st.write(
            f"Both answered the same **{found.n} clips**. Of those on which they differ, "
            f"{found.only_first} are right only in the first report and {found.only_second} only "
            f"in the second (McNemar's exact test: {p})."
        )
    else:
        st.write(
            "They tested **different clips**, so the difference is between corpora and speakers "
            "as much as between models."
        )
    st.write("It is a real difference (p < .05)." if found.real else "It may be chance.")
    if len(found.recalls):
        layout.show(plots.recall_pairs(found.recalls, names), table=found.recalls.round(4))
    settings = catalogue.settings_that_differ(other, chosen)
    if len(settings):
        st.markdown("**Settings in which their trainings differ**")
        st.dataframe(settings, hide_index=True)


@st.cache_data(show_spinner=False, max_entries=16)
def _compare(chosen: Entry, state: tuple[Any, ...]) -> pd.DataFrame:
    return catalogue.compare(chosen)


def protocols(chosen: Entry, entries: list[Entry]) -> None:
    """Show what was tested on whom side by side, and what knowing the speakers is worth."""
    state = tuple(
        (e.key, stat.st_mtime_ns, stat.st_size)
        for e in entries
        if e.file.is_file() and (stat := e.file.stat())
    )
    table = _compare(chosen, state)
    for gap in catalogue.gaps(table):
        st.write(
            f"**{gap.recipe.capitalize()}:** of 100 clips it names {100 * gap.seen:.0f} right "
            f"where it knows the voices, and {100 * gap.unseen:.0f} where it does not. "
            + (
                f"So {100 * (gap.seen - gap.unseen):.0f} of the first come from having seen "
                "these speakers in training. For a new voice, expect the second figure."
                if gap.clear
                else "Chance alone may explain the difference."
            )
        )
    if not len(table):
        st.info("No report that could be compared is at hand.")
        return
    table["speakers"] = [Speakers(value).words for value in table["speakers"]]
    kinds = [speakers.words for speakers in Speakers]
    layout.show(plots.intervals(table, "title", by=kinds, step=44))
    st.caption(
        "A random split tests on the speakers of the training; unseen speakers are left out of it "
        "altogether; another corpus has other speakers, rooms, and often another language."
    )
    st.dataframe(
        _per_cent(table),
        hide_index=True,
        column_order=[
            *("title", "speakers", "n", "accuracy", "low", "high", "weighted_f1", "uar", "ece"),
        ],
        column_config={
            "title": "Report",
            "speakers": "Tested on",
            "n": "Clips",
            "accuracy": _percent("Accuracy", TERMS["accuracy"]),
            "low": _percent("95% from", TERMS["interval"]),
            "high": _percent("to", TERMS["interval"]),
            "weighted_f1": _percent("Weighted F1", TERMS["F1"]),
            "uar": _percent("UAR", TERMS["UAR"]),
            "ece": st.column_config.NumberColumn("ECE", format="%.3f", help=TERMS["ECE"]),
        },
    )


_SHARES = (
    *("accuracy", "low", "high", "uar", "uncertain", "weighted_f1"),
    *("precision", "recall", "f1", "probability", "confidence"),
)


def _per_cent(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose shares are in per cent, for the columns of `_percent`."""
    return table.assign(**{c: 100 * table[c] for c in _SHARES if c in table})


def _percent(title: str, words: str) -> Any:
    return st.column_config.NumberColumn(title, format="%.1f%%", help=words)


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as text for people: shares in per cent, columns named."""
    names = {"low": "95% from", "high": "to", "uar": "UAR", "ece": "ECE", "weighted_f1": "F1"}
    shown = table.copy()
    for column in table:
        if column in _SHARES:
            shown[column] = table[column].map("{:.1%}".format)
    if "ece" in table:
        shown["ece"] = table["ece"].map("{:.3f}".format)
    return shown.rename(columns=lambda column: names.get(column, column.capitalize()))
