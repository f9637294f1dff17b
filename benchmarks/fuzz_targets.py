"""What reads the files and names of strangers, each as a function of bytes, for `benchmarks.fuzz`.

A target is given a folder of its own.  What it raises beside a `SerError` is a finding, unless its
documentation promises it.  Where a checksum would stop every change at the door, only what is
behind it is changed: a part of an archive, which is then packed anew, or a file that the manifest
vouches for.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.hostile import seeds as recordings
from benchmarks.hostile_models import load, small_model, with_file
from ser import assets, audio
from ser.audio.formats import format_of, wav_coding
from ser.data import corpora
from ser.data.label_review import Decision, decide
from ser.data.parsers import parse_name
from ser.data.recordings import Voice
from ser.errors import SerError
from ser.evaluation.report import Report
from ser.models import bundle
from ser.models.embedding import EMBEDDING_FILE, read_embedding
from ser.shards.manifest import Clip, find_clips, write_manifest
from ser.utils.zips import unpack

Work = Callable[[bytes], Any]
_SHORT = 4_000  # samples of a recording; the fuzzer is faster with small files
_CSV = (
    b"path,emotion,speaker,statement\na.wav,angry,anna,1\nb.wav,Joy,,\n",
    b'path;emotion\n"a.wav";sad\n',
    b"\xef\xbb\xbfemotion,path,corpus,clip_id\nneutral,./a.wav,emodb,03a01Wa\n",
)
_MELD = b"Utterance,Speaker,Emotion,Dialogue_ID,Utterance_ID\nHi,Monica,joy,0,0\n,Joey,anger,0,1\n"
_NAMES = (
    *("03-01-05-02-01-01-12.wav", "03a01Wa.wav", "1001_DFA_ANG_XX.wav", "OAF_back_angry.wav"),
    *("JK/su07.wav", "dis-f1-b1.wav", "a5-01-01-01-03.wav", "EB0_anger_1.wav", "SM1_F10_A010.wav"),
    *("fear/f18 (5)b.wav", "0001/Angry/0001_000351.wav", "female1_angry_10a_1.wav"),
    *("train_splits/dia0_utt0.wav", f"{'dev' * 100}/dia1_utt1.mp4", "angry/x.flac"),
)


@dataclass(frozen=True)
class Target:
    """Something to be fuzzed.

    Attributes
    ----------
    make : callable
        Given an empty folder, returns what works on bytes.
    seeds : callable
        Given an empty folder, returns sound inputs, which are changed.
    promised : tuple of exception types
        What its documentation says that it raises beside `SerError`.
    """

    make: Callable[[Path], Work]
    seeds: Callable[[Path], list[bytes]]
    promised: tuple[type[Exception], ...] = ()


def _first_bytes(_: Path) -> Work:
    return lambda data: (format_of(data), wav_coding(data))


def _recording(_: Path) -> Work:
    return audio.load_audio  # in this process: none but the fuzzer is harmed


def _name(folder: Path) -> Work:
    def work(data: bytes) -> None:
        path = Path(os.fsdecode(data))
        corpora.describe(folder / path, folder)
        parse_name(path)

    return work


def _table(folder: Path) -> Work:
    (folder / "a.wav").touch()
    return _written(folder / "table.csv", corpora.scan)


def _meld(folder: Path) -> Work:
    def read(_: Path) -> None:
        parse_name(folder / "train_splits/dia0_utt0.wav")

    return _written(folder / "train_sent_emo.csv", read)


def _review(folder: Path) -> Work:
    def scan(_: Path) -> None:
        corpora.scan(folder)

    _reviewed(folder)
    return _written(folder / "label-review.csv", scan)


def _reviewed(folder: Path) -> list[bytes]:
    (folder / "angry").mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        (folder / "angry" / name).touch()
    decide(folder, folder / "angry/a.wav", Decision("angry", "correct", "sad"))
    decide(folder, folder / "angry/b.wav", Decision("angry", "exclude"))
    decide(folder, folder / "angry/c.wav", Decision("angry", "keep"))
    return [(folder / "label-review.csv").read_bytes()]


def _parquet(folder: Path) -> Work:
    def read(file: Path) -> None:
        with suppress(SerError):
            corpora.scan(file)
        for _ in find_clips([file]):
            pass

    return _written(folder / "clips.parquet", read)


def _parquet_seeds(folder: Path) -> list[bytes]:
    file = folder / "clips.parquet"
    clips = [Clip(f"{name}.wav", emotion="angry", speaker="anna", corpus="x") for name in "abcd"]
    write_manifest(file, clips, size=2)
    return [file.read_bytes()]


def _written(file: Path, read: Callable[[Path], Any]) -> Work:
    """Return what writes a file and reads it."""

    def work(data: bytes) -> None:
        file.write_bytes(data)
        read(file)

    return work


def _in_model(name: str, read: Callable[[Path], Any]) -> Callable[[Path], Work]:
    """Return what puts a file into a small model, vouched for, and works on that."""

    def make(folder: Path) -> Work:
        small_model(folder)
        return with_file(folder, name, read)

    return make


def _of_model(name: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        small_model(folder)
        return [(folder / name).read_bytes()]

    return seeds


def _part_of_model(name: str, part: str, read: Callable[[Path], Any]) -> Callable[[Path], Work]:
    """Return what puts a part of a file's archive into a small model."""

    def make(folder: Path) -> Work:
        work = _in_model(name, read)(folder)
        parts = _parts(folder / name)
        return lambda data: work(_packed(parts | {part: data}))

    return make


