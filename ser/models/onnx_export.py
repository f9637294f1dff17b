"""A Keras network as an ONNX graph, for predicting without TensorFlow.

Written for the layers that `ser.models.networks` and `ser.models.encoder` use and no others.
`tf2onnx <https://github.com/onnx/tensorflow-onnx>`_ converts any network, but unrolls an LSTM into
thousands of nodes, takes minutes, and makes inputs of what a `Normalization` layer has learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser.errors import BundleError

if TYPE_CHECKING:
    import keras

OPSET = 20
"""Version of ONNX' operators that is written: the first with Gelu."""
KINDS = frozenset(
    {
        *("Add", "AveragePool", "Cast", "Concat", "Conv", "Div", "Flatten", "Gelu", "Identity"),
        *("LSTM", "LayerNormalization", "MatMul", "MaxPool", "Mean", "Mul", "Pad", "ReduceMax"),
        *("ReduceMean", "Relu", "Reshape", "Sigmoid", "Slice", "Softmax", "Sub", "Sum", "Tanh"),
        "Transpose",
    }
)
"""Operators that can be in a network of this project."""
_IR_VERSION = 10  # what belongs to it


def to_onnx(
    model: keras.Model,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    metadata: dict[str, str] | None = None,
) -> bytes:
    """Convert a network.

    Parameters
    ----------
    model : keras.Model
        Functional, of layers of this project's networks.
    inputs, outputs : sequence of str
        What its inputs and outputs are to be called.
    metadata : dict of str to str, optional
        Kept in the file.

    Returns
    -------
    bytes
        Of an ONNX file.  It computes in single precision; weights that half precision holds
        exactly are stored in it.

    Raises
    ------
    BundleError
        If a layer is of another kind.
    """
    from onnx import TensorProto, checker, helper

    graph = _Graph()
    found = graph.network(model, inputs)
    for given, name in zip(found, outputs, strict=True):
        graph.nodes.append(helper.make_node("Identity", [given], [name]))

    def described(name: str, tensor: Any) -> Any:
        shape = ["clips", *tensor.shape[1:]]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    made = helper.make_graph(
        graph.nodes,
        "network",
        [described(n, t) for n, t in zip(inputs, model.inputs, strict=True)],
        [described(n, t) for n, t in zip(outputs, model.outputs, strict=True)],
        graph.weights,
    )
    opset = helper.make_opsetid("", OPSET)
    converted = helper.make_model(
        made, producer_name="ser", opset_imports=[opset], ir_version=_IR_VERSION
    )
    helper.set_model_props(converted, metadata or {})
    checker.check_model(converted)
    return bytes(converted.SerializeToString(deterministic=True))


