"""A team on one server: people who log in at a real OpenID provider, each in their own browser."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect

from tests.app.browser.app import PATIENCE, launch, picture, serve, wait_until_drawn
from tests.tiny import SAMPLES

PEOPLE = {
    "ada": {"email": "ada@lab.org", "email_verified": True},
    "cy": {"email": "cy@lab.org", "email_verified": True},
    "eve": {"email": "eve@elsewhere.org", "email_verified": True},
    "vi": {"email": "vi@elsewhere.org", "groups": ["guests"]},
}


@pytest.fixture
def provider():
    """The address of an OpenID provider that knows these people."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    users = [json.dumps({"sub": name, **claims}) for name, claims in PEOPLE.items()]
    options = [part for user in users for part in ("--user-claims", user)]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    try:
        while True:
            assert process.poll() is None and time.monotonic() < deadline
            try:
                urllib.request.urlopen(f"{address}/.well-known/openid-configuration").read()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(120)


@pytest.fixture
def address(provider, tmp_path, monkeypatch):
    corpora = tmp_path / "corpora"
    (corpora / "spoken").mkdir(parents=True)
    for clip in sorted(SAMPLES.rglob("*-2[5-8].flac")):
        (corpora / "spoken" / clip.name).write_bytes(clip.read_bytes())
    (tmp_path / "team.toml").write_text(
        f'corpora = ["{corpora}"]\n[roles.email]\n"ada@lab.org" = "admin"\n"*@lab.org" = "member"\n'
        '[roles.groups]\nguests = "viewer"\n'
    )
    (tmp_path / "secrets.toml").write_text(
        '[auth]\nredirect_uri = "http://localhost:{port}/oauth2callback"\n'
        'cookie_secret = "of this test and nobody else"\n'
        'client_id = "ser"\nclient_secret = "secret"\n'
        f'server_metadata_url = "{provider}/.well-known/openid-configuration"\n'
    )
    monkeypatch.setenv("SER_MODE", "team")
    monkeypatch.setenv("SER_TEAM", str(tmp_path / "team.toml"))
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(tmp_path / "secrets.toml"))
    with serve(tmp_path / "server.log") as address:
        yield address.replace("127.0.0.1", "localhost")


def log_in(browser, address, name, at="/", asked=None):
    """Log in as somebody in a window that shares nothing with others; returns the tab."""
    tab = browser.new_context(base_url=address).new_page()
    tab.set_default_timeout(PATIENCE)
    tab.goto(at)
    expect(tab.get_by_text("Log in to go on.")).to_be_visible()
    if asked is not None:
        wait_until_drawn(tab)
        tab.context.add_cookies([asked])
    tab.get_by_role("button", name="Log in").click()
    tab.get_by_role("button", name=name, exact=True).click()
    return tab


def test_a_login_ends_at_the_page_that_was_asked_for_and_nowhere_else(address, playwright):
    browser = launch(playwright)
    try:
        tab = log_in(browser, address, "cy", at="/Evaluation?part=Chance")
        expect(tab.get_by_role("heading", name="Evaluation", exact=True)).to_be_visible()
        assert tab.url.startswith(f"{address}/Evaluation?")
        asked = {"name": "ser_asked", "value": "//elsewhere.org/x", "url": address}
        other = log_in(browser, address, "ada", asked=asked)
        expect(other.get_by_role("button", name="ada@lab.org · admin")).to_be_visible()
        wait_until_drawn(other)
        assert other.url == f"{address}/"
    finally:
        browser.close()


def account(tab, email, role):
    button = tab.get_by_role("button", name=re.compile(f"{re.escape(email)} · {role}"))
    expect(button).to_be_visible()
    button.click()
    return tab.get_by_role("dialog")


