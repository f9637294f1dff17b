"""How long the Dataset page computes for 100 000 clips, each step in milliseconds.

    python -m benchmarks.corpus [--clips 100000] [--json FILE]

Run it on a machine that does nothing else. The clips are names and random numbers, no audio; times
are medians of 5 calls. A visit to a view of the page is the sum of its steps. What is seen first is
the chart by file names, here of empty files with names as RAVDESS has them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.timing import milliseconds
from ser import plots
from ser.data import corpora, inspection, projections
from ser.data.health import check_health, near_duplicates
from ser.labels import EMOTIONS
from ser.utils.files import write_json

CALLS = 5
NUMBERS = ["speech_seconds", "level_dbfs", "pitch_hz", "rate"]
SHOWN = ["name", "emotion", "speaker", "gender", "channel", "intensity", "statement"]


def make_table(count: int) -> pd.DataFrame:
    """Return what an index of `count` clips of 400 speakers holds."""
    rng = np.random.default_rng(0)
    speaker = rng.integers(1, 401, count)
    names = [f"clip-{i:07}.wav" for i in range(count)]
    return pd.DataFrame(
        {
            "path": [f"/corpus/{s:03}/{n}" for s, n in zip(speaker, names, strict=True)],
            "name": names,
            "clip_id": "",
            "corpus": "folders",
            "emotion": rng.choice(EMOTIONS, count),
            "speaker": [f"speaker {s:03}" for s in speaker],
            "gender": np.where(speaker % 2, "male", "female"),
            "channel": rng.choice(["speech", "song"], count),
            "modality": "audio",
            "intensity": rng.choice(["normal", "strong"], count),
            "statement": [f"sentence {i}" for i in rng.integers(0, 50, count)],
            "repetition": rng.choice(["1", "2"], count),
            "size": rng.integers(10**5, 10**6, count),
            "mtime_ns": 1_700_000_000_000_000_000 + np.arange(count),
            "seconds": rng.gamma(9, 0.4, count).round(3),
            "speech_seconds": rng.gamma(6, 0.4, count).round(3),
            "level_dbfs": rng.normal(-30, 6, count).round(2),
            "noise_dbfs": rng.normal(-60, 6, count).round(2),
            "clipped": 0.0,
            "bandwidth_hz": rng.normal(4000, 500, count).round(1),
            "pitch_hz": rng.normal(160, 30, count).round(1),
            "rate": rng.normal(4, 1, count).round(2),
            "audio": [f"{i:032x}" for i in rng.integers(0, 2**62, count)],
            "fingerprint": [rng.bytes(16).hex() for _ in range(count)],
            "reason": "",
        }
    )


def make_names(folder: Path, count: int) -> None:
    """Make `count` empty files with names of RAVDESS, a folder for each 100."""
    for i in range(count):
        place = folder / f"{i // 100:05}"
        if i % 100 == 0:
            place.mkdir(parents=True)
        emotion, statement, repetition = i % 8 + 1, i // 8 % 2 + 1, i // 16 % 2 + 1
        channel, modality, actor = i // 32 % 2 + 1, i // 64 % 2 + 1, i // 100 % 89 + 1
        sentence = f"{statement:02}-{repetition:02}"
        name = f"{modality:02}-{channel:02}-{emotion:02}-01-{sentence}-{actor:02}.wav"
        (place / name).touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SER_CACHE"] = folder
        file = inspection.inspection_file("/corpus")
        file.parent.mkdir(parents=True)
        make_table(options.clips).to_csv(file, index=False)
        found = inspection.read_inspection("/corpus")
        assert found is not None and len(found.clips) == options.clips
        names = Path(folder) / "names"
        make_names(names, options.clips)
        first = milliseconds(
            lambda: plots.clips_per_emotion(corpora.scan(names).clips), calls=CALLS
        )
        assert len(corpora.scan(names).clips) == options.clips
        steps = {"first chart, by file names": round(first, 1), **measure(found)}
        result = {"clips": options.clips, "calls": CALLS, "milliseconds": steps}
    for step, spent in result["milliseconds"].items():
        print(f"{spent:8.1f} ms  {step}")
    if options.json:
        write_json(options.json, result)


def measure(found: inspection.Inspection) -> dict[str, float]:
    import pyarrow

    clips = found.clips
    angry = (clips["emotion"] == "angry") & (clips["gender"] == "female")
    steps: dict[str, Callable[[], Any]] = {
        "read the index, once per server": lambda: inspection.read_inspection("/corpus"),
        "figures at a glance": lambda: (
            clips["seconds"].sum(),
            clips["speaker"].nunique(),
            clips["emotion"].nunique(),
        ),
        "chart of clips per emotion": lambda: plots.clips_per_emotion(clips, by="channel"),
        "histogram of durations": lambda: plots.histogram(
            clips["seconds"], title="Duration", unit="s"
        ),
        "means of each speaker": lambda: clips.groupby("speaker", observed=True)[NUMBERS].mean(),
        "duplicates": lambda: corpora.duplicates(clips),
        "near duplicates, in the background": lambda: near_duplicates(clips),
        "health, in the background": lambda: check_health(clips),
        "filter by emotion, gender and name": lambda: clips[
            angry & clips["name"].str.contains("99", case=False, regex=False)
        ],
        "sort by level": lambda: clips.sort_values("level_dbfs"),
        "table of all clips for the browser": lambda: pyarrow.Table.from_pandas(
            clips[[*SHOWN, "seconds", *NUMBERS[1:]]]
        ),
        "find a clip by its path": lambda: clips[clips["path"] == clips["path"].iloc[-1]],
        "counterparts of a clip": lambda: corpora.counterparts(clips, clips.iloc[0]),
        "sample for averages and map": lambda: projections.sample(clips),
    }
    return {name: round(milliseconds(step, calls=CALLS), 1) for name, step in steps.items()}


if __name__ == "__main__":
    main()
