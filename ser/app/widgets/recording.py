"""Recording, importing and looking after one's own recordings."""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ser import plots
from ser.app import access, audit, workspace
from ser.app.glossary import TERMS
from ser.app.widgets import layout, visitor
from ser.audio import AudioError
from ser.data.recordings import Voice
from ser.errors import DataError
from ser.labels import EMOTIONS

_ME = "me"
_WANTED = 5  # recordings of each emotion
_AT_ONCE = 10  # recordings in one table, each sent with its sound
_CHECK_EVERY = 10  # clips of an import, whether there is room for more
_DELETE = "delete recording"
_PERSON, _CONSENT = "person", "voice-consent"  # of this visitor


def current() -> Voice:
    """Return the recordings of the person whom this visitor chose last."""
    return Voice(workspace.voices() / st.session_state.get(_PERSON, _ME))


def agreed() -> bool:
    """Ask once per visitor whether recordings may be kept, and say whether they may."""
    if st.session_state.get(_CONSENT):
        return True

    def agree() -> None:
        st.session_state[_CONSENT] = True

    st.checkbox(
        "Keep what I record or import on the computer this app runs on. I can delete all of it at "
        "any time.",
        key="agree",
        on_change=agree,
    )
    st.info(
        "Nothing is recorded or kept until you agree. Recordings never leave that computer.",
        icon=":material/lock:",
    )
    return False


def choose() -> Voice | None:
    """Let the visitor say who speaks, and agree to keep recordings; None until then."""
    if not agreed():
        return None
    folders = workspace.voices().glob("*")
    people = sorted(p.name for p in folders if workspace.NAME.fullmatch(p.name))
    person = st.session_state.get(_PERSON, _ME)
    people = list(dict.fromkeys([person, *people]))
    name = st.selectbox(
        "Who speaks?",
        people,
        index=people.index(person),
        accept_new_options=True,
        key="who",  # without one, a new name makes a new widget and the page jumps
        help="Each person has recordings of their own. Type a new name to add somebody.",
    )
    if not workspace.NAME.fullmatch(name):
        st.error(
            f"{layout.plain(name)} cannot be a name. Use letters (a to z), digits, - and _, at "
            "most 60.",
            icon=":material/error:",
        )
        return None
    st.session_state[_PERSON] = name
    voice = current()
    count = len(voice.recordings())
    st.caption(f":material/radio_button_checked: {layout.count(count, 'recording')} kept.")
    return voice


def show_progress(voice: Voice, wanted: int) -> None:
    """Show how many recordings there are of every emotion."""
    counts = voice.recordings()["emotion"].value_counts().reindex(EMOTIONS, fill_value=0)
    table = pd.DataFrame({"emotion": counts.index, "recordings": counts.to_numpy()})
    layout.show(
        plots.recordings_per_emotion(table, wanted),
        table=table,
        alt=", ".join(f"{e}: {n} of {wanted} recordings" for e, n in counts.items()),
    )


ELSEWHERE = (
    ", or from a folder or CSV table (columns path and emotion) on the computer this app runs on."
)


def show_import(voice: Voice) -> None:
    """Take clips that the visitor has already: labelled one by one, as a zip, or from a folder."""
    st.write(
        "Add clips you already have: files that share one emotion, or a zip with a folder per "
        "emotion (or one exported here)" + (ELSEWHERE if access.may_change() else ".")
    )
    emotion = st.selectbox("The emotion of these files", ["in the zip", *EMOTIONS])
    files = st.file_uploader(
        "Audio files or a zip",
        accept_multiple_files=True,
        max_upload_size=visitor.largest_upload(200),
    )
    place = ""
    if access.may_change():
        place = st.text_input("Or a folder or CSV file", placeholder="/home/me/clips")
    if st.button("Import", icon=":material/input:", disabled=not (files or place.strip())):
        st.session_state["imported"] = _import(voice, files, emotion, place.strip())
        st.rerun()  # what is said above of the recordings has changed
    if "imported" in st.session_state:
        added, refused = st.session_state.pop("imported")
        if added:
            st.success(f"{layout.count(added, 'clip')} imported.", icon=":material/check:")
        else:
            st.warning("No clip was imported.", icon=":material/block:")
        if len(refused):
            st.write(f"{len(refused)} files were left out:")
            st.dataframe(refused, hide_index=True)


