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
import platformdirs

from ser import audio
from ser.audio import augmentation, features, nonspeech
from ser.audio.config import CONTRACT, Contract
from ser.errors import OutputError
from ser.utils.files import atomic_path
from ser.utils.parallel import Progress, map_items

# Raise when code changes what the same parameters give.
_RECIPE = 4


@dataclass(frozen=True)
class Features:
    """Model inputs of some clips, in the order of the clips.

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


def cache_folder() -> Path:
    """Return where features are kept: ``SER_CACHE`` if set, else the user's cache folder."""
    return Path(os.environ.get("SER_CACHE") or platformdirs.user_cache_dir("ser")) / "features"


def compute_features(
    paths: Sequence[str],
    *,
    contract: Contract = CONTRACT,
    copies: int = 0,
    seed: int = 0,
    cache: Path | None = None,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> Features:
    """Return the features of clips, from the cache where it has them.

    Parameters
    ----------
    paths : sequence of str
        Audio files.
    contract : Contract
        What the model expects.
    copies : int
        Augmented copies per clip; 0 for validation and test clips.
    seed : int
        Of the augmentation.  A clip's copies depend on its content, the seed, how many there are
        and the contract; never on the other clips.
    cache : Path, optional
        Folder of the cache; by default `cache_folder`.
    n_jobs : int
        Parallel workers; -1 is one per core.
    progress : callable, optional
        See `ser.utils.parallel.map_items`.

    Returns
    -------
    Features

    Raises
    ------
    AudioError
        If a clip cannot be used.
    OutputError
        If the cache cannot be written.
    """
    one = partial(
        _cached, contract=contract, copies=copies, seed=seed, cache=cache or cache_folder()
    )
    found = map_items(one, paths, "Computing features", n_jobs=n_jobs, progress=progress)
    shape = contract.input_shape
    return Features(
        np.array([clean for clean, _ in found], np.float32).reshape(len(found), *shape),
        np.array([more for _, more in found], np.float16).reshape(len(found), copies, *shape),
    )


def nonspeech_features(
    count: int,
    *,
    contract: Contract = CONTRACT,
    copies: int = 0,
    seed: int = 0,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> Features:
    """Return the features of sounds that are no speech, see `ser.audio.nonspeech.exposure`.

    Parameters
    ----------
    count : int
        How many sounds.
    contract, seed, n_jobs, progress
        See `compute_features`.
    copies : int
        So many further sounds stand in for the copies of each.

    Returns
    -------
    Features
    """
    one = partial(_nonspeech, contract=contract, copies=copies, seed=seed)
    found = map_items(one, range(count), "Making non-speech", n_jobs=n_jobs, progress=progress)
    inputs = np.array(found, np.float32).reshape(count, 1 + copies, *contract.input_shape)
    return Features(inputs[:, 0], inputs[:, 1:].astype(np.float16))


def _nonspeech(
    number: int, *, contract: Contract, copies: int, seed: int
) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng([seed, number])
    sounds = [nonspeech.exposure(rng, contract=contract) for _ in range(1 + copies)]
    clips = [audio.prepare_clip(sound, contract=contract).samples for sound in sounds]
    return [features.model_input(clip, contract=contract) for clip in clips]


def _cached(
    path: str, *, contract: Contract, copies: int, seed: int, cache: Path
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
    data = audio.read_bytes(path)
    name = _entry_name(data, contract, copies, seed)
    entry = cache / name[:2] / f"{name}.npz"
    try:
        with zipfile.ZipFile(entry) as archive:
            whole = archive.testzip() is None  # NumPy may stop reading before the CRC is looked at
        if whole:
            with np.load(entry, allow_pickle=False) as arrays:
                return arrays["clean"], arrays["copies"]
    except Exception:
        pass  # none yet, or torn by a crash or a bad disk, which can raise anything: made below
    clean, more = _compute(data, name, path, contract, copies)
    with atomic_path(entry) as temporary:
        np.savez(temporary, clean=clean, copies=more)
    return clean, more


def _entry_name(data: bytes, contract: Contract, copies: int, seed: int) -> str:
    parameters = {
        "recipe": _RECIPE,
        "librosa": version("librosa"),
        "contract": contract.to_json(),
        "copies": copies,
        "seed": seed if copies else None,
    }
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    digest.update(data)
    return digest.hexdigest()


def _compute(
    data: bytes, name: str, path: str, contract: Contract, copies: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
    try:
        samples = audio.load_audio(data, sample_rate=contract.sample_rate)
        start, end = audio.find_speech(samples, contract=contract)
        clip = audio.prepare_clip(samples, contract=contract)
    except audio.AudioError as error:
        raise type(error)(f"{path}: {error}") from error
    rng = np.random.default_rng(int(name[:16], 16))
    varied = [
        augmentation.augment(samples[start:end], rng, contract=contract) for _ in range(copies)
    ]
    shape = (copies, *contract.input_shape)
    more = np.array([features.model_input(v, contract=contract) for v in varied], np.float16)
    return features.model_input(clip.samples, contract=contract), more.reshape(shape)


def save_features(
    path: str | Path, inputs: Features, emotions: Sequence[str], names: Sequence[str]
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
        np.savez_compressed(
            temporary, features=inputs.clean, emotions=np.array(emotions), names=np.array(names)
        )
