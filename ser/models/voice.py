"""What is known of a voice by listening to it: where its clips lie, whatever emotion they have.

People differ in how they sound more than emotions do.  The mean of a few clips of one voice,
unlabelled and of any emotions, is taken off what the encoder gives out for each of them (as speaker
normalisation does, e.g. Busso et al. 2013, *Iterative feature normalization scheme for automatic
emotion detection from speech*).  A mean of few clips is not believed entirely: it is shrunk
towards that of everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser.audio.features import Inputs

PRIOR = 3.0
"""Clips of a voice that count as much as everybody else: n clips are believed n / (n + 3)."""

ENOUGH = 10
"""Clips after which a voice is as good as known; more change little."""

Means = dict[str, npt.NDArray[np.float32]]
"""Mean over time of ``frames``, shape (…, components, 1, 1), and the ``summary``, (…, 2304)."""


def means_of(encoded: Inputs) -> Means:
    """Return where each of n encoded clips lies.

    Parameters
    ----------
    encoded : dict of str to ndarray of float32
        ``frames``, (n, components, 50, 1), and ``summary``, (n, 2304), see
        `ser.models.encoder.build_front`.
    """
    return {
        name: values.mean(axis=2, keepdims=True) if values.ndim == 4 else values
        for name, values in encoded.items()
    }


def trust(count: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return how far the mean of so many clips is believed, in [0, 1].

    Examples
    --------
    >>> trust([0, 3, 12]).tolist()
    [0.0, 0.5, 0.8]
    """
    counts = np.asarray(count, np.float64)
    return counts / (counts + PRIOR)


def known_factor(of_known: float, count: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return what a figure is multiplied by where a voice is known by so many clips.

    Parameters
    ----------
    of_known : float
        What it is multiplied by where the voice is as good as known, such as the
        ``voice_temperature`` of `ser.models.manifest.Manifest`.
    count : int or array of int
        Clips.

    Examples
    --------
    >>> known_factor(0.5, [0, ENOUGH]).tolist()
    [1.0, 0.5]
    """
    return of_known ** (trust(count) / trust(ENOUGH))


@dataclass(frozen=True)
class Voice:
    """A voice that was listened to.

    Attributes
    ----------
    count : int
        Clips of it.
    sums : dict of str to ndarray of float32
        Of where they lie, see `means_of`; empty without clips.
    """

    count: int = 0
    sums: Mapping[str, npt.NDArray[np.float32]] | None = None

    def heard(self, encoded: Inputs) -> Voice:
        """Return what is known of the voice after further clips.

        Parameters
        ----------
        encoded : dict of str to ndarray of float32
            See `means_of`.
        """
        sums = {name: values.sum(axis=0) for name, values in means_of(encoded).items()}
        return self.joined(Voice(len(next(iter(encoded.values()))), sums))

    def joined(self, other: Voice) -> Voice:
        """Return what is known by the clips of both."""
        if self.sums is None or other.sums is None:
            return other if self.sums is None else self
        sums = {name: values + other.sums[name] for name, values in self.sums.items()}
        return Voice(self.count + other.count, sums)

    def to_arrays(self) -> dict[str, npt.NDArray]:
        """Return what NumPy can store; `from_arrays` reads it back."""
        if self.sums is None:
            return {}
        return {"count": np.array(self.count), **self.sums}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray]) -> Voice:
        """Read a voice that may come from anyone.

        Raises
        ------
        ValueError
            If it makes no sense.
        """
        if not arrays:
            return cls()
        sums = {k: v.astype(np.float32) for k, v in arrays.items() if k != "count"}
        count = int(arrays["count"])
        if count < 1 or not all(np.isfinite(values).all() for values in sums.values()):
            raise ValueError("its voice is not finite")
        return cls(count, sums)

    def counting(self, count: int) -> Voice:
        """Return the same mean, believed as that of so many clips."""
        sums = self.sums or {}
        return Voice(count, {name: each * (count / self.count) for name, each in sums.items()})

    def offset(self, typical: Means) -> Means:
        """Return how far the voice lies from everybody, as far as that is believed.

        Parameters
        ----------
        typical : dict of str to ndarray of float32
            Mean over the clips that trained the model.
        """
        if not self.count or self.sums is None:
            return {name: np.zeros_like(values) for name, values in typical.items()}
        believed = float(trust(self.count))
        return {
            name: np.asarray(believed * (self.sums[name] / self.count - values), np.float32)
            for name, values in typical.items()
        }


def without_each_other(encoded: Inputs, typical: Means) -> Inputs:
    """Take off every clip what the others tell of the voice that is in all of them.

    Parameters
    ----------
    encoded : dict of str to ndarray of float32
        Of n clips of one voice, see `means_of`.
    typical : dict of str to ndarray of float32
        See `Voice.offset`.

    Returns
    -------
    dict of str to ndarray of float32
        Of the same shapes.
    """
    count = len(next(iter(encoded.values())))
    others = {
        name: (values.sum(axis=0) - values) / max(count - 1, 1)
        for name, values in means_of(encoded).items()
    }
    return _without(encoded, typical, others, np.full(count, count - 1))


def without_chosen(
    encoded: Inputs, typical: Means, chosen: Sequence[npt.NDArray[np.integer]]
) -> Inputs:
    """Take off every clip what some others tell of its voice.

    Parameters
    ----------
    encoded, typical
        See `without_each_other`; the clips may be of several voices.
    chosen : sequence of ndarray of int
        For each clip the rows of those that its voice is known by; none if it is new.

    Returns
    -------
    dict of str to ndarray of float32
        Of the same shapes.
    """
    if not chosen:
        return encoded
    others = {
        name: np.stack(
            [values[rows].mean(axis=0) if len(rows) else typical[name] for rows in chosen]
        )
        for name, values in means_of(encoded).items()
    }
    return _without(encoded, typical, others, np.array([len(rows) for rows in chosen]))


def _without(
    encoded: Inputs, typical: Means, others: Means, counts: npt.NDArray[np.integer]
) -> Inputs:
    found = {}
    for name, values in encoded.items():
        believed = trust(counts).reshape(-1, *[1] * (values.ndim - 1))
        found[name] = (values - believed * (others[name] - typical[name])).astype(np.float32)
    return found
