"""Recording one's voice without a click: prompts follow each other as sentences are spoken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import streamlit as st

from ser.app.widgets import layout, microphone, resources, visitor
from ser.audio import check_recording, load_audio
from ser.data.recordings import SENTENCES, Voice
from ser.errors import SerError
from ser.labels import EMOTIONS

if TYPE_CHECKING:
    from ser.models.streaming import PhraseRecorder

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
_SESSION = "hands-free"  # begins the key of what one person said and does not keep yet
_LEAST = 3  # emotions that make a beginning


@dataclass(frozen=True)
class Take:
    """What was said to a prompt, and is not kept yet."""

    emotion: str
    sentence: str
    recording: bytes
    problems: tuple[str, ...]


@dataclass
class Session:
    """What was said so far, and how often a prompt was skipped.

    Attributes
    ----------
    prompt : (str, str) or None
        What is being said at this moment: a phrase ends after its last word, and by then another
        prompt may be shown.
    unwanted : bool
        Whether that was skipped.
    """

    takes: list[Take] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    prompt: tuple[str, str] | None = None
    unwanted: bool = False


def show(voice: Voice) -> None:
    """Guide through the recordings, and show what was said to be kept or thrown away."""
    session: Session = st.session_state.setdefault(_key(voice), Session())
    emotions = st.pills(
        "Emotions to record",
        EMOTIONS,
        selection_mode="multi",
        default=EMOTIONS,
        key="emotions",
        persist_state="session",
        help=f"{_LEAST} are enough to start; emotions without recordings are answered as before.",
    )
    wanted = st.slider(
        "Recordings of each",
        1,
        8,
        5,
        key="wanted",
        persist_state="session",
        help="Five teach a model a voice, and two are better than none.",
    )
    if len(emotions) < _LEAST:
        st.info(f"Choose at least {_LEAST} emotions.", icon=":material/mood:")
        return
    with st.expander("Hear an example of each", icon=":material/volume_up:"):
        _examples(emotions)
    counts = voice.recordings()["emotion"].value_counts()
    kept = {str(emotion): int(number) for emotion, number in counts.items()}
    if next_prompt(session, kept, emotions, wanted) is None:
        microphone.stop()
        st.success("Everything is recorded.", icon=":material/check:")
        _review(voice, session)
        return
    from ser.models.streaming import PhraseRecorder

    connection = microphone.connect("voice", PhraseRecorder)
    recorder = cast("PhraseRecorder | None", connection.recorder)
    if recorder is not None and connection.listening:
        _prompting(recorder, session, kept, emotions, wanted)
    else:
        if recorder is not None:
            # Said just before Stop.
            _take(recorder, session, partial(next_prompt, session, kept, emotions, wanted))
        st.info(
            "Press *Start listening* once. Then each sentence is shown, recorded while you say it, "
            "and followed by the next one when you pause. Keys: **U** undoes the last, **S** skips "
            "one.",
            icon=":material/mic:",
        )
        _review(voice, session)


def _key(voice: Voice) -> str:
    return f"{_SESSION} {voice.folder.name}"


def next_prompt(
    session: Session, kept: dict[str, int], emotions: list[str], wanted: int
) -> tuple[str, str] | None:
    """Return the emotion and the sentence to say now: of the fewest recordings; None at the end."""
    counts = Counter(take.emotion for take in session.takes)
    for emotion in emotions:
        counts[emotion] += kept.get(emotion, 0)
    missing = [emotion for emotion in EMOTIONS if emotion in emotions and counts[emotion] < wanted]
    if not missing:
        return None
    emotion = min(missing, key=lambda each: counts[each] + session.skipped[each])
    return emotion, SENTENCES[counts[emotion] % 2]


@st.fragment(run_every=0.3)
def _prompting(
    recorder: PhraseRecorder,
    session: Session,
    kept: dict[str, int],
    emotions: list[str],
    wanted: int,
) -> None:
    _take(recorder, session, partial(next_prompt, session, kept, emotions, wanted))
    prompt = next_prompt(session, kept, emotions, wanted)
    if prompt is None:
        st.rerun()
    if recorder.speaking and session.prompt is None:
        session.prompt = prompt
    emotion, sentence = prompt
    total = wanted * len(emotions)
    done = len(session.takes) + sum(min(kept.get(e, 0), wanted) for e in emotions)
    st.progress(min(done / total, 1.0), f"{done} of {total} recorded")
    st.subheader(f"{emotion.capitalize()}: “{sentence}”", anchor=False)
    st.write(f"{_HOW[emotion].capitalize()}. Exaggerate a little.")
    if recorder.room_dbfs is None:
        st.info("Be quiet for a second: listening to the room.", icon=":material/hourglass_top:")
    elif recorder.speaking:
        st.error("**Recording.** Pause when you are done.", icon=":material/radio_button_checked:")
    else:
        st.success("**Speak now.**", icon=":material/mic:")
    if session.takes and session.takes[-1].problems:
        st.warning(f"The last one: {' '.join(session.takes[-1].problems)}")
    undo, skip = st.columns(2)
    if undo.button(
        "Undo the last",
        icon=":material/undo:",
        shortcut="U",
        width="stretch",
        disabled=not session.takes,
    ):
        session.takes.pop()
        st.rerun(scope="fragment")
    if skip.button("Skip this one", icon=":material/skip_next:", shortcut="S", width="stretch"):
        session.skipped[emotion] += 1
        session.unwanted = recorder.speaking
        st.rerun(scope="fragment")
    microphone.show_sound(recorder.signal())


def _take(
    recorder: PhraseRecorder, session: Session, asked: Callable[[], tuple[str, str] | None]
) -> None:
    """Take what was said since, each phrase as what it was asked for when it began."""
    speaking = recorder.speaking
    for phrase in recorder.phrases():
        prompt = session.prompt or asked()
        if prompt and not session.unwanted:
            session.takes.append(Take(*prompt, phrase, _problems(phrase)))
        session.prompt, session.unwanted = None, False
    if not speaking:
        session.prompt, session.unwanted = None, False


def _problems(phrase: bytes) -> tuple[str, ...]:
    try:
        return tuple(check_recording(load_audio(phrase)))
    except SerError as error:
        return (str(error),)


def _review(voice: Voice, session: Session) -> None:
    """Let the visitor hear what was said, leave some of it out, and keep the rest."""
    if not session.takes:
        return
    st.subheader("Listen, and keep", anchor=False)
    chosen = []
    for number, take in enumerate(session.takes):
        keep, player = st.columns([1, 2], vertical_alignment="center")
        if keep.checkbox(
            take.emotion,
            value=not take.problems,
            key=f"keep-{number}-{len(take.recording)}",
            help=f"“{take.sentence}”. Untick it to discard it.",
        ):
            chosen.append(take)
        player.audio(take.recording, format="audio/wav")
        for problem in take.problems:
            st.warning(problem, icon=":material/hearing:")
    keep, clear = st.columns(2)
    if keep.button(
        f"Keep {layout.count(len(chosen), 'recording')}",
        type="primary",
        icon=":material/check:",
        width="stretch",
        disabled=not chosen,
    ):
        with layout.errors_for_people():
            for take in chosen:
                visitor.check_space()
                voice.add(take.recording, take.emotion, take.sentence)
                session.takes.remove(take)  # what is kept is not asked about again, come what may
            st.session_state[_key(voice)] = Session()
            st.rerun()
    if clear.button("Throw all away", icon=":material/delete:", width="stretch"):
        st.session_state[_key(voice)] = Session()
        st.rerun()


def _examples(emotions: list[str]) -> None:
    st.caption("Synthetic voices made by a script; they show which way to exaggerate.")
    clips = resources.samples()
    for emotion in emotions:
        own = clips[(clips["emotion"] == emotion) & (clips["intensity"] == "strong")]
        own = own if len(own) else clips[clips["emotion"] == emotion]
        st.write(f"**{emotion}**: {_HOW[emotion]}")
        st.audio(str(own["path"].iloc[0]))
