"""A kind of layer that no product file knows: its own file is enough for all methods, and for PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom.quant.conversion.integers import convert
from spikeloom.quant.frontends.layers import Layer, Passing, Shape, UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.call import Call
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.frontends.torch_fx.registry import READERS, reads
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import SumPool
from spikeloom.quant.methods import integernet, qcfs, spiking_resnet
from spikeloom.quant.methods.ptq.algorithm import quantise

SHAPE = (2, 8, 8)


@dataclass(frozen=True)
class Mass(Passing):
    """The sum of the magnitudes of windows of 2 x 2: behind a ReLU the sum."""

    @property
    def adds(self) -> bool:
        return True

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return F.lp_pool2d(x[0], 1, 2)

    def integers(self, x: Sequence[Tensor]) -> Tensor:
        return F.avg_pool2d(x[0], 2, divisor_override=1)

    def high(self, highs: Sequence[int]) -> int:
        return 4 * highs[0]

    def offset(self, offsets: Sequence[Tensor], cells: int = 1) -> Tensor:
        return 4 * offsets[0]

    def shape(self, before: Sequence[Shape]) -> Shape:
        c, h, w = before[0]
        return c, h // 2, w // 2

    def node(self, fields: dict[str, Any]) -> SumPool:
        return SumPool(**fields, kernel=2, stride=2)


@pytest.fixture
def known() -> Iterator[None]:
    """``nn.LPPool2d(1, 2)`` is read as :class:`Mass`."""

    @reads(nn.LPPool2d)
    def read(call: Call) -> None:
        if (call.module.norm_type, call.module.kernel_size, call.module.stride) != (1, 2, None):
            call.refuse("another power", "LPPool2d(1, 2)")
        call.put(Mass(call.name, (call.source,)))

    yield
    del READERS[nn.LPPool2d]


def model(pool: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), pool),
        *(nn.Flatten(), nn.Linear(48, 4)),
    )


def pixels(count: int = 12) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def qcfs_network(net: nn.Module, rule: str) -> Network:
    prepared = qcfs.prepare(net, 4)
    return convert(prepared, shape=SHAPE, input_high=255, steps=4, weight_bits=6, rule=rule)


def integer_net(net: nn.Module) -> Network:
    torch.manual_seed(2)
    made = integernet.prepare(net, 4, SHAPE)
    made.train()
    made(torch.from_numpy(pixels()).float())
    return integernet.convert(made.eval(), shape=SHAPE)


def quantised(net: nn.Module, form: Any) -> Network:
    settings: dict[str, Any] = {"shape": SHAPE, "input_high": 255, "mean": [0.4, 0.5], "std": [0.2, 0.3]}
    return quantise(trace(net.eval(), SHAPE), pixels(), form=form, **settings).network


WAYS = {
    "qcfs causal": lambda net: qcfs_network(net, "causal"),
    "qcfs lossless": lambda net: qcfs_network(net, "lossless"),
    "integernet": integer_net,
    "ptq values": lambda net: quantised(net, "values"),
    "ptq spikes": lambda net: quantised(net, "spikes"),
    "spiking_resnet": lambda net: spiking_resnet.convert(net, pixels(), shape=SHAPE, input_high=255, steps=8),
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("way", WAYS)
def test_a_new_layer_is_as_good_as_an_old_one(way: str) -> None:
    """A pool that does not divide is the same sum, which has been there for long."""
    own, old = (WAYS[way](model(pool)) for pool in (nn.LPPool2d(1, 2), nn.AvgPool2d(2, divisor_override=1)))
    assert own.hash == old.hash and any(isinstance(node, SumPool) for node in own)


@pytest.mark.usefixtures("known")
def test_it_is_compared_with_the_model_and_its_refusals_name_it() -> None:
    layers: list[Layer] = trace(model(nn.LPPool2d(1, 2)), SHAPE)
    assert [type(layer).__name__ for layer in layers] == ["Weights", "Activation", "Mass", "Flat", "Weights"]
    with pytest.raises(UnsupportedLayer, match=r"^3: another power is not supported; supported: LPPool2d\(1, 2\)"):
        trace(model(nn.LPPool2d(2, 2)), SHAPE)

    class Wrong(Mass):
        def value(self, x: Sequence[Tensor]) -> Tensor:
            return 2 * super().value(x)

    READERS[nn.LPPool2d] = lambda call: call.put(Wrong(call.name, (call.source,)))
    with pytest.raises(UnsupportedLayer, match="^3: "):
        trace(model(nn.LPPool2d(1, 2)), SHAPE)


def test_nobody_knows_it_without_its_file() -> None:
    with pytest.raises(UnsupportedLayer, match="^3: LPPool2d is not supported; supported: Conv2d, "):
        trace(model(nn.LPPool2d(1, 2)), SHAPE)


def test_a_call_has_one_reader() -> None:
    with pytest.raises(TypeError, match="has two readers, in .*layers.weights and .*test_new_layer"):
        reads(nn.Conv2d)(lambda call: None)
