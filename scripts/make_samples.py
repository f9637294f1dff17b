#!/usr/bin/env python3
"""Make the small corpus of synthetic emotional speech that ships with the app.

No person speaks in it.  A free speech synthesiser says two sentences in a neutral voice; the WORLD
vocoder [3]_ takes each utterance apart into pitch, spectral envelope and breath noise; those are
bent towards an emotion, as far as `PROSODY` says, and put together again.  The clips are named as
in RAVDESS (see ``data/samples/README.md``), with actors from 25 up, because RAVDESS ends at 24.

Needed::

    apt install flite
    pip install pyworld soundfile soxr numpy scipy tqdm "setuptools<81"

Run as::

    python scripts/make_samples.py --out data/samples

(pyworld 0.3.5 asks the older setuptools for its own version.)  It was last run with flite 2.2 and,
on Python 3.11, pyworld 0.3.5, soundfile 0.14.0, soxr 1.1.0, numpy 2.4.6, scipy 1.17.1 and tqdm
4.70.1.  The same versions on the same kind of machine give the same files: every random number
comes from a generator seeded by the file name.

The directions of change follow the literature on how emotions sound [1]_ [2]_ [4]_ [5]_: anger is
loud, harsh and bright with an open mouth; joy high, wide and lively, with spread lips and a lifted
last word; fear high, fast and trembling; sorrow slow, breathy and rough, with narrow movements and
a whimpering rise at the end; disgust harsh and hissing, thrown out in bursts with a falling end;
calm soft, breathy and even; surprise leaps from syllable to syllable and ends high.  The amounts
are our own.  They started from averages that we measured in recordings of actors (pitch along the
sentence, durations, spectrum beside the same actor's neutral), and were then moved by small steps
to where recognisers that had learned from people name the emotion.  So how many of these clips a
recogniser names right is no test of it.

References
----------
.. [1] I. R. Murray and J. L. Arnott, "Toward the simulation of emotion in synthetic speech: A
   review of the literature on human vocal emotion", Journal of the Acoustical Society of America
   93(2), 1993, pp. 1097-1108.
.. [2] F. Burkhardt and W. F. Sendlmeier, "Verification of acoustical correlates of emotional
   speech using formant-synthesis", ISCA Workshop on Speech and Emotion, 2000, pp. 151-156.
.. [3] M. Morise, F. Yokomori and K. Ozawa, "WORLD: a vocoder-based high-quality speech synthesis
   system for real-time applications", IEICE Transactions on Information and Systems E99-D(7),
   2016, pp. 1877-1884.
.. [4] R. Banse and K. R. Scherer, "Acoustic profiles in vocal emotion expression", Journal of
   Personality and Social Psychology 70(3), 1996, pp. 614-636.
.. [5] P. N. Juslin and P. Laukka, "Communication of emotions in vocal expression and music
   performance: Different channels, same code?", Psychological Bulletin 129(5), 2003, pp. 770-814.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyworld
import soundfile as sf
import soxr
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d, median_filter, uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt
from tqdm import tqdm

Floats = NDArray[np.float64]

RATE = 16_000  # Hz
FRAME_MS = 5.0  # WORLD's frame, short enough for jitter to differ between glottal cycles
FRAMES_PER_SECOND = 1000.0 / FRAME_MS

# All voices are brought to these before an emotion is imposed, so that a number in PROSODY means
# the same for each of them.
NEUTRAL_SECONDS = 1.75
NEUTRAL_FALL = -7.0  # semitones, drift of pitch over the sentence
NEUTRAL_SPREAD = 1.6  # semitones, standard deviation of pitch about that drift
NEUTRAL_TILT = -7.0  # dB/octave, slope of the average spectrum above 500 Hz
NEUTRAL_LEVEL = -28.0  # dBFS, root mean square of the speech without its pauses

TILT_RANGE = (500.0, 6000.0)  # Hz; beyond it, a tilt would only make rumble or hiss
# Hz and share of `Prosody.effort`: what a raised voice does to the spectrum.
EFFORT = ((150, -0.9), (400, -0.5), (650, 0.0), (1000, 0.6), (2500, 1.0), (4000, 0.7), (8000, 0.1))
PEAK_LIMIT = 0.95
NOISE_LEVEL = -75.0  # dBFS; a real room is never digitally silent
STRONG = 1.5  # how much further from neutral the second intensity goes

SENTENCES = {1: "Kids are talking by the door.", 2: "Dogs are sitting by the door."}


@dataclass(frozen=True)
class Voice:
    """A voice built into flite, where its pitch may lie, and what makes another person of it."""

    name: str
    pitch_floor: float  # Hz
    pitch_ceiling: float  # Hz
    pitch: float = 1.0  # ratio, pitch of the other person
    tract: float = 1.0  # ratio, formants of the other person, whose vocal tract is shorter


# As in RAVDESS, odd actors are male and even ones female.  Flite has one natural female voice, and
# the voices that espeak-ng makes by rules buzz too much to portray anything, so the second woman
# has a man's voice, higher and of a shorter tract.
VOICES = {
    25: Voice("rms", 65.0, 200.0),
    26: Voice("slt", 110.0, 300.0),
    27: Voice("awb", 80.0, 220.0),
    28: Voice("rms", 65.0, 200.0, pitch=1.75, tract=1.18),
}

# Where `Prosody.tune` has its values, from 0 at the start of the sentence to 1 at its end:
# "kids", "are", "talk-", "-ing", "by", "the", the beginning and the end of "door".
KNOTS = (0.05, 0.2, 0.35, 0.5, 0.62, 0.72, 0.83, 0.97)


@dataclass(frozen=True)
class Prosody:
    """How an emotion at normal intensity departs from neutral."""

    code: int  # third field of the file name
    tune: tuple[float, ...] = (0.0,) * 8  # semitones above the neutral pitch, at `KNOTS`
    span: float = 1.0  # ratio, width of the neutral pitch movements
    punch: float = 0.0  # dB, extra loudness of the stressed vowels
    fade: float = 0.0  # dB, change of loudness over the sentence; negative dies away
    tremor: float = 0.0  # semitones, depth of a 6 Hz trembling
    jitter: float = 0.0  # semitones, random change of pitch from frame to frame
    shimmer: float = 0.0  # dB, random change of loudness from frame to frame
    creak: float = 0.0  # 0 to 1, roughness growing towards the end of the sentence
    rough: float = 0.0  # dB, depth of a fast beating of the loudness, as in a harsh voice
    tempo: float = 1.0  # ratio, speed of speaking
    drawl: float = 1.0  # ratio, length of the stressed vowels
    last: float = 1.0  # ratio, length of the last word
    pause: float = 0.0  # seconds, hesitation before "by the door"
    level: float = 0.0  # dB, loudness
    hiss: float = 0.0  # dB, loudness of voiceless consonants beside the voice
    tilt: float = 0.0  # dB/octave, positive is brighter
    effort: float = 0.0  # dB, positive lifts 1 to 4 kHz over the fundamental, as shouting does
    breath: float = 0.0  # -1 to 1, positive mixes noise into the voice, negative tenses it
    formants: float = 1.0  # ratio, formant frequencies; spread lips raise them
    jaw: float = 1.0  # ratio, first formant alone; an open mouth raises it


# fmt: off
PROSODY = {
    "neutral": Prosody(code=1),
    "calm": Prosody(
        code=2, tune=(2.5, 1.7, 0.9, 0.3, -0.2, -0.2, 0.5, 2),
        span=0.79, punch=-1.3, fade=4.3, jitter=0.06, shimmer=0.3, tempo=0.84, last=1.12,
        pause=0.02, level=-4, hiss=-1.8, tilt=-0.9, effort=-5, breath=0.5, jaw=1.15),
    "happy": Prosody(
        code=3, tune=(4.2, 4.5, 4.6, 8.6, 8.2, 8.9, 11.3, 3.9),
        span=1.51, punch=-0.4, fade=1.2, tremor=0.16, shimmer=0.3, tempo=1.08, drawl=1.09,
        last=1.66, level=4, hiss=-2, tilt=-0.1, effort=5, breath=-0.09, formants=1.02, jaw=1.09),
    "sad": Prosody(
        code=4, tune=(3.5, 3.7, 4.5, 4.7, 4.3, 4.4, 6.6, 7.8),
        span=0.47, punch=-1.7, tremor=0.11, jitter=0.2, shimmer=1.5, creak=0.38, rough=4,
        tempo=0.82, drawl=1.02, last=1.16, pause=0.13, level=-4, hiss=3, tilt=-0.5, effort=-2.3,
        breath=0.49, formants=0.93, jaw=0.97),
    "angry": Prosody(
        code=5, tune=(4.6, 6.2, 2.7, 6.3, 5.3, 4, -0.1, -4),
        span=1.6, punch=3.3, tremor=0.09, jitter=0.15, shimmer=1.1, creak=0.19, rough=0.7,
        tempo=1.18, drawl=1.1, last=0.92, pause=0.1, level=7, hiss=1.1, tilt=1.2, effort=6.9,
        breath=-0.36, formants=0.99, jaw=1.13),
    "fearful": Prosody(
        code=6, tune=(5.2, 5.4, 6.6, 7.8, 7.5, 9, 10.3, 8.6),
        span=0.5, punch=-1.4, fade=3.2, tremor=0.51, jitter=0.22, shimmer=1.5, creak=0.07,
        tempo=1.18, last=1.27, level=2, hiss=4.2, tilt=-0.6, effort=1.8, jaw=0.94),
    "disgust": Prosody(
        code=7, tune=(4, 1.5, -1.5, 2.8, 3, 1, 1.2, -2.9),
        span=1.9, punch=2.3, fade=2.7, jitter=0.2, shimmer=1.5, creak=0.17, rough=2.9,
        tempo=1.06, drawl=1.14, last=1.3, pause=0.2, level=-1, hiss=8, effort=5.9, breath=0.14,
        formants=1.03, jaw=1.15),
    "surprised": Prosody(
        code=8, tune=(10.9, -1.4, -4.5, 7.7, 3, 0.2, 10.2, 11),
        span=1.74, fade=0.9, tremor=0.09, jitter=0.24, shimmer=0.2, tempo=1.1, drawl=1.02,
        last=1.18, level=2, hiss=1.6, tilt=0.2, effort=3.9, breath=-0.13, formants=0.98,
        jaw=1.03),
}
# fmt: on

# A departure from neutral is multiplied by the intensity; for a ratio that means a power.
RATIOS = ("span", "tempo", "drawl", "last", "formants", "jaw")


@dataclass(frozen=True)
class Speech:
    """A neutral utterance, taken apart by WORLD; arrays have one entry (row) per frame."""

    mean_pitch: float  # Hz
    pitch: Floats  # semitones about mean and drift, defined in unvoiced frames too
    voiced: Floats  # 0 or 1
    envelope: Floats  # dB, frames x frequencies
    aperiodicity: Floats  # 0 to 1, frames x frequencies
    stress: Floats  # 0 to 1, one bump for each stressed vowel
    last_word: Floats  # 0 before "door", then rising to 1
    boundary: int  # frame before "by the door"


def speak(voice: Voice, text: str) -> Floats:
    """Say a sentence neutrally.

    Parameters
    ----------
    voice : Voice
        Who speaks.
    text : str
        What to say.

    Returns
    -------
    numpy.ndarray
        Mono samples at `RATE`, without the silence around the speech.
    """
    with tempfile.TemporaryDirectory() as folder:
        wav = str(Path(folder) / "speech.wav")
        command = ["flite", "-voice", voice.name, "-t", text, "-o", wav]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        samples, rate = sf.read(wav, dtype="float64")
    samples = soxr.resample(samples, rate, RATE)
    loudness = gaussian_filter1d(samples**2, sigma=0.005 * RATE)
    # 38 dB below the loudest moment: over the synthesiser's own hiss, under the faintest consonant.
    loud = np.flatnonzero(loudness > loudness.max() * 10**-3.8)
    margin = int(0.02 * RATE)
    return np.ascontiguousarray(samples[max(loud[0] - margin, 0) : loud[-1] + margin])


def analyse(voice: Voice, text: str) -> Speech:
    """Say a sentence neutrally and take it apart.

    Parameters
    ----------
    voice : Voice
        Who speaks.
    text : str
        What to say.

    Returns
    -------
    Speech
        The parts, with pitch movements and average spectrum brought to the common neutral.
    """
    samples = speak(voice, text)
    f0, times = pyworld.harvest(samples, RATE, voice.pitch_floor, voice.pitch_ceiling, FRAME_MS)
    f0 = pyworld.stonemask(samples, f0, times, RATE)
    power = pyworld.cheaptrick(samples, f0, times, RATE)
    aperiodicity = pyworld.d4c(samples, f0, times, RATE)

    # Harvest finds a pitch nearly everywhere; D4C then marks frames without one as wholly noise.
    voiced = (f0 > 0) & (aperiodicity.mean(axis=1) < 0.99)
    frames = np.arange(len(f0))
    semitones = 12 * np.log2(np.interp(frames, frames[voiced], f0[voiced]))
    semitones = gaussian_filter1d(median_filter(semitones, 11), 2)  # no slips at consonants
    mean = semitones[voiced].mean()
    movement = semitones - np.polyval(np.polyfit(frames[voiced], semitones[voiced], 1), frames)
    pitch = movement * NEUTRAL_SPREAD / movement[voiced].std()
    pitch = np.clip(pitch, -2.5 * NEUTRAL_SPREAD, 2.5 * NEUTRAL_SPREAD)

    hertz = np.linspace(0, RATE / 2, power.shape[1])
    power = np.stack([np.interp(hertz / voice.tract, hertz, row) for row in power])

    # The voices differ more in colour than emotions do.  Give them the same average spectrum,
    # coarsely, as one microphone and room would; the formants are too narrow to be touched.
    octaves = np.log2(np.clip(hertz, *TILT_RANGE) / 1000)
    average = gaussian_filter1d(10 * np.log10(power.mean(axis=0)), 700 / hertz[1])
    gain = NEUTRAL_TILT * octaves - average
    gain = np.clip(gain - gain.mean(), -10, 10)
    power = power * 10 ** (gain / 10)

    # The three loudest syllables are the stressed ones ("kids", "talk", "door").
    loudness = gaussian_filter1d(10 * np.log10(power.sum(axis=1)), 6)
    peaks, _ = find_peaks(loudness, distance=len(f0) // 6)
    peaks = peaks[np.argsort(loudness[peaks])[-3:]]
    width = 0.04 * len(f0)
    stress = np.exp(-0.5 * ((frames[:, None] - peaks) / width) ** 2).sum(axis=1)

    # "By" starts with a closed mouth: the quietest moment a little after the middle.
    start, stop = int(0.53 * len(f0)), int(0.67 * len(f0))
    boundary = start + int(np.argmin(gaussian_filter1d(power.sum(axis=1), 2)[start:stop]))
    return Speech(
        mean_pitch=float(voice.pitch * 2 ** (mean / 12)),
        pitch=pitch,
        voiced=voiced.astype(float),
        envelope=10 * np.log10(power),
        aperiodicity=aperiodicity,
        stress=np.clip(stress, 0, 1),
        last_word=np.clip((frames / frames[-1] - 0.72) / 0.28, 0, 1),
        boundary=boundary,
    )


def vary(prosody: Prosody, intensity: float, rng: np.random.Generator) -> Prosody:
    """Scale an emotion to an intensity and add the small differences between two takes.

    Parameters
    ----------
    prosody : Prosody
        The emotion at normal intensity.
    intensity : float
        1 for normal; more goes further from neutral.
    rng : numpy.random.Generator
        Source of the differences.

    Returns
    -------
    Prosody
        The emotion as this clip has it.
    """
    values = dict(vars(prosody))
    for name, value in values.items():
        if name in RATIOS:
            values[name] = value**intensity
        elif name == "tune":
            values[name] = tuple(intensity * np.array(value) + rng.normal(0, 0.5))
        elif name != "code":
            values[name] = value * intensity
    values["level"] += rng.normal(0, 0.8)
    values["tilt"] += rng.normal(0, 0.2)
    values["span"] *= np.exp(rng.normal(0, 0.08))
    values["tempo"] *= np.exp(rng.normal(0, 0.03))
    values["jitter"] += 0.05  # no voice is perfectly steady
    values["shimmer"] += 0.2
    values["breath"] = float(np.clip(values["breath"], -0.8, 0.8))
    return Prosody(**values)


def frame_positions(speech: Speech, prosody: Prosody, rng: np.random.Generator) -> Floats:
    """Lay out the neutral frames in the clip's own time.

    Parameters
    ----------
    speech : Speech
        The neutral utterance.
    prosody : Prosody
        Gives `tempo`, `drawl`, `last` and `pause`.
    rng : numpy.random.Generator
        Decides where within the sentence the speaker hurries and lingers.

    Returns
    -------
    numpy.ndarray
        For each frame of the clip, the (fractional) neutral frame to take.
    """
    frames = np.arange(len(speech.pitch))
    # How long each neutral frame lasts in the clip.
    wave = 0.07 * np.cos(2 * np.pi * frames / frames[-1] + rng.uniform(0, 2 * np.pi))
    length = (1 + wave) * prosody.drawl**speech.stress
    length *= prosody.last ** (speech.last_word > 0)
    seconds = np.cumsum(length) * NEUTRAL_SECONDS / len(frames) / prosody.tempo
    count = round(seconds[-1] * FRAMES_PER_SECOND)
    positions = np.interp(np.linspace(seconds[0], seconds[-1], count), seconds, frames)
    pause = np.full(round(prosody.pause * FRAMES_PER_SECOND), float(speech.boundary))
    return np.insert(positions, np.searchsorted(positions, speech.boundary), pause)


def shape_pitch(
    speech: Speech, prosody: Prosody, positions: Floats, rng: np.random.Generator
) -> Floats:
    """Draw the pitch contour.

    Parameters
    ----------
    speech : Speech
        The neutral utterance.
    prosody : Prosody
        The emotion.
    positions : numpy.ndarray
        From `frame_positions`.
    rng : numpy.random.Generator
        Source of jitter.

    Returns
    -------
    numpy.ndarray
        Pitch in Hz per frame, 0 where unvoiced.
    """
    frames = np.arange(len(speech.pitch))
    seconds = np.arange(len(positions)) / FRAMES_PER_SECOND
    place = positions / frames[-1]
    last_word = np.interp(positions, frames, speech.last_word)
    tune = (prosody.tune[0], *prosody.tune, prosody.tune[-1])
    semitones = (
        PchipInterpolator((0, *KNOTS, 1), tune)(place)
        + prosody.span * np.interp(positions, frames, speech.pitch)
        + NEUTRAL_FALL * (place - 0.5)
        + prosody.tremor * np.sin(2 * np.pi * 6.0 * seconds + rng.uniform(0, 2 * np.pi))
        + (prosody.jitter + prosody.creak * last_word) * rng.standard_normal(len(positions))
    )
    voiced = np.interp(positions, frames, speech.voiced) > 0.5
    hertz = np.clip(speech.mean_pitch * 2 ** (semitones / 12), 55.0, 600.0)
    return np.where(voiced, hertz, 0.0)


def shape_timbre(
    speech: Speech, prosody: Prosody, positions: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Bend the spectrum: formants, tilt, breath, and loudness from frame to frame.

    Parameters
    ----------
    speech : Speech
        The neutral utterance.
    prosody : Prosody
        The emotion.
    positions : numpy.ndarray
        From `frame_positions`.
    rng : numpy.random.Generator
        Source of shimmer.

    Returns
    -------
    envelope : numpy.ndarray
        Power, frames by frequencies.
    aperiodicity : numpy.ndarray
        Share of noise from 0 to 1, frames by frequencies.
    """
    frames = np.arange(len(speech.pitch))
    below = np.minimum(positions.astype(int), frames[-1] - 1)
    weight = (positions - below)[:, None]
    envelope = (1 - weight) * speech.envelope[below] + weight * speech.envelope[below + 1]
    noise = (1 - weight) * speech.aperiodicity[below] + weight * speech.aperiodicity[below + 1]

    hertz = np.linspace(0, RATE / 2, envelope.shape[1])
    # An open mouth moves the first formant and leaves the others.
    warp = prosody.formants * prosody.jaw ** np.clip(2 - hertz / 900, 0, 1)
    envelope = np.stack([np.interp(hertz / warp, hertz, row) for row in envelope])
    # The vocal folds change their spectrum; hissing consonants, which do not need them, stay.
    octaves = np.log2(np.clip(hertz, *TILT_RANGE) / 1000)
    shares = np.interp(hertz, [at for at, _ in EFFORT], [share for _, share in EFFORT])
    source = prosody.tilt * octaves + prosody.effort * shares
    source += 5 * max(prosody.breath, 0) * np.clip((hertz - 3500) / 1000, 0, 1)
    voicing = gaussian_filter1d(np.interp(positions, frames, speech.voiced), 2)
    envelope += voicing[:, None] * source

    stress = np.interp(positions, frames, speech.stress)
    last_word = np.interp(positions, frames, speech.last_word)
    gain = prosody.punch * (stress - stress.mean()) + prosody.fade * (positions / frames[-1] - 0.5)
    gain += (prosody.shimmer + 3 * prosody.creak * last_word) * rng.standard_normal(len(gain))
    beat = np.cumsum(rng.normal(45, 15, len(gain))) / FRAMES_PER_SECOND
    gain += prosody.rough * voicing * np.sin(2 * np.pi * beat)
    gain += prosody.hiss * (1 - voicing)
    # The pause is silent, with edges soft enough not to click.
    silence = (positions == speech.boundary).astype(float) if prosody.pause > 0 else 0 * gain
    gain -= 50 * gaussian_filter1d(silence, 2)
    envelope += gain[:, None]

    if prosody.breath >= 0:
        # Breath is heard above the first formant; the lowest harmonics stay voiced.
        share = prosody.breath * np.clip(np.log2(np.maximum(hertz, 1) / 500) / 3, 0, 1)
        noise = noise + share * (1 - noise)
    else:
        noise = noise * (1 + prosody.breath)
    return 10 ** (envelope / 10), np.clip(noise, 1e-6, 1 - 1e-6)


