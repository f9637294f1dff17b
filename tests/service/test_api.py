"""The HTTP API as programs meet it: a real process, asked over HTTP and WebSocket."""

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest
import websockets.sync.client
from coverage import Coverage
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed

from ser import assets, audio
from ser.errors import DataError
from ser.models.recognizer import Recognizer
from ser.service import keys, server
from ser.service.app import create_app
from tests.app.browser.app import serve
from tests.tiny import SAMPLES

PROJECT = SAMPLES.parents[1]
CLIP = SAMPLES / "Actor_27" / "03-01-06-02-02-01-27.flac"
LIMITS = ("--most-mb", "1", "--longest", "20")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    return file, keys.add(file, "tests")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """What ``ser serve`` writes, as JSON."""
    return tmp_path_factory.mktemp("service") / "log.txt"


@pytest.fixture(scope="module")
def address(key, log):
    """The address of ``ser serve`` with a key and low limits."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "SER_LOG": "json"}
    if Coverage.current():  # measure what is done there as well
        env["COVERAGE_PROCESS_START"] = str(PROJECT / "pyproject.toml")
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ser", "serve", "--port", str(port), "--keys", key[0], *LIMITS],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
        )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    try:
        while True:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        assert process.wait(60) in (0, -15, 130), log.read_text()
    lines = list(map(json.loads, log.read_text().splitlines()))  # all of it is JSON
    assert {line["level"] for line in lines} <= {"info", "warning"}  # of what is no HTTP


@pytest.fixture(scope="module")
def client(address, key):
    headers = {"Authorization": f"Bearer {key[1]}"}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def wav():
    """Three seconds as a WAV file, and the row that the model answers for it."""
    return CLIP.read_bytes(), Recognizer.load(assets.DEFAULT_MODEL).predict(CLIP).iloc[0]


def same(answer, row, labels):
    assert (answer["emotion"], answer["verdict"]) == (row["emotion"], row["verdict"])
    assert answer["start"] == pytest.approx(row["start"], abs=1e-3)
    for label in labels:
        assert answer["probabilities"][label] == pytest.approx(row[label], abs=1e-4)


def test_a_recording_is_answered_as_in_python_however_it_is_sent(client, wav):
    content, row = wav
    sent = [
        client.post("/v1/predict", files={"file": ("a.flac", content)}),
        client.post("/v1/predict", content=content, headers={"Content-Type": "audio/flac"}),
        client.post("/v1/predict", content=content),
    ]
    for response in sent:
        assert response.status_code == 200, response.text
        found = response.json()
        assert found["model"] == "everyday" and len(found["answers"]) == 1
        same(found["answers"][0], row, found["labels"])


def test_another_model_other_emotions_a_timeline_and_why(client, wav):
    content, _ = wav
    model = Recognizer.load(assets.RAVDESS_MODEL)
    found = client.post("/v1/predict?model=ravdess", content=content).json()
    same(found["answers"][0], model.predict(CLIP).iloc[0], model.labels)

    found = client.post("/v1/predict?emotions=fearful, sad", content=content).json()
    assert found["labels"] == ["sad", "fearful"]
    assert sum(found["answers"][0]["probabilities"].values()) == pytest.approx(1)

    table = model.timeline(CLIP)
    found = client.post("/v1/predict?model=ravdess&timeline=true", content=content).json()
    assert [a["emotion"] for a in found["answers"]] == table["emotion"].tolist()

    why = client.post("/v1/predict?model=ravdess&explain=true", content=content).json()
    expected = model.explain(CLIP)
    assert why["explanation"]["emotion"] == expected.emotion
    effects = [part["effect"] for part in why["explanation"]["time"]]
    np.testing.assert_allclose(effects, expected.time["effect"], atol=1e-3)
    assert why["explanation"]["rows"][-1]["hertz"] is None


def test_the_models_are_listed(client):
    models = client.get("/v1/models").json()
    assert [(m["name"], m["default"]) for m in models] == [("everyday", True), ("ravdess", False)]
    assert models[0]["listens"] and len(models[1]["labels"]) == 8


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert (found["status"], found["code"]) == (status, code)
    assert found["detail"] and found["title"]
    return found["detail"]


def test_what_cannot_be_answered_is_a_problem_with_the_code_of_the_error(client, wav):
    content, _ = wav
    post = client.post
    problem(post("/v1/predict", content=b""), 422, "audio-empty")
    problem(post("/v1/predict", content=b"x" * 1000), 415, "audio-unsupported")
    problem(post("/v1/predict", content=content[:2000]), 422, "audio-unreadable")
    problem(post("/v1/predict", content=content, headers={"Content-Type": "text/html"}), 415,
            "audio-unsupported")  # fmt: skip
    problem(post("/v1/predict", data={"file": "no file"}, files={"b": b"x"}), 422, "data")
    problem(post("/v1/predict?model=../x", content=content), 404, "no-such-model")
    problem(post("/v1/predict?emotions=angry", content=content), 422, "data")
    problem(post("/v1/predict?timeline=perhaps", content=content), 422, "option")
    problem(client.get("/v2/predict"), 404, "http-404")
    problem(client.get("/v1/predict"), 405, "http-405")
    large = problem(post("/v1/predict", content=content + bytes(1_100_000)), 413, "audio-too-large")
    assert "1 MB" in large
    problem(post("/v1/predict", files={"file": bytes(1_100_000)}), 413, "audio-too-large")
    long = audio_file(21.0)
    problem(post("/v1/predict?timeline=1", content=long), 413, "audio-too-long")
    assert post("/v1/predict", content=long).status_code == 200, "one clip of it is answered"


def audio_file(seconds):
    import io

    import soundfile

    samples = np.tile(audio.load_audio(CLIP), 20)[: round(seconds * 16_000)]
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="FLAC")
    return file.getvalue()


def test_nobody_asks_without_a_key(address, wav):
    content, _ = wav
    for headers in ({}, {"Authorization": "Bearer guessed"}, {"Authorization": "Basic eDp5"}):
        response = httpx.post(f"{address}/v1/predict", content=content, headers=headers)
        assert "Authorization: Bearer KEY" in problem(response, 401, "http-401")
        assert response.headers["www-authenticate"] == "Bearer"
        problem(httpx.get(f"{address}/v1/models", headers=headers), 401, "http-401")
    assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}


def test_many_at_once_get_their_own_answers(client):
    clips = sorted(SAMPLES.rglob("*.flac"))[::6]
    table = Recognizer.load(assets.DEFAULT_MODEL).predict_files(clips, n_jobs=1)
    with ThreadPoolExecutor(20) as pool:
        found = list(
            pool.map(lambda clip: client.post("/v1/predict", content=clip.read_bytes()), clips)
        )
    labels = found[0].json()["labels"]
    for response, (_, row) in zip(found, table.iterrows(), strict=True):
        same(response.json()["answers"][0], row, labels)


def test_the_openapi_document_describes_what_is_there(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {"/v1/predict", "/v1/models", "/healthz", "/readyz"}
    post = document["paths"]["/v1/predict"]["post"]
    assert set(post["requestBody"]["content"]) >= {"multipart/form-data", "audio/*"}
    assert {"200", "401", "404", "413", "415", "422", "503"} <= set(post["responses"])
    assert "example" in document["components"]["schemas"]["Answer"]


def test_requests_made_of_the_openapi_document_are_answered_as_it_says(address, key, tmp_path):
    command = [
        Path(sys.executable).parent / "st", "run", f"{address}/openapi.json",
        "--header", f"Authorization: Bearer {key[1]}", "--generation-deterministic",
        "--max-examples", "50", "--continue-on-failure", "--request-timeout", "120",
        "--exclude-checks", "positive_data_acceptance",  # most bytes are no recording
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "4 selected" in done.stdout


def stream(address, key, query="", origin=None):
    where = address.replace("http", "ws", 1) + "/v1/stream" + query
    return websockets.sync.client.connect(
        where, additional_headers={"Authorization": f"Bearer {key}"}, origin=origin
    )


def pcm(rate):
    import soxr

    samples = np.tile(audio.load_audio(CLIP), 2)
    return (soxr.resample(samples, 16_000, rate) * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_live_speech_is_answered_as_it_comes(address, key, rate):
    sound = pcm(rate)
    answers = []
    with stream(address, key[1], f"?model=ravdess&rate={rate}") as socket:
        for start in range(0, len(sound), rate // 5 * 2):
            socket.send(sound[start : start + rate // 5 * 2])
        socket.send(json.dumps({"type": "finish"}))
        while (message := json.loads(socket.recv(timeout=60)))["type"] == "answer":
            answers.append(message)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=60)
    assert message == {"type": "end", "answers": len(answers)} and answers
    fields = {"start", "end", "emotion", "verdict", "reason", "distance", "probabilities"}
    assert set(answers[0]) == fields | {"type"}
    assert answers[-1]["end"] == pytest.approx(len(sound) / 2 / rate, abs=1e-3)
    assert answers[0]["distance"] > 0
    assert "fearful" in {answer["emotion"] for answer in answers}


def test_answers_come_without_asking_and_all_sound_is_in_one(address, key):
    sound = np.tile(np.frombuffer(pcm(16_000), "<i2"), 5).tobytes()
    answers = []
    with stream(address, key[1], "?model=ravdess") as socket:
        socket.send(sound)  # at once, and nothing after it
        while not answers or answers[-1]["end"] < len(sound) / 2 / 16_000 - 0.4:
            answers.append(json.loads(socket.recv(timeout=60)))
    assert answers[0]["start"] == 0
    for one, other in pairwise(answers):
        assert other["start"] <= one["end"]


def test_a_page_of_another_origin_cannot_listen(address, key):
    origins = [("https://elsewhere.example", False), ("http://[x", False), (address, True)]
    for origin, answered in origins:
        with stream(address, key[1], origin=origin) as socket:
            if answered:
                socket.send(json.dumps({"type": "finish"}))
            message = json.loads(socket.recv(timeout=60))
        assert message["type"] == ("end" if answered else "error")


def test_a_pause_is_answered_too_and_pieces_may_end_within_a_sample(address, key):
    hiss = (3 * np.random.default_rng(0).standard_normal(5 * 16_000)).astype("<i2").tobytes()
    sound = pcm(16_000)
    sound += hiss
    answers = []
    with stream(address, key[1], "?model=ravdess") as socket:
        for start in range(0, len(sound), 6401):
            socket.send(sound[start : start + 6401])
        socket.send(json.dumps({"type": "finish"}))
        while (message := json.loads(socket.recv(timeout=60)))["type"] == "answer":
            answers.append(message)
    assert message == {"type": "end", "answers": len(answers)}
    assert "fearful" in {answer["emotion"] for answer in answers}
    last = answers[-1]
    assert (last["emotion"], last["verdict"], last["probabilities"]) == (None, "no speech", None)
    assert last["end"] == pytest.approx(len(sound) / 2 / 16_000, abs=0.01)


class Broken(Recognizer):
    """A network that fails whenever it is asked."""

    @classmethod
    def of(cls, folder):
        broken = cls.__new__(cls)
        broken.__dict__.update(Recognizer.load(folder).__dict__)
        return broken

    def answers(self, inputs):
        raise RuntimeError("the network is upside down")


def test_a_network_that_fails_ends_the_stream_with_a_problem(caplog):
    app = create_app({"broken": assets.RAVDESS_MODEL}, load=Broken.of)
    with TestClient(app, raise_server_exceptions=False) as client:
        while client.get("/readyz").status_code == 503:
            time.sleep(0.05)
        with client.websocket_connect("/v1/stream") as socket:
            socket.send_bytes(pcm(16_000))
            socket.send_json({"type": "finish"})
            message = socket.receive_json()
        assert (message["type"], message["code"], message["status"]) == ("error", "http-500", 500)
        answer = client.post("/v1/predict", content=CLIP.read_bytes())
        assert answer.status_code == 500 and answer.json()["code"] == "http-500"
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-ID"])
    assert "the network is upside down" in caplog.text


def test_a_model_that_cannot_be_loaded_is_named_and_keeps_no_other_from_answering():
    def load(folder):
        if folder == assets.DEFAULT_MODEL:
            raise RuntimeError("no memory")
        return Recognizer.load(folder)

    app = create_app({"everyday": assets.DEFAULT_MODEL, "ravdess": assets.RAVDESS_MODEL}, load=load)
    with TestClient(app) as client:
        while not client.get("/v1/models").json():
            time.sleep(0.05)
        for answer in (client.get("/readyz"), client.post("/v1/predict", content=b"x")):
            assert answer.status_code == 503
            assert "everyday cannot be loaded" in answer.json()["detail"]
        answer = client.post("/v1/predict?model=ravdess", content=CLIP.read_bytes())
        assert answer.json()["answers"][0]["emotion"] == "fearful"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        *(("?rate=1", "data"), ("?model=none", "no-such-model"), ("?emotions=x,y", "data")),
        ("?rate=fast", "option"),
    ],
)
def test_a_stream_that_cannot_be_answered_gets_a_problem(address, key, query, code):
    with stream(address, key[1], query) as socket:
        message = json.loads(socket.recv(timeout=60))
        assert (message["type"], message["code"]) == ("error", code)
    with stream(address, "guessed") as socket:
        assert json.loads(socket.recv(timeout=60))["status"] == 401


def test_what_no_client_should_send_ends_the_stream_and_nothing_else(address, client, key):
    for message in ("[" * 100_000, '{"type": "dance"}', "no JSON"):
        with stream(address, key[1]) as socket:
            socket.send(message)
            assert json.loads(socket.recv(timeout=60))["code"] == "data"
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=60)
            assert closed.value.rcvd.code == 1003
    assert client.get("/readyz").json() == {"status": "ready"}


def test_keys_are_kept_as_hashes(tmp_path):
    file = tmp_path / "keys.txt"
    first, second = keys.add(file, "a"), keys.add(file, "b")
    assert first not in file.read_text() and second not in file.read_text()
    assert keys.Keys(file).owner(second) == "b"
    assert keys.Keys(file).owner("") is None
    with pytest.raises(DataError, match="has a key"):
        keys.add(file, "a")
    with pytest.raises(DataError, match="cannot be a name"):
        keys.add(file, "a b")
    known = keys.Keys(file)
    lines = file.read_text().splitlines()
    file.write_text(lines[1])  # whose line is deleted has no key any more, whoever comes has one
    third = keys.add(file, "c")
    assert [known.owner(key) for key in (first, second, third)] == [None, "b", "c"]
    file.write_text("a in-the-clear\n")
    assert known.owner(second) == "b"
    with pytest.raises(DataError, match="line 1"):
        keys.Keys(file)


def test_keys_made_at_the_same_moment_are_all_kept(tmp_path):
    target = tmp_path / "target.txt"
    target.touch(mode=0o640)
    (tmp_path / "keys.txt").symlink_to(target)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: keys.add(tmp_path / "keys.txt", f"n{n}"), range(40)))
    found = keys.Keys(target)
    assert [found.owner(key) for key in made] == [f"n{n}" for n in range(40)]
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("sent", [b"", b"RIFF"])
def test_a_recording_that_does_not_arrive_is_given_up(monkeypatch, sent):
    monkeypatch.setattr("ser.service.app._PATIENCE", 0.2)

    class Stalled(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield sent
            await asyncio.Event().wait()

    async def ask():
        app = create_app({"ravdess": assets.RAVDESS_MODEL})
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            while (await client.get("/readyz")).status_code == 503:
                await asyncio.sleep(0.05)
            return await client.post("/v1/predict", content=Stalled())

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["title"]) == (408, "Request Timeout")


def test_others_cannot_ask_without_a_key_by_mistake():
    with pytest.raises(server.ServiceError, match="--keys FILE"):
        server.serve([assets.DEFAULT_MODEL], address="0.0.0.0")
    with pytest.raises(server.ServiceError, match="same name"):
        server.serve([assets.DEFAULT_MODEL, assets.DEFAULT_MODEL])


def test_the_clients_in_the_documentation_work(address, key, tmp_path, wav):
    text = (PROJECT / "docs" / "http.md").read_text()
    content, row = wav
    (tmp_path / "clip.wav").write_bytes(content)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    code = code.replace("http://localhost:8502", address).replace("YOUR-KEY", key[1])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert row["emotion"] in done.stdout, done.stderr
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    (line,) = re.findall(r"^curl .*", text, re.MULTILINE)
    command = shlex.split(line.replace("http://localhost:8502", address))
    command += ["-sS", "-H", f"Authorization: Bearer {key[1]}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f'"emotion":"{row["emotion"]}"' in done.stdout, done.stderr


def test_the_app_answers_programs_from_the_same_process(key, tmp_path, wav):
    content, row = wav
    command = (sys.executable, "-m", "ser", "app", "--api", "--keys", str(key[0]), "--no-browser")
    log = tmp_path / "log.txt"
    with serve(log, command, "--port") as app, httpx.Client(base_url=app, timeout=60) as client:
        assert client.post("/api/v1/predict", content=content).status_code == 401
        client.headers["Authorization"] = f"Bearer {key[1]}"
        while client.get("/api/readyz").status_code == 503:
            time.sleep(0.1)
        found = client.post("/api/v1/predict", content=content).json()
        same(found["answers"][0], row, found["labels"])
        names = [model["name"] for model in client.get("/api/v1/models").json()]
        assert names == ["everyday", "ravdess"]
        assert "Streamlit" in client.get("/").text
    for word in ("Traceback", "WARNING"):
        assert word not in log.read_text()


def test_the_log_knows_requests_by_a_number_and_nobody_by_a_name(client, address, log):
    form = {"file": ("anna.flac", CLIP.read_bytes())}
    good = client.post("/v1/predict", files=form)
    bad = client.post("/v1/predict?model=anna", files=form)
    client.get("/anna")
    where = address.replace("http", "ws") + "/v1/stream?model=anna"
    headers = {"Authorization": client.headers["Authorization"]}
    with websockets.sync.client.connect(where, additional_headers=headers) as socket:
        assert json.loads(socket.recv(timeout=60))["code"] == "no-such-model"
    ended = {"stream": "no-such-model", good.headers["X-Request-ID"]: None,
             bad.headers["X-Request-ID"]: "no-such-model"}  # fmt: skip
    deadline = time.monotonic() + 60
    while True:  # a line is written once the answer has been sent
        text = log.read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        found = {
            line["event"] if line["event"] == "stream" else line["request"]: line["code"]
            for line in lines
            if "request" in line
        }
        if ended.items() <= found.items():
            break
        assert time.monotonic() < deadline, text
    (line,) = [each for each in lines if each.get("request") == good.headers["X-Request-ID"]]
    assert line["event"] == "request" and line["mode"] == "api" and line["level"] == "info"
    assert line["route"] == "/v1/predict" and 0 < line["seconds"] < 60
    assert "anna" not in text
