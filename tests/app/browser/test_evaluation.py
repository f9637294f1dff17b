import io
import json
import re

import pandas as pd
import pytest
from playwright.sync_api import expect
from sklearn.metrics import f1_score, recall_score

from ser.assets import DEFAULT_MODEL
from tests.app.browser.app import PROJECT, wait_until_drawn
from tests.tiny import tiny_corpus

REPORT = json.loads((DEFAULT_MODEL / "report.json").read_text())
light = pytest.mark.parametrize("tab", ["light 1280"], indirect=True)


def part(page, name):
    page.get_by_role("tab", name=name).click()


def chart(page):
    drawn = page.get_by_test_id("stVegaLiteChart").first
    expect(drawn.locator("canvas, svg.marks")).to_be_visible()
    return drawn


def metric(page, label):
    return page.get_by_test_id("stMetric").filter(has_text=label)


def test_every_part_of_a_report_is_shown(tab, keep):
    tab.goto("/Evaluation")
    for name, words in (
        ("Emotions", "reach the goal"),
        ("Groups", "By gender"),
        ("Confidence", "surer half"),
        ("Conditions", "not speech"),
        ("Training", "epochs in"),
        ("Protocols", "knows the voices"),
        ("Confusions", "clips were called"),
    ):
        part(tab, name)
        expect(tab.get_by_text(words).first).to_be_visible()
        chart(tab)
        keep(tab, f"evaluation-{name.lower()}")


@light
def test_report_and_part_stand_in_the_address(tab):
    tab.goto("/Evaluation?report=published/samples&part=Groups")
    expect(tab.get_by_role("tab", name="Groups", selected=True)).to_be_visible()
    part(tab, "Confusions")
    expect(tab).to_have_url(re.compile(r"\?report=published%2Fsamples&part=Confusions$"))
    tab.reload()
    expect(tab.get_by_role("tab", name="Confusions", selected=True)).to_be_visible()
    expect(tab.get_by_text("120 clips").first).to_be_visible()


@light
def test_back_and_forward_show_the_report_and_the_part_of_before(tab):
    def shown(report, name):
        expect(tab.get_by_role("combobox", name="Report")).to_have_value(report)
        expect(tab.get_by_role("tab", name=name, selected=True)).to_be_visible()

    first, second = "Shipped model: everyday", "Shipped model: ravdess"
    tab.goto("/Evaluation")
    part(tab, "Groups")
    expect(tab.get_by_text("By gender")).to_be_visible()
    tab.get_by_role("combobox", name="Report").click()
    tab.get_by_role("option", name=second).click()
    shown(second, "Groups")
    wait_until_drawn(tab)
    part(tab, "Training")
    expect(tab.get_by_text("epochs in").first).to_be_visible()
    for report, name in ((second, "Groups"), (first, "Groups"), (first, "Emotions")):
        tab.go_back()
        shown(report, name)
    for report, name in ((first, "Groups"), (second, "Groups"), (second, "Training")):
        tab.go_forward()
        shown(report, name)
    expect(tab.get_by_text("epochs in").first).to_be_visible()


@light
def test_an_address_that_somebody_puts_into_a_link_is_no_link(tab):
    tab.goto("/Evaluation?report=http://evil.example/www.evil.example")
    expect(tab.get_by_text("evil.example").first).to_be_visible()
    expect(tab.locator("a[href*=evil]")).to_have_count(0)


def test_a_confusion_cell_is_opened_by_a_click(tab):
    figures = json.loads((PROJECT / "reports" / "samples.json").read_text())
    labels = figures["labels"]
    tab.goto("/Evaluation?report=published/samples")
    part(tab, "Confusions")
    for across, down in [(0.5, 0.3), (0.8, 0.5), (0.5, 0.3)]:
        # A chart that is about to be drawn anew would lose the click.
        wait_until_drawn(tab)
        matrix = chart(tab)
        matrix.scroll_into_view_if_needed()
        box = matrix.bounding_box()
        place = (box["x"] + across * box["width"], box["y"] + down * box["height"])
        # Where the mouse meets a cell, the chart says which one it is.
        tab.mouse.move(*place)
        tip = tab.locator("#vg-tooltip-element.visible")
        expect(tip).to_contain_text("Predicted")
        truth, answer, count = re.search(
            r"Truth\W+(\w+)\s+Predicted\W+(\w+)\s+Clips\W+(\d+)", tip.inner_text()
        ).groups()
        assert figures["confusion_matrix"][labels.index(truth)][labels.index(answer)] == int(count)
        tab.mouse.click(*place)
        found = tab.get_by_text(re.compile(f"{truth} clips? (were|was) called {answer}"))
        expect(found).to_be_visible()
        if int(count):
            expect(found).to_contain_text(f"{count} of {figures['per_class'][truth]['support']} ")
            expect(tab.get_by_test_id("stAudio")).to_be_visible()
        expect(tab.get_by_role("combobox", name="Truth")).to_have_value(truth)
        expect(tab.get_by_role("combobox", name="Answer")).to_have_value(answer)


@light
def test_a_report_is_downloaded_as_a_page_as_json_and_as_a_table(tab):
    tab.goto("/Evaluation")
    expect(metric(tab, "Calibration error")).to_be_visible()

    def download(name):
        with tab.expect_download() as waiting:
            tab.get_by_role("button", name=name).click()
        return waiting.value.path().read_text()

    table = pd.read_csv(io.StringIO(download("Predictions as CSV")))
    truth, answer = table["truth"], table["emotion"]
    for label, value in {
        "Accuracy": (truth == answer).mean(),
        "Weighted F1": f1_score(truth, answer, average="weighted"),
        "Average recall": recall_score(truth, answer, average="macro"),
    }.items():
        expect(metric(tab, label)).to_contain_text(f"{value:.1%}")
    assert json.loads(download("Report as JSON")) == REPORT
    page = download("Report as a page")
    assert f"{100 * REPORT['accuracy']:.1f} %" in page
    assert page.count("<svg") == 4 and "<script" not in page


@light
def test_the_shipped_model_is_evaluated_on_a_few_samples(tab, keep, tmp_path):
    data = tiny_corpus(tmp_path / "few", ("05",))
    tab.goto("/Evaluation")
    tab.get_by_text("Test a model on a corpus").click()
    corpus = tab.get_by_role("combobox", name=re.compile("Corpus"))
    corpus.fill(str(data))
    corpus.press("Enter")
    tab.get_by_role("button", name="Evaluate").click()
    done = tab.get_by_text("16 clips of ravdess-style")
    expect(tab.get_by_text("You can leave this page.").or_(done).first).to_be_visible()
    keep(tab, "evaluation-going-on")
    expect(done).to_be_visible()
    report = tab.get_by_role("combobox", name="Report")
    expect(report).to_have_value("Evaluation: everyday-on-few-all")
    samples = json.loads((PROJECT / "reports" / "samples.json").read_text())
    recall = samples["per_class"]["angry"]["recall"]
    expect(metric(tab, "Accuracy")).to_contain_text(f"{recall:.1%}")
    keep(tab, "evaluation-made-here")
    tab.get_by_role("button", name="Remove this evaluation").click()
    tab.get_by_role("button", name="Remove", exact=True).click()
    expect(report).to_have_value("Shipped model: everyday")
