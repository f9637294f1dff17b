"""What a member of a team gives to all: copies of models with their reports.

Each is a folder in `ser.app.workspace.shared` with a file that says whose it is.  It stays as it
was when it was given, whatever becomes of the original.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from ser.app import access, audit, workspace
from ser.errors import RunError
from ser.models import bundle
from ser.utils.files import (
    atomic_folder,
    delete_folder,
    free_path,
    locked,
    read_json,
    write_json,
)

# What a run needs to go on, and what only its owner is to read.
_PRIVATE = ("*checkpoint*", "log.txt", "notes.txt", ".*")


def owner(folder: Path) -> str:
    """Return the name of the member who shares something; empty if it cannot be told."""
    try:
        return str(read_json(folder / workspace.SHARED_FILE).get("by", ""))
    except (OSError, ValueError):
        return ""


def is_own(folder: Path) -> bool:
    """Say whether whoever is served shares this."""
    try:
        return (
            read_json(folder / workspace.SHARED_FILE).get("member") == access.visitor().folder.name
        )
    except (OSError, ValueError):
        return False


def share(folder: Path) -> Path:
    """Give a copy of a finished run or a model to the team; returns where it lies.

    Raises
    ------
    BundleError
        If there is no finished model in the folder.
    RunError
        If it is not the visitor's own.
    OutputError
        If it cannot be copied.
    """
    access.check_may_change()
    if folder.parent != workspace.folder():
        raise RunError(f"{folder.name} is not yours to share.")
    bundle.read_manifest(folder)
    audit.record("share", folder.name)
    by = access.visitor()
    place = workspace.shared()
    with locked(place):
        target = free_path(place, folder.name)
        with atomic_folder(target) as copy:
            ignore = shutil.ignore_patterns(*_PRIVATE)
            shutil.copytree(folder, copy, ignore=ignore, dirs_exist_ok=True)
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            write_json(
                copy / workspace.SHARED_FILE, {"by": by.name, "member": by.folder.name, "at": now}
            )
    return target


def take_back(folder: Path) -> None:
    """Delete what is shared; for whoever shares it, and for admins.

    Raises
    ------
    RunError
        If it is somebody else's, or is not shared.
    OutputError
        If it cannot be deleted.
    """
    if folder not in workspace.shared_models() or not (is_own(folder) or access.is_admin()):
        raise RunError(f"{folder.name} is not yours to take back.")
    audit.record("take back", folder.name)
    workspace.forget_model(folder)
    delete_folder(folder)
