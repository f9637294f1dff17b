import json
from dataclasses import replace

import pytest

from ser.errors import RunError
from ser.models.networks import ModelConfig
from ser.training.config import PRESETS, TrainingConfig, configure, read_config
from ser.utils.settings import fields_of
from tests.tiny import SAMPLES, tiny_config


def test_the_configuration_survives_json():
    config = tiny_config(SAMPLES, seed=9)
    values = config.to_json()
    assert json.loads(json.dumps(values)) == values
    assert TrainingConfig.from_json(values) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("batch_size", 0), ("learning_rate", -1.0), ("copies", -1), ("fold", 5),
        ("validation", 0.0), ("protocol", "best"), ("seed", -1), ("label_smoothing", 1.0),
        ("nonspeech", 2.0), ("finish", -0.1), ("epochs", 2.5), ("copies", True), ("model", 7),
    ],
)  # fmt: skip
def test_impossible_values_are_refused_by_name(name, value):
    with pytest.raises(RunError, match=f"{name}.*impossible; use "):
        TrainingConfig(data="x", **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("members", 0), ("filters", (8, 0)), ("filters", ()), ("lstm", 0), ("dropout", 1.0)],
)
def test_impossible_networks_are_refused_by_name(name, value):
    with pytest.raises(RunError, match=f"{name}.*impossible; use "):
        replace(ModelConfig(), **{name: value})
    with pytest.raises(RunError, match=f"{name}.*impossible; use "):
        configure({"data": "x", "model": {name: value}})


def test_a_configuration_of_another_version_is_refused():
    values = TrainingConfig(data="x").to_json()
    with pytest.raises(RunError, match="does not fit"):
        TrainingConfig.from_json(values | {"optimizer": "sgd"})
    with pytest.raises(RunError, match="does not fit"):
        TrainingConfig.from_json(values | {"epochs": "many"})
    del values["epochs"]
    with pytest.raises(RunError, match=r"does not fit.*epochs"):
        TrainingConfig.from_json(values)


def test_a_random_split_has_no_further_folds():
    with pytest.raises(RunError, match="fold 1 is impossible; use 0 to 0"):
        TrainingConfig(data="x", fold=1)


def test_the_study_has_folds_of_its_own():
    with pytest.raises(RunError, match="folds 4 is impossible; use 5"):
        TrainingConfig(data="x", protocol="luna-jimenez", folds=4)


@pytest.mark.parametrize("settings", [TrainingConfig, ModelConfig])
def test_every_field_says_what_it_is_for(settings):
    for name, field in fields_of(settings).items():
        assert field.description, name


def test_what_is_not_given_is_the_presets():
    config = TrainingConfig(data="x", preset="unseen-speakers", epochs=3)
    assert (config.epochs, config.copies, config.refit) == (3, 12, True)
    assert config.model == PRESETS["unseen-speakers"]["model"]
    assert replace(config, seed=7) == TrainingConfig(
        data="x", preset="unseen-speakers", epochs=3, seed=7
    )
    assert "preset" not in config.to_json()


def test_layers_lie_over_a_preset():
    config = configure(
        {"protocol": "unseen-speakers", "preset": "quick"},
        {"preset": "unseen-speakers"},
        {"data": "x", "epochs": 7, "model": {"members": 2, "lstm": 8}},
        {"epochs": 9, "model": {"lstm": 16}},
    )
    assert (config.epochs, config.copies, config.balanced) == (9, 12, True)
    preset = PRESETS["unseen-speakers"]["model"]
    assert config.model == replace(preset, members=2, lstm=16)


def test_a_protocol_brings_its_usual_folds():
    told = {"data": "x", "protocol": "kfold-speech"}
    assert configure(told).folds == 10
    assert configure(told | {"folds": 3}).folds == 3
    assert configure(told | {"folds": 3}, {"protocol": "luna-jimenez"}).folds == 5
    assert configure(told | {"folds": 3}, {"epochs": 1}).folds == 3


TOML = """
preset = "quick"
data = "data/ravdess"
learning_rate = 1
balanced = true
[model]
filters = [8, 16]
"""


def test_a_toml_file_is_read(tmp_path):
    (tmp_path / "own.toml").write_text(TOML)
    config = configure(read_config(tmp_path / "own.toml"))
    assert (config.data, config.learning_rate, config.balanced) == (("data/ravdess",), 1.0, True)
    assert config.model == ModelConfig(filters=(8, 16))
    assert config.epochs == PRESETS["quick"]["epochs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "no setting epoch; did you mean epochs"),
        ("members = 3", "no setting members; did you mean model.members"),
        ("[model]\nmember = 3", "no setting member; did you mean members"),
        ("colour = 3", "no setting colour; there are data, protocol"),
        ('epochs = "many"', "epochs 'many' is impossible; use a whole number from 1 to 10000"),
        ("model = 7", "model 7 is impossible"),
        ('preset = "best"', "preset 'best' is impossible; use quick or full or unseen-speakers"),
        ('protocol = ["random"]', "protocol .* is impossible; use random or"),
        ('preset = "everyday"\nbatch_size = 20', "batch_size 20 is impossible with an encoder"),
        ('preset = "everyday"\nrefit = true', "with an encoder is not refit"),
        ("learning_rate = nan", "learning_rate nan is impossible"),
        ('protocol = "corpora"\ndata = 5', "data"),
        ("epochs = ", "cannot be read as a configuration"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_name(tmp_path, text, words):
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(RunError, match=rf"own\.toml.*{words}"):
        read_config(file)


def test_a_run_or_its_file_gives_its_configuration(tmp_path):
    config = tiny_config(SAMPLES, seed=9)
    with pytest.raises(RunError, match="does not exist"):
        read_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text(json.dumps(config.to_json()))
    for place in (tmp_path, tmp_path / "config.json"):
        assert configure({"preset": "unseen-speakers"}, read_config(place)) == config


def test_the_protocol_corpora_has_a_fold_for_each_corpus():
    values = {"protocol": "corpora", "data": ["a", "b", "c"]}
    assert configure(values).folds == 3
    assert configure(values, {"folds": 4}).folds == 4
    assert configure({"data": "one.csv"}, {"protocol": "corpora"}).folds == 2
    assert configure(values).to_json()["data"] == ["a", "b", "c"]
