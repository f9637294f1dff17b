"""Any recording becomes mono float32 at 16 kHz, and any clip exactly 3 s of it.

`load_audio` decodes, `prepare_clip` trims, levels and cuts.  Every refusal is a class of its own
with a stable ``code``, and its message says what to do.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.contract import CONTRACT, Contract
from ser.errors import SerError
from ser.parallel import first_call_alone

if TYPE_CHECKING:
    import av
    import soundfile

Samples = npt.NDArray[np.float32]

EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".webm", ".opus", ".aif", ".aiff")
"""File names that are taken for audio when a folder is searched."""

MAX_BYTES = 400_000_000
"""Largest file: half an hour of uncompressed stereo at 48 kHz and 16 bits fits."""
MAX_SECONDS = 1800.0
"""Longest recording, in seconds."""
MAX_DECODED_BYTES = 2_000_000_000
"""Largest recording once decoded (float32, all channels); a small Opus file can hide far more."""
MIN_SECONDS = 0.1
"""Shortest recording, in seconds; less is not speech."""
SILENCE_PEAK = 2.0**-15
"""Peak below which a recording counts as silent: one step of 16-bit audio, -90 dBFS."""

# The containers FFmpeg may open.  Without this list a playlist (HLS, concat) posing as audio could
# make it read other files or addresses.
_FFMPEG_FORMATS = "aac,ac3,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,ogg,wav,w64,webm"
# How files of known formats begin (MP4 after four bytes): such a file is damaged, not foreign.
_MAGIC = (b"RIFF", b"fLaC", b"FORM", b"OggS", b"ID3", b"ftyp", b"\x1aE\xdf\xa3")
_BLOCK_VALUES = 1 << 18
# Where a writer could not know the length: libsndfile announces as many frames of a streamed FLAC.
_UNKNOWN_FRAMES = (1 << 63) - 1
# Streamed WAV files announce 0xFFFFFFFF bytes or something just below or above 2 GiB.
_UNKNOWN_BYTES = 0x7FFFF000
_HEADER_BYTES = 256
# Squares of larger samples would overflow further on.
_LARGEST_SAMPLE = 1e18


class AudioError(SerError):
    """A recording that cannot be used; the subclasses say why."""

    code = "audio"


class EmptyAudioError(AudioError):
    """The file has no bytes, or no sample."""

    code = "audio-empty"


class UnreadableAudioError(AudioError):
    """The file cannot be opened, or is damaged."""

    code = "audio-unreadable"


class UnsupportedAudioError(AudioError):
    """The file is in no audio format known here."""

    code = "audio-unsupported"


class SilentAudioError(AudioError):
    """There is nothing to hear."""

    code = "audio-silent"


class TooShortAudioError(AudioError):
    """The recording is shorter than `MIN_SECONDS`."""

    code = "audio-too-short"


class TooLongAudioError(AudioError):
    """The recording is longer than `MAX_SECONDS`."""

    code = "audio-too-long"


class TooLargeAudioError(AudioError):
    """The file has more than `MAX_BYTES`, or more than `MAX_DECODED_BYTES` once decoded."""

    code = "audio-too-large"


class NotFiniteAudioError(AudioError):
    """The samples hold NaN or infinity."""

    code = "audio-not-finite"


@dataclass(frozen=True)
class Clip:
    """What the model hears of a recording.

    Attributes
    ----------
    samples : ndarray of float32, shape (48000,)
        Speech at the contract's level, padded with zeros on both sides if it is shorter.
    start, end : float
        Where the speech stands in the recording, in seconds.
    """

    samples: Samples
    start: float
    end: float


def load_audio(source: str | Path | bytes, *, sample_rate: int = CONTRACT.sample_rate) -> Samples:
    """Decode a recording of any format, rate and number of channels.

    libsndfile is tried first, then FFmpeg through PyAV.  Channels are averaged and the rate is
    converted by soxr block by block, so that a long recording never stands in memory whole.

    Parameters
    ----------
    source : str, Path or bytes
        A file, or the content of one.
    sample_rate : int
        Rate wanted, in Hz.

    Returns
    -------
    ndarray of float32, shape (n,)
        Mono, nominally in [-1, 1].

    Raises
    ------
    AudioError
        One of its subclasses: empty, unreadable, unsupported, too short, too long, too large,
        not finite.  Silence is no error here, see `prepare_clip`.
    """
    name = "The recording" if isinstance(source, bytes) else Path(source).name
    data = source if isinstance(source, bytes) else read_bytes(source)
    if len(data) == 0:
        raise EmptyAudioError(f"{name} is empty (0 bytes). Record or export it again.")
    if len(data) > MAX_BYTES:
        raise TooLargeAudioError(
            f"{name} has more than {MAX_BYTES / 1e6:.0f} MB, the most that is read. "
            "Cut it into parts, or save it as FLAC, Opus or MP3."
        )
    _refuse_truncated_wav(data, name)
    samples = _decode(data, name, sample_rate)
    seconds = len(samples) / sample_rate
    if len(samples) == 0:
        raise EmptyAudioError(f"{name} holds no audio samples. Record or export it again.")
    if seconds < MIN_SECONDS:
        raise TooShortAudioError(
            f"{name} lasts {1000 * seconds:.0f} ms; at least {1000 * MIN_SECONDS:.0f} ms of "
            "speech are needed. Record a whole sentence."
        )
    return samples


def read_bytes(path: str | Path) -> bytes:
    """Return the content of an audio file, or its beginning if it has more than `MAX_BYTES`.

    Raises
    ------
    UnreadableAudioError
        If there is no such file, or it cannot be read.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise UnreadableAudioError(f"{path} is a folder. Give an audio file.")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)  # one more, so that load_audio can refuse it
    except FileNotFoundError:
        raise UnreadableAudioError(f"{path} does not exist. Check the name.") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableAudioError(f"{path} cannot be read: {reason}.") from error


