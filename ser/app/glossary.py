"""Words of the field in one sentence each."""

TERMS = {
    "accuracy": "Accuracy: the share of clips whose emotion was named right.",
    "calibration": "Calibration: of the answers given with 70 % confidence, 70 % should be right.",
    "chroma": "Chroma: how strongly each of the 12 notes of the scale sounds, whatever the octave.",
    "confusion": "Confusion matrix: a row per true emotion, a column per answer.",
    "contrast": "Spectral contrast: how far a band's peaks stand out of its valleys, in dB.",
    "dBFS": "dBFS: decibels below the loudest level a file can hold, which is 0.",
    "ECE": "ECE, expected calibration error: how far confidence and accuracy lie apart on average; "
    "0 is best. 15 bins of confidence.",
    "F1": "F1: the harmonic mean of precision and recall; weighted by how many clips a class has.",
    "fold": "Fold: one part of the clips, tested by a model that was trained on the other parts.",
    "interval": "95 % interval: in 95 of 100 tests such a range holds the figure that all clips of "
    "this kind would give.",
    "mel": "Mel-spectrogram: energy over time in 32 bands that are spaced as the ear hears pitch.",
    "MFCC": "MFCCs: 13 numbers per moment that sum up the shape of the spectrum, so the vocal "
    "tract, without the pitch.",
    "precision": "Precision: of the clips that got this answer, the share that deserved it.",
    "recall": "Recall: of the clips of this emotion, the share that was found.",
    "UAR": "UAR, unweighted average recall: the mean of the recalls, so that every emotion counts "
    "alike however many clips it has.",
}
"""Words of the field in one sentence each; where one first appears on a page, this is its help."""
