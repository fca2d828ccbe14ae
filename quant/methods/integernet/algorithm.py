"""IntegerNet: a network of n-bit integers, trained as such (Guo, Cui, Wang, arXiv 2106.00127).

A layer has integer weights w, no bias, and a shift-based batch norm (SBN) as its only activation:

    w = clamp(round(shadow), -(2^(n-1) - 1), 2^(n-1) - 1)           shadow: the trained floats, on the scale of integers
    bias = round(mean)    shift = round(log2(std)) + (3 if signed else 2) - n
    y = clamp(floor((a - bias) / 2^shift), lo, hi)                  a: the sums of the layer, all integers

with rounding half to even, one bias and shift a channel, 0..2^n - 1 behind hidden layers (the clamp at 0 is the ReLU)
and the signed range of the weights behind the last, whose y are the logits. In training mean and std are those of the
batch, and gradients pass round and floor unchanged, through mean and shift as well; in evaluation they are the running
averages, and the module computes the integer network to the last bit.

Not in the paper, and only where asked for: shortcuts without weights, whose values are multiplied by an integer a
channel (:class:`IntegerGains`), a learned beta of the SBN, and a start from trained floats (``methods.integer_start``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...conversion.integers import link
from ...conversion.rounding import round_ste
from ...frontends.layers import IMAGE, Activation, Passing, Shortcut, UnsupportedLayer, Weights, refuse
from ...frontends.structure import terms_of
from ...frontends.torch_fx.graph import trace
from ...ir.network import Network
from ...ir.ops import Add, Input, Node, Readout, Requant
from ...qat.stage import inside, shortcut_currents
from ...training.convolution import conv2d
from .sbn import SBN

__all__ = ["GAIN_BITS", "SBN", "IntegerGains", "IntegerLayer", "IntegerNet", "convert", "prepare"]

GAIN_BITS = 8
"""Of the gains of shortcuts without weights, the sign included."""


class IntegerWeights(nn.Module):
    """The integer weights of a convolution or linear layer.

    Attributes: ``name``; ``source``; ``bits``; ``convolution``; ``shadow``, the parameter, drawn from a normal
    distribution of std 2^(n-3), clamped.
    """

    def __init__(self, layer: Weights, bits: int) -> None:
        super().__init__()
        self.name, self.source, self.bits = layer.name, layer.sources[0], bits
        self.convolution = layer.convolution
        self.top = (1 << (bits - 1)) - 1
        self.shadow = nn.Parameter((torch.randn(layer.weight.shape) * 2.0 ** (bits - 3)).clamp(-self.top, self.top))

    @property
    def weight(self) -> Tensor:
        """The integers w."""
        return round_ste(self.shadow).clamp(-self.top, self.top)

    def sums(self, x: Tensor) -> Tensor:
        """Values to sums."""
        weight = self.weight.to(x.dtype)
        return self.convolution(x, weight, by=conv2d)


class IntegerGains(nn.Module):
    """The integer gains, one a channel, of a shortcut without weights: values become sums by them alone.

    Attributes: ``shortcut``; ``shadow`` (Co,), the parameter: at first all are ``gain``, clamped.
    """

    def __init__(self, shortcut: Shortcut, channels: int, gain: float) -> None:
        super().__init__()
        self.shortcut, self.name, self.source = shortcut, shortcut.name, shortcut.sources[0]
        self.top = (1 << (GAIN_BITS - 1)) - 1
        self.shadow = nn.Parameter(torch.full((channels,), gain).clamp(max=self.top))

    @property
    def gain(self) -> Tensor:
        """The integers, 0 where the shortcut has no channel."""
        return inside(self.shortcut, round_ste(self.shadow).clamp(-self.top, self.top))

    def sums(self, x: Tensor) -> Tensor:
        """Values to sums."""
        return shortcut_currents(self.shortcut, x, self.gain.to(x.dtype))


class IntegerLayer(IntegerWeights):
    """Integer weights, those and shortcuts that are added to them, if any, the SBN of the sum, and the max-pool behind
    it, if any.

    Attributes: ``others``, further weights (the shortcut of a residual block), ``gains``, shortcuts without weights,
    and ``additions``, the names of the sums with them; ``norm``, the SBN; ``pool``.
    """

    def __init__(
        self,
        weights: Sequence[Weights],
        shortcuts: Sequence[Shortcut],
        additions: Sequence[str],
        bits: int,
        norm: SBN,
    ) -> None:
        super().__init__(weights[0], bits)
        self.pool: Passing | None = None
        self.norm = norm
        self.others = nn.ModuleList(IntegerWeights(layer, bits) for layer in weights[1:])
        channels, *fan_in = weights[0].weight.shape
        even = 2.0 ** (bits - 3) * math.prod(fan_in) ** 0.5  # as much as the weights, of values of one size, at first
        self.gains = nn.ModuleList(IntegerGains(shortcut, channels, even) for shortcut in shortcuts)
        self.additions = list(additions)

    @property
    def parts(self) -> list[IntegerWeights]:
        """All weights, its own first."""
        return [self, *(other for other in self.others if isinstance(other, IntegerWeights))]

    @property
    def shortcuts(self) -> list[IntegerGains]:
        """``gains``, for the type checker."""
        return [shortcut for shortcut in self.gains if isinstance(shortcut, IntegerGains)]

    @property
    def result(self) -> str:
        """The name of what it gives."""
        return self.pool.name if self.pool else self.norm.name

    def forward(self, found: Mapping[str, Tensor]) -> Tensor:
        """Values to values. The pool comes before the quantiser, a rising function, which then has less to do."""
        sums = self.total(found)
        return self.norm(sums if self.pool is None else self.pool.integers([sums]), sums)

    def total(self, found: Mapping[str, Tensor]) -> Tensor:
        """Values to the sums that the SBN sees."""
        sums = self.sums(found[self.source])
        for other in (*self.parts[1:], *self.shortcuts):
            sums = sums + other.sums(found[other.source])
        return sums


class IntegerNet(nn.Module):
    """A graph of integer layers, pools and flattenings; :func:`prepare` makes one.

    Forward: pixels as integers (N, C, H, W) to logits (N, classes), integers of n bits. In evaluation the sums are
    computed in float64, in which those of 8-bit integers are exact.
    """

    takes_integers = True

    def __init__(self, order: list[IntegerLayer | Passing]) -> None:
        super().__init__()
        self.order = order
        self.layers = nn.ModuleDict({x.name.replace(".", "_"): x for x in order if isinstance(x, IntegerLayer)})

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels to logits; see the class."""
        x = pixels.float() if self.training else pixels.double()
        x = x.contiguous(memory_format=torch.channels_last)  # half the time
        found = {IMAGE: x}
        for layer in self.order:
            match layer:
                case IntegerLayer():
                    x = found[layer.result] = layer(found)
                case Passing():
                    x = found[layer.name] = layer.integers([found[source] for source in layer.sources])
        return x


