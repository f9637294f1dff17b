import numpy as np
import pytest

from ser.audio import augmentation, find_speech, level_dbfs, load_audio

RATE = 16_000


def rng(seed=0):
    return np.random.default_rng(seed)


def tone(seconds=1.0, frequency=440.0):
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def pitch(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * RATE / len(samples)


@pytest.fixture(scope="module")
def speech(clips):
    recording = load_audio(clips[50])
    start, end = find_speech(recording)
    return recording[start:end]


RANDOM = {
    "augment": lambda x, r: augmentation.augment(x, r),
    "colour": lambda x, r: augmentation.colour(x, r, rate=RATE),
    "reverberate": lambda x, r: augmentation.reverberate(x, 0.3, r, rate=RATE),
    "add_noise": lambda x, r: augmentation.add_noise(x, 20.0, r),
    "place": lambda x, r: augmentation.shift_in_time(x, 48_000, r),
}


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_makes_the_same_copy_and_another_seed_another(speech, name):
    copy = RANDOM[name](speech, rng(1))
    assert copy.dtype == np.float32
    assert np.array_equal(copy, RANDOM[name](speech, rng(1)))
    assert not np.array_equal(copy, RANDOM[name](speech, rng(2)))


@pytest.mark.parametrize("name", RANDOM)
def test_the_original_is_left_alone(speech, name):
    before = speech.copy()
    RANDOM[name](speech, rng())
    assert np.array_equal(speech, before)


@pytest.mark.parametrize("seconds", [0.032, 0.1, 1.0, 3.0, 6.0])
@pytest.mark.filterwarnings("ignore:n_fft=1024 is too large")
def test_copies_are_clips(seconds):
    sound = (rng(9).normal(0, 0.2, round(seconds * RATE))).astype(np.float32)
    for seed in range(12):
        copy = augmentation.augment(sound, rng(seed))
        assert copy.shape == (48_000,)
        assert copy.dtype == np.float32
        assert np.isfinite(copy).all()
        assert level_dbfs(copy[copy != 0]) == pytest.approx(-23, abs=0.05)


def test_a_long_pause_between_words_gives_no_numbers_that_are_none():
    sound = np.concatenate([tone(0.2), np.zeros(20 * RATE, np.float32), tone(0.2)])
    for seed in range(12):
        assert np.isfinite(augmentation.augment(sound, rng(seed))).all()


@pytest.mark.parametrize("factor", [0.88, 1.0, 1.14])
def test_speed_changes_duration_and_pitch(factor):
    faster = augmentation.change_speed(tone(2.0), factor)
    assert len(faster) == pytest.approx(32_000 / factor, abs=2)
    assert pitch(faster) == pytest.approx(440 * factor, abs=1)


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.2])
def test_tempo_changes_duration_and_not_pitch(factor):
    faster = augmentation.change_tempo(tone(2.0), factor)
    assert len(faster) == pytest.approx(32_000 / factor, abs=2)
    assert pitch(faster) == pytest.approx(440, abs=2)


def test_colour_changes_the_spectrum_within_8_db_and_not_the_length(speech):
    changed = set()
    for seed in range(5):
        copy = augmentation.colour(speech, rng(seed), rate=RATE)
        assert len(copy) == len(speech)
        before, after = np.abs(np.fft.rfft(speech)), np.abs(np.fft.rfft(copy))
        audible = before > before.max() / 1000
        gains = 20 * np.log10(after[audible] / before[audible])
        assert np.abs(gains).max() <= 8.1
        assert np.ptp(gains) > 0.5
        changed.add(round(float(np.ptp(gains)), 3))
    assert len(changed) == 5


@pytest.mark.parametrize("rt60", [0.1, 0.4])
def test_a_room_leaves_the_sound_and_adds_a_tail_that_decays(rt60):
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0
    room = augmentation.reverberate(click, rt60, rng(), rate=RATE)
    assert len(room) == len(click)
    assert np.abs(room[:100]).max() < 1e-6
    assert room[100] == pytest.approx(1.0, abs=1e-5)
    tail = room[101 : 100 + int(rt60 * RATE)].astype(float)
    assert 0.1**2 * 0.9 < np.sum(tail**2) < 0.6**2 * 1.1
    first, last = np.array_split(tail**2, 4)[0].mean(), np.array_split(tail**2, 4)[3].mean()
    assert 10 * np.log10(first / last) == pytest.approx(45, abs=4)  # three quarters of 60 dB
    assert np.abs(room[110 + int(rt60 * RATE) :]).max() < 1e-6


@pytest.mark.parametrize("snr", [10.0, 25.0, 40.0])
def test_noise_has_the_level_that_was_asked_for(speech, snr):
    added = augmentation.add_noise(speech, snr, rng(3)) - speech
    ratio = np.mean(speech.astype(float) ** 2) / np.mean(added.astype(float) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(snr, abs=0.1)


@pytest.mark.parametrize("snr", [8.0, 30.0])
def test_babble_has_the_level_that_was_asked_for_and_is_another_each_time(speech, snr):
    first, second = (augmentation.add_babble(speech, snr, rng(seed)) - speech for seed in (1, 2))
    ratio = np.mean(speech.astype(float) ** 2) / np.mean(first.astype(float) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(snr, abs=0.1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.5


def test_babble_of_silence_is_silence():
    assert not augmentation.add_babble(np.zeros(1000, np.float32), 10, rng()).any()


def test_a_narrow_band_keeps_voices_and_nothing_beyond():
    noise = rng(5).normal(0, 0.1, 48_000).astype(np.float32)
    for seed in range(5):
        power = np.abs(np.fft.rfft(augmentation.narrow(noise, rng(seed), rate=RATE))) ** 2
        frequency = np.fft.rfftfreq(48_000, 1 / RATE)
        inside = power[(frequency > 400) & (frequency < 2900)].mean()
        outside = (frequency < 45) | (frequency > 6050)
        assert power[outside].mean() < 1e-6 * inside


def test_short_speech_is_laid_anywhere_and_long_speech_cut_anywhere():
    ramp = np.arange(1, 11, dtype=np.float32)
    places = {
        int(np.argmax(augmentation.shift_in_time(ramp, 14, rng(seed)) > 0)) for seed in range(60)
    }
    assert places == {0, 1, 2, 3, 4}
    assert all(
        augmentation.shift_in_time(ramp, 14, rng(seed)).sum() == ramp.sum() for seed in range(5)
    )
    cuts = {tuple(augmentation.shift_in_time(ramp, 8, rng(seed))) for seed in range(60)}
    assert cuts == {tuple(ramp[i : i + 8]) for i in range(3)}
    assert np.array_equal(augmentation.shift_in_time(ramp, 10, rng()), ramp)
