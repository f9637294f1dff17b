"""The log-mel spectrogram that the encoder of Whisper reads."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ser.audio.clip import CLIP_SAMPLES
from ser.audio.decoding import Samples
from ser.audio.features import FeatureExtractor, Inputs, mel_filters
from ser.utils.parallel import one_thread

N_FFT, HOP_LENGTH, N_MELS = 400, 160, 80
FRAMES = CLIP_SAMPLES // HOP_LENGTH
"""Frames of one clip: 300, one every 10 ms."""


class LogMelFeatures(FeatureExtractor):
    """A log-mel spectrogram with 80 bands and a frame every 10 ms.

    The values are those that Whisper (Radford et al. 2022, *Robust speech recognition via
    large-scale weak supervision*, https://arxiv.org/abs/2212.04356) was trained on: windows of
    25 ms, the logarithm to base 10 of the power in each band, no lower than 8 below the clip's
    largest, shifted and scaled to about -1 to 1.  Its parameters are the encoder's and cannot be
    chosen.

    Examples
    --------
    >>> LogMelFeatures().shapes
    {'log_mel': (300, 80)}
    """

    name: Literal["log-mel"] = "log-mel"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """``log_mel``: (frames, bands), which is (300, 80)."""
        return {"log_mel": (FRAMES, N_MELS)}

    @property
    def description(self) -> str:
        """What the input consists of, for people."""
        return (
            f"{N_MELS}-band log-mel, which the first blocks of the encoder of Whisper tiny.en read"
        )

    def extract(self, clip: Samples) -> Inputs:
        """Return ``log_mel`` of one clip, shape (300, 80).

        Raises
        ------
        ValueError
            If the clip has another length.
        """
        self.check(clip)
        with one_thread():
            power = _power_spectrogram(clip) @ mel_filters(N_FFT, N_MELS).T
        log_power = np.log10(np.maximum(power, 1e-10))
        floored = np.maximum(log_power, log_power.max() - 8.0)
        return {"log_mel": ((floored + 4.0) / 4.0).astype(np.float32)}

    def shifted(self, inputs: Inputs) -> list[Inputs]:
        """Return the clips as they stand.

        The encoder already answers alike wherever a frame begins, and reading a clip several
        times would cost several times as much.
        """
        return [inputs]


def _power_spectrogram(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the squared magnitudes of centred Hann windows, shape (frames, 201)."""
    padded = np.pad(samples, N_FFT // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH][:FRAMES]
    hann = np.hanning(N_FFT + 1)[:-1].astype(np.float32)  # periodic, as for any spectrogram
    return np.square(np.abs(np.fft.rfft(windows * hann, axis=1))).astype(np.float32)
