"""A microphone as it speaks: the last 3 s are asked about a few times a second.

`Recorder` takes sound from whatever delivers it (a WebRTC track, a file); `StreamingRecognizer`
also asks a recogniser, on a thread of its own.  What they hear stays in memory.
"""

from __future__ import annotations

import io
import json
import time
from collections import deque
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import audio
from ser.audio import Samples
from ser.audio.endpointing import Endpointer
from ser.errors import DataError
from ser.models.manifest import Manifest
from ser.models.recognizer import NO_SPEECH, Recognizer
from ser.models.voice import Voice

if TYPE_CHECKING:
    import av

HOP_SECONDS = 0.4
"""Sound between two answers, in seconds."""
SMOOTH_SECONDS = 2.0
"""Answers of the last so many seconds make the verdict, which so does not flicker."""
KEEP_SECONDS = 600.0
"""So much is kept for the timeline and as a recording; what is older is forgotten."""
SHOWN_SECONDS = 10.0
"""Length of the rolling waveform."""

_LEVEL_SECONDS = 0.2
_PAUSE_DB = 40.0  # a window this far below the loudest one is a pause, as in `Recognizer.timeline`
_ABOVE_ROOM_DB = 6.0  # what is less above the room that a model knows is a pause as well
_CLIPPED = 0.999
_ENVELOPE = 200


@dataclass(frozen=True)
class InputSignal:
    """What a microphone sends at one moment.

    Attributes
    ----------
    seconds : float
        Sound received so far.
    level_dbfs : float
        RMS of the last fifth of a second; -120 for digital silence.
    clipped : bool
        Whether that fifth of a second reached full scale.
    muted : bool
        Whether everything of the last 2 s was digital silence: a microphone that is switched off.
    envelope : ndarray of float32, shape (columns, 2)
        Lowest and highest sample in equal parts of the last `SHOWN_SECONDS`.
    since_sound : float
        Seconds since anything arrived.
    """

    seconds: float
    level_dbfs: float
    clipped: bool
    muted: bool
    envelope: npt.NDArray[np.float32]
    since_sound: float


@dataclass(frozen=True)
class StreamingAnswer:
    """What a listener makes of it.

    Attributes
    ----------
    probabilities : Series or None
        Mean of the last answers within `SMOOTH_SECONDS`, one value per label; None while nobody
        has spoken in them.
    verdict : str
        See `ser.models.recognizer`; `NO_SPEECH` while there is no answer.
    lag : float or None
        Seconds from the arrival of the last sound of an answer to the answer.
    error : str
        Why listening ended, if it failed.
    """

    probabilities: pd.Series | None
    verdict: str
    lag: float | None
    error: str


