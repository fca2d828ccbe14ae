"""Activations of any shape become staircases: near the floats, exact in integers, the same in gates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import Curve, UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import read
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.quant.methods import integernet, qcfs, spiking_resnet
from spikeloom.quant.methods.ptq.algorithm import quantise
from spikeloom.quant.methods.ptq.settling.curves import MOST, Stairs

SHAPE = (2, 6, 6)


class Net(nn.Module):
    def __init__(self, act: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.fc = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Linear(16, 3)
        with torch.no_grad():
            for layer in (self.a, self.b):
                layer.weight *= 4
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.a(x))
        return self.fc(F.avg_pool2d(self.act(self.b(x)), 2).flatten(1))


CURVES: dict[str, Any] = {
    "tanh": nn.Tanh(), "torch.tanh": torch.tanh, "sigmoid": nn.Sigmoid(), "SiLU": nn.SiLU(inplace=True), "silu": F.silu,
    "GELU": nn.GELU("tanh"), "gelu": F.gelu, "Hardswish": nn.Hardswish(), "ELU": nn.ELU(0.5),
    "Softplus": nn.Softplus(2),
    "Mish": nn.Mish(), "Hardsigmoid": nn.Hardsigmoid(), "Softshrink": nn.Softshrink(0.2),
}  # fmt: skip


def pixels(count: int, seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (count, 2, 3, 3))
    return rough.repeat(2, 2).repeat(2, 3).astype(np.uint8)


def quantised(act: Any, bits: int, **more: Any) -> Any:
    layers = read(Net(act).eval(), SHAPE).layers
    return layers, quantise(layers, pixels(60, 1), shape=SHAPE, input_high=255, form="values", bits=bits, **more)


@pytest.mark.parametrize("name", CURVES)
def test_eight_bits_are_near_the_floats(name: str) -> None:
    layers, found = quantised(CURVES[name], 8)
    assert sum(isinstance(layer, Curve) for layer in layers) == 2
    unseen = pixels(40, 2)
    *_, (_, want) = results(layers, torch.from_numpy(unseen).float() / 255)
    logits = golden.run(found.network, unseen).logits * found.unit
    apart = ((logits - want.numpy()) ** 2).sum() / ((want.numpy() - want.numpy().mean(0)) ** 2).sum()
    assert apart < 0.01, apart
    assert all(layer.integers_db > 25 for layer in found.layers), found.layers


def test_a_function_that_falls_and_rises_is_what_the_staircase_says() -> None:
    scale, bias, unit = (torch.tensor(x).double() for x in ([0.01, 0.5], [0.3, -1.0], [0.02, 0.05]))
    stairs = Stairs.of(F.silu, scale, bias, unit, 700, -128, 127)
    a = torch.arange(-700, 701).double()
    found = stairs.results(torch.stack([a, a])[None, :, :, None])[0, :, :, 0]
    for c in range(2):
        want = (F.silu(scale[c] * a + bias[c]) / stairs.unit[c]).round().clamp(-128, 127)
        assert torch.equal(found[c].double(), want)
    assert (stairs.values.diff(dim=1) < 0).any() and (stairs.values.diff(dim=1) > 0).any()


def test_too_many_thresholds_make_levels_coarser() -> None:
    one = torch.ones(1).double()
    stairs = Stairs.of(torch.sin, one * 0.01, one * 0, one * 0.01, 3000, -128, 127)
    assert stairs.thresholds.shape[1] <= MOST and stairs.unit.item() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("name", "bits"), [("SiLU", 3), ("sigmoid", 8)])
def test_verilog(name: str, bits: int, tmp_path: Path) -> None:
    _, found = quantised(CURVES[name], bits, weight_bits=4)
    assert sum(isinstance(node, Staircase) for node in found.network) == 2
    api.generate(found.network, tmp_path / "design")
    assert api.verify(tmp_path / "design", pixels(2, 3)).equal


def test_other_methods_refuse_a_curve_by_its_name() -> None:
    model = Net(nn.SiLU()).eval()
    layers = read(model, SHAPE).layers
    ways = (
        lambda: qcfs.prepare(model, 4, shape=SHAPE),
        lambda: integernet.prepare(model, 4, SHAPE),
        lambda: spiking_resnet.convert(model, pixels(4, 0), shape=SHAPE, input_high=255, steps=4),
        lambda: quantise(layers, pixels(4, 0), shape=SHAPE, input_high=255, form="spikes", steps=4),
        lambda: quantise(layers, pixels(4, 0), shape=SHAPE, input_high=255, form="values", reconstruct=1),
    )
    for way in ways:
        with pytest.raises(UnsupportedLayer, match=r"^act: SiLU with .* not supported; supported: "):
            way()


def test_a_maximum_stays_in_front_of_a_curve_that_falls() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.SiLU(), nn.Flatten(), nn.Linear(12, 3)).eval()
    layers = read(model, SHAPE).layers
    x = torch.rand(4, *SHAPE)
    *_, (_, found) = results(layers, x)
    assert torch.allclose(found, model(x).detach(), atol=1e-6)
