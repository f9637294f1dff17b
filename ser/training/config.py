"""What decides how a training turns out, and the sets of values that are offered by name."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ser.data import splits
from ser.errors import RunError
from ser.models.networks import ModelConfig

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 24, "copies": 4, "model": ModelConfig()},
    "full": {"epochs": 100, "copies": 12, "model": ModelConfig(members=5)},
    "unseen-speakers": {
        "epochs": 40,
        "copies": 12,
        "balanced": True,
        "validation": 0.1,
        "refit": True,
        "model": ModelConfig(members=4, front=24, functionals=64),
    },
}
"""What the command line and the pages offer: a first look, the shipped model's recipe, and one for
voices that are not in the corpus, which longer training only helps to know those that are."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides how a run turns out.

    Attributes
    ----------
    data : str
        Folder or CSV file of the corpus.
    protocol : {'random', 'unseen-speakers', 'luna-jimenez', 'kfold-speech'}
        Which clips are kept for testing, see `ser.data.splits.make_split`.
    seed : int
        Of the split, the augmentation, the initial weights and the order of the clips.
    folds, fold : int
        How many folds and which one tests; ``random`` has none.
    epochs : int
        Passes over the training clips.
    batch_size : int
        Clips per step.
    learning_rate : float
        Highest value; reached after `warmup` epochs, then falling to 0 along a cosine.
    warmup : int
        Epochs of linear rise.
    weight_decay : float
        Of AdamW (Loshchilov & Hutter 2019).
    label_smoothing : float
        Part of each label spread over all classes, in [0, 1).
    balanced : bool
        Whether every emotion counts alike, however many clips it has, which serves the average
        recall; otherwise rare ones are named less often (logit adjustment, Menon et al. 2021).
    nonspeech : float
        Sounds that are no speech and answer to no label, per training clip (`ser.audio.nonspeech`).
    copies : int
        Augmented copies per training clip; each epoch draws one of them or the clip itself.
    finish : float
        Part of the epochs, the last ones, in which half of the draws are the clip itself for sure,
        in [0, 1]: the network ends on what it will meet.
    ema_decay : float
        Decay per step of the running average of the weights, which is what is kept
        (Polyak & Juditsky 1992), in [0, 1).
    validation : float
        Part of the training clips or speakers held out to watch and to calibrate.
    refit : bool
        Whether, once they have told the temperature, the network is trained anew on those as well.
        It takes twice the time; where speakers are few, every one counts.
    model : ModelConfig
        Size of the network.
    """

    data: str
    protocol: str = "random"
    seed: int = 42
    folds: int = 5
    fold: int = 0
    epochs: int = PRESETS["full"]["epochs"]
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup: int = 4
    weight_decay: float = 1e-3
    label_smoothing: float = 0.05
    balanced: bool = False
    nonspeech: float = 0.125
    copies: int = PRESETS["full"]["copies"]
    finish: float = 0.25
    ema_decay: float = 0.998
    validation: float = 0.05
    refit: bool = False
    model: ModelConfig = PRESETS["full"]["model"]

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises
        ------
        RunError
            Naming the value and what is possible.
        """
        checks = [
            ("protocol", self.protocol in splits.PROTOCOLS, " or ".join(splits.PROTOCOLS)),
            ("seed", 0 <= self.seed < 2**32, "0 to 4294967295"),
            ("folds", 2 <= self.folds <= 1000, "2 or more"),
            ("folds", self.protocol != "luna-jimenez" or self.folds == 5, "5, the study's own"),
            ("fold", 0 <= self.fold < self.folds, "0 to folds - 1"),
            ("members", 1 <= self.model.members <= 20, "1 to 20"),
            ("epochs", 1 <= self.epochs <= 10_000, "1 to 10000"),
            ("batch_size", 1 <= self.batch_size <= 1024, "1 to 1024"),
            ("learning_rate", 0 < self.learning_rate <= 1, "above 0, at most 1"),
            ("warmup", self.warmup >= 0, "0 or more"),
            ("weight_decay", 0 <= self.weight_decay <= 1, "0 to 1"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "0 to below 1"),
            ("nonspeech", 0 <= self.nonspeech <= 1, "0 to 1"),
            ("copies", 0 <= self.copies <= 100, "0 to 100"),
            ("finish", 0 <= self.finish <= 1, "0 to 1"),
            ("ema_decay", 0 <= self.ema_decay < 1, "0 to below 1"),
            ("validation", 0 < self.validation < 0.5, "above 0, below 0.5"),
        ]
        for name, good, possible in checks:
            if not good:
                value = getattr(self.model if name == "members" else self, name)
                raise RunError(f"{name} {value!r} is impossible; use {possible}.")

    def to_json(self) -> dict[str, Any]:
        """Return the values as what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingConfig:
        """Read a configuration back.

        Raises
        ------
        RunError
            If a value is missing, unknown or impossible.
        """
        known = {f.name for f in fields(cls)}
        try:
            if set(values) != known:
                raise ValueError(f"differs in {sorted(set(values) ^ known)}")
            model = dict(values["model"])
            size = ModelConfig(**{**model, "filters": tuple(model["filters"])})
            return cls(**{**values, "model": size})
        except (TypeError, ValueError, KeyError) as error:
            raise RunError(
                f"The run's config.json does not fit this version of ser: {error}. Start a new run."
            ) from error
