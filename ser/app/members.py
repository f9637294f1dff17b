"""The members of a team: what each keeps here, taken along and erased (GDPR), and what they do."""

from __future__ import annotations

import tempfile
import time
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ser.app import access, audit, sharing, workspace
from ser.app.access import Visitor
from ser.data.cache import cache_folder
from ser.errors import OutputError, RunError
from ser.training.examples import FEATURES
from ser.training.runs import BUSY_STATES, Run, find_runs
from ser.utils.files import delete_folder, read_json, write_json

_CARD = "member.json"
_PATIENCE = 100.0  # seconds until what works on a run has stopped


def greet() -> bool:
    """Log that whoever is served has logged in, and note whose their folder is.

    Returns
    -------
    bool
        Whether this is a new login, and not another window of one.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    who = access.visitor()
    if who.login and _card(who.folder).get("login") == who.login:
        return False  # another window, or the page once more
    audit.record("log in")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    card = {"name": who.name, "role": who.role, "seen": now, "login": who.login}
    write_json(who.folder / _CARD, card)
    return True


def size(folder: Path) -> int:
    """Return how much a member keeps, in bytes."""
    total = 0
    for file in _files(folder):
        with suppress(FileNotFoundError):  # replaced at this moment by what works there
            total += file.stat().st_size
    return total


def export(who: Visitor) -> bytes:
    """Return everything that a member keeps as a zip file, with their lines of the log.

    Features of unfinished trainings are left out, and made again where such a training goes on.

    Raises
    ------
    OutputError
        If there is no room for it.
    """
    audit.record("export everything", who=who)
    try:
        with tempfile.TemporaryFile() as packed:
            # Not strict: a clock may have stood before 1980, where zip files begin.
            with zipfile.ZipFile(
                packed, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False
            ) as archive:
                for file in _files(who.folder):
                    if _is_recomputed(file):
                        continue
                    with suppress(FileNotFoundError):
                        archive.write(file, str(file.relative_to(who.folder)))
                log = audit.entries(who)
                archive.writestr("audit-log.csv", str(log.to_csv(index=False)))
            packed.seek(0)
            return packed.read()
    except OSError as error:
        raise OutputError(f"The zip file cannot be made: {error.strerror}.") from error


def erase() -> None:
    """Delete everything that whoever is served keeps and shares.

    What runs is stopped, and the audit log loses their name.

    Raises
    ------
    RunError
        If what runs does not stop.
    OutputError
        If something cannot be deleted.
    """
    audit.record("erase everything")
    who = access.visitor()
    _stop_all(_runs_in(who.folder))
    for folder in workspace.shared_models():
        if sharing.is_own(folder):
            delete_folder(folder)
    if who.folder.exists():
        delete_folder(who.folder)
    audit.forget(who)
    try:
        for file in cache_folder("corpora").glob("*.csv"):
            with suppress(FileNotFoundError):  # others empty the cache
                if who.folder.name in file.read_text(encoding="utf-8", errors="replace"):
                    file.unlink()
    except OSError as error:
        raise OutputError(f"{cache_folder('corpora')}: {error.strerror or error}.") from error


def table() -> pd.DataFrame:
    """Return one row per member that has come: for admins.

    Returns
    -------
    DataFrame
        With the columns member, role, seen (when they last logged in), megabytes and busy (how
        many trainings and tests run or wait).
    """
    rows = []
    for folder in sorted(access.members().glob("*")):
        card = _card(folder)
        rows.append(
            {
                "member": str(card.get("name", folder.name)),
                "role": str(card.get("role", "")),
                "seen": str(card.get("seen", "")),
                "megabytes": size(folder) / 1e6,
                "busy": len(_busy_in(folder)),
            }
        )
    return pd.DataFrame(rows, columns=["member", "role", "seen", "megabytes", "busy"])


def _card(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / _CARD)
    except (OSError, ValueError):
        return {}


def busy() -> list[Run]:
    """Return what runs or waits, of all members: for admins."""
    return [run for folder in sorted(access.members().glob("*")) for run in _busy_in(folder)]


def _busy_in(folder: Path) -> list[Run]:
    return [run for run in _runs_in(folder) if run.read_status().state in BUSY_STATES]


def _runs_in(folder: Path) -> list[Run]:
    return [run for part in ("", "evaluations", "answers") for run in find_runs(folder / part)]


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink()]


def _is_recomputed(file: Path) -> bool:
    """Whether it holds features of an unfinished training, which is much and made again if lost."""
    run = file.parents[2]
    return file.parents[1].name == FEATURES and (run / "config.json").exists()


def _stop_all(runs: Iterable[Run]) -> None:
    held = [run for run in runs if run.is_held()]
    for run in held:
        run.ask_to_stop()
    deadline = time.monotonic() + _PATIENCE
    while held := [run for run in held if run.is_held()]:
        if time.monotonic() > deadline:
            raise RunError(f"{held[0].folder.name} does not stop. Try again in a minute.")
        time.sleep(0.1)
