"""Predicting without TensorFlow: the same numbers, and nothing of a stranger's is run."""

import json
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ser import assets
from ser.errors import BundleError
from ser.models import bundle, runtime
from ser.models.inference import Network
from ser.models.networks import ModelConfig, build_cnn_lstm, with_activations
from ser.models.onnx_check import check
from ser.models.onnx_export import OPSET, to_onnx
from ser.models.recognizer import Recognizer
from ser.models.runtime import ENCODER, NETWORK, Runtime
from ser.utils.files import read_json
from tests.tiny import SAMPLES

CLIPS = sorted(SAMPLES.rglob("*.flac"))
SHIPPED = [assets.RAVDESS_MODEL, assets.DEFAULT_MODEL]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_shipped_models_answer_as_keras_does(folder):
    recognizer = Recognizer.load(folder)
    _, inputs = recognizer.prepare(CLIPS[:40], n_jobs=1)
    found = recognizer.answers(inputs)
    keras_network = Network(with_activations(bundle.load_bundle(folder)[0]))
    recognizer._network = keras_network
    for own, keras_own in zip(found, recognizer.answers(inputs), strict=True):
        np.testing.assert_allclose(own, keras_own, atol=1e-4)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_shipped_files_are_those_of_the_shipped_models(folder):
    model, manifest = bundle.load_bundle(folder)
    files = runtime.convert(model)
    assert set(files) == set(manifest.runtime)
    assert files[NETWORK] == (folder / NETWORK).read_bytes()
    if ENCODER in files:
        assert files[ENCODER] == assets.ENCODER_ONNX.read_bytes()


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(filters=(8,), lstm=4),
        ModelConfig(members=2, filters=(8, 16), lstm=4, front=8, functionals=6),
    ],
)
def test_every_layer_is_converted(config):
    model = build_cnn_lstm(config)
    x = np.random.default_rng(0).normal(0, 3, (5, 32, 94, 2)).astype(np.float32)
    model.get_layer("rows").adapt(x)
    for weights in model.weights:  # as if it had been trained
        if "moving" in weights.path or "gamma" in weights.path:
            weights.assign(np.random.default_rng(1).uniform(0.5, 2, weights.shape))
    own, keras_own = Runtime(runtime.convert(model)[NETWORK]), Network(with_activations(model))
    assert own.output_sizes == tuple(output.shape[1] for output in with_activations(model).outputs)
    for count in (0, 1, 5):
        inputs = {"features": x[:count]}
        for found, expected in zip(own(inputs), keras_own(inputs), strict=True):
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_layer_of_another_kind_is_not_exported():
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.GaussianNoise(1.0)])
    with pytest.raises(BundleError, match="GaussianNoise"):
        to_onnx(model, ["x"], ["y"])


def test_a_prediction_needs_neither_tensorflow_nor_librosa():
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "sys.modules['librosa'] = sys.modules['onnx'] = None  # what ships is not looked at\n"
        "import ser; print(ser.load().predict(sys.argv[1])['emotion'].iloc[0])\n"
        "print(ser.load('ravdess' and sys.argv[2]).timeline(sys.argv[1])['emotion'].iloc[0])"
    )
    clip = next(c for c in CLIPS if c.name == "03-01-06-02-02-01-27.flac")
    done = subprocess.run(
        [sys.executable, "-c", code, clip, assets.RAVDESS_MODEL],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["fearful", "fearful"], done.stderr


def test_teaching_a_voice_and_classes_needs_no_tensorflow_either(tmp_path):
    """From recordings to a model that is kept, loaded again, and answers; then taught once more."""
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'h5py', 'librosa', 'sklearn', 'scipy'):\n"
        "    sys.modules[name] = None  # what an import of it meets where it is missing\n"
        "from pathlib import Path\n"
        "import ser\n"
        "from ser.evaluation.own_classes import learn_classes\n"
        "clips, out = sorted(Path(sys.argv[1]).glob('*.flac')), Path(sys.argv[2])\n"
        "names = {'01': 'neutral', '05': 'angry', '06': 'fearful'}\n"
        "some = {str(c): names[c.stem.split('-')[2]] for c in clips\n"
        "        if c.stem.split('-')[2] in names}\n"
        "mine = ser.load(sys.argv[3]).adapt(some, n_jobs=1)\n"
        "mine.save(out / 'mine')\n"
        "again = ser.load(out / 'mine').adapt(some, n_jobs=1)\n"
        "again.save(out / 'again')\n"
        "own = {f'class {n}': [p for p in some if some[p] == n] for n in ('angry', 'fearful')}\n"
        "learn_classes(again, own).recognizer.save(out / 'own')\n"
        "for name in ('mine', 'again', 'own'):\n"
        "    print(ser.load(out / name).predict(max(p for p in some if some[p] == 'angry'))\n"
        "          ['emotion'].iloc[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, SAMPLES / "Actor_25", tmp_path, assets.RAVDESS_MODEL],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["angry", "angry", "class angry"], done.stderr
    # Where TensorFlow is there, the same models are Keras models as well, layers included.
    for name, layers in (("again", 2), ("own", 3)):
        recognizer = Recognizer.load(tmp_path / name)
        assert recognizer.manifest.layers == layers
        model, _ = bundle.load_bundle(tmp_path / name)
        _, inputs = recognizer.prepare(CLIPS[:3], n_jobs=1)
        expected = Network(with_activations(model))(inputs)
        for own, keras_own in zip(recognizer._network(inputs), expected, strict=True):
            np.testing.assert_allclose(own, keras_own, atol=1e-3, rtol=1e-4)
        changed(tmp_path / name, layers=layers - 1)
        with pytest.raises(BundleError, match=f"{layers} layers of its own, not {layers - 1}"):
            bundle.load_bundle(tmp_path / name)


