"""What is installed only with an extra of the package, such as ``ser[train]``."""

from __future__ import annotations

from importlib.util import find_spec

from ser import assets
from ser.errors import MissingExtraError

DRAWS = ("altair", "vl_convert")
"""What charts need."""
TRAINS = ("tensorflow", "keras", "h5py", "librosa", "scipy", "sklearn", *DRAWS)
"""What a training with its report needs."""


def need(extra: str, *modules: str) -> None:
    """Refuse to begin what cannot be done with what is installed.

    Parameters
    ----------
    extra : str
        Of the package, with which the modules are installed.
    *modules : str
        What will be imported.

    Raises
    ------
    MissingExtraError
        Naming the first that is missing, and what to install.

    Examples
    --------
    >>> need("train", "json")
    """
    for module in modules:
        if not has(module):
            raise MissingExtraError(
                f"This needs {module}, which is not installed. Install it with: {installing(extra)}"
            )


def installing(extra: str) -> str:
    """Return the command that installs an extra.

    Another project is called ser on PyPI, so where this one runs in place, its checkout is named.

    Examples
    --------
    >>> installing("large").endswith('[large]"')
    True
    """
    return f'pip install "{assets.ROOT if assets.IS_CHECKOUT else "ser"}[{extra}]"'


def has(*modules: str) -> bool:
    """Say whether all of some modules are installed.

    Examples
    --------
    >>> has("json", "no_such_module")
    False
    """
    return all(find_spec(module) is not None for module in modules)
