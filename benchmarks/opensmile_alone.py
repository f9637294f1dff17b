"""Print how many milliseconds openSMILE's functionals of a clip take, see `benchmarks.speed`.

python -m benchmarks.opensmile_alone FILE CALLS
"""

import sys

import opensmile

from benchmarks.timing import milliseconds
from ser import audio

clip = audio.prepare_clip(audio.load_audio(sys.argv[1])).samples
smile = opensmile.Smile(
    feature_set=opensmile.FeatureSet.eGeMAPSv02,
    feature_level=opensmile.FeatureLevel.Functionals,
)
print(milliseconds(lambda: smile.process_signal(clip, audio.SAMPLING_RATE), calls=int(sys.argv[2])))
