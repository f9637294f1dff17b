import re

import pytest
from playwright.sync_api import expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.app.browser.app import PATIENCE, answer, record, wait_until_drawn


def test_a_sample_is_guessed_and_compared_with_the_model(tab, keep):
    tab.goto("/")
    expect(tab.get_by_role("heading", name="Speech emotion recognition")).to_be_visible()
    notice = tab.locator(".st-key-notice").filter(has_text="is not kept unless you agree")
    expect(notice).to_be_visible()
    tab.get_by_role("button", name="Understood").click()
    expect(notice).to_have_count(0)
    tab.get_by_role("tab", name="Guess first").click()
    tab.get_by_role("radio", name="happy").click()
    expect(tab.get_by_text("It was meant as fearful.")).to_be_visible()
    expect(tab.get_by_text(re.compile("Score: you 0, the model [01], of 1"))).to_be_visible()
    keep(tab, "home-game")
    tab.get_by_role("button", name="Next").click()
    expect(tab.get_by_text("It was meant as")).to_have_count(0)
    wait_until_drawn(tab)
    tab.get_by_text("How good is it?").click()
    expect(tab.get_by_text("People it has never heard, elsewhere")).to_be_visible()
    keep(tab, "home")


@pytest.fixture
def home(talking, server):
    page = talking.new_page(base_url=server, viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto("/")
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0, timeout=1000)
    page.close()


def test_who_speaks_on_the_first_screen_is_answered(home):
    record(home)
    expect(answer(home)).to_be_visible()
    expect(home.get_by_text("Getting used to this voice: 1 of 10")).to_be_visible()


def test_what_the_browser_says_of_its_microphone_does_not_draw_the_page_anew(talking, server):
    # Streamlit loses a click that arrives just before a page is asked to be drawn anew.
    page = talking.new_page(base_url=server)
    asked = []

    def sent(frame: bytes) -> None:
        message = BackMsg.FromString(frame)
        if message.HasField("rerun_script"):
            asked.append("a part" if message.rerun_script.fragment_id else "the page")

    page.on("websocket", lambda socket: socket.on("framesent", sent))
    page.goto("/")
    for _ in range(PATIENCE // 50):
        if "a part" in asked:
            break
        page.wait_for_timeout(50)  # lets frames in
    assert asked == ["the page", "a part"]
    page.close()
