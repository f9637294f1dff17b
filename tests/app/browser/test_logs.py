"""What the app's own process logs of a visit, as JSON."""

import json
import sys

from playwright.sync_api import expect

from tests.app.browser.app import PATIENCE, launch, serve
from tests.tiny import SAMPLES

COMMAND = (sys.executable, "-m", "ser", "app", "--no-browser", "--address", "127.0.0.1")


def test_a_visit_is_logged_without_what_was_uploaded(playwright, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_LOG", "json")
    monkeypatch.setenv("SER_MODE", "public")
    clip = tmp_path / "anna.flac"
    clip.write_bytes(sorted(SAMPLES.rglob("*.flac"))[0].read_bytes())
    (tmp_path / "anna.wav").write_bytes(b"no sound")
    browser = launch(playwright)
    try:
        with serve(tmp_path / "log.txt", COMMAND, "--port") as address:
            page = browser.new_page(base_url=address)
            page.set_default_timeout(PATIENCE)
            page.goto("/Prediction")
            page.locator("input[type=file]").set_input_files(clip)
            expect(page.get_by_text("Heard:")).to_be_visible()
            page.goto("/Prediction")
            page.locator("input[type=file]").set_input_files(tmp_path / "anna.wav")
            expect(page.get_by_test_id("stAlert").get_by_text("not audio").first).to_be_visible()
    finally:
        browser.close()
    text = (tmp_path / "log.txt").read_text()
    assert "anna" not in text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert all(line["mode"] == "public" and line["level"] == "info" for line in lines)
    visit = [line for line in lines if "session" in line]
    assert [line["event"] for line in visit] == ["page", "answer", "page", "refusal"]
    first, second = visit[0]["session"], visit[2]["session"]
    assert [line["session"] for line in visit] == [first, first, second, second]
    assert first != second
    assert visit[0]["page"] == "Prediction" and visit[1]["seconds"] > 0
    assert visit[3]["code"] == "audio-unsupported"
