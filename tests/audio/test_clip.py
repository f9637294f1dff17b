import librosa
import numpy as np

from ser.audio import CLIP_SAMPLES, TRIM_DB, find_speech, prepare_clip


def test_a_long_recording_is_trimmed_and_cut_as_if_it_were_looked_at_in_one_piece():
    """In pieces of a minute, since all at once would take a gigabyte for half an hour."""
    rng = np.random.default_rng(0)
    for seconds in (59, 61, 200):
        samples = rng.normal(0, 0.1, 16_000 * seconds + 511).astype(np.float32)
        samples[: len(samples) // 3] *= 0.001
        samples[-len(samples) // 4 :] *= 0.0001
        centred = samples - samples.mean()
        _, (start, end) = librosa.effects.trim(centred / np.abs(centred).max(), top_db=TRIM_DB)
        assert find_speech(samples) == (start, end)
        energy = np.cumsum(np.square(samples[start:end], dtype=np.float64))
        loudest = start + 1 + np.argmax(energy[CLIP_SAMPLES:] - energy[:-CLIP_SAMPLES])
        clip = prepare_clip(samples)
        assert abs(clip.start * 16_000 - loudest) <= 1
        assert round((clip.end - clip.start) * 16_000) == CLIP_SAMPLES
