"""Answers: a model asked about all clips of a folder by a process that outlives its starter.

Each is a run in `ser.app.workspace.answers` (`ser.training.runs`), begun, stopped and deleted as a
training is (`ser.app.processes`).  What it has done is kept shard by shard in `store`, as by
``ser predict FOLDER --out STORE``, so it goes on where it was.

``python -m ser.app.answers FOLDER`` is the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ser.app import access, audit, processes, workspace
from ser.errors import DataError, Stopped
from ser.models import bundle
from ser.shards.manifest import find_clips
from ser.shards.store import count_kept
from ser.training import queue
from ser.training.runs import Run, find_runs, working_on
from ser.utils.places import Place, is_url, to_place

_KEYS = {"model": str, "data": str, "emotions": list, "cluster": str}
_PER_SHARD = 100  # so that a bar moves every few seconds, and to stop costs no more than that
_GO_ON = "It can go on from there."


def find_all() -> list[Run]:
    """Return all answers about folders, sorted by name."""
    return find_runs(workspace.answers())


def place(run: Run) -> Place:
    """Return the folder, manifest or address of a store whose clips are answered.

    Raises
    ------
    RunError
        If that cannot be read.
    """
    return to_place(processes.settings(run, _KEYS)["data"])


def store(run: Run) -> Path:
    """Return where the answers are kept, see docs/scale.md."""
    return run.folder / "store"


def start(
    model: str | Path, data: Place, *, emotions: Sequence[str] = (), cluster: str = ""
) -> Run:
    """Start to ask a model about all clips of a folder in the background.

    Parameters
    ----------
    model : str or Path
        A bundle.
    data : str or Path
        A folder of recordings, or a manifest (``.parquet``); also in an object store, such as
        ``s3://bucket/folder``.
    emotions : sequence of str
        Which are possible; none given, all are.
    cluster : str
        Address of a Dask scheduler, such as ``tcp://host:8786``; without it this computer works.

    Returns
    -------
    Run
        Its status says how far it is.

    Raises
    ------
    BundleError
        If the model is none.
    DataError
        If there is no clip, or whoever is served may not have them answered so.
    RunError
        If others are still being answered, or the process did not start.
    OutputError
        If its folder cannot be written.
    """
    model = Path(model).absolute()
    data = to_place(str(data))
    data = data if is_url(data) else Path(data).absolute()
    if cluster and access.mode() != access.ALONE:
        raise DataError("This server works by itself. Leave the Dask scheduler empty.")
    bundle.read_manifest(model)
    if len(emotions) == 1:
        raise DataError("Which emotions are possible? Choose two or more of them, or none.")
    _check(data)
    with processes.alone_in(workspace.answers()):
        run = processes.named(workspace.answers(), f"{Path(data).stem} by {model.name}")
        audit.record("start answers", run.folder.name)
        run.create(
            {
                "model": str(model),
                "data": str(data),
                "emotions": list(emotions),
                "cluster": cluster,
            }
        )
        _launch(run)
    return run


def resume(run: Run) -> None:
    """Go on with answers that were stopped, failed or whose process was killed.

    Raises
    ------
    SerError
        See `start`.
    """
    _check(place(run))
    with processes.alone_in(workspace.answers()):
        audit.record("resume answers", run.folder.name)
        _launch(run)


def kept_in_words(run: Run) -> str:
    """Say how much of it is done and need not be done again."""
    done, total = count_kept(store(run), size=_PER_SHARD)
    return f"{done} of {total} clips are done and kept" if done else "Nothing is done yet"


def _check(data: Place) -> None:
    """Refuse a place without clips, or with some that whoever is served may not have answered."""
    if not access.may_change():
        raise DataError("Only members of a team have folders answered on this server.")
    access.check_readable([data])
    if isinstance(data, Path) and data.is_file() and data.suffix.lower() != ".parquet":
        raise DataError(f"{data} is a file. Give a folder of recordings, or a manifest (.parquet).")
    if next(find_clips([data]), None) is None:
        raise DataError(f"{data} lists no clip.")
    access.check_readable(clip.path for clip in find_clips([data]))


def _launch(run: Run) -> None:
    processes.begin(run, "ser.app.answers", str(run.folder))


def answer(run: Run) -> None:
    """Answer all clips; the work of the process.

    Raises
    ------
    SerError
        See `ser.shards.prediction.predict_into`, and if the folder is no such run, or is finished
        or being worked on.
    Stopped
        If interrupted (Ctrl-C, SIGTERM) or asked to, see `ser.training.runs.Run.ask_to_stop`.
    """
    config = processes.settings(run, _KEYS)

    def tell(what: str, done: int, total: int) -> None:
        run.write_status("answering", what, done, total)

    with (
        working_on(run, how_far=lambda: kept_in_words(run), go_on=_GO_ON),
        queue.obeying_stop(run),
    ):
        run.write_status("preparing", "Loading the model and looking for clips")
        from ser.shards.prediction import predict_into

        try:
            good, bad = predict_into(
                store(run),
                [config["data"]],
                model=config["model"],
                emotions=config["emotions"],
                resume=True,
                size=_PER_SHARD,
                cluster=config["cluster"],
                progress=tell,
                go_on=_GO_ON,
            )
        except Stopped:
            run.write_status("stopped", kept_in_words(run))
            raise
        words = f"{good} answer{'s' * (good != 1)}"
        if bad:
            words += f", {bad} clip{'s' * (bad != 1)} cannot be used"
        run.write_status("finished", words)


if __name__ == "__main__":
    raise SystemExit(processes.do(answer))
