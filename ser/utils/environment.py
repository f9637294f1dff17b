"""What figures may depend on besides code, data and seed."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ser import __version__

LIBRARIES = ("keras", "librosa", "numpy", "pandas", "scikit-learn", "soundfile", "tensorflow")


def environment() -> dict[str, Any]:
    """Return versions and the kind of machine."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "versions": {"ser": __version__, **_installed()},
    }


def _installed() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):  # it belongs to an extra
            found[library] = version(library)
    return found


def versions() -> dict[str, str]:
    """Return the versions alone, that of Python among them."""
    found = environment()
    return {"Python": found["python"], **found["versions"]}
