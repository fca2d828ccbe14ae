"""Conversion: half a threshold, scales, signs, dead channels, and spike counts equal to the QCFS levels."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import convert, half_threshold
from spikeloom.quant.conversion.rounding import FINE_THRESHOLD
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Input, Linear, NetworkError, Readout, SumPool
from spikeloom.quant.methods.qcfs.algorithm import QCFS, prepare
from spikeloom.quant.models import cnn, mlp


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("rule", ["causal", "lossless"])
def test_half_a_threshold_is_exact(rule: str, strict: bool) -> None:
    """Every threshold up to 12 and every current: the whole-number membrane counts as a real threshold/2 does."""
    steps = 3
    for theta in range(1, 13):
        for current in range(-theta - 1, 3 * theta + 2):
            v, count = Fraction(theta, 2), 0
            total = v + steps * current
            for _ in range(steps):
                v += current
                fires = v > theta if strict else v >= theta
                count += fires
                v -= theta * fires
            if rule == "lossless":
                count = max(
                    [k for k in range(steps + 1) if k == 0 or (total > k * theta if strict else total >= k * theta)]
                )
                if not strict:
                    assert count == min(max(floor(Fraction(steps * current, theta) + Fraction(1, 2)), 0), steps)
            node = IF(
                name="if",
                source="l",
                threshold=[theta],
                bias=[current],
                rule=rule,
                strict=strict,
                v0=half_threshold(np.array([theta]), strict),
            )
            network = Network(
                nodes=(
                    Input(name="in", shape=(1, 1, 1), high=1),
                    Linear(name="l", source="in", weight=[[0]], weight_bits=2),
                    node,
                    Linear(name="l2", source="if", weight=[[1]], weight_bits=2),
                    Readout(name="r", source="l2", bias=[0]),
                ),
                steps=steps,
            )
            got = int(golden.run(network, np.zeros((1, 1, 1, 1), int)).logits[0, 0])
            assert got == count, f"threshold {theta}, current {current}: {got} != {count} (expected)"


SETTINGS: dict[str, Any] = {"shape": (3, 1, 1), "input_high": 15, "steps": 4}


def part(network: Network, name: str) -> Any:
    """A node, with whatever fields its type has."""
    return network[name]


def two_layers(weight: list, bias: list, threshold: float, last: list | None = None) -> nn.Sequential:
    first = nn.Linear(len(weight[0]), len(weight))
    first.weight.data, first.bias.data = torch.tensor(weight), torch.tensor(bias)
    second = nn.Linear(len(weight), 2)
    second.weight.data = torch.tensor(last or [[1.0] * len(weight), [-0.4] * len(weight)])
    second.bias.data = torch.tensor([0.3, -0.2])
    return nn.Sequential(nn.Flatten(), first, QCFS(4, threshold), second)


def test_scales_thresholds_and_biases() -> None:
    """By hand: channel 0 has s = 0.7/7 = 0.1, channel 1 s = 1.4/7 = 0.2; the unit of a pixel is 1/15."""
    network = convert(two_layers([[0.7, -0.3, 0.04], [1.4, 0.29, -0.31]], [0.5, -1.0], 2.0), weight_bits=4, **SETTINGS)
    linear, fire, last, readout = (part(network, n) for n in ("1", "2", "3", "readout"))
    assert linear.weight.tolist() == [[7, -3, 0], [7, 1, -2]]
    assert fire.threshold.tolist() == [300, 150]  # 2.0 / (s / 15)
    assert fire.bias.tolist() == [75, -75]
    assert fire.v0.tolist() == [150, 75] and fire.rule == "causal" and not fire.strict
    # One scale for all classes, 1/7; a spike is worth 2.0; four steps: 0.3 * 4 / (2.0 / 7) = 4.2 and -0.2 gives -2.8.
    assert last.weight.tolist() == [[7, 7], [-3, -3]] and readout.bias.tolist() == [4, -3]


def test_bits_of_first_and_last_layer() -> None:
    network = convert(two_layers([[0.7, -0.3, 0.04]], [0.5], 2.0), weight_bits=4, first_bits=8, last_bits=2, **SETTINGS)
    assert part(network, "1").weight_bits == 8 and part(network, "1").weight.tolist() == [[127, -54, 7]]
    assert part(network, "3").weight_bits == 2 and part(network, "3").weight.tolist() == [[1], [0]]


def test_a_negative_gain_flips_the_weights() -> None:
    def model(gain: float) -> nn.Module:
        first = nn.Linear(3, 2, bias=False)
        first.weight.data = torch.tensor([[0.7, -0.3, 0.1], [0.1, 0.2, 0.7]])
        norm = nn.BatchNorm1d(2, eps=0.0)
        norm.weight.data = torch.tensor([gain, 1.0])
        return nn.Sequential(nn.Flatten(), first, norm, QCFS(4, 2.0), nn.Linear(2, 2)).eval()

    plus, minus = (convert(model(gain), weight_bits=4, **SETTINGS) for gain in (0.5, -0.5))
    assert part(plus, "1").weight.tolist() == [[7, -3, 1], [1, 2, 7]]
    assert part(minus, "1").weight.tolist() == [[-7, 3, -1], [1, 2, 7]]
    assert part(plus, "3").threshold.tolist() == part(minus, "3").threshold.tolist() == [600, 300]


@pytest.mark.parametrize("rule", ["causal", "lossless"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_dead_channel_keeps_its_constant_output(rule: str, strict: bool) -> None:
    """Gain zero: z is the bias alone. 2.0 is lambda, so a level is 0.5; below 0 nothing, above 2.0 all four."""
    bias = [-1.0, 0.0, 0.6, 1.1, 1.6, 9.0, 0.3]
    weight = [[0.0] * 3] * 6 + [[0.3, 0.2, 0.1]]
    network = convert(two_layers(weight, bias, 2.0), weight_bits=4, rule=rule, strict=strict, **SETTINGS)
    x = np.random.default_rng(0).integers(0, 16, (50, 3, 1, 1))
    counts = golden.run(network, x)["2"].sum(1)[:, :, 0, 0]
    assert (counts[:, :6] == [0, 0, 1, 2, 3, 4]).all() and len(np.unique(counts[:, 6])) > 1


def test_a_channel_of_tiny_weights_does_not_widen_the_membrane() -> None:
    network = convert(two_layers([[1e-9, -2e-9, 0.0], [0.7, 0.1, 0.1]], [1.1, 0.0], 2.0), weight_bits=4, **SETTINGS)
    assert part(network, "2").threshold.tolist() == [FINE_THRESHOLD, 300]
    assert part(network, "1").weight[0].tolist() == [0, 0, 0]
    counts = golden.run(network, np.zeros((1, 3, 1, 1), int))["2"].sum(1)
    assert counts[0, 0, 0, 0] == 2  # floor(4 * 1.1 / 2.0 + 1/2)


def test_the_division_of_an_average_goes_into_the_next_threshold() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 1), QCFS(4, 1.0), nn.Linear(1, 2))
    network = convert(model, shape=(1, 4, 4), input_high=15, steps=4, weight_bits=4)
    assert isinstance(part(network, "0"), SumPool)
    scale = model.get_parameter("2.weight").detach().abs().max().item() / 7
    assert part(network, "3").threshold.tolist() == [round(1.0 / (scale / 15 / 4))]


@pytest.mark.parametrize("pool", ["average", "max"])
def test_fine_weights_give_the_levels_of_the_float_model(pool: str) -> None:
    """8-bit weights, lossless: the spike counts are the QCFS levels, but for the few values rounded over an edge."""
    torch.manual_seed(1)
    model: Any = prepare(cnn((1, 8, 8), 10, channels=(6, 8), pool=pool), 4, threshold=0.3).eval()
    x = np.random.default_rng(0).integers(0, 256, (100, 1, 8, 8))
    network = convert(model, shape=(1, 8, 8), input_high=255, steps=4, weight_bits=8, rule="lossless")
    result, levels = golden.run(network, x), {}
    activations = {m: name for name, m in model.named_modules() if isinstance(m, QCFS)}
    for module in activations:
        module.register_forward_hook(lambda m, _, out: levels.update({activations[m]: out / m.threshold * 4}))
    with torch.no_grad():
        model(torch.from_numpy(x).float() / 255)
    assert len(levels) == 2
    for name, want in levels.items():
        got = result[name].sum(1)
        assert len(np.unique(got)) > 2, "too few levels in use to say anything"
        assert (got == want.round().numpy()).mean() > 0.97, name
        assert np.abs(got - want.round().numpy()).max() <= 1


def test_strict_and_meta_are_passed_on() -> None:
    network = convert(
        two_layers([[0.7, -0.3, 0.04]], [0.5], 2.007), weight_bits=4, strict=True, meta={"k": "v"}, **SETTINGS
    )
    assert part(network, "2").strict and part(network, "2").threshold.tolist() == [301]
    assert part(network, "2").v0.tolist() == [151] and network.meta == {"k": "v"}


def test_scales_too_far_apart_are_refused() -> None:
    with pytest.raises(NetworkError, match=r"2: bias 1\.07143e\+09 is too large for an integer network"):
        convert(two_layers([[0.7, 0.1, 0.1]], [7142857.0], 2.0), weight_bits=4, **SETTINGS)


def test_shape_errors_name_the_layer() -> None:
    with pytest.raises(NetworkError, match=r"linear1: its weights have 64 inputs, but flatten gives 63"):
        convert(prepare(mlp((1, 8, 8), 10), 4).eval(), shape=(1, 7, 9), input_high=15, steps=4, weight_bits=4)
