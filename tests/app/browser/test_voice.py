import pytest
from playwright.sync_api import expect

from tests.app.browser.app import PATIENCE, picture, start_listening
from tests.tiny import SAMPLES


@pytest.fixture
def page(talking, server, tmp_path):
    """The page in a tab whose microphone talks, with an empty folder for recordings."""
    page = talking.new_page(base_url=server, viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto("/Your_voice")
    folder = page.get_by_role("textbox", name="Folder for your recordings")
    folder.fill(str(tmp_path / "recordings"))
    folder.press("Enter")
    expect(page.get_by_text("Nothing is recorded, or kept in")).to_contain_text(str(tmp_path))
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0, timeout=1000)
    page.close()


def agree(page):
    consent = page.get_by_text("Keep what I record or import")
    expect(consent).to_have_count(1)  # that of the folder before is gone
    consent.click()
    expect(page.get_by_text("0 recordings are kept in")).to_be_visible()


def choose(page, part):
    page.get_by_test_id("stButtonGroup").get_by_text(part, exact=True).click()


def test_takes_are_recorded_kept_and_deleted(page, tmp_path):
    agree(page)
    start_listening(page, page.frame_locator("iframe"))
    for done in range(2):
        page.get_by_role("button", name="Record", exact=True).click()
        expect(page.get_by_text("Recording. Speak now.")).to_be_visible()
        before = int(page.get_by_text("s heard").inner_text().split()[0])
        expect(page.get_by_text(f"{before + 2} s heard")).to_be_visible()
        page.get_by_role("button", name="Done").click()
        page.get_by_role("button", name="Keep as").click()
        expect(page.get_by_text(f"{done + 1} recordings are kept in")).to_be_visible()
    picture(page, "voice-record")
    # The fewest recordings decide what comes next, so that two different emotions were asked for.
    names = sorted(p.name for p in (tmp_path / "recordings").glob("*.wav"))
    assert names == ["03-01-01-01-01-01-90.wav", "03-01-02-01-01-01-90.wav"]
    choose(page, "Recordings")
    page.get_by_role("button", name="Delete all", exact=True).click()
    page.get_by_role("button", name="Delete all 2 recordings").click()
    expect(page.get_by_text("No recording is kept yet")).to_be_visible()
    assert not (tmp_path / "recordings").exists()


def test_a_voice_is_imported_learned_and_answers(page):
    agree(page)
    choose(page, "Import")
    page.get_by_role("textbox", name="Or a folder or CSV file").fill(str(SAMPLES / "Actor_25"))
    page.get_by_role("textbox", name="Or a folder or CSV file").press("Enter")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("30 clips became recordings")).to_be_visible()
    choose(page, "Learn")
    page.get_by_role("button", name="Learn my voice").click()
    expect(page.get_by_role("heading", name="Before and after")).to_be_visible()
    before, after = (
        int(
            page.get_by_test_id("stMetric")
            .filter(has_text=f"Right {when}")
            .locator("[data-testid=stMetricValue]")
            .inner_text()
            .rstrip("%")
        )
        for when in ("before", "after")
    )
    assert after > before  # a synthetic, unseen voice, each recording left out in turn
    picture(page, "voice-learn")
    page.get_by_role("button", name="Make it the active model").click()
    expect(page.get_by_role("button", name="It answers in this app")).to_be_visible()
    try:
        page.get_by_role("link", name="Try it on the Prediction page").click()
        expect(page.get_by_role("heading", name="Prediction")).to_be_visible()
        choose(page, "Sample")
        expect(page.get_by_test_id("stMetric").filter(has_text="Probability")).to_be_visible()
        expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value("my-voice")
    finally:
        workspace_back(page)


def workspace_back(page):
    """Let the shipped model answer again, for the tests that follow."""
    page.goto("/Training")
    page.get_by_role("button", name="Back to everyday").click()
    expect(page.get_by_role("button", name="Back to everyday")).to_have_count(0)
