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
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ser import audio
from ser.audio import augmentation, nonspeech
from ser.audio.features import SPECTRAL, FeatureExtractor, Inputs
from ser.data.cache import cache_folder, prune
from ser.data.features import Features
from ser.errors import DataError, OutputError
from ser.labels import EMOTIONS
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress, map_items

# Raise when code changes what the same parameters give.
_RECIPE = 4


def compute_features(
    paths: Sequence[str],
    *,
    extractor: FeatureExtractor = SPECTRAL,
    copies: int = 0,
    seed: int = 0,
    backgrounds: str = "",
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
    backgrounds : str
        Folder of recordings of real backgrounds that copies may stand before, see
        `ser.audio.augmentation.augment_widely`; those for spectral features never do.
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
    DataError
        If the folder of backgrounds holds none.
    OutputError
        If the cache cannot be written.
    """
    folder = cache or cache_folder("features")
    behind = find_backgrounds(backgrounds) if backgrounds and copies else ()
    one = partial(
        _cached,
        extractor=extractor,
        copies=copies,
        seed=seed,
        backgrounds=behind,
        recordings=_digest(behind),
        cache=folder,
    )
    found = map_items(one, paths, "Computing features", n_jobs=n_jobs, progress=progress)
    prune(folder)
    return _stacked(found, extractor.shapes, copies)


def find_backgrounds(folder: str) -> tuple[str, ...]:
    """Return the audio files in a folder, sorted by name."""
    found = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in audio.EXTENSIONS)
    if not found:
        raise DataError(f"{folder} holds no recordings of backgrounds. Give a folder of them.")
    return tuple(map(str, found))


def _digest(files: tuple[str, ...]) -> str:
    """Name what backgrounds sound like, as the seed of the augmentation knows their names alone."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(audio.read_bytes(file)).digest())
    return digest.hexdigest() if files else ""


@lru_cache(maxsize=1)
def _read_backgrounds(files: tuple[str, ...]) -> list[audio.Samples]:
    """Decode backgrounds once per process, without those that are silent."""
    found = []
    for file in files:
        samples = audio.load_audio(file)
        if np.abs(samples).max(initial=0.0) > audio.SILENCE_PEAK:
            found.append(samples)
    return found


def nonspeech_features(
    numbers: Sequence[int],
    *,
    extractor: FeatureExtractor = SPECTRAL,
    copies: int = 0,
    seed: int = 0,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> dict[str, Features]:
    """Return the features of sounds that are not speech, see `ser.audio.nonspeech.exposure`.

    Parameters
    ----------
    numbers : sequence of int
        Which sounds of all that there could be.
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
    found = map_items(one, numbers, "Making non-speech", n_jobs=n_jobs, progress=progress)
    return _stacked(found, extractor.shapes, copies)


def _nonspeech(
    number: int, *, extractor: FeatureExtractor, copies: int, seed: int
) -> tuple[Inputs, Inputs]:
    rng = np.random.default_rng([seed, number])
    sounds = [nonspeech.exposure(rng) for _ in range(1 + copies)]
    clean, *more = [extractor(sound) for sound in sounds]
    return clean, extractor.batch(more)


def _stacked(
    found: Sequence[tuple[Inputs, Inputs]], shapes: Mapping[str, tuple[int, ...]], copies: int
) -> dict[str, Features]:
    return {
        name: Features(
            np.array([clean[name] for clean, _ in found], np.float32).reshape(-1, *shape),
            np.array([more[name] for _, more in found], np.float16).reshape(-1, copies, *shape)
            if copies
            else np.zeros((len(found), 0, *shape), np.float16),
        )
        for name, shape in shapes.items()
    }


def _cached(
    path: str,
    *,
    extractor: FeatureExtractor,
    copies: int,
    seed: int,
    backgrounds: tuple[str, ...],
    recordings: str,
    cache: Path,
) -> tuple[Inputs, Inputs]:
    data = audio.read_bytes(path)
    name = _entry_name(data, extractor, copies, seed, backgrounds)
    place = name
    if recordings:
        place = hashlib.sha256(f"{recordings} behind {name}".encode()).hexdigest()
    entry = cache / place[:2] / f"{place}.npz"
    if (found := _read_entry(entry, extractor.shapes)) is not None:
        return found
    clean, more = _compute(data, name, path, extractor, copies, backgrounds)
    _write_entry(entry, clean, more)
    return clean, more


def _read_entry(entry: Path, names: Iterable[str]) -> tuple[Inputs, Inputs] | None:
    try:
        with zipfile.ZipFile(entry) as archive:
            whole = archive.testzip() is None  # NumPy may stop reading before the CRC is looked at
        if whole:
            with np.load(entry, allow_pickle=False) as arrays:
                found = (
                    {input: arrays[f"clean {input}"] for input in names},
                    {input: arrays[f"copies {input}"] for input in names},
                )
            with suppress(OSError):  # nothing can be written here, but read
                os.utime(entry)  # for `prune`: it was used
            return found
    except Exception:
        pass  # none yet, or torn by a crash or a bad disk, which can raise anything: made again
    return None


def _write_entry(entry: Path, clean: Inputs, more: Inputs) -> None:
    with atomic_path(entry) as temporary:
        arrays = {f"clean {input}": values for input, values in clean.items()}
        arrays |= {f"copies {input}": values for input, values in more.items()}
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def derived_features(
    paths: Sequence[str],
    derive: Callable[[dict[str, Features]], dict[str, Features]],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    key: str,
    extractor: FeatureExtractor,
    copies: int = 0,
    seed: int = 0,
    backgrounds: str = "",
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> dict[str, Features]:
    """Return what a function makes of the features of clips, from the cache where it has that.

    Parameters
    ----------
    paths : sequence of str
        Audio files.
    derive : callable
        Such as an encoder; what it makes of a clip must not depend on the others.
    shapes : dict of str to tuple of int
        Shape of what it makes of one clip, by name.
    key : str
        Changes whenever the function does.
    extractor, copies, seed, backgrounds, n_jobs, progress
        See `compute_features`.

    Raises
    ------
    AudioError, DataError, OutputError
        See `compute_features`.
    """
    cache = cache_folder("features")
    behind = find_backgrounds(backgrounds) if backgrounds and copies else ()
    key = f"{key} {_digest(behind)}" if behind else key

    entry_of = partial(
        _entry_of_file, extractor=extractor, copies=copies, seed=seed, backgrounds=behind
    )

    compute = partial(
        compute_features,
        extractor=extractor,
        copies=copies,
        seed=seed,
        backgrounds=backgrounds,
        n_jobs=n_jobs,
    )
    look_up = partial(_look_up, entry_of=entry_of, names=tuple(shapes), key=key, cache=cache)
    return _derived(
        paths, look_up, compute, derive, shapes, copies, n_jobs, progress, "Encoding clips"
    )


def derived_nonspeech(
    numbers: Sequence[int],
    derive: Callable[[dict[str, Features]], dict[str, Features]],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    key: str,
    extractor: FeatureExtractor,
    copies: int = 0,
    seed: int = 0,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> dict[str, Features]:
    """Return what a function makes of sounds that are not speech, from the cache where it has that.

    Parameters
    ----------
    numbers, extractor, copies, seed
        See `nonspeech_features`.
    derive, shapes, key, n_jobs, progress
        See `derived_features`.
    """
    cache = cache_folder("features")
    recipe = json.dumps([_RECIPE, extractor.model_dump(), copies, seed], sort_keys=True)
    compute = partial(
        nonspeech_features, extractor=extractor, copies=copies, seed=seed, n_jobs=n_jobs
    )
    look_up = partial(
        _look_up,
        entry_of=partial("non-speech {1} by {0}".format, recipe),
        names=tuple(shapes),
        key=key,
        cache=cache,
    )
    return _derived(
        numbers, look_up, compute, derive, shapes, copies, n_jobs, progress, "Encoding sounds"
    )


def _derived(
    items: Sequence[Any],
    look_up: Callable[[Any], tuple[Path, tuple[Inputs, Inputs] | None]],
    compute: Callable[..., dict[str, Features]],
    derive: Callable[[dict[str, Features]], dict[str, Features]],
    shapes: Mapping[str, tuple[int, ...]],
    copies: int,
    n_jobs: int,
    progress: Progress | None,
    words: str,
) -> dict[str, Features]:
    """Look everything up, and derive what is missing from what is computed."""

    def within(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(words, done, len(items))

    found = map_items(look_up, items, words, n_jobs=n_jobs, progress=within)
    missing = [i for i, (_, arrays) in enumerate(found) if arrays is None]
    if missing:
        made = derive(compute([items[i] for i in missing], progress=within))
        for row, i in enumerate(missing):
            clean = {name: each.clean[row].astype(np.float16) for name, each in made.items()}
            more = {name: each.copies[row] for name, each in made.items()}
            _write_entry(found[i][0], clean, more)
            found[i] = found[i][0], (clean, more)
    prune(cache_folder("features"))
    return _stacked([arrays for _, arrays in found if arrays], shapes, copies)


def _entry_of_file(path: str, **parameters: Any) -> str:
    return _entry_name(audio.read_bytes(path), **parameters)


def _look_up(
    item: Any,
    *,
    entry_of: Callable[[Any], str],
    names: tuple[str, ...],
    key: str,
    cache: Path,
) -> tuple[Path, tuple[Inputs, Inputs] | None]:
    """Return where what is derived of a clip or sound is kept, and that if it is there."""
    name = entry_of(item)
    name = hashlib.sha256(f"{key} of {name}".encode()).hexdigest()
    entry = cache / name[:2] / f"{name}.npz"
    return entry, _read_entry(entry, names)


def _entry_name(
    data: bytes,
    extractor: FeatureExtractor,
    copies: int,
    seed: int,
    backgrounds: tuple[str, ...] = (),
) -> str:
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
    if backgrounds:
        parameters["backgrounds"] = [Path(file).name for file in backgrounds]
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    digest.update(data)
    return digest.hexdigest()


def _compute(
    data: bytes,
    name: str,
    path: str,
    extractor: FeatureExtractor,
    copies: int,
    backgrounds: tuple[str, ...],
) -> tuple[Inputs, Inputs]:
    try:
        samples = audio.load_audio(data)
        start, end = audio.find_speech(samples)
        clip = audio.prepare_clip(samples)
    except audio.AudioError as error:
        raise type(error)(f"{path}: {error}") from error
    rng = np.random.default_rng(int(name[:16], 16))
    speech = samples[start:end]
    if extractor.name == SPECTRAL.name:
        varied = [augmentation.augment(speech, rng) for _ in range(copies)]
    else:
        behind = _read_backgrounds(backgrounds)
        varied = [augmentation.augment_widely(speech, rng, behind) for _ in range(copies)]
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
