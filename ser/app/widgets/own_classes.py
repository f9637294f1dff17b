"""Classes of one's own: any sounds, recorded or uploaded, learned in seconds and tried at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import streamlit as st

from ser import assets, audio, plots
from ser.app import audit, learned, workspace
from ser.app.widgets import adaptation, answer, layout, microphone, resources, visitor
from ser.data.recordings import write_wav
from ser.errors import DataError, SerError
from ser.evaluation.metrics import wilson_interval
from ser.evaluation.own_classes import LEAST_EXAMPLES, learn_classes
from ser.models.manifest import MOST_LABELS, check_label
from ser.utils.files import atomic_path, delete_folder

if TYPE_CHECKING:
    from ser.models.streaming import PhraseRecorder

_RESULT = "own-classes-result"  # of this visitor: what was learned last
_SAID = "own-classes-said"  # label of the sound that is being made
_ROOM = "own-classes-room"  # level of this visitor's room, as the microphone heard it last
_MOST_EXAMPLES = 100  # of each class


def show() -> None:
    """Show the classes, what belongs to each, and what was learned of them."""
    st.write(
        "Teach it any sounds: tired and awake, question and statement, bark and meow. Give every "
        f"class at least {LEAST_EXAMPLES} short examples; ten are better."
    )
    with layout.errors_for_people():
        name = st.text_input("Name of this set", "my-classes", key="set", persist_state="session")
        if learned.folder_of(name).exists():
            st.caption("Learning again replaces the model of this name.")
        folder = workspace.folder() / "classes" / name
        known = sorted(p.name for p in folder.glob("*") if p.is_dir())
        # A class has a folder from its first example on; until then it is a name here alone.
        key = f"classes {name}"
        st.session_state.setdefault(key, known)
        labels = st.multiselect(
            "Classes",
            sorted({*known, *st.session_state[key]}),
            key=key,
            persist_state="session",
            accept_new_options=True,
            max_selections=MOST_LABELS,
            placeholder="Type a name, press Enter, then the next one",
        )
        for label in labels:
            _check(label)
        if len(labels) < 2:
            st.info("Name two or more classes.", icon=":material/category:")
            return
        _collect(folder, labels)
        _learn(folder, labels, name)
    adaptation.show_models()


def _check(label: str) -> None:
    try:
        check_label(label)
    except ValueError as error:
        raise DataError(f"This cannot be the name of a class: {error}.") from None


def _examples(folder: Path, label: str) -> list[Path]:
    return sorted(p for p in (folder / label).glob("*.wav") if p.stem.isdecimal())


def _collect(folder: Path, labels: Sequence[str]) -> None:
    """Take examples: of the microphone, one by one as they are heard, or uploaded."""
    from ser.models.streaming import PhraseRecorder

    label = st.segmented_control(
        "Examples of", labels, default=labels[0], required=True, key="class"
    )
    way = st.segmented_control("From", ["Files", "Microphone"], default="Files", required=True)
    if way == "Files":
        microphone.stop()
        _upload(folder, label)
    else:
        connection = microphone.connect("classes", PhraseRecorder)
        if connection.recorder is not None and connection.listening:
            _listening(cast("PhraseRecorder", connection.recorder), folder, label)
        else:
            st.caption(
                "Press *Start listening* and be quiet for a second. Then each sound that you make "
                f"becomes an example of {label}."
            )
    _counts(folder, labels)


def _upload(folder: Path, label: str) -> None:
    uploads = st.file_uploader(
        "Upload examples",
        type=[extension.removeprefix(".") for extension in audio.EXTENSIONS],
        accept_multiple_files=True,
        max_upload_size=50,
        key=f"upload-{label}",
    )
    taken: set[str] = st.session_state.setdefault("own-classes-taken", set())
    for upload in uploads:
        if upload.file_id not in taken:
            taken.add(upload.file_id)  # one that cannot be used is refused once
            try:
                _add(folder, label, upload.getvalue())
            except SerError as error:
                words = layout.plain(f"{upload.name}: {error}")
                st.error(words, icon=":material/error:")


@st.fragment(run_every=0.3)
def _listening(recorder: PhraseRecorder, folder: Path, label: str) -> None:
    speaking, said = recorder.speaking, st.session_state.get(_SAID)
    for phrase in recorder.phrases():
        # A sound ends after a pause, and by then another label may be chosen.
        with layout.errors_for_people():
            _add(folder, said if said and (folder / said).is_dir() else label, phrase)
        said = None
    st.session_state[_SAID] = (said or label) if speaking else None
    count = len(_examples(folder, label))
    known = recorder.room_dbfs is not None
    if known:
        st.session_state[_ROOM] = recorder.room_dbfs
    words = "Recording." if recorder.speaking else "Listening." if known else "Please be quiet."
    st.write(f"**{words}** {layout.count(count, 'example')} of {label}.")
    microphone.show_sound(recorder.signal())


def _add(folder: Path, label: str, data: bytes) -> None:
    """Keep an example, at 16 kHz.

    Raises
    ------
    SerError
        If it cannot be used, or there are too many.
    """
    visitor.check_space()
    samples = audio.load_audio(data)
    audio.find_speech(samples)  # refuses silence
    known = _examples(folder, label)
    if len(known) >= _MOST_EXAMPLES:
        raise DataError(f"There are {_MOST_EXAMPLES} examples of {label} already.")
    number = 1 + max((int(path.stem) for path in known), default=0)
    with atomic_path(folder / label / f"{number:04}.wav") as temporary:
        write_wav(temporary, samples)


def _counts(folder: Path, labels: Sequence[str]) -> None:
    for label in labels:
        own = _examples(folder, label)
        with st.expander(f"{label}: {layout.count(len(own), 'example')}"):
            for path in own:
                st.audio(path.read_bytes(), format="audio/wav")
            if own and st.button(f"Delete all of {label}", icon=":material/delete:"):
                with layout.errors_for_people():
                    audit.record("delete examples", f"{folder.name}: {label}")
                    delete_folder(folder / label)
                    st.rerun()


def _learn(folder: Path, labels: Sequence[str], name: str) -> None:
    examples: dict[str, Any] = {label: _examples(folder, label) for label in labels}
    if st.button(
        "Learn these classes",
        type="primary",
        icon=":material/school:",
        disabled=min(map(len, examples.values())) < LEAST_EXAMPLES,
        help=f"Every class needs {LEAST_EXAMPLES} examples.",
    ):
        visitor.check_space()
        with st.spinner("Learning …"):
            found = learn_classes(
                resources.recognizer(assets.DEFAULT_MODEL),
                examples,
                room_dbfs=st.session_state.get(_ROOM),
            )
            found.recognizer.save(learned.folder_of(name, classes=True))
        st.session_state[_RESULT] = name, found
    known, found = st.session_state.get(_RESULT, ("", None))
    target = learned.folder_of(name)
    if known != name or found is None or not learned.is_learned(target):
        return
    low, high = wilson_interval(found.right, found.n)
    st.write(
        f"**{found.right} of {found.n} examples were named correctly** "
        f"({found.right / found.n:.0%}; 95%: {low:.0%} to {high:.0%}), each by a "
        "model that learned from the others."
    )
    names = list(found.recognizer.labels)
    layout.show(
        plots.confusion(found.confusion_matrix, names),
        table=pd.DataFrame(found.confusion_matrix, index=names, columns=names)
        .rename_axis("truth")
        .reset_index(),
        alt="Confusion matrix of the examples",
    )
    recording = st.audio_input("Try it", key="try-classes")
    if recording is not None:
        answer.show_answer(recording.getvalue(), "recording", found.recognizer, folder=target)
    if st.button("Try it live", icon=":material/mic:"):
        workspace.set_active_model(target)
        st.switch_page("pages/4_Prediction.py", query_params={"source": "Live"})
    st.download_button(
        "Download this model",
        lambda: learned.packed(target),  # on a thread that does not know whose page this is
        f"{name}.zip",
        icon=":material/download:",
    )
