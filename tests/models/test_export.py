"""A model in other programs' hands answers as it does here."""

import gzip
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
from ser.models.voice import Voice
from ser.utils.files import read_json
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
        [sys.executable, tmp_path / "out" / "example.py", clip],
        cwd=tmp_path, env={"PYTHONPATH": str(SAMPLES.parents[1])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    shares = dict(line.split() for line in done.stdout.splitlines())
    assert max(shares, key=lambda label: int(shares[label].rstrip("%"))) == "fearful", done.stderr


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """The page with everyday in it."""
    return export(assets.DEFAULT_MODEL, tmp_path_factory.mktemp("web") / "out", form="web").parent


def test_the_page_in_the_repository_is_what_is_exported(web):
    files = {file.name for file in web.iterdir()}
    assert files == {file.name for file in assets.DEMO.iterdir()}
    assert sum(file.stat().st_size for file in web.iterdir()) <= 25e6
    for name in files - {"model.json"}:
        found, expected = (folder / name for folder in (web, assets.DEMO))
        if name.endswith(".gzip"):  # another zlib packs otherwise
            assert gzip.decompress(found.read_bytes()) == gzip.decompress(expected.read_bytes())
        else:
            assert found.read_bytes() == expected.read_bytes(), name
    found, expected = (read_json(folder / "model.json") for folder in (web, assets.DEMO))
    assert {**found, "files": 0} == {**expected, "files": 0}
    assert found["labels"] == list(Recognizer.load(assets.DEFAULT_MODEL).labels)
    assert all((web / name).stat().st_size == size for name, size in found["files"].items())


def answers_of(page, inputs):
    """Return what the page's model makes of inputs, as `Recognizer.answers` does."""
    about = read_json(page / "model.json")
    model = gzip.decompress((page / "model.onnx.gzip").read_bytes())
    logits, distances = onnxruntime.InferenceSession(model).run(None, inputs)
    divisor = about["temperature"] * np.maximum(distances, 1) ** about["ood_exponent"]
    powers = np.exp(logits / divisor)
    return powers / powers.sum(axis=1, keepdims=True), distances[:, 0]


def test_the_pages_model_answers_as_the_recognizer(web):
    recognizer = Recognizer.load(assets.DEFAULT_MODEL)
    _, inputs = recognizer.prepare(CLIPS[::6], n_jobs=1)
    for found, expected in zip(answers_of(web, inputs), recognizer.answers(inputs), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_exported_model_knows_the_voice_that_its_bundle_knows(tmp_path):
    """As one that was adapted does: beside its weights, what it takes off every clip."""
    everyday = Recognizer.load(assets.DEFAULT_MODEL)
    _, inputs = everyday.prepare(CLIPS[:8], n_jobs=1)
    knowing, bundle = everyday.knowing(everyday.heard(Voice(), inputs)), tmp_path / "bundle"
    knowing.save(bundle)
    page = export(bundle, tmp_path / "out", form="web").parent
    expected = knowing.answers(inputs)
    for found, wanted in zip(Recognizer.load(bundle).answers(inputs), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert np.abs(expected[0] - everyday.answers(inputs)[0]).max() > 0.05
    for found, wanted in zip(answers_of(page, inputs), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert read_json(page / "model.json")["strangers"] is None  # nobody has tested this one
    (values,) = inputs.values()
    session = onnxruntime.InferenceSession(export(bundle, tmp_path / "onnx"))
    (found,) = session.run(None, {session.get_inputs()[0].name: values})
    np.testing.assert_allclose(found, Recognizer.load(bundle).logits(inputs), atol=1e-4)
    described, shown = (read_json(tmp_path / out / "model.json") for out in ("onnx", "out"))
    assert described["temperature"] == shown["temperature"] != everyday.manifest.temperature
    with pytest.raises(DataError, match="knows a voice"):
        export(bundle, tmp_path / "litert", form="litert")


def test_a_model_whose_features_the_page_does_not_make_is_refused(tmp_path):
    with pytest.raises(DataError, match="Export a model with an encoder"):
        export(assets.RAVDESS_MODEL, tmp_path / "out", form="web")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a format"):
        export(assets.DEFAULT_MODEL, tmp_path / "out", form="coreml")
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        export(assets.DEFAULT_MODEL, tmp_path / "out")
    with pytest.raises(OutputError, match="exists already"):
        export(assets.DEFAULT_MODEL, tmp_path / "out", form="web")
