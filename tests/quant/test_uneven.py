"""Windows that differ in the two directions or at the sides, and kernels with dilation: golden model, NumPy reference,
loops and PyTorch; what of it is refused; what is in the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_loops import Builder, compare, naive, probe
from safetensors import safe_open

from spikeloom.quant import golden, reference
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Flatten, Linear, MaxPool, NetworkError, Readout, Requant, SumPool
from spikeloom.quant.ir.signal import Signal
from spikeloom.quant.ir.windows import Windows, alike

CONVOLUTIONS: list[dict[str, Any]] = [
    dict(stride=(2, 1)),
    dict(stride=(1, 3), padding=(2, 1)),
    dict(padding=(0, 2, 1, 0)),
    dict(padding=(1, 0, 0, 1), stride=(2, 2), groups=2),
    dict(dilation=2, padding=1),
    dict(dilation=(1, 3), padding=(0, 0, 2, 1), groups=2),
    dict(dilation=(3, 2), padding=(5, 2, 0, 2), stride=(2, 1)),
]
POOLS: list[dict[str, Any]] = [
    dict(kernel=(1, 2), stride=(1, 2)),
    dict(kernel=(2, 1), stride=1, padding=(1, 0)),
    dict(kernel=2, stride=(1, 2), padding=(0, 1, 0, 1)),
    dict(kernel=2, stride=2, padding=1),
]


def network(convolution: dict[str, Any], pool: type, windows: dict[str, Any], rule: str = "") -> Network:
    """A convolution of two channels of 6 x 5 pixels, neurons of ``rule`` or values, a pool, a linear layer."""
    b = Builder(5)
    b.add(Conv2d, weight=b.weights(4, 2 // convolution.get("groups", 1), 3, 2), weight_bits=3, **convolution)
    b.fire(4, rule=rule) if rule else b.add(Requant, bias=b.weights(4), shift=[1, 0, 2, 1], lo=0, hi=15)
    b.add(pool, **windows).add(Flatten)
    steps = 3 if rule else 1
    return b.add(Linear, weight=b.weights(3, probe(b, steps)), weight_bits=3).add(Readout, bias=[0] * 3).network(steps)


@pytest.mark.parametrize("rule", ["", "causal", "signed"])
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_golden_reference_and_loops_agree(convolution: dict[str, Any], rule: str) -> None:
    for windows in POOLS:
        for pool in (SumPool,) if rule == "signed" else (SumPool, MaxPool):
            made = network(convolution, pool, windows, rule)
            compare(made, 0, 2)
            frame = np.random.default_rng(1).integers(0, 8, made.input.shape)
            found = reference.run(made, frame[None])
            for name, want in naive(made, frame).items():
                np.testing.assert_array_equal(found[name][0], want, err_msg=name)


def test_a_node_is_what_pytorch_computes() -> None:
    """Four sides are those of ZeroPad2d in another order; what ``ceil_mode`` adds is padding below and on the right."""
    x = torch.from_numpy(np.random.default_rng(3).integers(0, 8, (2, 2, 6, 5)))
    settings = dict(stride=(2, 1), padding=(2, 1, 0, 3), dilation=(2, 3))
    node = Conv2d(name="c", weight=np.random.default_rng(4).integers(-3, 4, (4, 2, 3, 2)), weight_bits=3, **settings)
    padded = torch.nn.ZeroPad2d((0, 3, 2, 1))(x.double())
    want = F.conv2d(padded, torch.from_numpy(node.weight.copy()).double(), stride=(2, 1), dilation=(2, 3))
    np.testing.assert_array_equal(node.reference([x.numpy()], [False], 1), want.numpy())
    rounded_up = dict(kernel=3, stride=2, padding=(1, 2, 1, 1))
    for kind, pool in ((MaxPool, torch.nn.MaxPool2d), (SumPool, torch.nn.AvgPool2d)):
        want = pool(3, 2, 1, ceil_mode=True)
        if kind is SumPool:  # without a divisor of its own, windows that leave the map have another one
            want.divisor_override = 1
        node = kind(name="p", **rounded_up)
        np.testing.assert_array_equal(node.reference([x.numpy()], [False], 1), want(x.double()).numpy())


def test_one_number_stands_where_all_are_alike() -> None:
    weight = np.ones((1, 1, 3, 3), int)
    node = Conv2d(name="c", weight=weight, weight_bits=2, stride=[2, 2], padding=(1, 1, 1, 1), dilation=(1, 1))
    assert node == Conv2d(name="c", weight=weight, weight_bits=2, stride=2, padding=1)
    assert node.settings() == {"name": "c", "source": "", "weight_bits": 2, "stride": 2, "padding": 1}
    assert [alike(v) for v in ((1, 1, 0, 0), (0, 0, 0, 1), (2, 1), (1, 1))] == [(1, 0), (0, 0, 0, 1), (2, 1), 1]
    assert MaxPool(name="p", kernel=(2, 2), stride=(np.int8(1), 2)).settings() == {
        "name": "p", "source": "", "kernel": 2, "stride": [1, 2]
    }  # fmt: skip


def test_file_and_hash_have_the_settings(tmp_path: Path) -> None:
    made = network(CONVOLUTIONS[6], MaxPool, POOLS[2])
    path = tmp_path / "n.safetensors"
    netfile.save(made, path)
    with safe_open(path, framework="numpy") as file:
        nodes = json.loads(file.metadata()["spikeloom"])["nodes"]
    assert (nodes[1]["stride"], nodes[1]["padding"], nodes[1]["dilation"]) == ([2, 1], [5, 2, 0, 2], [3, 2])
    assert (nodes[3]["kernel"], nodes[3]["stride"], nodes[3]["padding"]) == (2, [1, 2], [0, 1, 0, 1])
    loaded = netfile.load(path)
    assert loaded.nodes == made.nodes and loaded.hash == made.hash
    hashes = {network(settings, MaxPool, pool).hash for settings in CONVOLUTIONS for pool in POOLS}
    assert len(hashes) == len(CONVOLUTIONS) * len(POOLS)


ONE = np.ones((1, 1, 1, 1), int)
PLAIN = dict(kernel=2, stride=2)
NINE = np.ones((1, 1, 3, 3), int)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(name="c", weight=ONE, weight_bits=2, stride=(1, 2, 3)),
         r"c: stride must be an integer, not tuple; .* two of them, \(rows, columns\)$"),
        (lambda: Conv2d(name="c", weight=ONE, weight_bits=2, padding=(1, 2, 3)), r"c: padding .* or four, \(top, bot"),
        (lambda: Conv2d(name="c", weight=ONE, weight_bits=2, stride=(1, 2.0)), r"c: stride must be an integer, not 2"),
        (lambda: Conv2d(name="c", weight=ONE, weight_bits=2, stride=(1, 0)), r"c: stride must be a positive integer"),
        (lambda: Conv2d(name="c", weight=ONE, weight_bits=2, dilation=0), r"c: dilation must be a positive integer"),
        (lambda: Conv2d(name="c", weight=ONE, weight_bits=2, dilation=1 << 17), r"c: dilation must be at most 65,536"),
        (lambda: Conv2d(name="c", weight=NINE, weight_bits=2, padding=(3, 0)),
         r"c: padding must be in 0\.\.2 above and below and 0\.\.2 left and right \(smaller than the kernel\), not"),
        (lambda: Conv2d(name="c", weight=NINE, weight_bits=2, padding=(0, 0, -1, 0)), r"c: padding must be .* -1, 0\)"),
        (lambda: Conv2d(name="c", weight=NINE, weight_bits=2, padding=3, dilation=(2, 1)), r"c: padding must be in 0"),
        (lambda: SumPool(name="p", kernel=(2, 1), stride=1, padding=1), r"p: padding must be in 0\.\.0 \(smaller"),
        (lambda: SumPool(name="p", kernel=(2, 0), stride=1), r"p: kernel and stride must be positive integers, not"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named(make, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        make()


def test_windows_that_do_not_fit_are_named() -> None:
    with pytest.raises(NetworkError, match=r"c: kernel 3x2, 9x2 with its dilation, is larger than its input 6x5 "):
        Windows((3, 2), (1, 1), ((1, 0), (0, 0)), (4, 1)).check("c", (2, 6, 5))
    wide = SumPool(name="p", source="in", kernel=1 << 40, stride=1, padding=(1 << 40) - 1)
    with pytest.raises(NetworkError, match=r"^p: its input has [\d,]+ numbers with the padding, supported: 67,108"):
        wide.signal([network(CONVOLUTIONS[0], SumPool, POOLS[0]).signals["in"]], 1)


@pytest.mark.parametrize("padding", [1, (0, 0, 0, 1)])
def test_padding_of_a_maximum_needs_values_that_are_not_below_it(padding: Any) -> None:
    pool = MaxPool(name="p", source="in", kernel=2, stride=2, padding=padding)
    for kind, low, high in (("values", 0, 15), ("values", 0, 255), ("spikes", 0, 1)):
        source = Signal(kind, (2, 6, 6), kind == "spikes", low, high)
        assert pool.signal([source], 3).low == 0
    below = Signal("values", (2, 6, 6), False, -1, 14)
    message = r"^p: MaxPool with padding=.* takes values of 0 and above, .* but in gives -1\.\.14; leave the padding"
    with pytest.raises(NetworkError, match=message):
        pool.signal([below], 1)
    assert replace(pool, padding=0).signal([below], 1).low == -1
    summed = SumPool(name="p", source="in", kernel=2, stride=2, padding=padding).signal([below], 1)
    assert (summed.low, summed.high) == (-4, 56)


def test_times_read_and_spans_follow_the_windows() -> None:
    windows = Windows((2, 3), (2, 1), ((1, 0), (0, 2)), (2, 1))
    ones = np.ones((1, 1, 4, 5))
    counted = np.zeros((4, 5))
    for y in range(4):
        for x in range(5):
            one = np.zeros_like(ones)
            one[0, 0, y, x] = 1
            counted[y, x] = windows.views(one).sum()
    np.testing.assert_array_equal(windows.times_read((4, 5)), counted)
    made = network(dict(padding=1), SumPool, dict(kernel=2, stride=1, padding=(1, 0)))
    result = golden.run(made, np.random.default_rng(0).integers(0, 8, (20, 2, 6, 5)))
    spans = {}
    for node in made:
        sources = [made.signals[name] for name in node.sources]
        spans[node.name] = node.span([spans[name] for name in node.sources], sources, 1) if sources else None
        if spans[node.name] is None:
            spans[node.name] = _pixels(made)
        low, high = spans[node.name].always
        found = result[node.name]
        axes = (0, 2, 3) if found.ndim == 4 else 0
        assert (low <= found.min(axes)).all() and (found.max(axes) <= high).all()


def _pixels(network: Network):
    return network.input.span([], [], 1)
