import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser import assets
from ser.audio.features import SPECTRAL
from ser.cli import main
from tests.tiny import SAMPLES, tiny_corpus

CLIPS = sorted(SAMPLES.rglob("*.flac"))
PROJECT = SAMPLES.parent.parent


@pytest.fixture
def ser(capfd):
    """Run a command; returns its exit code and what it printed."""

    def run(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit:  # argparse's own refusals
            code = exit.code
        output, errors = capfd.readouterr()
        return code, output, errors

    return run


def refused(result, *words):
    """Assert exit code 2 and one clear line; returns it."""
    code, _, errors = result
    assert code == 2
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("ser")]
    assert len(lines) == 1, errors
    for word in words:
        assert word in lines[0]


def test_help_explains_every_command(ser):
    done = subprocess.run(
        [sys.executable, "-m", "ser", "--help"], capture_output=True, text=True, cwd=PROJECT
    )
    assert done.returncode == 0
    for command in [
        "app",
        "info",
        "scan",
        "download",
        "plot",
        "features",
        "train",
        "evaluate",
        "compare",
        "adapt",
        "crossval",
        "predict",
    ]:
        assert f"\n    {command} " in done.stdout
        code, output, _ = ser(command, "--help")
        assert code == 0 and "usage: ser" in output


@pytest.mark.parametrize("asked", ["--help", "--version", "predict --help", "sing"])
def test_what_needs_no_library_loads_none(asked):
    code = (
        "import sys\n"
        "from ser.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "assert not {'numpy', 'pandas', 'librosa', 'tensorflow'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *asked.split()], cwd=PROJECT)
    assert done.returncode == 0


def test_no_or_unknown_command_is_refused(ser):
    assert ser()[0] == 2
    assert ser("sing")[0] == 2


def test_info_names_versions_models_and_corpora(ser):
    code, output, _ = ser("info")
    assert code == 0
    assert "tensorflow 2" in output
    assert "models/ravdess: accuracy" in output
    assert "data/samples: 120 clips, 4 speakers" in output


def test_scan_counts_and_writes_the_table(ser, tmp_path):
    data = tiny_corpus(tmp_path / "clips")
    shutil.copy(next(data.iterdir()), tmp_path / "clips" / "03-01-04-01-01-02-25.flac")
    (data / "notes.txt").write_text("")
    (data / "03-01-09-01-01-01-01.wav").write_text("")
    for damaged in ("03-01-05-01-01-02-25.flac", "03-01-05-01-02-02-25.flac"):
        (data / damaged).write_bytes(b"fLaC, and then nothing")
    code, output, _ = ser("scan", data, "--csv", tmp_path / "out" / "clips.csv", "--n-jobs", 1)
    assert code == 0
    assert "41 clips" in output and "4 speakers" in output
    assert "no audio file (such as notes.txt)" in output
    assert "impossible emotion 09" in output
    assert "2 clips with the same audio" in output
    assert "2 × audio-unreadable: a file is damaged" in output
    table = pd.read_csv(tmp_path / "out" / "clips.csv")
    assert len(table) == 41
    assert table["seconds"].between(1, 4).all()


def test_scan_tells_what_may_be_wrong_with_a_corpus(ser, tmp_path):
    data = tiny_corpus(tmp_path / "clips")
    twin = data / "03-01-04-01-02-02-25.flac"
    samples, rate = soundfile.read(next(data.glob("03-01-05-*-25.flac")))
    soundfile.write(twin, samples / 3, rate, format="FLAC")
    code, output, _ = ser("scan", data, "--health", "--n-jobs", 1)
    assert code == 0
    _, health = output.split("Health (! may need a look):")
    assert "! Near duplicates: 1 pair of" in health and twin.name in health
    assert "Clipping: 0 of" in health


