"""A model in other programs' hands answers as it does here."""

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from ser import assets
from ser.errors import DataError, OutputError
from ser.models.export import export
from ser.models.recognizer import Recognizer
from tests.tiny import SAMPLES

CLIPS = sorted(SAMPLES.rglob("*.flac"))
SHIPPED = [assets.RAVDESS_MODEL, assets.DEFAULT_MODEL]


@pytest.fixture(params=SHIPPED, ids=lambda folder: folder.name)
def shipped(request):
    recognizer = Recognizer.load(request.param)
    _, inputs = recognizer.prepare(CLIPS, n_jobs=1)
    return request.param, inputs, recognizer.logits(inputs)


def test_the_exported_onnx_file_gives_the_same_logits(shipped, tmp_path):
    folder, inputs, expected = shipped
    file = export(folder, tmp_path / "out")
    about = json.loads((tmp_path / "out" / "model.json").read_text())
    session = onnxruntime.InferenceSession(file)
    (values,) = inputs.values()
    (found,) = session.run(None, {about["input"]["name"]: values})
    assert [output.name for output in session.get_outputs()] == ["logits"]
    assert about["input"]["shape"][1:] == list(values.shape[1:])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_exported_litert_file_gives_the_same_logits(tmp_path):
    import tensorflow as tf

    recognizer = Recognizer.load(assets.DEFAULT_MODEL)
    _, inputs = recognizer.prepare(CLIPS[:20], n_jobs=1)
    expected = recognizer.logits(inputs)
    file = export(assets.DEFAULT_MODEL, tmp_path / "out", form="litert")
    network = tf.lite.Interpreter(str(file))
    network.allocate_tensors()
    (values,) = inputs.values()
    for clip, logits in zip(values, expected, strict=True):
        network.set_tensor(network.get_input_details()[0]["index"], clip[None])
        network.invoke()
        found = network.get_tensor(network.get_output_details()[0]["index"])[0]
        np.testing.assert_allclose(found, logits, atol=1e-4)


def test_the_example_beside_it_asks_it(tmp_path):
    export(assets.DEFAULT_MODEL, tmp_path / "out")
    clip = next(c for c in CLIPS if c.name == "03-01-06-02-02-01-27.flac")
    done = subprocess.run(
        [sys.executable, "example.py", clip],
        cwd=tmp_path / "out", env={"PYTHONPATH": str(SAMPLES.parents[1])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    shares = dict(line.split() for line in done.stdout.splitlines())
    assert max(shares, key=lambda label: int(shares[label].rstrip("%"))) == "fearful", done.stderr


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(DataError, match="no format"):
        export(assets.DEFAULT_MODEL, tmp_path / "out", form="coreml")
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        export(assets.DEFAULT_MODEL, tmp_path / "out")
