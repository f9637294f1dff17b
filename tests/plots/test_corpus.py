import numpy as np
import pandas as pd
import pytest

from ser import plots
from ser.labels import COLORS, EMOTIONS
from tests.plots.test_plots import titles


@pytest.fixture
def clips():
    """Five clips, two of one emotion, of one of which the gender is not known."""
    return pd.DataFrame(
        {
            "emotion": pd.Categorical(["sad", "sad", "angry", "calm", "calm"]),
            "gender": pd.Categorical(["male", "female", "", "male", "male"]),
        }
    )


def test_clips_are_counted_by_emotion_in_their_order(clips):
    chart, table = plots.clips_per_emotion(clips)
    assert table.to_dict("list") == {"emotion": ["calm", "sad", "angry"], "all": [2, 2, 1]}
    assert chart.description == "Clips per emotion: calm 2, sad 2, angry 1"
    svg = plots.to_svg(chart)
    assert all(COLORS[emotion] in svg for emotion in ("calm", "sad", "angry"))
    assert "Clips" in titles(chart.to_dict())


def test_clips_are_counted_by_group_and_the_unknown_are_named(clips):
    _, table = plots.clips_per_emotion(clips, by="gender")
    assert table.set_index("emotion").to_dict("index") == {
        "calm": {"female": 0, "male": 2, "unknown": 0},
        "sad": {"female": 1, "male": 1, "unknown": 0},
        "angry": {"female": 0, "male": 0, "unknown": 1},
    }


def test_a_histogram_counts_every_value_and_sends_only_counts():
    values = np.concatenate([np.full(70_000, 2.0), np.full(30_000, 3.0)])
    chart, table = plots.histogram(values, title="Duration", unit="s", bins=10)
    assert table["clips"].tolist() == [70_000, *[0] * 8, 30_000]
    assert (table["from"].iloc[0], table["to"].iloc[-1]) == (2.0, 3.0)
    assert "Duration (s)" in titles(chart.to_dict())
    (rows,) = chart.to_dict()["datasets"].values()
    assert len(rows) == 10


def test_clips_of_one_length_can_be_drawn():
    chart, table = plots.histogram([3.0, 3.0], title="Duration", unit="s")
    assert table["clips"].sum() == 2
    assert "median 3.0 s" in chart.description


def test_averages_share_their_colours_and_leave_out_what_has_no_clips():
    means = np.full((8, 32, 94), np.nan)
    means[3], means[4] = np.linspace(-60, 0, 32 * 94).reshape(32, 94), -10.0
    drawn = plots.average_spectrograms(means, [0, 0, 0, 7, 1, 0, 0, 0])
    assert list(drawn) == ["sad", "angry"]
    assert [chart.title for chart in drawn.values()] == ["sad, 7 clips", "angry, 1 clip"]
    domains = {
        tuple(chart.to_dict()["layer"][0]["encoding"]["color"]["scale"]["domain"])
        for chart in drawn.values()
    }
    assert len(domains) == 1


def test_a_map_colours_clips_by_emotion_and_tells_which_was_clicked():
    points = pd.DataFrame(
        {
            "x": [0.0, 1.0],
            "y": [0.0, 1.0],
            "emotion": ["sad", "angry"],
            "speaker": "actor 25",
            "name": ["a.wav", "b.wav"],
            "clip": [0, 1],
        }
    )
    spec = plots.clip_map(points, axes=("First (12 %)", "Second (3 %)")).to_dict()
    assert titles(spec) == ["First (12 %)", "Second (3 %)"]
    assert spec["encoding"]["color"]["scale"]["domain"] == [
        e for e in EMOTIONS if e in ("sad", "angry")
    ]
    params = {param["name"]: param["select"] for param in spec["params"]}
    assert set(params) == {"clip", "area", "view"}
    assert params["clip"]["fields"] == ["clip"]


def test_a_map_can_be_coloured_by_many_speakers():
    speakers = [f"actor {i:02}" for i in range(20) for _ in range(20 - i)]
    points = pd.DataFrame(
        {"x": 0.0, "y": 0.0, "emotion": "sad", "name": "a.wav", "speaker": speakers}
    )
    points = points.assign(clip=range(len(points)), speaker=plots.few_groups(points["speaker"]))
    encoding = plots.clip_map(points, axes=("", ""), by="speaker").to_dict()["encoding"]
    shown = [*(f"actor {i:02}" for i in range(7)), "others"]
    assert encoding["color"]["scale"]["domain"] == shown
    for channel in ("color", "shape"):
        assert len(set(encoding[channel]["scale"]["range"])) == 8, channel
