import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.app.browser.test_accessibility import at_rest

wide = pytest.mark.parametrize("tab", ["light 1280"], indirect=True)


def charts(page):
    return page.get_by_test_id("stVegaLiteChart")


def open_view(tab, view):
    tab.goto("/Dataset")
    tab.get_by_test_id("stMetric").filter(has_text="120").first.wait_for()
    # The page is drawn once more when it knows that nothing has changed.
    expect(tab.get_by_text("Checking for changes")).to_have_count(0)
    if view != "Overview":
        tab.get_by_role("radio", name=view, exact=True).click()


def click_first_row(tab):
    table = tab.get_by_test_id("stDataFrame")
    expect(table).to_have_count(1)
    table.locator("canvas").first.wait_for()
    table.scroll_into_view_if_needed()
    table.click(position={"x": 20, "y": 52})  # the box before the first row


def drawn(tab, count):
    expect(charts(tab).locator("canvas, svg.marks")).to_have_count(count)


def back(tab, view):
    tab.go_back()
    expect(tab.get_by_role("radio", name=view, exact=True)).to_be_checked()


def test_a_corpus_is_seen_at_a_glance(tab, keep):
    open_view(tab, "Overview")
    drawn(tab, 4)
    split = tab.get_by_role("radiogroup", name="Split by")
    split.get_by_role("radio", name="Gender").click()
    expect(charts(tab).first.get_by_text("female")).to_be_visible()
    drawn(tab, 4)
    keep(tab, "dataset")


def test_a_clip_is_opened_by_a_click_on_its_row_and_compared(tab, keep):
    open_view(tab, "Clips")
    click_first_row(tab)
    expect(tab.get_by_role("combobox", name="Clip", exact=True)).to_be_visible()
    expect(tab.get_by_text("neutral · normal · actor 25")).to_be_visible()
    expect(tab.get_by_role("button", name="Play", exact=True)).to_have_count(1)
    keep(tab, "dataset-clip")
    tab.get_by_role("radio", name="Model input").click()
    expect(tab.get_by_text("32 × 94 numbers")).to_be_visible()
    tab.get_by_role("radio", name="angry", exact=True).click()
    expect(tab.get_by_text("angry · normal · actor 25")).to_be_visible()
    expect(tab.get_by_test_id("stAudio")).to_have_count(2)
    drawn(tab, 4)
    keep(tab, "dataset-compared")


@wide
def test_a_point_on_the_map_plays_its_clip_and_opens_it(tab, keep):
    open_view(tab, "Map")
    drawn(tab, 1)
    keep(tab, "dataset-map")
    points = charts(tab).locator("path[aria-roledescription=circle], path[aria-label*=Clip]")
    points.first.click(force=True)
    expect(tab.get_by_test_id("stAudio")).to_be_visible()
    expect(tab.get_by_text("Sounds most like")).to_be_visible()
    tab.get_by_role("button", name="Open this clip").click()
    expect(tab.get_by_role("button", name="Play", exact=True)).to_have_count(1)
    back(tab, "Map")
    drawn(tab, 1)


def test_a_part_of_a_clip_is_selected_played_and_enlarged(tab, keep):
    open_view(tab, "Clips")
    click_first_row(tab)
    drawing = tab.get_by_role("group", name="Waveform and spectrogram of 2.4 s")
    told = tab.get_by_role("status").filter(has_text="Cursor at")
    expect(told).to_contain_text("Cursor at 0.00 s")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    middle = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] * 0.4, middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=3)
    tab.mouse.up()
    selected = re.compile(r"selected (\d\.\d\d) s to (\d\.\d\d) s")
    begin, end = selected.search(told.text_content()).groups()
    assert 0.6 < float(begin) < float(end) < 1.8
    expect(told).to_contain_text("Hz")
    tab.get_by_role("button", name="Play selection").click()
    expect(told).to_contain_text(f"Cursor at {end} s")  # it has been played to its end
    expect(tab.get_by_role("button", name="Play selection")).to_be_visible()
    tab.get_by_role("button", name="Zoom in").click()
    expect(tab.get_by_role("button", name="Show all")).to_be_enabled()
    keep(tab, "dataset-part")
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="Save picture").click()
    picture = Image.open(saved.value.path())
    assert picture.width >= box["width"] - 1
    assert len(picture.convert("L").getcolors()) > 50  # shades of a spectrogram
    drawing.press("Escape")
    drawing.press("ArrowLeft")
    expect(told).to_contain_text(f"Cursor at {float(end) - 0.01:.2f} s")
    expect(told).not_to_contain_text("selected")


