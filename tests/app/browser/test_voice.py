import pytest
from playwright.sync_api import expect

from ser.app import workspace
from ser.labels import EMOTIONS
from tests.app.browser.app import PATIENCE, answer, picture, start_listening
from tests.tiny import SAMPLES


@pytest.fixture
def page(talking, server):
    """The page in a tab whose microphone talks, of somebody who agrees to keep recordings."""
    page = talking.new_page(base_url=server, viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto("/Your_voice")
    expect(page.get_by_text("Nothing is recorded or kept until you agree")).to_be_visible()
    page.get_by_text("Keep what I record or import").click()
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0, timeout=1000)
    page.close()


def speaks(page, name):
    """Say who speaks: somebody without recordings."""
    who = page.get_by_role("combobox", name="Who speaks?")
    who.fill(name)
    who.press("Enter")
    expect(page.get_by_text("0 recordings kept")).to_be_visible()


def choose(page, part):
    page.get_by_test_id("stButtonGroup").get_by_text(part, exact=True).click()


def test_sentences_are_recorded_without_a_click_reviewed_kept_and_deleted(page):
    speaks(page, "ann")
    for emotion in EMOTIONS[3:]:
        page.get_by_role("button", name=emotion, exact=True).click()
    page.get_by_role("slider", name="Recordings of each").press("Home")
    start_listening(page)
    # How far it is may have come and gone before anybody looks.
    done = page.get_by_text("Everything is recorded.")
    expect(page.get_by_text("2 of 3 recorded").or_(done).first).to_be_visible()
    picture(page, "voice-hands-free")
    expect(page.get_by_text("Everything is recorded.")).to_be_visible()
    expect(page.get_by_test_id("stAudio").locator("visible=true")).to_have_count(3)
    choose(page, "Recordings")
    expect(page.get_by_text("No recording is kept yet")).to_be_visible()
    choose(page, "Record")  # what was said is still there
    picture(page, "voice-review")
    page.get_by_role("button", name="Keep 3 recordings").click()
    expect(page.get_by_text("3 recordings kept")).to_be_visible()
    # A sentence each of the three emotions that were asked for.
    names = sorted(p.name for p in (workspace.voices() / "ann").glob("*.wav"))
    assert names == [f"03-01-0{number}-01-01-01-90.wav" for number in (1, 2, 3)]
    choose(page, "Recordings")
    page.get_by_role("button", name="Delete all", exact=True).click()
    page.get_by_role("button", name="Delete all 3 recordings").click()
    expect(page.get_by_text("No recording is kept yet")).to_be_visible()
    assert not (workspace.voices() / "ann").exists()


def test_a_voice_is_imported_learned_and_answers(page):
    speaks(page, "bea")
    choose(page, "Import")
    page.get_by_role("textbox", name="Or a folder or CSV file").fill(str(SAMPLES / "Actor_25"))
    page.get_by_role("textbox", name="Or a folder or CSV file").press("Enter")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("30 clips imported")).to_be_visible()
    choose(page, "Recordings")
    table = page.get_by_test_id("stDataFrame")
    table.locator("canvas").first.wait_for()
    # Cells are drawn on a canvas: sound and button of the first row are where they are seen.
    table.dblclick(position={"x": 30, "y": 52})
    expect(page.locator("audio")).to_have_count(1)
    page.keyboard.press("Escape")
    table.click(position={"x": 100, "y": 52})
    page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("29 recordings kept")).to_be_visible()
    assert len(list((workspace.voices() / "bea").glob("*.wav"))) == 29
    choose(page, "Learn")
    page.get_by_role("button", name="Learn my voice").click()
    expect(page.get_by_test_id("stMetric")).to_have_count(2)
    before, after = (
        int(
            page.get_by_test_id("stMetric")
            .filter(has_text=f"Accuracy {when}")
            .locator("[data-testid=stMetricValue]")
            .inner_text()
            .rstrip("%")
        )
        for when in ("before", "after")
    )
    assert after > before  # a synthetic, unseen voice, each recording left out in turn
    picture(page, "voice-learn")
    page.get_by_role("button", name="Make it the active model").click()
    expect(page.get_by_role("button", name="Back to everyday")).to_be_visible()
    page.get_by_role("link", name="Try it on the Prediction page").click()
    expect(page.get_by_role("heading", name="Prediction")).to_be_visible()
    choose(page, "Sample")
    expect(answer(page)).to_be_visible()
    page.get_by_text("Model and possible emotions").click()
    expect(page.get_by_role("combobox", name="Model", exact=True)).to_have_value("my-voice")
    page.get_by_role("link", name="Your voice").click()
    choose(page, "Learn")
    expect(page.get_by_text("my-voice, the active model")).to_be_visible()
    page.get_by_role("button", name="Rename or delete").click()
    page.get_by_role("button", name="Delete this model").click()
    expect(page.get_by_text("my-voice, the active model")).to_have_count(0)
    assert not (workspace.folder() / "my-voice").exists()
