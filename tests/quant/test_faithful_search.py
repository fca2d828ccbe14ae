"""Random small networks, of supported forms and of others: each is refused, or the golden model gives what it gives.

Weights are whole multiples of 2^-7 up to 127 in every channel, pixels of 1/128, and thresholds 1, so that conversion
to 8 bits rounds nothing, and the integers, by the rule ``lossless``, must give the very logits of the network with
QCFS activations, run as it is written.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.frontends.torch_fx.graph import UnsupportedLayer
from spikeloom.quant.ir.ops import NetworkError, Synapse
from spikeloom.quant.methods.qcfs.algorithm import QCFS, prepare

SIDE, LEVELS, CASES = 4, 4, 120


class Act(nn.Module):
    """The reference's activation: a QCFS that writes over what it takes where the ReLU would."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.qcfs, self.inplace = QCFS(LEVELS, 1.0), inplace

    def forward(self, x: Tensor) -> Tensor:
        return x.copy_(self.qcfs(x)) if self.inplace else self.qcfs(x)


OPERATIONS = (*("conv", "block", "block") * 3, "max", "average", "drop", "same", "keep", "keep", "odd")


class Random(nn.Module):
    """A forward of a few steps drawn from ``OPERATIONS``, as different hands would write them."""

    def __init__(self, seed: int, reference: bool) -> None:
        super().__init__()
        draw = random.Random(seed)
        torch.manual_seed(seed)
        self.reference, self.steps = reference, list[tuple[Any, ...]]()
        channels, side = 2, SIDE
        kept = channels, side
        for k in range(draw.randint(1, 4)):
            kind = draw.choice(OPERATIONS)
            if k == 0 and kind in ("max", "odd"):
                kind = "conv"
            way, inplace = draw.randrange(4), draw.random() < 0.4
            if kind in ("conv", "block"):
                more = draw.choice((2, 3)) if kind == "conv" else channels
                size, stride = draw.choice(((1, 1), (3, 1), (3, 2))) if kind == "conv" and side > 1 else (1, 1)
                conv = nn.Conv2d(channels, more, size, stride, size // 2, bias=draw.random() < 0.5)
                channels, side = more, (side - 1) // stride + 1
                self.add_module(f"conv{k}", whole(conv))
                self.add_module(f"act{k}", Act(inplace) if reference else nn.ReLU(inplace))
                self.add_module(f"again{k}", Act(False) if reference else nn.ReLU())
                if draw.random() < 0.08:
                    conv.register_forward_hook(lambda *args: args[2] * 2)
                if draw.random() < 0.08:
                    nn.utils.parametrize.register_parametrization(conv, "weight", Turned())
            elif kind in ("max", "average"):
                if side < 2:
                    continue
                side //= 2
                self.add_module(f"pool{k}", (nn.MaxPool2d if kind == "max" else nn.AvgPool2d)(2))
            if kind == "block" and kept != (channels, side):
                way |= 1
            kept = (channels, side) if kind == "keep" else kept
            self.steps.append((kind, k, way, inplace))
        self.dropout, self.way = nn.Dropout(0.5), draw.randrange(8)
        self.fc = whole(nn.Linear(channels * side * side, 3))

    def forward(self, x: Tensor) -> Tensor:
        kept = x
        for kind, k, way, inplace in self.steps:
            x, kept = getattr(self, kind)(x, kept, k, way, inplace), x if kind == "keep" else kept
        x = x.flatten(1) if self.way else torch.flatten(x, start_dim=1)
        x = self.fc(x)
        if self.reference:
            return x
        return F.softmax(x, 0) if self.way == 1 else F.log_softmax(x, 1) if self.way == 2 else x

    def activation(self, k: int, x: Tensor, way: int, inplace: bool) -> Tensor:
        act = getattr(self, f"act{k}")
        if self.reference or way < 2:
            return act(x)
        return F.relu(x, inplace=inplace) if way == 2 else x.relu_() if inplace else x.relu()

    def conv(self, x: Tensor, kept: Tensor, k: int, way: int, inplace: bool) -> Tensor:
        y = getattr(self, f"conv{k}")(x)
        z = self.activation(k, y, way, inplace)
        return y if inplace and way % 2 else z

    def block(self, x: Tensor, kept: Tensor, k: int, way: int, inplace: bool) -> Tensor:
        y = getattr(self, f"conv{k}")(x)
        other = x if way % 2 else kept
        if inplace:
            t = y if way < 3 else other
            t += other if way < 3 else y
        else:
            t = y + other if way < 2 else torch.add(y, other) if way == 2 else y.add(other, alpha=1)
        return getattr(self, f"again{k}")(t)

    def max(self, x: Tensor, kept: Tensor, k: int, way: int, inplace: bool) -> Tensor:
        if way < 2:
            return getattr(self, f"pool{k}")(x)
        return F.max_pool2d(x, 2) if way == 2 else F.max_pool2d(x, kernel_size=2, stride=2, ceil_mode=inplace)

    def average(self, x: Tensor, kept: Tensor, k: int, way: int, inplace: bool) -> Tensor:
        if way < 2:
            return getattr(self, f"pool{k}")(x)
        return F.avg_pool2d(x, 2, divisor_override=(1, 2, 8)[k % 3]) if inplace else F.avg_pool2d(x, (2, 2), 2)

    def drop(self, x: Tensor, kept: Tensor, k: int, way: int, inplace: bool) -> Tensor:
        return self.dropout(x)

    def same(self, x: Tensor, kept: Tensor, k: int, way: int, inplace: bool) -> Tensor:
        return F.dropout(x, 0.5, self.training, inplace) if way < 3 else F.dropout(x)

    def keep(self, x: Tensor, kept: Tensor, k: int, way: int, inplace: bool) -> Tensor:
        return x

    def odd(self, x: Tensor, kept: Tensor, k: int, way: int, inplace: bool) -> Tensor:
        return (x * 2, x.add(x, alpha=2), x.clamp(0, 1), x[:, :, :, ::1])[way]


class Turned(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return -w


def whole(layer: Any) -> Any:
    """Give ``layer`` weights that 8 bits hold exactly."""
    weight = torch.randint(-60, 80, layer.weight.shape).float()
    weight.flatten(1)[:, 0] = 127
    layer.weight.data = weight / 128
    if layer.bias is not None:
        layer.bias.data = torch.randint(-64, 64, layer.bias.shape).float() / 128
    return layer


def test_random_networks_are_refused_or_give_what_they_give() -> None:
    converted, rounded, reasons = 0, 0, set[str]()
    for seed in range(CASES):
        pixels = np.random.default_rng(seed).integers(0, 129, (6, 2, SIDE, SIDE))
        with torch.no_grad():
            want = Random(seed, True).eval()(torch.from_numpy(pixels).float() / 128).double().numpy()
        try:
            model = prepare(Random(seed, False), LEVELS, threshold=1.0, shape=(2, SIDE, SIDE))
            network = api.convert(
                model, method="qcfs", shape=(2, SIDE, SIDE), input_high=128, steps=LEVELS, weight_bits=8,
                rule="lossless",
            )
        except (UnsupportedLayer, NetworkError) as error:
            reasons.add(str(error).partition(": ")[2][:20])
            continue
        if any(isinstance(n, Synapse) and n.source == "input" and n.name.endswith("(2)") for n in network):
            rounded += 1  # a convolution of the image is repeated beside spikes, in the unit of those
            continue
        converted += 1
        got = golden.run(network, pixels).logits
        at = np.unravel_index(np.abs(want).argmax(), want.shape)
        unit = want[at] / got[at]
        assert unit > 0 and np.allclose(got * unit, want, atol=1e-5), f"seed {seed}: {got * unit} != {want} (expected)"
    assert rounded < CASES // 20, f"{rounded} of {CASES} were not compared"
    assert converted > CASES // 4 and len(reasons) > 5, f"{converted} converted; refused for {sorted(reasons)}"
