"""Predicting with ONNX Runtime, without TensorFlow.

A bundle holds its network a second time, as ``network.onnx``: it maps what the encoder gives out,
or else the features, to logits and activations (`ser.models.networks.with_activations`).  Its
encoder is ``encoder.onnx``, or the shipped one if it was not trained further.

ONNX files come with a model from anywhere.  Nothing in them is code: before one is loaded it is
refused unless all of its nodes are of the kinds that `ser.models.onnx_export` writes (no loops, no
functions, no operators of others), its weights are in it and no larger than a model's, and what it
makes of a clip takes no more memory and time than a model can (`ser.models.onnx_check`).  Files
that ship with the package are not looked at: that would take longer than loading them.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from joblib import cpu_count

from ser.errors import BundleError
from ser.models.inference import CutNetwork
from ser.models.networks import cut, with_activations
from ser.models.onnx_check import MAX_BYTES, check, parsed

if TYPE_CHECKING:
    import keras
    import onnxruntime

    from ser.audio.features import Inputs

NETWORK, ENCODER = "network.onnx", "encoder.onnx"
"""Files of a bundle."""

Layer = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""What becomes of logits and activations, (labels + activations, new labels), and a bias."""

_TYPICAL = "typical"  # in the metadata: mean of what the network reads, by name, as JSON
_MOST_AT_ONCE = 150_000_000
"""Numbers that a network may make of the clips that it is asked about at a time: 600 MB."""
_FEWEST, _PART = 3, 8
"""Clips that one core is given at a time: more leave its cache, and each start costs."""
_LAYER = ("adaptation_kernel", "adaptation_bias")  # and a number; weights of a layer added later


class Runtime(CutNetwork):
    """A network as functions from arrays to arrays.

    Parameters
    ----------
    network : bytes
        Content of a ``network.onnx``.
    encoder : bytes, optional
        Content of an ``encoder.onnx``, if it has one.
    trusted : collection of str
        Which of the two, by name, ship with the package or were looked at before; `check` takes
        longer than loading them.

    Attributes
    ----------
    input_shapes : tuple of tuple of int
        Of what it reads of one clip.
    output_sizes : tuple of int
        How many logits and activations a clip has.
    typical : dict of str to ndarray of float32
        Mean of what the network reads over what trained it: of ``frames`` (rows, 1, channels), the
        features or what the encoder gives out, and where there is an encoder of ``summary``.

    Raises
    ------
    BundleError
        If one of them is no such network.
    """

    def __init__(
        self, network: bytes, encoder: bytes | None = None, *, trusted: Collection[str] = ()
    ) -> None:
        answer, encode = _Function(network, NETWORK, trusted, long=False), None
        metadata = answer.metadata
        if encoder is not None:
            encode = _Function(encoder, ENCODER, trusted, long=True)
        super().__init__(answer, encode)
        self.input_shapes = (encode or answer).inputs
        if [len(shape) for shape in answer.outputs] != [1, 1]:
            raise BundleError(f"{NETWORK} does not give logits and activations. Train again.")
        self.output_sizes = tuple(shape[0] for shape in answer.outputs)
        try:
            found = json.loads(metadata[_TYPICAL])
            self.typical = {k: np.array(v, np.float32) for k, v in found.items()}
            shapes = {name: values.shape for name, values in self.typical.items()}
            finite = all(np.isfinite(values).all() for values in self.typical.values())
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BundleError(f"{NETWORK} does not say what is typical. Train again.") from error
        (rows, _, channels), *summary = answer.inputs
        expected = {"frames": (rows, 1, channels)}
        if summary:
            expected["summary"] = summary[0]
        if shapes != expected or not finite:
            raise BundleError(f"{NETWORK} does not say what is typical of it. Train again.")