def test_the_cache_is_counted_and_emptied(ser, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    assert ser("scan", tiny_corpus(tmp_path / "clips"), "--n-jobs", 1)[0] == 0
    code, output, _ = ser("cache")
    assert code == 0
    assert str(tmp_path / "cache") in output
    assert re.search(r"corpora +1 files", output)
    code, output, _ = ser("cache", "--clear")
    assert code == 0
    assert output.startswith("Freed: ") and re.search(r"corpora +0 files", output)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_scan_refuses_what_is_no_corpus(ser, tmp_path):
    refused(ser("scan", tmp_path / "missing"), "does not exist")
    refused(ser("scan", tmp_path), "no clip")
    refused(ser("scan", CLIPS[0]), "neither a folder nor a .csv")


def test_plot_draws_png_and_html(ser, tmp_path):
    assert ser("plot", CLIPS[0], "--out", tmp_path / "clip.png")[0] == 0
    assert (tmp_path / "clip.png").stat().st_size > 50_000
    assert ser("plot", CLIPS[0], "--out", tmp_path / "clip.PNG")[0] == 0
    assert ser("plot", CLIPS[0], "--out", tmp_path / "clip.html")[0] == 0
    assert CLIPS[0].name in (tmp_path / "clip.html").read_text()


def test_plot_refuses_bad_input_and_leaves_nothing(ser, tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "file").write_text("")
    refused(ser("plot", tmp_path / "text.wav", "--out", tmp_path / "a.png"), "text.wav")
    refused(ser("plot", CLIPS[0], "--out", tmp_path / "a.gif"), ".png or .html")
    refused(ser("plot", CLIPS[0], "--out", tmp_path / "file" / "a.png"), "Cannot write")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "text.wav"]


def test_features_are_written_with_labels(ser, tmp_path):
    data = tiny_corpus(tmp_path / "clips")
    code, output, _ = ser("features", data, "--out", tmp_path / "f.npz", "--n-jobs", 1)
    assert code == 0 and "40 × 32 × 94 × 2" in output
    with np.load(tmp_path / "f.npz", allow_pickle=False) as arrays:
        assert arrays["features"].shape == (40, *SPECTRAL.shapes["features"])
        assert sorted(set(arrays["emotions"])) == ["angry", "neutral", "sad"]
        assert sorted(arrays["names"]) == sorted(file.name for file in data.iterdir())


def test_a_timeline_is_written_for_players_and_praat(ser, tmp_path):
    sound = np.concatenate([soundfile.read(clip)[0] for clip in CLIPS[:3]])
    soundfile.write(tmp_path / "long.wav", sound, 16_000)
    code, output, _ = ser("predict", tmp_path / "long.wav", "--timeline", "--format", "srt")
    assert code == 0
    assert output.startswith("1\n00:00:00,000 --> ")
    code, output, _ = ser("predict", tmp_path / "long.wav", "--timeline", "--format", "textgrid")
    assert code == 0 and f"xmax = {len(sound) / 16_000:.3f}" in output
    code, output, _ = ser("predict", tmp_path / "long.wav", "--timeline", "--format", "audformat")
    assert code == 0 and output.startswith("file,start,end,emotion,")
    for arguments in ([CLIPS[0]], [CLIPS[0], CLIPS[1], "--timeline"]):
        refused(ser("predict", *arguments, "--format", "vtt"), "for the timeline of one recording")


def test_predict_names_an_emotion(ser, finished_run):
    code, output, errors = ser("predict", CLIPS[0], "--model", finished_run.folder)
    assert code == 0 and errors == ""
    assert CLIPS[0].name in output


