"""A training that the app has started: it waits for its turn, then trains.

    python -m ser.cli.background RUN [MEMBERS]

Runs in the same folder take turns, or those of all people who have a folder in MEMBERS.
While it waits it loads nothing that is large, see `ser.training.queue`.
Every step and epoch is a line on stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

from ser.cli import run_to_exit_code
from ser.training import queue
from ser.training.runs import Run, working_on


def train_in_turn() -> None:
    """Wait until no other run is trained, then train this one."""
    run, *members = sys.argv[1:]
    _train(Run(run), Path(members[0]) if members else None)


def _train(run: Run, members: Path | None) -> None:
    queue.log_steps()
    go_on = f"Go on with: ser train --resume {quote(str(run.folder))}"
    held = working_on(run, how_far=lambda: "Stopped before its turn came", go_on=go_on)
    with held, queue.obeying_stop(run):
        queue.wait_for_turn(run, members)
        from ser.cli.commands import train_run

        train_run(run, n_jobs=-1)


if __name__ == "__main__":
    sys.exit(run_to_exit_code(train_in_turn))
