"""What the app keeps between visits: its runs, the active model, the corpora used lately.

All of it lies in one folder, never among installed packages: ``SER_HOME`` if set, else ``runs`` of
a checkout, else the user's data folder.  On the command line every folder is an argument; only
``ser info`` lists what lies here.

    <name>/         a training run or a bundle made from one
    answers/        models asked about folders from the app, see `ser.app.answers`
    evaluations/    models tested on corpora from the app, see `ser.app.evaluations`
    classes/<name>/ examples of classes of one's own
    voices/<name>/  recordings of one person, see `ser.data.recordings`
    settings.json   the active model and the corpora used lately
    data/           downloaded corpora, unless there is a checkout whose ``data`` holds them

Strangers and members of a team (see `ser.app.access`) have such a folder each; nothing there is
shared, but what a member gives to the team, see `ser.app.sharing`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ser import assets
from ser.app import access, audit
from ser.data.corpora import Corpus
from ser.data.corpora import scan as scan_names
from ser.errors import BundleError, OutputError
from ser.models import bundle
from ser.training.runs import Run, find_runs
from ser.utils.files import locked, read_json, write_json

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
"""What a folder that somebody names here may be called."""

TAKEN = ("answers", "classes", "data", "evaluations", "voices")
"""Names that no run or model may have: what else lies in the folder of the app, or will."""

SHARED_FILE = "shared.json"
"""In the folder of a model that somebody shares: who, and since when."""

_RECENT = 8


def folder() -> Path:
    """Return the folder of the app, or of whoever it serves; it may not exist yet.

    Raises
    ------
    OutputError
        See `ser.app.access.visitor`.
    """
    return access.home() if access.mode() == access.ALONE else access.visitor().folder


def data() -> Path:
    """Return the folder for corpora, which may not exist yet."""
    in_checkout = assets.IS_CHECKOUT and access.mode() == access.ALONE
    return assets.ROOT / "data" if in_checkout else folder() / "data"


def shared() -> Path:
    """Return the folder of what members gave to their team, which may not exist yet."""
    return access.home() / "shared"


def evaluations() -> Path:
    """Return the folder of the evaluations that the app started."""
    return folder() / "evaluations"


def answers() -> Path:
    """Return the folder of the answers about folders that the app started."""
    return folder() / "answers"


def voices() -> Path:
    """Return the folder of the people whose voices were recorded, which may not exist yet."""
    return folder() / "voices"


def runs() -> list[Run]:
    """Return the training runs, sorted by name."""
    return find_runs(folder())


def models() -> list[Path]:
    """Return the folders of all models at hand.

    The shipped ones, the app's own, those that a team shares, and the active one.
    """
    found = bundle.find_bundles(assets.MODELS) + bundle.find_bundles(folder()) + shared_models()
    return list(dict.fromkeys([*found, active_model()]))


def shared_models() -> list[Path]:
    """Return the folders of the models that members share with their team, sorted by name."""
    return bundle.find_bundles(shared()) if access.is_team() else []


def active_model() -> Path:
    """Return the model that answers: the one chosen last, or ``everyday`` if that is gone."""
    settings = _settings()
    chosen = settings.get("active_model")
    if not isinstance(chosen, str) or not (Path(chosen) / bundle.MANIFEST_FILE).is_file():
        return assets.DEFAULT_MODEL
    # Another member may have given another model under the name of one that was taken back.
    same = settings.get("shared_at", "") == _shared_at(Path(chosen))
    return Path(chosen) if same else assets.DEFAULT_MODEL


def _shared_at(model: Path) -> str:
    """Return by whom and when a model was shared; empty if it is not."""
    if model.parent != shared():
        return ""
    try:
        about = read_json(model / SHARED_FILE)
        return f"{about.get('member', '')} {about.get('at', '')}"
    except (OSError, ValueError):
        return ""


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
    audit.record("choose active model", model.name)
    _change(active_model=str(model), shared_at=_shared_at(model))


def forget_model(folder: Path) -> None:
    """Let the default model answer again if this one is active, since it will be deleted.

    Raises
    ------
    OutputError
        If that cannot be kept.
    """
    if _settings().get("active_model") == str(folder):
        _change(active_model=None)


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
    return [path for path in paths if access.may_read(path) and os.path.exists(path)]


def corpora() -> list[Path]:
    """Return the folders that may hold recordings: `data`, a team's, then those used lately.

    Strangers are shown none of them.
    """
    if not access.may_change():
        return []
    places = [data(), *(access.team().corpora if access.is_team() else ())]
    found = [p for place in places for p in place.glob("*") if p.is_dir() and p != assets.SAMPLES]
    own = [path for path in sorted(found) if access.may_read(path)]
    return own + [path for path in recent_corpora() if path not in own]


def scan(locations: Sequence[str | Path]) -> Corpus:
    """Look through corpora that somebody named, see `ser.data.corpora.scan`.

    Raises
    ------
    DataError
        Also if whoever is served may not read one, or a recording that it names or links to.
    """
    access.check_readable(locations)
    found = scan_names([str(location) for location in locations])
    access.check_readable(found.clips["path"])
    return found


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
    with locked(folder()):
        write_json(folder() / "settings.json", _settings() | values)
