"""What decides how a training turns out, and the sets of values that are offered by name."""

from __future__ import annotations

import tomllib
from dataclasses import InitVar, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, to_jsonable_python

from ser.data import splits
from ser.errors import RunError
from ser.models.networks import ModelConfig
from ser.utils.files import read_json
from ser.utils.settings import STRICT, Settings

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 24, "copies": 4, "robustness": False, "model": ModelConfig()},
    "full": {"epochs": 100, "copies": 12, "model": ModelConfig(members=5)},
    "unseen-speakers": {
        "epochs": 40,
        "copies": 12,
        "balanced": True,
        "validation": 0.1,
        "refit": True,
        "model": ModelConfig(members=4, front=24, functionals=64),
    },
    "everyday": {
        "epochs": 5,
        "warmup": 1,
        "copies": 2,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "weight_decay": 1e-2,
        "balanced": True,
        "ema_decay": 0.99,
        "model": ModelConfig(
            members=3,
            filters=(96, 96, 96),
            lstm=48,
            encoder=True,
            dropout=0.2,
            output_dropout=0.5,
        ),
    },
}
"""What the command line and the pages offer: a first look, the recipe of the model `ravdess`, one
for voices that are not in the corpus, which longer training only helps to know those that are, and
that of the model `everyday`, for several corpora together."""

CLIPS_OF_A_VOICE = 8
"""Clips of one voice that stand in a batch together, where a model learns to get used to voices."""

if TYPE_CHECKING:
    _Preset = str
    _Protocol = str
else:  # mypy cannot look into a tuple, and such names are to stand in one place
    _Preset, _Protocol = Literal[tuple(PRESETS)], Literal[splits.PROTOCOLS]


