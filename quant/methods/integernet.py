"""IntegerNet: a network of n-bit integers, trained as such (Guo, Cui, Wang, arXiv 2106.00127).

A layer has integer weights w, no bias, and a shift-based batch norm (SBN) as its only activation:

    w = clamp(round(shadow), -(2^(n-1) - 1), 2^(n-1) - 1)           shadow: the trained floats, on the scale of integers
    bias = round(mean)    shift = round(log2(std)) + (3 if signed else 2) - n
    y = clamp(floor((a - bias) / 2^shift), lo, hi)                  a: the sums of the layer, all integers

with rounding half to even, one bias and shift a channel, 0..2^n - 1 behind hidden layers (the clamp at 0 is the ReLU)
and the signed range of the weights behind the last, whose y are the logits. In training mean and std are those of the
batch, and gradients pass round and floor unchanged, through mean and shift as well; in evaluation they are the running
averages, and the module computes the integer network to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import Activation, Flat, Pool, UnsupportedLayer, Weights, trace
from ..integers import link
from ..network import Network
from ..nodes import Conv2d, Flatten, Input, Linear, MaxPool, NetworkError, Node, Readout, Requant
from ..rounding import floor_ste, round_ste
from ..shift_norm import ShiftNorm, shift_batch_norm

__all__ = ["SBN", "IntegerLayer", "IntegerNet", "convert", "prepare"]

MOMENTUM = 0.1
"""The share of a new batch in the running averages."""

LEAST_SHIFT = -8
"""The smallest shift of a Requant; in training a smaller std (0 in a dead channel) counts as the one of this shift."""


class SBN(nn.Module):
    """Shift-based batch norm and quantiser, see the head of this file; channels are the second axis.

    Parameters: ``channels``; ``bits``, n, 2..8; ``signed``, the range of the result; ``name``, for messages.
    Buffers: ``running_mean`` and ``running_std`` (C,), averages of the batches' mean and unbiased std (of the std
    itself, not of the variance); ``batches``, how many there were, of which the first sets the averages.
    """

    running_mean: Tensor
    running_std: Tensor
    batches: Tensor

    def __init__(self, channels: int, bits: int, *, signed: bool = False, name: str = "SBN") -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise NetworkError(f"{name}: bits must be in 2..8, not {bits}")
        self.bits, self.signed, self.name = bits, signed, name
        self.offset = (3 if signed else 2) - bits
        self.high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
        self.low = -self.high if signed else 0
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_std", torch.ones(channels))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, a: Tensor, over: Tensor | None = None) -> Tensor:
        """Quantise the sums ``a`` (N, C) or (N, C, H, W), in training by mean and std of ``over`` (None: ``a``)."""
        channel = (-1, *[1] * (a.ndim - 2))
        if not self.training:
            bias, shift, *_ = (torch.as_tensor(v, device=a.device) for v in self.integers())
            y = a.long() - bias.view(channel)
            y = (y << (-shift).clamp(min=0).view(channel)) >> shift.clamp(min=0).view(channel)
            return y.clamp(self.low, self.high).to(a.dtype)
        over = a if over is None else over
        if over.numel() < 2 * over.shape[1]:
            raise ValueError(f"{self.name}: training needs two values a channel, not one of shape {tuple(over.shape)}")
        std, mean = torch.std_mean(over, (0, *range(2, over.ndim)))
        self._average(mean.detach(), std.detach())
        bias = round_ste(mean)
        shift = round_ste(std.clamp(min=2.0 ** (LEAST_SHIFT - self.offset)).log2()) + self.offset
        y = (a - bias.view(channel)) * torch.exp2(-shift).view(channel)
        return floor_ste(y).clamp(self.low, self.high)

    def _average(self, mean: Tensor, std: Tensor) -> None:
        share = MOMENTUM if self.batches.item() else 1.0
        self.running_mean.mul_(1 - share).add_(mean, alpha=share)
        self.running_std.mul_(1 - share).add_(std, alpha=share)
        self.batches += 1

    def integers(self) -> ShiftNorm:
        """What evaluation computes with. Raises NetworkError, naming layer and channel, for a dead channel and NaN."""
        if not self.batches.item():
            raise NetworkError(f"{self.name}: has seen no batch in training, so it has neither a mean nor a std")
        mean, std = (buffer.detach().cpu().double().numpy() for buffer in (self.running_mean, self.running_std))
        return shift_batch_norm(mean, std, self.bits, self.signed, name=self.name)

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return f"{len(self.running_mean)}, bits={self.bits}, signed={self.signed}"


class IntegerLayer(nn.Module):
    """A convolution or linear layer of integer weights, its SBN, and the max-pool behind it, if any.

    Attributes: ``name``; ``bits``; ``stride``, ``padding``; ``shadow``, the parameter, drawn from a normal
    distribution of std 2^(n-3), clamped; ``norm``, the SBN; ``pool``.
    """

    def __init__(self, layer: Weights, bits: int, neuron: str, *, signed: bool) -> None:
        super().__init__()
        self.pool: Pool | None = None
        self.norm = SBN(len(layer.weight), bits, signed=signed, name=neuron)
        self.name, self.bits, self.stride, self.padding = layer.name, bits, layer.stride, layer.padding
        self.top = (1 << (bits - 1)) - 1
        self.shadow = nn.Parameter((torch.randn(layer.weight.shape) * 2.0 ** (bits - 3)).clamp(-self.top, self.top))

    @property
    def weight(self) -> Tensor:
        """The integers w."""
        return round_ste(self.shadow).clamp(-self.top, self.top)

    def forward(self, x: Tensor) -> Tensor:
        """Values to values. The pool comes before the quantiser, a rising function, which then has less to do."""
        weight = self.weight.to(x.dtype)
        if weight.ndim == 2:
            return self.norm(F.linear(x, weight))
        sums = F.conv2d(x, weight, stride=self.stride, padding=self.padding)
        return self.norm(sums if self.pool is None else _max_pool(sums, self.pool), sums)


def _max_pool(x: Tensor, pool: Pool) -> Tensor:
    return F.max_pool2d(x, pool.kernel, pool.stride)


class IntegerNet(nn.Module):
    """A chain of integer layers, max-pools and flattenings; :func:`prepare` makes one.

    Forward: pixels as integers (N, C, H, W) to logits (N, classes), integers of n bits. In evaluation the sums are
    computed in float64, in which those of 8-bit integers are exact.
    """

    def __init__(self, order: list[IntegerLayer | Pool | Flat]) -> None:
        super().__init__()
        self.order = order
        self.layers = nn.ModuleDict({x.name.replace(".", "_"): x for x in order if isinstance(x, IntegerLayer)})

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels to logits; see the class."""
        x = pixels.float() if self.training else pixels.double()
        x = x.contiguous(memory_format=torch.channels_last)  # half the time
        for layer in self.order:
            match layer:
                case IntegerLayer():
                    x = layer(x)
                case Pool():
                    x = _max_pool(x, layer)
                case Flat():
                    x = x.flatten(1)
        return x


