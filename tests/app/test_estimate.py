import json
import os

import pytest

from ser.app import estimate
from ser.app.estimate import Speed
from ser.training.config import PRESETS, TrainingConfig
from tests.tiny import SAMPLES

SPEED = Speed(start=8, build=4, inputs=0.004, clip=0.0002, member=0.001)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_HOME", str(tmp_path))
    return tmp_path


def test_this_machine_is_measured_and_remembered(home):
    assert estimate.known_speed() is None
    speed = estimate.measure_apart()
    assert estimate.known_speed() == speed
    assert min(speed.start, speed.inputs, speed.clip + speed.member) > 0
    # Loading takes longer than one clip on any machine.
    assert speed.inputs < speed.start


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"machine": 7, "speed": {}}', '{"speed": {"start": 1}}'],
)
def test_a_damaged_or_foreign_measurement_is_made_again(home, text):
    (home / "speed.json").write_text(text)
    assert estimate.known_speed() is None


def test_the_measurement_of_another_machine_does_not_count(home):
    values = {"machine": estimate._machine(), "speed": vars(SPEED)}
    (home / "speed.json").write_text(json.dumps(values))
    assert estimate.known_speed() == SPEED
    values["machine"]["cores"] += 1
    (home / "speed.json").write_text(json.dumps(values))
    assert estimate.known_speed() is None


def test_more_work_takes_longer():
    def seconds(clips=120, **changes):
        return estimate.seconds(TrainingConfig(data=str(SAMPLES), **changes), clips, SPEED)

    feature_means, epochs = seconds(), TrainingConfig(data="x").epochs
    assert seconds(clips=240) > feature_means
    assert seconds(epochs=epochs + 80) - feature_means == pytest.approx(
        80 * 96 * 1.125 * (0.0002 + 5 * 0.001), rel=1e-6
    )
    assert seconds(copies=24) - feature_means == pytest.approx(
        12 * 96 * 1.125 * 0.004 / os.cpu_count(), rel=1e-6
    )
    assert seconds(**PRESETS["quick"]) < feature_means