def prepare(
    model: nn.Module, bits: int, shape: tuple[int, int, int] | None = None, *, beta: bool = False
) -> IntegerNet:
    """The trainable integer form of ``model``, with new weights and activations of ``bits`` bits.

    ``model`` is made of Conv2d or Linear, batch norm (or none), sums of such branches (the authors' residual block: its
    shortcut is a 1x1 convolution, and there is one quantiser, behind the sum; shortcuts without weights get a gain a
    channel), ReLU or a clamp from 0 on, pools, Flatten, and a last Linear. ``beta`` gives every SBN a learned one.
    Its weights, biases and batch norms are left behind: the shift-based ones take their place, which also do the
    division of an average. ``shape`` (C, H, W) of the image is needed where a pool covers the whole map.
    Raises UnsupportedLayer, naming the module, for anything else, and NetworkError for ``bits`` outside 2..8.
    """
    layers = trace(model, shape)
    kinds = {layer.name: layer for layer in layers}
    taken = [source for layer in layers for source in layer.sources]
    order: list[IntegerLayer | Passing] = []
    for layer in layers:
        last = layer is layers[-1]
        if isinstance(layer, Activation):
            layer.check_unsigned("IntegerNet")
            if layer.qcfs is not None:
                raise UnsupportedLayer(f"{layer.name}: QCFS is not supported with IntegerNet; supported: ReLU")
        if isinstance(layer, Activation) or last:
            weights, shortcuts, additions = terms_of(layer.name if last else layer.sources[0], kinds)
            if not weights:
                refuse(layer.name, "a sum of shortcuts alone", "a convolution or linear layer in every sum")
            name = f"{layer.name}_quant" if last else layer.name
            norm = SBN(len(weights[0].weight), bits, signed=last, name=name, moved=beta)
            order.append(IntegerLayer(weights, shortcuts, additions, bits, norm))
        elif isinstance(layer, Passing):
            before = order[-1] if order else None
            source = layer.sources[0]
            if (
                layer.rising
                and isinstance(before, IntegerLayer)
                and before.pool is None
                and source == before.result
                and taken.count(source) == 1
            ):
                before.pool = layer
            else:
                order.append(layer)
    return IntegerNet(order)


def convert(
    model: IntegerNet, *, shape: tuple[int, int, int], input_high: int = 255, meta: dict[str, str] | None = None
) -> Network:
    """The integer network, T = 1, that ``model`` computes in evaluation on pixels 0..``input_high`` of ``shape``.

    Raises NetworkError, naming the layer: a dead channel, NaN, no training at all, a shift beyond -8..30.
    """
    nodes: list[Node] = [Input(name="input", shape=shape, high=input_high)]
    node_of = {IMAGE: "input"}  # the node that holds a result
    for layer in model.order:
        match layer:
            case IntegerLayer():
                nodes += _layer_nodes(layer, nodes, node_of)
                node_of[layer.result] = nodes[-1].name
            case Passing():
                nodes.append(layer.node(link(nodes, layer.name, *(node_of[source] for source in layer.sources))))
                node_of[layer.name] = nodes[-1].name
    last = model.order[-1]
    assert isinstance(last, IntegerLayer)
    nodes.append(Readout(name="readout", source=nodes[-1].name, bias=np.zeros(len(last.shadow), np.int64)))
    return Network(nodes=tuple(nodes), steps=1, meta=meta or {})


def _layer_nodes(layer: IntegerLayer, before: list[Node], node_of: Mapping[str, str]) -> list[Node]:
    nodes, currents = list(before), []
    for part in layer.parts:
        weight = part.weight.detach().cpu().double().numpy()
        nodes.append(part.convolution.node(link(nodes, part.name, node_of[part.source]), weight, part.bits))
        currents.append(nodes[-1].name)
    for skip in layer.shortcuts:
        gain = skip.gain.detach().cpu().double().numpy()
        nodes.append(skip.shortcut.node(link(nodes, skip.name, node_of[skip.source]), gain))
        currents.append(nodes[-1].name)
    for name, other in zip(layer.additions, currents[1:], strict=True):
        nodes.append(Add(**link(nodes, name, currents[0]), other=other))
        currents[0] = nodes[-1].name
    nodes.append(Requant(**link(nodes, layer.norm.name), **layer.norm.integers()._asdict()))
    if layer.pool:
        nodes.append(layer.pool.node(link(nodes, layer.pool.name)))
    return nodes[len(before) :]

