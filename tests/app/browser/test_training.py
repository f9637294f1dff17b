"""A training from the first click to the model that answers."""

import re
import time

import pytest
from playwright.sync_api import expect

from ser import assets
from ser.app import processes, workspace
from ser.training.runs import Run

NAME = "from-the-page"


@pytest.fixture
def clean_workspace():
    """Stop and delete what the test leaves, and let the shipped model answer again."""
    yield
    workspace.set_active_model(assets.DEFAULT_MODEL)
    run = Run(workspace.folder() / NAME)
    deadline = time.monotonic() + 120
    while run.is_held():
        run.ask_to_stop()
        assert time.monotonic() < deadline, "it did not stop"
        time.sleep(0.5)
    if run.folder.exists():
        processes.delete(run)


def charts(page):
    return page.get_by_test_id("stVegaLiteChart")


def fill(page, label, value):
    box = page.get_by_label(label, exact=True)
    box.fill(str(value))
    box.press("Enter")


@pytest.mark.parametrize("tab", ["light 1280"], indirect=True)
def test_a_training_is_watched_left_found_again_and_made_active(tab, keep, clean_workspace):
    tab.goto("/Training")
    expect(tab.get_by_text("Nothing has been trained here yet")).to_be_visible()
    keep(tab, "training-empty")
    tab.get_by_role("button", name="New training").click()
    start = tab.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_visible()
    keep(tab, "training-form")
    tab.get_by_text("Unseen speakers", exact=True).click()
    tab.get_by_text("Settings").click()
    fill(tab, "Epochs", 80)
    fill(tab, "Augmented copies", 0)
    fill(tab, "Name", NAME)
    start.click()

    expect(tab.get_by_role("heading", name="Running now")).to_be_visible()
    expect(tab.get_by_text(re.compile(r"Epoch \d+ of 80"))).to_be_visible()
    expect(charts(tab).first.locator("canvas, svg.marks")).to_be_visible()
    keep(tab, "training-running")

    tab.get_by_role("link", name="Home").click()
    expect(tab.get_by_role("heading", name="Speech emotion recognition")).to_be_visible()
    sidebar = tab.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text(NAME)).to_be_visible()  # it is in sight on every page
    expect(sidebar.get_by_role("link", name="Watch the training")).to_be_visible()
    tab.goto("/Training")  # a new session, as if the browser had been closed
    expect(tab.get_by_text(NAME).first).to_be_visible()
    # Not just the words: the log says them too.
    expect(tab.get_by_test_id("stAlert").get_by_text("finished: Accuracy")).to_be_visible()
    expect(tab.get_by_role("heading", name="Running now")).to_have_count(0)
    expect(charts(tab).first.locator("canvas, svg.marks")).to_be_visible()
    keep(tab, "training-finished")

    tab.get_by_role("button", name="Make it the active model").click()
    expect(tab.get_by_text(f"The active model is {NAME}")).to_be_visible()
    tab.get_by_role("button", name="Back to everyday").click()
    expect(tab.get_by_text("The active model is everyday (shipped)")).to_be_visible()
