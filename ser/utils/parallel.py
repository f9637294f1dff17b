"""The one place where work over many clips is spread over processes, and what they must share."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial, wraps
from threading import Lock
from typing import ParamSpec, TypeVar

import platformdirs
from filelock import FileLock
from threadpoolctl import ThreadpoolController
from tqdm.auto import tqdm

from ser.errors import WorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")
Given = ParamSpec("Given")
Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how many are done, how many there are)."""

_TOO_FEW_FOR_PROCESSES = 32
_IDLE_SECONDS = 20  # workers have 700 MB, and nobody ends them if this process is killed


_lock, _within, _limit = Lock(), 0, ExitStack()  # of one_thread


@contextmanager
def one_thread() -> Iterator[None]:
    """Let NumPy's products of matrices work in one thread.

    Several threads would take the sums in another order, so that results differ in their last bits
    from those of another process; and with matrices as small as here they mostly wait.
    """
    global _within
    # Of several threads the first that comes in limits them, and the last that leaves lets go.
    with _lock:
        if not _within:
            _limit.enter_context(_blas().limit(limits=1, user_api="blas"))
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if not _within:
                _limit.close()


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all that is loaded, which takes a millisecond


def map_items(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    description: str,
    *,
    n_jobs: int = -1,
    progress: Progress | None = None,
) -> list[Result]:
    """Apply `function` to every item, in order, and show how far it is.

    All items and results are held; for more of them than that see `ser.shards`.

    Parameters
    ----------
    function : callable
        Of one item; a function at the top level of a module (or a `functools.partial` of one),
        so that another process can find it.
    items : iterable
        What to work on.
    description : str
        Words for the progress bar.
    n_jobs : int
        Parallel workers; -1 is one per core.
    progress : callable, optional
        Called after every item.  A bar is drawn as well where a terminal can show one.

    Returns
    -------
    list
        Results in the order of the items.

    Raises
    ------
    WorkerError
        If a process ended before its work did.

    Examples
    --------
    >>> map_items(abs, [-2, 1], "Counting", progress=lambda what, done, total: None)
    [2, 1]
    """
    import joblib

    items = list(items)
    if len(items) < _TOO_FEW_FOR_PROCESSES:
        n_jobs = 1  # starting processes would take longer than the work
    if n_jobs != 1:  # workers of an earlier call may be in the folder that was the current one then
        function = partial(_in_folder, os.getcwd(), function)
    results: list[Result] = []
    work = joblib.Parallel(
        n_jobs=n_jobs,
        return_as="generator",
        batch_size="auto",
        idle_worker_timeout=_IDLE_SECONDS,
    )
    with bar_of(len(items), description) as bar, _lost_worker_told():
        for result in work(joblib.delayed(function)(item) for item in items):
            results.append(result)
            bar.update()
            if progress is not None:
                progress(description, len(results), len(items))
    return results


def _in_folder(folder: str, function: Callable[[Item], Result], item: Item) -> Result:
    os.chdir(folder)
    return function(item)


def bar_of(total: int, description: str, *, done: int = 0, unit: str = "clip") -> tqdm:
    """Return a bar of clips or other things, of which some may be done already.

    It is drawn only where someone can see it move: a log file gets none, and of several processes
    only the first one draws.
    """
    worker = multiprocessing.parent_process() is not None
    hidden = True if worker else None
    return tqdm(total=total, desc=description, unit=unit, initial=done, disable=hidden)


@contextmanager
def counting(
    total: int, description: str, *, done: int = 0, progress: Progress | None = None
) -> Iterator[Callable[[int], None]]:
    """Give what is called with how many more clips are done: a bar shows it, and `progress` hears.

    Parameters
    ----------
    total, description, done
        See `bar_of`.
    progress : callable, optional
        Called at once, and each time.
    """
    with bar_of(total, description, done=done) as bar:

        def count(more: int) -> None:
            nonlocal done
            done += more
            bar.update(more)
            if progress is not None:
                progress(description, done, total)

        count(0)
        yield count


def unordered(
    function: Callable[[Item], Result], items: Iterable[Item], *, n_jobs: int = -1
) -> Iterator[Result]:
    """Apply `function` to items of ten seconds of work or more, and give results as they come.

    Parameters
    ----------
    function, items, n_jobs
        See `map_items`; only as many items are looked at as there are workers for, twice.

    Yields
    ------
    Result
        In the order in which they are finished.

    Raises
    ------
    WorkerError
        If a process ended before its work did.
    """
    import joblib

    work = joblib.Parallel(
        n_jobs=n_jobs,
        return_as="generator_unordered",
        batch_size=1,
        idle_worker_timeout=_IDLE_SECONDS,
    )
    with _lost_worker_told():
        yield from work(joblib.delayed(function)(item) for item in items)


def in_new_processes(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Apply `function` to all items at the same time, in a new process for each, which then ends.

    Parameters
    ----------
    function, items
        See `map_items`; of seconds of work each, as to start a process takes one.

    Yields
    ------
    Result
        In the order of the items.

    Raises
    ------
    WorkerError
        If a process ended before its work did.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    with _lost_worker_told(), ProcessPoolExecutor(len(items)) as pool:
        yield from pool.map(function, items)


@contextmanager
def _lost_worker_told() -> Iterator[None]:
    try:
        yield
    except BrokenExecutor as error:
        raise WorkerError(
            "A worker process was ended from outside, most likely for want of memory. Try again "
            "with a smaller --n-jobs."
        ) from error


def first_call_alone(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let one process of this user at a time make its first call of a function that uses librosa.

    librosa compiles itself at first use.  Two processes that do so at once in a new installation
    can leave compiled files that do not fit each other, which end every process that ever uses
    them with a segmentation fault (https://github.com/numba/numba/issues/10128).

    Parameters
    ----------
    function : callable
        Its first call takes a file lock; later ones cost nothing.
    """
    called = False

    @wraps(function)
    def call(*args: Given.args, **settings: Given.kwargs) -> Result:
        nonlocal called
        if called:
            return function(*args, **settings)
        with ExitStack() as alone:
            with suppress(OSError):  # nowhere to write, so what is compiled is not kept either
                folder = platformdirs.user_cache_path("ser", ensure_exists=True)
                # One object per process: such a function may call another one.
                alone.enter_context(FileLock(folder / "compiling.lock", is_singleton=True))
            result = function(*args, **settings)
        called = True
        return result

    return call
