"""What Prometheus is told: that something was answered or refused, and nothing else."""

import socket

import pytest
import requests
from prometheus_client import REGISTRY

from ser.app import metrics
from ser.errors import DataError, OutputError
from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def answers():
    return sum(value("ser_answers_total", verdict=v) for v in ("sure", "uncertain", "no speech"))


def test_an_answer_is_counted_once_and_a_refusal_by_its_code(page):
    before = answers(), value("ser_answer_seconds_count")
    refused = value("ser_refusals_total", code="audio-unsupported")
    app = page("pages/4_Prediction.py")
    app.file_uploader[0].set_value(("anna.flac", CLIP.read_bytes(), "audio/flac")).run()
    app.run()
    assert app.subheader
    assert (answers(), value("ser_answer_seconds_count")) == (before[0] + 1, before[1] + 1)
    app.file_uploader[0].set_value(("anna.flac", b"no sound", "audio/flac")).run()
    assert value("ser_refusals_total", code="audio-unsupported") == refused + 1


def test_the_figures_are_served_at_the_address_given_and_name_nobody(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("SER_METRICS", f"127.0.0.1:{port}")
    metrics.serve()
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    for name in ("ser_answer_seconds_bucket", "ser_queued_trainings", "process_resident_memory"):
        assert name in text
    assert "anna" not in text
    with pytest.raises(OutputError, match="Address already in use"):
        metrics.serve()


@pytest.mark.parametrize("where", ["9100", "127.0.0.1:", "127.0.0.1:metrics", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(monkeypatch, where):
    monkeypatch.setenv("SER_METRICS", where)
    with pytest.raises(DataError, match="Give address and port"):
        metrics.serve()


def test_without_an_address_nothing_is_served(monkeypatch):
    monkeypatch.delenv("SER_METRICS", raising=False)
    monkeypatch.setattr(metrics, "start_http_server", None)  # to call it would be an error
    metrics.serve()
