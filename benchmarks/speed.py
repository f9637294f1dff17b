"""How long each step takes, beside its plain alternative, as ratios.

    python -m benchmarks.speed FOLDER [--json FILE]

FOLDER holds recordings, such as RAVDESS: one of them is timed alone, 10 000 on their way from files
to a CSV table (200 by the alternative), listed again and again if there are fewer. The alternative
is what tutorials do: ``librosa.load``, librosa's functions one after the other and
``model.predict`` for every clip; for Opus and MP3, which the recording is coded as first, all that
FFmpeg does alone, by PyAV; for features also openSMILE's eGeMAPS functionals, if ``opensmile`` is
installed. Everything else runs in one process on its cores. Run it on a machine that does nothing
else. Times are medians of 50 calls after a warm-up. Learning a voice, from 40 files (five of the
samples for each of eight emotions) to the new bundle with its report, is measured three times.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import keras
import librosa
import numpy as np
import pandas as pd
import soundfile

from benchmarks.timing import milliseconds
from ser import audio
from ser.assets import DEFAULT_MODEL, RAVDESS_MODEL, SAMPLES
from ser.audio.features import SPECTRAL
from ser.data import corpora
from ser.evaluation import few_shot
from ser.models.adaptation import enrol
from ser.models.bundle import load_bundle
from ser.models.explanation import explain
from ser.models.networks import cut
from ser.models.recognizer import Recognizer
from ser.utils.files import write_json

CALLS = 50
FILES, FEWER = 10_000, 200
RATE = audio.SAMPLING_RATE


def librosa_alone(samples: audio.Samples) -> np.ndarray:
    """Compute the same two channels by librosa's public functions, one after the other."""
    mel = librosa.feature.melspectrogram(y=samples, sr=RATE, n_mels=32)
    second = [
        librosa.feature.mfcc(y=samples, sr=RATE, n_mfcc=13),
        librosa.feature.chroma_stft(y=samples, sr=RATE, tuning=0.0),
        librosa.feature.spectral_contrast(y=samples, sr=RATE),
    ]
    return np.stack([librosa.power_to_db(mel), np.concatenate(second)], axis=-1)


def coded(recording: Path, subtype: str, rate: int) -> bytes:
    """Return the content of a recording in another format."""
    file = io.BytesIO()
    samples, _ = librosa.load(recording, sr=rate)
    container = "OGG" if subtype == "OPUS" else "MP3"
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def by_ffmpeg(data: bytes) -> np.ndarray:
    """Decode a recording to mono at 16 kHz, all by FFmpeg."""
    with av.open(io.BytesIO(data), mode="r") as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        frames = [*container.decode(audio=0), None]  # None asks for the rest
        parts = [part.to_ndarray() for frame in frames for part in resampler.resample(frame)]
    return np.concatenate(parts, axis=1)


def as_tutorials_do(model: keras.Model, files: list[Path], out: Path) -> None:
    """Name the emotion in files one by one with librosa and Keras."""
    rows = []
    for file in files:
        samples, _ = librosa.load(file, sr=RATE, duration=3.0)
        features = librosa_alone(librosa.util.fix_length(samples, size=3 * RATE))
        rows.append(model.predict(features[None], verbose=0)[0])
    pd.DataFrame(rows).assign(file=[str(file) for file in files]).to_csv(out)


def as_here(recognizer: Recognizer, files: list[Path], out: Path) -> None:
    """Name the emotion in files as ``ser predict`` does."""
    recognizer.predict_files(files).to_csv(out)


