from playwright.sync_api import expect

from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


def charts(page):
    return page.get_by_test_id("stVegaLiteChart")


def test_the_front_door_predicts_a_sample_in_one_click(tab, keep):
    tab.goto("/")
    expect(tab.get_by_role("heading", name="Speech emotion recognition")).to_be_visible()
    expect(tab.get_by_text("Weighted F1")).to_be_visible()
    tab.get_by_role("button", name="Which emotion is it?").click()
    expect(tab.get_by_test_id("stMetric").filter(has_text="Probability")).to_be_visible()
    expect(charts(tab).first.locator("canvas, svg.marks")).to_be_visible()
    keep(tab, "home")


def test_an_uploaded_file_is_predicted_and_shown(tab, keep):
    tab.goto("/Prediction")
    expect(tab.get_by_text("Choose a recording of one person")).to_be_visible()
    tab.locator("input[type=file]").set_input_files(CLIP)
    expect(tab.get_by_test_id("stMetric").filter(has_text="Probability")).to_be_visible()
    tab.get_by_text("What the model heard").click()
    expect(charts(tab)).to_have_count(8)
    charts(tab).last.scroll_into_view_if_needed()
    expect(charts(tab).last.locator("canvas, svg.marks")).to_be_visible()
    keep(tab, "prediction")


def test_a_file_that_is_no_audio_gets_a_sentence(tab, keep, tmp_path):
    (tmp_path / "notes.wav").write_text("no audio at all")
    tab.goto("/Prediction")
    tab.locator("input[type=file]").set_input_files(tmp_path / "notes.wav")
    expect(tab.get_by_text("no audio this program can decode")).to_be_visible()
    keep(tab, "prediction-refused")
