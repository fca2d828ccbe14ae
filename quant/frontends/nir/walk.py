"""The way through a NIR graph, from its Input to its Output, node by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.bounds import MOST_STEPS, NetworkError
from ..layers import UnsupportedLayer, refuse
from .file import RawGraph
from .making import Making
from .node import NirNode
from .parts import Chain, Shape, maps

__all__ = ["chain"]

SUPPORTED = "Affine, Linear, Conv1d, Conv2d, IF, SumPool2d, AvgPool2d, Flatten, Scale"

REFUSED = {
    "LIF": "IF, whose membrane does not leak; train it without a leak, or replace it by IF and tune the network",
    "CubaLIF": "IF, whose membrane and currents do not leak; train it without leaks, or replace it by IF and tune",
    "LI": "an Affine as the last node before the Output, whose results are added up over time",
    "CubaLI": "an Affine as the last node before the Output, whose results are added up over time",
    "I": "an Affine as the last node before the Output, whose results are added up over time, as an I does",
    "Threshold": "IF, which keeps what is above its threshold",
    "Delay": "graphs without delays, whose layers all see the same time step",
    "NIRGraph": "the nodes of a graph inside a graph in the graph itself; export the network without submodules",
}
"""What is said in place of types of NIR that a network has no counterpart of."""


def chain(raw: RawGraph, shape: Shape | None, notice: Callable[[str], None]) -> Chain:
    """The chain that the graph ``raw`` is, for images of ``shape`` (C, H, W), where the user says it; ``notice`` is
    called with what is taken for granted. Raises UnsupportedLayer, naming the node, for everything that is no such
    chain, and NetworkError where shapes do not fit."""
    nodes = {name: _node(name, fields) for name, fields in raw.nodes.items()}
    order = _order(nodes, raw)
    first, *middle, last = order
    image = _shape(first)
    if shape is not None and shape != maps(image) and not (len(image) == 1 and np.prod(shape) == image[0]):
        raise NetworkError(
            f"{first.name}: takes images of {'x'.join(map(str, image))}, not {'x'.join(map(str, shape))}"
        )
    making = Making(image, notice)
    for node in middle:
        making.add(node)
    first.all_read()
    parts = making.answer(last, _shape(last))
    last.all_read()
    making.warn()
    high = first.said_number("high")
    if high is not None and not 1 <= high <= 255:
        first.refuse(f"with the metadata high={high}", "pixels 0..high, high in 1..255")
    return Chain(first.name, maps(image), tuple(parts), last.name, high, _steps(raw), raw.file)


def _node(name: str, fields: dict[str, Any]) -> NirNode:
    metadata = fields.get("metadata", {})
    metadata = metadata if isinstance(metadata, dict) else {}
    own = metadata.get("name")
    return NirNode(own if isinstance(own, str) else name, str(fields["type"]), fields, metadata)


def _order(nodes: dict[str, NirNode], raw: RawGraph) -> list[NirNode]:
    """The nodes in the order of the data."""
    for node in nodes.values():
        if node.kind in REFUSED:
            refuse(node.name, node.kind, REFUSED[node.kind])
        if node.kind not in (*SUPPORTED.split(", "), "Input", "Output"):
            refuse(node.name, f"a node of the type {node.kind!r:.60}", f"{SUPPORTED}, Input, Output")
    ends = {kind: [name for name, node in nodes.items() if node.kind == kind] for kind in ("Input", "Output")}
    for kind, found in ends.items():
        if len(found) != 1:
            names = ", ".join(nodes[name].name for name in found) or "none"
            raise UnsupportedLayer(f"{raw.file}: nodes of the type {kind}: {names}; supported: one")
    after = dict[str, list[str]](zip(nodes, ([] for _ in nodes), strict=True))
    before = dict[str, list[str]](zip(nodes, ([] for _ in nodes), strict=True))
    for a, b in raw.edges:
        if a not in nodes or b not in nodes:
            raise UnsupportedLayer(f"{raw.file}: an edge from {a} to {b}, of which one is no node; write it again")
        after[a].append(b)
        before[b].append(a)
    for name, node in nodes.items():
        for found, what in ((before[name], "takes the results of"), (after[name], "gives its results to")):
            if len(found) > 1:
                several = ", ".join(nodes[each].name for each in found)
                refuse(node.name, f"a node that {what} several ({several})", "chains, without shortcuts and recurrence")
    at, order = ends["Input"][0], [ends["Input"][0]]
    while after[at]:
        at = after[at][0]
        order.append(at)
        if len(order) > len(nodes):
            refuse(nodes[at].name, "a loop", "chains from the Input to the Output")
    if at != ends["Output"][0] or len(order) < len(nodes):
        left = next((nodes[name].name for name in nodes if name not in order), nodes[at].name)
        refuse(left, "a node that is on no way from the Input to the Output", "chains without other nodes")
    return [nodes[name] for name in order]


def _shape(node: NirNode) -> tuple[int, ...]:
    """What goes in, or comes out: (C, H, W), (C, L) or (n,)."""
    key = "shape" if node.has("shape") else "input_type" if node.kind == "Input" else "output_type"
    found = node.numbers(key).reshape(-1)
    if found.size not in (1, 2, 3) or (found != np.rint(found)).any() or found.min() < 1:
        node.refuse(f"of the shape {found.tolist()!r:.60}", "(channels, height, width), (channels, length) or (n,)")
    return tuple(int(n) for n in found)


def _steps(raw: RawGraph) -> int | None:
    """The time steps that the metadata of the graph say."""
    if "time_steps" not in raw.metadata:
        return None
    found = np.asarray(raw.metadata["time_steps"])
    if found.dtype.kind not in "iu" or found.size != 1 or not 1 <= found.item() <= MOST_STEPS:
        raise UnsupportedLayer(f"{raw.file}: time_steps {raw.metadata['time_steps']!r:.60} in its metadata; supported: "
                               f"1..{MOST_STEPS}")  # fmt: skip
    return int(found.item())
