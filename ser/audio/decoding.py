"""Any recording becomes mono float32 at one rate, or is refused.

Every refusal is a class of its own with a stable ``code``, and its message says what to do.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.audio.formats import CODECS, SUBTYPES, WAV, WAV_CODINGS, Format, format_of, wav_coding
from ser.errors import DataError, SerError
from ser.utils.places import is_url, opened

if TYPE_CHECKING:
    import av
    import soundfile

Samples = npt.NDArray[np.float32]
Decoder = Callable[[bytes, str, int], Samples]
DECODE_APART = "SER_DECODE_APART"
"""Set in the environment of processes that are to decode in processes of their own."""

SAMPLING_RATE = 16_000
"""Rate of all audio within this project, in Hz."""

EXTENSIONS = (
    *(".wav", ".flac", ".mp3", ".ogg", ".m4a", ".webm", ".opus", ".aif", ".aiff"),
    *(".aac", ".mp4", ".mov", ".3gp"),  # what phones record; of a film its sound
)
"""File names that are taken for audio when a folder is searched."""

MAX_BYTES = 400_000_000
"""Largest file: half an hour of uncompressed stereo at 48 kHz and 16 bits fits."""
MAX_SECONDS = 1800.0
"""Longest recording, in seconds."""
MAX_DECODED_BYTES = 2_000_000_000
"""Largest recording once decoded (float32, all channels); a small Opus file can hide far more."""
RATES = (4_000, 400_000)
"""Lowest and highest sampling rate of a recording, in Hz.  At a lower one there is no speech, and a
few bytes would become half an hour of sound."""
MIN_SECONDS = 0.1
"""Shortest recording, in seconds; less is not speech."""

_BLOCK_VALUES = 1 << 18
# Where a writer could not know the length: libsndfile announces as many frames of a streamed FLAC.
_UNKNOWN_FRAMES = (1 << 63) - 1
# Streamed WAV files announce 0xFFFFFFFF bytes or something just below or above 2 GiB.
_UNKNOWN_BYTES = 0x7FFFF000
_HEADER_BYTES = 256
# Formats that announce no length: FFmpeg guesses it by the first frames, wrongly if nobody speaks.
_GUESSED = ("aac",)
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


def load_audio(source: str | Path | bytes, *, sampling_rate: int = SAMPLING_RATE) -> Samples:
    """Decode a recording of any format, rate and number of channels.

    Only the formats and codings of `ser.audio.formats` are opened, whatever a file is called:
    libsndfile is tried first, then FFmpeg through PyAV.  Channels are averaged and the rate is
    converted by soxr block by block, so that a long recording never stands in memory whole.

    Parameters
    ----------
    source : str, Path or bytes
        A file, its address in an object store (``s3://…``), or the content of one.
    sampling_rate : int
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
    samples = _decoder_in_use()(data, name, sampling_rate)
    _check_samples(samples, name, sampling_rate)
    return samples


def use_decoder(decoder: Decoder | None) -> None:
    """Let all recordings that this process loads be decoded by something else from now on.

    Parameters
    ----------
    decoder : callable, optional
        Given the content of a file, its name and the rate wanted, returns mono samples, such as
        `ser.audio.sandbox.Decoders`; None for `decode`, or if `DECODE_APART` is set in the
        environment, as it is for processes that are started by one that decodes apart, for that.
    """
    global _decoder
    _decoder = decoder


def _decoder_in_use() -> Decoder:
    global _decoder
    if _decoder is None:
        _decoder = decode
        if os.environ.get(DECODE_APART):
            from ser.audio.sandbox import Decoders

            _decoder = Decoders(1)
    return _decoder


def mono_samples(samples: npt.NDArray[np.floating], sampling_rate: int) -> Samples:
    """Return an array of samples as `load_audio` returns those of a file.

    Parameters
    ----------
    samples : ndarray of float, shape (n,) or (channels, n)
        Nominally in [-1, 1]; channels are averaged.
    sampling_rate : int
        Their rate, in Hz.

    Returns
    -------
    ndarray of float32, shape (n,)
        Mono, at `SAMPLING_RATE`.

    Raises
    ------
    TypeError
        If the samples are no floats, or the rate is no positive number.
    ValueError
        If the array has another shape.
    AudioError
        If there are too few or too many samples, or some are not finite.

    Examples
    --------
    >>> stereo = np.zeros((2, 44_100), np.float32)
    >>> mono_samples(stereo, 44_100).shape
    (16000,)
    """
    if not np.issubdtype(samples.dtype, np.floating):
        raise TypeError(
            f"Samples must be floats in [-1, 1], not {samples.dtype}: divide 16-bit integers by "
            "32768."
        )
    if isinstance(sampling_rate, bool) or not 0 < sampling_rate < np.inf:
        raise TypeError(f"sampling_rate must be a positive number of Hz, not {sampling_rate!r}.")
    _check_rate(sampling_rate, "The recording")
    channels = np.atleast_2d(samples)
    if channels.ndim != 2 or len(channels) > max(channels.shape[1], 1):
        raise ValueError(f"Samples must have the shape (n,) or (channels, n), not {samples.shape}.")
    name = "The recording"
    found, _ = _collect(iter([channels.T.astype(np.float32)]), sampling_rate, name, SAMPLING_RATE)
    _check_samples(found, name, SAMPLING_RATE)
    return found


def read_bytes(path: str | Path) -> bytes:
    """Return the content of an audio file, or its beginning if it has more than `MAX_BYTES`.

    Raises
    ------
    UnreadableAudioError
        If there is no such file, or it cannot be read.
    DataError
        If an object store does not answer, or refuses: the recording itself may be good.
    """
    if is_url(path):
        try:
            with opened(path) as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise UnreadableAudioError(f"{path} does not exist. Check the name.") from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}. Try again later.") from error
    path = Path(path)
    if os.path.isdir(path):
        raise UnreadableAudioError(f"{path} is a folder. Give an audio file.")
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would never end
        raise UnreadableAudioError(
            f"{path} is not a file but a pipe or device. Give an audio file."
        )
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


