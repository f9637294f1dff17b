"""Recording, importing and looking after one's own recordings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from ser import plots
from ser.app import workspace
from ser.app.glossary import TERMS
from ser.app.widgets import layout, microphone
from ser.audio import AudioError, load_audio
from ser.data.recordings import SENTENCES, Voice, check_recording
from ser.errors import DataError
from ser.labels import EMOTIONS

if TYPE_CHECKING:
    from ser.models.streaming import Recorder

_HOW = {
    "neutral": "as if you read it from a list",
    "calm": "slowly and warmly, as if to soothe someone",
    "happy": "as if you had been waiting for this",
    "sad": "as if you had lost something",
    "angry": "as if it were the tenth time",
    "fearful": "as if someone stood behind the door",
    "disgust": "as if something smelled bad",
    "surprised": "as if you could not believe it",
}


def choose() -> Voice | None:
    """Let the visitor say where the recordings are kept, and agree to it; None until then."""
    folder = st.text_input(
        "Folder for your recordings",
        value=st.session_state.get("voice-folder", str(workspace.folder() / "voices" / "me")),
        help="On the computer this app runs on. Come back with the same folder on another day to "
        "go on; everyone who can read that folder can hear your recordings.",
    )
    if not folder.strip():
        st.info("Name a folder first.", icon=":material/folder:")
        return None
    st.session_state["voice-folder"] = folder
    voice = Voice(Path(folder).expanduser())
    count = len(voice.recordings())
    agreed = st.checkbox(
        f"Keep what I record or import in this folder ({count} recordings are there now). I can "
        "delete all of it at any time.",
        key=f"agreed-{folder}",
    )
    if not agreed:
        st.info(
            f"Nothing is recorded, or kept in `{voice.folder}`, until you agree. Recordings never "
            "leave this computer.",
            icon=":material/lock:",
        )
        return None
    st.caption(f":material/radio_button_checked: {count} recordings are kept in `{voice.folder}`.")
    return voice


def show_progress(voice: Voice, wanted: int) -> pd.Series:
    """Show how many recordings there are of every emotion; returns these numbers."""
    counts = voice.recordings()["emotion"].value_counts().reindex(EMOTIONS, fill_value=0)
    table = pd.DataFrame({"emotion": counts.index, "recordings": counts.to_numpy()})
    layout.show(
        plots.recordings_per_emotion(table, wanted),
        table=table,
        alt=", ".join(f"{e}: {n} of {wanted} recordings" for e, n in counts.items()),
    )
    return counts


def show_recording(voice: Voice) -> None:
    """Guide through the recordings: a sentence and an emotion, record, listen, keep or repeat."""
    from ser.models.streaming import Recorder

    wanted = st.slider(
        "Recordings per emotion",
        1,
        8,
        5,
        help="Five teach a model a voice, and two are better than none.",
    )
    counts = show_progress(voice, wanted)
    if (counts >= wanted).all():
        st.success("All recordings are there. Open *Learn*.", icon=":material/check:")
    emotion, sentence = _ask_what_to_say(counts, wanted)
    connection = microphone.connect("voice", Recorder)
    recorder = connection.recorder if connection.listening else None
    if recorder is None:  # what was being recorded is lost with the connection
        st.session_state.pop("recording-begin", None)
    if recorder is not None and "recording-begin" in st.session_state:
        _finish(recorder)
    elif "recording" in st.session_state:
        _judge(voice, emotion, sentence)
    elif recorder is not None:
        _begin(recorder)
    else:
        st.info(
            "Press *Start listening* once, and record one sentence after the other. Nothing "
            "is kept that you do not keep.",
            icon=":material/mic:",
        )


def _ask_what_to_say(counts: pd.Series, wanted: int) -> tuple[str, str]:
    """Let the visitor choose the emotion and the sentence to say, and say how."""
    missing = [emotion for emotion in EMOTIONS if counts[emotion] < wanted]
    fewest = min(missing, key=lambda emotion: counts[emotion], default=EMOTIONS[0])
    left, right = st.columns(2)
    chosen = left.selectbox(
        "Emotion",
        [None, *EMOTIONS],
        format_func=lambda e: e or f"the next one: {fewest}",
        help="The next one is that of the fewest recordings.",
    )
    emotion = chosen or fewest
    turn, own = int(counts[emotion]) % 2, "a sentence of my own"
    sentence = right.selectbox("Sentence", [SENTENCES[turn], SENTENCES[1 - turn], own])
    words = "whatever you like, two or three seconds long" if sentence == own else f"“{sentence}”"
    st.subheader(f"Say as :blue[{emotion}]: {words}")
    st.caption(f"Act it {_HOW[emotion]}. Overdoing it a little is right.")
    return emotion, sentence


def _begin(recorder: Recorder) -> None:
    _meter(recorder)
    if st.button("Record", icon=":material/fiber_manual_record:", type="primary"):
        st.session_state["recording-begin"] = recorder.signal().seconds
        st.rerun()


def _finish(recorder: Recorder) -> None:
    st.error("**Recording.** Speak now.", icon=":material/radio_button_checked:")
    _meter(recorder)
    if st.button("Done", icon=":material/stop:", type="primary"):
        begin = st.session_state.pop("recording-begin")
        st.session_state["recording"] = recorder.recording(begin)
        st.rerun()


@st.fragment(run_every=0.3)
def _meter(recorder: Recorder) -> None:
    microphone.show_sound(recorder.signal())


def _judge(voice: Voice, emotion: str, said: str) -> None:
    recording = st.session_state["recording"]
    st.audio(recording, format="audio/wav")
    usable = False
    with layout.errors_for_people():
        for warning in check_recording(load_audio(recording)):
            st.warning(warning, icon=":material/hearing:")
        usable = True
    keep, repeat = st.columns(2)
    if keep.button(
        f"Keep as {emotion}",
        icon=":material/check:",
        type="primary",
        width="stretch",
        disabled=not usable,
    ):
        with layout.errors_for_people():
            voice.add(recording, emotion, said)
            del st.session_state["recording"]
            st.rerun()
    if repeat.button("Throw away and repeat", icon=":material/replay:", width="stretch"):
        del st.session_state["recording"]
        st.rerun()


def show_import(voice: Voice) -> None:
    """Take clips that the visitor has already: labelled one by one, as a zip, or from a folder."""
    st.write(
        "Clips that you have already become recordings as well: with one emotion for all of "
        "them, as a zip with a folder per emotion (or one exported here), or from a folder or "
        "CSV table (columns path and emotion) on the computer this app runs on."
    )
    emotion = st.selectbox("The emotion of these files", ["in the zip", *EMOTIONS])
    files = st.file_uploader("Audio files or a zip", accept_multiple_files=True)
    place = st.text_input("Or a folder or CSV file", placeholder="/home/me/clips")
    if st.button("Import", icon=":material/input:", disabled=not (files or place.strip())):
        st.session_state["imported"] = _import(voice, files, emotion, place.strip())
        st.rerun()  # what is said above of the recordings has changed
    if "imported" in st.session_state:
        added, refused = st.session_state.pop("imported")
        if added:
            st.success(f"{added} clips became recordings.", icon=":material/check:")
        else:
            st.warning("No clip became a recording.", icon=":material/block:")
        if len(refused):
            st.write(f"{len(refused)} files were left out:")
            st.dataframe(refused, hide_index=True)


def _import(
    voice: Voice, files: Sequence[Any], emotion: str, place: str
) -> tuple[int, pd.DataFrame]:
    """Import what was given; returns how many became recordings, and why the others did not."""
    added, refused = 0, [pd.DataFrame(columns=["path", "reason"])]
    bar = st.progress(0.0, "Importing …")

    def progress(_: str, done: int, total: int) -> None:
        bar.progress(done / total, f"{done} of {total} clips")

    # One that cannot be used must not keep the others out.
    for file in files:
        try:
            if file.name.lower().endswith(".zip"):
                some, others = voice.import_zip(file.getvalue(), progress=progress)
                added += some
                refused.append(others)
            elif emotion not in EMOTIONS:
                raise DataError("It is no zip: say which emotion it is.")
            else:
                voice.add(file.getvalue(), emotion, "imported")
                added += 1
        except (AudioError, DataError) as error:
            refused.append(pd.DataFrame([{"path": file.name, "reason": str(error)}]))
    if place:
        try:
            some, others = voice.import_clips(Path(place).expanduser(), progress=progress)
            added += some
            refused.append(others)
        except DataError as error:
            refused.append(pd.DataFrame([{"path": place, "reason": str(error)}]))
    bar.empty()
    return added, pd.concat(refused, ignore_index=True)


def show_recordings(voice: Voice) -> None:
    """List the recordings, to hear, to export and to delete."""
    table = voice.recordings()
    if table.empty:
        st.info("No recording is kept yet.", icon=":material/graphic_eq:")
        return
    st.dataframe(
        table[["path", "emotion", "statement", "seconds", "level_dbfs", "recorded"]],
        hide_index=True,
        column_config={
            "path": "File",
            "emotion": "Emotion",
            "statement": "Sentence",
            "seconds": st.column_config.NumberColumn("Length (s)", format="%.1f"),
            "level_dbfs": st.column_config.NumberColumn(
                "Level (dBFS)", format="%.0f", help=TERMS["dBFS"]
            ),
            "recorded": "Kept on",
        },
    )
    name: str = st.selectbox(
        "Listen to",
        table["path"].tolist(),
        format_func=lambda n: f"{table.set_index('path').loc[n, 'emotion']} · {n}",
    )
    st.audio((voice.folder / name).read_bytes(), format="audio/wav")
    hear, export, clear = st.columns(3)
    if hear.button("Delete this recording", icon=":material/delete:", width="stretch"):
        with layout.errors_for_people():
            voice.remove(name)
            st.rerun()
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
            voice.clear()
            st.rerun()