def _import(
    voice: Voice, files: Sequence[Any], emotion: str, place: str
) -> tuple[int, pd.DataFrame]:
    """Import what was given; returns how many became recordings, and why the others did not."""
    before = len(voice.recordings())
    refused = [pd.DataFrame(columns=["path", "reason"])]
    bar = st.progress(0.0, "Importing …")

    def progress(_: str, done: int, total: int) -> None:
        bar.progress(done / total, f"{done} of {total} clips")
        if done % _CHECK_EVERY == 0:
            visitor.check_space()

    # One that cannot be used must not keep the others out.
    for file in files:
        try:
            visitor.check_space()
            if file.name.lower().endswith(".zip"):
                _, others = voice.import_zip(file.getvalue(), progress=progress)
                refused.append(others)
            elif emotion not in EMOTIONS:
                raise DataError("It is not a zip: choose its emotion first.")
            else:
                voice.add(file.getvalue(), emotion, file.name)
        except (AudioError, DataError) as error:
            refused.append(pd.DataFrame([{"path": file.name, "reason": str(error)}]))
    if place:
        try:
            folder = Path(os.path.expanduser(place))
            if access.is_team():
                workspace.scan([folder])
            _, others = voice.import_clips(folder, progress=progress)
            refused.append(others)
        except DataError as error:
            refused.append(pd.DataFrame([{"path": place, "reason": str(error)}]))
    bar.empty()
    return len(voice.recordings()) - before, pd.concat(refused, ignore_index=True)


def show_recordings(voice: Voice) -> None:
    """List the recordings, the newest first, to hear, to export and to delete."""
    table = voice.recordings()[::-1]
    if table.empty:
        st.info("No recording is kept yet.", icon=":material/graphic_eq:")
        return
    show_progress(voice, _WANTED)
    place = st.container()
    pages = math.ceil(len(table) / _AT_ONCE)
    page = st.pagination(pages, key="recordings") if pages > 1 else 1
    with place:
        _list(voice, table[(page - 1) * _AT_ONCE : page * _AT_ONCE])
    export, clear = st.columns(2)
    export.download_button(
        "All as a zip",
        voice.export,
        f"{re.sub('[^A-Za-z0-9]+', '-', voice.folder.name) or 'voice'}.zip",
        icon=":material/folder_zip:",
        width="stretch",
    )
    with clear.popover("Delete all", icon=":material/delete_forever:", width="stretch"):
        st.write(f"{len(table)} recordings will be gone. Models that learned them are kept.")
        if st.button(f"Delete all {len(table)} recordings", type="primary"):
            audit.record("delete recordings", voice.folder.name)
            voice.clear()
            st.rerun()


def _list(voice: Voice, table: pd.DataFrame) -> None:
    """Show recordings as a table with a player and a button in each row."""
    sounds = [base64.b64encode((voice.folder / name).read_bytes()) for name in table["path"]]
    st.caption("Double-click on a sound to listen.")
    st.dataframe(
        table.assign(
            sound=[f"data:audio/wav;base64,{sound.decode()}" for sound in sounds],
            delete=":material/delete: Delete",
            recorded=pd.to_datetime(table["recorded"], errors="coerce", utc=True),
        ),
        hide_index=True,
        column_config={
            "sound": st.column_config.AudioColumn("Sound"),
            "emotion": "Emotion",
            "statement": "Sentence or file",
            "seconds": st.column_config.NumberColumn("Length (s)", format="%.1f"),
            "level_dbfs": st.column_config.NumberColumn(
                "Level (dBFS)", format="%.0f", help=TERMS["dBFS"]
            ),
            "recorded": st.column_config.DatetimeColumn("Kept on", format="localized"),
            "path": "File",
            "delete": st.column_config.ButtonColumn("", type="tertiary", key=_DELETE),
        },
        column_order=(
            *("sound", "delete", "emotion", "statement"),
            *("seconds", "level_dbfs", "recorded", "path"),
        ),
        alt="Recordings, each with a player and a button that deletes it",
    )
    click = st.session_state.get(_DELETE)
    if click and click.row < len(table):  # or another tab has deleted it already
        _ask_to_delete(voice, table.iloc[click.row])


@st.dialog("Delete this recording?")
def _ask_to_delete(voice: Voice, row: pd.Series) -> None:
    with layout.errors_for_people():
        st.write(f"{row['emotion'].capitalize()}: “{layout.plain(row['statement'])}”")
        file = voice.folder / row["path"]
        if not file.is_file():  # another tab has deleted it meanwhile
            st.rerun()
        st.audio(file.read_bytes(), format="audio/wav")
        if st.button("Delete it", icon=":material/delete:", type="primary"):
            audit.record("delete recording", voice.folder.name)
            voice.remove(row["path"])
            st.rerun()
