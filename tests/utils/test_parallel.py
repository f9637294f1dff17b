import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import pytest

from ser.errors import DataError, WorkerError
from ser.utils.parallel import first_call_alone, map_items, one_thread

MANY = range(64)  # more than are worked on in one process


def double(number):
    return 2 * number


def process_of(number):
    return number, os.getpid()


def thread_of(number):
    return number, threading.get_ident(), os.getpid()


def refuse_40(number):
    if number == 40:
        raise DataError("number 40 is no good")
    return number


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_the_order_of_the_items(n_jobs):
    assert map_items(double, iter(MANY), "Doubling", n_jobs=n_jobs) == [2 * n for n in MANY]


def test_threads_of_matrices_come_back_whoever_leaves_first():
    import numpy as np  # noqa: F401
    from threadpoolctl import threadpool_info

    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    before = threads()
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == {1}
    second.__exit__(None, None, None)
    assert threads() == before


def test_no_items_give_no_results():
    assert map_items(double, [], "Doubling") == []


def test_progress_is_told_of_every_item():
    told = []
    map_items(double, [1, 2, 3], "Doubling", progress=lambda *what: told.append(what))
    assert told == [("Doubling", 1, 3), ("Doubling", 2, 3), ("Doubling", 3, 3)]


def test_progress_comes_in_order_from_processes_too():
    told = []
    map_items(double, MANY, "Doubling", n_jobs=2, progress=lambda *what: told.append(what))
    assert told == [("Doubling", n + 1, 64) for n in MANY]


def test_many_items_go_through_other_processes():
    found = map_items(process_of, MANY, "Asking", n_jobs=2)
    assert [number for number, _ in found] == list(MANY)
    assert os.getpid() not in {process for _, process in found}


def test_few_items_stay_in_this_process():
    assert {process for _, process in map_items(process_of, range(5), "Asking")} == {os.getpid()}


def test_the_caller_decides_where_the_work_runs():
    with joblib.parallel_config(backend="threading"):
        found = map_items(thread_of, MANY, "Asking", n_jobs=2)
    assert [number for number, _, _ in found] == list(MANY)
    assert {process for _, _, process in found} == {os.getpid()}
    assert threading.get_ident() not in {thread for _, thread, _ in found}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_of_a_worker_reaches_the_caller(n_jobs):
    with pytest.raises(DataError, match="number 40 is no good"):
        map_items(refuse_40, MANY, "Refusing", n_jobs=n_jobs)


def test_processes_of_a_new_installation_do_not_compile_at_once(tmp_path):
    """They would crash, now and then, and leave files with which every later one crashes."""
    code = """if True:
        import sys, time
        from ser.utils.parallel import first_call_alone

        @first_call_alone
        def inner():
            pass

        @first_call_alone
        def outer():
            inner()
            with open(sys.argv[1], "a") as log:
                log.write("begin\\n"); log.flush()
                time.sleep(0.2)
                log.write("end\\n")

        outer()
    """
    log = tmp_path / "log.txt"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(log)],
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        )
        for _ in range(4)
    ]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert log.read_text().split() == ["begin", "end"] * 4


def test_the_first_call_may_fail_and_be_repeated():
    calls = []

    @first_call_alone
    def moody():
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("not yet")
        return len(calls)

    with pytest.raises(ValueError, match="not yet"):
        moody()
    assert moody() == 2 and moody() == 3


def test_workers_work_in_the_folder_that_is_the_current_one_now(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found = map_items(own_folder, range(60), "Working", n_jobs=2)
        assert set(found) == {str(tmp_path / name)}


def own_folder(_):
    return os.getcwd()


def test_a_worker_that_is_ended_from_outside_is_one_sentence():
    with pytest.raises(WorkerError, match="most likely for want of memory"):
        map_items(end, range(60), "Working", n_jobs=2)


def end(_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_end_soon_after_their_process_was_killed():
    code = (
        "import time\n"
        "from tests.utils.test_parallel import own_process\n"
        "from ser.utils.parallel import map_items\n"
        "print(*set(map_items(own_process, range(60), 'Working', n_jobs=2)), flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    workers = [int(number) for number in process.stdout.readline().split()]
    process.kill()
    process.communicate()
    assert workers and process.pid not in workers
    deadline = time.monotonic() + 120  # loky's own is 300 s
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def own_process(_):
    return os.getpid()


def is_alive(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
