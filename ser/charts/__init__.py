"""Charts of clips, corpora, models and results, as Altair objects with units on every axis.

Backgrounds are transparent and colours are chosen to read on light and dark alike; an emotion has
the same colour in every chart.  Nothing here knows where a chart will be shown.
"""

from ser.charts.answer import probabilities, timeline, why_rows, why_time
from ser.charts.base import Chart, emotion_scale, save_chart, to_svg
from ser.charts.clip import (
    clip_charts,
    clip_figure,
    heatmap,
    heatmap_table,
    spectrogram_db,
    waveform,
)
from ser.charts.corpus import (
    UNKNOWN,
    average_spectrograms,
    clip_map,
    clips_per_emotion,
    histogram,
)
from ser.charts.results import (
    beside,
    confusion,
    coverage,
    intervals,
    recalls,
    reliability,
    robustness,
)
from ser.charts.training import comparison, curve, curves
from ser.charts.voice import learning, takes

__all__ = [
    "UNKNOWN",
    "Chart",
    "average_spectrograms",
    "beside",
    "clip_charts",
    "clip_figure",
    "clip_map",
    "clips_per_emotion",
    "comparison",
    "confusion",
    "coverage",
    "curve",
    "curves",
    "emotion_scale",
    "heatmap",
    "heatmap_table",
    "histogram",
    "intervals",
    "learning",
    "probabilities",
    "recalls",
    "reliability",
    "robustness",
    "save_chart",
    "spectrogram_db",
    "takes",
    "timeline",
    "to_svg",
    "waveform",
    "why_rows",
    "why_time",
]