class _Graph:
    """Nodes and weights of a graph in the making; values in it are called by name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._count = 0

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; returns the name of that."""
        from onnx import helper

        self._count += 1
        name = f"{kind.lower()}_{self._count}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: npt.ArrayLike) -> str:
        """Add an array; returns the name of it in single precision, or of whole numbers."""
        from onnx import TensorProto, numpy_helper

        array = np.ascontiguousarray(values)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
            half = array.astype(np.float16)
            array = half if array.size > 1 and np.array_equal(half, array) else array
        self._count += 1
        name = f"weight_{self._count}"
        self.weights.append(numpy_helper.from_array(array, name))
        if array.dtype == np.float16:
            return self.add("Cast", name, to=TensorProto.FLOAT)
        return name

    def network(self, model: keras.Model, inputs: Sequence[str]) -> list[str]:
        """Add a functional network; returns the names of its outputs."""
        known = {id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}

        def value(tensor: Any) -> str:
            if id(tensor) not in known:
                layer, node_index, _ = tensor._keras_history
                node = layer._inbound_nodes[node_index]
                given = [value(each) for each in node.input_tensors]
                made = self.layer(layer, given)
                for output, name in zip(node.output_tensors, made, strict=True):
                    known[id(output)] = name
            return known[id(tensor)]

        return [value(tensor) for tensor in model.outputs]

    def layer(self, layer: Any, inputs: list[str]) -> list[str]:
        """Add one layer; returns the names of its outputs."""
        import keras

        if isinstance(layer, keras.Model):
            return self.network(layer, inputs)
        convert = _LAYERS.get(type(layer).__name__)
        if convert is None:
            raise BundleError(
                f"The layer {layer.name} is a {type(layer).__name__}, which no network of this "
                "project has, so it cannot be exported."
            )
        return [convert(self, layer, *inputs)]

    def activation(self, layer: Any, x: str) -> str:
        """Add the activation of a layer."""
        name = layer.activation.__name__
        if name == "linear":
            return x
        if name not in ("relu", "gelu", "tanh", "sigmoid"):
            raise BundleError(f"The layer {layer.name} has the activation {name}, unknown here.")
        return self.add(name.capitalize(), x)

    def reshaped(self, x: str, shape: Sequence[int]) -> str:
        """Give every clip another shape; -1 once stands for what is left."""
        return self.add("Reshape", x, self.constant(np.array([0, *shape], np.int64)))

    def channels_first(self, x: str, rank: int) -> str:
        """Move channels, the last of `rank` axes, before the places."""
        return self.add("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)])

    def channels_last(self, x: str, rank: int) -> str:
        """Move channels behind the places again."""
        return self.add("Transpose", x, perm=[0, *range(2, rank), 1])


def _same(graph: _Graph, layer: Any, x: str) -> str:
    return x  # dropout does nothing but in training


def _activation(graph: _Graph, layer: Any, x: str) -> str:
    return graph.activation(layer, x)


def _relu(graph: _Graph, layer: Any, x: str) -> str:
    return graph.add("Relu", x)


def _normalization(graph: _Graph, layer: Any, x: str) -> str:
    mean, variance = (np.asarray(each, np.float32) for each in (layer.mean, layer.variance))
    centred = graph.add("Sub", x, graph.constant(mean))
    if (variance == 1).all():
        return centred
    return graph.add("Div", centred, graph.constant(np.maximum(np.sqrt(variance), 1e-7)))


def _batch_normalization(graph: _Graph, layer: Any, x: str) -> str:
    gamma, beta, mean, variance = (np.asarray(each, np.float64) for each in layer.weights)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    scaled = graph.add("Mul", x, graph.constant(scale))
    return graph.add("Add", scaled, graph.constant(beta - mean * scale))


def _layer_normalization(graph: _Graph, layer: Any, x: str) -> str:
    gamma, beta = (graph.constant(np.asarray(each)) for each in layer.weights)
    return graph.add("LayerNormalization", x, gamma, beta, axis=-1, epsilon=layer.epsilon)


def _dense(graph: _Graph, layer: Any, x: str) -> str:
    x = graph.add("MatMul", x, graph.constant(np.asarray(layer.kernel)))
    if layer.use_bias:
        x = graph.add("Add", x, graph.constant(np.asarray(layer.bias)))
    return graph.activation(layer, x)


def _convolution(graph: _Graph, layer: Any, x: str) -> str:
    rank = layer.rank + 2
    kernel = np.asarray(layer.kernel)
    weights = [graph.constant(np.moveaxis(kernel, (-1, -2), (0, 1)))]
    if layer.use_bias:
        weights.append(graph.constant(np.asarray(layer.bias)))
    pad = "SAME_UPPER" if layer.padding == "same" else "VALID"
    x = graph.channels_first(x, rank)
    x = graph.add("Conv", x, *weights, auto_pad=pad, strides=list(layer.strides))
    return graph.activation(layer, graph.channels_last(x, rank))


def _pooling(kind: str) -> Callable[[_Graph, Any, str], str]:
    def convert(graph: _Graph, layer: Any, x: str) -> str:
        rank = len(layer.pool_size) + 2
        pad = "SAME_UPPER" if layer.padding == "same" else "VALID"
        shape = {"kernel_shape": list(layer.pool_size), "strides": list(layer.strides)}
        pooled = graph.add(kind, graph.channels_first(x, rank), auto_pad=pad, **shape)
        return graph.channels_last(pooled, rank)

    return convert


def _over_time(kind: str) -> Callable[[_Graph, Any, str], str]:
    def convert(graph: _Graph, layer: Any, x: str) -> str:
        axes = graph.constant(np.array([1], np.int64))
        return graph.add(kind, x, axes, keepdims=int(layer.keepdims))

    return convert


def _permute(graph: _Graph, layer: Any, x: str) -> str:
    return graph.add("Transpose", x, perm=[0, *layer.dims])


def _reshape(graph: _Graph, layer: Any, x: str) -> str:
    return graph.reshaped(x, layer.target_shape)


def _flatten(graph: _Graph, layer: Any, x: str) -> str:
    return graph.add("Flatten", x, axis=1)


def _padding(graph: _Graph, layer: Any, x: str) -> str:
    before, after = layer.padding
    return graph.add("Pad", x, graph.constant(np.array([0, before, 0, 0, after, 0], np.int64)))


def _cropping(graph: _Graph, layer: Any, x: str) -> str:
    before, after = layer.cropping
    bounds = ([before], [-after if after else np.iinfo(np.int64).max], [1])
    return graph.add("Slice", x, *(graph.constant(np.array(each, np.int64)) for each in bounds))


def _concatenate(graph: _Graph, layer: Any, *inputs: str) -> str:
    return graph.add("Concat", *inputs, axis=layer.axis)


def _add(graph: _Graph, layer: Any, *inputs: str) -> str:
    return graph.add("Sum", *inputs)


def _average(graph: _Graph, layer: Any, *inputs: str) -> str:
    return graph.add("Mean", *inputs)


def _subtract(graph: _Graph, layer: Any, a: str, b: str) -> str:
    return graph.add("Sub", a, b)


def _softmax(graph: _Graph, layer: Any, x: str) -> str:
    return graph.add("Softmax", x, axis=layer.axis)


def _dot(graph: _Graph, layer: Any, a: str, b: str) -> str:
    """Add up `b` over time, each frame as often as `a` says: (n, t, 1), (n, t, u) to (n, 1, u)."""
    if layer.axes not in (1, [1, 1]):
        raise BundleError(f"The layer {layer.name} adds over other axes than time.")
    return graph.add("MatMul", graph.add("Transpose", a, perm=[0, 2, 1]), b)


def _attention(graph: _Graph, layer: Any, query: str, value: str) -> str:
    heads, size = layer.num_heads, layer.key_dim
    width = heads * size
    kernels = [np.asarray(each) for each in layer.weights]
    projected = []
    for source, kernel, bias in zip(
        (query, value, value), kernels[0:6:2], kernels[1:6:2], strict=True
    ):
        x = graph.add("MatMul", source, graph.constant(kernel.reshape(-1, width)))
        x = graph.add("Add", x, graph.constant(bias.reshape(width)))
        split = graph.add("Reshape", x, graph.constant(np.array([0, 0, heads, size], np.int64)))
        projected.append(split)
    # Keras' order of weights: query, key, value, output.
    q, k, v = projected
    q = graph.add("Transpose", q, perm=[0, 2, 1, 3])
    k = graph.add("Transpose", k, perm=[0, 2, 3, 1])
    v = graph.add("Transpose", v, perm=[0, 2, 1, 3])
    scores = graph.add("Mul", graph.add("MatMul", q, k), graph.constant(np.float32(size**-0.5)))
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), v)
    mixed = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    joined = graph.add("Reshape", mixed, graph.constant(np.array([0, 0, width], np.int64)))
    out = graph.add("MatMul", joined, graph.constant(kernels[6].reshape(width, -1)))
    return graph.add("Add", out, graph.constant(kernels[7]))


