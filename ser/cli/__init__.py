"""The command line: ``python -m ser``, or ``ser`` once installed."""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence

from ser.errors import SerError, Stopped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, see `run_to_exit_code`."""
    # NumPy reads it when it is first imported. Its matrices are small here: threads that wait for
    # each other at every product take half as much processor again, and the others their turn.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    def work() -> None:
        from ser.cli.options import make_parser

        if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe may have an encoding without Greek
            sys.stdout.reconfigure(errors="backslashreplace")
        given = sys.argv[1:] if arguments is None else arguments
        options = make_parser(given).parse_args(given)
        _load_parsers(options)
        options.run(options)

    return run_to_exit_code(work)


def run_to_exit_code(work: Callable[[], None]) -> int:
    """Do something and return the exit code of that.

    0 on success, 2 on input that cannot be used (with one line on stderr), 130 when stopped.
    """
    # `kill` asks for the same as Ctrl-C: leave a run that can be resumed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        work()
        sys.stdout.flush()
    except SerError as error:
        print(f"ser: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nser: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno in (errno.EACCES, errno.ENAMETOOLONG) and error.filename:
            print(f"ser: {str(error.filename)[:200]}: {error.strerror}.", file=sys.stderr)
            return 2
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        words = "is read-only" if error.errno == errno.EROFS else "is full: free some space"
        print(f"ser: the disk {words}, or write elsewhere.", file=sys.stderr)
        return 2
    return 0


def _load_parsers(options: argparse.Namespace) -> None:
    for file in getattr(options, "parser", []):
        from ser.data.parsers import load_parsers

        load_parsers(file)
