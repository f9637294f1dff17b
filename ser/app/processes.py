"""Work as processes of its own: started by the app, and alive without it.

What is said here of trainings holds for evaluations (`ser.app.evaluations`) and answers about
folders (`ser.app.answers`) too.  Nothing about them is kept in memory.  A run is running while a
process holds its lock, it is stopped by a file that the process finds, and it waits for its turn by
looking at the runs beside it.  So the app may end, start again, or be opened twice, and no process
number is ever trusted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from ser import assets
from ser.app import access, audit, workspace
from ser.data.corpora import Corpus
from ser.errors import OutputError, RunError, SerError, Stopped
from ser.training import pipeline, queue
from ser.training.config import TrainingConfig
from ser.training.runs import BUSY_STATES, Run, find_runs
from ser.utils.files import free_path, locked

LOG_FILE = "log.txt"
_LOG_BYTES = 20_000


def free_name(preferred: str) -> str:
    """Return a name that no run of the app has: the one wished for, or with a number added."""
    return free_path(workspace.folder(), preferred, taken=workspace.TAKEN).name


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a new run.

    Raises
    ------
    RunError
        If it is impossible or taken.
    """
    if not workspace.NAME.fullmatch(name):
        raise RunError(
            f"{name!r} cannot be the name of a run. Use letters (a to z), digits, - and _, at "
            "most 60, and begin with a letter or digit."
        )
    if name in workspace.TAKEN:
        raise RunError(f"{name} is the name of something else here. Choose another name.")
    if (workspace.folder() / name).exists():
        raise RunError(f"There is a run called {name} already. Choose another name.")


def check_room(more: int = 1) -> None:
    """Refuse more trainings than one member of a team may have.

    Parameters
    ----------
    more : int
        How many are to be started.

    Raises
    ------
    RunError
    """
    if not access.is_team():
        return
    most = access.team().trainings
    busy = sum(run.read_status().state in BUSY_STATES for run in workspace.runs())
    if busy + more > most:
        raise RunError(
            f"One person can have {most} trainings running and waiting here. You have {busy} and "
            f"want {more} more: wait for one to end, or stop one."
        )


def start(name: str, config: TrainingConfig) -> Run:
    """Make a run of the app and begin to train it, or have it wait for its turn.

    Parameters
    ----------
    name : str
        Of its folder: letters without accents, digits, ``-`` and ``_``; at most 60.
    config : TrainingConfig
        What to train.

    Returns
    -------
    Run

    Raises
    ------
    DataError
        If the corpus cannot be used, or whoever is served may not train.
    RunError
        If the name is impossible or taken, or the process did not start.
    OutputError
        If the folder cannot be made.
    """
    access.check_may_change()
    check_name(name)
    # A corpus that cannot be used, or is too small, is refused before anything is made.
    clips = _scan(config).clips
    pipeline.split_of(config, clips.assign(audio=clips["path"]))
    with _one_by_one():
        check_room()
        audit.record("start training", name)
        run = pipeline.start(workspace.folder() / name, config)
        launch(run)
    for location in config.data:
        workspace.remember_corpus(location)
    return run


def _one_by_one() -> AbstractContextManager[None]:
    """Let trainings begin one after the other, or several at once would find the same room."""
    return locked(workspace.folder(), timeout=60, name=".starting")


def resume(run: Run) -> None:
    """Go on with a run that was stopped, failed or was killed.

    Raises
    ------
    DataError
        If its corpus cannot be used.
    RunError, OutputError
        See `launch`.
    """
    access.check_may_change()
    _scan(TrainingConfig.from_json(run.read_config()))
    with _one_by_one():
        check_room()
        audit.record("resume training", run.folder.name)
        launch(run)


def _scan(config: TrainingConfig) -> Corpus:
    if config.backgrounds:
        access.check_readable([config.backgrounds])
    return workspace.scan(config.data)


def stop(run: Run) -> None:
    """Ask what works on a run to stop.

    Raises
    ------
    OutputError
        If it cannot be asked.
    """
    audit.record("stop", run.folder.name)
    run.ask_to_stop()


def launch(run: Run) -> None:
    """Train a run, or go on with it, in a process that outlives this one.

    Raises
    ------
    RunError, OutputError
        See `begin`.
    """
    members = [str(access.members())] if access.is_team() else []
    begin(run, "ser.cli.background", str(run.folder), *members)


