"""Who may do what in a team: roles by claims, folders, roots, the log, sharing, erasing."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest

from ser import assets
from ser.app import (
    access,
    answers,
    audit,
    catalogue,
    evaluations,
    learned,
    members,
    processes,
    server,
    sharing,
    workspace,
)
from ser.app.access import Role
from ser.data.cache import cache_folder
from ser.errors import DataError, OutputError, RunError
from ser.shards.manifest import Clip, write_manifest
from ser.training import queue
from ser.training.config import TrainingConfig
from ser.training.examples import FEATURES
from ser.training.runs import Run
from tests.tiny import SAMPLES

CLIP = sorted(SAMPLES.rglob("*.flac"))[0]
ADA = {"iss": "https://login.example.org", "sub": "1", "email": "Ada@Example.org"}
BOB = {
    "iss": "https://login.example.org",
    "sub": "2",
    "email": "bob@guest.net",
    "groups": ["a", "b"],
}
CY = {"iss": "https://login.example.org", "sub": "3", "email": "cy@example.org", "iat": 1}


@pytest.fixture
def team(monkeypatch, tmp_path):
    """A team of an admin, a viewer and a member; returns what makes one of them the visitor."""
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    file = tmp_path / "team.toml"
    file.write_text(
        f'corpora = ["{corpora}"]\ntrainings = 1\n'
        '[roles.email]\n"ada@example.org" = "admin"\n"*@example.org" = "member"\n'
        '[roles.groups]\nb = "viewer"\n'
    )
    monkeypatch.setenv("SER_MODE", "team")
    monkeypatch.setenv("SER_TEAM", str(file))
    monkeypatch.setenv("SER_HOME", str(tmp_path / "home"))

    def come(claims):
        access.give_visitor(lambda: access.member(claims))
        return access.visitor()

    yield come
    access.give_visitor(lambda: None)


def model_in(folder):
    shutil.copytree(assets.RAVDESS_MODEL, folder)
    return folder


def test_claims_give_the_highest_role_they_can(team):
    assert team(ADA).role is Role.ADMIN
    assert team(CY).role is Role.MEMBER
    assert team(BOB).role is Role.VIEWER
    assert access.member({**CY, "email": "eve@evil.org"}) is None
    assert access.member({**CY, "email": "ada@example.org.evil.org"}) is None
    assert access.member({**ADA, "email_verified": False}) is None
    assert access.member({"iss": "x", "sub": "y"}) is None


def test_who_cannot_be_told_apart_is_not_let_in(team):
    with pytest.raises(DataError, match="names nobody"):
        access.member({"sub": "1", "email": "ada@example.org"})


def test_a_folder_belongs_to_whom_the_provider_means_whatever_their_address(team):
    assert team(ADA).folder == team({**ADA, "email": "cy@example.org"}).folder
    other = {**ADA, "iss": "https://elsewhere.example.org"}
    assert len({team(who).folder for who in (ADA, BOB, CY, other)}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[roles.email]\n"a@b.org" = "boss"\n', "roles.email.a@b.org"),
        ("trainings = 0\n[roles.email]\n", "trainings"),
        ("admins = 3\n[roles.email]\n", "admins"),
        ("[roles", "cannot be read"),
    ],
)
def test_a_slip_in_the_file_of_the_team_is_told_and_lets_nobody_in(team, text, message):
    Path(os.environ["SER_TEAM"]).write_text(text)
    with pytest.raises(DataError, match=message):
        access.member(ADA)
    with pytest.raises(DataError, match=message):
        server.serve()


def test_a_changed_role_holds_at_once(team, tmp_path):
    team(CY)
    assert access.may_change()
    begun = Run(workspace.evaluations() / "tried")
    begun.create({"data": str(SAMPLES)})
    Path(os.environ["SER_TEAM"]).write_text('[roles.email]\n"*" = "viewer"\n')
    assert not access.may_change()
    for attempt in (
        lambda: processes.start("mine", TrainingConfig(data=(str(SAMPLES),))),
        lambda: processes.resume(begun),
        lambda: evaluations.start(assets.RAVDESS_MODEL, SAMPLES, protocol="all"),
        lambda: evaluations.resume(begun),
        lambda: sharing.share(workspace.folder() / "mine"),
    ):
        with pytest.raises(DataError, match="role of a member"):
            attempt()


@pytest.mark.parametrize("verified", [False, "false", "False", 0, None])
def test_an_address_that_anybody_can_have_typed_is_nobodys(team, verified):
    claims = {**CY, "groups": ["b"], "email": "ada@example.org", "email_verified": verified}
    who = team(claims | {"preferred_username": "mallory"})
    assert (who.name, who.role) == ("mallory", access.Role.VIEWER)
    assert team({**ADA, "email_verified": "true"}).role is access.Role.ADMIN


def test_without_the_file_nobody_is_let_in(team, monkeypatch):
    monkeypatch.delenv("SER_TEAM")
    with pytest.raises(DataError, match="SER_TEAM is"):
        access.member(ADA)


def test_members_read_below_the_roots_and_in_their_own_folder_links_followed(team, tmp_path):
    other = team(ADA).folder / "secret.wav"
    own = team(CY).folder
    own.mkdir(parents=True)
    (tmp_path / "corpora" / "inside").mkdir()
    (tmp_path / "corpora" / "out").symlink_to("/etc")
    (tmp_path / "corpora" / "round").symlink_to(tmp_path / "corpora" / "round")
    allowed = [SAMPLES, own / "data", tmp_path / "corpora" / "inside"]
    refused = [
        Path("/etc"),
        tmp_path / "corpora" / "out" / "passwd",
        tmp_path / "corpora" / ".." / "home",
        tmp_path / "corpora" / "round",
        tmp_path / "corpora-2",
        other,
    ]
    assert all(map(access.may_read, allowed))
    assert not any(map(access.may_read, refused))
    team(BOB)
    assert not access.may_read(tmp_path / "corpora" / "inside"), "viewers open no corpora"
    assert workspace.corpora() == []


def test_a_corpus_that_names_what_lies_elsewhere_is_refused(team, tmp_path):
    team(CY)
    table = tmp_path / "corpora" / "list.csv"
    clips = sorted(SAMPLES.rglob("*.flac"))[:2]
    outside = tmp_path / "elsewhere.flac"
    shutil.copy(clips[0], outside)
    pd.DataFrame({"path": [*clips, outside], "emotion": "angry"}).to_csv(table, index=False)
    with pytest.raises(DataError, match="not open to you"):
        workspace.scan([table])
    with pytest.raises(DataError, match="not open to you"):
        evaluations.start(assets.RAVDESS_MODEL, table, protocol="all")
    assert evaluations.find_evaluations() == []
    with pytest.raises(DataError, match="You can open corpora in"):
        workspace.scan(["/etc"])
    pd.DataFrame({"path": clips, "emotion": "angry"}).to_csv(table, index=False)
    assert len(workspace.scan([table]).clips) == 2


def test_members_have_folders_answered_whose_recordings_they_may_read(team, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "begin", lambda run, *module: None)
    team(CY)
    folder = tmp_path / "corpora" / "calls"
    folder.mkdir()
    shutil.copy(CLIP, folder)
    model = assets.DEFAULT_MODEL
    with pytest.raises(DataError, match="scheduler empty"):
        answers.start(model, folder, cluster="tcp://192.0.2.1:8786")
    outside = tmp_path / "elsewhere.flac"
    shutil.copy(CLIP, outside)
    (folder / "link.flac").symlink_to(outside)
    with pytest.raises(DataError, match=r"link\.flac is not open to you"):
        answers.start(model, folder)
    (folder / "link.flac").unlink()
    manifest = tmp_path / "corpora" / "list.parquet"
    write_manifest(manifest, [Clip(str(CLIP)), Clip(str(outside))], size=2)
    with pytest.raises(DataError, match="not open to you"):
        answers.start(model, manifest)
    assert answers.find_all() == []
    run = answers.start(model, folder)
    (folder / "link.flac").symlink_to(outside)
    with pytest.raises(DataError, match=r"link\.flac is not open to you"):
        answers.resume(run)
    (folder / "link.flac").unlink()
    with run.locked():
        run.write_status("answering", "Listening")
        assert [busy.folder for busy in members.busy()] == [run.folder]
        processes.stop(run)
    processes.delete(run)
    log = audit.entries()[["what", "which"]].to_numpy().tolist()
    name = "calls-by-everyday"
    assert log == [["delete", name], ["stop", name], ["start answers", name]]


@pytest.mark.parametrize("mode", ["team", "public"])
def test_viewers_and_strangers_have_no_folder_answered(team, monkeypatch, mode):
    monkeypatch.setenv("SER_MODE", mode)
    team(BOB)
    with pytest.raises(DataError, match="Only members"):
        answers.start(assets.DEFAULT_MODEL, SAMPLES)
    assert answers.find_all() == []


def test_what_is_done_is_logged_and_what_cannot_be_logged_is_not_done(team):
    who = team(CY)
    workspace.set_active_model(assets.RAVDESS_MODEL)
    log = audit.entries()
    assert log[["who", "role", "what", "which"]].to_numpy().tolist() == [
        ["cy@example.org", "member", "choose active model", "ravdess"]
    ]
    (access.home() / "audit.jsonl").unlink()
    (access.home() / "audit.jsonl").mkdir()
    with pytest.raises(OutputError, match="audit log"):
        workspace.set_active_model(assets.DEFAULT_MODEL)
    assert workspace.active_model() == assets.RAVDESS_MODEL
    assert who.folder.is_dir()


def test_what_somebody_shares_others_can_ask_but_not_take_back(team):
    own = model_in(team(CY).folder / "mine")
    (own / "notes.txt").write_text("private")
    (own / "checkpoint.npz").write_bytes(b"x")
    copy = sharing.share(own)
    assert not {"notes.txt", "checkpoint.npz"} & {file.name for file in copy.iterdir()}
    assert sharing.share(own).name == "mine-2", "what is shared stays as it was"
    team(BOB)
    assert own not in workspace.models()
    assert copy in workspace.models()
    assert sharing.owner(copy) == "cy@example.org"
    assert "shared/mine" in {entry.key for entry in catalogue.entries()}
    workspace.set_active_model(copy)
    with pytest.raises(RunError, match="not yours"):
        sharing.take_back(copy)
    with pytest.raises(DataError, match="role of a member"):
        sharing.share(copy)
    team(ADA)
    sharing.take_back(copy)
    team(BOB)
    assert workspace.active_model() == assets.DEFAULT_MODEL
    # What gets its name next was chosen by nobody.
    other = sharing.share(model_in(team(ADA).folder / "mine"))
    assert other == copy
    team(BOB)
    assert workspace.active_model() == assets.DEFAULT_MODEL
    workspace.set_active_model(other)
    assert workspace.active_model() == other


def test_clips_of_a_shared_report_are_heard_only_by_who_may_read_them(team):
    own = model_in(team(CY).folder / "mine")
    corpus = team(CY).folder / "data" / "clips"
    corpus.mkdir(parents=True)
    (own / "config.json").write_text(json.dumps({"data": [str(corpus)]}))
    sharing.share(own)
    (entry,) = (e for e in catalogue.entries() if e.key == "shared/mine")
    assert corpus in catalogue.corpora_at_hand(entry)
    team(ADA)
    assert corpus not in catalogue.corpora_at_hand(entry)


def test_everything_can_be_taken_along_and_erased(team):
    other = model_in(team(ADA).folder / "hers")
    who = team(CY)
    members.greet()
    model_in(who.folder / "mine")
    sharing.share(who.folder / "mine")
    (who.folder / "elsewhere").symlink_to("/etc/passwd")
    unfinished, corpus = who.folder / "begun", who.folder / "corpora" / "features"
    Run(unfinished).create({"data": ["x"]})
    for part in (unfinished / FEATURES / "training", corpus / "Actor_01"):
        part.mkdir(parents=True)
        (part / "features-clean.npy").write_bytes(b"much")
    with zipfile.ZipFile(BytesIO(members.export(who))) as archive:
        names = set(archive.namelist())
        log = archive.read("audit-log.csv").decode()
    assert {"member.json", "mine/model.keras", "audit-log.csv"} <= names
    assert "elsewhere" not in names
    assert {name for name in names if name.endswith(".npy")} == {
        "corpora/features/Actor_01/features-clean.npy"
    }, "what is made again is left out, and no corpus is taken for it"
    assert log.count("cy@example.org") == 3
    members.greet()
    assert len(audit.entries()) == 3, "a page that is opened again is no login"
    renamed = {**CY, "email": "cyrus@example.org"}
    team(renamed)
    audit.record("wave")
    team({**ADA, "email": "cy@example.org"})  # an address may become another's
    audit.record("look around")
    who = team(renamed)
    assert len(audit.entries(who)) == 4
    seen = cache_folder("corpora") / "seen.csv"
    seen.parent.mkdir(parents=True, exist_ok=True)
    seen.write_text(f"path\n{who.folder}/corpora/a.wav\n")
    members.erase()
    assert not seen.exists()
    assert not who.folder.exists()
    assert workspace.shared_models() == []
    assert audit.entries()["who"].tolist() == [audit.ERASED, "cy@example.org", *[audit.ERASED] * 4]
    assert other.is_dir()


def test_erasing_stops_what_runs(team):
    who = team(CY)
    run = Run(who.folder / "running")
    run.create({"data": ["x"]})
    waiting = (
        "import sys, signal, time; from ser.training.runs import Run, working_on; "
        "from ser.training import queue\n"
        "run = Run(sys.argv[1])\n"
        "with working_on(run, how_far=str, go_on=''), queue.obeying_stop(run):\n"
        "    run.write_status('training', '')\n    print('held', flush=True)\n"
        "    while True:\n        time.sleep(0.1)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", waiting, str(run.folder)], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout.readline() == "held\n"
            team(ADA)
            assert [busy.folder for busy in members.busy()] == [run.folder]
            assert members.table().set_index("member")["busy"].tolist() == [1]
            team(CY)
            members.erase()
            assert process.wait(30) != 0
        finally:
            process.kill()
    assert not who.folder.exists()


def test_one_person_has_only_so_many_trainings(team):
    who = team(CY)
    processes.check_room()
    with pytest.raises(RunError, match="1 trainings running and waiting"):
        processes.check_room(2)
    Run(who.folder / "queued").create({"data": ["x"]})
    with Run(who.folder / "queued").locked():
        Run(who.folder / "queued").write_status("queued", "")
        with pytest.raises(RunError, match="You have 1 and"):
            processes.check_room()
        team(ADA)
        processes.check_room()


def test_trainings_of_all_members_take_turns(team):
    first, second = Run(team(ADA).folder / "a"), Run(team(CY).folder / "c")
    for run in (first, second):
        run.create({"data": ["x"]})
    with first.locked(), second.locked():
        first.write_status("training", "")
        second.write_status("queued", "")
        assert [run.folder for run in queue.ahead_of(second, access.members())] == [first.folder]
        assert queue.ahead_of(second) == []


def test_models_that_learned_a_voice_are_each_members_own(team):
    team(CY)
    assert learned.folder_of("my-voice").parent == access.visitor().folder
    with pytest.raises(RunError, match="not a folder in"):
        processes.delete(Run(team(ADA).folder / "hers"))
        team(CY)
        processes.delete(Run(access.members() / "other" / "hers"))


def test_the_folder_of_a_report_opens_nothing_that_is_not_open(team, tmp_path):
    place = team(ADA).folder / "data"
    place.mkdir(parents=True)
    shutil.copy(CLIP, place / CLIP.name)
    assert catalogue.find_clip(CLIP.name, [place]) == place / CLIP.name
    (tmp_path / "corpora" / CLIP.name).symlink_to(place / CLIP.name)
    team(CY)
    assert catalogue.find_clip(CLIP.name, [place, tmp_path / "corpora"]) is None
    assert catalogue.find_clip(CLIP.name, [CLIP.parent]) == CLIP