def side_by_side(recording: Path) -> dict[str, Any]:
    """Time the steps of one clip."""
    data = recording.read_bytes()
    # As telephones and corpora have it, and as recorders do.
    formats = {
        "decoding Opus of 16 kHz": coded(recording, "OPUS", 16_000),
        "decoding Opus of 48 kHz": coded(recording, "OPUS", 48_000),
        "decoding MP3 of 48 kHz": coded(recording, "MPEG_LAYER_III", 48_000),
    }
    clip = audio.prepare_clip(audio.load_audio(data)).samples
    ravdess, everyday = Recognizer.load(RAVDESS_MODEL), Recognizer.load(DEFAULT_MODEL)
    network, _ = load_bundle(RAVDESS_MODEL)
    encoder: Any = cut(load_bundle(DEFAULT_MODEL)[0])[0]
    features, log_mel = (each.extractor.batch([each.extractor.extract(clip)])
                         for each in (ravdess, everyday))  # fmt: skip
    others: dict[str, tuple[Callable[[], Any], dict[str, Callable[[], Any]]]] = {
        "decoding": (
            lambda: audio.load_audio(data),
            {"librosa.load": lambda: librosa.load(recording, sr=RATE)},
        ),
        **{
            name: (partial(audio.load_audio, each), {"FFmpeg": partial(by_ffmpeg, each)})
            for name, each in formats.items()
        },
        "features": (
            lambda: SPECTRAL.extract(clip),
            {"librosa's functions one by one": lambda: librosa_alone(clip)},
        ),
        "network of ravdess": (
            lambda: ravdess.logits(features),
            {"model.predict": lambda: network.predict(features, verbose=0)},
        ),
        "encoder of everyday": (
            lambda: everyday.encode(log_mel),
            {"model.predict": lambda: encoder.predict(log_mel, verbose=0)},
        ),
    }
    result: dict[str, Any] = {}
    for name, (ours, theirs) in others.items():
        here = milliseconds(ours, calls=CALLS)
        result[name] = {"ms": round(here, 2)}
        times = {other: milliseconds(call, calls=CALLS) for other, call in theirs.items()}
        if name == "features":
            times |= _opensmile(recording)
        for other, there in times.items():
            result[name][other] = {"ms": round(there, 2), "ratio": round(there / here, 2)}
    for recognizer in (ravdess, everyday):
        name = recognizer.manifest.name
        whole = milliseconds(partial(recognizer.predict, data), calls=CALLS)
        result[f"{name}: one prediction from bytes"] = {"ms": round(whole, 2)}
        why = milliseconds(partial(explain, recognizer, clip), calls=5)
        result[f"{name}: explanation"] = {"ms": round(why, 2)}
    return result


def _opensmile(recording: Path) -> dict[str, float]:
    """Return openSMILE's milliseconds; its library and TensorFlow's crash in one process."""
    if find_spec("opensmile") is None:
        return {}
    command = [sys.executable, "-m", "benchmarks.opensmile_alone", str(recording), str(CALLS)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"openSMILE, eGeMAPS": float(found.stdout)}


def whole_path(files: list[Path]) -> dict[str, Any]:
    """Time files on their way to a CSV table, in clips per second."""
    network, _ = load_bundle(RAVDESS_MODEL)
    result: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answers.csv"
        ways: dict[str, Callable[[list[Path]], None]] = {
            "ravdess": lambda some: as_here(Recognizer.load(RAVDESS_MODEL), some, out),
            "everyday": lambda some: as_here(Recognizer.load(DEFAULT_MODEL), some, out),
            "as tutorials do, ravdess": lambda some: as_tutorials_do(network, some, out),
        }
        for name, way in ways.items():
            way(files[:4])  # what is loaded and compiled at a first call
            some = files[:FEWER] if name.startswith("as tutorials") else files
            begun = time.perf_counter()
            way(some)
            rate = len(some) / (time.perf_counter() - begun)
            result[name] = {"files": len(some), "clips per second": round(rate, 1)}
    return result


def learn_a_voice(recognizer: Recognizer) -> None:
    """Do what the app does when somebody presses *Learn my voice*."""
    clips = few_shot.choose(corpora.inspect(corpora.scan(SAMPLES), n_jobs=1).clips, 5)
    with tempfile.TemporaryDirectory() as folder:
        few_shot.adapt(recognizer, enrol(recognizer, clips, n_jobs=1), Path(folder) / "voice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in audio.EXTENSIONS)
    files = random.Random(0).choices(found, k=FILES)
    result: dict[str, Any] = {"calls": CALLS, **side_by_side(files[0])}
    result["files to a table"] = whole_path(files)
    everyday = Recognizer.load(DEFAULT_MODEL)
    result["learning 40 takes"] = {
        "ms": round(milliseconds(lambda: learn_a_voice(everyday), calls=3))
    }
    for name, values in result.items():
        print(name, values)
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