def begin(run: Run, *module: str) -> None:
    """Start ``python -m …``, a module that works on a run, as a process that outlives this one.

    Returns as soon as the process has taken the run in hand and says so in its status.

    Parameters
    ----------
    run : Run
        What it works on; the process writes its log there.
    *module : str
        Name of the module and its arguments.

    Raises
    ------
    RunError
        If a process works on it already, or the new one ended with a reason.
    OutputError
        If its log cannot be written.
    """
    if run.is_held():
        raise RunError(f"{run.folder.name} is running already.")
    windows = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")
    try:
        with (run.folder / LOG_FILE).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "-X", "utf8", "-m", *module],
                cwd=working_folder(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the app's terminal, or closing it, is not meant for the process.
                start_new_session=True,
                creationflags=sum(getattr(subprocess, flag, 0) for flag in windows),
            )
    except OSError as error:
        raise OutputError(f"Cannot start {run.folder.name}: {error.strerror or error}.") from error
    # Somebody must ask how it ended, or it stays in the system's table as long as the app runs.
    Thread(target=process.wait, daemon=True).start()
    while process.poll() is None:
        if run.is_held() and run.read_status().state in BUSY_STATES:
            return
        time.sleep(0.05)
    if process.returncode:
        reason = (read_log(run).strip().splitlines() or ["it gave no reason"])[-1]
        raise RunError(f"{run.folder.name} did not start: {reason.removeprefix('ser: ')}")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let a run begin in a folder whose runs would only slow each other down.

    Raises
    ------
    RunError
        If another one is still going on.
    OutputError
        If the folder cannot be written.
    """
    # Patience for as long as a process may take to begin: until then nobody sees that it is busy.
    with locked(folder, timeout=60):
        for other in find_runs(folder):
            if other.read_status().state in BUSY_STATES:
                raise RunError(f"{other.folder.name} is still going on. Wait for it or stop it.")
        yield


def named(folder: Path, words: str) -> Run:
    """Return a run in a folder that does not exist yet, with a name made of words."""
    return Run(free_path(folder, re.sub(r"[^A-Za-z0-9._]+", "-", words).strip("-.") or "run"))


def do(work: Callable[[Run], None]) -> int:
    """Do the work of a process on the run that is its only argument; returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    queue.log_steps()
    try:
        work(Run(sys.argv[1]))
    except (SerError, Stopped) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def working_folder() -> Path:
    """Return the folder that processes of the app work in, made if it is missing.

    A checkout that is not installed is imported from there; what is installed is imported from
    anywhere, and its own folder is no place to work in.
    """
    folder = assets.ROOT if assets.IS_CHECKOUT else workspace.folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot write {folder}: {error.strerror}.") from error
    return folder


def settings(run: Run, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return what a run of the app was asked to do.

    Parameters
    ----------
    run : Run
        An evaluation, or answers about a folder.
    kinds : mapping of str to type
        What its configuration must hold.

    Raises
    ------
    RunError
        If it is damaged.
    """
    config = run.read_config()
    if wrong := [name for name, kind in kinds.items() if not isinstance(config.get(name), kind)]:
        raise RunError(f"{run.folder / 'config.json'} is damaged: {wrong[0]} is missing.")
    return config


def read_log(run: Run) -> str:
    """Return the end of what the run's process said; empty if it said nothing."""
    try:
        with (run.folder / LOG_FILE).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - _LOG_BYTES, 0))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def rename(run: Run, name: str) -> Run:
    """Give a training another name; its model stays the active one if it was.

    Raises
    ------
    RunError
        If a process works on it, or see `check_name`.
    OutputError
        If it cannot be moved.
    """
    check_name(name)
    if run.is_held():
        raise RunError(f"{run.folder.name} is being worked on. Wait for it or stop it.")
    audit.record("rename", f"{run.folder.name} to {name}")
    renamed = Run(workspace.folder() / name)
    workspace.move_model(run.folder, renamed.folder)
    return renamed


def delete(run: Run) -> None:
    """Delete a training or other work of the app with everything in its folder.

    Raises
    ------
    RunError
        If it is running, or none of the app's.
    OutputError
        If a file cannot be deleted.
    """
    folder = run.folder.absolute()
    own = (workspace.folder(), workspace.evaluations(), workspace.answers())
    other = folder.parent == workspace.folder() and folder.name in workspace.TAKEN
    if folder.parent not in own or other or folder.is_symlink() or not folder.is_dir():
        raise RunError(f"{folder} is not a folder in {workspace.folder()}, so it is not deleted.")
    if any(inner.is_held() for inner in find_runs(folder)):
        raise RunError(f"{folder.name} is being worked on. Wait for it or stop it.")
    audit.record("delete", folder.name)
    workspace.forget_model(folder)
    try:
        with run.locked():
            # config.json makes it a run, so while anything is left it can still be deleted.
            keep = (".lock", "config.json")
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name not in keep:
                    path.unlink()
            (folder / "config.json").unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(
            f"Cannot delete {folder}: {error.strerror or error}. Delete it by hand."
        ) from error
