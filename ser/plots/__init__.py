"""Charts of clips, corpora, models and results, as Altair objects with units on every axis.

Backgrounds are transparent and colours are chosen to read on light and dark alike; an emotion has
the same colour in every chart.  Nothing here knows where a chart will be shown.

Internal: what is public is offered by `ser` itself.
"""

from ser.plots.adaptation import learning_curve, recordings_per_emotion
from ser.plots.base import Chart, emotion_scale, save_chart, to_svg
from ser.plots.clip import clip_charts, clip_figure, spectrogram_db, waveform
from ser.plots.corpus import (
    UNKNOWN,
    average_spectrograms,
    clip_map,
    clips_per_emotion,
    few_groups,
    histogram,
)
from ser.plots.evaluation import (
    beside,
    confusion,
    coverage,
    intervals,
    recall_pairs,
    recalls,
    reliability,
    robustness,
    speakers_by_emotion,
    transfer,
)
from ser.plots.heatmaps import heatmap, heatmap_table
from ser.plots.prediction import clock, probabilities, timeline, why_rows, why_time
from ser.plots.training import comparison, curve, curves, recall_comparison

__all__ = [
    "UNKNOWN",
    "Chart",
    "average_spectrograms",
    "beside",
    "clip_charts",
    "clip_figure",
    "clip_map",
    "clips_per_emotion",
    "clock",
    "comparison",
    "confusion",
    "coverage",
    "curve",
    "curves",
    "emotion_scale",
    "few_groups",
    "heatmap",
    "heatmap_table",
    "histogram",
    "intervals",
    "learning_curve",
    "probabilities",
    "recall_comparison",
    "recall_pairs",
    "recalls",
    "recordings_per_emotion",
    "reliability",
    "robustness",
    "save_chart",
    "speakers_by_emotion",
    "spectrogram_db",
    "timeline",
    "to_svg",
    "transfer",
    "waveform",
    "why_rows",
    "why_time",
]
