"""What models, archives and reports that were made to do harm come to.

    python -m benchmarks.hostile_models [--each 286] [--json FILE]

Files of a small model are damaged at random places, get values that are not theirs, or are bombs: a
few bytes that ask for much memory.  Its manifest vouches for each of them, as that of an attacker
would.  All are opened as the app and the command line do, one after the other in a process apart.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import shutil
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from benchmarks.hostile import damaged
from benchmarks.timing import megabytes
from ser import assets, audio
from ser.data.recordings import Voice
from ser.errors import SerError
from ser.evaluation.report import Report
from ser.models import bundle
from ser.models.embedding import EMBEDDING_FILE
from ser.models.recognizer import Recognizer
from ser.utils.files import sha256_of, write_json
from ser.utils.zips import unpack

_EXTREME: tuple[Any, ...] = (
    *(0, -1, 1, 2**31 - 1, 2**31, 2**63 - 1, 10**30, 1e308, "", "x" * 10_000, "../../etc/passwd"),
    *(None, True, [], {}, [[[]]], "\x00"),
)
_BOMB = bytes(2_000_000_000 // 8)  # of zeros: a thousandth of it when packed


def small_model(folder: Path) -> None:
    """Write the bundle that is damaged."""
    from ser.models.networks import ModelConfig, build_cnn_lstm, with_activations
    from tests.tiny import tiny_embedding

    model = build_cnn_lstm(ModelConfig(filters=(8,), lstm=4))
    embedding = tiny_embedding(with_activations(model).outputs[1].shape[1])
    bundle.save_bundle(folder, model, embedding, name="small", temperature=1.0, min_confidence=0.5)


def other_values(value: Any, rng: np.random.Generator) -> Any:
    """Return a table of JSON in which some values are others."""
    if rng.random() < 0.03:
        return _EXTREME[rng.integers(len(_EXTREME))]
    if isinstance(value, dict):
        return {k: other_values(v, rng) for k, v in value.items() if rng.random() > 0.01}
    if isinstance(value, list):
        return [other_values(each, rng) for each in value]
    return value


def tables(content: bytes, count: int) -> Iterator[bytes]:
    """Return damaged copies of a JSON file: half of them other bytes, half other values."""
    rng = np.random.default_rng(1)
    yield from damaged([content], count // 2)
    for _ in range(count - count // 2):
        yield json.dumps(other_values(json.loads(content), rng)).encode()


def networks(content: bytes, count: int) -> Iterator[bytes]:
    """Return damaged copies of an ONNX file: other bytes, other nodes, and bombs."""
    import onnx

    rng = np.random.default_rng(2)
    yield from damaged([content], count // 3)
    for number in range(count - count // 3):
        model = onnx.ModelProto.FromString(content)
        graph = model.graph
        names = [*(n.output[0] for n in graph.node), *(w.name for w in graph.initializer)]
        for _ in range(rng.integers(1, 4)):
            node = graph.node[rng.integers(len(graph.node))]
            kind = rng.integers(5)
            if kind == 0 and node.input:
                node.input[rng.integers(len(node.input))] = names[rng.integers(len(names))]
            elif kind == 1:
                node.op_type = graph.node[rng.integers(len(graph.node))].op_type
            elif kind == 2:
                for attribute in node.attribute:
                    for i in range(len(attribute.ints)):
                        attribute.ints[i] = int(rng.choice([0, -1, 3, 10**5, 2**31, 2**62]))
            elif kind == 3 and graph.initializer:
                weight = graph.initializer[rng.integers(len(graph.initializer))]
                weight.dims.append(int(rng.choice([0, -1, 10**6, 2**62])))
            else:  # what a node made is grown
                _grow(graph, node, ["Concat", "Sum", "MatMul", "Add"][number % 4], rng)
        yield model.SerializeToString()


def _grow(graph: Any, node: Any, kind: str, rng: np.random.Generator) -> None:
    """Put nodes behind one that double what it makes so many times, or multiply it by itself."""
    from onnx import helper

    last, name = node.output[0], f"grown{rng.integers(10**9)}"
    node.output[0] = f"{name}-0"
    place = [*graph.node].index(node) + 1
    more = []
    depth = int(rng.integers(1, 40))
    for i in range(depth):
        attributes: dict[str, Any] = {"axis": int(rng.integers(0, 3))} if kind == "Concat" else {}
        out = last if i == depth - 1 else f"{name}-{i + 1}"
        more.append(helper.make_node(kind, [f"{name}-{i}"] * 2, [out], **attributes))
    nodes = [*graph.node]
    del graph.node[:]
    graph.node.extend([*nodes[:place], *more, *nodes[place:]])


def packages(content: bytes, count: int) -> Iterator[bytes]:
    """Return damaged copies of a zip file: other bytes, other members, and bombs."""
    rng = np.random.default_rng(3)
    yield from damaged([content], count // 2)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for number in range(count - count // 2):
        changed = dict(members)
        name = sorted(members)[number % len(members)]
        if number % 20 == 0:
            changed[name] = _BOMB
        elif number % 20 == 1:  # the header of an array, or what begins a file, and zeros
            changed[name] = members[name][:128] + _BOMB
        elif name.endswith(".json"):
            changed[name] = json.dumps(other_values(json.loads(members[name]), rng)).encode()
        elif number % 5 == 0 and members[name][:6] == b"\x93NUMPY":
            header = (
                f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10 ** (number % 19)},)}}"
            )
            size = len(header).to_bytes(2, "little")
            changed[name] = b"\x93NUMPY\x01\x00" + size + header.encode()
        else:
            changed[name] = next(damaged([members[name] or b"x"], 1))
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for each, data in changed.items():
                archive.writestr(each, data)
        yield file.getvalue()


def with_file(model: Path, name: str, work: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """Return what puts a file into a copy of the model, vouched for, and works on that."""

    def run(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(shutil.copytree(model, Path(place) / "model"))
            (folder / name).write_bytes(content)
            if name != bundle.MANIFEST_FILE:
                file = folder / bundle.MANIFEST_FILE
                manifest = json.loads(file.read_text())
                sha256 = sha256_of(folder / name)
                if name.endswith(".onnx"):
                    manifest["runtime"][name] = sha256
                else:
                    key = "model" if name == bundle.MODEL_FILE else "embedding"
                    manifest[key]["sha256"] = sha256
                write_json(file, manifest)
            work(folder)

    return run


def load(folder: Path) -> None:
    """Load a model and ask it, as the Prediction page does."""
    Recognizer.load(folder).predict(_clip())


def _clip() -> Path:
    return next(assets.SAMPLES.rglob("*.flac"))


def _corpus(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        unpack(io.BytesIO(content), Path(place) / "corpus", audio.EXTENSIONS)


def _voice(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        Voice(Path(place) / "voice").import_zip(content)


def _report(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "report.json"
        file.write_bytes(content)
        Report.load(file)


def _recordings() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for clip in sorted(assets.SAMPLES.rglob("03-01-05-*.flac"))[:3]:
            archive.write(clip, f"angry/{clip.name}")
    return file.getvalue()


_MODEL: Path
KINDS = ("manifest", "network", "embedding", "model", "voice", "corpus", "report")


def _begin(model: Path, kind: str) -> None:
    """Load what all of a kind need, or the first file would seem to take it all."""
    global _MODEL
    _MODEL = model
    load(model)
    if kind == "model":
        bundle.load_bundle(model)


def _open(kind: str, content: bytes) -> tuple[str, float, float]:
    """Return how a file ended, the seconds of a processor and the megabytes that it took."""
    work: Callable[[bytes], Any] = {
        "manifest": with_file(_MODEL, bundle.MANIFEST_FILE, load),
        "network": with_file(_MODEL, "network.onnx", load),
        "embedding": with_file(_MODEL, EMBEDDING_FILE, load),
        "model": with_file(_MODEL, bundle.MODEL_FILE, bundle.load_bundle),
        "voice": _voice,
        "corpus": _corpus,
        "report": _report,
    }[kind]
    process = multiprocessing.current_process().pid or 0
    before, begun = megabytes(process, "VmRSS"), time.process_time()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    try:
        work(content)
        ended = "read"
    except SerError as error:
        ended = error.code if str(error).strip() else "ERROR without a sentence"
    except Exception as error:  # anything else would be a stack trace for the visitor
        ended = f"ERROR {type(error).__name__}: {str(error)[:80]}"
    return ended, time.process_time() - begun, megabytes(process, "VmHWM") - before


def _files(model: Path, kind: str, count: int) -> Iterator[bytes]:
    if kind == "manifest":
        return tables((model / bundle.MANIFEST_FILE).read_bytes(), count)
    if kind == "report":
        return tables((assets.REPORTS / "quick.json").read_bytes(), count)
    if kind == "network":
        return networks((model / "network.onnx").read_bytes(), count)
    if kind in ("voice", "corpus"):
        return packages(_recordings(), count)
    file = EMBEDDING_FILE if kind == "embedding" else bundle.MODEL_FILE
    return packages((model / file).read_bytes(), count)


def outcomes(model: Path, kind: str, count: int) -> dict[str, Any]:
    """Open files of a kind, each a little different, and say what became of them."""
    ended: Counter[str] = Counter()
    longest = most = 0.0
    pool = _pool(model, kind)
    for content in tqdm(_files(model, kind, count), kind, total=count, mininterval=10):
        try:
            how, seconds, size = pool.submit(_open, kind, content).result()
        except BrokenProcessPool:
            how, seconds, size = "CRASH", 0.0, 0.0
            pool = _pool(model, kind)
        ended[how] += 1
        longest, most = max(longest, seconds), max(most, size)
    pool.shutdown()
    return {
        "files": count,
        "outcomes": dict(ended.most_common()),
        "longest_cpu_s": round(longest, 2),
        "most_mb_over_base": round(most, 1),
    }


def _pool(model: Path, kind: str) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(model, kind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=286, help="files of each kind (default: 286)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as place:
        small_model(Path(place) / "small")
        for kind in options.kinds:
            result[kind] = outcomes(Path(place) / "small", kind, options.each)
            print(kind, result[kind], flush=True)
            if options.json:
                write_json(options.json, result)


if __name__ == "__main__":
    main()