def test_predict_gives_json_and_csv_that_programs_can_read(ser, finished_run, tmp_path):
    model = ("--model", finished_run.folder, "--n-jobs", 1)
    _, output, _ = ser("predict", *CLIPS[:2], *model, "--format", "json")
    records = json.loads(output)
    assert [r["file"] for r in records] == [str(clip) for clip in CLIPS[:2]]
    for record in records:
        assert set(record) == {
            "file", "start", "end", "emotion", "verdict", "reason", "distance", "probabilities",
        }  # fmt: skip
        assert record["verdict"] in ("sure", "uncertain")
        assert bool(record["reason"]) == (record["verdict"] == "uncertain")
        assert sum(record["probabilities"].values()) == pytest.approx(1)
        assert record["emotion"] == max(record["probabilities"], key=record["probabilities"].get)
    _, output, _ = ser("predict", *CLIPS[:2], *model, "--format", "csv")
    (tmp_path / "out.csv").write_text(output)
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["emotion"].tolist() == [r["emotion"] for r in records]


def test_predict_takes_folders(ser, finished_run):
    _, output, _ = ser(
        "predict", SAMPLES / "Actor_25", "--model", finished_run.folder, "--format", "json",
        "--n-jobs", 1,
    )  # fmt: skip
    assert len(json.loads(output)) == 30


def test_a_timeline_says_where_nobody_speaks(ser, finished_run, tmp_path):
    clip, _ = soundfile.read(CLIPS[0])
    recording = np.concatenate([clip, np.zeros(8 * 16_000), clip])
    soundfile.write(tmp_path / "long.wav", recording, 16_000)
    model = ("--model", finished_run.folder, "--timeline")
    _, output, _ = ser("predict", tmp_path / "long.wav", *model, "--format", "json")
    records = json.loads(output)
    assert len(records) > 8
    pauses = [r for r in records if r["emotion"] is None]
    assert pauses and all(r["probabilities"] is None for r in pauses)
    _, output, _ = ser("predict", tmp_path / "long.wav", *model)
    assert "(no speech)" in output


