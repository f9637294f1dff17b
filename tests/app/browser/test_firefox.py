"""The app in Firefox, which draws, decodes and opens the microphone in its own way."""

import os
import re
import shutil

import pytest
from playwright.sync_api import expect

from tests.app.browser.app import PATIENCE, answer, record, start_listening
from tests.app.browser.test_accessibility import PAGES
from tests.tiny import SAMPLES


@pytest.fixture(scope="module")
def firefox(playwright):
    """A Firefox whose microphone gives a tone, without asking for permission."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        assert not os.environ.get("CI"), "CI must install Firefox"
        pytest.skip("no Firefox is installed here")
    browser = playwright.firefox.launch(
        executable_path=program,
        channel="moz-firefox",  # as Mozilla and Debian build it, driven by WebDriver BiDi
        firefox_user_prefs={
            "media.navigator.permission.disabled": True,
            "media.navigator.streams.fake": True,
        },
    )
    yield browser
    browser.close()


@pytest.fixture
def tab(firefox, server):
    page = firefox.new_page(base_url=server, viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0, timeout=1000)
    page.close()


def test_every_page_is_drawn(tab):
    for page in PAGES:
        tab.goto(f"/{page}")
        expect(tab.get_by_role("heading", level=1)).to_be_visible()
        expect(tab.get_by_test_id("stStatusWidget")).to_have_count(0)


def test_an_uploaded_file_is_answered_and_drawn(tab):
    tab.goto("/Prediction")
    expect(tab.get_by_text("Choose a recording of one person")).to_be_visible()
    tab.locator("input[type=file]").set_input_files(sorted(SAMPLES.rglob("*.flac"))[0])
    expect(answer(tab)).to_be_visible()
    drawn = tab.locator("[data-testid=stVegaLiteChart]").locator("canvas, svg.marks")
    expect(drawn.first).to_be_visible()


def test_what_is_recorded_arrives(tab):
    tab.goto("/Prediction?source=Record")
    record(tab)
    expect(tab.get_by_text("Heard:")).to_be_visible()


def test_the_live_microphone_is_heard(tab):
    tab.goto("/Prediction?source=Live")
    start_listening(tab)
    expect(tab.get_by_text(re.compile("^[1-9][0-9]* s heard"))).to_be_visible()
    tab.get_by_role("button", name="Stop", exact=True).click()
    expect(tab.get_by_role("heading", name="What was heard")).to_be_visible()
