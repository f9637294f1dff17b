"""A report beside others on the Evaluation page: one clip by clip, all in a table."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from ser import plots
from ser.app import catalogue
from ser.app.catalogue import Entry
from ser.app.glossary import TERMS
from ser.app.widgets import address, layout
from ser.app.widgets.report_parts import per_cent, percent
from ser.evaluation import comparison
from ser.evaluation.report import Report, Speakers


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
    elif found.repeated:
        st.write(
            "One of them tested the same clips **several times**, so they are not compared clip by "
            "clip."
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


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}")


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
            f"**{gap.recipe.capitalize()}:** of 100 clips it gets {100 * gap.seen:.0f} right when "
            f"it knows the voices, and {100 * gap.unseen:.0f} when it does not. "
            + (
                f"So {100 * (gap.seen - gap.unseen):.0f} of the first come from having seen "
                "these speakers in training. For a new voice, expect the second figure."
                if gap.clear
                else "Chance alone may explain the difference."
            )
        )
    if not len(table):
        st.info("There are no reports to compare.")
        return
    table["speakers"] = [Speakers(value).words for value in table["speakers"]]
    kinds = [speakers.words for speakers in Speakers]
    layout.show(plots.intervals(table, "title", by=kinds, step=52))
    st.caption(
        "A random split tests on the speakers of the training; unseen speakers are left out of it "
        "altogether; another corpus has other speakers, rooms, and often another language."
    )
    st.dataframe(
        per_cent(table),
        hide_index=True,
        column_order=[
            *("title", "speakers", "n", "accuracy", "low", "high", "weighted_f1", "uar", "ece"),
        ],
        column_config={
            "title": st.column_config.TextColumn("Report", width="large"),
            "speakers": "Tested on",
            "n": "Clips",
            "accuracy": percent("Accuracy", TERMS["accuracy"]),
            "low": percent("95% from", TERMS["interval"]),
            "high": percent("to", TERMS["interval"]),
            "weighted_f1": percent("Weighted F1", TERMS["F1"]),
            "uar": percent("Average recall", TERMS["UAR"]),
            "ece": st.column_config.NumberColumn(
                "Calibration error", format="%.3f", help=TERMS["ECE"]
            ),
        },
    )


@st.cache_data(show_spinner=False, max_entries=16)
def _compare(chosen: Entry, state: tuple[Any, ...]) -> pd.DataFrame:
    return catalogue.compare(chosen)
