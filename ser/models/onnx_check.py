"""What an ONNX file must be before it is loaded: it may come with a model from anywhere.

Nothing in it is code, but a few bytes can ask for any amount of memory and time: each node may
double what it is given, or pad or multiply it out.  So the sizes of all values are worked out
first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ser.errors import BundleError
from ser.models.onnx_export import KINDS, OPSET

if TYPE_CHECKING:
    import onnx

MAX_BYTES = 100_000_000
_MAX_NODES = 10_000
MOST_VALUES = 40_000_000
"""Numbers that all nodes may make of one clip; those of the shipped models make 15 million."""
_MOST_WORK = 5_000_000_000
"""Multiplications and the like for one clip; the shipped models take 1000 million."""


def check(content: bytes, name: str) -> int:
    """Refuse a file that holds what no network of this project has, or would take too much.

    Parameters
    ----------
    content : bytes
        Of an ONNX file.
    name : str
        What the file is called.

    Returns
    -------
    int
        How many numbers it makes of one clip, all nodes together.

    Raises
    ------
    BundleError
        If it is no such file.
    """
    from onnx.shape_inference import InferenceError, infer_shapes

    model = parsed(content, name)
    _check_kinds(model, name)
    graph = model.graph
    # Only what follows from the nodes counts, not what the file says of their sizes.
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    for given in graph.input:
        if given.type.tensor_type.shape.dim:
            given.type.tensor_type.shape.dim[0].dim_value = 1  # clip
    try:
        inferred = infer_shapes(model, check_type=True, strict_mode=True).graph
    except (InferenceError, ValueError, RuntimeError, MemoryError) as error:
        raise BundleError(f"{name} does not fit together. Copy the bundle again.") from error
    shapes: dict[str, tuple[int, ...]] = {w.name: tuple(w.dims) for w in graph.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = value.type.tensor_type.shape.dim
        if not all(dim.HasField("dim_value") for dim in dims):
            raise BundleError(f"{name} does not say how large its values are. It is not loaded.")
        shapes[value.name] = tuple(dim.dim_value for dim in dims)
    try:
        values = sum(_size(shapes, each) for node in graph.node for each in node.output)
        work = sum(_work(node, shapes) for node in graph.node)
    except (KeyError, IndexError) as error:
        raise BundleError(f"{name} does not fit together. Copy the bundle again.") from error
    if values > MOST_VALUES or work > _MOST_WORK:
        raise BundleError(
            f"{name} would take {values / 1e6:,.0f} million values and {work / 1e6:,.0f} million "
            f"steps for a clip, and may take {MOST_VALUES / 1e6:.0f} and {_MOST_WORK / 1e6:.0f}. "
            "It is not loaded."
        )
    return values


def parsed(content: bytes, name: str) -> onnx.ModelProto:
    """Return what an ONNX file says.

    Raises
    ------
    BundleError
        If it is none.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if len(content) > MAX_BYTES:
        raise BundleError(f"{name} is larger than a model of this kind can be.")
    try:
        return onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise BundleError(f"{name} is not an ONNX file. Copy the bundle again.") from error


def _check_kinds(model: onnx.ModelProto, name: str) -> None:
    graph = model.graph
    if model.functions or [(o.domain, o.version) for o in model.opset_import] != [("", OPSET)]:
        raise BundleError(f"{name} needs operators that no model of this project has.")
    if len(graph.node) > _MAX_NODES:
        raise BundleError(f"{name} has more parts than a model of this project.")
    for node in graph.node:
        within = any(each.HasField("g") or each.graphs for each in node.attribute)
        if node.op_type not in KINDS or node.domain or within:
            raise BundleError(
                f"{name} contains {node.op_type}, which no model of this project has. It is not "
                "loaded."
            )
    if sum(math.prod(w.dims) for w in graph.initializer) > MAX_BYTES:
        raise BundleError(f"{name} is larger than a model of this kind can be.")
    if any(w.external_data or w.data_location for w in graph.initializer) or (
        graph.sparse_initializer
    ):
        raise BundleError(f"{name} does not hold its weights itself. It is not loaded.")


def _size(shapes: Mapping[str, tuple[int, ...]], value: str) -> int:
    return math.prod(shapes[value]) if value else 0  # one without a name is left out


def _work(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return about how many multiplications and the like a node takes."""
    given = [_size(shapes, each) for each in node.input]
    made = sum(_size(shapes, each) for each in node.output)
    if node.op_type == "MatMul":
        return made * (shapes[node.input[0]] or (1,))[-1]
    if node.op_type == "Conv":
        return made * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "LSTM":
        return math.prod(shapes[node.input[0]][:2]) * (given[1] + given[2])
    if node.op_type in ("MaxPool", "AveragePool"):
        kernel: list[int] = next(
            (list(each.ints) for each in node.attribute if each.name == "kernel_shape"), []
        )
        return made * math.prod(kernel)
    return made + sum(given)