def _of_archive(name: str, part: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        small_model(folder)
        return [_parts(folder / name)[part]]

    return seeds


def _embedding(folder: Path) -> None:
    read_embedding(folder / EMBEDDING_FILE, labels=8)


def _parts(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def _archive(folder: Path) -> Work:
    def work(data: bytes) -> None:
        unpack(io.BytesIO(data), folder / "corpus", audio.EXTENSIONS)
        shutil.rmtree(folder / "corpus")

    return work


def _voice(folder: Path) -> Work:
    voice = Voice(folder / "voice")

    def work(data: bytes) -> None:
        voice.import_zip(data)
        voice.clear()

    return work


def _archives(_: Path) -> list[bytes]:
    flac = recordings(_SHORT)[5]
    return [_packed({"angry/a.flac": flac, "voice/takes.csv": _CSV[0]}), _packed({"x.txt": b"x"})]


def _report_seeds(_: Path) -> list[bytes]:
    content = json.loads((assets.REPORTS / "quick.json").read_text(encoding="utf-8"))
    return [json.dumps(content).encode()]


TARGETS = {
    "first bytes": Target(_first_bytes, lambda _: [data[:256] for data in recordings(_SHORT)]),
    "recording": Target(_recording, lambda _: recordings(_SHORT)),
    "file name": Target(_name, lambda _: [name.encode() for name in _NAMES], (ValueError,)),
    "csv table": Target(_table, lambda _: [*_CSV]),
    "label review": Target(_review, _reviewed),
    "MELD table": Target(_meld, lambda _: [_MELD], (ValueError,)),
    "parquet": Target(_parquet, _parquet_seeds),
    "archive": Target(_archive, _archives),
    "voice archive": Target(_voice, _archives),
    "report": Target(lambda folder: _written(folder / "report.json", Report.load), _report_seeds),
    "manifest": Target(
        _in_model(bundle.MANIFEST_FILE, bundle.read_manifest), _of_model(bundle.MANIFEST_FILE)
    ),
    "network": Target(_in_model("network.onnx", load), _of_model("network.onnx")),
    "embedding": Target(
        _part_of_model(EMBEDDING_FILE, "points.npy", _embedding),
        _of_archive(EMBEDDING_FILE, "points.npy"),
    ),
    "layers": Target(
        _part_of_model(bundle.MODEL_FILE, "config.json", bundle.load_bundle),
        _of_archive(bundle.MODEL_FILE, "config.json"),
    ),
    "weights": Target(
        _part_of_model(bundle.MODEL_FILE, "model.weights.h5", bundle.load_bundle),
        _of_archive(bundle.MODEL_FILE, "model.weights.h5"),
    ),
}
"""By name, those that are quickest first."""
