"""What the app keeps between visits: its runs, the active model, the corpora used lately.

All of it lies in one folder, never among installed packages: ``SER_HOME`` if set, else ``runs`` of
a checkout, else the user's data folder.  On the command line every folder is an argument; only
``ser info`` lists what lies here.

    <name>/         a training run or a bundle made from one
    evaluations/    models tested on corpora from the app, see `ser.app.evaluations`
    classes/<name>/ examples of classes of one's own
    voices/<name>/  recordings of one person, see `ser.data.recordings`
    settings.json   the active model and the corpora used lately
    data/           downloaded corpora, unless there is a checkout whose ``data`` holds them

On a public server (``SER_MODE=public``) each visitor has such a folder of their own, which is gone
with their session; nothing there is shared, and nothing else can be read or written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from ser import assets
from ser.errors import BundleError, DataError, OutputError
from ser.models import bundle
from ser.training.runs import Run, find_runs
from ser.utils.files import read_json, write_json

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
"""What a folder that somebody names here may be called."""

TAKEN = ("classes", "data", "evaluations", "voices")
"""Names that no run or model may have: what else lies in the folder of the app, or will."""

ALONE, PUBLIC = "alone", "public"

_RECENT = 8
_own_folder: Callable[[], Path | None] | None = None


def is_public() -> bool:
    """Say whether the app is open to strangers (``SER_MODE=public``) or run for oneself.

    Raises
    ------
    DataError
        If ``SER_MODE`` is something else, so that a slip of the pen opens nothing.
    """
    mode = os.environ.get("SER_MODE", ALONE)
    if mode not in (ALONE, PUBLIC):
        raise DataError(f"SER_MODE is {mode!r}. Set it to {ALONE} (as if not set) or {PUBLIC}.")
    return mode == PUBLIC


def give_folders(own_folder: Callable[[], Path | None]) -> None:
    """Say how to find the folder of the visitor who is served now; None if nobody is."""
    global _own_folder
    _own_folder = own_folder


def folder() -> Path:
    """Return the folder of the app, or on a public server the visitor's; it may not exist yet.

    Raises
    ------
    OutputError
        On a public server, if no visitor is served now.
    """
    if is_public():
        visitors = _own_folder() if _own_folder else None
        if visitors is None:
            raise OutputError("A public server keeps things for its visitors only.")
        return visitors
    own = assets.ROOT / "runs" if assets.IS_CHECKOUT else platformdirs.user_data_path("ser")
    return Path(os.environ.get("SER_HOME") or own).absolute()


def data() -> Path:
    """Return the folder for corpora, which may not exist yet."""
    return assets.ROOT / "data" if assets.IS_CHECKOUT else folder() / "data"


def evaluations() -> Path:
    """Return the folder of the evaluations that the app started."""
    return folder() / "evaluations"


def voices() -> Path:
    """Return the folder of the people whose voices were recorded, which may not exist yet."""
    return folder() / "voices"


def runs() -> list[Run]:
    """Return the training runs, sorted by name."""
    return find_runs(folder())


def models() -> list[Path]:
    """Return the folders of all models at hand: the shipped ones, the app's own, the active one."""
    found = bundle.find_bundles(assets.MODELS) + bundle.find_bundles(folder())
    return list(dict.fromkeys([*found, active_model()]))


def active_model() -> Path:
    """Return the model that answers: the one chosen last, or ``everyday`` if that is gone."""
    chosen = _settings().get("active_model")
    if isinstance(chosen, str) and (Path(chosen) / bundle.MANIFEST_FILE).is_file():
        return Path(chosen)
    return assets.DEFAULT_MODEL


def set_active_model(model: str | Path) -> None:
    """Let another model answer from now on.

    Raises
    ------
    BundleError
        If the folder is no bundle.
    OutputError
        If the choice cannot be kept.
    """
    model = Path(model).absolute()
    bundle.read_manifest(model)
    if not (model / bundle.MODEL_FILE).is_file():
        raise BundleError(f"{model} has no {bundle.MODEL_FILE}. Copy the bundle again.")
    _change(active_model=str(model))


def move_model(folder: Path, target: Path) -> None:
    """Move a run or a model; it stays the active one if it was.

    Raises
    ------
    OutputError
        If it cannot be moved.
    """
    active = active_model() == folder.absolute()
    try:
        folder.rename(target)
    except OSError as error:
        raise OutputError(f"{folder.name} cannot be renamed: {error.strerror}.") from error
    if active:
        set_active_model(target)


def recent_corpora() -> list[Path]:
    """Return the corpora used lately that still exist, the last one first."""
    known = _settings().get("recent", [])
    paths = [Path(p) for p in known if isinstance(p, str)] if isinstance(known, list) else []
    return [path for path in paths if os.path.exists(path)]


def corpora() -> list[Path]:
    """Return the folders that may hold recordings: those in `data`, then those used lately.

    Strangers are shown none of them.
    """
    if is_public():
        return []
    own = sorted(p for p in data().glob("*") if p.is_dir() and p != assets.SAMPLES)
    return own + [path for path in recent_corpora() if path not in own]


def remember_corpus(location: str | Path) -> None:
    """Put a corpus in front of those used lately; the samples are always at hand.

    Raises
    ------
    OutputError
        If it cannot be kept.
    """
    location = Path(location).absolute()
    if location != assets.SAMPLES:
        others = [path for path in recent_corpora() if path != location]
        _change(recent=[str(path) for path in [location, *others][:_RECENT]])


def _settings() -> dict[str, Any]:
    try:
        return read_json(folder() / "settings.json")
    except (OSError, ValueError):  # none yet, or damaged: nothing in it is worth an error
        return {}


def _change(**values: Any) -> None:
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(folder() / ".lock", timeout=10):
        write_json(folder() / "settings.json", _settings() | values)
