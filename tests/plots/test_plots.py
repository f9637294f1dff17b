import json
import re

import numpy as np
import pandas as pd
import pytest

from ser import audio, plots
from ser.audio.features import SPECTRAL
from ser.errors import OutputError
from ser.labels import COLORS, EMOTIONS
from ser.plots.clip import CLIP_CHARTS, pitch
from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def recording():
    return audio.load_audio(CLIP)


def titles(spec):
    """Every axis title of a chart."""
    if isinstance(spec, dict):
        here = [spec[axis].get("title") for axis in ("x", "y") if isinstance(spec.get(axis), dict)]
        return here + [t for value in spec.values() for t in titles(value)]
    if isinstance(spec, list):
        return [t for value in spec for t in titles(value)]
    return []


def test_a_clip_is_shown_in_five_ways_with_units(recording):
    drawn = plots.clip_charts(recording)
    assert list(drawn) == ["waveform", "spectrogram", "mfcc", "channel 1", "channel 2"]
    for name, chart in drawn.items():
        found = titles(chart.to_dict())
        assert "Time (s)" in found, name
    assert "Frequency (Hz)" in titles(drawn["spectrogram"].to_dict())
    assert "Amplitude" in titles(drawn["waveform"].to_dict())


def test_the_waveform_marks_what_is_heard(recording):
    clip = audio.prepare_clip(recording)
    spec = plots.waveform(recording, kept=(clip.start, clip.end)).to_dict()
    (rows,) = spec["datasets"].values()
    kept = [row["time"] for row in rows if row["kept"] == "yes"]
    assert min(kept) == pytest.approx(clip.start, abs=0.01)
    assert max(kept) == pytest.approx(clip.end, abs=0.01)
    assert max(row["high"] for row in rows) == pytest.approx(recording.max(), abs=1e-6)


def test_a_heatmap_shows_every_value_where_it_belongs():
    matrix = np.arange(6.0).reshape(2, 3)
    spec = plots.heatmap(matrix, title="t", rows="Band", unit="dB", row_values=["low", "high"])
    (rows,) = spec.to_dict()["datasets"].values()
    assert [(r["name"], r["frame"], r["value"]) for r in rows] == [
        ("low", 0, 0), ("low", 1, 1), ("low", 2, 2), ("high", 0, 3), ("high", 1, 4), ("high", 2, 5),
    ]  # fmt: skip


def test_the_numbers_of_a_heatmap_can_be_read_without_seeing_it():
    matrix = np.arange(6.0).reshape(2, 3)
    chart = plots.heatmap(matrix, title="t", rows="Band", unit="dB", row_values=["low", "high"])
    table = plots.heatmap_table(chart)
    assert table.columns.tolist() == ["time (s)", "low", "high"]
    assert table["time (s)"].tolist() == [0.0, 0.03, 0.06]
    assert table["high"].tolist() == [3, 4, 5]
    assert "0.0 to 5.0 dB, highest at 0.1 s in high" in chart.description


def test_what_a_cell_says_can_be_other_than_its_colour():
    chart = plots.heatmap(
        np.zeros((1, 2)),
        title="t",
        rows="Row",
        unit="std. dev.",
        shown_values=np.array([[7.0, 8.0]]),
    )
    assert plots.heatmap_table(chart)["1"].tolist() == [7, 8]


