from threading import Event

import pytest

from ser.app.tasks import Job, Status
from ser.data.download import DownloadStopped
from ser.errors import DataError, Stopped


def test_a_job_tells_how_far_it_is_and_what_came_of_it():
    told, seen = Event(), Event()

    def work(job):
        job.report("Counting", 3, 10)
        told.set()
        assert seen.wait(60)
        return "result"

    job = Job(work, "Beginning")
    assert told.wait(60)
    assert job.running
    assert (job.status.what, job.status.done, job.status.total) == ("Counting", 3, 10)
    seen.set()
    job.join()
    assert not job.running
    assert (job.result, job.error, job.stopped) == ("result", None, "")


def test_a_job_stops_at_its_next_report():
    asked = Event()

    def work(job):
        assert asked.wait(60)
        job.report("Opening clips", 4, 9)
        return "never"

    job = Job(work, "Beginning")
    job.stop()
    asked.set()
    job.join()
    assert job.stopped == "Stopped: opening clips, 4 of 9 done."
    assert job.result is None and job.error is None


@pytest.mark.parametrize("stopped", [Stopped("by hand"), DownloadStopped("by hand")])
def test_being_stopped_is_no_error(stopped):
    def work(job):
        raise stopped

    job = Job(work, "Beginning")
    job.join()
    assert (job.stopped, job.error) == ("by hand", None)


def test_a_failure_is_kept_for_who_asks():
    def work(job):
        raise DataError("there is nothing here")

    job = Job(work, "Beginning")
    job.join()
    assert str(job.error) == "there is nothing here"
    assert job.stopped == ""


def test_the_speed_counts_from_where_the_work_began():
    def work(job):
        job.report("Downloading", 900, 1000)  # of which 900 were there already
        first = job.status.speed
        job.report("Downloading", 950, 1000)
        return first, job.status

    job = Job(work, "Beginning")
    job.join()
    first, status = job.result
    assert first is None
    assert status.seconds_left == pytest.approx(50 / status.speed)


def test_nothing_is_promised_where_the_end_is_not_known():
    assert Status("Looking for clips").seconds_left is None
    assert Status("Looking for clips", 5, 0, 2.0).seconds_left is None
