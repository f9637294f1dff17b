"""Every place that writes, on a disk that is really full and on one that is really read-only."""

import io
import shutil
import subprocess
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser import assets, plots
from ser.app import access, audit, learned, members, processes, sharing, workspace
from ser.cli import main
from ser.data import inspection, label_review
from ser.data.cache import clear
from ser.data.feature_cache import compute_features, save_features
from ser.data.projections import tsne
from ser.data.recordings import SENTENCES, Voice
from ser.errors import OutputError
from ser.evaluation import clip_answers, rendering
from ser.evaluation.report import Report
from ser.models import bundle
from ser.models.embedding import read_embedding, write_embedding
from ser.models.export import export
from ser.service import keys
from ser.training import fitting
from ser.training.runs import Run
from ser.utils.files import atomic_folder, read_json, write_json, write_text
from ser.utils.zips import unpack
from tests.tiny import SAMPLES, tiny_corpus

CLIPS = sorted(SAMPLES.rglob("*.flac"))


class Disk:
    """A small file system in memory, which can be filled up or made read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill_up(self) -> None:
        for size in (1 << 20, 512):  # by and by, down to the last byte
            with suppress(OSError), (self.folder / f".filler-{size}").open("wb", 0) as file:
                while True:
                    file.write(bytes(size))

    def make_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)

    def content(self) -> dict[str, bytes]:
        """Return all files but those that fill it, and the empty ones that others wait for."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
            and not path.name.endswith("lock")
            # Fits its last block as a rule, and has a test of its own.
            and not path.name.startswith((".filler", "audit"))
        }


@pytest.fixture
def disk(tmp_path, monkeypatch):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here, which only root may")
    monkeypatch.setenv("SER_HOME", str(folder / "home"))
    monkeypatch.setenv("SER_CACHE", str(folder / "cache"))
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def team(monkeypatch, tmp_path):
    (tmp_path / "team.toml").write_text('[roles.email]\n"*@example.org" = "member"\n')
    monkeypatch.setenv("SER_MODE", "team")
    monkeypatch.setenv("SER_TEAM", str(tmp_path / "team.toml"))
    claims = {"iss": "x", "sub": "1", "email": "cy@example.org"}
    access.give_visitor(lambda: access.member(claims))
    yield
    access.give_visitor(lambda: None)


def _zip(*names: str) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.write(CLIPS[0], name)
    file.seek(0)
    return file


def _corpus(root: Path) -> Path:
    folder = root / "corpus"
    return folder if folder.exists() else tiny_corpus(folder, ("05",))


def _model(name: str) -> Path:
    """Make what counts as a model of the visitor's, without its network."""
    folder = workspace.folder() / name
    if not folder.exists():
        folder.mkdir(parents=True)
        shutil.copy(assets.RAVDESS_MODEL / bundle.MANIFEST_FILE, folder)
        (folder / bundle.MODEL_FILE).write_bytes(bytes(50_000))
    return folder


def _run(root: Path, number: int) -> Run:
    run = Run(root / "run")
    if number == 0:
        run.create({"seed": 1})
    return run


def _model_page(root: Path, number: int) -> None:
    folder = _model("mine")
    report = Report.load(assets.REPORTS / "quick.json")
    rendering.write_all(folder, report, [])


def _checkpoint(root: Path, number: int) -> None:
    fitting._save(root / "checkpoint.npz", [np.full(50_000, float(number))], [])


def _embedding(root: Path, number: int) -> None:
    embedding = read_embedding(assets.RAVDESS_MODEL / bundle.EMBEDDING_FILE, labels=8)
    write_embedding(root / "embedding.npz", embedding)


def _bundle(root: Path, number: int) -> None:
    with atomic_folder(root / "model") as work:
        for name in ("model.keras", "manifest.json"):
            write_text(work / name, f"{number}" * 5000)


def _answers(root: Path, number: int) -> None:
    found = {"audio": [f"{number}"], "answer": ["angry"], "probability": [0.5], "verdict": ["sure"]}
    clip_answers._write(root / "answers.csv", pd.DataFrame(found))


