"""Predicting with ONNX Runtime, without TensorFlow.

A bundle holds its network a second time, as ``network.onnx``: it maps what the encoder gives out,
or else the features, to logits and activations (`ser.models.networks.with_activations`).  Its
encoder is ``encoder.onnx``, or the shipped one if it was not trained further.

ONNX files come with a model from anywhere.  Nothing in them is code: before one is loaded it is
refused unless all of its nodes are of the kinds that `ser.models.onnx_export` writes (no loops, no
functions, no operators of others), and its weights are in it and no larger than a model's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser.errors import BundleError
from ser.models.inference import BATCH, ENCODED_BATCH, CutNetwork
from ser.models.networks import cut, with_activations

if TYPE_CHECKING:
    import keras
    import onnxruntime

    from ser.audio.features import Inputs

NETWORK, ENCODER = "network.onnx", "encoder.onnx"
"""Files of a bundle."""

Layer = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""What becomes of logits and activations, (labels + activations, new labels), and a bias."""

_TYPICAL = "typical"  # in the metadata: mean of what the network reads, by name, as JSON
_LAYER = ("adaptation_kernel", "adaptation_bias")  # and a number; weights of a layer added later
_MAX_BYTES = 100_000_000
_MAX_NODES = 10_000


class Runtime(CutNetwork):
    """A network as functions from arrays to arrays.

    Parameters
    ----------
    network : bytes
        Content of a ``network.onnx``.
    encoder : bytes, optional
        Content of an ``encoder.onnx``, if it has one.

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

    def __init__(self, network: bytes, encoder: bytes | None = None) -> None:
        head, metadata = _session(network, NETWORK)
        answer, encode = _Function(head, NETWORK, BATCH), None
        if encoder is not None:
            encode = _Function(_session(encoder, ENCODER)[0], ENCODER, ENCODED_BATCH)
        super().__init__(answer, encode)
        self.input_shapes = (encode or answer).inputs
        self.output_sizes = tuple(shape[0] for shape in answer.outputs)
        try:
            found = json.loads(metadata[_TYPICAL])
            self.typical = {k: np.array(v, np.float32) for k, v in found.items()}
            shapes = {name: values.ndim for name, values in self.typical.items()}
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BundleError(f"{NETWORK} does not say what is typical. Train again.") from error
        if shapes != ({"frames": 3, "summary": 1} if self.encodes else {"frames": 3}):
            raise BundleError(f"{NETWORK} does not say what is typical of it. Train again.")


class _Function:
    """A session as a function of arrays, asked about so many clips at a time."""

    def __init__(self, session: onnxruntime.InferenceSession, name: str, batch: int) -> None:
        self._session, self._name, self._batch = session, name, batch
        self._names = [each.name for each in session.get_inputs()]
        self.inputs = tuple(tuple(each.shape[1:]) for each in session.get_inputs())
        self.outputs = tuple(tuple(each.shape[1:]) for each in session.get_outputs())

    def __call__(self, inputs: Inputs) -> list[npt.NDArray[np.float32]]:
        values = [np.ascontiguousarray(each, np.float32) for each in inputs.values()]
        found = []
        for i in range(0, len(values[0]), self._batch):
            some = [each[i : i + self._batch] for each in values]
            try:
                found.append(self._session.run(None, dict(zip(self._names, some, strict=True))))
            except Exception as error:  # of no common class; a damaged file may cause any
                raise BundleError(f"{self._name} cannot be run: {_first_line(error)}") from error
        return [
            np.concatenate([np.zeros((0, *shape), np.float32), *(each[k] for each in found)])
            for k, shape in enumerate(self.outputs)
        ]


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
    model, number = _parsed(network, NETWORK), len(layers_of(network)) + 1
    graph, (kernel, bias) = model.graph, layer
    before, both, mixed = (f"{name}_{number}" for name in ("logits", "both", "mixed"))
    for node in graph.nodes:
        for names in (node.inputs, node.outputs):
            names[:] = [before if name == "logits" else name for name in names]
    axis = {"name": "axis", "kind": 2, "number": 1}
    graph.nodes.add(
        kind="Concat", inputs=[before, "activations"], outputs=[both], attributes=[axis]
    )
    names = [f"{part}_{number}" for part in _LAYER]
    graph.nodes.add(kind="MatMul", inputs=[both, names[0]], outputs=[mixed])
    graph.nodes.add(kind="Add", inputs=[mixed, names[1]], outputs=["logits"])
    for name, values in zip(names, (kernel, bias), strict=True):
        stored = np.asarray(values, "<f4")
        graph.weights.add(name=name, shape=stored.shape, type=1, values=stored.tobytes())
    for output in graph.outputs:
        if output.name == "logits":
            output.type.tensor.shape.sizes[1].number = len(bias)
    return bytes(model.SerializeToString(deterministic=True))


def layers_of(network: bytes) -> list[Layer]:
    """Return the layers that `with_layer` added to a network, in order.

    Raises
    ------
    BundleError
        If it is no such network, or one of them cannot be.
    """
    weights = {weight.name: weight for weight in _parsed(network, NETWORK).graph.weights}
    found: list[Layer] = []
    while f"{_LAYER[0]}_{len(found) + 1}" in weights:
        try:
            kernel, bias = (
                np.frombuffer(stored.values, "<f4").reshape(stored.shape)
                for stored in (weights[f"{part}_{len(found) + 1}"] for part in _LAYER)
            )
            fit = kernel.ndim == 2 and bias.shape == kernel.shape[1:]
        except (KeyError, ValueError):
            fit = False
        if not fit or not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise BundleError(f"{NETWORK} holds a layer that cannot be. Copy the bundle again.")
        found.append((kernel, bias))
    return found


def _session(content: bytes, name: str) -> tuple[onnxruntime.InferenceSession, Mapping[str, str]]:
    import onnxruntime

    _check(content, name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is said below
    # Threads that wait by spinning would take the processor from other visitors.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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


def _parsed(content: bytes, name: str) -> Any:
    from google.protobuf.message import DecodeError

    if len(content) > _MAX_BYTES:
        raise BundleError(f"{name} is larger than a model of this kind can be.")
    model = _message_class()()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise BundleError(f"{name} is no ONNX file. Copy the bundle again.") from error
    return model


def _check(content: bytes, name: str) -> None:
    """Refuse a file that holds anything that no network of this project has."""
    from ser.models.onnx_export import KINDS, OPSET

    model = _parsed(content, name)
    graph = model.graph
    if model.functions or [(o.domain, o.version) for o in model.opsets] != [("", OPSET)]:
        raise BundleError(f"{name} needs operators that no model of this project has.")
    if len(graph.nodes) > _MAX_NODES:
        raise BundleError(f"{name} has more parts than a model of this project.")
    for node in graph.nodes:
        within = any(each.graph or each.graphs for each in node.attributes)
        if node.kind not in KINDS or node.domain or within:
            raise BundleError(
                f"{name} contains {node.kind}, which no model of this project has. It is not "
                "loaded."
            )
    if any(weight.external or weight.location for weight in graph.weights) or graph.sparse:
        raise BundleError(f"{name} does not hold its weights itself. It is not loaded.")


@cache
def _message_class() -> Any:
    """Return a class for what is looked at or added in an ONNX file (onnx.proto, version 1.23).

    The rest of a file is kept as it is.

    The package ``onnx`` has all of it, and is five times as large as anything else that this
    takes.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="ser/onnx.proto", package="ser", syntax="proto2")
    kinds = {"message": 11, "string": 9, "bytes": 12, "int": 3}

    def message(name: str, /, **fields: tuple[int, str, bool]) -> None:
        made = file.message_type.add(name=name)
        for field, (number, kind, many) in fields.items():
            own = kind not in kinds
            added = made.field.add(
                name=field,
                number=number,
                type=kinds["message" if own else kind],
                label=3 if many else 1,
            )
            if own:
                added.type_name = f".ser.{kind}"

    one, many = False, True
    message("Opset", domain=(1, "string", one), version=(2, "int", one))
    message(
        "Attribute",
        name=(1, "string", one),
        number=(3, "int", one),
        graph=(6, "bytes", one),
        graphs=(11, "bytes", many),
        kind=(20, "int", one),
    )
    message(
        "Node",
        inputs=(1, "string", many),
        outputs=(2, "string", many),
        kind=(4, "string", one),
        attributes=(5, "Attribute", many),
        domain=(7, "string", one),
    )
    message(
        "Weight",
        shape=(1, "int", many),
        type=(2, "int", one),
        name=(8, "string", one),
        values=(9, "bytes", one),
        external=(13, "bytes", many),
        location=(14, "int", one),
    )
    message("Size", number=(1, "int", one))
    message("Shape", sizes=(1, "Size", many))
    message("Tensor", shape=(2, "Shape", one))
    message("Type", tensor=(1, "Tensor", one))
    message("Value", name=(1, "string", one), type=(2, "Type", one))
    message(
        "Graph",
        nodes=(1, "Node", many),
        weights=(5, "Weight", many),
        outputs=(12, "Value", many),
        sparse=(15, "bytes", many),
    )
    message(
        "Model",
        graph=(7, "Graph", one),
        opsets=(8, "Opset", many),
        functions=(25, "bytes", many),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("ser.Model"))


def read(file: Path) -> bytes:
    """Return the content of a file of a bundle.

    Raises
    ------
    BundleError
        If it is missing or cannot be read.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise BundleError(f"{file} is larger than a model of this kind can be.")
        return file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{file.parent} has no {file.name} that can be read. Copy the bundle again."
        ) from error
