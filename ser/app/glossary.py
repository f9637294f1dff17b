"""Words of the field in a sentence or two each: the app's help texts and ``docs/glossary.md``.

Change a text here, then run ``python scripts/make_docs.py``, which writes the page again.
"""

SECTIONS = {
    "Sound and features": {
        "dBFS": "dBFS: decibels below the loudest level a file can hold, which is 0.",
        "prosody": "Prosody: how something is said. Pitch is the median of the voice's fundamental "
        "frequency, rate is syllables a second, counted by the peaks of the level. Both are "
        "estimates: good for comparing groups, less so for single clips.",
        "level": "RMS level: how loud a clip is on average. Every clip is brought to −23 dBFS, so "
        "that a louder microphone does not sound angrier.",
        "clip": "Clip: a short recording. The model hears exactly 3 s of it, mono at 16 kHz: "
        "silence at both ends is cut off, and longer speech is cut to its loudest 3 s.",
        "mel": "Mel-spectrogram: energy over time in 32 bands that are spaced as the ear hears "
        "pitch.",
        "log-mel": "Log-mel: a mel-spectrogram in decibels. It is the first of the two channels "
        "that ravdess reads; the encoder of everyday reads one of 80 bands.",
        "MFCC": "MFCCs: 13 numbers per moment that sum up the shape of the spectrum, so the vocal "
        "tract, without the pitch.",
        "chroma": "Chroma: how strongly each of the 12 notes of the scale sounds, whatever the "
        "octave.",
        "contrast": "Spectral contrast: how far a band's peaks stand out of its valleys, in dB.",
        "features": "Features: the numbers a model is given of a clip. Of ravdess 32 × 94 × 2: "
        "log-mel, and MFCCs, chroma and spectral contrast stacked, in 94 moments 32 ms apart.",
        "encoder": "Encoder: the first layers of a network that learned from much speech; here "
        "those of Whisper, whose outputs everyday reads.",
        "functionals": "Functionals: what sums up a row of features over the whole clip, such as "
        "its mean and its spread.",
    },
    "Data and protocols": {
        "corpus": "Corpus: a collection of clips with a known emotion each, such as RAVDESS (24 "
        "actors, English) or EMO-DB (10 actors, German).",
        "protocol": "Protocol: the rule that says which clips train and which test. A figure means "
        "nothing without it.",
        "random split": "Random split: a random fifth of the clips tests, with as much of every "
        "emotion as in the whole. The same speakers train and test, which flatters the figures.",
        "unseen speakers": "Unseen speakers (speaker-independent): whoever speaks in a test clip "
        "speaks in no training clip. It says what to expect of a new voice.",
        "fold": "Fold: one part of the clips, tested by a model that was trained on the other "
        "parts.",
        "cross-validation": "Cross-validation: one training per fold, so that every clip is tested "
        "once, by a model that never saw it.",
        "validation": "Validation clips: held out of training to watch it and to calibrate. Test "
        "clips choose nothing, validation clips do.",
        "leak": "Leak check: no clip, no copy of one under another name and, where promised, no "
        "speaker may be on two sides of a split. Otherwise the figures would be too good.",
        "seed": "Seed: the number that random choices begin with. The same seed gives the same "
        "split, copies and weights again.",
        "augmented": "Augmented copies: training clips as they might have sounded elsewhere: "
        "faster, slower, in a room, in noise. Only training clips are copied.",
    },
    "Network and training": {
        "epoch": "Epoch: one pass over all training clips.",
        "ensemble": "Ensemble: several networks of the same make, its members, whose answers are "
        "averaged. The model ravdess has five.",
        "logits": "Logits: what a network says of each emotion before it is turned into "
        "probabilities; a difference of 1 makes one emotion 2.7 times as likely as the other.",
        "log-odds": "Log-odds: the logarithm of how many times likelier something is than not. "
        "One more makes the odds 2.7 times as good.",
        "label smoothing": "Label smoothing: a small part of every training label is spread over "
        "all emotions, so that the network does not learn to be too sure.",
        "logit adjustment": "Logit adjustment: allows in training for how common each emotion is, "
        "so that rare ones are named as readily as frequent ones.",
        "outlier exposure": "Outlier exposure: training also on sounds that are not speech, with "
        "an eighth for every emotion as the right answer, so that the model is not sure of noise.",
        "EMA": "EMA of the weights: an exponential moving average over the steps of training. The "
        "average is kept, for it varies less than the last step.",
        "refit": "Refit: once the validation clips have told the temperature, the network is "
        "trained anew on them as well.",
    },
    "Figures": {
        "accuracy": "Accuracy: the share of clips whose emotion was named correctly.",
        "precision": "Precision: of the clips that got this answer, the share that deserved it.",
        "recall": "Recall: of the clips of this emotion, the share that was found.",
        "F1": "F1: the harmonic mean of precision and recall; weighted by how many clips a class "
        "has.",
        "macro F1": "Macro F1: the mean of the emotions' F1, so that every emotion counts alike.",
        "UAR": "UAR, unweighted average recall: the mean of the recalls, so that every emotion "
        "counts alike however many clips it has.",
        "confusion": "Confusion matrix: a row per true emotion, a column per answer.",
        "interval": "95% interval: in 95 of 100 tests such a range holds the figure that all "
        "clips of this kind would give.",
        "Wilson": "Wilson interval: the 95% interval of an accuracy, from the number of clips and "
        "of right answers. Clips of one speaker are alike, which it does not know.",
        "bootstrap": "Bootstrap: a figure is computed again on 1000 random draws of the same test "
        "clips; the middle 95% of the results are its interval.",
    },
    "Confidence": {
        "confidence": "Confidence: the probability of the answer that was given.",
        "calibration": "Calibration: of the answers given with 70% confidence, 70% should be "
        "right.",
        "temperature": "Temperature: what logits are divided by to calibrate the confidence, "
        "fitted on validation clips (of everyday on corpora left out of trainings). Above 1 the "
        "network was too sure, below 1 not sure enough.",
        "ECE": "ECE, expected calibration error: how far confidence and accuracy lie apart on "
        "average; 0 is best. 15 bins of confidence.",
        "reliability": "Reliability diagram: for answers of about the same confidence, how many "
        "were right. On the diagonal the confidence can be believed.",
        "risk-coverage": "Risk-coverage curve: how right the answers are if only the surest share "
        "of the clips is answered.",
        "abstain": "Abstain: a model gives no sure answer but calls the clip uncertain, because "
        "its confidence lies below a bound set on the same clips as the temperature.",
        "verdict": "Verdict: sure, uncertain (with the reason), or no speech.",
        "robustness": "Robustness: how the same test clips are answered in noise, among other "
        "voices, in a room, through a telephone, as MP3.",
        "occlusion": "Occlusion: hide a part of the input, ask the model again, and see how far "
        "its answer moves: that much the part spoke for it.",
    },
    "A voice of one's own": {
        "embedding": "Embedding: up to 64 numbers that stand for a clip, made of what the "
        "network's convolutions find in it. Clips that sound alike to the network lie near each "
        "other.",
        "whitened": "Whitened: turned and scaled so that the numbers of an embedding are "
        "uncorrelated and spread alike over the training clips.",
        "out-of-distribution": "Out-of-distribution distance: how far a clip's embedding is from "
        "the nearest training clip's. 95% of the validation clips stay below 1; beyond 1 the "
        "answer is less sure for it.",
        "few-shot": "Few-shot adaptation: a copy of a model gets one more layer, fitted on a few "
        "labelled recordings of one voice. The network itself stays as it is.",
        "shots": "Shots: how many recordings of each emotion are learned.",
        "enrolment": "Enrolment recording: a recording of one's own with the emotion it is meant "
        "to have, for a model to learn the voice from.",
        "leave-one-out": "Leave-one-out: every recording is answered by what is learned from all "
        "others, so that none is tested by a model that has learned it.",
    },
}
"""Texts by the short name that the app asks for, in the sections of the page."""

TERMS = {key: text for section in SECTIONS.values() for key, text in section.items()}
"""The same without sections; where one first appears on a page, this is its help."""
