"""Coverage-guided fuzzing of what reads the files and names of strangers.

    python -m benchmarks.fuzz [--targets recording manifest …] [--seconds 300] [--json FILE]

Atheris, Python's libFuzzer, changes sound files at random and goes on with those changes that lead
to code of ``ser`` and ``zipfile`` that was not reached before; libraries in C are run, but it does
not see into them.  It is no requirement of the project: in an environment that has these,
``pip install atheris==3.0.0`` (Linux).

A finding is an exception that is no `SerError` and not promised, one without a sentence, a crash of
the process, more than 10 s, or more than 600 MB above what the target has after its start.  The
inputs that led to findings are kept with ``--keep FOLDER``.  A file of results keeps those of other
targets.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

# Nothing of ser is imported here: in the process that fuzzes it must first be instrumented.
_PACKAGE = Path(__file__).resolve().parent.parent / "ser"
_SECONDS, _MEGABYTES = 10, 600
_CRASHES = {"crash": "crash", "timeout": f"more than {_SECONDS} s", "oom": "much more memory"}


class Findings:
    """The first input that leads to each finding, in a folder with what is said about it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def add(self, kind: str, message: str, data: bytes) -> None:
        name = re.sub(r"\W+", "-", kind)[:100]
        if not (self.folder / f"{name}.json").exists():
            (self.folder / name).write_bytes(data)
            (self.folder / f"{name}.json").write_text(json.dumps({kind: message[:300]}))

    def all(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for file in sorted(self.folder.glob("*.json")):
            found |= json.loads(file.read_text())
        return found


def _where(error: Exception) -> str:
    """Return the innermost function of the project that an exception came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if (file := Path(frame.filename)).is_relative_to(_PACKAGE):
            return f"{file.relative_to(_PACKAGE)}, {frame.name}"
    return "no function of ser"


def fuzz_here(name: str, place: Path, seconds: int) -> None:
    """Fuzz one target in this process, which ends by it."""
    import atheris

    with atheris.instrument_imports(include=["ser", "zipfile"]):
        from benchmarks.fuzz_targets import TARGETS
        from benchmarks.timing import megabytes
        from ser.errors import SerError

    target, findings = TARGETS[name], Findings(place / "findings")
    with tempfile.TemporaryDirectory() as folder:
        work = target.make(Path(folder))
        limit = float("inf")

        def one(data: bytes) -> None:
            try:
                work(data)
            except target.promised:
                pass
            except SerError as error:
                if not str(error).strip():
                    findings.add(f"no sentence in {_where(error)}", type(error).__name__, data)
            except Exception as error:  # anything else would be a stack trace for the visitor
                kind = f"{type(error).__name__} in {_where(error)}"
                findings.add(kind, str(error), data)
            if (peak := megabytes(os.getpid(), "VmHWM")) > limit:
                findings.add(f"more than {_MEGABYTES} MB", f"{peak - limit:.0f} MB more", data)
                Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew

        for seed in (place / "corpus").glob("seed-*"):
            one(seed.read_bytes())  # loads what is loaded when it is needed first
        Path("/proc/self/clear_refs").write_text("5")
        limit = megabytes(os.getpid(), "VmRSS") + _MEGABYTES
        arguments = {
            "max_total_time": seconds,
            "timeout": _SECONDS,
            "rss_limit_mb": round(limit) + 2_000,  # libFuzzer ends the process there
            "artifact_prefix": f"{place}/",
            "print_final_stats": 1,
            "close_fd_mask": 3,  # decoders complain at length
        }
        flags = [f"-{flag}={value}" for flag, value in arguments.items()]
        atheris.Setup([sys.argv[0], *flags, str(place / "corpus")], one)
        atheris.Fuzz()


def fuzz(name: str, seconds: int, keep: Path | None) -> dict[str, Any]:
    """Fuzz a target in processes of its own, a new one after each that crashed."""
    from benchmarks.fuzz_targets import TARGETS

    executions = edges = 0
    with tempfile.TemporaryDirectory() as temporary:
        place = keep / name if keep else Path(temporary)
        findings = Findings(place / "findings")
        (place / "corpus").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as empty:
            for number, seed in enumerate(TARGETS[name].seeds(Path(empty))):
                (place / "corpus" / f"seed-{number}").write_bytes(seed)
        end = time.monotonic() + seconds
        while (left := round(end - time.monotonic())) > 0:
            command = [sys.executable, "-m", "benchmarks.fuzz", "--here", name, str(place)]
            process = subprocess.run(
                [*command, "--seconds", str(left)], capture_output=True, text=True, errors="replace"
            )
            said = process.stderr
            executions += max(map(int, re.findall(r"^#(\d+)\s", said, re.M)), default=0)
            edges = max(edges, *map(int, re.findall(r"cov: (\d+)", said)), 0)
            if process.returncode == 0:
                break
            crashes = [file for file in place.iterdir() if file.name.split("-")[0] in _CRASHES]
            if not crashes:
                raise SystemExit(said[-3000:])
            for file in crashes:
                reason = re.search(r"^==\d+== ?(?:ERROR: )?(.*)", said, re.M)
                kind = _CRASHES[file.name.split("-")[0]]
                findings.add(kind, reason[1] if reason else "", file.read_bytes())
                file.unlink()
        return {
            "seconds": seconds,
            "executions": executions,
            "edges": edges,
            "findings": findings.all(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", nargs="+", metavar="NAME", help="by default all")
    parser.add_argument("--seconds", type=int, default=300, help="for each target (default: 300)")
    parser.add_argument("--keep", type=Path, help="keep inputs and findings in this new folder")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        fuzz_here(options.here[0], Path(options.here[1]), options.seconds)
    from benchmarks.fuzz_targets import TARGETS
    from ser.utils.files import read_json, write_json

    result = read_json(options.json) if options.json and options.json.exists() else {}
    for name in options.targets or TARGETS:
        result[name] = fuzz(name, options.seconds, options.keep)
        print(name, result[name], flush=True)
        if options.json:
            write_json(options.json, result)


if __name__ == "__main__":
    main()
