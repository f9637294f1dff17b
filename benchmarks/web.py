"""How far the page in the browser answers as Python does, how long it takes, and how large it is.

    python -m benchmarks.web CLIPS [--count N] [--json FILE]

CLIPS is a folder with recordings, of which so many are taken, evenly spread (50). The page is
`docs/demo`, served by ``python -m http.server``, in an installed Chromium. Every clip is asked
about as it is, and once more as a WAV file at 48 kHz, which the page must resample. An answer is
timed from the bytes of the file to its probabilities, within the page. Run it on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import io
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from playwright.sync_api import Page, sync_playwright

from ser.assets import DEFAULT_MODEL, DEMO
from ser.audio import EXTENSIONS, SAMPLING_RATE, load_audio
from ser.models.recognizer import Recognizer
from ser.utils.files import write_json
from tests.app.browser.app import launch
from tests.app.browser.web import ask, open_page, serve_page


def at_48_khz(clip: Path) -> bytes:
    """Return a recording as a WAV file at the rate of most microphones."""
    buffer = io.BytesIO()
    samples = soxr.resample(load_audio(clip), SAMPLING_RATE, 48_000)
    soundfile.write(buffer, samples, 48_000, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def measure(page: Page, clips: list[Path]) -> dict[str, Any]:
    """Ask both about every clip."""
    recognizer = Recognizer.load(DEFAULT_MODEL)
    worst, alike, times = [0.0, 0.0], 0, []
    for clip in clips:
        for way, recording in enumerate((clip.read_bytes(), at_48_khz(clip))):
            here = recognizer.predict(recording).iloc[0]
            there = ask(page, recording)
            times.append(float(there["milliseconds"]))
            apart = np.abs(np.array(there["probabilities"]) - here[list(recognizer.labels)]).max()
            worst[way] = max(worst[way], float(apart))
            alike += there["verdict"] == here["verdict"]
            print(f"{clip.name}: {apart:.1e}, {times[-1]:.0f} ms")
    return {
        "clips": len(clips),
        "largest difference of a probability": round(worst[0], 7),
        "the same at 48 kHz": round(worst[1], 7),
        "share with the same verdict": alike / len(times),
        "median milliseconds of an answer": round(statistics.median(times)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = sorted(f for f in options.clips.rglob("*") if f.suffix.lower() in EXTENSIONS)
    clips = [found[i] for i in np.linspace(0, len(found) - 1, options.count).astype(int)]
    with serve_page(DEMO) as address, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        open_page(page, address)
        result = measure(page, clips)
        result["browser"] = f"Chromium {browser.version}"
        browser.close()
    result["bytes"] = {file.name: file.stat().st_size for file in sorted(DEMO.iterdir())}
    result["bytes in all"] = sum(result["bytes"].values())
    print(result)
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
