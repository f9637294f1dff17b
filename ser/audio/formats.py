"""Which files are opened at all, by their first bytes: the formats that are promised, no others.

Decoders for dozens of formats are installed with libsndfile and FFmpeg, and each is a way in for
whoever makes a file on purpose.  Nothing here is decoded; names of files are not looked at.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_PCM, _FLOAT, _A_LAW, _MU_LAW, _IMA_ADPCM, _GSM = 0x01, 0x03, 0x06, 0x07, 0x11, 0x31
WAV_CODINGS = (_PCM, _FLOAT, _A_LAW, _MU_LAW, _IMA_ADPCM, _GSM)
"""Codings of WAV files that are read, by their registered numbers."""
_EXTENSIBLE = 0xFFFE
_MOST_CHUNKS = 100  # before the one that names the coding
# What all extensible codings end with: the other two bytes are the coding.
_EXTENSIBLE_END = bytes.fromhex("000000001000800000aa00389b71")
_QUICKTIME = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")

SUBTYPES = {
    *("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    *("IMA_ADPCM", "GSM610", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"),
}
"""Codings that libsndfile may decode."""

CODECS = {
    *("aac", "alac", "amrnb", "amrwb", "flac", "mp2", "mp2float", "mp3", "mp3float", "opus"),
    *("libopus", "vorbis", "adpcm_ima_wav", "adpcm_ima_qt", "gsm_ms", "pcm_alaw", "pcm_mulaw"),
    *(f"pcm_{kind}" for kind in ("u8", "s8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be")),
    *(f"pcm_{kind}" for kind in ("f32le", "f32be", "f64le", "f64be")),
}
"""Decoders of FFmpeg that may be used."""


@dataclass(frozen=True)
class Format:
    """A container.

    Attributes
    ----------
    sndfile : tuple of str
        The formats as which libsndfile may open it; if there is none, it does not.
    ffmpeg : str
        The demuxers of FFmpeg that may open it, separated by commas.
    """

    sndfile: tuple[str, ...]
    ffmpeg: str


WAV = Format(("WAV", "WAVEX"), "wav")
FLAC = Format(("FLAC",), "flac")
OGG = Format(("OGG",), "ogg")
AIFF = Format(("AIFF",), "aiff")
TAGGED = Format(("MP3", "FLAC"), "mp3,aac,flac")
MPEG = Format(("MP3",), "mp3,aac")
MP4 = Format((), "mov")
WEBM = Format((), "matroska")


def format_of(data: bytes) -> Format | None:
    """Return the format of a file, or None if it is none that is read.

    Parameters
    ----------
    data : bytes
        The whole file, or its beginning.

    Examples
    --------
    >>> format_of(b"fLaC" + bytes(60)) is FLAC
    True
    >>> format_of(b"MATLAB 5.0 MAT-file") is None
    True
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return WAV
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    if data[:4] == b"fLaC":
        return FLAC
    if data[:4] == b"OggS":
        return OGG
    if data[:4] == b"\x1aE\xdf\xa3":
        return WEBM
    if data[4:8] in _QUICKTIME:
        return MP4
    if data[:3] == b"ID3":
        return TAGGED
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:  # a frame begins
        return MPEG
    return None


def wav_coding(data: bytes) -> int | None:
    r"""Return the number by which a WAV file says how its samples are coded.

    Returns
    -------
    int or None
        See `WAV_CODINGS` for those that are read; None if none is named where it should be.

    Examples
    --------
    >>> head = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"
    >>> wav_coding(head + b"\1\0" + bytes(14)), wav_coding(head + b"\x38\0" + bytes(14))
    (1, 56)
    """
    position = 12
    for _ in range(_MOST_CHUNKS):
        if position + 10 > len(data):
            return None
        (length,) = struct.unpack_from("<I", data, position + 4)
        if data[position : position + 4] == b"fmt ":
            (coding,) = struct.unpack_from("<H", data, position + 8)
            if coding == _EXTENSIBLE and data[position + 34 : position + 48] == _EXTENSIBLE_END:
                (coding,) = struct.unpack_from("<H", data, position + 32)
            return int(coding)
        position += 8 + length + length % 2
    return None
