"""Run directories: what a process works on, leaves behind, and lets others see while it works.

Those of a training; other work of the app (`ser.app.evaluations`, `ser.app.answers`) has fewer:

    config.json       what was asked for
    environment.json  versions of everything that has a say
    skipped.csv       files of the corpus that are no clip, and why
    split.json        which clips trained, validated and tested
    status.json       state and progress, replaced a few times a second
    epochs.jsonl      one line per finished epoch
    checkpoint.npz    everything needed to go on after the last finished epoch
    checkpoint-refit.npz  the same, of the training on all clips that may follow (`refit`)
    calibration.npz   what networks said of corpora that were left out of their training
    notes.txt         what people wrote about it in the app
    log.txt           what the process said, if the app started it
    stop              a request to stop; the process takes it away when it has obeyed
    model.keras, manifest.json, report.json, report.html, MODEL_CARD.md

A finished run is a model bundle as it stands.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from typing_extensions import TypedDict

from ser.errors import OutputError, RunError, SerError, Stopped
from ser.utils.files import read_json, write_json, write_text
from ser.utils.validation import first_problem

log = logging.getLogger(__name__)

MOST_NOTES = 4000
"""Characters that notes about a run may have."""

BUSY_STATES = ("queued", "preparing", "training", "evaluating", "answering")
"""States of a run that a process is working on, or keeps in the queue."""
STATES = (*BUSY_STATES, "finished", "stopped", "failed", "interrupted")
"""``interrupted`` is never written: it is a busy state whose process is gone."""


class Status(BaseModel):
    """What is going on in a run, as far as its file can be read."""

    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)

    state: str = "preparing"
    """One of `STATES`."""

    message: str = "Starting"
    """What is being done, or how it ended, for people."""

    done: int = 0
    """Steps of the stage that are done."""

    total: int = 0
    """All steps of the stage; 0 if that is not known."""

    stage: int = 1
    """Which part of the state that is, from 1."""

    stages: int = 1
    """How many parts the state has."""

    since: str = ""
    """When the stage began, as ISO 8601 in UTC."""

    begun_with: int = 0
    """Steps that were done before this process."""

    updated: str = ""
    """When this was written, as ISO 8601 in UTC."""

    worked: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    """Seconds that processes have worked on the run, which does not count the queue."""

    @field_validator("state")
    @classmethod
    def _is_known(cls, state: str) -> str:
        if state not in STATES:
            raise ValueError("no state of a run")
        return state

    @field_validator("since", "updated")
    @classmethod
    def _is_time(cls, time: str) -> str:
        if time:
            datetime.fromisoformat(time)
        return time

    @classmethod
    def read(cls, file: Path) -> Status:
        """Read a status; what is missing or wrong, by a crash or another version, stays as here."""
        try:
            found = read_json(file)
        except (OSError, ValueError):
            return cls()
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            wrong = {problem["loc"][0] for problem in error.errors()}
            return cls.model_validate({k: v for k, v in found.items() if k not in wrong})


class SplitNames(BaseModel):
    """Which clips a run trains and tests on."""

    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)

    corpus: str
    """See `ser.data.corpora.fingerprint`."""

    train: list[str]
    """File names of the clips that train."""

    validation: list[str]
    """Of those that watch and calibrate."""

    test: list[str]
    """Of those that nothing was learned from."""


class Epoch(TypedDict):
    """What is on record of an epoch; loss and accuracy are of speech alone."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


_EPOCH: TypeAdapter[Any] = TypeAdapter(Epoch)


