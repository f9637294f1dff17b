"""What recordings and zip files that were made to do harm come to.

    python -m benchmarks.hostile [--recordings 20000] [--archives 2000] [--json FILE]

Recordings of every format are damaged at random places, cut, repeated, or get lengths and rates
that are not theirs, and are decoded as a public server does: in processes apart. Zip files of
recordings are damaged the same way and imported as Your voice does.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from tqdm.auto import tqdm

from benchmarks.timing import megabytes
from ser import audio
from ser.assets import SAMPLES
from ser.audio.sandbox import BrokenDecoderError, Decoders
from ser.data.recordings import Voice
from ser.errors import SerError
from ser.utils.files import write_json

_EXTREME = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def seeds(length: int | None = None) -> list[bytes]:
    """Return a sample, or so many samples of sound of it, in every format that is read."""
    samples = audio.load_audio(next(SAMPLES.rglob("*.flac")))[:length]
    made = []
    for format, subtype in (
        *(("WAV", kind) for kind in ("PCM_16", "FLOAT", "ULAW", "IMA_ADPCM", "GSM610")),
        *(("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("MP3", None)),
        *(("OGG", "VORBIS"), ("OGG", "OPUS")),
    ):
        rate = 8_000 if subtype == "GSM610" else 16_000
        file = io.BytesIO()
        soundfile.write(file, samples, rate, format=format, subtype=subtype)
        made.append(file.getvalue())
    codecs: tuple[tuple[Any, str], ...] = (("aac", "ipod"), ("aac", "adts"), ("libopus", "webm"))
    for codec, container in codecs:
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream: Any = output.add_stream(codec, rate=48_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            size = stream.codec_context.frame_size
            cut = av.AudioResampler(stream.codec_context.format, "mono", 48_000, size)
            for part in [*cut.resample(frame), *cut.resample(None), None]:
                output.mux(stream.encode(part))
        made.append(file.getvalue())
    return made


def damaged(files: list[bytes], count: int) -> Iterator[bytes]:
    """Return `count` damaged copies, the same ones each time."""
    rng = np.random.default_rng(0)
    for number in range(count):
        data = bytearray(files[number % len(files)])
        for _ in range(rng.integers(1, 6)):
            where = int(rng.integers(0, min(len(data), rng.choice([64, 512, len(data)]))))
            kind = rng.integers(0, 5)
            if kind == 0:
                data[where] = int(rng.integers(0, 256))
            elif kind == 1:  # a number in the header that is not the file's
                size = int(rng.choice([2, 4]))
                value = int(rng.choice(_EXTREME)) & ((1 << 8 * size) - 1)
                data[where : where + size] = value.to_bytes(size, rng.choice(["little", "big"]))
            elif kind == 2:
                del data[where : where + int(rng.integers(1, 2000))]
            elif kind == 3:
                data[where:where] = data[where : where + int(rng.integers(1, 2000))]
            else:
                data[where : where + 8] = rng.bytes(8)
            if not data:
                break
        yield bytes(data)


def outcomes(
    work: Callable[[bytes], Any], files: Iterator[bytes], count: int, words: str
) -> tuple[Counter[str], float]:
    """Return how often each ended how, and the longest that one took, in seconds."""
    ended: Counter[str] = Counter()
    longest = 0.0
    for data in tqdm(files, words, total=count):
        begun = time.perf_counter()
        try:
            work(data)
            ended["read"] += 1
        except SerError as error:
            ended[error.code] += 1
        except Exception as error:  # anything else would be a stack trace for the visitor
            ended[f"ERROR {type(error).__name__}"] += 1
        longest = max(longest, time.perf_counter() - begun)
    return ended, longest


def recordings(count: int) -> dict[str, Any]:
    """Decode damaged recordings apart."""
    decoders = Decoders(1)
    peak = 0.0

    def decode(data: bytes) -> None:
        nonlocal peak
        try:
            decoders(data, "recording", audio.SAMPLING_RATE)
        finally:
            if (process := decoders.processes()) and len(data) % 16 == 0:
                peak = max(peak, megabytes(process[0], "VmHWM"))

    ended, longest = outcomes(decode, damaged(seeds(), count), count, "Recordings")
    decoders.close()
    return {
        "files": count,
        "outcomes": dict(ended.most_common()),
        "ended by a limit or a crash": ended[BrokenDecoderError.code],
        "longest_s": round(longest, 2),
        "peak_mb": round(peak, 1),
    }


def archives(count: int) -> dict[str, Any]:
    """Import damaged zip files of recordings."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for clip in sorted(SAMPLES.rglob("03-01-05-*.flac"))[:3]:
            archive.write(clip, f"angry/{clip.name}")
    with tempfile.TemporaryDirectory() as folder:
        voice = Voice(Path(folder) / "voices")

        def take(data: bytes) -> None:
            voice.import_zip(data)
            voice.clear()

        files = damaged([file.getvalue()], count)
        ended, longest = outcomes(take, files, count, "Archives")
    return {"files": count, "outcomes": dict(ended.most_common()), "longest_s": round(longest, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=20_000)
    parser.add_argument("--archives", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {
        "recordings": recordings(options.recordings),
        "archives": archives(options.archives),
    }
    for name, figures in result.items():
        print(name)
        for figure, value in figures.items():
            print(f"  {figure}: {value}")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
