"""Timelines made by hand, read by what people read them with."""

import io

import audformat
import av
import pandas as pd
import pytest
from praatio import textgrid

from ser.models.recognizer import NO_SPEECH, SURE, UNCERTAIN
from ser.models.segments import Segment, audformat_table, segments_of, write_segments

ANSWERS = [("sad", SURE), ("sad", SURE), ("angry", UNCERTAIN), (None, NO_SPEECH), ("happy", SURE)]


@pytest.fixture
def table():
    """Windows of 3 s, one a second; the last one ends with the recording, after 6.5 s."""
    starts = [0.0, 1.0, 2.0, 3.0, 3.5]
    return pd.DataFrame(
        {
            "start": starts,
            "end": [start + 3 for start in starts],
            "emotion": [emotion for emotion, _ in ANSWERS],
            "verdict": [verdict for _, verdict in ANSWERS],
        }
    )


def test_a_recording_is_cut_half_way_between_windows_that_differ(table):
    assert segments_of(table) == [
        Segment(0.0, 3.0, "sad"),
        Segment(3.0, 4.0, "angry?"),
        Segment(4.0, 4.75, ""),
        Segment(4.75, 6.5, "happy"),
    ]


def test_one_window_is_one_segment(table):
    assert segments_of(table.head(1)) == [Segment(0.0, 3.0, "sad")]


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_players_read_the_subtitles(table, form):
    late = table.assign(start=table["start"] + 3600, end=table["end"] + 3600)
    with av.open(io.BytesIO(write_segments(late, form).encode())) as file:
        found = [
            (float(packet.pts * packet.time_base), float(packet.duration * packet.time_base))
            for packet in file.demux()
            if packet.size
        ]
    assert found == [(3600.0, 3.0), (3603.0, 1.0), (3604.75, 1.75)]


def test_subtitles_say_what_is_uncertain_and_nothing_in_pauses(table):
    lines = write_segments(table, "srt").splitlines()
    assert lines[:3] == ["1", "00:00:00,000 --> 00:00:03,000", "sad"]
    assert [line for line in lines if line.isalpha() or line.endswith("?")] == [
        *("sad", "angry?", "happy")
    ]
    assert write_segments(table, "vtt").startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:03.000\n")


def test_praat_reads_the_textgrid(table, tmp_path):
    (tmp_path / "timeline.TextGrid").write_text(write_segments(table, "textgrid"))
    grid = textgrid.openTextgrid(str(tmp_path / "timeline.TextGrid"), includeEmptyIntervals=True)
    tier = grid.getTier("emotion")
    assert [(i.start, i.end, i.label) for i in tier.entries] == [
        (s.start, s.end, s.text) for s in segments_of(table)
    ]
    assert tier.maxTimestamp == 6.5


def test_audformat_reads_what_is_said_of_files_and_times(table, tmp_path):
    table = table.assign(file="talk, long.wav")
    audformat_table(table).to_csv(tmp_path / "timeline.csv")
    read = audformat.utils.read_csv(str(tmp_path / "timeline.csv"))
    assert audformat.is_segmented_index(read)
    assert read.index.get_level_values("file").unique().tolist() == ["talk, long.wav"]
    for name in ("start", "end"):
        seconds = read.index.get_level_values(name).total_seconds()
        assert seconds.tolist() == table[name].tolist()
    assert read["verdict"].tolist() == table["verdict"].tolist()