def test_a_layer_that_cannot_be_is_refused():
    kernel, bias = np.ones((16, 8), np.float32), np.zeros(8, np.float32)
    good = runtime.with_layer(small(), (kernel, bias))
    Runtime(good)
    ((found, _),) = runtime.layers_of(good)
    np.testing.assert_array_equal(found, kernel)
    for broken in ((kernel * np.nan, bias), (kernel, bias[:5]), (kernel[0], bias)):
        with pytest.raises(BundleError, match="a layer that cannot be"):
            runtime.layers_of(runtime.with_layer(small(), broken))
    with pytest.raises(BundleError, match="does not fit together"):
        Runtime(runtime.with_layer(small(), (kernel[:9], bias)))


def copy_of(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / folder.name)


def changed(folder, **values):
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_bundle_of_an_older_version_answers_the_same(tmp_path):
    old = copy_of(assets.RAVDESS_MODEL, tmp_path)
    (old / NETWORK).unlink()
    changed(old, runtime=None)
    found, expected = (
        Recognizer.load(folder).predict(CLIPS[0]) for folder in (old, assets.RAVDESS_MODEL)
    )
    np.testing.assert_array_equal(found["angry"], expected["angry"])


def test_an_encoder_that_another_model_left_is_passed_over(tmp_path):
    folder = copy_of(assets.DEFAULT_MODEL, tmp_path)
    (folder / ENCODER).write_bytes(b"of a model that was replaced")
    found, expected = (
        Recognizer.load(each).predict(CLIPS[0]) for each in (folder, assets.DEFAULT_MODEL)
    )
    np.testing.assert_array_equal(found["angry"], expected["angry"])


@pytest.mark.parametrize("name", [NETWORK, ENCODER])
def test_a_file_that_is_missing_or_another_is_refused(tmp_path, name):
    folder = copy_of(assets.DEFAULT_MODEL, tmp_path)
    if name == ENCODER:  # of its own, in place of the shipped one
        own = bytearray(assets.ENCODER_ONNX.read_bytes())
        own[own.index(b"ser")] = ord("S")  # who made it
        (folder / ENCODER).write_bytes(own)
        hashes = read_json(folder / "manifest.json")["runtime"]
        changed(folder, runtime=hashes | {ENCODER: bundle.sha256_of(folder / ENCODER)})
        Recognizer.load(folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match="SHA-256 differs"):
        Recognizer.load(folder)
    if name == NETWORK:
        (folder / name).unlink()
        with pytest.raises(BundleError, match=r"has no network\.onnx"):
            Recognizer.load(folder)


def test_a_network_of_another_model_is_refused(tmp_path):
    folder = copy_of(assets.RAVDESS_MODEL, tmp_path)
    shutil.copy(assets.DEFAULT_MODEL / NETWORK, folder / NETWORK)
    changed(folder, runtime={NETWORK: bundle.sha256_of(folder / NETWORK)})
    with pytest.raises(BundleError):
        Recognizer.load(folder)


def small():
    model = build_cnn_lstm(ModelConfig(filters=(8,), lstm=4))
    return runtime.convert(model)[NETWORK]


def altered(change):
    import onnx

    model = onnx.load_from_string(small())
    change(model)
    return model.SerializeToString()


def loop(model):
    from onnx import helper

    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


def hidden_graph(model):
    from onnx import helper

    model.graph.node[0].attribute.append(
        helper.make_attribute("then", helper.make_graph([], "x", [], []))
    )


def foreign_domain(model):
    model.graph.node[0].domain = "com.microsoft"


def other_operators(model):
    model.opset_import.add(domain="com.microsoft", version=1)


def function_of_its_own(model):
    model.functions.add(name="Add", domain="x")


def weights_elsewhere(model):
    from onnx import TensorProto

    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")


def one_number_for_all(model):
    from onnx import helper

    last = model.graph.node[-1]
    last.output[0], name = "many", last.output[0]
    model.graph.node.append(helper.make_node("ReduceMax", ["many"], [name], keepdims=0))
    next(o for o in model.graph.output if o.name == name).type.tensor_type.ClearField("shape")


