"""The models that learned a voice in the app: listed, renamed, taken along, deleted."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

from ser.app import audit, workspace
from ser.errors import BundleError, DataError, OutputError
from ser.models import bundle
from ser.models.export import export
from ser.utils.files import delete_folder


def is_learned(folder: Path) -> bool:
    """Say whether a folder holds a model that learned a voice."""
    try:
        return "adapted" in bundle.read_manifest(folder).training
    except BundleError:
        return False


def models() -> list[Path]:
    """Return the folders of the models that learned a voice here, sorted by name."""
    return [each for each in bundle.find_bundles(workspace.folder()) if is_learned(each)]


def folder_of(name: str, *, classes: bool = False) -> Path:
    """Return where a model of this name is to lie.

    Parameters
    ----------
    name : str
        See `ser.app.workspace.NAME`.
    classes : bool
        Whether it has classes of one's own, and so no report that a voice's would leave behind.

    Raises
    ------
    DataError
        If that cannot be a name, or something else has it.
    """
    if not workspace.NAME.fullmatch(name):
        raise DataError(
            f"{name!r} cannot be a name. Use letters (a to z), digits, - and _, at most 60."
        )
    folder = workspace.folder() / name
    taken = folder.exists() and not is_learned(folder)
    if name in workspace.TAKEN or taken or (classes and (folder / "report.json").exists()):
        raise DataError(f"{name} is in use already. Choose another name.")
    return folder


def rename(folder: Path, name: str) -> Path:
    """Give a model another name; it stays the active one if it was.

    Raises
    ------
    DataError
        See `folder_of`; or if another model has that name.
    OutputError
        If it cannot be moved.
    """
    target = folder_of(name)
    if target.exists():
        raise DataError(f"There is a model called {name} already. Choose another name.")
    audit.record("rename", f"{folder.name} to {name}")
    workspace.move_model(folder, target)
    return target


def delete(folder: Path) -> None:
    """Delete a model that learned a voice; the shipped one answers again if it was active.

    Raises
    ------
    DataError
        If it is no such model.
    OutputError
        If it cannot be deleted.
    """
    if folder not in models():
        raise DataError(f"{folder.name} is not a model that learned a voice here.")
    audit.record("delete", folder.name)
    workspace.forget_model(folder)
    delete_folder(folder)


def packed(folder: Path) -> bytes:
    """Return a model, or a run with one, as a zip file with a word on how to use it.

    The folder ``onnx`` in it holds the model for other programs, see `ser.models.export`.

    Raises
    ------
    BundleError
        If there is no model in the folder.
    OutputError
        If there is no room for it.
    """
    buffer = io.BytesIO()
    try:
        with tempfile.TemporaryDirectory() as place:
            _pack(folder, Path(place), buffer)
    except OSError as error:
        raise OutputError(f"The zip file cannot be made: {error.strerror or error}.") from error
    return buffer.getvalue()


def _pack(folder: Path, place: Path, buffer: io.BytesIO) -> None:
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for file in sorted(folder.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                archive.write(file, f"{folder.name}/{file.name}")
        for file in sorted(export(folder, place / "onnx").parent.iterdir()):
            archive.write(file, f"{folder.name}/onnx/{file.name}")
        archive.writestr(
            f"{folder.name}/USE.txt",
            f'import ser\n\nmodel = ser.load("{folder.name}")\n'
            'print(model.predict("clip.wav")["emotion"].iloc[0])\n\n'
            f"Or: ser predict --model {folder.name} clip.wav\n"
            "For other programs: onnx/model.onnx, asked by onnx/example.py\n",
        )
