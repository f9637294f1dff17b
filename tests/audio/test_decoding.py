"""Recordings of every make, made here, and every refusal."""

import io
import os
import struct
import tempfile
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile
import soxr

from ser import audio
from ser.audio import decoding, load_audio, prepare_clip
from ser.audio.features import SPECTRAL
from ser.errors import SerError

RATE = 16_000


def tone(seconds=1.0, *, rate=RATE, frequency=440.0, peak=0.5):
    t = np.arange(round(seconds * rate)) / rate
    return (peak * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def noise(samples, *, seed=0, level=0.1):
    return np.random.default_rng(seed).normal(0, level, samples).astype(np.float32)


def encode(samples, rate=RATE, *, format="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def encode_ffmpeg(samples, rate, *, codec, format, **options):
    file = io.BytesIO()
    with av.open(file, "w", format=format, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or 1024
        cut = av.AudioResampler(stream.codec_context.format, "mono", rate, size)
        for part in [*cut.resample(frame), *cut.resample(None), None]:
            container.mux(stream.encode(part))
    return file.getvalue()


def streamed_flac(samples, rate=RATE):
    """Return a FLAC file whose writer did not know its length, as one written to a pipe."""
    data = bytearray(encode(samples, rate, format="FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


def streamed_wav(samples, announced):
    """Return a 16-bit WAV file that announces another number of bytes than it has."""
    data = bytearray(encode(samples, subtype="PCM_16"))
    data[4:8] = struct.pack("<I", announced)
    data[40:44] = struct.pack("<I", max(announced - 36, 0))
    return bytes(data)


def index_first(data):
    """Copy an MP4 file so that its index stands before the sound, as files for the web do."""
    with tempfile.NamedTemporaryFile(suffix=".m4a") as file:
        with (
            av.open(io.BytesIO(data)) as old,
            av.open(file.name, "w", format="ipod", options={"movflags": "faststart"}) as new,
        ):
            stream = new.add_stream_from_template(old.streams.audio[0])
            for packet in old.demux(audio=0):
                if packet.dts is not None:
                    packet.stream = stream
                    new.mux(packet)
        copy = Path(file.name).read_bytes()
    assert copy.find(b"moov") < copy.find(b"mdat")
    return copy


def loudest_frequency(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * RATE / len(samples)


def refusal(source, kind, code, words):
    """Assert that a recording is refused as it should be; returns the message."""
    with pytest.raises(kind, match=words) as caught:
        load_audio(source)
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert isinstance(caught.value, SerError)
    return str(caught.value)


# --- what can be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "channels", "format", "subtype", "tolerance"),
    [
        (16_000, 1, "WAV", "PCM_U8", 1e-2),
        (16_000, 1, "WAV", "PCM_16", 1e-4),
        (44_100, 1, "WAV", "PCM_24", 1e-3),
        (48_000, 2, "WAV", "FLOAT", 1e-3),
        (96_000, 1, "WAV", "PCM_16", 1e-3),
        (8_000, 1, "WAV", "ULAW", 3e-2),
        (8_000, 1, "WAV", "ALAW", 3e-2),
        (48_000, 6, "WAVEX", "PCM_24", 1e-3),
        (48_000, 6, "WAV", "PCM_16", 1e-3),
        (48_000, 2, "FLAC", "PCM_24", 1e-3),
        (22_050, 1, "AIFF", "PCM_16", 1e-3),
    ],
)
def test_lossless_formats_keep_the_sound(tmp_path, rate, channels, format, subtype, tolerance):
    sound = tone(2.0, rate=rate)
    data = encode(np.tile(sound[:, None], (1, channels)), rate, format=format, subtype=subtype)
    samples = load_audio(data)
    assert samples.dtype == np.float32
    assert samples.shape == (32_000,)
    inner = slice(800, -800)  # the resampler rings at the ends, where the tone jumps
    np.testing.assert_allclose(samples[inner], tone(2.0)[inner], atol=tolerance)
    (tmp_path / "clip.bin").write_bytes(data)
    assert np.array_equal(load_audio(tmp_path / "clip.bin"), samples)
    assert np.array_equal(load_audio(str(tmp_path / "clip.bin")), samples)


LOSSY = {
    "mp3": lambda x, rate: encode(x, rate, format="MP3"),
    "ogg": lambda x, rate: encode(x, rate, format="OGG", subtype="VORBIS"),
    "opus": lambda x, rate: encode(x, rate, format="OGG", subtype="OPUS"),
    "m4a": lambda x, rate: encode_ffmpeg(x, rate, codec="aac", format="ipod"),
    "mp4": lambda x, rate: encode_ffmpeg(x, rate, codec="aac", format="mp4"),
    "mov": lambda x, rate: encode_ffmpeg(x, rate, codec="aac", format="mov"),
    "3gp": lambda x, rate: encode_ffmpeg(x, rate, codec="aac", format="3gp"),
    "aac": lambda x, rate: encode_ffmpeg(x, rate, codec="aac", format="adts"),
    "webm": lambda x, rate: encode_ffmpeg(x, rate, codec="libopus", format="webm"),
    "webm-live": lambda x, rate: encode_ffmpeg(
        x, rate, codec="libopus", format="webm", live="1", cluster_time_limit="100"
    ),
}


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_keep_length_pitch_and_level(tmp_path, name):
    data = LOSSY[name](tone(2.0, rate=48_000), 48_000)
    samples = load_audio(data)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) == pytest.approx(32_000, abs=1_500)
    middle = samples[8_000:24_000]
    assert loudest_frequency(middle) == pytest.approx(440, abs=2)
    assert audio.level_dbfs(middle) == pytest.approx(audio.level_dbfs(tone()), abs=1)
    (tmp_path / "clip.bin").write_bytes(data)
    assert np.array_equal(load_audio(tmp_path / "clip.bin"), samples)


def test_aac_that_begins_with_a_pause_is_not_called_damaged():
    """Its length is announced nowhere, and FFmpeg guesses 112 s from the pause."""
    speech = np.random.default_rng(0).uniform(-0.3, 0.3, 5 * 48_000).astype(np.float32)
    sound = np.concatenate([np.zeros(3 * 48_000, np.float32), speech])
    samples = load_audio(LOSSY["aac"](sound, 48_000))
    assert len(samples) == pytest.approx(8 * 16_000, abs=1_500)


@pytest.mark.parametrize("rate", [1, 3_999, 500_000])
def test_rates_at_which_nobody_speaks_are_refused(rate):
    words = f"a sampling rate of {rate} Hz. Speech needs 4000 to 400000 Hz"
    refusal(encode(noise(1_795), rate), audio.UnsupportedAudioError, "audio-unsupported", words)


def test_channels_are_averaged():
    left, right = tone(frequency=300), tone(frequency=1000)
    samples = load_audio(encode(np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_rates_are_converted_as_soxr_and_librosa_do(tmp_path, rate):
    sound = noise(20 * rate + 7)  # several blocks, the last one uneven
    soundfile.write(tmp_path / "noise.wav", sound, rate, subtype="FLOAT")
    samples = load_audio(tmp_path / "noise.wav")
    reference = soxr.resample(sound, rate, RATE, quality="HQ")
    assert abs(len(samples) - len(reference)) <= 1
    n = min(len(samples), len(reference))
    np.testing.assert_allclose(samples[:n], reference[:n], atol=1e-5)
    through_librosa, _ = librosa.load(tmp_path / "noise.wav", sr=RATE, res_type="soxr_hq")
    n = min(n, len(through_librosa))
    np.testing.assert_allclose(samples[:n], through_librosa[:n], atol=1e-5)


def test_another_rate_can_be_asked_for():
    assert load_audio(encode(tone(1.0, rate=48_000), 48_000), sampling_rate=8_000).shape == (8_000,)


@pytest.mark.parametrize("announced", [0, 0x7FFFF024, 0x7FFFFFFF, 0x80000024, 0xFFFFFFFF])
def test_a_streamed_wav_of_unknown_length_is_read(announced):
    samples = load_audio(streamed_wav(tone(), announced))
    np.testing.assert_allclose(samples, tone(), atol=1e-4)


def test_a_streamed_flac_of_unknown_length_is_read():
    np.testing.assert_allclose(load_audio(streamed_flac(tone())), tone(), atol=1e-4)


def test_a_damaged_file_is_read_or_refused_and_nothing_else(clips):
    good = [
        clips[0].read_bytes()[:20_000],
        encode(tone(0.3)),
        LOSSY["m4a"](tone(0.3, rate=48_000), 48_000),
        LOSSY["webm"](tone(0.3, rate=48_000), 48_000),
    ]
    rng = np.random.default_rng(0)
    for data in good:
        for _ in range(60):
            damaged = bytearray(data)
            for place in rng.integers(0, min(len(data), 700), 4):
                damaged[place] ^= 1 << int(rng.integers(8))
            try:
                samples = load_audio(bytes(damaged))
            except audio.AudioError:
                continue
            assert samples.dtype == np.float32
            assert np.isfinite(samples).all()


# --- what is refused --------------------------------------------------------------------------


def test_no_bytes(tmp_path):
    (tmp_path / "nothing.wav").touch()
    refusal(
        tmp_path / "nothing.wav", audio.EmptyAudioError, "audio-empty", r"nothing\.wav .*Record"
    )


@pytest.mark.parametrize("format", ["WAV", "FLAC", "AIFF"])
def test_a_header_and_no_sound(format, tmp_path):
    (tmp_path / "header").write_bytes(encode(np.zeros(0), format=format))
    refusal(tmp_path / "header", audio.EmptyAudioError, "audio-empty", r"header .*Record")


@pytest.mark.parametrize(
    "content",
    [b"Dear grandmother, I am well.\n" * 99, bytes(9_999), b"PK\3\4" + b"a" * 99],
)
def test_what_is_no_audio(tmp_path, content):
    (tmp_path / "letter.wav").write_bytes(content)
    refusal(
        tmp_path / "letter.wav",
        audio.UnsupportedAudioError,
        "audio-unsupported",
        r"letter\.wav is not audio.*Save it as WAV",
    )


def test_a_film_without_sound(tmp_path):
    with av.open(str(tmp_path / "silent.mp4"), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    refusal(
        tmp_path / "silent.mp4",
        audio.UnsupportedAudioError,
        "audio-unsupported",
        r"silent\.mp4 has no sound track\. Give",
    )


def test_sound_in_an_unknown_coding(tmp_path):
    data = LOSSY["webm"](tone(0.5, rate=48_000), 48_000)
    assert data.count(b"A_OPUS") == 1
    (tmp_path / "odd.webm").write_bytes(data.replace(b"A_OPUS", b"A_ODD!"))
    refusal(
        tmp_path / "odd.webm",
        audio.UnsupportedAudioError,
        "audio-unsupported",
        r"odd\.webm .*not known.*Save it as",
    )


@pytest.mark.parametrize("format", ["AU", "CAF", "MAT4", "MAT5", "NIST", "RF64", "VOC", "W64"])
def test_formats_that_nobody_was_promised_are_not_opened(format):
    refusal(
        encode(noise(16_000), format=format),
        audio.UnsupportedAudioError,
        "audio-unsupported",
        "The recording is not audio.*Save it as WAV",
    )


@pytest.mark.parametrize("subtype", ["NMS_ADPCM_16", "G721_32", "MS_ADPCM"])
def test_codings_of_wav_that_are_hardly_used_are_not_decoded(subtype):
    refusal(
        encode(noise(16_000), 8_000, subtype=subtype),
        audio.UnsupportedAudioError,
        "audio-unsupported",
        r"a coding that is not known here \(number [0-9]+\)",
    )


@pytest.mark.parametrize("kind", [("ac3", "mp4"), ("tta", "matroska"), ("adpcm_swf", "wav")])
def test_codings_of_ffmpeg_that_are_hardly_used_are_not_decoded(kind):
    codec, container = kind
    refusal(
        encode_ffmpeg(noise(44_100), 44_100, codec=codec, format=container),
        audio.UnsupportedAudioError,
        "audio-unsupported",
        "a coding that is not known here",
    )


def test_a_foreign_coding_cannot_hide_behind_a_thousand_chunks():
    data = encode(noise(16_000), 8_000, subtype="NMS_ADPCM_16")
    chunks = struct.pack("<4sI", b"JUNK", 0) * 1000
    length = struct.pack("<I", len(data) + len(chunks) - 8)
    refusal(
        b"RIFF" + length + b"WAVE" + chunks + data[12:],
        audio.UnreadableAudioError,
        "audio-unreadable",
        "damaged",
    )


TRUNCATED = {
    "wav": lambda: encode(noise(32_000), subtype="PCM_16"),
    "flac": lambda: encode(noise(32_000), format="FLAC"),
    "m4a": lambda: LOSSY["m4a"](noise(96_000), 48_000),
    "m4a, index first": lambda: index_first(LOSSY["m4a"](noise(96_000), 48_000)),
}


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", TRUNCATED)
def test_a_file_that_was_cut_off(tmp_path, name, kept):
    data = TRUNCATED[name]()
    (tmp_path / "half").write_bytes(data[: int(kept * len(data))])
    refusal(
        tmp_path / "half",
        audio.UnreadableAudioError,
        "audio-unreadable",
        r"half is .*cut off.*Copy or download it again",
    )


def test_ten_milliseconds(tmp_path):
    soundfile.write(tmp_path / "click.wav", tone(0.01), RATE)
    refusal(
        tmp_path / "click.wav",
        audio.TooShortAudioError,
        "audio-too-short",
        r"click\.wav lasts 10 ms; at least 100 ms.*Record a whole",
    )
    assert len(load_audio(encode(tone(0.1)))) == 1_600


LONG = {
    # A low rate makes two hours a small file.
    "announced": lambda: encode(np.zeros(2 * 3600 * 4000), 4000, subtype="PCM_U8"),
    "not announced": lambda: streamed_flac(np.zeros(2 * 3600 * 4000), 4000),
}


def test_a_pipe_is_no_recording(tmp_path):
    os.mkfifo(tmp_path / "x.wav")
    refusal(
        tmp_path / "x.wav",
        audio.UnreadableAudioError,
        "audio-unreadable",
        "is not a file but a pipe",
    )


@pytest.mark.parametrize("name", LONG)
def test_two_hours(tmp_path, name):
    (tmp_path / "night.wav").write_bytes(LONG[name]())
    refusal(
        tmp_path / "night.wav",
        audio.TooLongAudioError,
        "audio-too-long",
        r"night\.wav lasts more than 30 minutes .*Cut it",
    )


@pytest.mark.parametrize("name", ["m4a", "webm", "webm-live"])
def test_too_long_for_ffmpeg_too(monkeypatch, name):
    monkeypatch.setattr(decoding, "MAX_SECONDS", 1.0)
    data = LOSSY[name](tone(1.5, rate=48_000), 48_000)
    refusal(data, audio.TooLongAudioError, "audio-too-long", "The recording lasts more than")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: encode(np.zeros((48_000 * 60, 8)), 48_000, format="FLAC"), id="flac"),
        pytest.param(
            lambda: encode(np.zeros((48_000 * 30, 8)), 48_000, format="OGG", subtype="OPUS"),
            id="opus",
        ),
    ],
)
def test_a_small_file_that_unpacks_to_far_more(monkeypatch, data):
    data = data()
    assert len(data) < 500_000
    monkeypatch.setattr(decoding, "MAX_DECODED_BYTES", 4_000_000)
    tracemalloc.start()
    try:
        refusal(data, audio.TooLargeAudioError, "audio-too-large", "unpacks to .*Cut it")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000, "46 MB and more would have been unpacked"


def test_many_channels_are_decoded_in_small_blocks():
    data = encode(np.zeros((20_000, 255), np.float32), 48_000, subtype="PCM_U8")
    load_audio(data)  # what is imported on the way is not counted
    tracemalloc.start()
    try:
        load_audio(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000, "all samples as float32 are 20 MB"


def test_more_bytes_than_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "MAX_BYTES", 10_000)
    (tmp_path / "huge.wav").write_bytes(encode(tone()))
    assert len(audio.read_bytes(tmp_path / "huge.wav")) == 10_001
    words = r"more than 0 MB.*Cut it into parts"
    refusal(tmp_path / "huge.wav", audio.TooLargeAudioError, "audio-too-large", words)
    refusal(encode(tone()), audio.TooLargeAudioError, "audio-too-large", words)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_numbers(tmp_path, value):
    sound = tone()
    sound[12_345] = value
    soundfile.write(tmp_path / "odd.wav", sound, RATE, subtype="FLOAT")
    refusal(
        tmp_path / "odd.wav",
        audio.NotFiniteAudioError,
        "audio-not-finite",
        r"odd\.wav holds samples that are not numbers .*Export it again",
    )


def test_names_that_cannot_be_opened(tmp_path):
    code = "audio-unreadable"
    kind = audio.UnreadableAudioError
    refusal(tmp_path, kind, code, f"{tmp_path.name} is a folder. Give an audio file")
    refusal(tmp_path / "no.wav", kind, code, r"no\.wav does not exist. Check the name")
    refusal(tmp_path / ("n" * 300), kind, code, "cannot be read")
    refusal(str(tmp_path / "nu\0ll.wav"), kind, code, "cannot be read")
    (tmp_path / "file").touch()
    refusal(tmp_path / "file" / "a.wav", kind, code, "cannot be read")


# --- files that try to read others ------------------------------------------------------------

PLAYLISTS = {
    "hls.mp3": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST",
    "hls.m4a": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST",
    "concat.mp3": "ffconcat version 1.0\nfile '{}'\n",
    "concat.m4a": "ffconcat version 1.0\nfile '{}'\n",
    "dash.webm": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
    '<AdaptationSet><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "session.wav": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={}\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_cannot_make_the_app_read_a_local_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "secret.wav", tone(), RATE)
    for target in ("secret.wav", str(tmp_path / "secret.wav")):
        (tmp_path / name).write_text(PLAYLISTS[name].format(target))
        for source in (tmp_path / name, (tmp_path / name).read_bytes()):
            refusal(source, audio.UnsupportedAudioError, "audio-unsupported", "is not audio")


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_cannot_make_the_app_open_an_address(tmp_path, name):
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/secret.wav"
            (tmp_path / name).write_text(PLAYLISTS[name].format(address))
            refusal(
                tmp_path / name, audio.UnsupportedAudioError, "audio-unsupported", "is not audio"
            )
        finally:
            server.shutdown()
            thread.join()
    assert asked == []


# --- what the model hears ---------------------------------------------------------------------


def between_silence(speech, before, after):
    """Lay speech into noise far below it, as in a quiet room."""
    whole = noise(before + len(speech) + after, seed=5, level=1e-5)
    whole[before : before + len(speech)] += speech
    return whole


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.999, 3.0, 3.001, 10.0])
def test_a_clip_has_the_length_and_level_of_all_clips(seconds):
    clip = prepare_clip(tone(seconds))
    assert clip.samples.shape == (48_000,)
    assert clip.samples.dtype == np.float32
    heard = clip.samples[clip.samples != 0]
    assert audio.level_dbfs(heard) == pytest.approx(-23, abs=0.05)


def test_short_speech_is_centred_between_zeros():
    samples = prepare_clip(tone(1.0)).samples
    assert not samples[:16_000].any()
    assert not samples[32_000:].any()
    assert loudest_frequency(samples[16_000:32_000]) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("gain", [0.0005, 0.03, 10.0])
def test_loudness_changes_nothing(clips, gain):
    for path in clips[::30]:
        recording = load_audio(path)
        clip, scaled = prepare_clip(recording), prepare_clip(np.float32(gain) * recording)
        assert (scaled.start, scaled.end) == (clip.start, clip.end)
        np.testing.assert_allclose(scaled.samples, clip.samples, atol=1e-5)
        np.testing.assert_allclose(
            SPECTRAL.extract(scaled.samples)["features"],
            SPECTRAL.extract(clip.samples)["features"],
            atol=0.1,
        )


def test_silence_around_the_speech_changes_nothing(clips):
    recording = load_audio(clips[0])
    start, end = audio.find_speech(recording)
    speech = recording[start:end]
    alone = prepare_clip(between_silence(speech, 8_000, 8_000))
    late = prepare_clip(between_silence(speech, 8_000 + 512 * 120, 8_000 + 512 * 77))
    assert late.start - alone.start == pytest.approx(512 * 120 / RATE)
    assert late.end - late.start == pytest.approx(alone.end - alone.start)
    np.testing.assert_allclose(late.samples, alone.samples, atol=1e-3)


def test_start_and_end_say_where_the_speech_stands():
    clip = prepare_clip(between_silence(tone(1.0), 32_000, 24_000))
    frame = 2048 / RATE  # silence is measured in frames of this length
    assert 2.0 - frame <= clip.start <= 2.0
    assert 3.0 <= clip.end <= 3.0 + frame


def test_of_long_speech_the_loudest_window_is_taken():
    speech = tone(9.0, peak=0.2)
    speech[64_000:104_000] *= 3  # from 4.0 to 6.5 s
    clip = prepare_clip(speech)
    assert clip.end - clip.start == 3.0
    assert clip.start <= 4.0
    assert clip.end >= 6.5
    start = round(clip.start * RATE)
    part = speech[start : start + 48_000]
    assert np.corrcoef(part, clip.samples)[0, 1] == pytest.approx(1, abs=1e-6)


def test_an_offset_is_removed_and_does_not_hide_the_silence():
    recording = between_silence(tone(1.0, peak=0.1), 32_000, 24_000)
    clip, shifted = prepare_clip(recording), prepare_clip(recording + np.float32(0.05))
    assert (shifted.start, shifted.end) == (clip.start, clip.end)
    np.testing.assert_allclose(shifted.samples, clip.samples, atol=1e-4)
    heard = shifted.samples[shifted.samples != 0]
    assert abs(heard.mean()) < 1e-4


@pytest.mark.parametrize(
    "recording",
    [
        np.zeros(32_000, np.float32),
        np.full(32_000, 0.3, np.float32),
        tone(2.0, peak=1e-5),
        np.zeros(0, np.float32),
    ],
    ids=["zeros", "an offset", "below one step of 16 bits", "nothing"],
)
@pytest.mark.filterwarnings("error")
def test_silence_is_refused(recording):
    with pytest.raises(audio.SilentAudioError, match=r"silent.*microphone.*record again") as caught:
        prepare_clip(recording)
    assert caught.value.code == "audio-silent"


def test_silence_is_no_error_of_decoding():
    assert not load_audio(encode(np.zeros(16_000))).any()


# --- names and levels -------------------------------------------------------------------------


def test_the_hash_names_what_is_heard():
    sound = (noise(16_000) * 32_768).astype(np.int16)
    names = {
        audio.audio_hash(load_audio(encode(sound, format=format, subtype="PCM_16")))
        for format in ("WAV", "FLAC", "AIFF")
    }
    assert len(names) == 1
    (name,) = names
    assert len(name) == 32
    changed = sound.copy()
    changed[7_000] += 30
    assert audio.audio_hash(load_audio(encode(changed, subtype="PCM_16"))) != name
    assert audio.audio_hash(load_audio(encode(sound[:-1], subtype="PCM_16"))) != name


def test_levels_are_relative_to_full_scale():
    assert audio.level_dbfs(tone(peak=1.0)) == pytest.approx(-3.01, abs=0.01)
    assert audio.level_dbfs(np.zeros(100, np.float32)) == -120
    assert audio.level_dbfs(np.zeros(0, np.float32)) == -120
