"""Spectral features of a clip, and the two channels the model sees.

All functions take samples at the contract's rate and use its frames: Hann windows of 2048 samples
(128 ms) every 512 (32 ms), centred, so that 3 s give 94 frames.  The numbers are librosa's own
(McFee et al. 2015, *librosa: Audio and music signal analysis in Python*).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ser.audio import Samples
from ser.audio.config import CONTRACT, Contract
from ser.utils.parallel import first_call_alone

Matrix = npt.NDArray[np.float32]


@first_call_alone
def magnitudes(samples: Samples, *, contract: Contract = CONTRACT) -> Matrix:
    """Return the magnitude spectrogram, shape (1 + n_fft / 2, frames), linear."""
    import librosa

    stft = librosa.stft(samples, n_fft=contract.n_fft, hop_length=contract.hop_length)
    return np.abs(stft).astype(np.float32)


def log_mel(
    samples: Samples, *, contract: Contract = CONTRACT, n_mels: int | None = None
) -> Matrix:
    """Return the mel-spectrogram in dB (power, reference 1, floor `top_db` below the peak).

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono audio.
    contract : Contract
        Frames, bands and dynamic range.
    n_mels : int, optional
        Bands, if not the contract's 32.

    Returns
    -------
    ndarray of float32, shape (n_mels, frames)
        Decibels.
    """
    return _log_mel(magnitudes(samples, contract=contract), contract, n_mels or contract.n_mels)


def mfcc(samples: Samples, *, contract: Contract = CONTRACT) -> Matrix:
    """Return 13 mel-frequency cepstral coefficients of a 128-band log-mel, shape (13, frames)."""
    return _mfcc(magnitudes(samples, contract=contract), contract)


def chroma(samples: Samples, *, contract: Contract = CONTRACT) -> Matrix:
    """Return the energy per pitch class (C to B), each frame's largest 1, shape (12, frames)."""
    return _chroma(magnitudes(samples, contract=contract), contract)


def spectral_contrast(samples: Samples, *, contract: Contract = CONTRACT) -> Matrix:
    """Return peak against valley per octave band in dB, shape (7, frames).

    Jiang et al. 2002, *Music type classification by spectral contrast feature*.
    """
    return _contrast(magnitudes(samples, contract=contract), contract)


@first_call_alone
def pitch(samples: Samples, *, contract: Contract = CONTRACT) -> npt.NDArray[np.float64]:
    """Return the fundamental frequency of each frame in Hz, NaN where there is none.

    Mauch & Dixon 2014, *pYIN: A fundamental frequency estimator using probabilistic threshold
    distributions*; looked for from 65 Hz (a deep voice) to 1000 Hz (a sung high note).

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000).astype(np.float32)
    >>> float(np.nanmedian(pitch(tone)).round())
    220.0
    """
    import librosa

    hertz, _, _ = librosa.pyin(
        samples,
        fmin=65.0,
        fmax=1000.0,
        sr=contract.sample_rate,
        frame_length=contract.n_fft,
        hop_length=contract.hop_length,
    )
    return np.asarray(hertz, float)


@first_call_alone
def model_input(samples: Samples, *, contract: Contract = CONTRACT) -> Matrix:
    """Return what the model sees of one clip.

    Channel 0 is the 32-band log-mel; channel 1 stacks 13 MFCCs, 12 chroma and 7 spectral
    contrasts.  The values are raw (dB and the like): the zero mean and unit variance of each row
    are the business of the model's first layer, which learned them from its training clips.

    Parameters
    ----------
    samples : ndarray of float32, shape (48000,)
        A clip as `ser.audio.prepare_clip` makes it.
    contract : Contract
        What the model was trained with.

    Returns
    -------
    ndarray of float32, shape (32, 94, 2)
        (rows, frames, channels).

    Raises
    ------
    ValueError
        If the clip has another length than the contract's.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    >>> model_input(noise).shape
    (32, 94, 2)
    """
    if samples.shape != (contract.clip_samples,):
        raise ValueError(
            f"A clip has shape ({contract.clip_samples},), not {samples.shape}: "
            "use ser.audio.prepare_clip first."
        )
    magnitude = magnitudes(samples, contract=contract)
    second = np.concatenate(
        [
            _mfcc(magnitude, contract),
            _chroma(magnitude, contract),
            _contrast(magnitude, contract),
        ]
    )
    first = _log_mel(magnitude, contract, contract.n_mels)
    return np.stack([first, second], axis=-1)


def row_names(contract: Contract = CONTRACT) -> list[str]:
    """Return the names of the second channel's rows, from the first to the last.

    Examples
    --------
    >>> names = row_names()
    >>> len(names), names[0], names[13], names[-1]
    (32, 'MFCC 1', 'chroma C', 'contrast 7')
    """
    pitch_classes = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    return [
        *(f"MFCC {i + 1}" for i in range(contract.n_mfcc)),
        *(f"chroma {pitch}" for pitch in pitch_classes),
        *(f"contrast {i + 1}" for i in range(contract.n_contrast + 1)),
    ]


# librosa builds its filters anew in every call, which takes longer than applying them.
@lru_cache(maxsize=8)
def _mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> Matrix:
    import librosa

    return np.asarray(librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels), "f4")


@lru_cache(maxsize=8)
def _chroma_filters(sample_rate: int, n_fft: int, n_chroma: int) -> Matrix:
    import librosa

    # Speech has no tuning to estimate, and estimating it would cost more than all the rest.
    filters = librosa.filters.chroma(sr=sample_rate, n_fft=n_fft, n_chroma=n_chroma, tuning=0.0)
    return np.asarray(filters, "f4")


def _log_mel(magnitude: Matrix, contract: Contract, n_mels: int) -> Matrix:
    import librosa

    filters = _mel_filters(contract.sample_rate, contract.n_fft, n_mels)
    return np.asarray(
        librosa.power_to_db(filters @ np.square(magnitude), top_db=contract.top_db), "f4"
    )


def _mfcc(magnitude: Matrix, contract: Contract) -> Matrix:
    import librosa

    # 128 bands are librosa's default; the first channel's 32 would only repeat themselves here.
    log_mel = _log_mel(magnitude, contract, 128)
    return np.asarray(librosa.feature.mfcc(S=log_mel, n_mfcc=contract.n_mfcc), "f4")


def _chroma(magnitude: Matrix, contract: Contract) -> Matrix:
    import librosa

    filters = _chroma_filters(contract.sample_rate, contract.n_fft, contract.n_chroma)
    return np.asarray(librosa.util.normalize(filters @ np.square(magnitude), axis=0), "f4")


def _contrast(magnitude: Matrix, contract: Contract) -> Matrix:
    import librosa

    contrast = librosa.feature.spectral_contrast(
        S=magnitude, sr=contract.sample_rate, n_bands=contract.n_contrast
    )
    return np.asarray(contrast, "f4")