@wide
def test_points_are_listed_and_a_row_opens_its_clip(tab, keep):
    open_view(tab, "Map")
    drawn(tab, 1)
    tab.get_by_role("radio", name="Gender").click()
    expect(charts(tab).get_by_text("female")).to_be_visible()
    at_rest(tab)  # until then the map of before may stand beside it
    drawn(tab, 1)
    box = charts(tab).bounding_box()
    tab.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 100)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 300, steps=5)
    tab.mouse.up()
    expect(tab.get_by_text(re.compile("^[1-9][0-9]* clips in the area"))).to_be_visible()
    keep(tab, "dataset-map-area")
    at_rest(tab)  # each move of the mouse has asked for another table
    click_first_row(tab)
    expect(tab.get_by_role("button", name="Play", exact=True)).to_have_count(1)


@wide
def test_view_and_filters_stand_in_the_address(tab):
    tab.goto("/Dataset?view=Clips&emotion=angry&speaker=actor+25")
    expect(tab.get_by_text("4 of 120 clips")).to_be_visible()
    tab.get_by_role("textbox", name="Search").fill("03-01-05-01")
    tab.get_by_role("textbox", name="Search").press("Enter")
    expect(tab.get_by_text("2 of 120 clips")).to_be_visible()
    tab.reload()
    expect(tab.get_by_text("2 of 120 clips")).to_be_visible()


@wide
def test_back_and_forward_show_the_view_and_the_filters_of_before(tab):
    open_view(tab, "Health")
    expect(tab.get_by_text("Before you train")).to_be_visible()
    tab.get_by_role("radio", name="Clips", exact=True).click()
    expect(tab.get_by_text("120 of 120 clips")).to_be_visible()
    tab.get_by_role("combobox", name="Emotion").fill("angry")
    tab.get_by_role("option", name="angry").click()
    tab.keyboard.press("Escape")
    expect(tab.get_by_text("16 of 120 clips")).to_be_visible()
    tab.get_by_role("radio", name="Health", exact=True).click()
    expect(tab.get_by_text("Before you train")).to_be_visible()
    back(tab, "Clips")
    expect(tab.get_by_text("16 of 120 clips")).to_be_visible()
    back(tab, "Clips")
    expect(tab.get_by_text("120 of 120 clips")).to_be_visible()
    back(tab, "Health")
    expect(tab.get_by_text("Before you train")).to_be_visible()
    back(tab, "Overview")
    expect(tab.get_by_text("Clips per speaker and emotion")).to_be_visible()
    tab.go_forward()
    expect(tab.get_by_text("Before you train")).to_be_visible()
    tab.go_forward()
    tab.go_forward()
    expect(tab.get_by_text("16 of 120 clips")).to_be_visible()


@wide
def test_the_means_of_all_emotions_stand_side_by_side(tab, keep):
    open_view(tab, "Averages")
    drawn(tab, 8)
    keep(tab, "dataset-averages")


@wide
def test_ravdess_cannot_be_fetched_before_its_licence_is_accepted(tab, keep, tmp_path):
    open_view(tab, "Overview")
    tab.get_by_text("Another corpus").click()
    tab.get_by_role("tab", name="RAVDESS").click()
    button = tab.get_by_role("button", name="Download RAVDESS")
    expect(tab.get_by_text("CC BY-NC-SA 4.0")).to_be_visible()
    expect(button).to_be_disabled()
    tab.get_by_text("I accept this licence").click()
    expect(button).to_be_enabled()
    keep(tab, "dataset-ravdess")


@wide
def test_a_typed_folder_is_opened_and_a_wrong_one_gets_a_sentence(tab, tmp_path):
    open_view(tab, "Overview")
    tab.get_by_text("Another corpus").click()
    field = tab.get_by_role("textbox", name="Folder or CSV file")
    field.fill(str(tmp_path / "nowhere"))
    field.press("Enter")
    expect(tab.get_by_text("does not exist. Check the name")).to_be_visible()
