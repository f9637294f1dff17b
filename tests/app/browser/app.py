"""The app in a real browser: its server, a Chromium, and a microphone that plays a file."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import soxr
from coverage import Coverage
from playwright.sync_api import Browser, Locator, Page, Playwright, TimeoutError, expect

from tests.tiny import SAMPLES

PROJECT = Path(__file__).parents[3]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
STREAMLIT = (sys.executable, "-m", "streamlit")
PATIENCE = 120_000  # ms; for a loaded machine that has just installed everything


@contextmanager
def serve(
    log: Path,
    command: tuple[str, ...] = (*STREAMLIT, "run", "Home.py", "--server.address=127.0.0.1"),
    port_option: str = "--server.port",
    *,
    cwd: Path = PROJECT,
    env: dict[str, str] | None = None,
) -> Iterator[str]:
    """Start the app, as the README does unless told otherwise; yields its address."""
    if env is None and Coverage.current():  # measure what the pages do there as well
        env = {**os.environ, "COVERAGE_PROCESS_START": str(PROJECT / "pyproject.toml")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, f"{port_option}={port}"],
            cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).read()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        try:
            yield address
        finally:
            process.terminate()
            process.wait(120)


def wait_until_drawn(page: Page) -> None:
    """What is clicked while a page is being drawn can be lost."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")


def find_browser() -> str | None:
    """Return Debian's chromium, or any Chromium, Chrome or Edge found."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def launch(playwright: Playwright, *arguments: str) -> Browser:
    """Start the browser found."""
    return playwright.chromium.launch(
        executable_path=find_browser(), args=["--no-sandbox", *arguments]
    )


def hearing(file: Path) -> tuple[str, ...]:
    """Return what a browser must be started with to hear a file as its microphone, unasked."""
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}",
    )


def write_microphone(file: Path, *, pause: float = 1.0) -> None:
    """Write what the microphone hears, again and again: a sample the model is sure of, a pause."""
    clip, rate = soundfile.read(SAMPLES / "Actor_27" / "03-01-06-02-02-01-27.flac")
    sound = soxr.resample(np.concatenate([clip, np.zeros(round(pause * rate))]), rate, 48_000)
    soundfile.write(file, np.stack([sound, sound], axis=1), 48_000, subtype="PCM_16")


def start_listening(page: Page) -> None:
    """Press start; one start in three brings no sound from this fake device, so look and repeat."""
    arrived = page.get_by_text(re.compile("^[1-9][0-9]* s heard"))
    silent = page.get_by_text("No sound has arrived yet")
    start = page.get_by_role("button", name="Start listening")
    stop = page.get_by_role("button", name="Stop", exact=True)
    for _ in range(6):
        start.or_(stop).first.wait_for()
        if start.is_visible():
            start.click()
        try:
            stop.wait_for(timeout=PATIENCE / 6)
        except TimeoutError:  # pressed while the page was still being drawn
            continue
        recorded = page.get_by_text("Everything is recorded.")  # hands-free, and quickly
        expect(arrived.or_(silent).or_(recorded).first).to_be_visible()
        if not silent.is_visible():
            return
        stop.click()
    raise AssertionError("no sound in six starts")


def record(page: Page) -> None:
    """Record two seconds or more of what the microphone hears, by the widget's own clock."""
    page.get_by_role("button", name="Record", exact=True).click()
    clock = page.get_by_test_id("stAudioInputWaveformTimeCode")
    expect(clock).to_have_text(re.compile(r"^\d\d:(0[2-9]|[1-5]\d)$"))
    page.get_by_role("button", name="Stop recording").click()


def answer(page: Page) -> Locator:
    """Return the headline of an answer."""
    return page.get_by_role("heading", name=re.compile("[0-9]%$"))


def picture(page: Page, name: str) -> None:
    """Keep a screenshot where SCREENSHOTS says, if it says anything."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        # Streamlit scrolls inside the page, so the window is made as tall as its content.
        content = page.get_by_test_id("stMainBlockContainer").bounding_box()
        size = page.viewport_size
        assert content is not None and size is not None
        page.set_viewport_size({"width": size["width"], "height": int(content["height"]) + 20})
        for chart in page.locator("[data-testid=stVegaLiteChart]:visible").all():
            expect(chart.locator("canvas, svg.marks")).to_be_visible()
        page.screenshot(path=f"{folder}/{name}.png")
