"""Recordings of strangers are decoded in a process that can do nothing else.

Decoders are large libraries in C, and a recording can be made to break them.  Here such a recording
ends a process that has no other work: one with bounded memory and time, which after its start can
open no file and no connection (Landlock, where the kernel has it), knows nothing of the
environment, and answers with numbers only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import LifoQueue
from threading import Timer

import numpy as np

from ser.audio import decoding
from ser.audio.decoding import MAX_SECONDS, AudioError, Samples

SECONDS = 60.0
"""Longest that decoding one recording may take, in seconds."""
MEMORY = 600_000_000
"""Most memory that decoding may take beside the file itself, in bytes."""

_START_SECONDS = 60.0
_MOST_WORDS = 10_000  # bytes of an answer that is no sound
_LARGEST = 1e18


class BrokenDecoderError(AudioError):
    """A decoder broke on the recording, or took more time or memory than there is for one."""

    code = "audio-decoder"


class Decoders:
    """Decodes recordings apart from this process, to be given to `ser.audio.use_decoder`.

    Parameters
    ----------
    count : int
        Recordings that can be decoded at the same time; more have to wait.
    """

    def __init__(self, count: int = 2) -> None:
        self._idle: LifoQueue[_Child | None] = LifoQueue()
        for _ in range(count):
            self._idle.put(None)

    def __call__(self, data: bytes, name: str, sampling_rate: int) -> Samples:
        """Decode a recording as `ser.audio.load_audio` does.

        Raises
        ------
        BrokenDecoderError
            If the process ended or had to be ended.
        AudioError
            See `ser.audio.load_audio`.
        """
        child = self._idle.get()
        try:
            if child is None:
                child = _Child()
            return child.decode(data, name, sampling_rate)
        finally:
            self._idle.put(child if child is not None and child.works else None)

    def processes(self) -> list[int]:
        """Return the numbers of the processes that wait for work."""
        return [child.process.pid for child in list(self._idle.queue) if child is not None]

    def close(self) -> None:
        """End the processes that wait for work; there are new ones when they are needed."""
        for _ in range(self._idle.qsize()):
            if (child := self._idle.get()) is not None:
                child.end()
            self._idle.put(None)


class _Child:
    """A process that decodes; it ends with this one, whose end of the pipe is closed then."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        packages = os.pathsep.join(os.path.abspath(place) for place in sys.path)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={
                    # Each thread would be promised memory of its own, and count against the limit.
                    "OPENBLAS_NUM_THREADS": "1",
                    "MALLOC_ARENA_MAX": "1",
                    "PYTHONPATH": packages,
                },
                cwd="/",
            )
        self.works = self._pipe.poll(_START_SECONDS)
        if not self.works or self._receive(_MOST_WORDS) != b"ready":
            self.end()
            raise RuntimeError("The process that decodes does not start; its error is above.")

    def decode(self, data: bytes, name: str, sampling_rate: int) -> Samples:
        timer = Timer(SECONDS, self.process.kill)
        timer.start()
        try:
            return self._ask(data, name, sampling_rate)
        except AudioError:
            raise
        except BaseException as error:  # whatever it says, or that it says nothing any more
            self.end()
            if not isinstance(error, Exception):
                raise
            raise BrokenDecoderError(
                f"{name} cannot be decoded: it takes too much time or memory, or is damaged in a "
                "way that breaks the decoder. Export it again, as WAV or FLAC."
            ) from error
        finally:
            timer.cancel()

    def _ask(self, data: bytes, name: str, sampling_rate: int) -> Samples:
        self._pipe.send_bytes(json.dumps([name, sampling_rate]).encode())
        self._pipe.send_bytes(data)
        if (refusal := json.loads(self._receive(_MOST_WORDS))) is not None:
            code, message = refusal
            raise _refusals()[code](str(message))
        most = int((MAX_SECONDS + 1) * sampling_rate) * 4
        samples = np.frombuffer(self._receive(most), np.float32).copy()
        if not (np.abs(samples) < _LARGEST).all():
            raise ValueError("no sound")
        return samples

    def _receive(self, most: int) -> bytes:
        try:
            return self._pipe.recv_bytes(most)
        except EOFError:
            return b""  # it has ended

    def end(self) -> None:
        self.works = False
        self._pipe.close()
        self.process.kill()
        self.process.wait()


def _refusals() -> dict[str, type[AudioError]]:
    return {kind.code: kind for kind in AudioError.__subclasses__()}


# What follows runs in the other process, which can write no file: not even what it has covered.
def _main() -> None:  # pragma: no cover
    """Decode what comes through the pipe until it is closed."""
    pipe = Connection(int(sys.argv[1]))
    _load()
    size = _address_space()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # decoders complain at length
    _confine()
    pipe.send_bytes(b"ready")
    with suppress(EOFError, BrokenPipeError):
        while True:
            name, sampling_rate = json.loads(pipe.recv_bytes())
            data = pipe.recv_bytes()
            _limit(size + 2 * len(data) + MEMORY)
            try:
                samples = decoding.decode(data, name, sampling_rate)
            except AudioError as error:
                pipe.send_bytes(json.dumps([error.code, str(error)]).encode())
            else:
                pipe.send_bytes(b"null")
                pipe.send_bytes(samples.tobytes())


def _load() -> None:  # pragma: no cover
    """Load all that decoding needs, since no file can be opened later."""
    import io

    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.zeros((4410, 2), np.float32), 44_100, format="WAV")
    data = file.getvalue()
    decoding.decode(data, "", decoding.SAMPLING_RATE)
    unknown = data[:40] + bytes(4) + data[44:]  # its length, so that FFmpeg is asked
    decoding.decode(unknown, "", decoding.SAMPLING_RATE)


def _confine() -> None:  # pragma: no cover
    """Give up every right that decoding does not need, for good."""
    import resource

    for limit, most in ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, most))
    try:
        import landlockpy
    except ImportError:  # it is installed with the app, on Linux
        return
    if landlockpy.supported():
        with landlockpy.Ruleset() as rules:  # which allow nothing
            rules.restrict()


def _limit(memory: int) -> None:  # pragma: no cover
    """Bound memory, and the time of the processor from now on."""
    import resource

    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + SECONDS) + 1, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (memory, resource.RLIM_INFINITY))


def _address_space() -> int:  # pragma: no cover
    """Return how much memory this process has been promised, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")


if __name__ == "__main__":  # pragma: no cover
    _main()
