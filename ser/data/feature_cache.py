"""Features of many clips, computed once and kept on disk.

An entry is named by the file's bytes and everything that shaped the features, so a changed file or
parameter can never read an old entry.  Entries are replaced atomically (two processes may write
the same one) and checked by CRC before they are read (a torn one is made again).
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser import audio
from ser.audio import augmentation, nonspeech
from ser.audio.features import SPECTRAL, FeatureExtractor, Inputs
from ser.data.cache import cache_folder, prune
from ser.errors import OutputError
from ser.labels import EMOTIONS
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress, map_items

# Raise when code changes what the same parameters give.
_RECIPE = 4


@dataclass(frozen=True)
class Features:
    """One of a model's inputs for some clips, in the order of the clips.

    Attributes
    ----------
    clean : ndarray of float32, shape (clips, 32, 94, 2)
        Each clip as it is.
    copies : ndarray of float16, shape (clips, copies, 32, 94, 2)
        Augmented copies; half precision (about .03 dB) keeps a large corpus in memory.
    """

    clean: npt.NDArray[np.float32]
    copies: npt.NDArray[np.float16]

    def joined(self, other: Features) -> Features:
        """Return the clips of both; each must have as many copies."""
        return Features(
            np.concatenate([self.clean, other.clean]), np.concatenate([self.copies, other.copies])
        )


def compute_features(
    paths: Sequence[str],
    *,
    extractor: FeatureExtractor = SPECTRAL,
    copies: int = 0,
    seed: int = 0,
    cache: Path | None = None,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> dict[str, Features]:
    """Return the features of clips, from the cache where it has them.

    Parameters
    ----------
    paths : sequence of str
        Audio files.
    extractor : FeatureExtractor
        Of the model.
    copies : int
        Augmented copies per clip; 0 for validation and test clips.
    seed : int
        Of the augmentation.  A clip's copies depend on its content, the seed, how many there are
        and the extractor; never on the other clips.
    cache : Path, optional
        Folder of the cache; by default ``features`` in `ser.data.cache.cache_folder`.
    n_jobs : int
        Parallel workers; -1 is one per core.
    progress : callable, optional
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    dict of str to Features
        One for each input of the model, see `FeatureExtractor.shapes`.

    Raises
    ------
    AudioError
        If a clip cannot be used.
    OutputError
        If the cache cannot be written.
    """
    folder = cache or cache_folder("features")
    one = partial(_cached, extractor=extractor, copies=copies, seed=seed, cache=folder)
    found = map_items(one, paths, "Computing features", n_jobs=n_jobs, progress=progress)
    prune(folder)
    return _stacked(found, extractor, copies)


def nonspeech_features(
    count: int,
    *,
    extractor: FeatureExtractor = SPECTRAL,
    copies: int = 0,
    seed: int = 0,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> dict[str, Features]:
    """Return the features of sounds that are no speech, see `ser.audio.nonspeech.exposure`.

    Parameters
    ----------
    count : int
        How many sounds.
    extractor, seed, n_jobs, progress
        See `compute_features`.
    copies : int
        So many further sounds stand in for the copies of each.

    Returns
    -------
    dict of str to Features
        See `compute_features`.
    """
    one = partial(_nonspeech, extractor=extractor, copies=copies, seed=seed)
    found = map_items(one, range(count), "Making non-speech", n_jobs=n_jobs, progress=progress)
    return _stacked(found, extractor, copies)


def _nonspeech(
    number: int, *, extractor: FeatureExtractor, copies: int, seed: int
) -> tuple[Inputs, Inputs]:
    rng = np.random.default_rng([seed, number])
    sounds = [nonspeech.exposure(rng) for _ in range(1 + copies)]
    clean, *more = [extractor(sound) for sound in sounds]
    return clean, extractor.batch(more)


def _stacked(
    found: Sequence[tuple[Inputs, Inputs]], extractor: FeatureExtractor, copies: int
) -> dict[str, Features]:
    return {
        name: Features(
            np.array([clean[name] for clean, _ in found], np.float32).reshape(-1, *shape),
            np.array([more[name] for _, more in found], np.float16).reshape(-1, copies, *shape)
            if copies
            else np.zeros((len(found), 0, *shape), np.float16),
        )
        for name, shape in extractor.shapes.items()
    }


def _cached(
    path: str, *, extractor: FeatureExtractor, copies: int, seed: int, cache: Path
) -> tuple[Inputs, Inputs]:
    data = audio.read_bytes(path)
    name = _entry_name(data, extractor, copies, seed)
    entry = cache / name[:2] / f"{name}.npz"
    try:
        with zipfile.ZipFile(entry) as archive:
            whole = archive.testzip() is None  # NumPy may stop reading before the CRC is looked at
        if whole:
            with np.load(entry, allow_pickle=False) as arrays:
                found = (
                    {input: arrays[f"clean {input}"] for input in extractor.shapes},
                    {input: arrays[f"copies {input}"] for input in extractor.shapes},
                )
            os.utime(entry)  # for `prune`: it was used
            return found
    except Exception:
        pass  # none yet, or torn by a crash or a bad disk, which can raise anything: made below
    clean, more = _compute(data, name, path, extractor, copies)
    with atomic_path(entry) as temporary:
        arrays = {f"clean {input}": values for input, values in clean.items()}
        arrays |= {f"copies {input}": values for input, values in more.items()}
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
    return clean, more


def _entry_name(data: bytes, extractor: FeatureExtractor, copies: int, seed: int) -> str:
    # The augmentation is seeded by this name: not one letter of it may change for the features of
    # published models, which were computed when labels and clips were parameters too.
    clip = {
        "labels": list(EMOTIONS),
        "sample_rate": audio.SAMPLING_RATE,
        "clip_samples": audio.CLIP_SAMPLES,
        "trim_db": audio.TRIM_DB,
        "level_dbfs": audio.LEVEL_DBFS,
    }
    features = extractor.model_dump()
    if features.pop("name") != SPECTRAL.name:
        features["name"] = extractor.name
    parameters = {
        "recipe": _RECIPE,
        "librosa": version("librosa"),
        "contract": clip | features,
        "copies": copies,
        "seed": seed if copies else None,
    }
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    digest.update(data)
    return digest.hexdigest()


def _compute(
    data: bytes, name: str, path: str, extractor: FeatureExtractor, copies: int
) -> tuple[Inputs, Inputs]:
    try:
        samples = audio.load_audio(data)
        start, end = audio.find_speech(samples)
        clip = audio.prepare_clip(samples)
    except audio.AudioError as error:
        raise type(error)(f"{path}: {error}") from error
    rng = np.random.default_rng(int(name[:16], 16))
    varied = [augmentation.augment(samples[start:end], rng) for _ in range(copies)]
    more = extractor.batch([extractor.extract(copy) for copy in varied])
    return extractor.extract(clip.samples), {k: v.astype(np.float16) for k, v in more.items()}


def save_features(
    path: str | Path, inputs: dict[str, Features], emotions: Sequence[str], names: Sequence[str]
) -> None:
    """Write the clean features of a corpus with their labels as a NumPy archive.

    The archive holds ``features`` (clips, 32, 94, 2), ``emotions`` and ``names``; read it with
    ``numpy.load(path)``.  It holds no pickled objects.

    Raises
    ------
    OutputError
        If the file does not end in .npz or cannot be written.
    """
    if Path(path).suffix != ".npz":
        raise OutputError(f"Cannot write {path}: the name of a NumPy archive must end in .npz.")
    with atomic_path(path) as temporary:
        clean: dict[str, npt.NDArray] = {name: each.clean for name, each in inputs.items()}
        np.savez_compressed(
            temporary,
            **clean,  # type: ignore[arg-type]
            emotions=np.array(emotions),
            names=np.array(names),
        )