class _Function:
    """A file as a function of arrays, asked about a few clips at a time by each core.

    All cores may work on a clip that is alone, which has it answered sooner where it takes long.
    """

    def __init__(self, content: bytes, name: str, trusted: Collection[str], *, long: bool) -> None:
        values = 1 if name in trusted else max(check(content, name), 1)
        cores = 1 if multiprocessing.parent_process() is not None else cpu_count()
        self._cores = cores if cores * values <= _MOST_AT_ONCE else 1
        self._most = max(min(_PART, _MOST_AT_ONCE // (self._cores * values)), 1)
        self._name = name
        self._session, self.metadata = _session(content, name, threads=cores if long else 1)
        self._content = content if long and self._cores > 1 else b""
        self._names = [each.name for each in self._session.get_inputs()]
        self.inputs = tuple(tuple(each.shape[1:]) for each in self._session.get_inputs())
        self.outputs = tuple(tuple(each.shape[1:]) for each in self._session.get_outputs())

    def __call__(self, inputs: Inputs) -> list[npt.NDArray[np.float32]]:
        values = [np.ascontiguousarray(each, np.float32) for each in inputs.values()]
        count = len(values[0])
        size = min(max(-(-count // self._cores), _FEWEST), self._most)
        parts = [[each[i : i + size] for each in values] for i in range(0, count, size)]
        several = len(parts) > 1 and self._cores > 1
        run = partial(self._run, self._of_one_core if several else self._session)
        try:
            found = [*(_pool().map if several else map)(run, parts)]
        except Exception as error:  # of no common class; a damaged file may cause any
            raise BundleError(f"{self._name} cannot be run: {_first_line(error)}") from error
        return [
            np.concatenate([np.zeros((0, *shape), np.float32), *(each[k] for each in found)])
            for k, shape in enumerate(self.outputs)
        ]

    def _run(
        self, session: onnxruntime.InferenceSession, some: list[npt.NDArray[np.float32]]
    ) -> list[npt.NDArray[np.float32]]:
        return session.run(None, dict(zip(self._names, some, strict=True)))

    @cached_property
    def _of_one_core(self) -> onnxruntime.InferenceSession:
        if not self._content:
            return self._session
        return _session(self._content, self._name, threads=1)[0]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cpu_count(), "network")


def convert(model: keras.Model) -> dict[str, bytes]:
    """Return the files of the runtime for a network.

    Parameters
    ----------
    model : keras.Model
        Maps features to logits, see `ser.models.networks`.

    Returns
    -------
    dict of str to bytes
        By file name; the same network always gives the same bytes.

    Raises
    ------
    BundleError
        If it is no network of this project.
    """
    from ser.models.onnx_export import to_onnx

    encoder, head = cut(with_activations(model))
    means = {"frames": "rows"} if encoder is None else {"frames": "rows", "summary": "summary_rows"}
    typical = {
        name: np.asarray(model.get_layer(layer).mean, np.float32)[0].tolist()
        for name, layer in means.items()
    }
    metadata = {_TYPICAL: json.dumps(typical)}
    given = [tensor.name for tensor in model.inputs]
    encoded = ["frames", "summary"] if encoder is not None else given
    files = {NETWORK: to_onnx(head, encoded, ["logits", "activations"], metadata=metadata)}
    if encoder is not None:
        files[ENCODER] = to_onnx(encoder, given, encoded)
    return files


def with_layer(network: bytes, layer: Layer) -> bytes:
    """Return a network with one more layer that has learned a voice, or classes of one's own.

    Parameters
    ----------
    network : bytes
        Content of a ``network.onnx``.
    layer : Layer
        Makes the new logits.

    Raises
    ------
    BundleError
        If it is no such network.
    """
    from onnx import helper, numpy_helper

    model, number = parsed(network, NETWORK), len(layers_of(network)) + 1
    graph, (kernel, bias) = model.graph, layer
    before, both, mixed = (f"{name}_{number}" for name in ("logits", "both", "mixed"))
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [before if name == "logits" else name for name in names]
    names = [f"{part}_{number}" for part in _LAYER]
    graph.node.extend(
        [
            helper.make_node("Concat", [before, "activations"], [both], axis=1),
            helper.make_node("MatMul", [both, names[0]], [mixed]),
            helper.make_node("Add", [mixed, names[1]], ["logits"]),
        ]
    )
    graph.initializer.extend(map(numpy_helper.from_array, (kernel, bias), names))
    for output in graph.output:
        if output.name == "logits":
            output.type.tensor_type.shape.dim[1].dim_value = len(bias)
    return bytes(model.SerializeToString(deterministic=True))


def layers_of(network: bytes) -> list[Layer]:
    """Return the layers that `with_layer` added to a network, in order.

    Raises
    ------
    BundleError
        If it is no such network, or one of them cannot be.
    """
    from onnx import numpy_helper

    weights = {weight.name: weight for weight in parsed(network, NETWORK).graph.initializer}
    found: list[Layer] = []
    while f"{_LAYER[0]}_{len(found) + 1}" in weights:
        try:
            kernel, bias = (
                numpy_helper.to_array(weights[f"{part}_{len(found) + 1}"]) for part in _LAYER
            )
            fit = kernel.ndim == 2 and bias.shape == kernel.shape[1:]
        except (KeyError, ValueError, TypeError):
            fit = False
        if not fit or not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise BundleError(f"{NETWORK} holds a layer that cannot be. Copy the bundle again.")
        found.append((kernel, bias))
    return found


def _session(
    content: bytes, name: str, *, threads: int
) -> tuple[onnxruntime.InferenceSession, Mapping[str, str]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is said below
    # Threads that wait by spinning would take the processor from other visitors.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        # Read here: names and texts in a damaged file may be no text.
        return session, session.get_modelmeta().custom_metadata_map
    except Exception as error:  # its errors have no common class, and damage can cause any
        raise BundleError(f"{name} cannot be loaded: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def read(file: Path) -> bytes:
    """Return the content of a file of a bundle.

    Raises
    ------
    BundleError
        If it is missing or cannot be read.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BundleError(f"{file} is larger than a model of this kind can be.")
        return file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{file.parent} has no {file.name} that can be read. Copy the bundle again."
        ) from error
