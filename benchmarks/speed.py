"""How long one clip takes, each step beside its plain alternative, as ratios.

    python -m benchmarks.speed CLIP [--json FILE]

Run it on a machine that does nothing else. Times are medians of 50 calls after a warm-up. Learning
a voice, from 40 files (five of the samples for each of eight emotions) to the new bundle with its
report, is measured three times.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import librosa
import numpy as np

from benchmarks.timing import milliseconds
from ser import audio
from ser.assets import DEFAULT_MODEL, RAVDESS_MODEL, SAMPLES
from ser.audio.features import SPECTRAL
from ser.data import corpora
from ser.evaluation import few_shot
from ser.models.adaptation import enrol
from ser.models.bundle import load_bundle
from ser.models.explanation import explain
from ser.models.recognizer import Recognizer
from ser.utils.files import write_json

CALLS = 50


def librosa_alone(samples: audio.Samples) -> np.ndarray:
    """Compute the same two channels by librosa's public functions, one after the other."""
    rate = 16_000
    mel = librosa.feature.melspectrogram(y=samples, sr=rate, n_mels=32)
    second = [
        librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=13),
        librosa.feature.chroma_stft(y=samples, sr=rate, tuning=0.0),
        librosa.feature.spectral_contrast(y=samples, sr=rate),
    ]
    return np.stack([librosa.power_to_db(mel), np.concatenate(second)], axis=-1)


def learn_a_voice(recognizer: Recognizer) -> None:
    """Do what the app does when somebody presses *Learn my voice*."""
    clips = few_shot.choose(corpora.inspect(corpora.scan(SAMPLES), n_jobs=1).clips, 5)
    with tempfile.TemporaryDirectory() as folder:
        few_shot.adapt(recognizer, enrol(recognizer, clips, n_jobs=1), Path(folder) / "voice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model, _ = load_bundle(RAVDESS_MODEL)
    ravdess = Recognizer.load(RAVDESS_MODEL)
    samples = audio.load_audio(options.clip)
    clip = audio.prepare_clip(samples).samples
    inputs = SPECTRAL.extract(clip)["features"][None]
    pairs = {
        "features": (
            lambda: SPECTRAL.extract(clip)["features"],
            "librosa's functions one by one",
            lambda: librosa_alone(clip),
        ),
        "network": (
            lambda: ravdess.logits({"features": inputs}),
            "model.predict",
            lambda: model.predict(inputs, verbose=0),
        ),
    }
    result: dict[str, Any] = {"calls": CALLS}
    for name, (ours, other_name, other) in pairs.items():
        here, there = milliseconds(ours, calls=CALLS), milliseconds(other, calls=CALLS)
        result[name] = {"ms": round(here, 2), other_name: round(there, 2)}
        result[name]["ratio"] = round(there / here, 2)
        print(f"{name}: {here:.1f} ms; {other_name}: {there:.1f} ms, {there / here:.1f} × as long")
    everyday = Recognizer.load(DEFAULT_MODEL)
    data = options.clip.read_bytes()
    for recognizer in (ravdess, everyday):
        name = recognizer.manifest.name
        whole = milliseconds(partial(recognizer.predict, data), calls=CALLS)
        result[f"{name}: one prediction from bytes"] = {"ms": round(whole, 2)}
        print(f"{name}: one prediction, from bytes to the answer: {whole:.1f} ms")
        why = milliseconds(partial(explain, recognizer, samples), calls=5)
        result[f"{name}: explanation"] = {"ms": round(why, 2)}
        print(f"{name}: one explanation: {why:.0f} ms")
    learning = milliseconds(lambda: learn_a_voice(everyday), calls=3)
    result["learning 40 takes"] = {"ms": round(learning)}
    print(f"learning a voice from 40 takes: {learning / 1000:.1f} s")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
