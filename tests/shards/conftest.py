"""What tests of clusters work on, and what one machine makes of it."""

import pytest

from ser.cli import main
from tests.shards.processes import command, contents
from tests.tiny import tiny_corpus


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    folder = tiny_corpus(tmp_path_factory.mktemp("clips") / "clips")
    (folder / "broken.wav").write_bytes(b"RIFF, and then nothing")
    return folder


@pytest.fixture(scope="session")
def alone(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "out"
    assert main(command(clips, out, "--n-jobs", 1)) == 2  # one clip cannot be used
    return contents(out)