def render(speech: Speech, prosody: Prosody, rng: np.random.Generator) -> Floats:
    """Put an utterance together again with an emotion, at its level, with a little silence around.

    Parameters
    ----------
    speech : Speech
        The neutral utterance.
    prosody : Prosody
        The emotion as this clip has it.
    rng : numpy.random.Generator
        Source of everything random.

    Returns
    -------
    numpy.ndarray
        Mono samples at `RATE` that never exceed `PEAK_LIMIT`.
    """
    positions = frame_positions(speech, prosody, rng)
    pitch = shape_pitch(speech, prosody, positions, rng)
    envelope, noise = shape_timbre(speech, prosody, positions, rng)
    voice = pyworld.synthesize(pitch, envelope, noise, RATE, FRAME_MS)
    # A raised voice leaves WORLD with a rumble that no mouth makes.
    voice = sosfiltfilt(butter(2, 50, "highpass", fs=RATE, output="sos"), voice)
    fade = np.clip(np.arange(len(voice)) / (0.015 * RATE), 0, 1)
    voice = voice * fade * fade[::-1]

    power = uniform_filter1d(voice**2, int(0.04 * RATE))
    level = 10 * np.log10(np.mean(voice[power > power.max() * 1e-4] ** 2))
    voice = voice * 10 ** ((NEUTRAL_LEVEL + prosody.level - level) / 20)

    before, after = (rng.uniform(0.25, 0.45, 2) * RATE).astype(int)
    clip = np.pad(voice, (before, after))
    clip = clip + 10 ** (NOISE_LEVEL / 20) * rng.standard_normal(len(clip))
    limited: Floats = clip * min(1.0, PEAK_LIMIT / np.abs(clip).max())
    return limited


