"""A real server and a real browser: Debian's chromium, or any Chromium, Chrome or Edge found."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from playwright.sync_api import expect, sync_playwright

from tests.tiny import SAMPLES

PROJECT = Path(__file__).parent.parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
PATIENCE = 120_000  # ms; for a loaded machine that has just installed everything


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Start the app as the README does; returns its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "Home.py", f"--server.port={port}",
             "--server.address=127.0.0.1"],
            cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT,
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
        yield address
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def playwright():
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        yield playwright


def launch(playwright, *arguments):
    """Start Debian's chromium, or any Chromium, Chrome or Edge found."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        assert not os.environ.get("CI"), "CI must install a browser"
        pytest.skip("no Chromium, Chrome or Edge is installed here")
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *arguments])


@pytest.fixture(scope="session")
def browser(playwright):
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def fearful(tmp_path_factory):
    """What a microphone hears: one sample that the model is sure of, again and again."""
    clip, rate = soundfile.read(SAMPLES / "Actor_27" / "03-01-06-01-02-01-27.flac")
    sound = soxr.resample(np.concatenate([clip, np.zeros(rate)]), rate, 48_000)
    file = tmp_path_factory.mktemp("microphone") / "fearful.wav"
    soundfile.write(file, np.stack([sound, sound], axis=1), 48_000, subtype="PCM_16")
    return file


@pytest.fixture(scope="session")
def talking(playwright, fearful):
    """A browser whose microphone plays that file, without asking for permission."""
    browser = launch(
        playwright,
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={fearful}",
    )
    yield browser
    browser.close()


def start_listening(page, controls):
    """Press start; one start in three brings no sound from this fake device, so look and repeat."""
    arrived = page.get_by_text(re.compile("^[1-9][0-9]* s heard"))
    silent = page.get_by_text("No sound has arrived yet")
    for _ in range(6):
        controls.get_by_role("button", name="Start listening").click()
        expect(arrived.or_(silent).first).to_be_visible()
        if arrived.is_visible():
            return
        controls.get_by_role("button", name="Stop").click()
    raise AssertionError("no sound in six starts")


@pytest.fixture(params=["light 1280", "dark 390"])
def tab(request, browser, server):
    """A tab at the app's front door, on a laptop and on a phone, with no error at the end."""
    scheme, width = request.param.split()
    page = browser.new_page(
        color_scheme=scheme, viewport={"width": int(width), "height": 900}, base_url=server
    )
    page.set_default_timeout(PATIENCE)
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0, timeout=1000)
    page.close()


def picture(page, name):
    """Keep a screenshot where SCREENSHOTS says, if it says anything."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        # Streamlit scrolls inside the page, so the window is made as tall as its content.
        content = page.get_by_test_id("stMainBlockContainer")
        page.set_viewport_size(
            {
                "width": page.viewport_size["width"],
                "height": int(content.bounding_box()["height"]) + 20,
            }
        )
        for chart in page.locator("[data-testid=stVegaLiteChart]:visible").all():
            expect(chart.locator("canvas, svg.marks")).to_be_visible()
        page.screenshot(path=f"{folder}/{name}.png")


@pytest.fixture
def keep(request):
    """Keep a screenshot of a `tab`, named by its width and colours."""
    variant = request.node.callspec.params["tab"].replace(" ", "-")
    return lambda page, name: picture(page, f"{name}-{variant}")
