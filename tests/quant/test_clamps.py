"""Clamps in place of ReLUs in all methods: ReLU6 becomes what a ReLU does, what gives values below 0 is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import convert as to_integers
from spikeloom.quant.frontends.activations import QCFS
from spikeloom.quant.frontends.layers import Activation, UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.methods.conversion import ConversionError
from spikeloom.quant.methods.dual_phase import algorithm as dual_phase
from spikeloom.quant.methods.fast_snn import algorithm as fast_snn
from spikeloom.quant.methods.integernet import algorithm as integernet
from spikeloom.quant.methods.qcfs import algorithm as qcfs
from spikeloom.quant.methods.spiking_resnet import algorithm as spiking_resnet

SHAPE = (1, 4, 4)
HIGH = 15


class Small(nn.Module):
    """A convolution and two linear layers, with an activation behind each but the last."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.hidden, self.answer = nn.Conv2d(1, 3, 3), nn.Linear(12, 5), nn.Linear(5, 3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x)).flatten(1)
        return self.answer(self.act(self.hidden(x)))


def small(act: Callable[[Tensor], Tensor], gain: float = 1.0) -> Small:
    torch.manual_seed(0)
    model = Small(act).eval()
    for parameter in model.conv.parameters():
        parameter.data *= gain
    return model


class Lower(nn.ReLU6):
    """It looks like a ReLU6, and clamps at 5."""

    def forward(self, input: Tensor) -> Tensor:
        return input.clamp(0, 5)


CLAMPS: list[tuple[str, Callable[[Tensor], Tensor], float]] = [
    ("module", nn.ReLU6(), 6),
    ("in place", nn.ReLU6(inplace=True), 6),
    ("function", F.relu6, 6),
    ("hardtanh", lambda x: F.hardtanh(x, 0.0, 2.0), 2),
    ("hardtanh_", lambda x: F.hardtanh_(x, 0.0, 2.0), 2),
    ("clamp", lambda x: x.clamp(0, 3), 3),
    ("clamp_", lambda x: x.clamp_(min=0, max=3), 3),
    ("torch.clip", lambda x: torch.clip(x, 0, 3), 3),
]


@pytest.mark.parametrize(("name", "act", "high"), CLAMPS, ids=[name for name, *_ in CLAMPS])
def test_a_clamp_from_0_on_gets_a_trained_activation(name: str, act: Any, high: float) -> None:
    model, x = small(act, gain=30), torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(0))
    prepared = qcfs.prepare(model, levels=4, shape=SHAPE)
    thresholds = [module.threshold.item() for module in prepared.modules() if isinstance(module, QCFS)]
    assert thresholds == pytest.approx([high, high])
    qcfs.calibrate(prepared, x)
    thresholds = [module.threshold.item() for module in prepared.modules() if isinstance(module, QCFS)]
    assert thresholds[0] == pytest.approx(high) and 0 < thresholds[1] <= high * 1.0001
    assert (model(x) - prepared(x)).abs().max() < 0.5 * model(x).abs().max()
    network = to_integers(prepared.eval(), shape=SHAPE, input_high=HIGH, steps=4, weight_bits=8)
    assert golden.run(network, np.zeros((1, *SHAPE), np.int64)).logits.shape == (1, 3)


def test_a_relu_has_no_upper_end() -> None:
    model = small(nn.ReLU(), gain=30)
    prepared = qcfs.prepare(model, levels=4, shape=SHAPE)
    qcfs.calibrate(prepared, torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(0)))
    assert max(module.threshold.item() for module in prepared.modules() if isinstance(module, QCFS)) > 6


def test_other_methods_take_a_relu6() -> None:
    model = small(nn.ReLU6(), gain=30)
    for found in (dual_phase.prepare(model, 4, shape=SHAPE), fast_snn.prepare(model, 4, shape=SHAPE)):
        assert not any(isinstance(module, nn.ReLU6) for module in found.modules())
    assert len(integernet.prepare(model, 4, SHAPE).order) == 4
    images = torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(0))
    scaled = spiking_resnet.normalised(trace(model, SHAPE), images)
    first = next(layer for layer in scaled if isinstance(layer, Activation))
    assert first.qcfs is not None and first.qcfs.threshold.item() == pytest.approx(6)


SIGNED: list[tuple[str, Callable[[Tensor], Tensor]]] = [
    ("a clamp to -1..1", nn.Hardtanh()),
    ("a clamp to -2..inf", lambda x: x.clamp(min=-2)),
]


@pytest.mark.parametrize(("called", "act"), SIGNED)
def test_what_goes_below_0_is_refused_by_its_name(called: str, act: Any) -> None:
    model = small(act)
    name = next(layer.name for layer in trace(model, SHAPE) if isinstance(layer, Activation))
    pixels = np.random.default_rng(0).integers(0, HIGH + 1, (20, *SHAPE))
    spiking = {"shape": SHAPE, "input_high": HIGH, "steps": 4}
    ways: list[Callable[[], object]] = [
        lambda: qcfs.prepare(model, 4, shape=SHAPE),
        lambda: dual_phase.prepare(model, 4, shape=SHAPE),
        lambda: fast_snn.prepare(model, 4, shape=SHAPE),
        lambda: integernet.prepare(model, 4, SHAPE),
        lambda: spiking_resnet.convert(model, pixels, **spiking),
        lambda: to_integers(model, weight_bits=8, **spiking),
        lambda: api.convert(model, method="spiking", steps=8, calibrate=pixels, shape=SHAPE, input_high=HIGH),
    ]
    for way in ways:
        with pytest.raises(UnsupportedLayer, match=rf"^{name}: {called} with .* not supported; .* method ptq, whose"):
            way()
    with pytest.raises(ConversionError, match=rf"'qcfs' is for .* {name} is {called}; take ptq"):
        api.convert(model, method="qcfs", steps=8, calibrate=pixels, shape=SHAPE, input_high=HIGH)
    found = api.convert(model, calibrate=pixels, shape=SHAPE, input_high=HIGH)
    assert all(layer.decibels > 20 for layer in found.layers)


def test_a_clamp_ends_where_it_ends() -> None:
    """A class of the user's own is read by what it computes, not by what it is derived from."""
    assert [layer.high for layer in trace(small(Lower()), SHAPE) if isinstance(layer, Activation)][0] == 5
    with pytest.raises(UnsupportedLayer, match=r"act.*: a clamp to 0..6 has no threshold; supported: QCFS"):
        to_integers(small(nn.ReLU6()), shape=SHAPE, input_high=HIGH, steps=4, weight_bits=8)
