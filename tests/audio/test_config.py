import dataclasses
import json

import pytest

from ser.audio.config import CONTRACT, Contract
from ser.errors import BundleError


def test_the_contract_of_the_mission():
    assert (CONTRACT.sample_rate, CONTRACT.clip_samples) == (16_000, 48_000)
    assert CONTRACT.clip_seconds == 3.0
    assert CONTRACT.frames == 94
    assert CONTRACT.input_shape == (32, 94, 2)


def test_a_contract_survives_a_manifest():
    changed = dataclasses.replace(CONTRACT, labels=("sad", "happy"), trim_db=40.0, hop_length=256)
    assert Contract.from_json(json.loads(json.dumps(changed.to_json()))) == changed


def test_a_contract_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CONTRACT.sample_rate = 8000


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Contract)])
def test_a_missing_value_is_named(name):
    values = CONTRACT.to_json()
    del values[name]
    with pytest.raises(BundleError, match=name):
        Contract.from_json(values)


def test_an_unknown_value_is_named():
    with pytest.raises(BundleError, match="n_wavelets"):
        Contract.from_json({**CONTRACT.to_json(), "n_wavelets": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate", 0),
        ("sample_rate", -16_000),
        ("sample_rate", 16_000.0),
        ("sample_rate", "16000"),
        ("sample_rate", True),
        ("clip_samples", None),
        ("top_db", 0),
        ("trim_db", float("nan")),
        ("trim_db", float("inf")),
        ("level_dbfs", float("nan")),
        ("level_dbfs", "loud"),
        ("labels", "neutral"),
        ("labels", [1, 2]),
        ("labels", []),
        ("labels", ["happy"]),
        ("labels", ["happy", "happy"]),
        ("n_mfcc", [13]),
    ],
)
def test_an_impossible_value_is_named(name, value):
    with pytest.raises(BundleError, match=f"impossible {name}"):
        Contract.from_json({**CONTRACT.to_json(), name: value})


def test_channels_of_different_height_are_refused():
    with pytest.raises(BundleError, match="33 rows"):
        Contract.from_json({**CONTRACT.to_json(), "n_mfcc": 14})


@pytest.mark.parametrize("values", [None, [], "contract", 3])
def test_what_is_no_object_is_refused(values):
    with pytest.raises(BundleError, match="does not fit"):
        Contract.from_json(values)
