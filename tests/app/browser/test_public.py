"""Two strangers on one public server."""

import time
import zipfile
from contextlib import suppress

import pytest
import websockets.sync.client
from playwright.sync_api import expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.app.browser.app import PATIENCE, launch, serve
from tests.tiny import SAMPLES


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_MODE", "public")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where visitors' folders lie
    monkeypatch.setenv("STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL", "1")
    with serve(tmp_path / "server.log") as address:
        yield address


def agree(page):
    page.set_default_timeout(PATIENCE)
    page.goto("/Your_voice")
    page.get_by_text("Keep what I record or import").click()
    expect(page.get_by_text("0 recordings kept")).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_text("The model is being loaded")).to_have_count(
        0
    )
    page.get_by_test_id("stButtonGroup").get_by_text("Import", exact=True).click()
    page.locator("input[type=file]").wait_for(state="attached")


def ask_to_clear_caches(address):
    """Send what Streamlit's own menu sends, as anyone can."""
    where = address.replace("http", "ws", 1) + "/_stcore/stream"
    with websockets.sync.client.connect(
        where, subprotocols=["streamlit"], origin=address
    ) as socket:
        for message in (BackMsg(clear_cache=True), BackMsg(app_heartbeat=True)):
            socket.send(message.SerializeToString())
        while not ForwardMsg.FromString(socket.recv(timeout=30)).HasField("heartbeat_ack"):
            pass  # the acknowledgement of the second says that the first was dealt with


def test_what_one_stranger_keeps_nobody_else_sees_and_it_goes_with_them(
    address, playwright, tmp_path
):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for clip in sorted(SAMPLES.rglob("03-01-05-*-25.flac"))[:2]:
            archive.write(clip, f"angry/{clip.name}")

    def kept():
        files = []
        with suppress(FileNotFoundError):  # a folder that is being deleted
            for folder in tmp_path.glob("ser-visitors-*/*/voices/me"):
                files += [f for f in folder.iterdir() if f.suffix in (".flac", ".wav")]
        return files

    browser = launch(playwright)
    try:
        one = browser.new_page(base_url=address)
        agree(one)
        one.locator("input[type=file]").set_input_files(tmp_path / "mine.zip")
        one.get_by_role("button", name="Import", exact=True).click()
        expect(one.get_by_text("2 recordings kept")).to_be_visible()
        assert len(kept()) == 2
        ask_to_clear_caches(address)
        assert len(kept()) == 2, "anybody can delete what others keep"
        agree(browser.new_page(base_url=address))
    finally:
        browser.close()
    deadline = time.monotonic() + 60
    while kept():
        assert time.monotonic() < deadline, "the visitor left, and the recordings stayed"
        time.sleep(0.2)