def decode(data: bytes, name: str, sampling_rate: int) -> Samples:
    """Decode what `load_audio` was given, in this process.

    libsndfile, which is faster and exact, is tried before FFmpeg, which knows more formats.
    """
    kind = format_of(data)
    if kind is None:
        raise UnsupportedAudioError(
            f"{name} is not audio this program can decode. Save it as WAV, FLAC, MP3, OGG or M4A."
        )
    if kind is WAV and (coding := wav_coding(data)) not in WAV_CODINGS:
        raise _damaged(name) if coding is None else _unknown_coding(name, f"number {coding}")
    if kind.sndfile:
        samples = _decode_sndfile(data, name, sampling_rate, kind)
        if samples is not None:
            return samples
    return _decode_ffmpeg(data, name, sampling_rate, kind)


def _decode_sndfile(data: bytes, name: str, sampling_rate: int, kind: Format) -> Samples | None:
    """Decode with libsndfile, or return None where FFmpeg may do better."""
    import soundfile

    try:
        file = soundfile.SoundFile(io.BytesIO(data))
    except soundfile.LibsndfileError:
        return None
    with file:
        if file.format not in kind.sndfile or file.subtype not in SUBTYPES:
            return None
        if file.frames == _UNKNOWN_FRAMES or (file.frames == 0 and len(data) > _HEADER_BYTES):
            return None  # written to a pipe, or its length was never filled in: FFmpeg copes
        _check_rate(file.samplerate, name)
        _check_length(file.frames / file.samplerate, name)
        try:
            samples, frames = _collect(_sndfile_blocks(file), file.samplerate, name, sampling_rate)
        except soundfile.LibsndfileError as error:
            raise _damaged(name) from error
        if frames < 0.99 * file.frames:
            raise _damaged(name)
    return samples


def _decode_ffmpeg(data: bytes, name: str, sampling_rate: int, kind: Format) -> Samples:
    import av

    # Without a list of formats a playlist (HLS, concat) posing as audio could make FFmpeg read
    # other files or addresses.
    allowed = {"format_whitelist": kind.ffmpeg, "codec_whitelist": ",".join(sorted(CODECS))}
    try:
        with av.open(io.BytesIO(data), mode="r", options=allowed) as container:
            if not container.streams.audio:
                if not container.streams.video:  # the index that would list them is cut off
                    raise _damaged(name)
                raise UnsupportedAudioError(f"{name} has no sound track. Give an audio file.")
            stream = container.streams.audio[0]
            codec = stream.codec_context
            if codec is None or codec.name not in CODECS:
                raise _unknown_coding(name, codec.name if codec else "unknown")
            codec.thread_count = 1
            rate = int(stream.rate)
            _check_rate(rate, name)
            announced = float((stream.duration or 0) * (stream.time_base or 0))
            if container.format.name in _GUESSED:
                announced = 0.0
            _check_length(announced, name)
            samples, frames = _collect(_ffmpeg_blocks(container, stream), rate, name, sampling_rate)
    except (av.FFmpegError, ValueError) as error:
        raise _damaged(name) from error
    if frames / rate < 0.9 * announced - 0.5:  # announcements are rounded and padded
        raise _damaged(name)
    return samples


_decoder: Decoder | None = None


def _unknown_coding(name: str, coding: str) -> UnsupportedAudioError:
    return UnsupportedAudioError(
        f"{name} holds sound in a coding that is not known here ({coding}). Save it as WAV, FLAC, "
        "MP3, OGG or M4A."
    )


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
    blocks: Iterator[Samples], rate: int, name: str, sampling_rate: int
) -> tuple[Samples, int]:
    """Join blocks of shape (frames, channels); returns the samples and the frames decoded."""
    import soxr

    converter = soxr.ResampleStream(rate, sampling_rate, 1, dtype="float32")
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
                f"{name} holds samples that are not numbers (NaN or infinite), or near infinity. "
                "Export it again."
            )
        parts.append(mono if rate == sampling_rate else converter.resample_chunk(mono))
    if rate != sampling_rate:
        parts.append(converter.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32), frames


def _check_samples(samples: Samples, name: str, sampling_rate: int) -> None:
    seconds = len(samples) / sampling_rate
    if len(samples) == 0:
        raise EmptyAudioError(f"{name} holds no audio samples. Record or export it again.")
    if seconds < MIN_SECONDS:
        raise TooShortAudioError(
            f"{name} lasts {int(1000 * seconds)} ms; at least {1000 * MIN_SECONDS:.0f} ms of "
            "speech are needed. Record a whole sentence."
        )


def _check_rate(rate: int, name: str) -> None:
    low, high = RATES
    if not low <= rate <= high:
        raise UnsupportedAudioError(
            f"{name} has a sampling rate of {rate} Hz. Speech needs {low} to {high} Hz; export it "
            "again."
        )


def _check_length(seconds: float, name: str) -> None:
    if seconds > MAX_SECONDS:
        raise TooLongAudioError(
            f"{name} lasts more than {MAX_SECONDS / 60:.0f} minutes "
            f"({seconds / 60:.0f} decoded or announced). Cut it into parts."
        )
