"""Choosing a report on the Evaluation page, its figures in sum, and its files."""

from __future__ import annotations

import json

import streamlit as st

from ser.app import catalogue
from ser.app.catalogue import Entry
from ser.app.glossary import TERMS
from ser.app.widgets import address, layout
from ser.errors import ReportError
from ser.evaluation import rendering
from ser.evaluation.latex import to_latex
from ser.evaluation.report import Report
from ser.training.runs import Run


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
        help="From a shipped model, one of your runs, a test made here, or published with this "
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
        which = "of them before a final training on all" if report.refit else "others"
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
            st.write("To reproduce them, given the corpora:")
            command = report.command.replace("REPORT.json", layout.display_path(entry.file))
            st.code(command, language="bash", wrap_lines=True)
        if report.versions:
            words = ", ".join(f"{name} {number}" for name, number in report.versions.items())
            st.caption(layout.plain(f"Made with {words}."))


def downloads(entry: Entry, report: Report) -> None:
    """Offer the report as a page, as JSON, and its tables, each made when somebody wants it."""

    def page() -> str:
        try:
            epochs = catalogue.epochs_of(entry)
        except ReportError:
            epochs = []
        return rendering.to_html(report, epochs)

    def whole() -> str:
        return json.dumps(report.to_json(), ensure_ascii=False)

    with st.container(horizontal=True):
        for label, make, ending, kind, icon, words in (
            ("Report as a page", page, "html", "text/html", "description",
             "One self-contained HTML file."),
            ("Report as JSON", whole, "json", "application/json", "data_object",
             "Every figure, with all predictions."),
            ("Tables as LaTeX", lambda: to_latex(report), "tex", "text/x-tex", "functions",
             "For a paper: figures, emotions, confusions, groups and folds, with booktabs."),
            ("Predictions as CSV", lambda: layout.csv(report.predictions), "csv", "text/csv",
             "table", "One row per clip: truth, answer, and all probabilities."),
        ):  # fmt: skip
            st.download_button(
                label,
                make,
                f"{entry.key.replace('/', '-')}.{ending}",
                kind,
                on_click="ignore",
                icon=f":material/{icon}:",
                help=words,
            )
