from enum import StrEnum
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ser.utils.validation import first_problem


class Kind(StrEnum):
    ROOM = "room"
    NOISE = "noise"


class Row(BaseModel):
    model_config = ConfigDict(strict=True)
    kind: Kind = Kind.ROOM
    name: str


class Settings(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    rate: float = 0.5
    warm: int | None = None
    rows: tuple[Row, ...] = ()

    @model_validator(mode="after")
    def warm_before_the_end(self) -> "Settings":
        if self.warm is not None and self.warm > self.epochs:
            raise ValueError("warm is later than the last epoch")
        return self


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid JSON: EOF while parsing a value at line 1 column 0"),
        ("[" * 10_000, "invalid JSON: recursion limit exceeded at line 1 column"),
        ("[]", "it should be an object"),
        ('{"epochs": 0}', "epochs should be greater than or equal to 1, not 0"),
        ('{"epochs": "many"}', "epochs should be a valid integer, not 'many'"),
        ('{"rate": NaN}', "rate should be a finite number, not nan"),
        ('{"pochs": 3}', "pochs is unknown"),
        ('{"rows": [{"name": "a"}, {}]}', "rows[1].name is missing"),
        (
            '{"rows": [{"name": "a", "kind": "moon"}]}',
            "rows[0].kind should be 'room' or 'noise', not 'moon'",
        ),
        ('{"rows": {"name": "a"}}', "rows should be a valid array"),
        ('{"warm": 9}', "warm is later than the last epoch"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, words):
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate_json(text)
    assert first_problem(caught.value).startswith(words)


def test_a_large_value_is_not_repeated():
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"epochs": "9" * 100_000})
    assert first_problem(caught.value) == "epochs should be a valid integer"


def test_what_was_wrong_with_an_argument_is_said_too():
    with pytest.raises(ValidationError) as caught:
        Settings(epochs=5, epoch=3)
    assert first_problem(caught.value) == "epoch is unknown"