def axis_labels(chart):
    """Return the labels of the vertical axis of a heat-map as they are drawn, from the bottom."""
    chart = chart.properties(title="", height=400)
    svg = plots.to_svg(chart)
    group = svg[svg.index('aria-label="Y-axis') :]
    group = group[: group.index("role-axis-title")]
    return [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", group) if text]


def test_frequencies_are_labelled_in_round_numbers(recording):
    drawn = plots.clip_charts(recording, names=["spectrogram", "mel", "channel 1", "contrast"])
    assert axis_labels(drawn["spectrogram"]) == ["0", *(f"{k}k" for k in range(1, 8))]
    for name in ("mel", "channel 1"):
        assert axis_labels(drawn[name]) == ["100", "500", "1k", "2k", "4k"], name
    assert axis_labels(drawn["contrast"])[:2] == ["0", "200"]


def test_the_second_channel_names_its_groups_and_tells_the_very_values(recording):
    (chart,) = plots.clip_charts(recording, names=["channel 2"]).values()
    assert axis_labels(chart) == ["MFCC", "chroma", "contrast"]
    clip = audio.prepare_clip(recording)
    shown_values = plots.heatmap_table(chart).drop(columns="time (s)").to_numpy().T
    np.testing.assert_allclose(
        shown_values, SPECTRAL.extract(clip.samples)["features"][:, :, 1], atol=0.006
    )


def test_only_the_charts_asked_for_are_drawn_and_there_are_nine(recording):
    assert list(plots.clip_charts(recording, names=["chroma", "pitch"])) == ["chroma", "pitch"]
    everything = plots.clip_charts(recording, names=CLIP_CHARTS)
    assert len(everything) == 9
    for name, chart in everything.items():
        assert "Time (s)" in titles(chart.to_dict()), name
    assert "Pitch (Hz)" in titles(everything["pitch"].to_dict())


def test_the_pitch_of_a_tone_is_its_frequency():
    tone = np.sin(2 * np.pi * 220 * np.arange(48_000) / 16_000).astype(np.float32)
    (chart,) = plots.clip_charts(tone, names=["pitch"]).values()
    assert "median 220 Hz" in chart.description
    assert "no frame has a pitch" in pitch(np.zeros(48_000, np.float32)).description


def test_a_tone_is_drawn_at_its_frequency():
    time = np.arange(48_000) / 16_000
    frequencies, decibels = plots.spectrogram_db(np.sin(2 * np.pi * 1000 * time).astype(np.float32))
    loudest = frequencies[decibels[:, 47].argmax()]
    assert loudest <= 1000 < loudest + 8000 / len(frequencies)
    assert decibels.max() == pytest.approx(0)


def test_every_emotion_has_one_colour_in_every_chart():
    scale = plots.emotion_scale(EMOTIONS).to_dict()
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == COLORS


def test_the_confusion_matrix_shows_counts_and_shares():
    spec = plots.confusion([[3, 1], [0, 2]], ["sad", "calm"]).to_dict()
    (rows,) = spec["datasets"].values()
    cell = {(r["truth"], r["predicted"]): (r["count"], r["share"]) for r in rows}
    assert cell == {
        ("sad", "sad"): (3, 0.75),
        ("sad", "calm"): (1, 0.25),
        ("calm", "sad"): (0, 0.0),
        ("calm", "calm"): (2, 1.0),
    }


def test_the_confusion_matrix_shows_rates_and_frames_the_chosen_cell():
    chart = plots.confusion(
        [[3, 1], [0, 2]], ["sad", "calm"], rates=True, chosen=("sad", "calm")
    ).to_dict()
    (rows,) = chart["datasets"].values()
    assert [r["shown"] for r in rows] == ["75", "25", "0", "100"]
    assert [r["chosen"] for r in rows] == [False, True, False, False]
    assert chart["params"][0]["name"] == "cell"


def test_accuracies_are_drawn_on_their_intervals_beside_a_line():
    table = pd.DataFrame(
        {"speaker": ["a", "b"], "accuracy": [0.5, 0.75], "low": [0.4, 0.6], "high": [0.6, 0.9]}
    )
    svg = plots.to_svg(plots.intervals(table, "speaker", line=0.625))
    assert "a" in svg and "stroke-dasharray" in svg
    drawn = plots.intervals(table, "speaker").to_dict()
    assert [layer["mark"]["type"] for layer in drawn["layer"]] == ["rule", "point"]


def test_recalls_have_the_colours_of_their_emotions_and_the_goal():
    table = pd.DataFrame(
        {"emotion": ["sad"], "recall": [0.5], "low": [0.4], "high": [0.6], "clips": [90]}
    )
    svg = plots.to_svg(plots.recalls(table, 0.75))
    assert COLORS["sad"] in svg and "stroke-dasharray" in svg


def test_a_class_without_clips_can_be_drawn():
    spec = plots.confusion([[0, 0], [1, 2]], ["sad", "calm"]).to_dict()
    json.dumps(spec, allow_nan=False)


@pytest.mark.parametrize("epochs", [1, 5])
def test_curves_are_drawn_from_the_first_epoch_on(epochs):
    records = [
        {"epoch": i + 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.4}
        for i in range(epochs)
    ]
    assert "Accuracy" in plots.to_svg(plots.curves(records))


def test_figures_are_saved_as_png_and_as_html_that_works_offline(recording, tmp_path):
    figure = plots.clip_figure(recording, title="a clip")
    plots.save_chart(figure, tmp_path / "clip.png")
    assert (tmp_path / "clip.png").read_bytes().startswith(PNG)
    plots.save_chart(figure, tmp_path / "clip.html")
    page = (tmp_path / "clip.html").read_text()
    assert "a clip" in page
    assert "<script src" not in page


def test_other_names_and_places_are_refused(recording, tmp_path):
    chart = plots.waveform(recording)
    with pytest.raises(OutputError, match=r"\.png or \.html"):
        plots.save_chart(chart, tmp_path / "clip.bmp")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        plots.save_chart(chart, tmp_path / "file" / "clip.png")


def test_silence_cannot_be_drawn_as_a_clip():
    with pytest.raises(audio.SilentAudioError):
        plots.clip_charts(np.zeros(16_000, np.float32))


def test_a_timeline_marks_the_likeliest_emotion_and_leaves_pauses_out():
    import pandas as pd

    table = pd.DataFrame(
        {
            "start": [0.0, 1.0, 2.0],
            "end": [3.0, 4.0, 65.0],
            "emotion": ["sad", None, "angry"],
            "verdict": ["sure", "no speech", "uncertain"],
        }
    )
    for label in EMOTIONS:
        table[label] = [1 / 8, np.nan, 1 / 8]
    table.loc[0, "sad"], table.loc[2, "angry"] = 0.5, 0.3
    spec = plots.timeline(table, EMOTIONS, hop=1.0, seconds=5.0).to_dict()
    (rows,) = spec["datasets"].values()
    assert [(row["emotion"], row["p"]) for row in rows] == [("sad", 0.5), ("angry", 0.3)]
    assert (rows[0]["left"], rows[0]["right"]) == (1.0, 2.0)
    assert (rows[1]["from"], rows[1]["to"]) == ("0:02", "1:05")
    assert spec["encoding"]["y"]["scale"]["domain"] == list(EMOTIONS), "position says it as well"
    assert spec["encoding"]["x"]["scale"]["domain"] == [0, 5]
