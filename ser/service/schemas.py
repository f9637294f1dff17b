"""What the HTTP API gives out: the fields that predictions have everywhere, as JSON."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ser.models.explanation import Explanation


class Answer(BaseModel):
    """What a model says of one clip, or of one window of a recording."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "start": 0.38,
                "end": 1.92,
                "emotion": "fearful",
                "verdict": "sure",
                "reason": "",
                "distance": 0.4,
                "probabilities": {"angry": 0.07, "fearful": 0.79, "happy": 0.04},
            }
        }
    )

    start: float = Field(description="Where it begins in the recording, in seconds.", ge=0)
    end: float = Field(description="Where it ends, in seconds.", ge=0)
    emotion: str | None = Field(description="The most probable label; null where nobody speaks.")
    verdict: Literal["sure", "uncertain", "no speech"] = Field(
        description="Whether the model believes its own answer."
    )
    reason: str = Field(description="Why it is uncertain, and what to do; empty if it is sure.")
    distance: float | None = Field(
        description="How far out of distribution it lies; beyond 1 it is unlike the training."
    )
    probabilities: dict[str, float] | None = Field(
        description="By label, together 1; null where nobody speaks."
    )

    @classmethod
    def of(cls, row: dict[str, Any], labels: tuple[str, ...]) -> Answer:
        """Return a row of a table of predictions."""
        spoken = row["emotion"] is not None
        distance = row.get("distance")
        return cls(
            start=round(float(row["start"]), 3),
            end=round(float(row["end"]), 3),
            emotion=row["emotion"],
            verdict=row["verdict"],
            reason=row["reason"],
            distance=None if distance is None or distance != distance else float(distance),
            probabilities={label: float(row[label]) for label in labels} if spoken else None,
        )


class Part(BaseModel):
    """A part of a recording and what it did to the answer."""

    start: float = Field(description="In seconds.")
    end: float = Field(description="In seconds.")
    effect: float = Field(
        description="How far the log-odds of the emotion fall if it is hidden; positive spoke for "
        "it."
    )


class Row(BaseModel):
    """A row of the model's input and what it did to the answer."""

    name: str
    hertz: float | None = Field(description="The middle of a band; null of what is no band.")
    effect: float


class Why(BaseModel):
    """Which parts of a clip moved the answer, by occlusion."""

    emotion: str
    time: list[Part]
    rows: list[Row]

    @classmethod
    def of(cls, explanation: Explanation) -> Why:
        """Return an explanation."""
        rows = explanation.rows.assign(
            hertz=explanation.rows["hertz"].astype(object).where(explanation.rows["hertz"].notna())
        )
        return cls(
            emotion=explanation.emotion,
            time=[Part(**row) for row in records(explanation.time)],
            rows=[Row(**row) for row in records(rows[["name", "hertz", "effect"]])],
        )


class Predictions(BaseModel):
    """The answer to a recording."""

    model: str = Field(description="Which model answers.", examples=["everyday"])
    labels: list[str] = Field(description="What it can answer.")
    answers: list[Answer] = Field(
        description="One, of the 3 s of most energy; with timeline one of every 3 s window."
    )
    explanation: Why | None = Field(None, description="If it was asked for.")


class Model(BaseModel):
    """A model that can be asked."""

    name: str = Field(examples=["everyday"])
    default: bool = Field(description="Whether it answers where none is named.")
    labels: list[str]
    listens: bool = Field(description="Whether it gets used to a voice.")
    sha256: str = Field(description="Of the model's file.")


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field("about:blank", description="Always about:blank; `code` says what it is.")
    title: str
    status: int
    code: str = Field(description="A name of the problem that never changes.")
    detail: str = Field(description="What was wrong, and what to do.")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as dictionaries with names that are text."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