def _refuse_truncated_wav(data: bytes, name: str) -> None:
    """Refuse a WAV file that ends early; libsndfile would play what is there and say nothing."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return
    (declared,) = struct.unpack("<I", data[4:8])
    if len(data) < declared < _UNKNOWN_BYTES:
        raise UnreadableAudioError(
            f"{name} is cut off: its header announces {declared + 8} bytes and {len(data)} are "
            "there. Copy or download it again."
        )


def _decode(data: bytes, name: str, sample_rate: int) -> Samples:
    """Try libsndfile, which is faster and exact, then FFmpeg, which knows more formats."""
    import soundfile

    try:
        file = soundfile.SoundFile(io.BytesIO(data))
    except soundfile.LibsndfileError:
        return _decode_ffmpeg(data, name, sample_rate)
    with file:
        if file.frames == _UNKNOWN_FRAMES or (file.frames == 0 and len(data) > _HEADER_BYTES):
            # Written to a pipe, or the writer never came to fill in the length: FFmpeg copes.
            return _decode_ffmpeg(data, name, sample_rate)
        _check_length(file.frames / file.samplerate, name)
        try:
            samples, frames = _collect(_sndfile_blocks(file), file.samplerate, name, sample_rate)
        except soundfile.LibsndfileError as error:
            raise _damaged(name) from error
        if frames < 0.99 * file.frames:
            raise _damaged(name)
    return samples


def _decode_ffmpeg(data: bytes, name: str, sample_rate: int) -> Samples:
    import av

    stream = None
    try:
        with av.open(
            io.BytesIO(data), mode="r", options={"format_whitelist": _FFMPEG_FORMATS}
        ) as container:
            if not container.streams.audio:
                if not container.streams.video:  # the index that would list them is cut off
                    raise _damaged(name)
                raise UnsupportedAudioError(f"{name} has no sound track. Give an audio file.")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise UnsupportedAudioError(
                    f"{name} holds sound in a coding that is not known here. Save it as WAV, "
                    "FLAC, MP3, OGG or M4A."
                )
            announced = float((stream.duration or 0) * (stream.time_base or 0))
            _check_length(announced, name)
            rate = int(stream.rate)
            samples, frames = _collect(_ffmpeg_blocks(container, stream), rate, name, sample_rate)
    except (av.FFmpegError, ValueError) as error:
        if stream is not None or any(data[:12].find(magic) in (0, 4) for magic in _MAGIC):
            raise _damaged(name) from error
        raise UnsupportedAudioError(
            f"{name} is no audio this program can decode. Save it as WAV, FLAC, MP3, OGG or M4A."
        ) from error
    if frames / rate < 0.9 * announced - 0.5:  # announcements are rounded and padded
        raise _damaged(name)
    return samples


def _damaged(name: str) -> UnreadableAudioError:
    return UnreadableAudioError(
        f"{name} is damaged or cut off and cannot be decoded. Copy or download it again."
    )


def _sndfile_blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    frames = max(_BLOCK_VALUES // file.channels, 1)
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        yield block


def _ffmpeg_blocks(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[Samples]:
    import av

    # The format changes, rate and channels stay: those are converted in one place for all.
    to_float = av.AudioResampler(format="fltp")
    for frame in container.decode(stream):
        for part in to_float.resample(frame):
            yield part.to_ndarray().T.astype(np.float32, copy=False)
    for part in to_float.resample(None):
        yield part.to_ndarray().T.astype(np.float32, copy=False)


def _collect(
    blocks: Iterator[Samples], rate: int, name: str, sample_rate: int
) -> tuple[Samples, int]:
    """Join blocks of shape (frames, channels); returns the samples and the frames decoded."""
    import soxr

    converter = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
    parts: list[Samples] = []
    frames = decoded_bytes = 0
    for block in blocks:
        frames += len(block)
        decoded_bytes += block.nbytes
        _check_length(frames / rate, name)
        if decoded_bytes > MAX_DECODED_BYTES:
            raise TooLargeAudioError(
                f"{name} unpacks to more than {MAX_DECODED_BYTES / 1e9:.0f} GB of audio. "
                "Cut it into parts, or mix it down to one channel."
            )
        mono = block.mean(axis=1, dtype=np.float32)
        if not (np.abs(mono) < _LARGEST_SAMPLE).all():
            raise NotFiniteAudioError(
                f"{name} holds samples that are no numbers (NaN or infinite), or near infinity. "
                "Export it again."
            )
        parts.append(mono if rate == sample_rate else converter.resample_chunk(mono))
    if rate != sample_rate:
        parts.append(converter.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32), frames


def _check_length(seconds: float, name: str) -> None:
    if seconds > MAX_SECONDS:
        raise TooLongAudioError(
            f"{name} lasts more than {MAX_SECONDS / 60:.0f} minutes "
            f"({seconds / 60:.0f} decoded or announced). Cut it into parts."
        )


def prepare_clip(samples: Samples, *, contract: Contract = CONTRACT) -> Clip:
    """Trim silence at both ends, bring speech to one level, and make it exactly one clip long.

    Speech longer than a clip is cut to the window of most energy; shorter speech is centred
    between zeros.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono, at the contract's sample rate.
    contract : Contract
        Rate, length, level and trimming.

    Returns
    -------
    Clip
        ``samples`` has shape (48000,).

    Raises
    ------
    SilentAudioError
        If the peak is below `SILENCE_PEAK`.

    Examples
    --------
    >>> t = np.arange(32_000, dtype=np.float32) / 16_000
    >>> clip = prepare_clip(np.sin(2 * np.pi * 220 * t))
    >>> clip.samples.shape, clip.start, clip.end
    ((48000,), 0.0, 2.0)
    """
    start, end = find_speech(samples, contract=contract)
    if end - start > contract.clip_samples:
        start = _loudest_window(samples, start, end, contract.clip_samples)
        end = start + contract.clip_samples
    speech = to_level(samples[start:end], contract=contract)
    before = (contract.clip_samples - len(speech)) // 2
    after = contract.clip_samples - len(speech) - before
    return Clip(
        np.pad(speech, (before, after)), start / contract.sample_rate, end / contract.sample_rate
    )


@first_call_alone
def find_speech(samples: Samples, *, contract: Contract = CONTRACT) -> tuple[int, int]:
    """Return the first and one past the last sample after trimming silence at both ends.

    Raises
    ------
    SilentAudioError
        If the peak is below `SILENCE_PEAK`.
    """
    import librosa

    # An offset would keep every frame above the threshold.
    centred = samples - samples.mean() if len(samples) else samples
    peak = float(np.max(np.abs(centred), initial=0.0))
    if peak < SILENCE_PEAK:
        raise SilentAudioError(
            "No speech found: the recording is silent. If you recorded it, check that the "
            "microphone was on and not muted, and record again."
        )
    # librosa's floor of -100 dBFS would cut quiet recordings elsewhere than loud ones.
    _, (start, end) = librosa.effects.trim(centred / peak, top_db=contract.trim_db)
    return int(start), int(end)


def to_level(samples: Samples, *, contract: Contract = CONTRACT) -> Samples:
    """Remove the offset and bring the RMS to the contract's level.

    Examples
    --------
    >>> level_dbfs(to_level(np.array([0.1, -0.1] * 100, dtype=np.float32)))
    -23.0
    """
    centred = samples - samples.mean()
    rms = float(np.sqrt(np.mean(np.square(centred, dtype=np.float64))))
    return (centred * (10 ** (contract.level_dbfs / 20) / max(rms, 1e-12))).astype(np.float32)


def _loudest_window(samples: Samples, start: int, end: int, length: int) -> int:
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples[start:end], dtype=np.float64))])
    return start + int(np.argmax(energy[length:] - energy[:-length]))


def audio_hash(samples: Samples) -> str:
    """Name a recording by what is heard: equal for the same samples in WAV, FLAC or AIFF.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        As `load_audio` returns them.

    Returns
    -------
    str
        32 hexadecimal digits: half of the SHA-256 of the samples rounded to 16 bits.
    """
    rounded = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2")
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:32]


def level_dbfs(samples: Samples) -> float:
    """Return the RMS level in dB relative to full scale, at least -120.

    Examples
    --------
    >>> level_dbfs(np.full(100, 0.1, dtype=np.float32))
    -20.0
    """
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return round(10 * float(np.log10(max(power, 1e-12))), 2)
