"""Work on more than one machine, by Dask: the one place that knows of it.

A shard is a task.  What it makes goes to a disk that all machines share, so only a few
bytes come back, and a task that Dask does twice does no harm.  Client, scheduler and workers
exchange pickles: they belong on a network that is trusted, or behind TLS (docs/scale.md).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any

import ser
from ser.errors import SerError, WorkerError
from ser.utils.extras import need
from ser.utils.parallel import Item, Result

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
"""In place of an address: workers of this machine, which are started for the work."""

Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""What gives the results of a function of one item, in the order in which they are finished."""

_ANSWER_SECONDS = 30  # in which a scheduler answers, and has a worker
_AHEAD = 5000  # tasks that the scheduler knows of at once; a billion clips are two million
_MEMORY = 1_000_000_000  # of which a worker takes half, see benchmarks/memory.json
_RETRIES = 2  # a disk that is reached by a network hiccups
_SCHEDULER = ("dask", "distributed")
_SAME = ("ser", "Python", *_SCHEDULER, "numpy", "onnxruntime", "pandas", "pyarrow")


@contextmanager
def opened(address: str, *, n_jobs: int = -1) -> Iterator[Spread]:
    """Reach a cluster, or start one here, and give what spreads work over it.

    Parameters
    ----------
    address : str
        Of a Dask scheduler, such as ``tcp://host:8786``, or `LOCAL`.
    n_jobs : int
        Workers of `LOCAL`; -1 is one per core.

    Yields
    ------
    Spread
        The function must be one at the top level of a module (or a `functools.partial` of one).
        It may be called twice for an item, and must not mind; items are hashable.  An error of it
        ends the work, after some retries.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    WorkerError
        If there is no such cluster, it has no workers, they are unlike this process, or the
        connection is lost.
    """
    need("cluster", "distributed")
    from distributed import Client, LocalCluster
    from distributed.versions import VersionMismatchWarning

    for name in ("distributed", "distributed.client", "tornado"):
        # What goes wrong is said here, in one sentence.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    expected = _versions(_SAME)
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)
        if address == LOCAL:
            with _uninterrupted():
                here = LocalCluster(
                    n_workers=_workers_here(n_jobs),
                    threads_per_worker=1,
                    memory_limit=0,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            client = Client(stack.enter_context(here))
        else:
            _check_scheduler(address)
            client = Client(address, timeout=_ANSWER_SECONDS)
        stack.callback(_leave, client)
        _check_cluster(client, address, expected)
        print(f"Dask's dashboard: {client.dashboard_link}", file=sys.stderr)
        yield partial(_spread, client=client, address=address, expected=expected)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let processes that are started here ignore a Ctrl-C: this one does not, and ends them."""
    if current_thread() is not main_thread():  # only that one may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(client: Client) -> None:
    """Cancel whatever is not done, and say goodbye; who does not answer is left behind."""
    with suppress(OSError):  # a TimeoutError is one
        client.close(timeout=_ANSWER_SECONDS)


def _spread(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    client: Client,
    address: str,
    expected: Mapping[str, str],
) -> Iterator[Result]:
    from distributed import CancelledError, as_completed
    from distributed.client import ClosedClientError
    from distributed.scheduler import KilledWorker

    task = partial(_on_worker, function=function, expected=expected)
    items = iter(items)
    running = as_completed(loop=client.loop)
    item_of: dict[Any, Item] = {}
    tries: Counter[Item] = Counter()

    def submit(some: Iterable[Item]) -> None:
        for item in some:
            # Not pure: each under a key of its own, so that no remembered result is taken for it.
            future = client.submit(task, item, pure=False, retries=_RETRIES)
            item_of[future.key] = item
            tries[item] += 1
            running.add(future)

    try:
        workers = len(client.nthreads())
        submit(islice(items, _AHEAD))
        while tries:
            future = next(running)
            item = item_of.pop(future.key)
            if item not in tries:  # the other try was faster
                continue
            yield future.result()
            del tries[item]
            submit(islice(items, 1))
            if len(tries) <= workers:
                # Soon there are workers with nothing to do: they try what others are slow at.
                submit([item for item, count in tries.items() if count == 1])
    except KilledWorker as error:
        raise WorkerError(
            f"One piece of the work has ended {error.allowed_failures + 1} workers, most likely "
            "for want of memory. Start fewer of them on each machine."
        ) from error
    except (CancelledError, ClosedClientError, OSError) as error:
        raise WorkerError(
            f"The connection to the Dask scheduler at {address} is lost. Start it and its workers "
            "again."
        ) from error


def _on_worker(
    item: Item, *, function: Callable[[Item], Result], expected: Mapping[str, str]
) -> Result:
    """Do one piece of work in a worker, which may have come later than the others."""
    from distributed import get_worker

    worker = get_worker()
    try:
        memory = worker.memory_manager.memory_limit or 0
        versions = _versions(tuple(expected))
        _check_worker(worker.address, worker.state.nthreads, memory, versions, expected)
        return function(item)
    except SerError as error:
        raise type(error)(f"{error} (Worker {worker.address}.)") from error
    except OSError as error:  # which the client would take for one of the connection
        raise WorkerError(f"The worker {worker.address} failed: {error}.") from error


def _check_scheduler(address: str) -> None:
    """Refuse an address at which there is no Dask scheduler."""
    from distributed import rpc
    from distributed.security import Security

    async def identity() -> Any:
        secrets = Security().get_connection_args("client")
        async with rpc(address, connection_args=secrets) as scheduler:
            return await scheduler.identity()

    try:
        # What is no Dask may say anything, or nothing at all.
        kind = asyncio.run(asyncio.wait_for(identity(), _ANSWER_SECONDS))["type"]
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise WorkerError(
            f"No Dask scheduler answers at {address} ({reason}). Start one with: dask "
            "scheduler; its first lines say its address, such as tcp://host:8786."
        ) from error
    if kind != "Scheduler":
        raise WorkerError(
            f"At {address} there is a {kind} of Dask. Give the address of its scheduler."
        )


def _check_cluster(client: Client, address: str, expected: Mapping[str, str]) -> None:
    """Refuse a cluster without workers, or with some that would do other work than this process."""
    from distributed import TimeoutError

    try:
        client.wait_for_workers(1, timeout=_ANSWER_SECONDS)
    except TimeoutError:
        raise WorkerError(
            f"The Dask scheduler at {address} has no workers. Start some on each machine with: "
            f"dask worker {address} --nthreads 1 --nworkers N"
        ) from None
    its = client.get_versions()["scheduler"]["packages"]
    _check_versions(f"The Dask scheduler at {address}", its, {n: expected[n] for n in _SCHEDULER})
    workers = client.scheduler_info(n_workers=-1)["workers"]
    for worker, its in client.run(_versions, tuple(expected), on_error="return").items():
        if isinstance(its, Exception):  # there is no ser, or an old one
            raise WorkerError(
                f"The worker {worker} cannot do this work: {its}. Install ser {ser.__version__} "
                "with its extra cluster there, and start the worker again."
            )
        about = workers.get(worker, {"nthreads": 1, "memory_limit": 0})  # one that has just come
        _check_worker(worker, about["nthreads"], about["memory_limit"] or 0, its, expected)


def _check_worker(
    address: str,
    threads: int,
    memory: int,
    found: Mapping[str, str],
    expected: Mapping[str, str],
) -> None:
    _check_versions(f"The worker {address}", found, expected)
    if threads != 1:
        # Threads of NumPy and ONNX Runtime are limited for a whole process at once.
        raise WorkerError(
            f"The worker {address} has {threads} threads, which would disturb each other. Start it "
            "with --nthreads 1, and --nworkers for more at a time."
        )
    if 0 < memory < _MEMORY:
        # It would be ended by Dask, or made to wait for ever, in the middle of the work.
        raise WorkerError(
            f"The worker {address} may use {memory / 1e6:.0f} MB, and needs {_MEMORY / 1e6:.0f}. "
            "Start fewer of them on each machine, or with another --memory-limit."
        )


def _check_versions(which: str, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    for name, wanted in expected.items():
        if found.get(name) != wanted:
            raise WorkerError(
                f"{which} has {name} {found.get(name)}, and here it is {wanted}. Install the same "
                "versions on all machines."
            )


@lru_cache
def _versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of Python, ser and libraries; what is missing has the version none."""
    found = {"ser": ser.__version__, "Python": ".".join(map(str, sys.version_info[:2]))}
    for name in names:
        if name not in found:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "none"
    return found


def _workers_here(n_jobs: int) -> int:
    import joblib

    return joblib.effective_n_jobs(n_jobs)
