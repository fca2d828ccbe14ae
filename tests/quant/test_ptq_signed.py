"""Post-training quantisation of clamps: ReLU6, Hardtanh and linear bottlenecks, whose values have a sign."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from own_model import into_hardware

from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import (
    IMAGE,
    Activation,
    Flat,
    Layer,
    Pool,
    Shortcut,
    Sum,
    UnsupportedLayer,
    Weights,
)
from spikeloom.quant.ir.ops import IF, Conv2d, Gain, Requant
from spikeloom.quant.methods.ptq import algorithm, maps
from spikeloom.quant.methods.ptq.settling import clips, forms
from spikeloom.quant.methods.ptq.settling.levels import Levels

SHAPE = (2, 6, 6)
CLASSES = 3


class Maker:
    """Layers one behind the other, with random weights that keep values as large as they are."""

    def __init__(self, seed: int = 0) -> None:
        self.random, self.layers = torch.Generator().manual_seed(seed), list[Layer]()

    @property
    def end(self) -> str:
        return self.layers[-1].name if self.layers else IMAGE

    def weights(self, name: str, *shape: int, source: str | None = None, gain: float = 1.5, groups: int = 1) -> None:
        weight = torch.randn(shape, generator=self.random) * gain / math.prod(shape[1:]) ** 0.5
        bias = torch.randn(shape[0], generator=self.random) * 0.2
        padding = shape[-1] // 2 if len(shape) == 4 else 0
        self.layers.append(Weights(name, (self.end if source is None else source,), weight, bias, 1, padding, groups))

    def act(self, name: str, low: float = -math.inf, high: float = math.inf) -> None:
        self.layers.append(Activation(name, (self.end,), None, low, high))

    def add(self, name: str, source: str) -> None:
        """The sum of the last layer and a shortcut from ``source``."""
        end = self.end
        self.layers += [Shortcut(f"{name}_skip", (source,), 1, 0, 0), Sum(name, (end, f"{name}_skip"))]

    def answer(self) -> list[Layer]:
        """The layers, with a pool over the whole map and the classes."""
        self.layers.append(Pool("mean", (self.end,), "average", 3, 3))
        self.layers.append(Flat("flat", ("mean",)))
        self.weights("answer", CLASSES, 4)
        return self.layers


def bottlenecks() -> list[Layer]:
    """A linear bottleneck whose values go into a padded convolution and past it, as in MobileNetV2; the sum is a linear
    one again, and a Hardtanh and a maximum of values with a sign stand behind it."""
    m = Maker()
    m.weights("stem", 4, 2, 3, 3, gain=6)
    m.act("relu6", 0, 6)
    m.weights("project", 4, 4, 1, 1)
    m.act("linear")
    m.weights("wide", 6, 4, 3, 3)
    m.act("wide6", 0, 6)
    m.weights("deep", 6, 1, 3, 3, groups=6)
    m.act("deep6", 0, 6)
    m.weights("back", 4, 6, 1, 1)
    m.add("sum", "linear")
    m.act("bottleneck")
    m.weights("tail", 4, 4, 3, 3)
    m.act("tanh", -1, 1)
    m.layers.append(Pool("most", ("tanh",), "max", 2, 2))
    return m.answer()


def between(low: float, high: float) -> list[Layer]:
    """A padded convolution and a sum of shortcuts alone, all clamped to ``low``..``high``."""
    m = Maker(1)
    m.weights("first", 4, 2, 3, 3, gain=2)
    m.act("one", low, high)
    m.weights("second", 4, 4, 3, 3, gain=2)
    m.act("two", low, high)
    m.layers += [Shortcut("left", ("one",), 1, 0, 0), Shortcut("right", ("two",), 1, 0, 0)]
    m.layers.append(Sum("both", ("left", "right")))
    m.act("three", low, high)
    m.layers.append(Pool("most", ("three",), "max", 2, 2))
    return m.answer()


def pixels(count: int = 60, seed: int = 1) -> np.ndarray:
    """Random images (count, 2, 6, 6) of 0..15, of which neighbours are alike."""
    rough = np.random.default_rng(seed).integers(0, 16, (count, 2, 3, 3))
    return rough.repeat(2, 2).repeat(2, 3).astype(np.uint8)


def quantise(layers: list[Layer], **settings: Any) -> algorithm.Quantised:
    return algorithm.quantise(layers, pixels(), **{"shape": SHAPE, "input_high": 15, "form": "values", **settings})


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, maps.Map]:
    """What the method computes in integers, by stage."""
    found: dict[str, maps.Map] = {}
    run = algorithm.run_stage

    def watched(stage: Any, *rest: Any) -> maps.Map:
        found[stage.name] = result = run(stage, *rest)
        return result

    monkeypatch.setattr(algorithm, "run_stage", watched)
    return found


def check_integers(found: algorithm.Quantised, seen: dict[str, maps.Map], *, gates: bool = True) -> None:
    """The golden network gives what the method computed, and the cores give it too."""
    outputs = golden.run(found.network, pixels()).outputs
    for name, want in seen.items():
        got = outputs[found.network.nodes[-1].name if name == "answer" else name]
        got = got.sum(1) if got.ndim == 5 else got.reshape(want.x.shape)
        assert np.array_equal(got, want.x.numpy()), name
    if gates:  # a sum of shortcuts alone has none
        into_hardware(found.network, pixels(2, seed=2))


@pytest.mark.parametrize("settings", [{}, {"bits": 4, "weight_bits": 4, "first_bits": 8, "reconstruct": 1}])
def test_the_network_is_what_the_method_computed(settings: dict[str, Any], seen: dict[str, maps.Map]) -> None:
    found = quantise(bottlenecks(), **settings)
    assert {type(node) for node in found.network} >= {Gain, Conv2d, Requant}
    for name in ("linear", "bottleneck", "tanh"):
        assert seen[name].x.dtype == torch.int8 and seen[name].x.min() < 0 < seen[name].x.max(), name
    check_integers(found, seen)


def test_eight_bits_are_near_the_float_network() -> None:
    layers, unseen = bottlenecks(), pixels(100, seed=3)
    found = quantise(layers)
    assert all(layer.integers_db > 25 and (layer.quantised_db or 99) > 35 for layer in found.layers), found.layers
    *_, (_, want) = results(layers, torch.from_numpy(unseen).float() / 15)
    logits = golden.run(found.network, unseen, keep=()).logits * found.unit
    spread = (want.numpy() - want.numpy().mean(0)) ** 2
    assert ((logits - want.numpy()) ** 2).sum() < 0.01 * spread.sum()


ENDS = [(-1, 1), (0, 1.5), (-0.25, math.inf), (-math.inf, 0.5), (-0.1, 3), (-math.inf, math.inf)]


@pytest.mark.parametrize(("low", "high"), ENDS)
@pytest.mark.parametrize("bits", [8, 3])
def test_the_ends_of_a_clamp_are_honoured(low: float, high: float, bits: int, seen: dict[str, maps.Map]) -> None:
    """No level is further beyond an end than half of one; and where the floats are beyond, so are the integers."""
    layers = between(low, high)
    found = quantise(layers, bits=bits)
    floats = {layer.name: x for layer, x in results(layers, torch.from_numpy(pixels()).float() / 15)}
    top = (1 << bits) - 1 if low == 0 else (1 << (bits - 1)) - 1
    for name in ("one", "two", "three"):
        node, mine = found.network[name], seen[name]
        assert isinstance(node, Requant) and node.hi <= top and node.lo >= (0 if low == 0 else -top - 1)
        assert (node.hi * mine.unit <= high + mine.unit * 0.5001).all(), (node.hi, mine.unit)
        assert (node.lo * mine.unit >= low - mine.unit * 0.5001).all(), (node.lo, mine.unit)
    z, one, more = floats["first"], seen["one"], seen["one"].unit.max().item() + 0.02
    for beyond, end in ((z > high + more, one.high), (z < low - more, one.low)):
        assert (one.x[beyond] == end).all()
    if bits == 8:
        assert (z > high + more).any() == math.isfinite(high)
        assert (z < low - more).any() == math.isfinite(low)
    check_integers(found, seen, gates=False)
    least = {8: 22, 3: 4}[bits]
    assert all(layer.integers_db > least for layer in found.layers), found.layers


@pytest.mark.parametrize("steps", [15, 3])
def test_neurons_saturate_where_a_relu6_does(steps: int, seen: dict[str, maps.Map]) -> None:
    found = quantise(between(0, 1.5), form="spikes", steps=steps)
    neurons = [node for node in found.network if isinstance(node, IF)]
    assert len(neurons) == 3
    for node in neurons:
        unit = seen[node.name].unit
        assert (steps * unit <= 1.5 + 0.5001 * unit).all() and (seen[node.name].x == steps).any()
    assert all(layer.integers_db > (20 if steps > 3 else 8) for layer in found.layers), found.layers
    check_integers(found, seen, gates=False)


def test_levels_that_are_left() -> None:
    every = Levels(-128, 127, -1.0, 1.0)
    assert every.worth(1 / 127) == Levels(-127, 127, -1.0, 1.0) and every.worth(1 / 200) == every
    assert every.coarsest == 1 / 126.5 and every.worth(every.coarsest).hi == 127
    assert every.worth(0.4) == Levels(-3, 3, -1.0, 1.0)  # the largest is worth 1.2, less than half a level beyond
    assert every.worth(0.4).widest == 0.4 and every.worth(0.41) == Levels(-2, 2, -1.0, 1.0)
    assert Levels(-128, 127, -0.1, math.inf).worth(0.3).lo == 0  # a level of -0.3 would be too far
    assert Levels(-128, 127, -math.inf, 0.1).worth(0.3).hi == 1
    relu = Levels(0, 255, 0.0, math.inf)
    assert relu.worth(17.0) == relu and relu.widest == relu.coarsest == math.inf
    relu6 = Levels(0, 255, 0.0, 6.0)
    assert relu6.worth(relu6.coarsest) == relu6 and relu6.widest == 6 / 254.5


@pytest.mark.parametrize(("low", "high"), ENDS)
def test_a_clip_of_both_signs_has_the_least_error(low: float, high: float) -> None:
    x = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.3, 1.0, 5.0])
    x = x.clamp(low, high)
    found = clips.Clips(x, forms.Form("values", 255, 1).levels_of(low, high))
    for unit in (found.units(0.0), found.units(0.5)):
        assert (unit <= found.levels.widest * (1 + 1e-9)).all()
        assert torch.allclose(found.error(unit), clips.rounding_error(x.double(), unit, found.levels).sum(0), rtol=0.05)
        signal, lost = x.double().square().sum(), found.error(unit).sum()
        assert lost < 5e-3 * signal, 10 * torch.log10(signal / lost)


def test_no_level_is_wider_than_the_clamp_allows() -> None:
    """Where a shortcut moves the scale, one more of its gain or half the step keeps the level within the end."""
    random = torch.Generator().manual_seed(0)
    unit, finest, sources = (torch.rand(200, generator=random).double() * a + 1e-3 for a in (0.02, 2e-3, 0.05))
    sources[::3] = 0
    for kind, levels in (("values", 255), ("spikes", 15)):
        form = forms.Form(kind, levels, 1 if kind == "values" else levels)
        for scale, step in form.grids(unit.clamp(max=0.02), finest, sources, 8, 0.02):
            assert (scale * step <= 0.02 * (1 + 1e-6)).all() and (step >= 2.0**-8).all()
            gain = (sources / scale)[sources > 0.8 * scale]
            assert torch.allclose(gain, gain.round(), rtol=1e-9)
            assert kind == "spikes" or (step.log2() == step.log2().round()).all()


def test_a_sign_needs_a_bit() -> None:
    for layers, name in ((bottlenecks(), "linear"), (between(-1, 1), "one")):
        with pytest.raises(UnsupportedLayer, match=rf"^{name}: .* in 1 bit is not supported; supported: 2 bits"):
            quantise(layers, bits=1)
    linear = quantise(bottlenecks(), bits=2).network["linear"]
    assert isinstance(linear, Requant) and (linear.lo, linear.hi) == (-2, 1)


@pytest.mark.parametrize("settings", [{"steps": 15}, {"steps": 4, "reconstruct": 1}])
def test_spikes_with_a_sign(settings: dict[str, Any], seen: dict[str, maps.Map]) -> None:
    """Of linear layers and clamps lossless neurons with a lower end, whose counts the method computed."""
    found = quantise(bottlenecks(), form="spikes", **settings)
    lows = {node.name: node.low for node in found.network if isinstance(node, IF)}
    assert lows["linear"] == lows["bottleneck"] == -settings["steps"] <= lows["tanh"] < 0 == lows["relu6"]
    check_integers(found, seen)
    assert all(layer.integers_db > (10 if settings["steps"] > 4 else 5) for layer in found.layers), found.layers


@pytest.mark.parametrize("form", [pytest.param("values", marks=pytest.mark.slow), "spikes"])
def test_verilog_of_results_with_a_sign(form: Any, tmp_path: Path) -> None:
    network = quantise(bottlenecks(), form=form, bits=4, steps=4, weight_bits=4).network
    frames = pixels(2, seed=4)
    outputs = golden.run(network, frames).outputs
    assert all((outputs[name] < 0).any() for name in ("linear", "bottleneck", "tanh", "most"))
    api.generate(network, tmp_path / "design")
    assert api.verify(tmp_path / "design", frames).equal


