"""Conversion: a model with QCFS activations becomes an integer :class:`~quant.ir.network.Network`.

The arithmetic is that of ``quant.conversion.rounding``, the same code that ran in training. The initial membrane is
theta/2, which need not be whole; sums are. With u the sum without it and k a number of spikes,

    u + theta/2 >= k*theta  is  u >= k*theta - theta/2  is  u >= ceil(k*theta - theta/2) = k*theta - floor(theta/2),
    u + theta/2 >  k*theta  is  u >  k*theta - theta/2  is  u > floor(k*theta - theta/2) = k*theta - ceil(theta/2),

so floor(theta/2) is exactly a real theta/2 for the test ``>=``, and ceil(theta/2) is for ``>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..frontends.layers import IMAGE, Layer, Passing
from ..ir.network import Network
from ..ir.ops import (
    IF,
    Add,
    Input,
    NetworkError,
    Node,
    Readout,
)
from ..qat.integer_graph import IntegerGraph
from ..qat.stage import QuantisedLayer, Synapses
from .rounding import half_threshold

__all__ = ["convert", "half_threshold", "integer_network", "link"]


def convert(
    model: nn.Module | Sequence[Layer],
    *,
    shape: tuple[int, int, int],
    input_high: int,
    steps: int,
    weight_bits: int,
    rule: str = "causal",
    first_bits: int | None = None,
    last_bits: int | None = None,
    shortcut_bits: int = 8,
    strict: bool = False,
    meta: dict[str, str] | None = None,
) -> Network:
    """Convert ``model``, trained with QCFS activations on pixels / input_high, to an integer network of T = ``steps``;
    a module of PyTorch, or the layers of a float graph.

    ``shape`` is that of an image (C, H, W). Weights get ``weight_bits`` bits, a scale for each output channel; the last
    layer one scale for all. A projection, whose weights are added to another layer's, comes in that layer's scale, with
    up to ``shortcut_bits`` bits. ``strict`` makes neurons fire at ``>`` instead of ``>=``.
    Raises UnsupportedLayer or NetworkError, naming the layer: a structure that has no counterpart, a ReLU left in,
    NaN, a threshold that is not positive and finite.
    """
    graph = IntegerGraph(
        model,
        input_high=input_high,
        steps=steps,
        weight_bits=weight_bits,
        first_bits=first_bits,
        last_bits=last_bits,
        shortcut_bits=shortcut_bits,
        rule=rule,
        strict=strict,
        shape=shape,
    )
    return integer_network(graph, shape=shape, meta=meta)


def integer_network(
    graph: IntegerGraph,
    *,
    shape: tuple[int, int, int],
    rule: str | None = None,
    strict: bool | None = None,
    meta: dict[str, str] | None = None,
) -> Network:
    """The integer network that ``graph`` computes in evaluation; ``rule`` and ``strict`` may be others than it was
    trained with."""
    fires = graph.rule if rule is None else rule
    strict = graph.strict if strict is None else strict
    nodes: list[Node] = [Input(name="input", shape=shape, high=graph.input_high)]
    node_of = {IMAGE: "input"}  # the node that holds the result of a layer
    with torch.no_grad():
        units = graph.units()
        for layer in graph.order:
            if isinstance(layer, Passing):
                nodes.append(layer.node(link(nodes, layer.name, *(node_of[source] for source in layer.sources))))
            elif layer.log_threshold is None:
                weights, bias, _ = graph.readout(units)
                currents = list[str]()
                for part, w in zip(layer.parts, weights, strict=True):
                    nodes.append(_synapse(part, w, link(nodes, part.name, node_of[part.source]), part.bits))
                    currents.append(nodes[-1].name)
                _add(nodes, layer.sums, currents)
                nodes.append(Readout(name="readout", source=nodes[-1].name, bias=_whole(layer.name, "bias", bias)))
            else:
                nodes += _spiking(graph, layer, units, nodes, node_of, fires, strict)
            node_of[layer.name] = nodes[-1].name
    return Network(nodes=tuple(nodes), steps=graph.steps, meta=meta or {})


def _spiking(
    graph: IntegerGraph,
    stage: QuantisedLayer,
    units: dict[str, Tensor],
    before: list[Node],
    node_of: dict[str, str],
    rule: str,
    strict: bool,
) -> list[Node]:
    """Weights, shortcuts, their sums and the neurons of a stage."""
    found, nodes = stage.integers(units, graph.highs(), graph.steps), list(before)
    currents = []
    for k, (part, w) in enumerate(zip(stage.parts, found.weights, strict=True)):
        # A projection gets the bits it fills; its unit is the other layer's.
        bits = part.bits if not k else min(part.bits, max(2, int(w.abs().max()).bit_length() + 1))
        nodes.append(_synapse(part, w, link(nodes, part.name, node_of[part.source]), bits))
        currents.append(nodes[-1].name)
    for shortcut, gain in zip(stage.shortcuts, found.gains, strict=True):
        fields = link(nodes, shortcut.name, node_of[shortcut.sources[0]])
        whole = _whole(shortcut.name, "gain", gain)
        nodes.append(shortcut.node(fields, whole))
        currents.append(nodes[-1].name)
    _add(nodes, stage.sums, currents)
    threshold = _whole(stage.name, "threshold", found.threshold)
    nodes.append(
        IF(
            **link(nodes, stage.name, nodes[-1].name),
            threshold=threshold,
            bias=_whole(stage.name, "bias", found.bias),
            v0=_whole(stage.name, "v0", stage.initial(found.threshold, strict)),
            rule=rule,
            strict=strict,
        )
    )
    return nodes[len(before) :]


def _add(nodes: list[Node], sums: Sequence[str], currents: Sequence[str]) -> None:
    """Append the ``sums`` of ``currents``."""
    for name, other in zip(sums, currents[1:], strict=True):
        source = currents[0] if other is currents[1] else nodes[-1].name
        nodes.append(Add(**link(nodes, name, source), other=other))


def link(nodes: list[Node], name: str, source: str | None = None, *others: str) -> dict[str, Any]:
    """The fields ``name`` (made unique), ``source`` (the last one if left out) and, of a second one, ``other`` of a
    node that is to follow."""
    while any(name == node.name for node in nodes) or name == "readout":
        name += "_"
    fields: dict[str, Any] = {"name": name, "source": nodes[-1].name if source is None else source}
    return fields | dict(zip(("other",), others, strict=True)) if others else fields


def _synapse(part: Synapses, weight: Tensor, fields: dict[str, Any], bits: int) -> Node:
    return part.convolution.node(fields, _whole(part.name, "weight", weight), bits)


def _whole(name: str, what: str, values: Tensor) -> np.ndarray:
    array = values.double().numpy()
    # Beyond 2**24 a float32 tensor no longer holds every integer, so training and network could differ.
    if not np.isfinite(array).all() or (np.abs(array) >= 1 << 24).any():
        worst = array.flat[np.abs(np.nan_to_num(array, nan=np.inf)).argmax()]
        raise NetworkError(
            f"{name}: {what} {worst:g} is too large for an integer network; the scales of this layer "
            f"and of the one before it differ too much"
        )
    return array.astype(np.int64)