def test_predict_answers_for_the_good_files_and_then_names_the_bad(ser, finished_run, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    result = ser(
        "predict", CLIPS[0], tmp_path / "bad.wav", "--model", finished_run.folder,
        "--format", "json",
    )  # fmt: skip
    refused(result, "bad.wav", "not audio this program can decode")
    assert len(json.loads(result[1])) == 1


def test_predict_answers_files_of_any_name(ser, finished_run, tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.flac")).write_bytes(CLIPS[0].read_bytes())
    model = ("--model", finished_run.folder)
    code, out, errors = ser("predict", tmp_path, *model, "--format", "json")
    assert code == 0, errors
    assert [row["file"] for row in json.loads(out)] == [f"{tmp_path}/caf\\udce9.flac"]


def test_names_that_no_table_can_hold_and_hidden_files_cost_no_other(ser, tmp_path):
    data = tiny_corpus(tmp_path / "clips", ("01", "05"))
    count = len(list(data.iterdir()))
    (data / "Icon\r").write_bytes(b"")
    (data / "03-01-05-01-01-01-99\r.wav").write_bytes(b"RIFF")
    (data / "._a.wav").write_bytes(b"x")
    code, out, errors = ser("scan", data, "--n-jobs", 1)
    assert code == 0 and f"{count} clips" in out, errors
    (data / "03-01-05-01-01-01-99\r.wav").unlink()
    code, out, _ = ser("predict", data, "--format", "csv", "--n-jobs", 1)
    assert code == 0 and len(out.splitlines()) == count + 1


def test_an_address_is_no_place_for_what_is_written_here(ser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, errors = ser("evaluate", "m", "--data", "d", "--json", "s3://b/report.json")
    assert code == 2 and "--json: use a path on this computer" in errors
    assert not list(tmp_path.iterdir())


def test_robustness_is_not_measured_after_listening(ser):
    model, data = assets.DEFAULT_MODEL, SAMPLES / "Actor_25"
    options = ("--protocol", "all", "--listen", 3, "--robustness", "--n-jobs", 1)
    refused(ser("evaluate", model, "--data", data, *options), "measured without listening")


def test_a_name_that_no_file_can_have_is_one_sentence(ser):
    code, _, errors = ser("predict", "x" * 300)
    assert code == 2 and errors == f"ser: {'x' * 200}: File name too long.\n"


def test_predict_refuses_what_it_cannot_use(ser, finished_run, tmp_path):
    model = ("--model", finished_run.folder)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    soundfile.write(tmp_path / "blip.wav", np.ones(160) / 2, 16_000)
    refused(ser("predict", tmp_path / "empty.wav", *model), "empty.wav", "empty")
    refused(ser("predict", tmp_path / "missing.wav", *model), "missing.wav", "does not exist")
    refused(ser("predict", tmp_path / "folder", *model), "no audio file")
    refused(ser("predict", tmp_path / "silent.wav", *model), "silent")
    refused(ser("predict", tmp_path / "blip.wav", *model), "10 ms")
    refused(ser("predict", CLIPS[0], "--model", tmp_path), "not a model bundle")


def test_train_makes_a_model_that_predict_can_use(ser, tmp_path):
    data = tiny_corpus(tmp_path / "clips", ("01", "05"))
    run = tmp_path / "run"
    code, output, errors = ser(
        "train", "--data", data, "--out", run, "--epochs", 1, "--copies", 0, "--seed", 3,
        "--members", 1, "--filters", "8,8,8,8", "--lstm", 4, "--n-jobs", 1,
    )  # fmt: skip
    assert code == 0, errors
    assert "unweighted average recall" in output
    assert json.loads((run / "config.json").read_text())["seed"] == 3
    assert ser("predict", CLIPS[0], "--model", run)[0] == 0
    refused(ser("train", "--data", data, "--out", run), "not empty", "--resume")


TINY = """
epochs = 1
copies = 0
batch_size = 8
robustness = false
[model]
members = 1
filters = [8, 8, 8, 8]
lstm = 4
"""


def test_a_configuration_is_given_back(ser, tmp_path):
    """A file over the preset, options over the file; and what a run was made with, again."""
    data = tiny_corpus(tmp_path / "clips", ("01", "05"))
    (tmp_path / "own.toml").write_text(TINY)
    code, _, errors = ser(
        "train", "--config", tmp_path / "own.toml", "--data", data, "--out", tmp_path / "first",
        "--preset", "unseen-speakers", "--no-refit", "--filters", "8,8,8", "--kernel", 3,
        "--dropout", 0.2, "--seed", 3, "--n-jobs", 1,
    )  # fmt: skip
    assert code == 0, errors
    first = json.loads((tmp_path / "first" / "config.json").read_text())
    assert (first["epochs"], first["copies"], first["seed"]) == (1, 0, 3)
    assert (first["balanced"], first["refit"]) == (True, False)
    model = {"members": 1, "front": 24, "functionals": 64, "filters": [8, 8, 8], "kernel": 3}
    assert first["model"] == model | {
        "lstm": 4, "encoder": False, "summary": 256, "dropout": 0.2, "output_dropout": 0.1,
    }  # fmt: skip
    code, _, errors = ser(
        "train", "--config", tmp_path / "first" / "config.json", "--out", tmp_path / "again",
        "--n-jobs", 1,
    )  # fmt: skip
    assert code == 0, errors
    files = [tmp_path / run / "config.json" for run in ("first", "again")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_cross_validation_is_given_back(ser, tmp_path):
    data = tiny_corpus(tmp_path / "clips", ("01", "05"))
    study, file = tmp_path / "study", tmp_path / "own.toml"
    file.write_text(f"data = '{data}'\nfolds = 2\n{TINY}")
    code, _, errors = ser("crossval", "--config", file, "--out", study, "--n-jobs", 1)
    assert code == 0, errors
    config = json.loads((study / "config.json").read_text())
    assert (config["protocol"], config["folds"], config["fold"]) == ("unseen-speakers", 2, 0)
    # Folds are only kept where the configuration is the same.
    again = ("crossval", "--config", study, "--out", study, "--resume")
    code, output, errors = ser(*again)
    assert code == 0 and "fold 2: accuracy" in output, errors
    refused(ser(*again, "--dropout", 0.5), "other settings")


def test_configurations_that_cannot_be_are_refused(ser, tmp_path):
    out, file = tmp_path / "run", tmp_path / "own.toml"
    given = ("train", "--data", SAMPLES, "--out", out, "--config", file)
    refused(ser(*given), "own.toml does not exist")
    file.write_text("epoch = 3")
    refused(ser(*given), "own.toml", "no setting epoch", "did you mean epochs")
    file.write_text("[model]\nlstm = 0")
    refused(ser(*given), "own.toml", "lstm 0 is impossible", "from 1 to 1024")
    file.write_text("epochs = 3")
    refused(ser(*given, "--dropout", 1), "dropout 1.0 is impossible")
    assert ser(*given, "--filters", "8,many")[0] == 2
    refused(ser("train", "--out", out, "--config", file), "Which corpus", "--data")
    random = ("crossval", "--data", SAMPLES, "--out", out, "--protocol", "random")
    refused(ser(*random), "random protocol has no folds", "unseen-speakers")
    assert not out.exists()


def test_every_field_of_a_configuration_is_an_option(ser):
    from ser.models.networks import ModelConfig
    from ser.training.config import TrainingConfig

    _, output, _ = ser("train", "--help")
    for field in (*fields(TrainingConfig), *fields(ModelConfig)):
        assert field.name == "model" or f"--{field.name.replace('_', '-')}" in output


def test_train_refuses_bad_input_before_making_anything(ser, tmp_path):
    out = tmp_path / "run"
    refused(ser("train", "--data", tmp_path / "gone", "--out", out), "does not exist")
    refused(ser("train", "--out", out), "--data")
    refused(ser("train", "--data", SAMPLES, "--out", out, "--epochs", 0), "epochs 0")
    refused(ser("train", "--data", SAMPLES, "--out", out, "--members", 0), "members 0")
    refused(ser("train", "--resume", out), "not a training run")
    refused(ser("train", "--resume", out, "--data", SAMPLES), "leave out")
    given = ("train", "--data", SAMPLES, "--out", out)
    refused(ser(*given, "--backgrounds", tmp_path), "no recordings of backgrounds")
    refused(ser(*given, "--filters", "8,a"), "whole numbers with commas")
    assert not out.exists()
    (tmp_path / "file").write_text("")
    refused(ser("train", "--data", SAMPLES, "--out", tmp_path / "file" / "run"), "Cannot write")


@pytest.mark.parametrize("kind", ["one class", "one clip per class"])
def test_a_corpus_that_cannot_be_split_is_refused(ser, tmp_path, kind):
    data = tmp_path / "clips"
    data.mkdir()
    for clip in CLIPS:
        emotion = clip.stem.split("-")[2]
        wanted = emotion == "05" if kind == "one class" else clip.stem[9:] == "01-01-01-25"
        if wanted:
            shutil.copy(clip, data)
    word = "at least two emotions" if kind == "one class" else "Too few clips"
    for command in ("train", "crossval"):
        out = tmp_path / command
        refused(ser(command, "--data", data, "--out", out, "--n-jobs", 1), word)
        assert not out.exists()  # the corrected command may have the folder


def test_evaluate_repeats_the_figures_of_the_run(ser, finished_run, tmp_path):
    data = finished_run.read_config()["data"][0]
    code, _, errors = ser(
        "evaluate", finished_run.folder, "--data", data, "--json", tmp_path / "r.json",
        "--html", tmp_path / "r.html", "--csv", tmp_path / "r.csv", "--robustness", "--n-jobs", 1,
    )  # fmt: skip
    assert code == 0, errors
    again = json.loads((tmp_path / "r.json").read_text())
    first = json.loads((finished_run.folder / "report.json").read_text())
    assert first.pop("training_seconds") > 0
    assert again == first
    table = pd.read_csv(tmp_path / "r.csv")
    assert (table["emotion"] == table["truth"]).mean() == pytest.approx(again["accuracy"])
    assert "<svg" in (tmp_path / "r.html").read_text()


def test_emotions_that_cannot_occur_can_be_left_out(ser, finished_run, tmp_path, clips):
    model = finished_run.folder
    code, output, errors = ser(
        "predict", clips[0], "--model", model, "--emotions", "sad, angry", "--format", "csv"
    )
    assert code == 0, errors
    assert output.splitlines()[0].endswith("sad,angry"), output
    refused(ser("predict", clips[0], "--model", model, "--emotions", "joy"), "no label for: joy")
    code, _, errors = ser(
        "evaluate", model, "--data", finished_run.read_config()["data"][0],
        "--emotions", "neutral,sad,angry", "--json", tmp_path / "r.json", "--n-jobs", 1,
    )  # fmt: skip
    assert code == 0, errors
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["labels"] == ["neutral", "sad", "angry"]
    assert report["title"].endswith("possible: neutral, sad, angry")


def test_evaluate_refuses_to_call_training_clips_unseen(ser, finished_run, tmp_path):
    data = finished_run.read_config()["data"][0]
    result = ser(
        "evaluate", finished_run.folder, "--data", data, "--seed", 7, "--json", tmp_path / "r.json"
    )
    refused(result, "was trained on", "protocol all")
    assert not (tmp_path / "r.json").exists()


def test_evaluate_on_everything_says_how_much_was_seen_in_training(ser, finished_run, tmp_path):
    data = finished_run.read_config()["data"][0]
    code, output, _ = ser(
        "evaluate", finished_run.folder, "--data", data, "--protocol", "all",
        "--json", tmp_path / "r.json", "--n-jobs", 1,
    )  # fmt: skip
    assert code == 0 and "seen in training" in output
    assert json.loads((tmp_path / "r.json").read_text())["n_seen_in_training"] == 32


def test_download_needs_a_usable_address(ser, tmp_path):
    refused(ser("download", "ravdess", "--to", tmp_path / "r", "--url", "ftp://x"), "http")
    (tmp_path / "file").write_text("")
    refused(ser("download", "ravdess", "--to", tmp_path / "file" / "r"), "Cannot write")


def test_evaluate_says_when_the_corpus_is_foreign(ser, finished_run, tmp_path):
    data = tiny_corpus(tmp_path / "others", ("03", "05"))
    for clip in data.iterdir():  # other names and other sound, so other clips
        samples, rate = soundfile.read(clip)
        soundfile.write(data / clip.name.replace(".flac", ".wav"), samples[800:] / 2, rate)
        clip.rename(clip.with_suffix(".old"))
    for clip in data.glob("*.wav"):
        clip.rename(clip.with_name(f"{clip.stem[:-2]}{int(clip.stem[-2:]) + 10}.wav"))
    code, output, _ = ser("evaluate", finished_run.folder, "--data", data, "--n-jobs", 1)
    assert code == 2 or "not trained on" in output


def test_numbers_that_cannot_be_are_refused(ser, tmp_path):
    assert ser("scan", SAMPLES, "--n-jobs", 0)[0] == 2
    assert ser("evaluate", tmp_path, "--data", SAMPLES, "--seed", -1)[0] == 2
    refused(ser("train", "--resume", tmp_path, "--epochs", 5), "leave out --epochs")
    refused(ser("crossval", "--data", SAMPLES, "--out", tmp_path / "x", "--seeds", 0), "1 or more")


def test_options_without_effect_are_refused(ser, finished_run, tmp_path):
    refused(ser("predict", SAMPLES, "--per-shard", 5), "--out")
    refused(ser("evaluate", finished_run.folder, "--data", SAMPLES, "--shots", 3), "few-shot")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("kept")
    refused(ser("adapt", finished_run.folder, "--data", SAMPLES, "--out", full), "not empty")


def test_a_faint_recording_with_a_pause_gets_a_timeline(ser, finished_run, tmp_path):
    clip, _ = soundfile.read(CLIPS[0])
    faint = 6e-4 * clip / np.abs(clip).max()  # its windows are less than 40 dB above silence
    recording = np.concatenate([faint, np.zeros(5 * 16_000), faint]).astype(np.float32)
    soundfile.write(tmp_path / "faint.wav", recording, 16_000, subtype="FLOAT")
    model = ("--model", finished_run.folder)
    code, output, errors = ser("predict", tmp_path / "faint.wav", "--timeline", *model)
    assert code == 0 and "(no speech)" in output, errors


def test_fields_that_no_table_can_hold_cost_no_clip(ser, tmp_path):
    table = tmp_path / "clips.csv"
    rows = [f'{CLIPS[0]},happy,"an\rna"', f"{CLIPS[1]},sad,bob", ",sad,bob", "gone,sad,bob"]
    table.write_text("path,emotion,speaker\n" + "\n".join(rows) + "\n", newline="")
    code, output, errors = ser("scan", table, "--n-jobs", 1)
    assert code == 0 and "2 clips" in output, errors
    assert "1 × a row has no path (such as clips.csv)" in output
    assert "1 × no such file (such as gone)" in output


def test_a_reader_that_leaves_early_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "ser", "scan", str(SAMPLES), "--n-jobs", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT,
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
    )  # fmt: skip
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait() == 0
    assert errors == ""


def test_a_corpus_with_names_of_its_own_is_read_by_the_parser_given(ser, tmp_path):
    data, parser = tmp_path / "data", tmp_path / "mine.py"
    data.mkdir()
    for number, clip in enumerate(CLIPS[:4]):
        shutil.copy(clip, data / f"anna_sad_{number}.flac")
    parser.write_text(
        "from ser.data.parsers import register_parser\n"
        "@register_parser('mine')\n"
        "def parse(path):\n"
        "    speaker, emotion, _ = path.stem.split('_')\n"
        "    return {'emotion': emotion, 'speaker': speaker}\n"
    )
    refused(ser("scan", data), "no clip with a known emotion")
    refused(ser("scan", data, "--parser", tmp_path / "gone.py"), "gone.py", "cannot be run")
    table = tmp_path / "table.csv"
    done = subprocess.run(
        [sys.executable, "-m", "ser", "scan", data, "--parser", parser, "--csv", table],
        capture_output=True, text=True, cwd=PROJECT,
    )  # fmt: skip
    assert done.returncode == 0 and "4 clips" in done.stdout, done.stderr
    rows = pd.read_csv(table)[["corpus", "emotion", "speaker"]].to_numpy().tolist()
    assert rows == [["mine", "sad", "anna"]] * 4


def test_two_reports_are_compared(ser):
    code, output, _ = ser("compare", PROJECT / "reports" / "quick.json", assets.RAVDESS_MODEL)
    assert code == 0
    assert "491 common clips: a difference of +5.3 points" in output and "McNemar" in output
    assert "disgust" in output
    refused(ser("compare", PROJECT / "reports" / "quick.json", PROJECT / "docs"), "report")
    few_shot = PROJECT / "reports" / "adapt" / "emodb-5.json"
    refused(ser("compare", few_shot, few_shot), "what learning voices gains")


def test_scan_names_doubtful_labels(ser, tmp_path):
    corpus = tiny_corpus(tmp_path / "clips")
    wrong = corpus / "03-01-04-01-01-01-25.flac"
    shutil.copy(next(SAMPLES.rglob("03-01-05-02-01-01-25.flac")), wrong)
    table = tmp_path / "clips.csv"
    code, output, _ = ser("scan", corpus, "--doubtful", 3, "--csv", table, "--n-jobs", 1)
    assert code == 0
    listed = output.split("Most doubtful labels")[1]
    assert wrong.name in listed and listed.count(".flac") >= 3
    row = pd.read_csv(table).set_index("name").loc[wrong.name]
    assert row["suggested"] == "angry" and row["doubt"] > 0
