"""The feature extractors that a model can name, and how one is read back from a manifest."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from ser.audio.features import FeatureExtractor, SpectralFeatures
from ser.audio.log_mel import LogMelFeatures
from ser.errors import BundleError
from ser.utils.validation import first_problem

EXTRACTORS: dict[str, type[FeatureExtractor]] = {
    "spectral": SpectralFeatures,
    "log-mel": LogMelFeatures,
}
"""The extractors that a model can name."""


def read_extractor(values: object) -> FeatureExtractor:
    """Read an extractor back from a manifest, which may come from anyone.

    Raises
    ------
    BundleError
        If it is none of `EXTRACTORS`, or a value is missing, unknown, of the wrong kind, or does
        not fit the others.

    Examples
    --------
    >>> read_extractor(SpectralFeatures().model_dump()) == SpectralFeatures()
    True
    """
    name = values.get("name") if isinstance(values, Mapping) else None
    kind = EXTRACTORS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(values, Mapping):
        raise BundleError(
            f"The manifest names no feature extractor of this version of ser ({name!r}; known: "
            f"{', '.join(EXTRACTORS)}). Use the version that made the bundle, or train again."
        )
    if missing := sorted(set(kind.model_fields) - set(values)):  # no default: it may change
        raise BundleError(
            f"The manifest's feature extractor lacks {missing[0]}. Copy the bundle again, or train "
            "again."
        )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise BundleError(
            f"The manifest's feature extractor does not fit this version of ser: "
            f"{first_problem(error)}. Use the version that made the bundle, or train again."
        ) from error
