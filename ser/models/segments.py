"""A timeline as segments of one emotion each, in the formats that players, ELAN and Praat open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ser.models.recognizer import NO_SPEECH, SURE

FORMATS = ("srt", "vtt", "textgrid")
"""What a timeline can be written as: subtitles (SubRip, WebVTT), and TextGrid of Praat."""


@dataclass(frozen=True)
class Segment:
    """A part of a recording with one answer.

    Attributes
    ----------
    start, end : float
        In seconds.
    text : str
        The likeliest emotion, with a question mark if the answer is not sure; empty where nobody
        speaks.
    """

    start: float
    end: float
    text: str


def segments_of(table: pd.DataFrame) -> list[Segment]:
    """Cut a recording where its likeliest emotion changes.

    A window is about the 3 s around its middle, and windows overlap: each stands for the time
    nearer to its middle than to that of any other.

    Parameters
    ----------
    table : DataFrame
        As `ser.models.recognizer.Recognizer.timeline` returns it, of one recording.

    Returns
    -------
    list of Segment
        From its beginning to its end, without gaps.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"start": [0.0, 1.0, 2.0], "end": [3.0, 4.0, 5.0], "emotion": ["sad", "sad", None],
    ...      "verdict": ["sure", "sure", "no speech"]}
    ... )
    >>> segments_of(table)
    [Segment(start=0.0, end=3.0, text='sad'), Segment(start=3.0, end=5.0, text='')]
    """
    middles = ((table["start"] + table["end"]) / 2).to_numpy(float)
    between = (middles[:-1] + middles[1:]) / 2
    cuts = [float(table["start"].iloc[0]), *between.tolist(), float(table["end"].iloc[-1])]
    found: list[Segment] = []
    for start, end, emotion, verdict in zip(
        cuts[:-1], cuts[1:], table["emotion"], table["verdict"], strict=True
    ):
        text = "" if verdict == NO_SPEECH else emotion if verdict == SURE else f"{emotion}?"
        if found and found[-1].text == text:
            start = found.pop().start
        found.append(Segment(start, end, text))
    return found


def audformat_table(table: pd.DataFrame) -> pd.DataFrame:
    """Index predictions by file and time, as audformat and what builds on it expect.

    Parameters
    ----------
    table : DataFrame
        As `ser.models.recognizer.Recognizer.predict_files` or ``timeline`` returns it.

    Returns
    -------
    DataFrame
        The same columns under a *segmented index*: ``file``, and ``start`` and ``end`` as time
        deltas (https://audeering.github.io/audformat/data-conventions.html).  Its ``to_csv`` is
        what ``audformat.utils.read_csv`` and nkululeko read.

    Examples
    --------
    >>> table = pd.DataFrame({"file": ["a.wav"], "start": [0.5], "end": [3.5], "emotion": ["sad"]})
    >>> print(audformat_table(table).to_csv())
    file,start,end,emotion
    a.wav,0 days 00:00:00.500000,0 days 00:00:03.500000,sad
    <BLANKLINE>
    """
    times = {name: pd.to_timedelta(table[name], unit="s") for name in ("start", "end")}
    return table.assign(file=table["file"].astype("string"), **times).set_index(
        ["file", "start", "end"]
    )


def write_segments(table: pd.DataFrame, form: str) -> str:
    """Return a timeline as a file of one of the `FORMATS`.

    Parameters
    ----------
    table : DataFrame
        See `segments_of`.
    form : str
        One of `FORMATS`.
    """
    segments = segments_of(table)
    if form == "textgrid":
        return "\n".join(_textgrid(segments)) + "\n"
    comma = "," if form == "srt" else "."
    spoken = [segment for segment in segments if segment.text]
    blocks = [
        f"{number}\n{_clock(s.start, comma)} --> {_clock(s.end, comma)}\n{s.text}\n"
        for number, s in enumerate(spoken, 1)
    ]
    return "\n".join(blocks if form == "srt" else ["WEBVTT\n", *blocks])


def _clock(seconds: float, comma: str) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{comma}{rest % 1000:03}"


def _textgrid(segments: list[Segment]) -> Iterator[str]:
    """Write the long form that Praat's manual shows under *TextGrid file formats*."""
    span = f"xmin = {segments[0].start:.3f}", f"xmax = {segments[-1].end:.3f}"
    yield from ('File type = "ooTextFile"', 'Object class = "TextGrid"', "", *span)
    yield from ("tiers? <exists>", "size = 1", "item []:", "    item [1]:")
    yield from ('        class = "IntervalTier"', '        name = "emotion"')
    yield from (f"        {line}" for line in span)
    yield f"        intervals: size = {len(segments)}"
    for number, segment in enumerate(segments, 1):
        yield f"        intervals [{number}]:"
        yield f"            xmin = {segment.start:.3f}"
        yield f"            xmax = {segment.end:.3f}"
        yield f'            text = "{segment.text}"'
