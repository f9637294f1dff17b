"""Train a model of one's own, watch it, and compare it with others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import streamlit as st

from ser import assets
from ser.app import access, history, processes, workspace
from ser.app.history import Training
from ser.app.widgets import frame, layout, runs
from ser.app.widgets.corpus import pick
from ser.data import corpora, splits
from ser.training.config import PRESETS, TrainingConfig

PROTOCOLS = {
    "random": (
        "Random split",
        "A random fifth of the clips is for testing. The same speakers are seen in training, so "
        "the figures are flattering.",
    ),
    "unseen-speakers": (
        "Unseen speakers",
        "The clips of about a fifth of the speakers are for testing. This says how it will do on a "
        "new voice.",
    ),
}
PRESETS_IN_WORDS = {
    "quick": (
        "Quick",
        "A first look: {epochs} epochs, {copies} augmented copies per clip, one network, and no "
        "tests in noise and rooms.",
    ),
    "full": (
        "Full",
        "Like the model ravdess: {epochs} epochs, {copies} copies, {members} networks.",
    ),
    "unseen-speakers": (
        "For new voices",
        "For voices that are not in the corpus: {epochs} epochs, {members} networks, trained "
        "again with the speakers they were calibrated on.",
    ),
    "everyday": (
        "Everyday",
        "On top of Whisper's encoder, which has heard all kinds of speech: {epochs} epochs, "
        "{members} networks. It gets used to a voice by listening.",
    ),
}


@st.cache_data(ttl=600, max_entries=20, show_spinner="Looking through the corpus …")
def count_speakers(location: str) -> int:
    """Count the speakers of a corpus, who decide how many folds there can be."""
    return corpora.scan(location).clips["speaker"].nunique()


def folds_for(protocol: str, speakers: int) -> int:
    """Return how many folds to make: of few speakers, one for each."""
    folds = splits.FOLDS["unseen-speakers"]
    return max(min(folds, speakers), 2) if protocol == "unseen-speakers" else folds


def choose_recipe() -> tuple[str, str]:
    """Let the user choose protocol and preset; returns the two names."""
    left, right = st.columns(2)
    protocol = left.radio(
        "Protocol",
        list(PROTOCOLS),
        format_func=lambda name: PROTOCOLS[name][0],
        captions=[caption for _, caption in PROTOCOLS.values()],
        help="Which clips are kept for testing. The figures of the two differ a lot: a voice "
        "that was seen in training is far easier than a new one.",
    )
    preset = right.radio(
        "Preset",
        list(PRESETS),
        format_func=lambda name: PRESETS_IN_WORDS[name][0],
        captions=[
            PRESETS_IN_WORDS[name][1].format(**values, members=values["model"].members)
            for name, values in PRESETS.items()
        ],
        help="How long and how thoroughly it learns. Every value can be changed below.",
    )
    return protocol, preset


def choose_settings(defaults: TrainingConfig) -> dict[str, Any]:
    """Let the user change the values of a preset; returns those of the fields shown."""
    one, two, three = st.columns(3)
    epochs = one.number_input(
        "Epochs",
        1,
        10_000,
        defaults.epochs,
        help="How often it goes through the training clips.",
    )
    batch_size = two.number_input(
        "Batch size",
        1,
        1024,
        defaults.batch_size,
        help="Clips per step. Fewer make more and noisier steps; 32 is a good start.",
    )
    learning_rate = three.number_input(
        "Learning rate",
        min(1e-5, defaults.learning_rate),
        1.0,
        defaults.learning_rate,
        step=5e-4,
        format="%g",
        help="The size of a step at its highest: it rises over the first epochs and then "
        "falls to 0. Too high and the loss jumps about, too low and it hardly falls.",
    )
    copies = one.number_input(
        "Augmented copies",
        0,
        100,
        defaults.copies,
        help="Altered versions of each training clip: faster, slower, in a room, in noise. "
        "They cost time and memory, and help more than any other setting.",
    )
    members = two.number_input(
        "Networks",
        1,
        20,
        defaults.model.members,
        help="How many networks are trained side by side; their answers are averaged.",
    )
    seed = three.number_input(
        "Seed",
        0,
        2**32 - 1,
        defaults.seed,
        help="Decides every random choice, also which clips are for testing. The same seed "
        "gives the same model again.",
    )
    return {
        "epochs": int(epochs),
        "batch_size": int(batch_size),
        "learning_rate": float(learning_rate),
        "copies": int(copies),
        "model": replace(defaults.model, members=int(members)),
        "seed": int(seed),
    }


def name_for(corpus: str, preset: str) -> str:
    """Propose a name for a training that no other has."""
    stem = re.sub(r"[^a-z0-9]+", "-", Path(corpus or "corpus").name.lower()).strip("-")[:30]
    return processes.free_name(f"{stem or 'corpus'}-{preset}-{date.today():%Y-%m-%d}")


_OPEN = "new training"  # of this visitor: what the form begins with, while it is open


def _open_form() -> None:
    st.session_state[_OPEN] = ""


def _close_form() -> None:
    st.session_state.pop(_OPEN, None)


@st.dialog("New training", width="large", on_dismiss=_close_form)
def new_training(found: Sequence[Training], like: str) -> None:
    """Show the form that starts a training, perhaps like another one."""
    model = next((t for t in found if t.name == like and t.config), None)
    if model is not None and model.config is not None:
        _start_like(model.name, model.config, found)
        return
    corpus = pick("The clips to learn from.")
    if corpus == str(assets.SAMPLES):
        st.caption(
            "The samples are made by a script. A model trained on them shows how training "
            "works, but has never heard a human voice."
        )
    protocol, preset = choose_recipe()
    defaults = TrainingConfig(data=(corpus,), protocol=protocol, **PRESETS[preset])
    with st.expander("Settings", icon=":material/tune:"):
        chosen = choose_settings(defaults)
    name = st.text_input(
        "Name",
        name_for(corpus, preset),
        max_chars=60,
        help="Of the run and its model: letters, digits, - and _.",
    )
    config = None
    if corpus:
        with layout.errors_for_people():
            folds = folds_for(protocol, count_speakers(corpus))
            config = replace(defaults, folds=folds, **chosen)
        runs.show_duration(found, preset)
    else:
        st.info("Choose a corpus, or type the path of one.", icon=":material/folder:")
    _start(name, config, found)


def _start_like(name: str, config: TrainingConfig, found: Sequence[Training]) -> None:
    """Show the form that starts a training with the settings of another, or some of them."""
    st.write(
        f"Uses the corpus and protocol of **{layout.plain(name)}**. With the same settings "
        "and seed it would be the same model again, so change something."
    )
    chosen = choose_settings(config)
    new = st.text_input("Name", processes.free_name(f"{name[:56]}-2"), max_chars=60)
    changed = None
    with layout.errors_for_people():
        changed = replace(config, **chosen)
    _start(new, changed, found)


def _start(name: str, config: TrainingConfig | None, found: Sequence[Training]) -> None:
    """Offer to start a training, or say what it waits for."""
    if busy := [training for training in found if training.is_busy]:
        st.caption(
            f":material/hourglass_top: {layout.plain(busy[-1].name)} is at work. One training runs "
            "at a time: this one will wait in the queue and begin by itself."
        )
    several: dict[str, TrainingConfig] = {}
    if config is not None:
        with layout.errors_for_people():
            several = choose_runs(name.strip(), config)
    if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=not several):
        with layout.errors_for_people(), st.spinner("Starting …"):
            processes.check_room(len(several))
            for one in several:
                processes.check_name(one)
            for one, settings in several.items():
                processes.start(one, settings)
            _close_form()
            st.rerun()


def choose_runs(name: str, config: TrainingConfig) -> dict[str, TrainingConfig]:
    """Let the user have one configuration trained once, or as a study; returns runs by name."""
    one, seeds, folds = "One run", "Several seeds", f"All {config.folds} folds"
    kind = st.segmented_control(
        "Runs",
        [one, seeds, *([folds] if config.protocol == "unseen-speakers" else [])],
        default=one,
        required=True,
        help="Several seeds tell how much of a figure is luck; all folds test every speaker once. "
        "The runs wait in the queue. Select them together below for their mean and spread, or for "
        "one report of all.",
    )
    if kind == one:
        return {name: config}
    if kind == folds:
        return {f"{name}-fold-{i + 1}": replace(config, fold=i) for i in range(config.folds)}
    count = int(st.number_input("Seeds", 2, 20, 3, help=f"From {config.seed} on."))
    each = range(config.seed, config.seed + count)
    return {f"{name}-seed-{seed}": replace(config, seed=seed) for seed in each}


def all_trainings(found: Sequence[Training]) -> None:
    """Show the table of all trainings, and what the user chose to look at."""
    runs.show_active()
    if not found:
        st.info(
            "Nothing has been trained here yet. The samples with the quick preset are a good "
            "start.",
            icon=":material/school:",
        )
        return
    runs.show_table(found)
    ended = {training.name: training for training in found if not training.is_busy}
    if not ended:
        return
    # Names, not rows: a row number would mean another run as soon as one is added.
    look = st.session_state.pop("ended", None) or st.session_state.get("look")
    if look is None:
        look = list(ended)[:1]
    st.session_state["look"] = [name for name in look if name in ended]
    chosen = st.multiselect(
        "Look at",
        list(ended),
        key="look",
        placeholder="Choose one, or several to compare",
        help="One shows how it went and what can be done with it; several are compared.",
    )
    if len(chosen) == 1:
        runs.show_ended(ended[chosen[0]])
    elif chosen:
        runs.show_comparison([ended[name] for name in chosen])


_EVERYBODYS = "Trainings belong to the app, so everybody who opens it sees the same."


def show() -> None:
    """Show the page."""
    frame.page("Training")
    if not access.may_change():
        st.info(
            "Your role on this server is viewer. Ask for the role member to train models."
            if access.is_team()
            else "Nobody can train on this server. Install the app on a computer of your own to do "
            "so.",
            icon=":material/lock:",
        )
        frame.finish()
        return
    st.write(
        "Train a model on a corpus. The training goes on if you leave or close this page, or "
        "restart the app. " + ("Only you see your trainings." if access.is_team() else _EVERYBODYS)
    )
    found = history.read_all(workspace.runs())
    if any(training.is_busy for training in found):
        st.subheader("Running now")
    runs.watch(found)
    st.button("New training", type="primary", icon=":material/add:", on_click=_open_form)
    st.subheader("Trainings")
    all_trainings(found)
    if _OPEN in st.session_state:
        new_training(found, st.session_state[_OPEN])
    frame.finish()
