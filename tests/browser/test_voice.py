import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, picture, start_listening


@pytest.fixture
def page(talking, server, tmp_path):
    """The page in a tab whose microphone talks, with an empty folder for takes."""
    page = talking.new_page(base_url=server, viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto("/Your_voice")
    folder = page.get_by_role("textbox", name="Folder for your takes")
    folder.fill(str(tmp_path / "takes"))
    folder.press("Enter")
    expect(page.get_by_text("Nothing is recorded, or kept in")).to_contain_text(str(tmp_path))
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0, timeout=1000)
    page.close()


def agree(page):
    page.get_by_text("Keep what I record or import").click()
    expect(page.get_by_text("0 takes are kept in")).to_be_visible()


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
        expect(page.get_by_text(f"{done + 1} takes are kept in")).to_be_visible()
    picture(page, "voice-record")
    # The fewest takes decide what comes next, so that two different emotions were asked for.
    names = sorted(p.name for p in (tmp_path / "takes").glob("*.wav"))
    assert names == ["03-01-01-01-01-01-90.wav", "03-01-02-01-01-01-90.wav"]
    page.get_by_text("Takes", exact=True).last.click()
    page.get_by_role("button", name="Delete all", exact=True).click()
    page.get_by_role("button", name="Delete all 2 takes").click()
    expect(page.get_by_text("No take is kept yet")).to_be_visible()
    assert not (tmp_path / "takes").exists()
