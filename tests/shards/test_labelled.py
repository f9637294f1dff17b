"""Corpora scanned, made into features and tested by shards."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.assets import RAVDESS_MODEL
from ser.cli import main
from ser.data import corpora
from ser.evaluation.report import Report
from ser.models.recognizer import REFUSED
from ser.shards.labelled import Evaluation, Names
from ser.shards.manifest import find_clips, read_shard, write_manifest
from ser.shards.prediction import Prediction
from tests.shards.processes import contents, receipts, refused, start, wait_until, whole
from tests.tiny import tiny_corpus


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tiny_corpus(tmp_path_factory.mktemp("labelled") / "clips")
    (folder / "03-01-01-01-01-01-99.wav").write_bytes(b"RIFF, and then nothing")
    (folder / "holiday.wav").write_bytes(b"of no emotion")
    return folder


def run(*arguments):
    return main([str(each) for each in arguments])


@pytest.fixture(scope="module")
def scanned(clips, tmp_path_factory):
    store = tmp_path_factory.mktemp("scanned") / "out"
    assert run("scan", clips, "--out", store, "--per-shard", 7, "--n-jobs", 1) == 2
    return store


def test_a_scan_by_shards_finds_what_a_scan_finds(clips, scanned, tmp_path, capfd):
    run("scan", clips, "--csv", tmp_path / "plain.csv")
    plain, found = (
        pd.read_csv(file, dtype={"speaker": str}).sort_values("path", ignore_index=True)
        for file in (tmp_path / "plain.csv", scanned / "clips.csv")
    )
    pd.testing.assert_frame_equal(found[plain.columns], plain, atol=1e-4)
    skipped = pd.read_csv(scanned / "skipped.csv")
    names = skipped["path"].str.rsplit("/", n=1).str[-1]
    assert set(names) == {"03-01-01-01-01-01-99.wav", "holiday.wav"} and skipped["reason"].all()


def test_the_manifest_of_a_scan_is_a_corpus(clips, scanned):
    named = corpora.scan(clips).clips
    usable = named[~named["name"].str.contains("-99")].reset_index(drop=True)
    pd.testing.assert_frame_equal(corpora.scan(scanned / "clips.parquet").clips, usable)


def test_features_by_shards_are_those_without(clips, tmp_path):
    assert run("features", clips, "--out", tmp_path / "plain.npz") == 0
    assert run("features", clips, "--out", tmp_path / "out", "--n-jobs", 1, "--per-shard", 20) == 2
    parts = sorted((tmp_path / "out" / "parts").glob("*.npy"))
    found = np.concatenate([np.load(part, mmap_mode="r") for part in parts])
    table = pd.read_csv(tmp_path / "out" / "clips.csv")
    with np.load(tmp_path / "plain.npz") as plain:
        order = np.argsort(table["name"].to_numpy().astype(str))
        np.testing.assert_array_equal(found[order], plain["features"])
        assert table["emotion"].to_numpy()[order].tolist() == plain["emotions"].tolist()


@pytest.mark.parametrize("protocol", ["all", "random"])
def test_a_test_by_shards_reports_what_a_test_reports(clips, protocol, tmp_path):
    plain, sharded = tmp_path / "plain.json", tmp_path / "sharded.json"
    given = ["evaluate", RAVDESS_MODEL, "--data", clips, "--protocol", protocol]
    assert run(*given, "--json", plain) == 0
    given += ["--json", sharded, "--out", tmp_path / "out"]
    assert run(*given, "--n-jobs", 1, "--per-shard", 20) == 2
    first, second = Report.load(plain), Report.load(sharded)
    assert (first.title, first.speakers, first.n_uncertain) == (
        second.title, second.speakers, second.n_uncertain,
    )  # fmt: skip
    answers, again = (
        report.predictions.sort_values("file", ignore_index=True) for report in (first, second)
    )
    pd.testing.assert_frame_equal(answers, again, atol=1e-5)
    for group, members in first.by.items():
        assert list(second.by[group].items()) == list(members.items())
    assert second.uar == first.uar and second.ece == pytest.approx(first.ece, abs=1e-5)


def test_a_scan_killed_at_any_moment_ends_with_the_same_bytes(clips, scanned, tmp_path):
    store = tmp_path / "out"
    given = ["scan", clips, "--out", store, "--per-shard", 7, "--n-jobs", 1]
    for shard in (0, 3):
        running = start(*map(str, given), *(["--resume"] if shard else []))
        wait_until(lambda: receipts(store) > shard, running)  # noqa: B023
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    assert run(*given, "--resume") == 2
    whole(store)
    assert contents(store) == contents(scanned)


def test_a_corpus_that_changed_is_refused_with_both_hashes(clips, scanned, tmp_path, capfd):
    store = shutil.copytree(scanned, tmp_path / "out")
    other = shutil.copytree(clips, tmp_path / "clips")
    before = contents(store)
    (other / "holiday.wav").unlink()
    assert run("scan", other, "--out", store, "--per-shard", 7, "--resume") == 2
    assert "begun with another manifest" in capfd.readouterr().err
    assert contents(store) == before


def test_a_shard_without_a_usable_clip_is_one_of_many(clips, tmp_path, capfd):
    folder, out = tmp_path / "clips", tmp_path / "out"
    (folder / "within").mkdir(parents=True)
    for clip in sorted(clips.glob("*.flac"))[:5]:
        shutil.copy(clip, folder / "within")
    bad = {"holiday.wav", "more.wav", "03-01-01-01-01-01-99.wav"}
    for name in bad:  # what lies in the folder itself comes first
        (folder / name).write_bytes(b"RIFF, and then nothing")
    given = ["evaluate", RAVDESS_MODEL, "--data", folder, "--out", out, "--protocol", "all"]
    assert run(*given, "--per-shard", 3, "--n-jobs", 1, "--json", tmp_path / "report.json") == 2
    refused(capfd, "1 of 8 clips cannot be used")
    first = pd.read_parquet(out / "parts" / "part-00000.parquet")
    assert set(first["file"].map(os.path.basename)) == bad and first["emotion"].isna().all()
    assert Report.load(tmp_path / "report.json").n_test == 5
    assert len(pd.read_csv(out / "skipped.csv")) == 3


@pytest.mark.parametrize("command", ["scan", "features", "evaluate"])
@pytest.mark.parametrize("name", ["03-01-01-01-01-01-99.wav", "holiday.wav"])
def test_a_corpus_without_a_usable_clip_is_one_sentence(command, name, tmp_path, capfd):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / name).write_bytes(b"RIFF, and then nothing")
    given = [RAVDESS_MODEL, "--data", folder] if command == "evaluate" else [folder]
    assert run(command, *given, "--out", tmp_path / "out", "--n-jobs", 1) == 2
    refused(capfd, f"{folder} holds no clip that can be used", "skipped.csv says why")


def test_files_that_are_no_clips_are_counted(clips, tmp_path, capfd):
    folder = tmp_path / "clips"
    folder.mkdir()
    for clip in sorted(clips.glob("*.flac"))[:5]:
        shutil.copy(clip, folder)
    (folder / "holiday.wav").write_bytes(b"of no emotion")
    for command, given in (
        ("scan", [folder]),
        ("features", [folder]),
        ("evaluate", [RAVDESS_MODEL, "--protocol", "all", "--data", folder]),
    ):
        assert run(command, *given, "--out", tmp_path / command, "--n-jobs", 1) == 0
        assert "no clip of a known emotion: 1;" in capfd.readouterr().out


def test_a_recording_that_changed_after_it_was_scanned_is_noticed(clips, tmp_path, capfd):
    first, second = sorted(clips.glob("*.flac"))[:2]
    folder, scan, out = tmp_path / "clips", tmp_path / "scan", tmp_path / "out"
    folder.mkdir()
    clip = Path(shutil.copy(first, folder))
    assert run("scan", folder, "--out", scan, "--n-jobs", 1) == 0
    given = ["predict", scan / "clips.parquet", "--out", out, "--n-jobs", 1]
    assert run(*given) == 0
    assert run(*given, "--resume") == 0
    shutil.copy(second, clip)
    assert run(*given, "--resume") == 2
    refused(capfd, "begun with another manifest")


def test_a_clip_that_vanishes_while_it_is_tested_is_left_out(clips, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for clip in sorted(clips.glob("*.flac"))[:3]:
        shutil.copy(clip, folder)
    manifest = tmp_path / "clips.parquet"
    write_manifest(manifest, find_clips([folder]), size=3)
    gone = sorted(folder.iterdir())[1]

    class Vanishing(Prediction):
        def answers(self, paths):
            found = super().answers(paths)
            gone.unlink()
            return found

    work = Evaluation(Names.of(folder, []), Vanishing.by(RAVDESS_MODEL))
    work(read_shard(manifest, 0), tmp_path / "part")
    table = pd.read_parquet(tmp_path / "part.parquet").set_index("file")
    assert table["verdict"].eq(REFUSED).sum() == 1
    assert table.loc[str(gone), "verdict"] == REFUSED
    assert "does not exist" in table.loc[str(gone), "reason"]


def test_an_emotion_that_the_model_does_not_know_ends_it_before_it_begins(clips, tmp_path, capfd):
    given = ["evaluate", RAVDESS_MODEL, "--data", clips, "--out", tmp_path / "out"]
    assert run(*given, "--emotions", "happy,sad", "--per-shard", 7, "--n-jobs", 1) == 2
    refused(capfd, "The model has no label for: angry", "Leave such clips out")
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1 and nothing more", "cannot be read as a manifest"),
        (None, "has no column emotion"),
    ],
)
def test_what_is_no_manifest_of_a_corpus_is_refused(tmp_path, capfd, content, words):
    file = tmp_path / "clips.parquet"
    if content is None:
        pd.DataFrame({"path": ["a.wav"]}).to_parquet(file)
    else:
        file.write_bytes(content)
    assert run("scan", file) == 2
    assert words in capfd.readouterr().err
