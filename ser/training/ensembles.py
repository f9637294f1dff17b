"""The members of one network trained over a cluster, each by a process of its own.

They share no weights, and learn there exactly what they learn side by side in one process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.data.features import StoredFeatures, StoredRows
from ser.errors import RunError, SerError, Stopped
from ser.models.networks import members_of
from ser.training import fitting, queue, runs
from ser.training.cluster_runs import by_process, spread_runs
from ser.training.config import TrainingConfig
from ser.training.examples import Stored
from ser.training.runs import Run
from ser.utils.files import atomic_path

MEMBERS = "members"
"""Folder in a run that holds what its members have learned until it is finished."""

_CLIPS = "clips.npz"


def check(config: TrainingConfig) -> None:
    """Refuse a network that has no members which learn apart.

    Raises
    ------
    RunError
        If it is one network, or reads an encoder.
    """
    if config.model.encoder or config.model.members < 2:
        raise RunError(
            "--cluster spreads the members of an ensemble without an encoder, such as of --preset "
            "full. Leave it out; folds and seeds are spread by ser crossval."
        )


def fit_members(
    training: Stored,
    targets: npt.NDArray[np.float32],
    validation: dict[str, StoredRows] | None = None,
    y_validation: npt.NDArray[np.integer] | None = None,
    *,
    config: TrainingConfig,
    run: Run,
    cluster: str,
    n_jobs: int,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a network as `ser.training.fitting.fit` does, each member apart.

    Parameters
    ----------
    training, targets, validation, y_validation, config, run
        See there; the run lies in a folder that every worker sees.
    cluster : str
        See `ser.shards.cluster.opened`; if empty, what is left to learn is learned in this process.
    n_jobs : int
        Workers of a local cluster, each of which trains one member at a time; -1 is one per core.

    Returns
    -------
    model : keras.Model
        The network with its averaged weights.
    epochs : list of dict
        The record of every epoch; its ``seconds`` are those of the slowest member.

    Raises
    ------
    SerError
        See `ser.shards.cluster.opened`; or what a training fails with.
    """
    folder = run.folder.absolute() / MEMBERS / ("first" if validation else "again")
    folder.mkdir(parents=True, exist_ok=True)
    _write_clips(folder / _CLIPS, training, targets, validation, y_validation)
    members = [Run(folder / f"member-{i + 1}") for i in range(config.model.members)]
    for each in members:
        if not (each.folder / "config.json").exists():
            each.create(config.to_json())
    words = "Training the members" if validation else "Training the members again, on all clips"

    def progress(done: int) -> None:
        run.write_status("training", words, done, len(members))

    left = [each for each in members if not _is_finished(each)]
    done = len(members) - len(left)
    progress(done)
    if left and cluster:
        spread_runs(
            partial(train_member, cwd=os.getcwd()),
            left,
            cluster=cluster,
            n_jobs=n_jobs,
            done=done,
            progress=progress,
        )
    found = []
    for number, each in enumerate(members):
        with each.locked():  # its process may have outlived the command that began it
            found.append(_fit(each, number))
        if not cluster:
            progress(number + 1)
    model = found[0][0]
    for number, (other, _) in enumerate(found):
        members_of(model)[number].set_weights(members_of(other)[number].get_weights())
    epochs = fitting.joined_epochs([records for _, records in found], y_validation)
    if validation:
        run.write_epochs(epochs)
    return model, epochs


def train_member(folder: str, *, cwd: str) -> str:
    """Train a member in a process of its own, unless it is finished; returns its folder.

    Raises
    ------
    RunError
        If the training fails, in its words.
    """
    run = Run(Path(folder))
    by_process(run, _is_finished, "ser.training.ensembles", folder, cwd=cwd)
    return folder


def _is_finished(member: Run) -> bool:
    return member.read_status().state == "finished"


def _train(folder: Path) -> None:
    """Train a member in this process."""
    from ser.training.pipeline import share_cores

    run, whole = Run(folder), Run(folder.parents[2])
    again = f"Go on with: ser train --resume {quote(str(whole.folder))}"
    with (
        runs.working_on(run, how_far=lambda: "Stopped", go_on=again),
        queue.obeying_stop(run, part_of=whole),
    ):
        # As many threads as beside the others: sums of more of them end in other bits.
        share_cores(TrainingConfig.from_json(run.read_config()).model.members)
        _fit(run, int(folder.name.rpartition("-")[2]) - 1)
        run.write_status("finished", "Member trained")


def _fit(run: Run, number: int) -> tuple[Any, list[dict[str, Any]]]:
    """Go on with a member from its checkpoint, which may be of its last epoch."""
    config = TrainingConfig.from_json(run.read_config())
    clips = _read_clips(run.folder.parent / _CLIPS)
    return fitting.fit(*clips, config=config, run=run, member=number)


def _write_clips(
    file: Path,
    training: Stored,
    targets: npt.NDArray[np.float32],
    validation: dict[str, StoredRows] | None,
    y_validation: npt.NDArray[np.integer] | None,
) -> None:
    """Write what is learned from and watched: in which rows of which files, and the labels."""
    ((name, features),) = training.items()
    rows = {"clean": features.clean, "copies": features.copies}
    arrays: dict[str, Any] = {"name": np.array(name), "targets": targets}
    if validation is not None:
        rows["validation"] = validation[name]
        arrays["y_validation"] = y_validation
    for part, each in rows.items():
        arrays[f"{part} files"] = np.array([str(path.absolute()) for path in each.files])
        arrays[f"{part} rows"] = each.rows
    with atomic_path(file) as temporary:
        np.savez(temporary, **arrays)


def _read_clips(file: Path) -> tuple[Any, ...]:
    """Return the first arguments of `ser.training.fitting.fit`."""
    try:
        with np.load(file, allow_pickle=False) as opened:
            arrays = dict(opened)
        parts = {
            part: StoredRows(tuple(map(Path, arrays[f"{part} files"])), arrays[f"{part} rows"])
            for part in ("clean", "copies", "validation")
            if f"{part} files" in arrays
        }
        name, features = str(arrays["name"]), StoredFeatures(parts["clean"], parts["copies"])
        clips = ({name: features}, arrays["targets"])
        if "validation" not in parts:
            return clips
        return (*clips, {name: parts["validation"]}, arrays["y_validation"])
    except Exception as error:
        raise RunError(f"{file} is damaged ({error}). Start a new run.") from error


def _main(arguments: Sequence[str]) -> None:
    try:
        _train(Path(arguments[0]))
    except (SerError, Stopped) as error:
        sys.exit(f"ser: {' '.join(str(error).split())}")


if __name__ == "__main__":
    _main(sys.argv[1:])
