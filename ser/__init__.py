"""Speech emotion recognition: from an audio file to an emotion, every step visible.

The modules follow the data: :mod:`ser.corpora` finds clips, :mod:`ser.audio` decodes them,
:mod:`ser.features` turns them into what the model sees, :mod:`ser.training` trains,
:mod:`ser.evaluation` measures, and :mod:`ser.recognizer` answers.  Heavy libraries (TensorFlow,
librosa) are imported where they are used, so that ``import ser`` is fast.
"""

__version__ = "0.1.0"