class Run:
    """One run directory.

    Parameters
    ----------
    folder : str or Path
        Made by `create`; need not exist yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = FileLock(self.folder / ".lock")
        self._last_status = 0.0
        self._last_words: tuple[str, int, str] | None = None
        self._since, self._began_with = "", 0
        self._worked = 0.0

    def create(self, config: dict[str, Any]) -> None:
        """Make the folder with its configuration.

        Raises
        ------
        RunError
            If there is already something in the folder: results are never overwritten.
        """
        self.refuse_if_used()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock.acquire(timeout=10):  # of two who begin at once, one comes second
                self.refuse_if_used()
                write_json(self.folder / "config.json", config)
        except Timeout:
            raise self._used() from None
        except OSError as error:
            raise OutputError(f"Cannot write {self.folder}: {error.strerror or error}.") from None

    def refuse_if_used(self) -> None:
        """Refuse a folder in which there is already something, see `create`."""
        if self.folder.exists() and (
            not self.folder.is_dir() or any(not _is_leftover(p) for p in self.folder.iterdir())
        ):
            raise self._used()

    def _used(self) -> RunError:
        return RunError(
            f"{self.folder} is not empty. Choose another folder, or go on with what was started "
            "there (--resume)."
        )

    def read_config(self) -> dict[str, Any]:
        """Return the configuration.

        Raises
        ------
        RunError
            If the folder is no run.
        """
        try:
            return read_json(self.folder / "config.json")
        except FileNotFoundError:
            raise RunError(
                f"{self.folder} is not a training run: it has no config.json. Check the name."
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.folder / 'config.json'} is damaged: {error}.") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that no second process works on it.

        Raises
        ------
        RunError
            If another process holds it.
        OutputError
            If the folder cannot be written to.
        """
        try:
            # A moment of patience: `is_held` of a watcher may just be looking.
            held = self._lock.acquire(timeout=2)
        except Timeout:
            raise RunError(
                f"{self.folder} is being worked on by another process. Wait for it or stop it."
            ) from None
        except OSError as error:
            raise OutputError(f"Cannot write {self.folder}: {error.strerror}.") from error
        with held:
            for path in self.folder.glob(".writing-*"):  # of a process that was killed
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            yield

    def is_held(self) -> bool:
        """Return whether a process is working on the run now."""
        try:
            if not self.folder.is_dir():
                return False
            # A moment of patience: another watcher may be looking just now.
            with FileLock(self.folder / ".lock").acquire(timeout=0.05, poll_interval=0.01):
                return False
        except Timeout:
            return True
        except OSError:  # a folder that cannot be written to: nobody can work in it
            return False

    def write_status(
        self,
        state: str,
        message: str,
        done: int = 0,
        total: int = 0,
        *,
        stage: int = 1,
        stages: int = 1,
    ) -> None:
        """Say what is going on; progress within one stage is written at most 4 times a second.

        Parameters
        ----------
        state : str
            One of `STATES`.
        message : str
            What is being done, or how it ended, for people.
        done, total : int
            Steps of the stage; a total of 0 is not known.
        stage, stages : int
            Which of how many parts the state has, from 1.
        """
        now = time.monotonic()
        words = (state, stage, message)
        same = self._last_words == words
        if same and done < total and now - self._last_status < 0.25:
            return
        if self._last_words is None:
            self._worked = self.read_status().worked  # by processes before this one
        elif self._last_words[0] != "queued":
            self._worked += now - self._last_status
        self._last_words, self._last_status = words, now
        updated = datetime.now(UTC).isoformat(timespec="milliseconds")
        if not same:
            log.info("%s: %s", state, message)
            self._since, self._began_with = updated, done
        status = Status(
            state=state,
            message=message,
            done=done,
            total=total,
            stage=stage,
            stages=stages,
            since=self._since,
            begun_with=self._began_with,
            updated=updated,
            worked=round(self._worked, 3),
        )
        write_json(self.folder / "status.json", status.model_dump())

    def read_notes(self) -> str:
        """Return what people wrote about it; empty if nothing, or if that cannot be read."""
        try:
            return (self.folder / "notes.txt").read_text(encoding="utf-8", errors="replace")[
                :MOST_NOTES
            ]
        except OSError:
            return ""

    def write_notes(self, text: str) -> None:
        """Keep what people write about it.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_text(self.folder / "notes.txt", text[:MOST_NOTES])

    def read_status(self) -> Status:
        """Return state, message and progress, and when what.

        A run whose process was killed reads ``interrupted``, whatever it wrote last; so does one
        whose status cannot be read.
        """
        status = Status.read(self.folder / "status.json")
        if status.state in BUSY_STATES and not self.is_held():
            words = "The process was killed. Resume the run to go on."
            return status.model_copy(update={"state": "interrupted", "message": words})
        return status

    def ask_to_stop(self) -> None:
        """Ask the process that works on the run to stop; it leaves a run that can be resumed.

        A file carries the request, since a process number may by now belong to another program.

        Raises
        ------
        RunError
            If no process works on it.
        """
        if not self.is_held():
            raise RunError(f"{self.folder.name} is not running, so there is nothing to stop.")
        write_text(self._stop_request, "")

    @property
    def is_stopping(self) -> bool:
        """Whether the process was asked to stop and has not ended yet."""
        return self._stop_request.exists()

    def forget_stop(self) -> None:
        """Take a request to stop away: it was obeyed, or meant for a process before this one."""
        try:
            self._stop_request.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot write {self.folder}: {error.strerror}.") from error

    @property
    def _stop_request(self) -> Path:
        return self.folder / "stop"

    def read_split(self) -> SplitNames:
        """Return which clips train and which test.

        Raises
        ------
        RunError
            If that is not known yet, or the file is damaged.
        """
        file = self.folder / "split.json"
        try:
            return SplitNames.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise RunError(
                f"{file} is damaged: {first_problem(error)}. Copy the run again."
            ) from error
        except OSError as error:
            raise RunError(f"{file} cannot be read: {error.strerror}.") from error

    def read_epochs(self) -> list[dict[str, Any]]:
        """Return one record per finished epoch, with what `Epoch` says.

        Raises
        ------
        RunError
            If the file is damaged.
        """
        file = self.folder / "epochs.jsonl"
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
            return [_EPOCH.validate_python(json.loads(line)) for line in lines]
        except FileNotFoundError:
            return []
        except ValidationError as error:
            raise RunError(
                f"{file} is damaged: {first_problem(error)}. Copy the run again."
            ) from error
        except (OSError, ValueError) as error:
            raise RunError(f"{file} is damaged: {error}. Copy the run again.") from error

    def write_epochs(self, epochs: Sequence[Mapping[str, Any]]) -> None:
        """Replace the record of epochs; whole, so that no reader meets half a line."""
        write_text(self.folder / "epochs.jsonl", "".join(json.dumps(e) + "\n" for e in epochs))


@contextmanager
def working_on(run: Run, *, how_far: Callable[[], str], go_on: str) -> Iterator[None]:
    """Hold a run for the work of this process, and leave in its status how that ended.

    Whoever works within says itself that it is finished.  It may be nested, with the same `Run`.

    Parameters
    ----------
    run : Run
        What is worked on.
    how_far : callable
        Says how far it has come, if the work is stopped.
    go_on : str
        How to go on then.

    Raises
    ------
    RunError
        If it is no run, is finished, or another process works on it.
    Stopped
        If the block is interrupted (Ctrl-C, SIGTERM).
    """
    run.read_config()  # refuses a folder that is no run
    with run.locked():
        if run.read_status().state == "finished":
            raise RunError(f"{run.folder} is finished. Start a new one.")
        try:
            run.write_status("preparing", "Starting")
            yield
        except Stopped:  # told already, by a block within this one
            raise
        except BaseException as error:
            if _is_interruption(error):
                words = how_far()
                run.write_status("stopped", words)
                raise Stopped(f"{words}. {go_on}") from None
            with suppress(OutputError):  # on a full disk not even this may fit
                run.write_status("failed", _in_words(error))
            raise


def _is_interruption(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C or SIGTERM, or what became of that within compiled code.

    If the signal comes while NumPy or TensorFlow call back into Python, Python makes a SystemError
    of it ("returned a result with an exception set").
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _in_words(error: BaseException) -> str:
    if isinstance(error, SerError):
        return str(error)
    first = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError):
        return f"The memory is full. Close other programs, or use fewer copies. {first}".strip()
    return f"Unexpected {type(error).__name__}: {first}"


def speed(status: Status) -> float | None:
    """Return how many steps of its stage a run did per second until its status was written."""
    done = status.done - status.begun_with
    if not (status.since and status.updated) or done <= 0:
        return None
    elapsed = datetime.fromisoformat(status.updated) - datetime.fromisoformat(status.since)
    return done / max(elapsed.total_seconds(), 0.001)


def seconds_left(status: Status) -> float | None:
    """Return how long what a status (`Run.read_status`) tells of will still take, if it is known.

    It goes on as fast as it went since it began.
    """
    done, left = status.done - status.begun_with, status.total - status.done
    if not status.since or done <= 0 or left <= 0:
        return None
    elapsed = datetime.now(UTC) - datetime.fromisoformat(status.since)
    return max(elapsed.total_seconds(), 0.0) / done * left


def _is_leftover(path: Path) -> bool:
    """Whether a file is what a killed process leaves: a lock, or something half-written."""
    return path.name == ".lock" or path.name.startswith(".writing-")


def find_runs(folder: str | Path) -> list[Run]:
    """Return the runs directly inside a folder, sorted by name."""
    return [Run(file.parent) for file in sorted(Path(folder).glob("*/config.json"))]
