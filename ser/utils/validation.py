"""What is wrong with a file that does not fit its pydantic model, in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """Say what is wrong first, to be put into the sentence of a `ser.errors.SerError`.

    Parameters
    ----------
    error : pydantic.ValidationError
        What a model said of a value, or of JSON, that may come from anyone.

    Returns
    -------
    str
        Where it is wrong (if not as a whole), what is, and the value, if that is short: one line
        without a full stop.

    Examples
    --------
    >>> from typing import Annotated
    >>> from pydantic import Field, ValidationError, create_model
    >>> Fold = create_model("Fold", accuracy=Annotated[float, Field(ge=0, le=1)])
    >>> Study = create_model("Study", __config__={"extra": "forbid"}, folds=list[Fold])
    >>> def problem(text):
    ...     try:
    ...         Study.model_validate_json(text)
    ...     except ValidationError as error:
    ...         return first_problem(error)
    >>> problem('{"folds": [{"accuracy": 0.5}, {"accuracy": 91.4}]}')
    'folds[1].accuracy should be less than or equal to 1, not 91.4'
    >>> problem("{}")
    'folds is missing'
    >>> problem('{"folds": [], "fold": 3}')
    'fold is unknown'
    """
    found = error.errors(include_url=False)[0]
    kind, place = found["type"], _place(found["loc"])
    if kind == "missing":
        return f"{place} is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place} is unknown"
    said = found["msg"].removeprefix("Value error, ")
    if kind in ("value_error", "assertion_error", "json_invalid"):
        words = said[:1].lower() + said[1:] if said.startswith("Invalid") else said
        return f"{place}: {words}" if place else words
    words = f"{place or 'it'} {said.removeprefix('Input ')}"
    value = found["input"]
    if isinstance(value, str | int | float | bool | None) and len(repr(value)) <= 60:
        words += f", not {value!r}"
    return words


def _place(parts: Sequence[int | str]) -> str:
    """Return where in a file a value stands, such as ``folds[1].accuracy``."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return words.removeprefix(".")
