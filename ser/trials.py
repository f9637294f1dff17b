"""Trials: a model tested on a corpus in a process of its own, which outlives whoever started it.

Every trial is a folder in ``evaluations`` of the app's folder (`ser.workspace.folder`):

    config.json   what was asked for
    status.json   state, progress and seconds left, replaced a few times a second
    stop          made by `stop`; the process looks for it
    log.txt       what the process wrote
    report.json   at the end, see `ser.report.test`

``python -m ser.trials FOLDER`` is that process.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from ser import bundle, workspace
from ser.errors import RunError, SerError, Stopped
from ser.files import write_json
from ser.runs import BUSY_STATES, Run

PROTOCOLS = ("reference", "all")
_KEYS = {"model": str, "data": str, "protocol": str, "seed": int, "trust": bool}

# Of this server: a process that has just been started does not hold its folder yet.
_started: dict[Path, subprocess.Popen[bytes]] = {}


def folder() -> Path:
    """Return the folder of all trials."""
    return workspace.folder() / "evaluations"


def find_trials() -> list[Run]:
    """Return all trials, sorted by name."""
    return [Run(file.parent) for file in sorted(folder().glob("*/config.json"))]


def start(
    model: str | Path, data: str | Path, *, protocol: str, seed: int = 42, trust: bool = False
) -> Run:
    """Start to test a model on a corpus in the background.

    Parameters
    ----------
    model : str or Path
        A bundle.
    data, protocol, seed, trust
        See `ser.report.test_corpus`.

    Returns
    -------
    Run
        The trial; `status` says how far it is.

    Raises
    ------
    BundleError
        If the model is none.
    DataError
        If the corpus holds no clip.
    RunError
        If another trial is still going on: two would only slow each other down.
    OutputError
        If its folder cannot be written.
    """
    from ser import corpora

    model, data = Path(model).absolute(), Path(data).absolute()
    bundle.read_manifest(model)
    corpora.scan(data)
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(folder() / ".lock", timeout=10):
        for other in find_trials():
            if status(other)["state"] in BUSY_STATES:
                raise RunError(
                    f"The evaluation {other.folder.name} is still going on. Wait for it or stop it."
                )
        trial = Run(_free(f"{model.name} on {data.stem} {protocol}"))
        trial.create(
            {
                "model": str(model),
                "data": str(data),
                "protocol": protocol,
                "seed": seed,
                "trust": trust,
            }
        )
        launch(trial)
    return trial


def _free(words: str) -> Path:
    """Return a folder that does not exist yet, with a name made of words."""
    base = re.sub(r"[^A-Za-z0-9._]+", "-", words).strip("-.")
    names = [base, *(f"{base}-{number}" for number in range(2, 10_000))]
    return next(folder() / name for name in names if not (folder() / name).exists())


def launch(trial: Run) -> None:
    """Start the process of a trial, the first time or again.

    Raises
    ------
    RunError
        If the process cannot be started.
    """
    trial.folder.joinpath("stop").unlink(missing_ok=True)
    trial.write_status("preparing", "Starting")
    try:
        with trial.folder.joinpath("log.txt").open("wb") as log:
            _started[trial.folder] = subprocess.Popen(
                [sys.executable, "-m", "ser.trials", str(trial.folder)],
                cwd=workspace.PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise RunError(f"The evaluation cannot be started: {error.strerror}.") from error


def stop(trial: Run) -> None:
    """Ask a trial to stop; it does so after the clip it is at."""
    if trial.folder.is_dir():
        trial.folder.joinpath("stop").touch()


def delete(trial: Run) -> None:
    """Remove a trial with its report.

    Raises
    ------
    RunError
        If it is still going on, or cannot be removed.
    """
    if status(trial)["state"] in BUSY_STATES:
        raise RunError(f"The evaluation {trial.folder.name} is still going on. Stop it first.")
    try:
        shutil.rmtree(trial.folder)
    except OSError as error:
        raise RunError(f"{trial.folder} cannot be removed: {error.strerror}.") from error


def status(trial: Run) -> dict[str, Any]:
    """Return state, message, progress (``done``, ``total``) and ``seconds_left`` if known.

    The states are those of `ser.runs.STATES`.
    """
    process = _started.get(trial.folder)
    running = process is not None and process.poll() is None
    found = trial.read_status()
    if found["state"] == "interrupted":
        if running:
            return found | {"state": "preparing", "message": "Starting"}
        found["message"] = "Its process ended before it was done. Start it again."
    return found


def run(trial: Run) -> None:
    """Do what a trial asks for; the work of its process.

    Raises
    ------
    SerError
        See `ser.report.test_corpus`, and if the folder is no trial or is being worked on.
    Stopped
        If `stop` was called.
    """
    config = trial.read_config()
    if wrong := [k for k, kind in _KEYS.items() if not isinstance(config.get(k), kind)]:
        raise RunError(f"{trial.folder / 'config.json'} is damaged: {wrong[0]} is missing.")
    with trial.locked():
        progress = _Progress(trial, stages=3 if config["trust"] else 2)
        try:
            progress.write("Loading the model", 0, 0)
            from ser import report
            from ser.recognizer import Recognizer

            recognizer = Recognizer.load(config["model"])
            result, _ = report.test_corpus(
                recognizer,
                config["data"],
                protocol=config["protocol"],
                seed=config["seed"],
                trust=config["trust"],
                progress=progress,
            )
            write_json(trial.folder / "report.json", result, indent=None)
        except Stopped as stopped:
            trial.write_status("stopped", str(stopped))
            raise
        except SerError as error:
            trial.write_status("failed", str(error))
            raise
        except BaseException:
            trial.write_status(
                "failed", f"A defect of this program; {trial.folder}/log.txt has it."
            )
            raise
        trial.write_status("finished", f"Accuracy {result['accuracy']:.1%}")


class _Progress:
    """Writes the status of a trial, with the time that the stage it is in still needs."""

    def __init__(self, trial: Run, *, stages: int) -> None:
        self._trial, self._stages = trial, stages
        self._stage, self._number, self._began, self._written = "", 0, 0.0, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._trial.folder.joinpath("stop").exists():
            raise Stopped("Stopped. Nothing was kept; it can be started again.")
        now = time.monotonic()
        if what != self._stage:
            self._stage, self._number, self._began = what, self._number + 1, now
        elif now - self._written < 0.25 and done < total:
            return
        self._written = now
        self.write(f"{what} ({self._number} of {self._stages})", done, total)

    def write(self, message: str, done: int, total: int) -> None:
        left = (time.monotonic() - self._began) / done * (total - done) if done else None
        write_json(
            self._trial.folder / "status.json",
            {
                "state": "evaluating",
                "message": message,
                "done": done,
                "total": total,
                "seconds_left": left,
                "updated": datetime.now(UTC).isoformat(timespec="milliseconds"),
            },
        )


def main() -> int:
    """Run the trial in the folder that is the only argument; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        run(Run(sys.argv[1]))
    except (SerError, Stopped) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
