"""Settings that people give: declared once, with words that help texts and refusals share."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from pydantic import ConfigDict, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from ser.errors import RunError

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
"""Of every class of settings: nothing is guessed, and a field's docstring is its description."""

_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True, config=STRICT)
class Settings:
    """Base of frozen dataclasses whose values are refused in one sentence.

    Raises
    ------
    RunError
        Naming the field, its value and what is possible.

    Examples
    --------
    >>> from typing import Annotated
    >>> from pydantic import Field
    >>> @dataclass(frozen=True, config=STRICT)
    ... class Walk(Settings):
    ...     steps: Annotated[int, Field(ge=1, le=9)] = 3
    >>> Walk(steps=0)
    Traceback (most recent call last):
        ...
    ser.errors.RunError: steps 0 is impossible; use a whole number from 1 to 9.
    >>> Walk(step=2)
    Traceback (most recent call last):
        ...
    ser.errors.RunError: There is no setting step; did you mean steps?
    """

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, values: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(values)
        except ValidationError as error:
            raise RunError(_problem(cls, error)) from error


def fields_of(settings: type[Settings]) -> dict[str, FieldInfo]:
    """Return what is declared of each field: its kind, its limits, its default, its description."""
    return dict(settings.__pydantic_fields__)  # type: ignore[attr-defined]


def possible(field: FieldInfo) -> str:
    """Say what a field may be.

    Examples
    --------
    >>> from typing import Annotated
    >>> from pydantic import Field
    >>> def words(annotation):
    ...     return possible(FieldInfo.from_annotation(annotation))
    >>> words(Annotated[float, Field(gt=0, lt=0.5)]), words(bool), words(Literal["a", "b"])
    ('a number above 0 and below 0.5', 'true or false', 'a or b')
    >>> words(Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=3)])
    'a whole number of at least 1, up to 3 times'
    """
    kind: Any = field.annotation
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    limits = {
        name: getattr(limit, name)
        for limit in field.metadata
        for name in (*_LIMITS, "max_length")
        if hasattr(limit, name)
    }
    if get_origin(kind) is tuple:
        each = possible(FieldInfo.from_annotation(get_args(kind)[0]))
        return f"{each}, up to {limits['max_length']} times"
    return _KINDS.get(kind, "a table") + _range(limits)


def _range(limits: dict[str, Any]) -> str:
    if {"ge", "le"} <= set(limits):
        return f" from {limits['ge']} to {limits['le']}"
    found = [f"{words} {limits[name]}" for name, words in _LIMITS.items() if name in limits]
    return (" of " if "ge" in limits else " ") + " and ".join(found) if found else ""


def _places(fields: dict[str, FieldInfo]) -> list[str]:
    """Return the names of all fields, those of a table within the settings with its name before."""
    inner = [
        f"{name}.{own}"
        for name, field in fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings)
        for own in fields_of(field.annotation)
    ]
    return [*fields, *inner]


def _hint(name: str, places: list[str]) -> str:
    near = difflib.get_close_matches(name, [place.split(".")[-1] for place in places])
    meant = [place for place in places if place.split(".")[-1] in near]
    return f"did you mean {' or '.join(meant)}?" if meant else f"there are {', '.join(places)}."


def _problem(settings: type[Settings], error: ValidationError) -> str:
    """Say what is wrong first: which field, which value, and what is possible instead."""
    first = error.errors(include_url=False)[0]
    name, fields = str(first["loc"][0]), fields_of(settings)
    if name not in fields:
        return f"There is no setting {name}; {_hint(name, _places(fields))}"
    if first["type"] == "missing":
        return f"{name} is missing; use {possible(fields[name])}."
    return f"{name} {first['input']!r:.60} is impossible; use {possible(fields[name])}."
