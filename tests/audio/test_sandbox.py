"""Real processes that decode, and what they cannot do."""

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import landlockpy
import numpy as np
import pytest

from ser import audio
from ser.audio import decoding, sandbox
from ser.errors import SerError
from tests.audio.test_decoding import LOSSY, encode, noise, tone
from tests.tiny import SAMPLES

PROJECT = SAMPLES.parents[1]
CLIP = sorted(SAMPLES.rglob("*.flac"))[0]

needs_landlock = pytest.mark.skipif(not landlockpy.supported(), reason="kernel without Landlock")


@pytest.fixture(scope="module")
def decoders():
    decoders = sandbox.Decoders(1)
    yield decoders
    decoders.close()


def child_of(decoders):
    return decoders.processes()[-1]


def has_ended(pid):
    with suppress(FileNotFoundError, ProcessLookupError):
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    return True


def in_confinement(code):
    """Run Python code in a process as one that decodes is after its start."""
    lines = f"import socket, numpy\nfrom ser.audio import sandbox\nsandbox._load()\n{code}"
    return subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)


@pytest.mark.parametrize("name", [*LOSSY, "wav", "flac", "aiff"])
def test_every_format_sounds_as_it_does_here(decoders, name):
    sound = tone(2.0, rate=48_000)
    data = LOSSY[name](sound, 48_000) if name in LOSSY else encode(sound, 48_000, format=name)
    samples = decoders(data, name, 16_000)
    assert np.array_equal(samples, decoding.decode(data, name, 16_000))
    samples[0] = 0  # as any other recording it can be changed


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"Dear grandmother, I am well.", audio.UnsupportedAudioError),
        (encode(noise(16_000), format="FLAC")[:9_000], audio.UnreadableAudioError),
        (encode(noise(2_000), 1), audio.UnsupportedAudioError),
        (encode(np.full(16_000, np.nan), subtype="FLOAT"), audio.NotFiniteAudioError),
    ],
)
def test_refusals_are_the_same(decoders, data, kind):
    with pytest.raises(kind) as here:
        decoding.decode(data, "a.wav", 16_000)
    with pytest.raises(kind) as apart:
        decoders(data, "a.wav", 16_000)
    assert type(apart.value) is kind
    assert str(apart.value) == str(here.value)


def test_what_takes_too_long_is_ended_and_refused(decoders, monkeypatch):
    decoders(encode(noise(16_000)), "a.wav", 16_000)
    pid = child_of(decoders)
    os.kill(pid, signal.SIGSTOP)  # as if it never came to an end
    monkeypatch.setattr(sandbox, "SECONDS", 0.2)
    with pytest.raises(
        sandbox.BrokenDecoderError, match=r"b\.wav cannot .* too much time"
    ) as caught:
        decoders(encode(noise(16_000)), "b.wav", 16_000)
    assert isinstance(caught.value, SerError)
    assert caught.value.code == "audio-decoder"
    assert has_ended(pid)
    monkeypatch.undo()
    assert len(decoders(encode(noise(16_000)), "c.wav", 16_000)) == 16_000


def test_a_recording_that_breaks_the_decoder_is_refused_and_the_next_one_is_not(decoders):
    decoders(encode(noise(16_000)), "a.wav", 16_000)
    os.kill(child_of(decoders), signal.SIGSEGV)
    with pytest.raises(sandbox.BrokenDecoderError, match="breaks the decoder"):
        decoders(encode(noise(16_000)), "b.wav", 16_000)
    assert len(decoders(encode(noise(16_000)), "c.wav", 16_000)) == 16_000


def test_whatever_is_loaded_can_be_decoded_apart(decoders, clips):
    here = [audio.load_audio(clip) for clip in clips[:3]]
    audio.use_decoder(decoders)
    try:
        apart = [audio.load_audio(clip) for clip in clips[:3]]
    finally:
        audio.use_decoder(None)
    assert all(np.array_equal(*both) for both in zip(here, apart, strict=True))


def test_the_process_knows_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("SER_SECRET", "turn password")
    decoders = sandbox.Decoders(1)
    decoders(encode(noise(16_000)), "a.wav", 16_000)
    assert b"turn password" not in Path(f"/proc/{child_of(decoders)}/environ").read_bytes()
    decoders.close()


@needs_landlock
@pytest.mark.parametrize("action", ["open('/etc/hostname')", "open('/tmp/ser-test', 'w')"])
def test_the_process_can_open_no_file(action):
    ended = in_confinement(f"sandbox._confine()\n{action}")
    assert "PermissionError" in ended.stderr


@needs_landlock
def test_the_process_can_connect_to_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        code = f"socket.create_connection({address}).close()"
        assert in_confinement(code).returncode == 0
        assert "PermissionError" in in_confinement(f"sandbox._confine()\n{code}").stderr


def test_the_process_has_no_more_memory_than_it_needs():
    code = "sandbox._limit(sandbox._address_space() + 50_000_000)\n"
    assert in_confinement(code + "numpy.ones(1_000_000)").returncode == 0
    assert "MemoryError" in in_confinement(code + "numpy.ones(100_000_000)").stderr


def test_the_process_ends_with_the_server():
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom ser.audio import sandbox\n"
        "decoders = sandbox.Decoders(1)\ndecoders(Path(sys.argv[1]).read_bytes(), '', 16_000)\n"
        "print(decoders.processes()[0], flush=True)\ntime.sleep(600)"
    )
    clip = next(Path("data/samples").rglob("*.flac"))
    server = subprocess.Popen([sys.executable, "-c", code, clip], stdout=subprocess.PIPE, text=True)
    pid = int(server.stdout.readline())
    ended = os.pidfd_open(pid)
    server.kill()
    server.wait()
    assert select.select([ended], [], [], 30)[0], "the process outlives its server"
    server.stdout.close()
    os.close(ended)


def decoder_of(path):
    audio.load_audio(path)
    return type(decoding._decoder).__name__


def test_workers_and_processes_of_one_that_decodes_apart_do_so_too(tmp_path):
    code = (
        "from tests.audio.test_sandbox import CLIP, decoder_of\n"
        "from ser.utils.parallel import map_items\n"
        "print(decoder_of(CLIP), *set(map_items(decoder_of, [CLIP] * 40, 'Opening', n_jobs=2)))\n"
    )
    for value, expected in (("1", "Decoders Decoders"), ("", "function function")):
        env = {**os.environ, audio.DECODE_APART: value}
        said = subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=PROJECT, capture_output=True, text=True
        )
        assert said.stdout.split() == expected.split(), said.stderr
