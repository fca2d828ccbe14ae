"""The nodes of the settled stages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ...conversion.integers import link
from ...frontends.layers import IMAGE, Passing
from ...ir.network import Network
from ...ir.ops import Add, Input, MapReadout, Node, Readout
from .settling.forms import Form
from .settling.settle import Integers
from .stages import Stage

__all__ = ["network_of"]


def network_of(
    stages: Iterable[Stage | Passing],
    settled: Mapping[str, Integers],
    shape: tuple[int, int, int],
    input_high: int,
    form: Form,
    meta: dict[str, str],
) -> Network:
    """The network of ``stages`` in their order."""
    stages = list(stages)
    outputs = {stage.output for stage in stages if isinstance(stage, Stage)}  # maps have their names for themselves
    nodes: list[Node] = [Input(name="input", shape=shape, high=input_high)]
    node_of = {IMAGE: "input"}  # the node that holds the result of a layer
    for stage in stages:
        if isinstance(stage, Passing):
            name = _inner(stage.name, outputs)
            nodes.append(stage.node(link(nodes, name, *(node_of[source] for source in stage.sources))))
        else:
            _add(nodes, node_of, stage, settled[stage.name], form, outputs)
        node_of[stage.name] = nodes[-1].name
    return Network(tuple(nodes), form.steps, meta)


def _inner(name: str, outputs: Collection[str]) -> str:
    """The name of a node inside the network that is called ``name`` in the model."""
    return f"{name} layer" if name in outputs else name


def _add(
    nodes: list[Node], node_of: Mapping[str, str], stage: Stage, found: Integers, form: Form, outputs: Collection[str]
) -> None:
    """Append the nodes of ``stage``."""
    currents = list[str]()
    for k, (layer, w) in enumerate(zip(stage.terms, found.weights, strict=True)):
        bits = stage.bits[k]
        if k:  # a projection gets the bits it fills
            bits = min(bits, max(2, *(int(x).bit_length() + 1 for x in (w.max(), -w.min() - 1) if x > 0), 2))
        fields = link(nodes, _inner(layer.name, outputs), node_of[layer.sources[0]])
        nodes.append(layer.convolution.node(fields, w.double().numpy(), bits))
        currents.append(nodes[-1].name)
    for layer, gain in zip(stage.shortcuts, found.gains, strict=True):
        fields = link(nodes, _inner(layer.name, outputs), node_of[layer.sources[0]])
        nodes.append(layer.node(fields, gain.numpy()))
        currents.append(nodes[-1].name)
    for name, other in zip(stage.sums, currents[1:], strict=True):
        source = currents[0] if other is currents[1] else nodes[-1].name
        nodes.append(Add(**link(nodes, _inner(name, outputs), source), other=other))
    if stage.output:
        nodes.append(MapReadout(**link(nodes, stage.output, nodes[-1].name), bias=found.bias.numpy()))
        return
    if stage.last:
        nodes.append(Readout(name="readout", source=nodes[-1].name, bias=found.bias.numpy()))
        return
    fields = link(nodes, _inner(stage.name, outputs), nodes[-1].name)
    if found.stairs is not None:
        nodes.append(found.stairs.node(fields))
    else:
        nodes.append(form.node(fields, found.step, found.bias, found.lo, found.hi))
