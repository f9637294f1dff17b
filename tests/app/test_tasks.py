from threading import Event

import pytest

from ser.app.tasks import Status, Task
from ser.errors import DataError, Stopped


def test_a_task_tells_how_far_it_is_and_what_came_of_it():
    told, seen = Event(), Event()

    def work(task):
        task.report("Counting", 3, 10)
        told.set()
        assert seen.wait(60)
        return "result"

    task = Task(work, "Beginning")
    assert told.wait(60)
    assert task.running
    assert (task.status.what, task.status.done, task.status.total) == ("Counting", 3, 10)
    seen.set()
    task.join()
    assert not task.running
    assert (task.result, task.error, task.stopped) == ("result", None, "")


def test_a_task_stops_at_its_next_report():
    asked = Event()

    def work(task):
        assert asked.wait(60)
        task.report("Opening clips", 4, 9)
        return "never"

    task = Task(work, "Beginning")
    task.stop()
    asked.set()
    task.join()
    assert task.stopped == "Stopped: opening clips, 4 of 9 done."
    assert task.result is None and task.error is None


def test_a_task_stops_where_nothing_can_be_counted_yet():
    asked = Event()

    def work(task):
        assert asked.wait(60)
        task.report("Looking for clips")
        return "never"

    task = Task(work, "Beginning")
    task.stop()
    asked.set()
    task.join()
    assert task.stopped == "Stopped: looking for clips."


def test_being_stopped_is_no_error():
    def work(task):
        raise Stopped("by hand")

    task = Task(work, "Beginning")
    task.join()
    assert (task.stopped, task.error) == ("by hand", None)


def test_a_failure_is_kept_for_who_asks():
    def work(task):
        raise DataError("there is nothing here")

    task = Task(work, "Beginning")
    task.join()
    assert str(task.error) == "there is nothing here"
    assert task.stopped == ""


def test_the_speed_counts_from_where_the_work_began():
    def work(task):
        task.report("Downloading", 900, 1000)  # of which 900 were there already
        first = task.status.speed
        task.report("Downloading", 950, 1000)
        return first, task.status

    task = Task(work, "Beginning")
    task.join()
    first, status = task.result
    assert first is None
    assert status.seconds_left == pytest.approx(50 / status.speed)


def test_nothing_is_promised_where_the_end_is_not_known():
    assert Status("Looking for clips").seconds_left is None
    assert Status("Looking for clips", 5, 0, 2.0).seconds_left is None