class Recorder:
    """Takes sound in pieces, on any thread, and keeps the last `KEEP_SECONDS` in memory.

    Parameters
    ----------
    sampling_rate : int
        What is kept, in Hz; what arrives may have any rate.

    Examples
    --------
    >>> recorder = Recorder(16_000)
    >>> recorder.push(np.full((2, 8_000), 0.1, np.float32), 16_000)
    >>> recorder.signal().seconds, recorder.signal().level_dbfs
    (0.5, -20.0)
    """

    def __init__(self, sampling_rate: int = audio.SAMPLING_RATE) -> None:
        self._rate = sampling_rate
        self._changed = Condition()
        self._recent = np.zeros(0, np.float32)  # the last SHOWN_SECONDS
        self._kept: deque[npt.NDArray[np.int16]] = deque()
        self._kept_samples = 0
        self._received = 0
        self._resampler: tuple[int, Any] | None = None
        self._arrived = time.monotonic()
        self._ended = False

    def push(self, frames: npt.NDArray[Any], sampling_rate: int) -> None:
        """Take the next piece of sound; returns at once.

        Parameters
        ----------
        frames : ndarray of int16 or float32, shape (channels, n)
            Floats in [-1, 1]; channels are averaged.
        sampling_rate : int
            In Hz; resampled to what is kept without a seam between pieces.
        """
        import soxr

        with self._changed:
            if self._ended:
                return
            scale = 32768.0 if frames.dtype == np.int16 else 1.0
            mono = frames.mean(axis=0, dtype=np.float32) / np.float32(scale)
            mono = np.clip(np.nan_to_num(mono), -1.0, 1.0).astype(np.float32)
            if sampling_rate != self._rate:
                if self._resampler is None or self._resampler[0] != sampling_rate:
                    stream = soxr.ResampleStream(sampling_rate, self._rate, 1, dtype="float32")
                    self._resampler = (sampling_rate, stream)
                mono = self._resampler[1].resample_chunk(mono)
            self._arrived = time.monotonic()
            self._take(mono)

    def _take(self, mono: Samples) -> None:
        self._received += len(mono)
        shown = round(SHOWN_SECONDS * self._rate)
        self._recent = np.concatenate([self._recent, mono])[-shown:]
        self._kept.append((mono * 32767).astype(np.int16))
        self._kept_samples += len(mono)
        while self._kept_samples - len(self._kept[0]) >= KEEP_SECONDS * self._rate:
            self._kept_samples -= len(self._kept.popleft())
        self._took(mono)
        self._changed.notify_all()

    def _take_rest(self) -> None:
        """Take what the resampler still holds, some milliseconds: no more sound comes."""
        if self._resampler is not None:
            self._take(self._resampler[1].resample_chunk(np.zeros(0, np.float32), last=True))
            self._resampler = None

    def _took(self, samples: Samples) -> None:
        """Look at what has just been taken."""

    def stop(self) -> None:
        """Take no more; returns at once, and what was taken can still be looked at."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def forgotten(self) -> float:
        """Seconds of sound at the beginning that are not kept any more."""
        with self._changed:
            return (self._received - self._kept_samples) / self._rate

    def recording(self, start: float = 0.0) -> bytes:
        """Return what is kept of the sound after a moment, as a WAV file (16 bits).

        Parameters
        ----------
        start : float
            Seconds of sound before that moment, see `InputSignal`.
        """
        with self._changed:
            return self._cut(start, np.inf)

    def _cut(self, start: float, end: float) -> bytes:
        import soundfile

        samples = np.concatenate([np.zeros(0, np.int16), *self._kept])
        forgotten = self._received - len(samples)
        first = max(round(start * self._rate) - forgotten, 0)
        last = max(round(min(end * self._rate, self._received)) - forgotten, 0)
        buffer = io.BytesIO()
        soundfile.write(buffer, samples[first:last], self._rate, format="WAV", subtype="PCM_16")
        return buffer.getvalue()

    def signal(self) -> InputSignal:
        """Return what arrives at this moment."""
        with self._changed:
            recent = self._recent
            seconds = self._received / self._rate
            since_sound = time.monotonic() - self._arrived
        last = recent[-round(_LEVEL_SECONDS * self._rate) :]
        silence = recent[-2 * self._rate :]
        return InputSignal(
            seconds=seconds,
            level_dbfs=audio.level_dbfs(last),
            clipped=bool(len(last) and np.abs(last).max() >= _CLIPPED),
            muted=bool(
                len(silence) == 2 * self._rate and np.abs(silence).max() < audio.SILENCE_PEAK
            ),
            envelope=_envelope(recent, round(SHOWN_SECONDS * self._rate)),
            since_sound=since_sound,
        )


class PhraseRecorder(Recorder):
    """A recorder that finds the phrases in what it takes, see `ser.audio.endpointing`.

    Examples
    --------
    >>> recorder = PhraseRecorder()
    >>> room, voice = np.zeros((1, 16_000), np.float32), np.full((1, 16_000), 0.1, np.float32)
    >>> for piece in (room, room, voice, room):
    ...     recorder.push(piece, 16_000)
    >>> len(recorder.phrases()), recorder.phrases()
    (1, [])
    """

    def __init__(self) -> None:
        super().__init__()
        self._ears = Endpointer()
        self._phrases: list[bytes] = []

    @property
    def room_dbfs(self) -> float | None:
        """Level of the room; None until it is known, and only then somebody may speak."""
        return self._ears.room_dbfs

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks at this moment."""
        return self._ears.speaking

    def phrases(self) -> list[bytes]:
        """Return the phrases that have ended since this was asked last, as WAV files."""
        with self._changed:
            found, self._phrases = self._phrases, []
        return found

    def stop(self) -> None:
        """Take no more; a phrase that has begun ends here."""
        with self._changed:
            if not self._ended and (phrase := self._ears.finish()):
                self._phrases.append(self._cut(*phrase))
        super().stop()

    def _took(self, samples: Samples) -> None:
        for start, end in self._ears.push(samples):
            self._phrases.append(self._cut(start, end))


