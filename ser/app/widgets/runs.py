"""How trainings are shown: their progress, curves and figures, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from ser import assets, plots
from ser.app import access, catalogue, evaluations, history, learned, processes, sharing, workspace
from ser.app.glossary import TERMS
from ser.app.history import Training
from ser.app.widgets import layout
from ser.errors import SerError
from ser.training import queue
from ser.training.runs import MOST_NOTES, Run, SplitNames, Status

STAGES = {"preparing": "Features", "training": "Epochs", "evaluating": "Evaluation"}
"""What a training goes through, in the order it does."""

_ICONS = {
    "finished": ":material/check_circle:",
    "stopped": ":material/pause_circle:",
    "failed": ":material/error:",
    "interrupted": ":material/bolt:",
    history.DAMAGED: ":material/broken_image:",
}


def show_duration(trainings: Sequence[Training], preset: str) -> None:
    """Say how long the last training with a preset took, if one was finished here."""
    last = history.last_finished(trainings, preset)
    if last is not None:
        st.caption(
            f":material/timer: The last training with the {preset} preset took "
            f"**{layout.in_words(last.status.worked)}** here ({last.clips} clips)."
        )


def watch(trainings: Sequence[Training]) -> None:
    """Show every busy training, again each second; the whole page when one begins or ends.

    Those that ended since this user last saw them are left in ``st.session_state["ended"]``.
    """

    def busy_ones(among: Sequence[Training]) -> dict[str, bool]:
        return {training.name: training.is_running for training in among if training.is_busy}

    known = busy_ones(trainings)
    ended = set(st.session_state.get("watched", ())) - set(known)
    st.session_state["watched"] = list(known)
    if ended:
        st.session_state["ended"] = sorted(ended)

    def show() -> None:
        now = history.read_all(workspace.runs())
        if busy_ones(now) != known:
            st.rerun()
        # What is being trained comes first, then the queue in its order.
        busy = [training for training in now if training.is_busy]
        for training in sorted(busy, key=lambda t: (not t.is_running, t.status.since)):
            with st.container(border=True):
                _show_busy(training)

    st.fragment(show, run_every=1.0 if known else None)()


def _show_busy(training: Training) -> None:
    chosen = history.settings(training.config)
    words = ", ".join(str(chosen.get(key)) for key in ("Corpus", "Protocol", "Preset"))
    words = layout.plain(words)
    help = "It can be resumed; at most the epoch under way is trained again."
    show_stop(training.run, f"**{training.name}** · {words}", help=help)
    if training.state == "queued":
        _show_queue(training)
        return
    _show_stages(training)
    left = history.seconds_left(training)
    words = f"about {layout.in_words(left)} left" if left else ""
    show_progress(training.run, training.status, _step_words(training), words)
    if not training.epochs.empty:
        show_curves(training)


def _show_queue(training: Training) -> None:
    everybody = access.members() if access.is_team() else None
    before = queue.ahead_of(training.run, everybody)
    own = [run for run in before if run.folder.parent == workspace.folder()]
    ahead = [layout.plain(run.folder.name) for run in own]
    if others := len(before) - len(own):
        ahead.append(layout.count(others, "training") + " by others")
    st.info(
        f"In the queue: one training at a time. Begins when {' and '.join(ahead)} "
        f"{'has' if len(before) == 1 else 'have'} ended, even if this page is closed."
        if ahead
        else "It is next.",
        icon=":material/hourglass_top:",
    )


def _show_stages(training: Training) -> None:
    order = list(STAGES)
    now = order.index(training.state)
    parts = []
    for number, stage in enumerate(STAGES.values()):
        if number < now:
            parts.append(f":green[:material/check_circle: {stage}]")
        elif number == now:
            parts.append(f":blue[:material/pending: **{stage}**]")
        else:
            parts.append(f":gray[:material/circle: {stage}]")
    st.markdown("&emsp;".join(parts))


def _step_words(training: Training) -> str:
    status = training.status
    done, total, words = status.done, status.total, status.message
    if training.state == "training" and not training.by_members:
        epoch = f"{min(done + 1, total)} of {total}"
        return f"Epoch {epoch}" if status.stage == 1 else f"{words}: epoch {epoch}"
    return f"{words}: {done} of {total}" if total else words


def show_stop(run: Run, title: str, *, help: str) -> None:
    """Name what a process works on, with a button that stops it."""
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.markdown(title)
    if right.button(
        "Stop",
        key=f"stop-{run.folder.name}",
        icon=":material/stop_circle:",
        disabled=run.is_stopping,
        width="stretch",
        help=help,
    ):
        with layout.errors_for_people():
            processes.stop(run)


def show_progress(run: Run, status: Status, step: str, left: str) -> None:
    """Show how far a process is with a run.

    Parameters
    ----------
    run, status : Run, Status
        See `ser.training.runs.Run.read_status`.
    step : str
        What it does now.
    left : str
        How long that will still take; empty if it is not known.
    """
    done, total = status.done, status.total
    words = f"{step} · {left}" if left else f"{step} …"
    share = min(max(done / total, 0.0), 1.0) if total else 0.0
    st.progress(share, text="Stopping …" if run.is_stopping else words)


def show_curves(training: Training) -> None:
    """Show how loss, accuracy, learning rate and time went from epoch to epoch."""
    epochs, best = training.epochs, training.best_epoch
    last = epochs.iloc[-1]
    _show_epoch_figures(training)
    left, right = st.columns(2)
    with left:
        layout.show(
            plots.curve(epochs, "loss", best=best),
            table=epochs[["epoch", "loss", "val_loss"]],
            key=f"loss-{training.name}",
            alt=f"Loss after {len(epochs)} epochs: training {last['loss']:.2f}, validation "
            f"{last['val_loss']:.2f}; lowest validation loss in epoch {best}",
        )
    with right:
        layout.show(
            plots.curve(epochs, "accuracy", best=best),
            table=epochs[["epoch", "accuracy", "val_accuracy"]],
            key=f"accuracy-{training.name}",
            alt=f"Accuracy after {len(epochs)} epochs: training {last['accuracy']:.0%}, "
            f"validation {last['val_accuracy']:.0%}",
        )
    with st.expander("Learning rate and time per epoch", icon=":material/speed:"):
        left, right = st.columns(2)
        with left:
            layout.show(
                plots.curve(epochs, "learning_rate"),
                key=f"rate-{training.name}",
                alt=f"Learning rate, now {last['learning_rate']:.5f}",
            )
        with right:
            layout.show(
                plots.curve(epochs, "seconds"),
                key=f"seconds-{training.name}",
                alt=f"Seconds per epoch, the last {last['seconds']:.1f}",
            )
    show_log(training)


def _show_epoch_figures(training: Training) -> None:
    epochs = training.epochs
    with st.container(horizontal=True):
        st.metric("Epochs", f"{len(epochs)}", border=True)
        st.metric(
            "Best epoch",
            f"{training.best_epoch}",
            border=True,
            help="The epoch of the lowest loss on the validation clips, marked in the charts. What "
            "is kept is not that epoch but the running average of the weights at the end, which is "
            "usually better than any single epoch.",
        )
        st.metric(
            "Validation accuracy",
            f"{epochs['val_accuracy'].iloc[-1]:.0%}",
            border=True,
            help="The share of validation clips named correctly after the last epoch. They steer "
            "and calibrate the training; only the test clips say how good it is.",
        )
        st.metric(
            "Time per epoch",
            f"{epochs['seconds'].tail(5).mean():.1f} s",
            border=True,
            help="The mean of the last five epochs.",
        )


def show_log(training: Training) -> None:
    """Show what the process of a training said, when asked to."""
    with st.expander("Log", icon=":material/notes:"):
        text = processes.read_log(training.run)
        st.code(text or "Nothing yet: only trainings started here write a log.", language=None)


def show_table(trainings: Sequence[Training]) -> None:
    """Show all trainings as a table, the newest first."""
    number = st.column_config.NumberColumn
    st.dataframe(
        history.table(trainings),
        hide_index=True,
        placeholder="–",
        column_config={
            "Accuracy": number(format="percent", help=TERMS["accuracy"]),
            "Weighted F1": number(format="%.3f", help=TERMS["F1"]),
            history.FIGURES["uar"]: number(format="percent", help=TERMS["UAR"]),
            history.FIGURES["ece"]: number(format="%.3f", help=TERMS["ECE"]),
            "Training time (s)": number(format="%.0f", help="All epochs together."),
            "Started": st.column_config.DatetimeColumn(format="localized"),
        },
    )


def show_ended(training: Training) -> None:
    """Show a training that no process works on: how it ended, and what can be done now."""
    told = layout.plain(training.status.message)
    message = f"**{training.name}** · {training.state}: {told}"
    more = layout.plain(history.what_to_do(training))
    text = f"{message.rstrip('.')}. {more}".strip()
    box = {"finished": st.success, "stopped": st.info, "interrupted": st.warning}
    box.get(training.state, st.error)(text, icon=_ICONS.get(training.state))
    _show_actions(training)
    if training.state != history.DAMAGED:
        _show_notes(training)
    if training.figures:
        _show_figures(training)
    if not training.epochs.empty:
        show_curves(training)
    elif training.state != history.DAMAGED:
        show_log(training)
    if training.config is not None:
        with st.expander("Settings", icon=":material/tune:"):
            chosen = history.settings(training.config) | {"Folder": ", ".join(training.config.data)}
            st.table(pd.Series(chosen, name="Value").rename_axis("Setting"))


def _show_notes(training: Training) -> None:
    """Let people write down what they think of a training."""

    def keep() -> None:
        try:
            training.run.write_notes(st.session_state[key])
        except SerError as error:
            st.session_state[f"{key} failed"] = str(error)

    key = f"notes-{training.name}"
    st.text_area(
        "Notes",
        training.run.read_notes(),
        key=key,
        height=68,
        max_chars=MOST_NOTES,
        placeholder="What was tried, and why",
        on_change=keep,
        help="Kept in the folder of the run.",
    )
    if failed := st.session_state.pop(f"{key} failed", ""):
        st.error(layout.plain(failed), icon=":material/error:")


def _show_figures(training: Training) -> None:
    """Show how good a finished training is on its test clips."""
    with st.container(horizontal=True):
        for key, term in (("accuracy", "accuracy"), ("uar", "UAR"), ("ece", "ECE")):
            value = training.figures.get(key)
            shown = "–" if value is None else f"{value:.3f}" if key == "ece" else f"{value:.1%}"
            st.metric(history.FIGURES[key], shown, border=True, help=TERMS[term])
    report = catalogue.find_report(training.run.folder / "report.json")
    if report is not None:
        st.caption(f"On {report.n_test} test clips: {report.protocol_in_words}.")


def _show_actions(training: Training) -> None:
    name, folder = training.name, training.run.folder
    active = workspace.active_model() == folder.absolute()
    with st.container(horizontal=True):
        if training.state == "finished" and not active:
            if st.button(
                "Make it the active model",
                key=f"activate-{name}",
                type="primary",
                icon=":material/hearing:",
                help="It answers on every page and for everybody who uses this app, until another "
                "model is made active."
                if access.mode() == access.ALONE
                else "It answers you on every page, until another model is made active.",
            ):
                with layout.errors_for_people():
                    workspace.set_active_model(folder)
                    st.rerun()
        elif training.state in ("stopped", "failed", "interrupted") and st.button(
            "Resume", key=f"resume-{name}", type="primary", icon=":material/play_arrow:"
        ):
            with layout.errors_for_people(), st.spinner("Starting …"):
                processes.resume(training.run)
                st.rerun()
        if training.state == "finished":
            st.page_link(
                "pages/3_Evaluation.py",
                label="Open report",
                icon=":material/analytics:",
                query_params={"report": f"run/{name}"},
            )
            st.download_button(
                "Download the model",
                lambda: learned.packed(folder),
                f"{name}.zip",
                icon=":material/download:",
                key=f"take-{name}",
                on_click="ignore",
                help="With everything that belongs to it, and how to use it from Python and on "
                "the command line.",
            )
        if training.state == "finished" and access.is_team():
            _show_share(training)
        if training.config is not None and st.button(
            "Again with these settings",
            key=f"like-{name}",
            icon=":material/replay:",
            help="Opens the form with these settings, to change some.",
        ):
            st.session_state["new training"] = name
            st.rerun()
        if training.state != history.DAMAGED:
            _show_rename(training)
        _show_delete(training, active=active)


def _show_share(training: Training) -> None:
    with st.popover("Share", icon=":material/group:"):
        st.write(
            "Everybody in the team can then use a copy of this model, read its report and "
            "download both. Recordings are not shared."
        )
        if st.button("Share it", key=f"share-{training.name}"):
            with layout.errors_for_people():
                copy = sharing.share(training.run.folder)
                st.success(f"Shared as {layout.plain(copy.name)}.", icon=":material/check:")


def _show_rename(training: Training) -> None:
    with st.popover("Rename", icon=":material/edit:"):
        name = st.text_input("New name", training.name, max_chars=60, key=f"name-{training.name}")
        if st.button("Rename it", key=f"rename-{training.name}"):
            with layout.errors_for_people():
                processes.rename(training.run, name.strip())
                st.session_state["ended"] = [name.strip()]  # what is looked at next
                st.rerun()


def _show_delete(training: Training, *, active: bool) -> None:
    name = training.name
    with st.popover("Delete", icon=":material/delete:"):
        st.write(
            f"**{layout.plain(name)}** and everything in its folder is deleted for good."
            + (" It is the active model; everyday will answer again." if active else "")
        )
        if st.button("Delete it", key=f"delete-{name}", icon=":material/delete_forever:"):
            with layout.errors_for_people():
                processes.delete(training.run)
                st.rerun()


def show_active() -> None:
    """Say which model answers, and offer the way back to the default."""
    active = workspace.active_model()
    with st.container(horizontal=True, vertical_alignment="center"):
        name = layout.plain(layout.model_label(active))
        st.markdown(f":material/hearing: The active model is **{name}**.")
        if active != assets.DEFAULT_MODEL and st.button("Back to everyday", icon=":material/undo:"):
            with layout.errors_for_people():
                workspace.set_active_model(assets.DEFAULT_MODEL)
                st.rerun()


def show_comparison(trainings: Sequence[Training]) -> None:
    """Show two or more trainings in one chart, and in what they differ."""
    _compare_curves({t.name: t.epochs for t in trainings if not t.epochs.empty})
    _compare_recalls(trainings)
    st.caption("Figures on the test clips, and the settings in which they differ.")
    st.dataframe(history.differences(trainings), hide_index=True)
    if _are_one_study(trainings):
        _show_study(trainings)
    elif _have_other_tests(trainings):
        st.warning(
            "They were tested on different clips (another corpus, or one that has changed; another "
            "protocol, seed or fold), so their figures cannot be compared as they stand.",
            icon=":material/balance:",
        )


def _splits(trainings: Sequence[Training]) -> list[SplitNames]:
    """Return which clips runs train and test on, as far as that is known."""
    found = []
    for training in trainings:
        with suppress(SerError, OSError):
            found.append(training.run.read_split())
    return found


def _have_other_tests(trainings: Sequence[Training]) -> bool:
    """Say whether runs are tested on different clips."""
    wanted = {(c.data, c.protocol, c.seed, c.folds, c.fold) for t in trainings if (c := t.config)}
    tested = {(split.corpus, frozenset(split.test)) for split in _splits(trainings)}
    return len(wanted) > 1 or len(tested) > 1


def _are_one_study(trainings: Sequence[Training]) -> bool:
    """Say whether these are finished runs of one configuration, with other seeds or folds."""
    configs = [t.config for t in trainings if t.config is not None and t.figures]
    if len(configs) < len(trainings) or len({s.corpus for s in _splits(trainings)}) > 1:
        return False
    from ser.training.studies import one_configuration

    try:
        return bool(one_configuration(configs))
    except SerError:
        return False


def _show_study(trainings: Sequence[Training]) -> None:
    """Show mean and spread of several runs of one configuration, and offer one report of them."""
    st.write(f"**{len(trainings)} runs of one configuration**: mean ± standard deviation")
    with st.container(horizontal=True):
        for key, term in (("accuracy", "accuracy"), ("uar", "UAR"), ("ece", "ECE")):
            values = pd.Series([training.figures[key] for training in trainings])
            form = "{:.3f} ± {:.3f}" if key == "ece" else "{:.1%} ± {:.1%}"
            shown = form.format(values.mean(), values.std())
            st.metric(history.FIGURES[key], shown, border=True, help=TERMS[term])
    if st.button(
        "Make one report of them",
        icon=":material/analytics:",
        help="It is added to the reports on the Evaluation page.",
    ):
        with layout.errors_for_people():
            study = evaluations.report_together([training.run for training in trainings])
            st.session_state["open report"] = f"evaluation/{study.folder.name}"
            st.switch_page("pages/3_Evaluation.py")


def _compare_curves(tables: dict[str, pd.DataFrame]) -> None:
    if not tables:
        st.info("None of them has finished an epoch, so there is no curve to compare.")
        return
    for column, figure in zip(st.columns(2), ("accuracy", "loss"), strict=True):
        with column:
            layout.show(
                plots.comparison(tables, figure),
                key=f"compare-{figure}",
                alt="; ".join(
                    f"{name}: validation {figure} {epochs[f'val_{figure}'].iloc[-1]:.2f} "
                    f"after {len(epochs)} epochs"
                    for name, epochs in tables.items()
                ),
            )


def _compare_recalls(trainings: Sequence[Training]) -> None:
    found = {t.name: catalogue.find_report(t.run.folder / "report.json") for t in trainings}
    tables = {name: report.per_class() for name, report in found.items() if report is not None}
    if len(tables) > 1:
        st.write("**Recall of each emotion on the test clips**, with 95% intervals; dotted: chance")
        numbers = pd.concat([each.assign(run=name) for name, each in tables.items()])
        layout.show(plots.recall_comparison(tables), key="compare-recalls", table=numbers.round(3))