@dataclass(frozen=True, config=STRICT)
class TrainingConfig(Settings):
    """Everything that decides how a run turns out.

    Raises
    ------
    RunError
        Naming a value that cannot work, and what is possible.
    """

    data: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    """Folder or CSV file of the corpus; several may be given."""

    protocol: _Protocol = "random"
    """Which clips are kept for testing. With random it is a random fifth; with unseen-speakers
    every speaker is tested once, by a model that was not trained on that voice; with luna-jimenez
    it is speech of unseen actors of RAVDESS in the folds of that study; with kfold-speech it is
    speech in random folds; with corpora it is the speech of a whole corpus, by a model of the
    others."""

    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42
    """Of the split, the augmentation, the initial weights and the order of the clips."""

    folds: Annotated[int, Field(ge=2, le=1000)] = 5
    """How many folds; random has none, and corpora has one for each corpus."""

    fold: Annotated[int, Field(ge=0)] = 0
    """Which fold tests, from 0."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = PRESETS["full"]["epochs"]
    """Passes over the training clips."""

    batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    """Clips per step; if the network has an encoder, a multiple of 8, as many as of one voice."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    """Highest value; reached after the warm-up, then falling to 0 along a cosine."""

    warmup: Annotated[int, Field(ge=0)] = 4
    """Epochs in which the learning rate rises in a line."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-3
    """Of AdamW (Loshchilov & Hutter 2019)."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Part of each label spread over all classes."""

    balanced: bool = False
    """Whether every emotion counts alike, however many clips it has, which serves the average
    recall; otherwise rare ones are named less often (logit adjustment, Menon et al. 2021)."""

    nonspeech: Annotated[float, Field(ge=0, le=1)] = 0.125
    """Sounds that are not speech and answer to no label, per training clip."""

    copies: Annotated[int, Field(ge=0, le=100)] = PRESETS["full"]["copies"]
    """Augmented copies per training clip; each epoch draws one of them or the clip itself."""

    finish: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Part of the epochs, the last ones, in which half of the draws are the clip itself for sure:
    the network ends on what it will meet. Without effect if it has an encoder."""

    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay per step of the running average of the weights, which is what is kept (Polyak &
    Juditsky 1992)."""

    backgrounds: str = ""
    """Folder of recordings of real backgrounds, such as traffic and kitchens, which are mixed into
    some augmented copies, if the network has an encoder."""

    voices: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Part of the clips that are heard against others of their voice, so that the model can get
    used to a voice by listening, if the network has an encoder."""

    fine_tuning: Annotated[int, Field(ge=0, le=1000)] = 0
    """Further epochs in which the last blocks of the encoder learn as well, if there is one."""

    encoder_rate: Annotated[float, Field(gt=0, le=1)] = 3e-5
    """Highest learning rate of the encoder."""

    validation: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Part of the training clips or speakers held out to watch and to calibrate."""

    refit: bool = False
    """Whether, once the held-out clips have told the temperature, the network is trained anew on
    those as well. It takes twice the time; where speakers are few, every one counts. Not for a
    network with an encoder."""

    robustness: bool = True
    """Whether the finished model is also heard in noise, rooms and codecs, and asked about sounds
    that are not speech; of the protocols random and unseen-speakers alone."""

    model: ModelConfig = PRESETS["full"]["model"]
    """Size of the network."""

    preset: InitVar[_Preset] = "full"
    """Where everything comes from that is not given."""

    @model_validator(mode="before")
    @classmethod
    def _over_preset(cls, values: Any) -> Any:
        if not isinstance(values, ArgsKwargs):
            return values
        given = values.kwargs or {}
        preset = PRESETS.get(str(given.get("preset")), {})  # an impossible one is refused later
        return ArgsKwargs(values.args, preset | given)

    @field_validator("data", mode="before")
    @classmethod
    def _read_data(cls, value: Any) -> Any:
        if isinstance(value, str):
            return (value,)
        return tuple(value) if isinstance(value, list) else value  # as JSON and TOML have it

    @field_validator("model", mode="before")
    @classmethod
    def _read_model(cls, value: Any) -> Any:
        if isinstance(value, dict):  # as JSON and TOML have it
            return ModelConfig(**value)
        if not isinstance(value, ModelConfig):
            raise ValueError("it is not a table")
        return value

    def __post_init__(self, preset: str) -> None:
        """Refuse values that do not go together."""
        if self.protocol == "luna-jimenez" and self.folds != 5:
            raise RunError(f"folds {self.folds} is impossible; use 5, the study's own.")
        if self.fold >= (count := splits.folds_of(self.protocol, self.folds)):
            raise RunError(f"fold {self.fold} is impossible; use 0 to {count - 1}.")
        if self.model.encoder and self.batch_size % CLIPS_OF_A_VOICE:
            raise RunError(
                f"batch_size {self.batch_size} is impossible with an encoder, which is trained on "
                f"{CLIPS_OF_A_VOICE} clips of each voice at a time; use a multiple of that."
            )
        if self.model.encoder and self.refit:
            raise RunError("A network with an encoder is not refit; leave refit out.")

    def to_json(self) -> dict[str, Any]:
        """Return the values as what JSON can hold."""
        return to_jsonable_python(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingConfig:
        """Read a configuration back.

        Raises
        ------
        RunError
            If a value is missing, unknown or impossible.
        """
        values = {"robustness": True} | values  # what every run did before it could be chosen
        try:
            if missing := [f.name for f in fields(cls) if f.name not in values]:
                raise RunError(f"{missing[0]} is missing.")
            return cls(**values)
        except RunError as error:
            raise RunError(
                f"The run's config.json does not fit this version of ser: {error} Start a new run."
            ) from error


def configure(*layers: dict[str, Any]) -> TrainingConfig:
    """Build a configuration of several layers, later ones over earlier ones, all over a preset.

    Parameters
    ----------
    layers : dict
        Some fields of `TrainingConfig`, among them perhaps the ``preset``; ``model`` is a table of
        some fields of `ModelConfig`.  One that names a protocol and no ``folds`` brings the usual
        folds of that protocol.

    Raises
    ------
    RunError
        If a field is unknown or a value impossible.

    Examples
    --------
    >>> config = configure({"data": "x", "preset": "quick"}, {"model": {"members": 2}, "epochs": 3})
    >>> config.epochs, config.copies, config.model.members
    (3, 4, 2)
    """
    values: dict[str, Any] = {"preset": "full"}
    for layer in layers:
        values["preset"] = layer.get("preset", values["preset"])
    values["model"] = PRESETS.get(str(values["preset"]), PRESETS["full"])["model"]
    for layer in layers:
        if "protocol" in layer:
            values["folds"] = splits.FOLDS.get(str(layer["protocol"]), 5)
        if isinstance(size := layer.get("model"), dict):
            layer = layer | {"model": replace(values["model"], **size)}
        values |= layer
    if values.get("protocol") == "corpora" and not any("folds" in layer for layer in layers):
        data = values["data"]
        values["folds"] = max(len(data), 2) if isinstance(data, list | tuple) else 2
    return TrainingConfig(**values)


def read_config(path: str | Path) -> dict[str, Any]:
    """Read fields of a configuration from a file, to be given to `configure`.

    Parameters
    ----------
    path : str or Path
        A ``.toml`` file, the ``config.json`` of a run, the folder of a run, or the report of a
        cross-validation.

    Raises
    ------
    RunError
        If it cannot be read, or a field is unknown or impossible.
    """
    path = Path(path)
    file = path / "config.json" if path.is_dir() else path
    try:
        if file.suffix.lower() == ".toml":
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        else:
            values = read_json(file)
            if isinstance(shared := values.get("config"), dict):  # it is a report
                values = shared
        configure({"data": ""}, values)
    except FileNotFoundError:
        raise RunError(f"{file} does not exist. Check the name of the configuration.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read as a configuration: {error}.") from error
    except RunError as error:
        raise RunError(f"{file}: {error}") from error
    return values
