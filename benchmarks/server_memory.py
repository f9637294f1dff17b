"""How much memory the app's server takes, with one visitor who opens every page.

    python -m benchmarks.server_memory [--json FILE]

Memory is that of the server's process in MB, after each step in turn: the server is up, Home is
drawn, each model has answered for a sample, every other page was opened. *Most* is the largest it
ever was (VmHWM, so only on Linux). It needs a Chromium, as the browser tests do.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from benchmarks.memory import children
from benchmarks.timing import megabytes
from ser.app import workspace
from ser.assets import DEFAULT_MODEL, RAVDESS_MODEL
from ser.utils.files import write_json
from tests.app.browser import app


def server() -> int:
    """Return the process of the app that was started here."""
    (found,) = [
        child
        for child in children(os.getpid())
        if b"streamlit" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ["SER_HOME"] = str(Path(folder) / "home")
        expect.set_options(timeout=app.PATIENCE)
        with app.serve(Path(folder) / "log.txt") as address:
            process = server()

            def note(what: str) -> None:
                found[what] = round(megabytes(process, "VmRSS"))
                print(what, found[what], flush=True)

            note("started")
            browser = app.launch(playwright)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            app.wait_until_drawn(page)
            note("Home")
            for model in (DEFAULT_MODEL, RAVDESS_MODEL):
                workspace.set_active_model(model)
                page.goto(f"{address}/Prediction?source=Sample")
                expect(app.answer(page)).to_be_visible()
                note(f"Prediction by {model.name}")
            for name in ("Dataset", "Training", "Evaluation", "Your_voice"):
                page.goto(f"{address}/{name}")
                app.wait_until_drawn(page)
                note(name)
            found["most"] = round(megabytes(process, "VmHWM"))
            browser.close()
    print("most", found["most"])
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