def _bidirectional(graph: _Graph, layer: Any, x: str) -> str:
    """Add an LSTM that reads in both directions and gives out every frame."""
    units = layer.forward_layer.units
    both = []
    for one in (layer.forward_layer, layer.backward_layer):
        kernel, recurrent, bias = (np.asarray(each) for each in one.weights)
        w, r, b = (_gates(each, units) for each in (kernel.T, recurrent.T, bias))
        both.append((w, r, np.concatenate([b, np.zeros_like(b)])))
    weights = [graph.constant(np.stack(each)) for each in zip(*both, strict=True)]
    x = graph.add("Transpose", x, perm=[1, 0, 2])
    x = graph.add("LSTM", x, *weights, hidden_size=units, direction="bidirectional")
    x = graph.add("Transpose", x, perm=[2, 0, 1, 3])  # time, direction, clip, units
    return graph.add("Reshape", x, graph.constant(np.array([0, 0, 2 * units], np.int64)))


def _gates(values: npt.NDArray[np.float32], units: int) -> npt.NDArray[np.float32]:
    """Bring an LSTM's gates from Keras' order (input, forget, cell, output) to ONNX' own."""
    i, f, c, o = (values[k * units : (k + 1) * units] for k in range(4))
    return np.concatenate([i, o, f, c])


_LAYERS: dict[str, Callable[..., str]] = {
    "Activation": _activation,
    "Add": _add,
    "Average": _average,
    "AveragePooling1D": _pooling("AveragePool"),
    "BatchNormalization": _batch_normalization,
    "Bidirectional": _bidirectional,
    "Concatenate": _concatenate,
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Cropping1D": _cropping,
    "Dense": _dense,
    "Dot": _dot,
    "Dropout": _same,
    "Flatten": _flatten,
    "GlobalAveragePooling1D": _over_time("ReduceMean"),
    "GlobalMaxPooling1D": _over_time("ReduceMax"),
    "LayerNormalization": _layer_normalization,
    "MaxPooling1D": _pooling("MaxPool"),
    "MaxPooling2D": _pooling("MaxPool"),
    "MultiHeadAttention": _attention,
    "Normalization": _normalization,
    "Permute": _permute,
    "ReLU": _relu,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "SpatialDropout1D": _same,
    "Subtract": _subtract,
    "ZeroPadding1D": _padding,
}
