"""Trials: a model tested on a corpus in a process of its own, which outlives whoever started it.

Every trial is a folder in `ser.app.workspace.evaluations`, laid out as that of a training
(`ser.training.runs`) and begun, stopped and deleted like one (`ser.app.processes`).  At the end it
holds ``report.json``, see `ser.evaluation.report.Report`.

``python -m ser.app.evaluations FOLDER`` is the process.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from filelock import FileLock

from ser.app import processes, workspace
from ser.errors import RunError, SerError, Stopped
from ser.models import bundle
from ser.training.runs import BUSY_STATES, Run, find_runs

PROTOCOLS = ("random", "all")
_KEYS = {"model": str, "data": str, "protocol": str, "seed": int, "robustness": bool}


def find_trials() -> list[Run]:
    """Return all trials, sorted by name."""
    return find_runs(workspace.evaluations())


def start(
    model: str | Path, data: str | Path, *, protocol: str, seed: int = 42, robustness: bool = False
) -> Run:
    """Start to test a model on a corpus in the background.

    Parameters
    ----------
    model : str or Path
        A bundle.
    data, protocol, seed, trust
        See `ser.evaluation.evaluate.evaluate_corpus`.

    Returns
    -------
    Run
        The trial; its status says how far it is.

    Raises
    ------
    BundleError
        If the model is none.
    DataError
        If the corpus holds no clip.
    RunError
        If another trial is still going on, as two would only slow each other down; or if the
        process did not start.
    OutputError
        If its folder cannot be written.
    """
    from ser.data import corpora

    model, data = Path(model).absolute(), Path(data).absolute()
    bundle.read_manifest(model)
    corpora.scan(data)
    folder = workspace.evaluations()
    folder.mkdir(parents=True, exist_ok=True)
    # Patience for as long as a process may take to begin: until then nobody sees that it is busy.
    with FileLock(folder / ".lock", timeout=60):
        for other in find_trials():
            if other.read_status()["state"] in BUSY_STATES:
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
                "robustness": robustness,
            }
        )
        launch(trial)
    return trial


def _free(words: str) -> Path:
    """Return a folder that does not exist yet, with a name made of words."""
    base = re.sub(r"[^A-Za-z0-9._]+", "-", words).strip("-.")
    names = [base, *(f"{base}-{number}" for number in range(2, 10_000))]
    folder = workspace.evaluations()
    return next(folder / name for name in names if not (folder / name).exists())


def launch(trial: Run) -> None:
    """Start the process of a trial, the first time or again.

    Raises
    ------
    RunError, OutputError
        See `ser.app.processes.begin`.
    """
    processes.begin(trial, "ser.app.evaluations", str(trial.folder))


def run(trial: Run) -> None:
    """Do what a trial asks for; the work of its process.

    Raises
    ------
    SerError
        See `ser.evaluation.evaluate.evaluate_corpus`, and if the folder is no trial or is being
        worked on.
    Stopped
        If `ser.training.runs.Run.ask_to_stop` was called.
    """
    config = trial.read_config()
    if wrong := [k for k, kind in _KEYS.items() if not isinstance(config.get(k), kind)]:
        raise RunError(f"{trial.folder / 'config.json'} is damaged: {wrong[0]} is missing.")
    with trial.locked():
        trial.folder.joinpath("stop").unlink(missing_ok=True)  # meant for a process before this one
        progress = _Progress(trial, stages=3 if config["robustness"] else 2)
        try:
            trial.write_status("preparing", "Loading the model")
            from ser.evaluation.evaluate import evaluate_corpus
            from ser.models.recognizer import Recognizer

            recognizer = Recognizer.load(config["model"])
            report = evaluate_corpus(
                recognizer,
                config["data"],
                protocol=config["protocol"],
                seed=config["seed"],
                robustness=config["robustness"],
                progress=progress,
            )
            report.save(trial.folder / "report.json")
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
        trial.write_status("finished", f"Accuracy {report.accuracy:.1%}")


class _Progress:
    """Says which of a trial's stages it is in and how far, and stops it where that was asked."""

    def __init__(self, trial: Run, *, stages: int) -> None:
        self._trial, self._stages = trial, stages
        self._seen: list[str] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        request = self._trial.folder / "stop"
        if request.exists():
            request.unlink()
            raise Stopped("Nothing was kept; it can be started again.")
        if what not in self._seen:
            self._seen.append(what)
        stage = f"{what} ({self._seen.index(what) + 1} of {self._stages})"
        self._trial.write_status("evaluating", stage, done, total)


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
