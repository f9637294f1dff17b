"""Without an extra, one sentence says what to install."""

import json
import shutil
import subprocess
import sys

from ser.assets import RAVDESS_MODEL
from ser.utils.extras import installing
from tests.tiny import SAMPLES

MAIN = (
    "import sys; sys.modules['keras'] = sys.modules['tensorflow'] = None\n"
    "from ser.cli import main; sys.exit(main(sys.argv[1:]))"
)


def without_tensorflow(*arguments):
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_training_says_what_to_install_and_leaves_nothing(tmp_path):
    done = without_tensorflow("train", "--data", SAMPLES, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.endswith(f"{installing('train')}\n")
    assert not (tmp_path / "run").exists()


def test_a_bundle_without_runtime_says_what_makes_it_whole(tmp_path):
    old = shutil.copytree(RAVDESS_MODEL, tmp_path / "old")
    (old / "network.onnx").unlink()
    manifest = json.loads((old / "manifest.json").read_text())
    (old / "manifest.json").write_text(json.dumps(manifest | {"runtime": None}))
    clip = next(SAMPLES.rglob("*.flac"))
    done = without_tensorflow("predict", clip, "--model", old)
    assert done.returncode == 2
    assert done.stderr.endswith(f"{installing('train')}\n")
