"""The one family of errors that is meant for people."""

from __future__ import annotations


class SerError(Exception):
    """Something the user can mend: the message says what was wrong and what to do.

    The command line prints the message on one line and leaves with exit code 2; pages show it in
    a box.  Anything that is not a `SerError` is a defect of this project.

    Attributes
    ----------
    code : str
        A stable name of the kind of error, for programs.  Never changes once published.
    """

    code = "error"


class DataError(SerError):
    """A corpus cannot be used as asked: nothing found, one class only, a leak."""

    code = "data"


class BundleError(SerError):
    """A model bundle is missing, damaged, or made for something else."""

    code = "bundle"


class RunError(SerError):
    """A run directory cannot be started, resumed or read."""

    code = "run"


class ReportError(SerError):
    """A report is missing, damaged, or contradicts itself."""

    code = "report"


class MissingExtraError(SerError):
    """What was asked for needs libraries that come with an extra of the package."""

    code = "missing-extra"


class Stopped(Exception):  # noqa: N818 - no error: someone asked for it
    """Long work was asked to stop; what is done is kept, and the message says how to go on."""


class OutputError(SerError):
    """An output file or folder cannot be written."""

    code = "output"


class WorkerError(SerError):
    """A process that was to do part of the work is gone or cannot do it."""

    code = "worker"
