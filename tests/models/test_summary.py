"""A timeline made by hand: a minute of calm, a pause, a minute of anger."""

import numpy as np
import pandas as pd
import pytest

from ser.models.recognizer import NO_SPEECH, SURE, UNCERTAIN
from ser.models.summary import summarise

LABELS = ("calm", "angry", "happy")


def timeline(*parts):
    """Return windows a second apart: of each part its seconds and the probability of anger."""
    rows = []
    for seconds, angry in parts:
        for _ in range(seconds):
            silent = angry is None
            rows.append(
                {
                    "start": float(len(rows)),
                    "end": len(rows) + 3.0,
                    "emotion": None if silent else ("angry" if angry > 0.5 else "calm"),
                    "verdict": NO_SPEECH if silent else (SURE if angry > 0.8 else UNCERTAIN),
                    "angry": np.nan if silent else angry,
                    "happy": np.nan if silent else 0.0,
                    "calm": np.nan if silent else 1 - angry,
                }
            )
    return pd.DataFrame(rows)


def test_the_calmest_and_the_most_agitated_minute_are_found():
    found = summarise(timeline((100, 0.2), (20, None), (100, 0.9)), LABELS)
    assert found.calmest.start < 60 and found.calmest.agitated == pytest.approx(0.2)
    assert found.most_agitated.start >= 117 and found.most_agitated.agitated == pytest.approx(0.9)
    assert found.most_agitated.end - found.most_agitated.start == 60
    assert found.shares.to_dict() == {"calm": 0.5, "angry": 0.5}
    assert found.sure == 0.5 and found.spoken == pytest.approx(200 / 220)


def test_parts_of_a_shorter_recording_are_ten_seconds_long():
    found = summarise(timeline((20, 0.1), (20, 0.7)), LABELS)
    assert found.calmest.end - found.calmest.start == 10
    assert found.calmest.start < 15 < found.most_agitated.start


def test_of_a_pause_nothing_is_said():
    found = summarise(timeline((15, 0.4), (60, None), (15, 0.6)), LABELS)
    for part in (found.calmest, found.most_agitated):
        assert part.end <= 30 or part.start >= 60


@pytest.mark.parametrize(
    ("table", "labels"),
    [
        (timeline((20, 0.2)), LABELS),  # too short
        (timeline((200, 0.2)), ("calm", "sad")),  # nothing aroused that could be more or less
        (timeline((200, 0.2)), ("angry", "happy")),  # nothing else
        (timeline((200, None)), LABELS),
        (timeline((12, 0.3), (200, None)), LABELS),  # one part alone cannot be the calmer one
    ],
)
def test_where_there_is_nothing_to_compare_nothing_is_named(table, labels):
    found = summarise(table, labels)
    assert found.calmest is None and found.most_agitated is None
