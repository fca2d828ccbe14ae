"""The way back: an integer network of spikes as layers with real weights, to be trained further.

Integers have no unit, so the first of a chain is chosen: a spike of a layer is worth 1 (its lambda), unless the layer
has an identity shortcut, whose gains say what a spike of the source is worth in it. Then a current of 1 is worth
lambda / threshold, in every channel on its own, and with u, what a value of the source is worth,

    W = w * lambda / (threshold * u)     b = bias * lambda / threshold     lambda = u * sum(threshold) / sum(gain).

``quant.conversion.rounding`` finds the integers again that these came from, gains within their own rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Dataset
from ..frontends.activations import QCFS
from ..frontends.layers import IMAGE, Activation, Flat, Layer, Pool, Repeated, Shortcut, Sum, Weights
from ..ir.addends import addends
from ..ir.netfile import load
from ..ir.network import Network
from ..ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MaxPool,
    NetworkError,
    Node,
    Readout,
    SumPool,
    Synapse,
)
from ..ir.ops.upsample import Upsample
from ..qat.integer_graph import IntegerGraph
from ..qat.stage import QuantisedLayer
from ..recipe import RecipeError
from .rounding import half_threshold

__all__ = ["keep_grid", "keep_membranes", "layers_of", "scale_logits", "tuned_network"]

WAYS_BACK: tuple[type[Node], ...] = (Input, Conv2d, Linear, Gain, Add, IF, SumPool, MaxPool, Upsample, Flatten, Readout)
"""The kinds of nodes that have a way back; a network with any other is refused."""


def tuned_network(file: str, data: Dataset) -> Network:
    """The network in ``file``, which a recipe goes on from with ``data``. Raises RecipeError where it does not fit."""
    try:
        network = load(file)
    except NetworkError as error:
        raise RecipeError(f"Recipe: tune: {error}") from None
    if (network.input.shape, network.input.high) != (data.shape, data.high):
        raise RecipeError(
            f"Recipe: tune: {file}: takes {network.input.shape} pixels 0..{network.input.high}, but {data.name} has "
            f"{data.shape}, 0..{data.high}"
        )
    return network


def layers_of(network: Network) -> list[Layer]:
    """The layers of ``network``, which has IF neurons and one read-out, with real weights, for :class:`IntegerGraph`.

    Initial membranes are left behind: those of the graph are half a threshold (see :func:`keep_membranes`). Raises
    NetworkError, naming the node, for kinds of nodes without a way back, such as a quantiser (Requant), for neurons
    with a lower end, and for shortcuts whose gains are 0 or below.
    """
    if other := next((node for node in network if type(node) not in WAYS_BACK), None):
        kinds = ", ".join(kind.__name__ for kind in WAYS_BACK)
        raise NetworkError(f"{other.name}: a {type(other).__name__} cannot be trained further; supported: {kinds}")
    worth = _worths(network)
    names = {node.name: IMAGE if isinstance(node, Input) else node.name for node in network}
    layers: list[Layer] = []
    for node in network:
        sources = tuple(names[source] for source in node.sources)
        match node:
            case Synapse():
                layers.append(_weights(network, node, sources, worth))
            case Gain():
                after = len(node.gain) - node.offset - network.signals[node.source].shape[0]
                layers.append(Shortcut(node.name, sources, node.stride, node.offset, after))
            case Add():
                layers.append(Sum(node.name, sources))
            case IF():
                if node.low:
                    raise NetworkError(
                        f"{node.name}: neurons with a lower end (low = {node.low}) cannot be trained further; "
                        "supported: low = 0"
                    )
                layers.append(Activation(node.name, sources, QCFS(network.steps, worth[node.name])))
            case Flatten():
                layers.append(Flat(node.name, sources))
            case Upsample():
                layers.append(Repeated(node.name, sources, node.factor))
            case SumPool() | MaxPool():
                kind = "average" if isinstance(node, SumPool) else "max"
                layers.append(Pool(node.name, sources, kind, node.kernel, node.stride, padding=node.padding))
    return layers


def _worths(network: Network) -> dict[str, float]:
    """What a value of every node with values or spikes is worth."""
    worth = dict[str, float]()
    for node in network:
        match node:
            case Input():
                worth[node.name] = 1.0 / node.high
            case IF():
                gains = [g for g in addends(network, node.source) if isinstance(g, Gain)]
                worth[node.name] = 1.0
                if gains:
                    worth[node.name] = math.exp(np.mean([math.log(_spike(network, node, g, worth)) for g in gains]))
            case Flatten() | MaxPool() | Upsample():
                worth[node.name] = worth[node.source]
            case SumPool():
                worth[node.name] = worth[node.source] / node.area
    return worth


def _spike(network: Network, neurons: IF, gain: Gain, worth: dict[str, float]) -> float:
    """What a spike of ``neurons`` is worth by the gains of a shortcut."""
    inside = slice(gain.offset, gain.offset + network.signals[gain.source].shape[0])
    if (least := gain.gain[inside].min()) <= 0:
        raise NetworkError(f"{gain.name}: a gain of {least} cannot be trained further; supported: gains above 0")
    return worth[gain.source] * neurons.threshold[inside].sum() / gain.gain[inside].sum()


def _weights(network: Network, node: Synapse, sources: tuple[str, ...], worth: dict[str, float]) -> Weights:
    taker = next(n for n in network if isinstance(n, IF | Readout) and node in addends(network, n.source))
    if isinstance(taker, IF):
        one = worth[taker.name] / taker.threshold.astype(float)
    else:
        one = np.full(len(taker.bias), worth[node.source])
    channel = (-1, *[1] * (node.weight.ndim - 1))
    weight = torch.from_numpy(node.weight * one.reshape(channel) / worth[node.source]).float()
    first = next(iter(addends(network, taker.source))) is node
    steps = network.steps if isinstance(taker, Readout) else 1
    bias = torch.from_numpy(taker.bias * one / steps if first else np.zeros(len(one))).float()
    if isinstance(node, Conv2d):
        pad = () if node.pad is None else tuple((node.pad * worth[node.source]).tolist())
        return Weights(node.name, sources, weight, bias, node.stride, node.padding, node.groups, node.dilation, pad)
    assert isinstance(node, Linear)
    return Weights(node.name, sources, weight, bias)


def keep_membranes(graph: IntegerGraph, network: Network) -> None:
    """Let the layers of ``graph``, of the layers of ``network``, begin with its initial membranes."""
    for stage in graph.stages:
        assert isinstance(stage, QuantisedLayer)
        if stage.log_threshold is not None:
            node = network[stage.name]
            assert isinstance(node, IF)
            threshold, v0 = (torch.from_numpy(x.astype(np.float32)) for x in (node.threshold, node.v0))
            channel = (-1, *[1] * (v0.ndim - 1))
            beyond = v0 - half_threshold(threshold, node.strict).view(channel)
            stage.charge = nn.Parameter(beyond / threshold.view(channel)) if beyond.any() else None


def keep_grid(graph: IntegerGraph, network: Network, grid: Sequence[int]) -> None:
    """Let the hidden layers of ``graph``, of the layers of ``network``, have weights out of +-``grid`` only, magnitudes
    rising from 0, in the scale that they have now, as Fast-SNN's are; its first and last layer have others. Raises
    NetworkError, naming the layer, where the network has other weights."""
    for stage in list(graph.stages)[1:-1]:
        assert isinstance(stage, QuantisedLayer)
        part, node = stage.parts[0], network[stage.parts[0].name]
        assert isinstance(node, Synapse)
        if others := sorted(set(np.abs(node.weight).flat) - set(grid)):
            allowed = ", ".join(map(str, grid))
            raise NetworkError(f"{node.name}: weights of +-{others[0]} are not of the grid; supported: {allowed}")
        most = torch.from_numpy(np.abs(node.weight).reshape(len(node.weight), -1).max(1)).float()
        part.scale = (part.weight.detach().flatten(1).abs().amax(1) / most.clamp(min=1)).clamp(min=1e-12)
        part.grid = torch.tensor(grid, dtype=torch.float32)
        part.bits = int(grid[-1]).bit_length() + 1


def scale_logits(graph: IntegerGraph, pixels: Tensor, labels: Tensor) -> float:
    """Multiply the last layer by what makes the cross-entropy of ``graph`` on ``pixels`` (N, C, H, W), integers, and
    their ``labels`` the least, and return it: integers know no scale of the logits, but training does (Guo et al., "On
    calibration of modern neural networks", ICML 2017)."""
    graph.eval()
    with torch.no_grad():
        logits = graph(pixels).double()
        factors = torch.logspace(-4, 4, 801, base=10.0, dtype=torch.float64)
        factors = factors / logits.std()
        losses = [torch.nn.functional.cross_entropy(logits * factor, labels).item() for factor in factors]
        best = float(factors[int(np.argmin(losses))])
        last = graph.order[-1]
        assert isinstance(last, QuantisedLayer)
        for parameter in (last.bias, *(part.weight for part in last.parts)):
            parameter.mul_(best)
    return best