def prepare(model: nn.Module, bits: int) -> IntegerNet:
    """The trainable integer form of ``model``, with new weights and activations of ``bits`` bits.

    ``model`` is a chain of Conv2d or Linear, batch norm (or none), ReLU, MaxPool2d, Flatten, and a last Linear. Its
    weights, biases and batch norms are left behind: the shift-based ones take their place.
    Raises UnsupportedLayer, naming the module, for anything else, and NetworkError for ``bits`` outside 2..8.
    """
    layers = trace(model)
    for before, layer in zip(["", *(a.name for a in layers)], layers, strict=False):
        if layer.sources != (before,):
            raise UnsupportedLayer(
                f"{layer.name}: takes {' and '.join(s or 'the image' for s in layer.sources)}, but the layer before it "
                f"is {before or 'missing'}; supported with IntegerNet: a chain of layers, each fed by the one before it"
            )
    order: list[IntegerLayer | Pool | Flat] = []
    for k, layer in enumerate(layers):
        match layer:
            case Weights():
                behind = layers[k + 1] if k + 1 < len(layers) else None
                neuron = behind.name if behind else f"{layer.name}_quant"
                order.append(IntegerLayer(layer, bits, neuron, signed=behind is None))
            case Activation() if layer.qcfs is not None:
                raise UnsupportedLayer(f"{layer.name}: QCFS is not supported with IntegerNet; supported: ReLU")
            case Pool() if layer.kind != "max":
                raise UnsupportedLayer(
                    f"{layer.name}: an average pool is not supported with IntegerNet; supported: MaxPool2d"
                )
            case Pool() if order and isinstance(before := order[-1], IntegerLayer) and before.pool is None:
                before.pool = layer
            case Pool() | Flat():
                order.append(layer)
    return IntegerNet(order)


def convert(
    model: IntegerNet, *, shape: tuple[int, int, int], input_high: int = 255, meta: dict[str, str] | None = None
) -> Network:
    """The integer network, T = 1, that ``model`` computes in evaluation on pixels 0..``input_high`` of ``shape``.

    Raises NetworkError, naming the layer: a dead channel, NaN, no training at all, a shift beyond -8..30.
    """
    nodes: list[Node] = [Input(name="input", shape=shape, high=input_high)]
    for layer in model.order:
        match layer:
            case IntegerLayer():
                weight = layer.weight.detach().cpu().double().numpy()
                fields: dict[str, Any] = link(nodes, layer.name) | {"weight": weight, "weight_bits": layer.bits}
                if weight.ndim == 2:
                    nodes.append(Linear(**fields))
                else:
                    nodes.append(Conv2d(**fields, stride=layer.stride, padding=layer.padding))
                nodes.append(Requant(**link(nodes, layer.norm.name), **layer.norm.integers()._asdict()))
                if layer.pool:
                    nodes.append(_pool_node(nodes, layer.pool))
            case Pool():
                nodes.append(_pool_node(nodes, layer))
            case Flat():
                nodes.append(Flatten(**link(nodes, layer.name)))
    nodes.append(Readout(name="readout", source=nodes[-1].name, bias=np.zeros(len(weight), np.int64)))
    return Network(nodes=tuple(nodes), steps=1, meta=meta or {})


def _pool_node(nodes: list[Node], pool: Pool) -> MaxPool:
    return MaxPool(**link(nodes, pool.name), kernel=pool.kernel, stride=pool.stride)
