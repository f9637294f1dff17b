"""A tab in a real browser, open at the app's front door."""

import os

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.app.browser.app import (
    PATIENCE,
    find_browser,
    hearing,
    launch,
    picture,
    serve,
    write_microphone,
)


@pytest.fixture(scope="session")
def server(tmp_path_factory, browser):
    """The app's address, once its model is loaded, which slows down everything else."""
    with serve(tmp_path_factory.mktemp("server") / "log.txt") as address:
        page = browser.new_page(base_url=address)
        page.goto("/Prediction?source=Sample")
        expect(page.get_by_text("Heard:")).to_be_visible(timeout=3 * PATIENCE)
        page.close()
        yield address


@pytest.fixture(scope="session")
def playwright():
    if find_browser() is None:
        assert not os.environ.get("CI"), "CI must install a browser"
        pytest.skip("no Chromium, Chrome or Edge is installed here")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright):
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def fearful(tmp_path_factory):
    """What a microphone hears."""
    file = tmp_path_factory.mktemp("microphone") / "fearful.wav"
    write_microphone(file)
    return file


@pytest.fixture(scope="session")
def talking(playwright, fearful):
    """A browser whose microphone plays that file, without asking for permission."""
    browser = launch(playwright, *hearing(fearful))
    yield browser
    browser.close()


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


@pytest.fixture
def keep(request):
    """Keep a screenshot of a `tab`, named by its width and colours."""
    variant = request.node.callspec.params["tab"].replace(" ", "-")
    return lambda page, name: picture(page, f"{name}-{variant}")
