import hashlib
import json
import os
import signal
import subprocess
import sys

import pytest

from ser.errors import OutputError
from ser.utils.files import atomic_path, sha256_of, write_json, write_text


def test_text_is_written_and_missing_folders_are_made(tmp_path):
    target = tmp_path / "a" / "b" / "note.txt"
    write_text(target, "fröhlich\n")
    assert target.read_bytes() == "fröhlich\n".encode()
    assert [p.name for p in target.parent.iterdir()] == ["note.txt"]


def test_the_temporary_path_has_the_suffix_that_writers_look_at(tmp_path):
    with atomic_path(tmp_path / "model.keras") as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "note.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_exception_before_the_first_write_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "note.txt"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_the_old_content(tmp_path):
    target = tmp_path / "note.txt"
    target.write_text("old")
    script = (
        "import sys\n"
        "from ser.utils.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    print('written', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline().strip() == b"written"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    write_text(target, "new")  # what the dead process left does not stand in the way
    assert target.read_text() == "new"


def test_files_have_the_mode_that_the_user_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "note.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "note.txt").stat().st_mode & 0o777 == 0o640


def test_a_parent_that_is_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"Cannot write .*note\.txt: (Not a directory|File exis)"):
        write_text(tmp_path / "file" / "note.txt", "x")
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="it is a folder") as caught:
        write_text(tmp_path, "x")
    assert caught.value.code == "output"


def test_a_name_that_is_too_long_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="Cannot write"):
        write_text(tmp_path / ("n" * 300), "x")
    assert list(tmp_path.iterdir()) == []


def test_a_device_or_pipe_is_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="device or pipe"):
        write_text(pipe, "x")
    assert pipe.is_fifo()


def test_json_is_readable_and_keeps_letters(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Łucja", "values": [1, 2.5, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Łucja" in text
    assert json.loads(text) == {"name": "Łucja", "values": [1, 2.5, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number(tmp_path, value):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"accuracy": value})
    assert (tmp_path / "a.json").read_text() == "{}"


def test_sha256_is_that_of_the_bytes(tmp_path):
    data = bytes(range(256)) * 999
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    with pytest.raises(OSError, match="No such file"):
        sha256_of(tmp_path / "b")