def _features(root: Path, number: int) -> None:
    compute_features([str(CLIPS[number])], n_jobs=1)


def _inspection(root: Path, number: int) -> None:
    table = root.parent / "corpus.csv"
    table.write_text(f"path,emotion\n{CLIPS[number]},angry\n")
    inspection.inspect_corpus(table, n_jobs=1)


def _map(root: Path, number: int) -> None:
    paths = [str(clip) for clip in CLIPS[number : number + 12]]
    clips = pd.DataFrame({"path": paths, "emotion": "angry", "speaker": "a", "audio": paths})
    tsne(clips, np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32))


WRITERS = {
    "text": lambda root, n: write_text(root / "a.txt", f"{n}" * 5000),
    "json": lambda root, n: write_json(root / "a.json", {"n": [n] * 5000}),
    "settings": lambda root, n: workspace.remember_corpus(
        _corpus(root) if n == 0 else root / ("x" * 200)
    ),
    "recording": lambda root, n: Voice(root / "voice").add(CLIPS[n], "angry", "Hello"),
    "label review": lambda root, n: label_review.decide(
        _corpus(root),
        sorted(_corpus(root).glob("*.flac"))[n],
        label_review.Decision("angry", label_review.EXCLUDE),
    ),
    "notes": lambda root, n: _run(root, n).write_notes(f"{n}" * 3000),
    "status": lambda root, n: _run(root, n).write_status("training", f"{n}" * 5000),
    "new run": lambda root, n: Run(root / f"run-{n}").create({"note": "x" * 5000}),
    "checkpoint": _checkpoint,
    "embedding": _embedding,
    "bundle": _bundle,
    "model for other programs": lambda root, n: export(assets.RAVDESS_MODEL, root / f"out-{n}"),
    "corpus from a zip file": lambda root, n: unpack(
        _zip(*(f"angry/{each}.flac" for each in range(20))), root / f"corpus-{n}", {".flac"}
    ),
    "inspection": _inspection,
    "features": _features,
    "map": _map,
    "answers": _answers,
    "feature file": lambda root, n: save_features(
        root / "f.npz",
        compute_features([str(CLIPS[0])], n_jobs=1, cache=root.parent / "elsewhere"),
        ["angry"],
        [f"{n}"],
    ),
    "report, page and card": _model_page,
    "report": lambda root, n: Report.load(assets.REPORTS / "quick.json").save(root / "r.json"),
    "figure": lambda root, n: plots.save_chart(_chart(n), root / "a.png"),
}


def _chart(number: int):
    report = Report.load(assets.REPORTS / "quick.json")
    return plots.confusion(report.confusion_matrix, report.labels)


TEAM_WRITERS = {
    "card of a member": lambda root, n: members.greet(),
    "shared model": lambda root, n: sharing.share(_model("mine")),
}

CHANGES = {  # what needs no room, and so is refused by a read-only disk alone
    "stop": lambda root, n: _run(root, n).forget_stop() if n else _stopped(root),
    "go on with a run": lambda root, n: _run(root, n).locked().__enter__() if n else _run(root, n),
    "rename": lambda root, n: processes.rename(_stored(root), "other") if n else _stored(root),
    "delete a run": lambda root, n: processes.delete(_stored(root)) if n else _stored(root),
    "delete a model": lambda root, n: learned.delete(_learned()) if n else _learned(),
    "delete a recording": lambda root, n: (
        Voice(root / "voice").remove("03-01-05-01-01-01-90.wav") if n else _voice(root)
    ),
    "delete a voice": lambda root, n: Voice(root / "voice").clear() if n else _voice(root),
    "empty the cache": lambda root, n: clear() if n else _features(root, 0),
}


def _stopped(root: Path) -> None:
    (_run(root, 0).folder / "stop").touch()


def _stored(root: Path) -> Run:
    run = Run(workspace.folder() / "mine")
    if not run.folder.exists():
        run.create({"seed": 1})
    return run


