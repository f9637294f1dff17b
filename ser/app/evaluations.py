"""Evaluations: a model tested on a corpus in a process of its own, which outlives its starter.

Each is a run in `ser.app.workspace.evaluations` (`ser.training.runs`), begun, stopped and deleted
as a training is (`ser.app.processes`).  At the end it holds ``report.json``, see
`ser.evaluation.report.Report`.

``python -m ser.app.evaluations FOLDER`` is the process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ser.app import access, audit, processes, workspace
from ser.errors import RunError
from ser.evaluation.report import Report
from ser.models import bundle
from ser.training import queue
from ser.training.config import TrainingConfig
from ser.training.runs import Run, find_runs, working_on
from ser.utils.parallel import Progress

_KEYS = {"model": str, "data": str, "protocol": str, "seed": int, "robustness": bool}


def find_evaluations() -> list[Run]:
    """Return all evaluations, sorted by name."""
    return find_runs(workspace.evaluations())


def start(
    model: str | Path, data: str | Path, *, protocol: str, seed: int = 42, robustness: bool = False
) -> Run:
    """Start to test a model on a corpus in the background.

    Parameters
    ----------
    model : str or Path
        A bundle.
    data, protocol, seed, robustness
        See `ser.evaluation.evaluate.evaluate_corpus`.

    Returns
    -------
    Run
        The evaluation; its status says how far it is.

    Raises
    ------
    BundleError
        If the model is none.
    DataError
        If the corpus holds no clip.
    RunError
        If another evaluation is still going on, as two would only slow each other down; or if the
        process did not start.
    OutputError
        If its folder cannot be written.
    """
    access.check_may_change()
    model, data = Path(model).absolute(), Path(data).absolute()
    bundle.read_manifest(model)
    workspace.scan([data])
    with processes.alone_in(workspace.evaluations()):
        evaluation = _new(f"{model.name} on {data.stem} {protocol}")
        audit.record("start evaluation", evaluation.folder.name)
        evaluation.create(
            {
                "model": str(model),
                "data": str(data),
                "protocol": protocol,
                "seed": seed,
                "robustness": robustness,
            }
        )
        launch(evaluation)
    return evaluation


def resume(evaluation: Run) -> None:
    """Start an evaluation again that was stopped, failed or whose process was killed.

    Raises
    ------
    SerError
        See `start`.
    """
    access.check_may_change()
    workspace.scan([Path(processes.settings(evaluation, _KEYS)["data"])])
    with processes.alone_in(workspace.evaluations()):
        audit.record("resume evaluation", evaluation.folder.name)
        launch(evaluation)


def report_together(runs: Sequence[Run]) -> Run:
    """Write one report about several finished trainings of one configuration.

    Parameters
    ----------
    runs : sequence of Run
        Which differ in the seed alone, or in the fold alone.

    Returns
    -------
    Run
        The evaluation that holds the report.

    Raises
    ------
    RunError
        If one is not finished, or see `ser.training.studies.one_configuration`.
    ReportError
        If the report of one is damaged.
    OutputError
        If it cannot be written.
    """
    from ser.training.studies import one_configuration, summarise

    configs = [TrainingConfig.from_json(run.read_config()) for run in runs]
    part = one_configuration(configs)
    if len({run.read_split().corpus for run in runs}) > 1:
        raise RunError("The corpus changed between these runs, so they do not belong together.")
    if configs[0].protocol == "corpora" and max(c.fold for c in configs) >= configs[0].folds:
        raise RunError("Some of these runs train on one corpus alone. Choose those on all others.")
    reports = [Report.load(run.folder / "report.json") for run in runs]
    names = [run.folder.name for run in runs]
    stem = re.sub(r"-(seed|fold)-[0-9]+$", "", names[0])
    evaluation = _new(f"{stem} {len(runs)} {part}s")
    report = summarise(evaluation.folder.name, configs, reports)
    evaluation.create({"data": configs[0].data[0], "runs": names})
    report.save(evaluation.folder / "report.json")
    evaluation.write_status("finished", f"Accuracy {report.accuracy:.1%}")
    return evaluation


def _new(words: str) -> Run:
    return processes.named(workspace.evaluations(), words)


def launch(evaluation: Run) -> None:
    """Start the process of an evaluation, the first time or again.

    Raises
    ------
    RunError, OutputError
        See `ser.app.processes.begin`.
    """
    processes.begin(evaluation, "ser.app.evaluations", str(evaluation.folder))


def run(evaluation: Run) -> None:
    """Do what an evaluation asks for; the work of its process.

    Raises
    ------
    SerError
        See `ser.evaluation.evaluate.evaluate_corpus`, and if the folder is no evaluation, or is
        finished or being worked on.
    Stopped
        If interrupted (Ctrl-C, SIGTERM) or asked to, see `ser.training.runs.Run.ask_to_stop`.
    """
    config = processes.settings(evaluation, _KEYS)
    with (
        working_on(
            evaluation, how_far=lambda: "Nothing was kept", go_on="It can be started again."
        ),
        queue.obeying_stop(evaluation),
    ):
        evaluation.write_status("preparing", "Loading the model")
        from ser.evaluation.evaluate import evaluate_corpus
        from ser.models.recognizer import Recognizer

        report = evaluate_corpus(
            Recognizer.load(config["model"]),
            config["data"],
            protocol=config["protocol"],
            seed=config["seed"],
            robustness=config["robustness"],
            progress=_progress(evaluation, stages=3 if config["robustness"] else 2),
        )
        report.save(evaluation.folder / "report.json")
        evaluation.write_status("finished", f"Accuracy {report.accuracy:.1%}")


def _progress(evaluation: Run, *, stages: int) -> Progress:
    """Return what tells in the status how far it is; whatever is new is the next stage."""
    seen: list[str] = []

    def tell(what: str, done: int, total: int) -> None:
        if what not in seen:
            seen.append(what)
        stage = seen.index(what) + 1
        evaluation.write_status("evaluating", what, done, total, stage=stage, stages=stages)

    return tell


if __name__ == "__main__":
    raise SystemExit(processes.do(run))
