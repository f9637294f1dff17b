"""Folders predicted shard by shard, by real processes that are killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ser.cli import main
from ser.models.recognizer import Recognizer
from ser.shards.store import Job
from ser.utils.extras import installing
from ser.utils.files import atomic_path
from tests.shards.processes import (
    PER_SHARD,
    PROJECT,
    command,
    contents,
    one_line,
    receipts,
    refused,
    start,
    wait_until,
    whole,
)
from tests.tiny import SAMPLES, tiny_corpus

SHARDS = 15  # of 44 clips, two of which are none


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tiny_corpus(tmp_path_factory.mktemp("many") / "clips")
    for i, clip in enumerate(sorted(folder.iterdir())[:2]):
        (folder / "again" / str(i)).mkdir(parents=True)
        shutil.copy(clip, folder / "again" / str(i))
    (folder / "again" / "0" / "broken.wav").write_bytes(b"RIFF, and then nothing")
    (folder / "again" / "empty.mp3").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def undisturbed(clips, tmp_path_factory):
    store = tmp_path_factory.mktemp("undisturbed") / "out"
    assert main(command(clips, store, "--n-jobs", 1)) == 2  # two clips cannot be used
    return store


@pytest.fixture
def store(undisturbed, tmp_path):
    return Path(shutil.copytree(undisturbed, tmp_path / "out"))


def test_every_clip_is_in_exactly_one_table(clips, undisturbed):
    answered = pd.read_csv(undisturbed / "predictions.csv")
    left_out = pd.read_csv(undisturbed / "refused.csv")
    there = sorted(str(path) for path in clips.rglob("*") if path.is_file())
    assert sorted([*answered["file"], *left_out["file"]]) == there
    assert sorted(Path(file).name for file in left_out["file"]) == ["broken.wav", "empty.mp3"]
    assert left_out["reason"].str.len().gt(10).all()
    assert receipts(undisturbed) == SHARDS


def test_answers_are_those_of_the_same_clips_without_shards(clips, undisturbed, capfd):
    files = sorted(map(str, clips.glob("*.flac")))[:5]
    assert main(["predict", *files, "--format", "csv"]) == 0
    expected = capfd.readouterr().out.splitlines()
    rows = (undisturbed / "predictions.csv").read_text().splitlines()
    assert rows[0] == expected[0]
    found = pd.read_csv(undisturbed / "predictions.csv").set_index("file").loc[files].reset_index()
    assert found["emotion"].tolist() == [line.split(",")[3] for line in expected[1:]]


def test_a_run_killed_at_any_moment_ends_with_the_same_bytes(clips, undisturbed, tmp_path):
    out = tmp_path / "out"
    moments = [
        lambda: out.is_dir(),
        lambda: receipts(out) >= 1,
        lambda: receipts(out) >= SHARDS // 2,
    ]
    for reached in moments:
        running = start(*command(clips, out, "--resume", "--n-jobs", 2))
        wait_until(reached, running)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        assert receipts(out) < SHARDS
    kept = {path: path.stat().st_mtime_ns for path in (out / "parts").glob("part-*")}
    finished = [path for path in kept if (out / "finished" / f"{path.stem[5:]}.json").exists()]
    last = start(*command(clips, out, "--resume", "--n-jobs", 2))
    _, errors = last.communicate()
    assert last.returncode == 2 and "2 of 44 clips cannot be used" in errors
    whole(out)
    assert contents(out) == contents(undisturbed)
    assert all(path.stat().st_mtime_ns == kept[path] for path in finished), "done twice"


def test_ctrl_c_says_how_to_go_on_and_a_lost_worker_costs_nothing(clips, undisturbed, tmp_path):
    out = tmp_path / "out"
    running = start(*command(clips, out, "--n-jobs", 2))
    wait_until(lambda: receipts(out) >= 1, running)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate()
    assert running.returncode == 130
    # (A worker that was just being born may say more: nothing of ours runs in it yet.)
    assert "Go on with the same command and --resume" in errors

    running = start(*command(clips, out, "--resume", "--n-jobs", 2))
    kept = receipts(out)
    wait_until(lambda: receipts(out) > kept, running)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    workers = [
        int(child)
        for child in children
        if "popen_loky" in Path(f"/proc/{child}/cmdline").read_text()
    ]
    os.kill(workers[0], signal.SIGKILL)
    _, errors = running.communicate()
    assert running.returncode == 2
    lines = [line for line in errors.splitlines() if line.startswith("ser: ")]
    assert "worker process was ended" in lines[0] and "--resume" in lines[0]
    assert "Traceback" not in errors
    assert main(command(clips, out, "--resume", "--n-jobs", 1)) == 2
    assert contents(out) == contents(undisturbed)


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "foreign", "receipt"])
def test_a_damaged_part_is_done_again(clips, undisturbed, store, damage):
    part, receipt = store / "parts" / "part-00001.parquet", store / "finished" / "00001.json"
    data = bytearray(part.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
        part.write_bytes(data)
    elif damage == "cut":
        part.write_bytes(data[: len(data) // 2])
    elif damage == "missing":
        part.unlink()
    elif damage == "foreign":  # whole, with the receipt of another job
        shutil.copy(store / "parts" / "part-00002.parquet", part)
        other = json.loads((store / "finished" / "00002.json").read_text())
        receipt.write_text(json.dumps(other | {"job": "0" * 64, "shard": 1}))
    else:
        receipt.write_text('{"job": [')
    assert main(command(clips, store, "--resume", "--n-jobs", 1)) == 2
    assert contents(store) == contents(undisturbed)


def test_two_commands_at_once_lose_nothing(clips, store):
    expected = (store / "predictions.csv").read_bytes()
    (store / "predictions.csv").unlink()
    (store / "parts" / "part-00000.parquet").unlink()
    running = [start(*command(clips, store, "--resume", "--n-jobs", 1)) for _ in range(2)]
    for process in running:
        assert "Traceback" not in process.communicate()[1]
    assert (store / "predictions.csv").read_bytes() == expected
    whole(store)


def test_what_another_process_still_writes_is_not_tidied_away(store):
    with atomic_path(store / "predictions.csv") as being_written:
        being_written.write_text("half")
        killed = store / f".writing-{2**22 + 1}-0.csv"  # more than Linux gives to a process
        killed.write_text("half")
        Job(store, "key", 1, 1).tidy()
        assert being_written.exists() and not killed.exists()


def test_another_manifest_is_refused_with_both_hashes(clips, store, tmp_path, capfd):
    before = contents(store)
    more = shutil.copytree(clips, tmp_path / "clips")
    begun = json.loads((store / "job.json").read_text())["manifest"]
    assert main(command(more, store, "--resume")) == 2
    refused(capfd, "another manifest", begun, "and now it is")
    assert contents(store) == before


def test_another_number_of_clips_per_shard_is_named(clips, store, capfd):
    given = command(clips, store, "--resume")
    given[given.index("--per-shard") + 1] = "7"
    assert main(given) == 2
    refused(capfd, "another number of clips per shard", "and now it is 7")


def test_a_clip_that_changed_is_noticed(clips, tmp_path, capfd):
    folder, out = tmp_path / "clips", tmp_path / "out"
    folder.mkdir()
    one, other = sorted(clips.glob("*.flac"))[:2]
    shutil.copy(one, folder / "a.flac")
    assert main(command(folder, out, "--n-jobs", 1)) == 0
    shutil.copy(other, folder / "a.flac")
    assert main(command(folder, out, "--resume")) == 2
    refused(capfd, "another manifest")


def test_another_model_or_choice_is_refused_with_both(clips, store, capfd):
    before = contents(store)
    assert main(command(clips, store, "--resume", "--model", PROJECT / "models/ravdess")) == 2
    refused(capfd, "another model", json.loads(before["job.json"])["model"])
    assert main(command(clips, store, "--resume", "--emotions", "happy,sad")) == 2
    refused(capfd, "another choice of emotions: all, and now it is happy, sad")
    assert contents(store) == before


def test_a_store_is_neither_overwritten_nor_mixed_with_something_else(clips, store, capfd):
    before = contents(store)
    assert main(command(clips, store)) == 2
    refused(capfd, "holds a job already", "--resume")
    assert contents(store) == before
    assert main(command(clips, clips)) == 2
    refused(capfd, "holds something else")
    file = store / "job.json"
    assert main(command(clips, file)) == 2
    refused(capfd, "it is not a folder")
    assert contents(store) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(clips, tmp_path, capfd):
    tmp_path.chmod(0o500)
    assert main(command(clips, tmp_path / "out")) == 2
    refused(capfd, "Cannot write", "Permission denied")


def test_a_store_that_cannot_be_written_any_more_keeps_what_is_done(
    clips, undisturbed, store, capfd
):
    """A file lies where the second half of the parts must go."""
    (store / "parts" / "part-00014.parquet").unlink()
    (store / "parts" / "part-00014.parquet").mkdir()
    assert main(command(clips, store, "--resume", "--n-jobs", 1)) == 2
    refused(capfd, "part-00014.parquet: it is a folder", "--resume")
    (store / "parts" / "part-00014.parquet").rmdir()
    assert main(command(clips, store, "--resume", "--n-jobs", 1)) == 2
    assert contents(store) == contents(undisturbed)


def test_a_worker_without_the_model_is_one_sentence(clips, undisturbed, store, tmp_path, capfd):
    from ser.errors import BundleError
    from ser.shards import prediction
    from ser.shards import store as stores
    from ser.shards.manifest import find_clips

    model = shutil.copytree(PROJECT / "models/everyday", tmp_path / "model")
    work = prediction.Prediction.by(model)
    shutil.rmtree(model)
    prediction.load.cache_clear()  # as in a process of its own
    job = stores.begin(store, find_clips([clips]), work, resume=True, size=PER_SHARD)
    with pytest.raises(BundleError, match=r"missing on a worker\. Copy it"):
        stores.run_shard(0, job=job, work=work)
    assert contents(store) == contents(undisturbed)


@pytest.mark.parametrize(
    ("missing", "extra", "more"),
    [("pyarrow", "large", []), ("distributed", "cluster", ["--cluster", "local"])],
)
def test_what_is_not_installed_is_named_with_its_extra(clips, tmp_path, missing, extra, more):
    # Python runs this file first in each process; what is None there cannot be imported.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    done = subprocess.run(
        [sys.executable, "-m", "ser", *command(clips, tmp_path / "out", *more)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    one_line(done.stderr, missing, installing(extra))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "more", [["--timeline"], ["--same-voice"], ["--format", "csv"]], ids=lambda more: more[0]
)
def test_what_needs_all_clips_at_once_is_refused(clips, tmp_path, capfd, more):
    assert main(command(clips, tmp_path / "out", *more)) == 2
    refused(capfd, more[0])


def test_nothing_to_answer_is_an_empty_table_or_one_sentence(tmp_path, capfd):
    model = Recognizer.load(PROJECT / "models/ravdess")
    nothing, one = model.predict_files([]), model.predict_files([next(SAMPLES.rglob("*.flac"))])
    assert nothing.empty and list(nothing) == list(one)
    (tmp_path / "clips" / "within").mkdir(parents=True)
    assert main(command(tmp_path / "clips", tmp_path / "out", "--n-jobs", 1)) == 2
    refused(capfd, f"{tmp_path / 'clips'} holds no audio file")
    assert not list((tmp_path / "out").rglob("*.*"))


def test_resume_without_a_store_is_refused(clips, capfd):
    assert main(["predict", str(clips), "--resume"]) == 2
    refused(capfd, "--out")