def write_flac(path: Path, samples: Floats) -> None:
    """Write mono samples at `RATE` so that an interrupted run leaves no broken file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        sf.write(temporary, samples, RATE, format="FLAC", subtype="PCM_16")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def clips() -> list[tuple[int, int, str, int]]:
    """List actor, sentence, emotion and intensity; as in RAVDESS, neutral is never strong."""
    return [
        (actor, sentence, emotion, intensity)
        for actor in VOICES
        for sentence in SENTENCES
        for emotion in PROSODY
        for intensity in (1, 2)
        if (emotion, intensity) != ("neutral", 2)
    ]


def main() -> None:
    """Make all clips."""
    parser = argparse.ArgumentParser(description="Make the synthetic sample corpus.")
    parser.add_argument("--out", type=Path, default=Path("data/samples"), help="folder to fill")
    out: Path = parser.parse_args().out
    if shutil.which("flite") is None:
        parser.error("flite is not installed; try: apt install flite")

    neutral: dict[tuple[int, int], Speech] = {}
    for actor, sentence, emotion, intensity in tqdm(clips(), unit="clip"):
        if (actor, sentence) not in neutral:
            neutral[actor, sentence] = analyse(VOICES[actor], SENTENCES[sentence])
        code = PROSODY[emotion].code
        name = f"03-01-{code:02}-{intensity:02}-{sentence:02}-01-{actor:02}"
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        prosody = vary(PROSODY[emotion], STRONG if intensity == 2 else 1.0, rng)
        samples = render(neutral[actor, sentence], prosody, rng)
        write_flac(out / f"Actor_{actor}" / f"{name}.flac", samples)


if __name__ == "__main__":
    main()