class StreamingRecognizer(Recorder):
    """A recorder that keeps asking a recogniser about the last 3 s, on a thread of its own.

    Parameters
    ----------
    recognizer : Recognizer
        May be shared with others.

    Examples
    --------
    >>> from ser.assets import SAMPLES, DEFAULT_MODEL
    >>> clip = sorted(SAMPLES.rglob("*.flac"))[0]
    >>> listener = StreamingRecognizer(Recognizer.load(DEFAULT_MODEL))
    >>> listener.push(audio.load_audio(clip)[None], 16_000)
    >>> listener.finish()
    >>> len(listener.answers())
    1
    """

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self._recognizer = recognizer
        self._window = audio.CLIP_SAMPLES
        self._answers: deque[dict[str, Any]] = deque()
        self._given = 0  # answers, also those that are forgotten
        self._answered = 0
        self._finishing = False
        self._loudest = -np.inf
        quiet = quiet_dbfs(recognizer.manifest)
        self._quiet = -np.inf if quiet is None else quiet
        self._lag: float | None = None
        self._error = ""
        self._voice = recognizer.voice if recognizer.listens else Voice()
        self._listened = 0  # sample at which the last clip of the voice ended
        self._thread = Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    @property
    def labels(self) -> tuple[str, ...]:
        """What it can answer."""
        return self._recognizer.labels

    @property
    def listens(self) -> bool:
        """Whether it gets used to the voice."""
        return self._recognizer.listens

    @property
    def listened(self) -> int:
        """How many clips of the voice it has listened to, see `ser.models.voice`."""
        return self._voice.count

    def forget(self) -> None:
        """Forget the voice: somebody else speaks, of whom nothing has been heard so far."""
        with self._changed:
            self._voice = Voice()
            self._listened = self._received
            self._loudest = -np.inf

    def push_in_turn(self, frames: npt.NDArray[Any], sampling_rate: int) -> None:
        """Take the next piece of sound once most of what came before is answered.

        Of sound that comes faster than it is spoken, `push` leaves out what no window reaches any
        more; this leaves nothing out.

        Parameters
        ----------
        frames, sampling_rate
            See `push`; at most a second.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._ended or self._received - self._answered < self._window // 2
            )
        self.push(frames, sampling_rate)

    def finish(self) -> None:
        """Wait until all sound received so far is answered, then stop."""
        with self._changed:
            if not self._ended:
                self._take_rest()
            self._finishing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended or not self._due())
        self.stop()
        self._thread.join()

    def answers(self, after: int = 0) -> pd.DataFrame:
        """Return one row per answer, as `ser.models.recognizer.Recognizer.predict` does.

        Start and end count from the first sound.

        Parameters
        ----------
        after : int
            How many of the first are left out; what is older than `KEEP_SECONDS` is forgotten.
        """
        with self._changed:
            new = max(self._given - after, 0)
            rows = list(self._answers)[-new:] if new else []
        columns = ["file", "start", "end", "emotion", "verdict", "reason", "distance"]
        columns += self._recognizer.labels
        # Text alone would turn None, of a pause, into NaN.
        emotions = pd.Series([row["emotion"] for row in rows], dtype=object)
        return pd.DataFrame(rows, columns=columns).assign(emotion=emotions)

    def current(self) -> StreamingAnswer:
        """Return the answer of this moment."""
        with self._changed:
            now = self._received / self._rate
            late = [a for a in self._answers if a["end"] > now - SMOOTH_SECONDS]
            lag, error = self._lag, self._error
        probabilities = self._mean([a for a in late if a["verdict"] != NO_SPEECH])
        verdict = NO_SPEECH
        if probabilities is not None:
            known = self.listened if self.listens else self._recognizer.voice.count
            verdict = str(self._recognizer.verdicts(probabilities.to_numpy()[None], known)[0])
        return StreamingAnswer(probabilities=probabilities, verdict=verdict, lag=lag, error=error)

    def _mean(self, answers: list[dict[str, Any]]) -> pd.Series | None:
        if not answers:
            return None
        labels = self._recognizer.labels
        return pd.Series({label: np.mean([a[label] for a in answers]) for label in labels})

    def _due(self) -> bool:
        least = 1 if self._finishing else HOP_SECONDS * self._rate
        return self._received - self._answered >= least

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._ended or self._due())
                    if self._ended:
                        return
                    # All that has come since, so that a slow machine skips answers, not seconds.
                    window, end = self._recent[-self._window :], self._received
                    arrived = self._arrived
                answer = self._answer(window, end)
                with self._changed:
                    self._answers.append(answer)
                    self._given += 1
                    self._answered = end
                    # What cannot be heard any more is forgotten as well.
                    forgotten = (self._received - self._kept_samples) / self._rate
                    while self._answers and self._answers[0]["start"] < forgotten:
                        self._answers.popleft()
                    self._lag = time.monotonic() - arrived
                    self._changed.notify_all()
        except Exception as error:  # shown by whoever looks; a thread has nobody to raise to
            with self._changed:
                self._error = str(error) or type(error).__name__
                self._ended = True
                self._changed.notify_all()

    def _answer(self, window: Samples, end: int) -> dict[str, Any]:
        level = audio.speech_level_dbfs(window)
        self._loudest = max(self._loudest, level)
        row = dict.fromkeys(self._recognizer.labels, np.nan)
        pause = {"emotion": None, "verdict": NO_SPEECH, "reason": "Nobody speaks here."}
        if level > max(self._loudest - _PAUSE_DB, self._quiet):
            try:
                known = self._recognizer
                with self._changed:
                    voice = self._voice
                if known.listens:
                    known = known.knowing(voice)
                found = known.predict(window, sampling_rate=self._rate, name="microphone").iloc[0]
                if found["verdict"] != NO_SPEECH:
                    self._listen(window, end, voice)
                return {str(k): v for k, v in found.items()} | self._span(window, end)
            except (audio.SilentAudioError, audio.TooShortAudioError):
                pass
        return {"file": "microphone"} | self._span(window, end) | pause | row

    def _listen(self, window: Samples, end: int, voice: Voice) -> None:
        """Get used to the voice, clip by clip: those that overlap would tell little more."""
        if not self._recognizer.listens or end - self._listened < self._window:
            return
        clip = audio.prepare_clip(window)
        extractor = self._recognizer.extractor
        heard = self._recognizer.heard(voice, extractor.batch([extractor.extract(clip.samples)]))
        with self._changed:
            if self._voice is voice:  # nobody has had it forgotten meanwhile
                self._voice = heard
                self._listened = end

    def _span(self, window: Samples, end: int) -> dict[str, float]:
        return {"start": (end - len(window)) / self._rate, "end": end / self._rate}


def quiet_dbfs(manifest: Manifest) -> float | None:
    """Return the level below which a model takes what it hears for its room; None if unknown."""
    adapted = manifest.training.get("adapted")  # which may come from anyone
    room = adapted.get("room_dbfs") if isinstance(adapted, dict) else None
    if not isinstance(room, int | float) or not -200 < room < 0:
        return None
    return room + _ABOVE_ROOM_DB


def ice_servers(text: str) -> list[dict[str, Any]]:
    """Read the STUN and TURN servers that WebRTC is to use.

    None are needed where the browser reaches the server directly: on one computer, in one network.

    Parameters
    ----------
    text : str
        JSON as browsers want it (``RTCIceServer``), or nothing.

    Raises
    ------
    DataError
        If it is something else.

    Examples
    --------
    >>> ice_servers('[{"urls": "stun:stun.example.org"}]'), ice_servers("")
    ([{'urls': 'stun:stun.example.org'}], [])
    """
    try:
        servers = json.loads(text) if text.strip() else []
        if not isinstance(servers, list) or not all(
            isinstance(server, dict) and "urls" in server for server in servers
        ):
            raise ValueError("it is not a list of servers with urls")
    except ValueError as error:
        raise DataError(
            f"SER_ICE_SERVERS cannot be used: {error}. Set it to a JSON list such as "
            '[{"urls": "turn:example.org", "username": "me", "credential": "secret"}].'
        ) from error
    return servers


def samples_of(frame: av.AudioFrame) -> npt.NDArray[Any]:
    """Return the samples of a decoded frame, shape (channels, n), whatever its layout."""
    samples = frame.to_ndarray()
    channels = len(frame.layout.channels)
    return samples if frame.format.is_planar else samples.reshape(-1, channels).T


def _envelope(samples: Samples, shown: int) -> npt.NDArray[np.float32]:
    """Return lowest and highest sample of equal parts, silence where nothing was heard yet."""
    step = shown // _ENVELOPE
    padded = np.concatenate([np.zeros(max(shown - len(samples), 0), np.float32), samples])
    parts = padded[-step * _ENVELOPE :].reshape(_ENVELOPE, step)
    return np.stack([parts.min(axis=1), parts.max(axis=1)], axis=1)
