"""Feature extractors: what turns a clip into a model's named inputs, and is stored with the model.

`SpectralFeatures` is the extractor of the mission; a further one is a subclass of
`FeatureExtractor`, listed in `ser.audio.extractors`.  The numbers are those of librosa, see
`ser.audio.spectra`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ser.audio import spectra
from ser.audio.clip import CLIP_SAMPLES, prepare_clip
from ser.audio.decoding import SAMPLING_RATE, Samples
from ser.audio.pitch import pyin
from ser.utils.parallel import one_thread

Matrix = npt.NDArray[np.float32]
Inputs = dict[str, Matrix]
"""Inputs of a model by name: of one clip, or of several along a first axis."""

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class FeatureExtractor(BaseModel, ABC):
    """Turns audio into the named inputs of a model.

    Its fields are all that decides the result; they are written into a bundle's manifest and read
    back from there (`read_extractor`), so that a model never meets features of another make.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    """Which extractor it is, see `ser.audio.extractors`."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each input of one clip, by name."""

    @property
    @abstractmethod
    def description(self) -> str:
        """What the input consists of, for people."""

    @abstractmethod
    def extract(self, clip: Samples) -> Inputs:
        """Return the inputs of one clip.

        Parameters
        ----------
        clip : ndarray of float32, shape (48000,)
            As `ser.audio.prepare_clip` makes it.

        Returns
        -------
        dict of str to ndarray of float32
            One array of its shape for each of `shapes`.

        Raises
        ------
        ValueError
            If the clip has another length.
        """

    @abstractmethod
    def shifted(self, inputs: Inputs) -> list[Inputs]:
        """Return inputs of clips moved a little in time, over which answers are averaged.

        Parameters
        ----------
        inputs : dict of str to ndarray of float32
            Of several clips, each of shape (clips, ...).
        """

    def check(self, clip: Samples) -> None:
        """Refuse samples that are no clip.

        Raises
        ------
        ValueError
            If they are not 48 000.
        """
        if clip.shape != (CLIP_SAMPLES,):
            raise ValueError(
                f"A clip has shape ({CLIP_SAMPLES},), not {clip.shape}: "
                "use ser.audio.prepare_clip first."
            )

    def __call__(self, samples: Samples) -> Inputs:
        """Return the inputs of a recording of any length: of the clip that is made of it.

        Parameters
        ----------
        samples : ndarray of float32, shape (n,)
            Mono, at 16 kHz, as `ser.audio.load_audio` returns it.

        Raises
        ------
        SilentAudioError
            If there is nothing to hear.

        Examples
        --------
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 30_000).astype(np.float32)
        >>> {name: values.shape for name, values in SpectralFeatures()(noise).items()}
        {'features': (32, 94, 2)}
        """
        return self.extract(prepare_clip(samples).samples)

    def batch(self, inputs: Sequence[Inputs]) -> Inputs:
        """Return the inputs of several clips as those of one batch, also if there are none.

        Examples
        --------
        >>> SpectralFeatures().batch([])["features"].shape
        (0, 32, 94, 2)
        """
        return {
            name: np.array([each[name] for each in inputs], np.float32).reshape(-1, *shape)
            for name, shape in self.shapes.items()
        }


