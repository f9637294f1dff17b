"""How long the pages take in a real browser, once the app's server is up and the model is loaded.

    python -m benchmarks.pages [--json FILE]

Run it on a machine that does nothing else; it needs a Chromium, as the browser tests do. Times are
medians in milliseconds: from opening an address until the page is complete, and from a change of a
widget until the page has answered. For the live microphone it is the time from the first sound of a
sentence, as the browser hears it from a device that plays a sample, until a bar has moved. The
first answer is that for a sample, from opening the address as a new visitor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, TimeoutError, expect, sync_playwright

from ser.utils.files import write_json
from tests.app.browser import app

REPEATS = 5
SENTENCES = 4
PAUSE = 6.0  # seconds; until then the bars have come to rest

# Streamlit says in an attribute whether a page is being made.
RUNS = """
    window.ended = [];
    new MutationObserver(() => {
        const page = document.querySelector('[data-testid=stApp]');
        const state = page && page.getAttribute('data-test-script-state');
        if (state !== window.state) {
            window.state = state;
            if (state === 'notRunning') window.ended.push(performance.now());
        }
    }).observe(document, {subtree: true, childList: true, attributes: true});
"""

# In the frame of the component: when the microphone's sound begins after a pause.
EAR = """
    const ask = navigator.mediaDevices && navigator.mediaDevices.getUserMedia;
    if (ask) navigator.mediaDevices.getUserMedia = async function (wanted) {
        const stream = await ask.call(navigator.mediaDevices, wanted);
        const context = new AudioContext(), analyser = context.createAnalyser();
        context.createMediaStreamSource(stream).connect(analyser);
        const samples = new Float32Array(analyser.fftSize);
        let quiet = 0, before = performance.now();
        setInterval(() => {
            analyser.getFloatTimeDomainData(samples);
            const now = performance.now();
            if (samples.some(sample => Math.abs(sample) > 0.02)) {
                if (quiet > 3000) window.top.began = performance.timeOrigin + now;
                quiet = 0;
            } else quiet += now - before;
            before = now;
        }, 10);
        return stream;
    };
"""

# On the page: when a bar has moved first since the sound began.
BARS = """
    window.moved = [];
    let last = '', counted = 0;
    setInterval(() => {
        const bars = document.querySelector('[aria-label="Probabilities now"]');
        const text = bars ? bars.innerText : '';
        if (text !== last && window.began && window.began !== counted) {
            window.moved.push(performance.timeOrigin + performance.now() - window.began);
            counted = window.began;
        }
        last = text;
    }, 10);
"""


def complete(page: Page, after: int = 0) -> float:
    """Wait until the page has been made once more; returns when, by the page's clock."""
    page.wait_for_function(
        f"window.ended && window.ended.length > {after}", polling=10, timeout=10_000
    )
    expect(page.get_by_test_id("stException")).to_have_count(0)
    return float(page.evaluate("window.ended[window.ended.length - 1]"))


def opening(browser: Browser, address: str, name: str) -> float:
    """Return how long a page takes for a visitor who opens its address."""
    times = []
    for _ in range(REPEATS + 1):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(RUNS)
        page.goto(f"{address}/{name}", wait_until="commit")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        times.append(complete(page))
        page.close()
    return statistics.median(times[1:])


def changes(page: Page, one: Callable[[], Any], other: Callable[[], Any]) -> float:
    """Return how long the page takes to answer two actions in turn."""
    times = []
    for number in range(2 * REPEATS + 2):
        page.wait_for_timeout(300)  # the page is to be at rest, as it is for a person
        ended, began = page.evaluate("[window.ended.length, performance.now()]")
        (other if number % 2 else one)()
        with suppress(TimeoutError):  # so quick that the browser showed its end with its beginning
            times.append(complete(page, ended) - began)
    return statistics.median(times[2:])


def choose(page: Page, label: str, option: str) -> Callable[[], None]:
    def act() -> None:
        box = page.get_by_role("combobox", name=label)
        box.fill(option)
        box.press("Enter")

    return act


def widgets(browser: Browser, address: str) -> dict[str, float]:
    """Return how long changes of widgets take on the samples."""
    found = {}

    def visit(name: str) -> Page:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(RUNS)
        page.goto(f"{address}/{name}")
        complete(page)
        return page

    def press(page: Page, name: str) -> Callable[[], None]:
        return (
            page.get_by_role("radio", name=name, exact=True)
            .or_(page.get_by_role("button", name=name, exact=True))
            .first.click
        )

    page = visit("Dataset")
    found["Dataset: another view"] = changes(page, press(page, "Clips"), press(page, "Overview"))
    page = visit("Training")
    page.get_by_role("button", name="New training").click()
    page.get_by_role("button", name="Start", exact=True).wait_for()
    complete(page)
    full, quick = page.get_by_text("Full", exact=True), page.get_by_text("Quick", exact=True)
    found["Training: another preset"] = changes(page, full.click, quick.click)
    page = visit("Evaluation")
    tabs = [page.get_by_role("tab", name=name) for name in ("Groups", "Confusions")]
    found["Evaluation: another part"] = changes(page, tabs[0].click, tabs[1].click)
    page = visit("Prediction")
    press(page, "Sample")()
    expect(app.answer(page)).to_be_visible()
    samples = [choose(page, "Sample", f"{emotion} · actor 27") for emotion in ("calm", "angry")]
    found["Prediction: another sample"] = changes(page, *samples)
    return found


def answered(browser: Browser, address: str) -> float:
    """Return the milliseconds from opening the app to the answer for a sample, of a new visitor."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    start = time.perf_counter()
    page.goto(f"{address}/Prediction?source=Sample")
    expect(app.answer(page)).to_be_visible()
    took = 1000 * (time.perf_counter() - start)
    page.close()
    return took


def live(browser: Browser, address: str) -> list[float]:
    """Return the lag of several sentences."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(EAR)
    page.goto(f"{address}/Prediction")
    page.get_by_text("Live", exact=True).click()
    app.start_listening(page)
    page.evaluate(BARS)
    page.wait_for_function(f"window.moved.length >= {SENTENCES + 1}", timeout=120_000)
    lags: list[float] = page.evaluate("window.moved")
    page.close()
    return lags[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = ["", *("Dataset", "Training", "Evaluation", "Prediction", "Your_voice")]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ["SER_HOME"] = str(Path(folder) / "home")
        expect.set_options(timeout=app.PATIENCE)
        microphone = Path(folder) / "microphone.wav"
        app.write_microphone(microphone, pause=PAUSE)
        with app.serve(Path(folder) / "log.txt") as address:
            browser = app.launch(playwright, *app.hearing(microphone))
            answered(browser, address)  # the model is loaded once,
            opening(browser, address, "Dataset")  # and in the background what draws clips
            result: dict[str, Any] = {
                "repeats": REPEATS,
                "first answer": round(
                    statistics.median(answered(browser, address) for _ in range(REPEATS))
                ),
                "open": {n or "Home": round(opening(browser, address, n)) for n in names},
                "change": {k: round(v) for k, v in widgets(browser, address).items()},
                "live lag": [round(lag) for lag in live(browser, address)],
            }
            browser.close()
    for what, times in result.items():
        print(what, times)
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
