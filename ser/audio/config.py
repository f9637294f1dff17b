"""The contract between a model and what it is fed: one object, stored with every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ser.errors import BundleError
from ser.labels import EMOTIONS

# What librosa can work with and memory can hold; a manifest may come from anyone.
_POSSIBLE = {
    "sample_rate": (8_000, 48_000),
    "clip_samples": (8_000, 480_000),
    "trim_db": (1, 120),
    "level_dbfs": (-80, 0),
    "n_fft": (256, 8192),
    "hop_length": (64, 8192),
    "n_mels": (8, 128),
    "n_mfcc": (1, 128),
    "n_chroma": (12, 12),
    "n_contrast": (1, 6),
    "top_db": (1, 200),
}


@dataclass(frozen=True)
class Contract:
    """How a recording becomes a model's input, and what the outputs are called.

    The values are written into a bundle's ``manifest.json`` and read back from there, so that a
    model never meets features of another make.

    Attributes
    ----------
    labels : tuple of str
        Names of the model's outputs, in order.
    sample_rate : int
        Hz.
    clip_samples : int
        Samples of one clip; 48 000 at 16 kHz are exactly 3 s.
    trim_db : float
        Silence at both ends is what lies this many dB below the loudest frame.
    level_dbfs : float
        RMS level that every clip is brought to, in dB relative to full scale, so that a louder
        microphone does not look like anger.
    n_fft, hop_length : int
        Length and step of the spectrogram's frames, in samples.  Frames are centred.
    n_mels : int
        Mel bands of the first channel.
    n_mfcc, n_chroma, n_contrast : int
        Rows of the second channel: cepstral coefficients, pitch classes, and octave bands of
        spectral contrast (librosa returns one row more than bands).
    top_db : float
        Dynamic range kept below the loudest point of the mel-spectrogram, in dB.
    """

    labels: tuple[str, ...] = EMOTIONS
    sample_rate: int = 16_000
    clip_samples: int = 48_000
    trim_db: float = 30.0
    level_dbfs: float = -23.0
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 32
    n_mfcc: int = 13
    n_chroma: int = 12
    n_contrast: int = 6
    top_db: float = 80.0

    @property
    def clip_seconds(self) -> float:
        """Length of one clip in seconds."""
        return self.clip_samples / self.sample_rate

    @property
    def frames(self) -> int:
        """Frames of one clip: 94 for 48 000 samples at a hop of 512."""
        return 1 + self.clip_samples // self.hop_length

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of the model's input, (rows, frames, channels): (32, 94, 2)."""
        return (self.n_mels, self.frames, 2)

    def to_json(self) -> dict[str, Any]:
        """Return the values as what JSON can hold."""
        return {**asdict(self), "labels": list(self.labels)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Contract:
        """Read a contract back from a manifest.

        Raises
        ------
        BundleError
            If a value is missing, unknown, of the wrong kind, or does not fit the others.

        Examples
        --------
        >>> Contract.from_json(Contract().to_json()) == Contract()
        True
        """
        known = {field.name: field for field in fields(cls)}
        if not isinstance(values, Mapping) or set(values) != set(known):
            odd = sorted(set(values) ^ set(known)) if isinstance(values, Mapping) else values
            raise BundleError(
                f"The manifest's contract does not fit this version of ser (differs in: {odd}). "
                "Use the version that made the bundle, or train again."
            )
        read: dict[str, Any] = {}
        for name, field in known.items():
            value, like = values[name], field.default
            if name == "labels":
                good = isinstance(value, list) and all(v in EMOTIONS for v in value)
                good = good and len(value) == len(set(value)) > 1
                value = tuple(value) if good else value
            else:
                low, high = _POSSIBLE[name]
                numbers = (int, float) if isinstance(like, float) else (int,)
                good = isinstance(value, numbers) and not isinstance(value, bool)
                good = good and low <= value <= high
            if not good:
                raise BundleError(f"The manifest's contract has an impossible {name}: {value!r}.")
            read[name] = value
        contract = cls(**read)
        rows = contract.n_mfcc + contract.n_chroma + contract.n_contrast + 1
        if rows != contract.n_mels:
            raise BundleError(
                f"The manifest's contract has {contract.n_mels} mel bands and {rows} rows in the "
                "second channel; both channels need as many rows."
            )
        return contract


CONTRACT = Contract()
"""The contract of the mission, used wherever no bundle says otherwise."""