def _learned() -> Path:
    folder = _model("voice")
    if not learned.is_learned(folder):
        file = folder / bundle.MANIFEST_FILE
        manifest = read_json(file)
        write_json(file, manifest | {"training": {"adapted": {}}})
    return folder


def _voice(root: Path) -> None:
    Voice(root / "voice").add(CLIPS[0], "angry", SENTENCES[0])


def _refused(disk: Disk, work) -> None:
    before = disk.content()
    with pytest.raises(OutputError) as refusal:
        work(disk.folder, 1)
    assert disk.content() == before
    reasons = ("space left", "Read-only", "read-only", "cannot be deleted", "full")
    assert any(reason in str(refusal.value) for reason in reasons)


@pytest.mark.parametrize("work", WRITERS.values(), ids=WRITERS.keys())
def test_a_full_or_read_only_disk_is_told_and_keeps_what_was_there(disk, work):
    work(disk.folder, 0)
    disk.fill_up()
    _refused(disk, work)
    for filler in disk.folder.glob(".filler*"):
        filler.unlink()
    disk.make_read_only()
    _refused(disk, work)


@pytest.mark.parametrize("work", TEAM_WRITERS.values(), ids=TEAM_WRITERS.keys())
def test_of_a_team_as_well(disk, team, work):
    work(disk.folder, 0)
    (access.visitor().folder / "member.json").unlink(missing_ok=True)  # they log in once more
    disk.fill_up()
    _refused(disk, work)
    disk.make_read_only()
    _refused(disk, work)


@pytest.mark.parametrize("work", CHANGES.values(), ids=CHANGES.keys())
def test_what_cannot_be_changed_or_deleted_stays_whole(disk, work):
    work(disk.folder, 0)
    disk.make_read_only()
    _refused(disk, work)


def test_features_are_read_from_a_cache_that_nobody_may_write(disk):
    before = compute_features([str(CLIPS[0])], n_jobs=1)
    disk.make_read_only()
    after = compute_features([str(CLIPS[0])], n_jobs=1)
    assert np.array_equal(before["features"].clean, after["features"].clean)


def test_the_command_line_tells_it_in_one_line(disk, capsys):
    disk.make_read_only()
    for command in (["scan", str(SAMPLES / "Actor_25"), "--csv", str(disk.folder / "a.csv")],):
        assert main(command) == 2
        assert capsys.readouterr().err.startswith("ser: Cannot write")


def test_recordings_are_not_unpacked_where_there_is_no_room(disk, monkeypatch):
    data = _zip("angry/a.flac").getvalue()
    voice = Voice(disk.folder / "voice")
    disk.fill_up()
    monkeypatch.setattr("tempfile.tempdir", str(disk.folder))
    with pytest.raises(OutputError, match="space left"):
        voice.import_zip(data)
    disk.make_read_only()
    with pytest.raises(OutputError, match="ead-only"):
        voice.import_zip(data)


def test_a_file_of_keys_holds_whole_lines_only(disk):
    file = disk.folder / "keys.txt"
    made = {"first": keys.add(file, "first")}
    disk.fill_up()
    with pytest.raises(OutputError, match="space left"):
        for n in range(200):  # until the last block of the file is full
            made[f"name{n}"] = keys.add(file, f"name{n}")
    disk.make_read_only()
    with pytest.raises(OutputError, match="ead-only"):
        keys.add(file, "late")
    known = keys.Keys(file)
    assert all(known.owner(key) == name for name, key in made.items())


def test_the_audit_log_holds_whole_lines_only(disk, team):
    audit.record("train", "before")
    disk.fill_up()
    with pytest.raises(OutputError, match="so this was not done"):
        for _ in range(100):  # until the last block of the file is full
            audit.record("train", "x" * 300)
    assert set(audit.entries(access.visitor())["which"]) == {"before", "x" * 300}
    disk.make_read_only()
    with pytest.raises(OutputError):
        audit.record("train", "after")