def test_members_train_and_viewers_do_not_and_admins_see_who_did_what(
    address, playwright, tmp_path
):
    browser = launch(playwright)
    try:
        stranger = log_in(browser, address, "eve")
        expect(stranger.get_by_text("eve@elsewhere.org has no role on this server")).to_be_visible()
        expect(stranger.get_by_text("Record").first).not_to_be_visible()

        viewer = log_in(browser, address, "vi")
        account(viewer, "vi@elsewhere.org", "viewer")
        viewer.goto("/Training")
        expect(viewer.get_by_text("Ask for the role member")).to_be_visible()
        expect(viewer.get_by_role("button", name="New training")).to_have_count(0)

        member = log_in(browser, address, "cy")
        expect(member.get_by_role("button", name="cy@lab.org · member")).to_be_visible()
        member.goto("/Dataset")
        member.get_by_text("Another corpus").click()
        folder = member.get_by_placeholder("/home/me/recordings")
        open_it = member.get_by_test_id("stForm").get_by_role("button", name="Open")
        folder.fill("/etc")
        open_it.click()
        expect(member.get_by_text("/etc is not open to you on this server")).to_be_visible()
        folder.fill(str(tmp_path / "corpora" / "spoken"))
        open_it.click()
        expect(member.get_by_text("Speakers", exact=True).first).to_be_visible()

        member.goto("/Training")
        member.get_by_role("button", name="New training").click()
        member.get_by_label("Name", exact=True).fill("by-cy")
        member.get_by_label("Name", exact=True).press("Enter")
        member.get_by_role("button", name="Start", exact=True).click()
        expect(member.get_by_text("by-cy").first).to_be_visible()

        admin = log_in(browser, address, "ada")
        expect(admin.get_by_role("button", name="ada@lab.org · admin")).to_be_visible()
        admin.goto("/Training")
        expect(admin.get_by_text("Nothing has been trained here yet")).to_be_visible()
        dialog = account(admin, "ada@lab.org", "admin")
        dialog.get_by_text("Team", exact=True).click()
        expect(dialog.get_by_text("by-cy")).to_be_visible()
        wait_until_drawn(admin)
        dialog.get_by_role("button", name="Stop").click()
        deadline = time.monotonic() + 120
        while '"stop"' not in (tmp_path / "home" / "audit.jsonl").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        wait_until_drawn(admin)
        dialog.get_by_text("Audit log", exact=True).click()
        expect(dialog.get_by_role("button", name="Download", exact=True)).to_be_visible()
        picture(admin, "team-audit-log")
        lines = (tmp_path / "home" / "audit.jsonl").read_text().splitlines()
        done = [(row["who"], row["what"], row["which"]) for row in map(json.loads, lines)]
        assert ("cy@lab.org", "start training", "by-cy") in done
        assert ("ada@lab.org", "stop", "by-cy") in done
        assert "eve@elsewhere.org" not in str(done)

        folders = {json.loads(f.read_text())["name"]: f.parent for f in
                   (tmp_path / "home" / "members").glob("*/member.json")}  # fmt: skip
        assert set(folders) == {"ada@lab.org", "cy@lab.org", "vi@elsewhere.org"}
        assert (folders["cy@lab.org"] / "by-cy" / "config.json").is_file()

        member.goto("/")
        dialog = account(member, "cy@lab.org", "member")
        wait_until_drawn(member)
        with member.expect_download() as taken:
            dialog.get_by_role("button", name="Download everything").click()
        assert taken.value.suggested_filename == "everything.zip"
        dialog.get_by_role("button", name="Erase everything").click()
        member.get_by_role("button", name="Erase it").click()
        member.get_by_role("button", name="End session").click()  # the provider asks
        expect(member.get_by_text("Log in to go on.")).to_be_visible()
        assert not folders["cy@lab.org"].exists()
        assert "cy@lab.org" not in (tmp_path / "home" / "audit.jsonl").read_text()
    finally:
        browser.close()


def test_nothing_is_shown_before_somebody_logs_in(address, playwright):
    browser = launch(playwright)
    try:
        for place in ("/", "/Dataset", "/Training", "/Evaluation", "/Prediction", "/Your_voice"):
            tab = browser.new_page(base_url=address)
            tab.set_default_timeout(PATIENCE)
            tab.goto(place)
            expect(tab.get_by_text("Log in to go on.")).to_be_visible()
            buttons = tab.get_by_test_id("stMain").get_by_role("button")
            expect(buttons).to_have_text([re.compile("Understood"), re.compile("Log in")])
            tab.close()
    finally:
        browser.close()
