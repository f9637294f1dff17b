"""What figures may depend on besides code, data and seed."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from ser import __version__

LIBRARIES = ("keras", "librosa", "numpy", "pandas", "scikit-learn", "soundfile", "tensorflow")


def environment() -> dict[str, Any]:
    """Return versions and the kind of machine."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "versions": {"ser": __version__, **{lib: version(lib) for lib in LIBRARIES}},
    }


def versions() -> dict[str, str]:
    """Return the versions alone, that of Python among them."""
    found = environment()
    return {"Python": found["python"], **found["versions"]}
