from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.app.browser.app import answer

PAGES = ("", "Dataset", "Training", "Evaluation", "Your_voice", "Prediction?source=Live")


def at_rest(page):
    """Wait until nothing is drawn anew: what is about to go is pale."""
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    expect(page.locator("[data-stale=true]")).to_have_count(0)
    expect(page.get_by_text("The model is being loaded")).to_have_count(0)


def serious(page):
    """Return what keeps people from using a page, by the rules of axe-core.

    What is there in one look only was just being drawn.
    """
    looks = []
    for _ in range(2):
        at_rest(page)
        found = Axe().run(page).response["violations"]
        looks.append(
            [
                (rule["id"], node["html"][:200])
                for rule in found
                if rule["impact"] in ("serious", "critical")
                for node in rule["nodes"]
            ]
        )
        if not looks[-1]:
            return []
    return [each for each in looks[0] if each in looks[1]]


def test_nothing_keeps_anybody_from_using_a_page(tab):
    for page in PAGES:
        tab.goto(f"/{page}")
        expect(tab.get_by_role("heading", level=1)).to_be_visible()
        assert serious(tab) == [], page
    tab.goto("/Prediction?source=Sample")
    expect(answer(tab)).to_be_visible()
    assert serious(tab) == []
