from playwright.sync_api import expect


def test_the_front_door_predicts_a_sample_in_one_click(tab, keep):
    tab.goto("/")
    expect(tab.get_by_role("heading", name="Speech emotion recognition")).to_be_visible()
    expect(tab.get_by_text("With people it has never heard")).to_be_visible()
    tab.get_by_role("button", name="Which emotion is it?").click()
    expect(tab.get_by_test_id("stMetric").filter(has_text="Probability")).to_be_visible()
    expect(tab.get_by_test_id("stVegaLiteChart").first.locator("canvas, svg.marks")).to_be_visible()
    keep(tab, "home")