class SpectralFeatures(FeatureExtractor):
    """Two channels of spectral features over centred Hann windows.

    Channel 0 is a mel-spectrogram in dB, channel 1 stacks MFCCs, chroma and spectral contrast.
    The values are raw (dB and the like): the zero mean and unit variance of each row are the
    business of the model's first layer, which learned them from its training clips.

    Attributes
    ----------
    n_fft, hop_length : int
        Length and step of the windows, in samples: 128 ms every 32 ms, so that 3 s give 94 frames.
    n_mels : int
        Mel bands of the first channel.
    n_mfcc, n_chroma, n_contrast : int
        Rows of the second channel: cepstral coefficients, pitch classes, and octave bands of
        spectral contrast (librosa returns one row more than bands).
    top_db : float
        Dynamic range kept below the loudest point of the mel-spectrogram, in dB.

    Examples
    --------
    >>> SpectralFeatures().shapes
    {'features': (32, 94, 2)}
    """

    # What librosa can work with and memory can hold; a manifest may come from anyone.
    name: Literal["spectral"] = "spectral"
    n_fft: int = Field(default=2048, ge=256, le=8192)
    hop_length: int = Field(default=512, ge=64, le=8192)
    n_mels: int = Field(default=32, ge=8, le=128)
    n_mfcc: int = Field(default=13, ge=1, le=128)
    n_chroma: int = Field(default=12, ge=12, le=12)
    n_contrast: int = Field(default=6, ge=1, le=6)
    top_db: float = Field(default=80.0, ge=1, le=200)

    @model_validator(mode="after")
    def _channels_are_alike(self) -> SpectralFeatures:
        rows = self.n_mfcc + self.n_chroma + self.n_contrast + 1
        if rows != self.n_mels:
            raise ValueError(
                f"{self.n_mels} mel bands and {rows} rows in the second channel; both channels "
                "need as many rows"
            )
        return self

    @property
    def frames(self) -> int:
        """Frames of one clip: 94."""
        return 1 + CLIP_SAMPLES // self.hop_length

    @property
    def frame_seconds(self) -> float:
        """Time from one frame to the next: .032 s."""
        return self.hop_length / SAMPLING_RATE

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """``features``: (rows, frames, channels), which is (32, 94, 2)."""
        return {"features": (self.n_mels, self.frames, 2)}

    @property
    def description(self) -> str:
        """What the input consists of, for people."""
        return (
            f"{self.n_mels}-band log-mel in dB; {self.n_mfcc} MFCC, {self.n_chroma} chroma, "
            f"{self.n_contrast + 1} spectral contrast"
        )

    @property
    def row_names(self) -> list[str]:
        """Names of the second channel's rows, from the first to the last.

        Examples
        --------
        >>> names = SpectralFeatures().row_names
        >>> len(names), names[0], names[13], names[-1]
        (32, 'MFCC 1', 'chroma C', 'contrast 7')
        """
        return [
            *(f"MFCC {i + 1}" for i in range(self.n_mfcc)),
            *(f"chroma {pitch}" for pitch in PITCH_CLASSES),
            *(f"contrast {i + 1}" for i in range(self.n_contrast + 1)),
        ]

    def extract(self, clip: Samples) -> Inputs:
        """Return ``features`` of one clip, shape (32, 94, 2).

        Raises
        ------
        ValueError
            If the clip has another length.
        """
        self.check(clip)
        with one_thread():
            magnitude = self.magnitudes(clip)
            second = [self._mfcc(magnitude), self._chroma(magnitude), self._contrast(magnitude)]
            first = self._log_mel(magnitude, self.n_mels)
        return {"features": np.stack([first, np.concatenate(second)], axis=-1)}

    def shifted(self, inputs: Inputs) -> list[Inputs]:
        """Return the clips moved by -4, -2, 0, 2 and 4 frames.

        Where a frame begins says nothing about an emotion, so the answers only differ by error.
        """
        return [
            {name: np.roll(values, frames, axis=2) for name, values in inputs.items()}
            for frames in (-4, -2, 0, 2, 4)
        ]

    def magnitudes(self, samples: Samples) -> Matrix:
        """Return the magnitude spectrogram, shape (1 + n_fft / 2, frames), linear."""
        return spectra.magnitudes(samples, n_fft=self.n_fft, hop_length=self.hop_length)

    def log_mel(self, samples: Samples, *, n_mels: int | None = None) -> Matrix:
        """Return the mel-spectrogram in dB (power, reference 1, floor `top_db` below the peak).

        Parameters
        ----------
        samples : ndarray of float32, shape (n,)
            Mono audio.
        n_mels : int, optional
            Bands, if not those of the model's input.

        Returns
        -------
        ndarray of float32, shape (n_mels, frames)
            Decibels.
        """
        return self._log_mel(self.magnitudes(samples), n_mels or self.n_mels)

    def mfcc(self, samples: Samples) -> Matrix:
        """Return mel-frequency cepstral coefficients of a 128-band log-mel, shape (13, frames)."""
        return self._mfcc(self.magnitudes(samples))

    def chroma(self, samples: Samples) -> Matrix:
        """Return the energy per pitch class (C to B), each frame's largest 1, (12, frames)."""
        return self._chroma(self.magnitudes(samples))

    def spectral_contrast(self, samples: Samples) -> Matrix:
        """Return peak against valley per octave band in dB, shape (7, frames).

        Jiang et al. 2002, *Music type classification by spectral contrast feature*.
        """
        return self._contrast(self.magnitudes(samples))

    def pitch(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Return the fundamental frequency of each frame in Hz, NaN where there is none.

        Mauch & Dixon 2014, *pYIN: A fundamental frequency estimator using probabilistic threshold
        distributions*; looked for from 65 Hz (a deep voice) to 1000 Hz (a sung high note).  No
        part of the model's input.

        Examples
        --------
        >>> tone = np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000).astype(np.float32)
        >>> float(np.nanmedian(SpectralFeatures().pitch(tone)).round())
        220.0
        """
        return pyin(
            samples,
            sampling_rate=SAMPLING_RATE,
            lowest=65.0,
            highest=1000.0,
            frame=self.n_fft,
            hop=self.hop_length,
        )

    def _log_mel(self, magnitude: Matrix, n_mels: int) -> Matrix:
        power = mel_filters(self.n_fft, n_mels) @ np.square(magnitude)
        return np.asarray(spectra.power_to_db(power, top_db=self.top_db), np.float32)

    def _mfcc(self, magnitude: Matrix) -> Matrix:
        # 128 bands are librosa's default; the first channel's 32 would only repeat themselves here.
        return spectra.mfcc(self._log_mel(magnitude, 128), self.n_mfcc)

    def _chroma(self, magnitude: Matrix) -> Matrix:
        energy = _chroma_filters(self.n_fft, self.n_chroma) @ np.square(magnitude)
        return spectra.largest_one(energy)

    def _contrast(self, magnitude: Matrix) -> Matrix:
        return spectra.spectral_contrast(
            magnitude, sampling_rate=SAMPLING_RATE, n_bands=self.n_contrast
        )


SPECTRAL = SpectralFeatures()
"""The extractor of the mission, used wherever no model says otherwise."""


# Building filters takes longer than applying them.
@lru_cache(maxsize=8)
def mel_filters(n_fft: int, n_mels: int) -> Matrix:
    """Return Slaney's triangular mel filters up to 8 kHz, shape (n_mels, 1 + n_fft / 2)."""
    return spectra.mel_filters(sampling_rate=SAMPLING_RATE, n_fft=n_fft, n_mels=n_mels)


@lru_cache(maxsize=8)
def _chroma_filters(n_fft: int, n_chroma: int) -> Matrix:
    # Speech has no tuning to estimate, and estimating it would cost more than all the rest.
    return spectra.chroma_filters(sampling_rate=SAMPLING_RATE, n_fft=n_fft, n_chroma=n_chroma)
