"""What work over many clips will take, tried on real clips by real processes."""

import re

import pandas as pd
import pytest

from ser.cli import main
from ser.shards.estimate import draw, estimates
from ser.shards.labelled import Names, Scan
from ser.shards.manifest import Clip, find_clips, write_manifest
from tests.shards.processes import refused
from tests.tiny import tiny_corpus


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tiny_corpus(tmp_path_factory.mktemp("estimate") / "clips", emotions=("04",))


def rows(printed):
    """Return clips per second, seconds and MB by command."""
    found = re.findall(r"^(\w+) +([\d.]+) +(\d+):(\d\d):(\d\d) +(\d+)$", printed, re.MULTILINE)
    return {
        name: (float(rate), 3600 * int(h) + 60 * int(m) + int(s), int(megabytes))
        for name, rate, h, m, s, megabytes in found
    }


def test_every_command_is_tried_and_more_clips_take_longer(clips, tmp_path, capfd):
    few = list(find_clips([clips]))
    write_manifest(tmp_path / "many.parquet", few * 10_000, size=500)
    assert main(["scan", str(tmp_path / "many.parquet"), "--estimate", "--n-jobs", "1"]) == 0
    printed = capfd.readouterr().out
    assert f"{len(few) * 10_000} clips, of which 1 worker tried 76" in printed
    found = rows(printed)
    assert list(found) == ["scan", "features", "predict", "evaluate"]
    for rate, seconds, megabytes in found.values():
        work = 10_000 * len(few) / rate
        assert 0.9 * work < seconds < 1.1 * work + 60  # to start takes some of them
        assert 50 < megabytes < 2000
    assert list(tmp_path.iterdir()) == [tmp_path / "many.parquet"]


def test_a_single_clip_is_enough(clips):
    work = Scan(Names.of(clips, []))
    drawn, found = draw(find_clips([next(clips.iterdir())]), 10)
    (estimate,) = estimates({"scan": work}, drawn, workers=4)
    assert found == 1 and estimate.rate > 0 and estimate.megabytes > 50
    assert estimate.seconds(2000) - estimate.seconds(1000) == pytest.approx(1000 / estimate.rate)


def test_clips_are_drawn_from_everywhere_and_always_the_same():
    every = [Clip(str(number)) for number in range(10_000)]
    drawn, found = draw(iter(every), 1000)
    assert found == 10_000 and len(set(drawn)) == 1000
    numbers = pd.Series([int(clip.path) for clip in drawn])
    assert 4500 < numbers.mean() < 5500 and numbers.min() < 100 and numbers.max() > 9900
    assert draw(iter(every), 1000)[0] == drawn
    few, found = draw(every[:3], 1000)
    assert found == 3 and set(few) == set(every[:3])


def test_what_an_estimate_cannot_do_is_refused(clips, tmp_path, capfd):
    for more in (["--out", str(tmp_path / "out")], ["--health"], ["--resume"]):
        assert main(["scan", str(clips), "--estimate", *more]) == 2
        refused(capfd, more[0])
    (tmp_path / "empty").mkdir()
    assert main(["scan", str(tmp_path / "empty"), "--estimate"]) == 2
    refused(capfd, "holds no audio file")