def nothing_typical(model):
    del model.metadata_props[:]


def typical(change):
    def altering(model):
        (found,) = model.metadata_props
        values = json.loads(found.value)
        values["frames"] = change(values["frames"])
        found.value = json.dumps(values)

    altering.__name__ = f"typical_{change.__name__}"
    return altering


def of_fewer_rows(frames):
    return frames[:5]


def of_no_number(frames):
    return np.full_like(frames, np.nan).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (typical(of_fewer_rows), "what is typical"),
        (typical(of_no_number), "what is typical"),
        (loop, "contains Loop"),
        (hidden_graph, "which no model of this project has"),
        (foreign_domain, "which no model of this project has"),
        (other_operators, "needs operators"),
        (function_of_its_own, "needs operators"),
        (weights_elsewhere, "does not hold its weights itself"),
        (one_number_for_all, "does not give logits"),
        (nothing_typical, "what is typical"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_no_model_of_this_project_holds_is_refused(change, message):
    Runtime(small())
    with pytest.raises(BundleError, match=message):
        Runtime(altered(change))


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    folder = copy_of(assets.RAVDESS_MODEL, tmp_path)
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string((folder / NETWORK).read_bytes())
    weight = next(w for w in model.graph.initializer if w.data_type == 1 and len(w.dims) > 1)
    values = numpy_helper.to_array(weight).copy()
    values[:] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    (folder / NETWORK).write_bytes(model.SerializeToString())
    changed(folder, runtime={NETWORK: bundle.sha256_of(folder / NETWORK)})
    with pytest.raises(BundleError, match="something that is not a number"):
        Recognizer.load(folder)


def test_damaged_files_are_refused_with_a_sentence():
    content, chance = small(), random.Random(0)
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 20)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        damaged = damaged[: chance.randint(1, len(damaged))] if chance.random() < 0.3 else damaged
        try:
            Runtime(bytes(damaged))(
                {"features": np.zeros((1, 32, 94, 2), np.float32)}
            )  # what is damaged may be a weight
        except BundleError as error:
            assert NETWORK in str(error)


def bomb(*nodes, **weights):
    """Make a network whose last node grows what it is given beyond any memory."""
    from onnx import TensorProto, helper, numpy_helper

    made = [helper.make_node(kind, given, [out], **more) for kind, given, out, more in nodes]
    made.append(helper.make_node("ReduceMax", [nodes[-1][2]], ["logits"]))
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["clips", 32, 94, 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, 1, 1])
    held = [numpy_helper.from_array(np.asarray(each), name) for name, each in weights.items()]
    graph = helper.make_graph(made, "bomb", [features], [logits], held)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


ROW = np.ones((1, 30_000), np.float32)
BOMBS = {
    "doubled": lambda: bomb(
        ("Concat", ["features"] * 2, "x0", {"axis": 1}),
        *(("Concat", [f"x{i}"] * 2, f"x{i + 1}", {"axis": 1}) for i in range(16)),
    ),
    "many at once": lambda: bomb(("Concat", ["features"] * 20_000, "x", {"axis": 0})),
    "of weights alone": lambda: bomb(
        *(("Concat", ["x" * (i + 1)] * 9, "x" * (i + 2), {"axis": 0}) for i in range(6)), x=ROW
    ),
    "padded": lambda: bomb(
        ("Pad", ["features", "pads"], "x", {}), pads=np.array([0] * 5 + [10**5] * 2 + [0])
    ),
    "padded by pads of its own making": lambda: bomb(
        ("Concat", ["some", "some"], "pads", {"axis": 0}),
        ("Pad", ["features", "pads"], "x", {}),
        some=np.array([0, 10**5, 10**5, 0]),
    ),
    "spread": lambda: bomb(
        ("Transpose", ["row"], "column", {"perm": [1, 0]}),
        ("Add", ["row", "column"], "x", {}),
        row=ROW,
    ),
    "multiplied out": lambda: bomb(
        ("Transpose", ["row"], "column", {"perm": [1, 0]}),
        ("MatMul", ["column", "row"], "x", {}),
        row=ROW,
    ),
    "convolved with wide margins": lambda: bomb(
        ("Conv", ["features", "kernel"], "x", {"pads": [30_000] * 4}),
        kernel=np.ones((1, 32, 1, 1), np.float32),
    ),
    "slow": lambda: bomb(
        ("MaxPool", ["features"], "x", {"kernel_shape": [9000, 9000], "pads": [8000] * 4})
    ),
    "of made-up sizes": lambda: bomb(("Reshape", ["features", "features"], "x", {})),
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS.keys())
def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_loaded(make):
    with pytest.raises(BundleError, match=r"may take|how large|not fit together"):
        check(make(), NETWORK)
