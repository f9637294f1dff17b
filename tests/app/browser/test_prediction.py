import re

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from ser.assets import DEFAULT_MODEL
from ser.labels import EMOTIONS
from ser.models.recognizer import Recognizer
from tests.app.browser.app import PATIENCE, answer, record, start_listening, wait_until_drawn
from tests.tiny import SAMPLES, tiny_corpus

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


def charts(page):
    return page.get_by_test_id("stVegaLiteChart")


def test_an_uploaded_file_is_predicted_and_shown(tab, keep):
    tab.goto("/Prediction")
    expect(tab.get_by_text("Choose a recording of one person")).to_be_visible()
    tab.locator("input[type=file]").set_input_files(CLIP)
    expect(answer(tab)).to_be_visible()
    wait_until_drawn(tab)
    tab.get_by_text("Why", exact=True).click()
    expect(tab.get_by_text("What speaks most for")).to_be_visible()
    # What is not drawn yet moves what lies below it.
    expect(charts(tab).locator("canvas, svg.marks")).to_have_count(4)
    wait_until_drawn(tab)
    tab.get_by_text("What the model heard").click()
    expect(charts(tab)).to_have_count(8)
    charts(tab).last.scroll_into_view_if_needed()
    expect(charts(tab).last.locator("canvas, svg.marks")).to_be_visible()
    keep(tab, "prediction")


def test_a_file_that_is_no_audio_gets_a_sentence(tab, keep, tmp_path):
    (tmp_path / "notes.wav").write_text("no audio at all")
    tab.goto("/Prediction")
    tab.locator("input[type=file]").set_input_files(tmp_path / "notes.wav")
    expect(tab.get_by_text("not audio this program can decode")).to_be_visible()
    keep(tab, "prediction-refused")


def test_a_long_file_is_heard_where_it_is_clicked(tab, keep, tmp_path):
    clip, rate = soundfile.read(CLIP)
    soundfile.write(tmp_path / "long.wav", np.tile(clip, 4), rate)
    tab.goto("/Prediction")
    tab.locator("input[type=file]").set_input_files(tmp_path / "long.wav")
    expect(tab.get_by_role("heading", name="Over time")).to_be_visible()
    players = tab.get_by_test_id("stAudio")
    expect(players).to_have_count(1)
    chart = charts(tab).nth(1)
    chart.locator("canvas, svg.marks").scroll_into_view_if_needed()
    found = Recognizer.load(DEFAULT_MODEL).timeline(tmp_path / "long.wav")
    row = EMOTIONS.index(found["emotion"].iloc[len(found) // 2])
    box = chart.bounding_box()
    chart.click(position={"x": box["width"] / 2, "y": 20 * row + 15})
    expect(tab.get_by_text("Playing")).to_be_visible()
    expect(players).to_have_count(2)
    keep(tab, "prediction-timeline")


def test_several_files_become_a_table(tab, keep, tmp_path):
    clips = sorted(SAMPLES.rglob("*.flac"))[:3]
    tab.goto("/Prediction")
    tab.locator("input[type=file]").set_input_files(clips)
    expect(tab.get_by_text("3 recordings")).to_be_visible()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Table as CSV").click()
    download.value.save_as(tmp_path / "table.csv")
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["file", *(clip.name for clip in clips)]
    keep(tab, "prediction-files")


@pytest.mark.parametrize("tab", ["light 1280"], indirect=True)
def test_a_folder_is_answered_while_the_page_is_closed(tab, keep, tmp_path):
    folder = tiny_corpus(tmp_path / "calls", ("05",))
    tab.goto("/Prediction?source=Folder")
    place = tab.get_by_role("combobox", name=re.compile("Folder"))
    place.fill(str(folder))
    place.press("Enter")
    tab.get_by_role("button", name="Start", exact=True).click()
    leave, done = tab.get_by_text("You can leave this page."), tab.get_by_text("16 answers")
    expect(leave.or_(done).first).to_be_visible()
    tab.goto("about:blank")
    tab.goto("/Prediction?source=Folder")
    tab.get_by_text("16 answers").click()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Answers as CSV").click()
    download.value.save_as(tmp_path / "table.csv")
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 17
    keep(tab, "prediction-folder")
    for table in tab.get_by_test_id("stDataFrame").all():  # until they are drawn the page grows
        table.locator("canvas").first.wait_for()
    wait_until_drawn(tab)
    tab.get_by_role("button", name="Remove", exact=True).click()
    tab.get_by_role("button", name="Remove them").click()
    expect(tab.get_by_text("16 answers")).to_have_count(0)


@pytest.fixture
def prediction(talking, server):
    """The page in a tab of that browser."""
    page = talking.new_page(base_url=server, viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto("/Prediction")
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0, timeout=1000)
    page.close()


def test_a_recording_is_made_and_answered(prediction):
    prediction.get_by_text("Record", exact=True).click()
    expect(prediction.get_by_text("Press the microphone")).to_be_visible()
    record(prediction)
    expect(answer(prediction)).to_be_visible()
    expect(prediction.get_by_text("Heard:")).to_be_visible()


def test_the_live_microphone_names_what_it_hears_and_starts_again(prediction, tmp_path):
    prediction.get_by_text("Live", exact=True).click()
    for _ in range(2):
        start_listening(prediction)
        expect(answer(prediction)).to_contain_text(re.compile("fearful", re.IGNORECASE))
        expect(prediction.get_by_role("list", name="Probabilities now")).to_be_visible()
        prediction.get_by_role("button", name="Stop", exact=True).click()
        expect(prediction.get_by_role("heading", name="What was heard")).to_be_visible()
    with prediction.expect_download() as download:
        prediction.get_by_role("button", name="Keep as WAV").click()
    download.value.save_as(tmp_path / "kept.wav")
    kept, rate = soundfile.read(tmp_path / "kept.wav")
    assert rate == 16_000 and len(kept) > rate and np.abs(kept).max() > 0.01
    prediction.get_by_role("button", name="Forget it").click()
    expect(prediction.get_by_text("Press Start listening and speak")).to_be_visible()


def test_who_comes_back_is_not_heard_before_they_say_so(prediction):
    prediction.get_by_text("Live", exact=True).click()
    start_listening(prediction)
    prediction.get_by_role("link", name="Home").click()
    expect(prediction.get_by_role("heading", name="Speech emotion recognition")).to_be_visible()
    prediction.get_by_role("link", name="Prediction").first.click()
    expect(prediction.get_by_role("heading", name="Prediction", exact=True)).to_be_visible()
    wait_until_drawn(prediction)
    prediction.get_by_text("Live", exact=True).click()
    expect(prediction.get_by_role("button", name="Start listening")).to_be_visible()
    expect(prediction.get_by_role("button", name="Stop", exact=True)).to_have_count(0)


@pytest.mark.parametrize("way", ["Record", "Live"])
def test_a_denied_microphone_says_what_to_do(talking, server, way):
    context = talking.new_context(base_url=server)
    context.grant_permissions([])  # and so every other is denied
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"/Prediction?source={way}")
    expect(page.get_by_text("access was denied")).to_be_visible()
    expect(page.get_by_role("button", name="Start listening")).to_have_count(0)
    context.close()
