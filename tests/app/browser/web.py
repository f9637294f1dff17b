"""The page that runs a model in the browser: served by Python's own server, and asked."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.app.browser.app import PATIENCE

_ASK = """async (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const began = performance.now();
    const answer = await window.ser.predict(bytes.buffer);
    return { ...answer, milliseconds: performance.now() - began };
}"""


@contextmanager
def serve_page(folder: Path) -> Iterator[str]:
    """Serve a folder as a plain file server does; yields its address."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--directory", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = re.search(r"port (\d+)", process.stdout.readline())
        assert port is not None
        yield f"http://127.0.0.1:{port[1]}/"
    finally:
        process.terminate()
        process.wait(120)


def open_page(page: Page, address: str) -> None:
    """Open it and wait until its model has come."""
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    ready = page.locator("body[data-state=ready]")
    problem = page.get_by_role("alert")
    expect(ready.or_(problem).first).to_be_visible(timeout=PATIENCE)
    assert not problem.is_visible(), problem.inner_text()


def ask(page: Page, recording: bytes) -> dict[str, Any]:
    """Ask the page's own function about the content of a file."""
    answer: dict[str, Any] = page.evaluate(_ASK, base64.b64encode(recording).decode())
    return answer
