"""A cluster of several hosts, each a network namespace, whose cables are pulled in the middle."""

import os
import subprocess
from importlib.util import find_spec

import pytest

from tests.shards.processes import (
    Dask,
    command,
    contents,
    one_line,
    receipts,
    root_can,
    start,
    wait_until,
)

pytestmark = pytest.mark.skipif(find_spec("distributed") is None, reason="Dask is not installed")


def ip(words):
    subprocess.run(["ip", *words.split()], check=True)


class Hosts:
    """Hosts with the addresses 10.99.0.2 and so on, and cables to a switch in the first one."""

    def __init__(self, *names):
        self.names = {name: f"ser-{name}-{os.getpid()}" for name in names}
        self.first, *self.others = names

    def make(self):
        for name in self.names.values():
            root_can("ip", "netns", "add", name)
            ip(f"-n {name} link set lo up")
        switch = self.names[self.first]
        root_can(*f"ip -n {switch} link add switch type bridge".split())
        ip(f"-n {switch} addr add {self.address(self.first)}/24 dev switch")
        ip(f"-n {switch} link set switch up")
        for name in self.others:
            host = self.names[name]
            pair = f"link add {name} netns {switch} type veth peer name cable netns {host}"
            root_can("ip", *pair.split())
            ip(f"-n {switch} link set {name} master switch up")
            ip(f"-n {host} addr add {self.address(name)}/24 dev cable")
            ip(f"-n {host} link set cable up")

    def delete(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)

    def address(self, name):
        return f"10.99.0.{2 + list(self.names).index(name)}"

    def on(self, name):
        return ["ip", "netns", "exec", self.names[name]]

    def cable(self, name, state):
        ip(f"-n {self.names[self.first]} link set {name} {state}")


@pytest.fixture(scope="module")
def hosts():
    there = Hosts("scheduler", "one", "other", "client")
    try:
        there.make()
        yield there
    finally:
        there.delete()


@pytest.fixture
def dask(hosts, tmp_path, monkeypatch):
    """A scheduler; workers are to be started."""
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP", "11s")  # less is refused
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "11s")
    here = Dask(tmp_path, host=hosts.address("scheduler"))
    here.scheduler(before=hosts.on("scheduler"))
    yield here
    here.kill()
    for name in hosts.others:
        hosts.cable(name, "up")


def begin(hosts, dask, clips, out, *more):
    words = command(clips, out, "--cluster", dask.address, *more)
    running = start(*words, before=hosts.on("client"))
    wait_until(lambda: receipts(out) >= 1, running)
    return running


def ends(running):
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 2
    one_line(errors, "1 of 41 clips cannot be used")


def test_a_host_that_is_cut_off_costs_nothing(hosts, dask, clips, alone, tmp_path):
    for name in ("one", "other"):
        dask.worker(name, host=hosts.address(name), before=hosts.on(name))
    running = begin(hosts, dask, clips, tmp_path / "out")
    hosts.cable("one", "down")
    ends(running)
    assert contents(tmp_path / "out") == alone


def test_a_job_waits_for_a_host_when_all_are_cut_off(hosts, dask, clips, alone, tmp_path):
    dask.worker("one", host=hosts.address("one"), before=hosts.on("one"))
    running = begin(hosts, dask, clips, tmp_path / "out")
    hosts.cable("one", "down")
    dask.processes.pop("one").communicate(timeout=120)  # a worker that has no scheduler ends
    hosts.cable("one", "up")
    dask.worker("again", host=hosts.address("one"), before=hosts.on("one"))
    ends(running)
    assert contents(tmp_path / "out") == alone


def test_a_client_that_is_cut_off_says_so_and_goes_on(hosts, dask, clips, alone, tmp_path):
    dask.worker("one", host=hosts.address("one"), before=hosts.on("one"))
    running = begin(hosts, dask, clips, tmp_path / "out")
    hosts.cable("client", "down")
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 2
    one_line(errors, "is lost", "--resume")
    hosts.cable("client", "up")
    ends(begin(hosts, dask, clips, tmp_path / "out", "--resume"))
    assert contents(tmp_path / "out") == alone
