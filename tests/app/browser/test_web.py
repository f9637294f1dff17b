"""The page that runs everyday in the browser, over a plain file server and without one."""

import io
import re

import numpy as np
import pytest
import soundfile
import soxr
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from ser.assets import DEFAULT_MODEL, DEMO
from ser.models.recognizer import Recognizer
from tests.app.browser.web import ask, open_page, serve_page
from tests.tiny import SAMPLES

CLIPS = sorted(SAMPLES.rglob("*.flac"))[::20]
FEARFUL = SAMPLES / "Actor_27" / "03-01-06-02-02-01-27.flac"


@pytest.fixture(scope="module")
def address():
    with serve_page(DEMO) as address:
        yield address


@pytest.fixture(scope="module")
def demo(address, browser):
    page = browser.new_page()
    open_page(page, address)
    yield page
    page.close()


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(DEFAULT_MODEL)


def wav(samples, rate, subtype="PCM_16"):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


def same_answer(page, recognizer, recording):
    here, there = recognizer.predict(recording).iloc[0], ask(page, recording)
    probabilities = here[list(recognizer.labels)].to_numpy(float)
    np.testing.assert_allclose(there["probabilities"], probabilities, atol=1e-3)
    assert there["verdict"] == here["verdict"]
    assert (there["start"], there["end"]) == pytest.approx((here["start"], here["end"]), abs=1e-3)


def test_it_answers_as_python_does(demo, recognizer):
    for clip in CLIPS:
        samples, rate = soundfile.read(clip)
        same_answer(demo, recognizer, wav(samples, rate))


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1), (8_000, 1)])
def test_it_answers_alike_at_any_rate_and_length(demo, recognizer, rate, channels):
    parts = [soundfile.read(clip)[0] for clip in (FEARFUL, *CLIPS[:2])]  # longer than a clip
    sound = soxr.resample(np.concatenate([np.zeros(9000), *parts]), 16_000, rate)
    same_answer(demo, recognizer, wav(np.stack([sound] * channels, axis=1), rate))


def test_the_microphone_moves_the_bars_and_nothing_is_sent(talking, address):
    """Nor needed: the network is gone once the page is there."""
    context = talking.new_context()
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append((request.method, request.url)))
    open_page(page, address)
    context.set_offline(True)
    before = len(asked)
    headline = page.get_by_role("heading", level=2)
    stop = page.get_by_role("button", name="Stop")
    page.get_by_role("button", name="Start microphone").click()
    expect(stop).to_be_focused()
    expect(headline).to_have_text(re.compile(r"^(Fearful|Not sure. Closest: [a-z]+), \d+%$"))
    expect(page.get_by_role("status")).to_have_text(re.compile("^(Fearful|Not sure. Closest: )"))
    # So many different answers, each of which moves them.
    bars = page.get_by_role("list", name="Probabilities")
    for _ in range(4):
        now = bars.inner_text()
        expect(bars).not_to_have_text(now, use_inner_text=True)
    heard = page.get_by_text(re.compile(r"^[1-9]\d* s heard; the answer is about the last 3"))
    expect(heard).to_be_visible()
    stop.click()
    expect(page.get_by_text("What was heard is forgotten")).to_be_visible()
    expect(page.get_by_role("button", name="Start microphone")).to_be_focused()
    assert len(asked) == before
    assert all(method == "GET" and url.startswith(address) for method, url in asked)
    context.close()


# Keeps what the page hears with, so that a test can stop it as a system or a headset does.
KEEP_SOUND = """
    const Context = window.AudioContext;
    window.AudioContext = class extends Context {
      constructor(...options) { super(...options); window.heardBy = this; }
    };
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (asked) => (window.heard = await open(asked));
"""


def test_it_says_when_a_microphone_is_muted_and_when_no_sound_comes(talking, address):
    page = talking.new_page()
    page.add_init_script(KEEP_SOUND)
    open_page(page, address)
    headline = page.get_by_role("heading", level=2)
    page.get_by_role("button", name="Start microphone").click()
    expect(headline).to_have_text(re.compile(r"%$"))
    page.evaluate("heard.getAudioTracks()[0].enabled = false")
    expect(page.get_by_text("is the microphone muted?").first).to_be_visible()
    page.evaluate("heard.getAudioTracks()[0].enabled = true")
    expect(page.get_by_text(re.compile(r"s heard; the answer is about the last 3"))).to_be_visible()
    page.evaluate("heardBy.suspend()")
    expect(page.get_by_role("alert")).to_contain_text("No sound arrives")
    expect(headline).to_have_text("No sound")
    page.evaluate("heardBy.resume()")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(headline).to_have_text(re.compile(r"%$"))
    page.close()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"no sound at all", "cannot decode the file"),
        ("empty.wav", b"", "The file is empty"),
        ("silent.wav", wav(np.zeros(16_000), 16_000), "The recording is silent"),
        ("nan.wav", wav(np.full(16_000, np.nan), 16_000, "FLOAT"), "samples that are not numbers"),
        ("click.wav", wav(np.full(800, 0.5), 16_000), "The recording is too short"),
    ],
)
def test_a_recording_that_cannot_be_used_gets_one_sentence(demo, name, content, words):
    page = demo
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "audio/wav", "buffer": content}
    )
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_role("heading", level=2)).to_have_text("No answer")
    page.locator("input[type=file]").set_input_files(FEARFUL)  # and goes on
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("heading", level=2)).to_have_text(re.compile(r"^Fearful, \d+%$"))


def test_without_a_microphone_it_says_what_to_do(demo):
    demo.get_by_role("button", name="Start microphone").click()
    words = re.compile("No microphone was found: connect|was not allowed: allow it")
    expect(demo.get_by_role("alert")).to_have_text(words)
    expect(demo.get_by_role("button", name="Open a recording")).to_be_enabled()


def test_a_file_that_is_missing_is_named(browser, tmp_path):
    for file in DEMO.iterdir():
        if file.name != "model.onnx.gzip":
            (tmp_path / file.name).symlink_to(file)
    with serve_page(tmp_path) as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.get_by_role("alert")).to_contain_text("model.onnx.gzip could not be fetched")
        expect(page.get_by_role("button", name="Start microphone")).to_be_disabled()
        page.close()


def test_without_a_server_it_says_how_to_get_one(browser):
    page = browser.new_page()
    page.goto((DEMO / "index.html").as_uri())
    expect(page.get_by_role("alert")).to_contain_text("python -m http.server")
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_anybody_can_use_it_on_one_screen(demo, width, scheme):
    demo.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    demo.set_viewport_size({"width": width, "height": 844})
    demo.locator("input[type=file]").set_input_files(FEARFUL)
    expect(demo.get_by_role("heading", level=2)).to_have_text(re.compile("^Fearful"))
    assert Axe().run(demo).response["violations"] == []
    size = demo.evaluate("[document.body.scrollWidth, document.body.scrollHeight]")
    assert size[0] <= width and size[1] <= 844
