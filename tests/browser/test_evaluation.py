import json

from playwright.sync_api import expect

from tests.browser.conftest import PROJECT

REPORT = json.loads((PROJECT / "models" / "ravdess" / "report.json").read_text())


def part(page, name):
    page.get_by_role("tab", name=name).click()


def matrix(page):
    chart = page.get_by_test_id("stVegaLiteChart").first
    expect(chart.locator("canvas, svg.marks")).to_be_visible()
    return chart


def test_every_part_of_the_shipped_report_is_shown(tab, keep):
    tab.goto("/Evaluation")
    for name in (
        *("Emotions", "Confusions", "Groups", "Confidence"),
        *("Conditions", "Training", "Protocols"),
    ):
        part(tab, name)
        matrix(tab)
        keep(tab, f"evaluation-{name.lower()}")
