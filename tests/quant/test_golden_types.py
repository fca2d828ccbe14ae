"""The types that the golden model computes in: float32 up to its bound, float64, int64, and nothing less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_loops import (
    compare,
    plain,
    spiking,
)

from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Input, Linear, Readout, SumPool
from spikeloom.quant.ir.windows import Pair
from spikeloom.quant.kernels import exact, synapse


def test_bounds_choose_the_type() -> None:
    assert golden.exact_dtype((1 << 24) - 1) is torch.float32
    assert golden.exact_dtype(1 << 24) is torch.float64
    assert golden.exact_dtype((1 << 53) - 1) is torch.float64
    assert golden.exact_dtype(1 << 53) is torch.int64


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_float32_convolutions_are_exact_up_to_their_bound(kernel: int, stride: int, groups: int) -> None:
    """A transform (Winograd) or shorter floats anywhere below PyTorch would lose the last bits of such sums."""
    generator = torch.Generator().manual_seed(kernel)
    for channels, size in ((4, 16), (16, 16), (64, 8)):
        x = torch.randint(0, 256, (32, channels, size, size), generator=generator)
        top = ((1 << 24) - 1) // (255 * channels // groups * kernel**2)
        weight = torch.randint(-top, top + 1, (2 * channels, channels // groups, kernel, kernel), generator=generator)
        weight[0] = top
        x[0] = 255
        with golden.exact_math():
            found = synapse.convolve(x, weight, stride, kernel // 2, torch.float32, groups)
        assert torch.equal(found.long(), synapse.convolve(x, weight, stride, kernel // 2, torch.int64, groups))
        assert int(found.max()) > 1 << 23


def test_sums_beyond_float32_are_exact() -> None:
    """1,037 products of 127 * 255 and one of 1: an odd number above 2**24, which float32 cannot hold."""
    weight = np.full((1, 1038), 127)
    weight[0, -1] = 1
    frame = np.full((1, 1038, 1, 1), 255)
    frame[0, -1] = 2 if (1037 * 127 * 255) % 2 else 1
    want = 1037 * 127 * 255 + int(frame[0, -1, 0, 0])
    assert want > 1 << 24 and want % 2
    assert int(np.float32(want)) != want
    assert golden.run(plain(weight, np.zeros(1)), frame).logits[0, 0] == want


@pytest.mark.parametrize(
    ("stride", "padding", "dilation"),
    [(1, 0, 1), (2, 1, 1), (1, 2, 1), (3, 2, 1), ((1, 2), (2, 0), 1), ((2, 1), (1, 3), (1, 2)), (1, 1, (2, 1))],
)
def test_the_three_types_agree(stride: Pair, padding: Pair, dilation: Pair) -> None:
    rng = np.random.default_rng(7)
    x = torch.from_numpy(rng.integers(0, 256, (3, 4, 7, 6)))
    w = torch.from_numpy(rng.integers(-8, 8, (5, 4, 3, 3)))

    def convolve(x: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
        return synapse.convolve(x, w, stride, padding, kind, dilation=dilation)

    found = [convolve(x, kind) for kind in (torch.float32, torch.float64, torch.int64)]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[2])
    assert [y.dtype for y in found] == [torch.int32, torch.int64, torch.int64]
    big, ones = convolve(x + (1 << 55), torch.int64), convolve(torch.ones_like(x), torch.int64)
    assert torch.equal(big, found[2] + (ones << 55)), "int64 sums must be exact beyond 2**53"


def test_int64_is_taken_where_the_bound_asks(monkeypatch) -> None:
    network, x = spiking(0, "causal", False, 2, 1, SumPool), np.random.default_rng(0).integers(0, 8, (4, 2, 6, 5))
    want = golden.run(network, x)
    monkeypatch.setattr(synapse, "exact_dtype", lambda bound: torch.int64)
    got = golden.run(network, x)
    assert all(np.array_equal(got[n.name], want[n.name]) for n in network)


def test_the_bound_is_that_of_the_worst_output(monkeypatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(synapse, "exact_dtype", lambda bound: seen.append(bound) or torch.float32)
    golden.run(plain(np.array([[7, -7, 0], [1, 1, 1]]), np.zeros(2), high=15), np.zeros((1, 3, 1, 1), int))
    assert seen == [14 * 15]


def test_reduced_precision_settings_of_the_caller_do_no_harm() -> None:
    """An AMX machine would otherwise be allowed bfloat16 products."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        compare(plain(np.random.default_rng(0).integers(-127, 128, (4, 90)), np.zeros(4)), 0)
    finally:
        torch.set_float32_matmul_precision(before)


def test_sums_of_currents_below_the_bound_are_exact_over_time() -> None:
    """Two currents just below 2**24 make a sum above it, of which 64 steps, with the bias, do not fit 32 bits."""
    channels, steps = 512, 64
    weight = np.full((1, channels), 127)
    pooled = 16 * 16  # spikes of a step
    assert (1 << 23) < 127 * channels * pooled < 1 << 24
    nodes = (
        Input(name="input", shape=(1, 16, 16), high=1),
        Conv2d(name="conv", source="input", weight=np.ones((channels, 1, 1, 1)), weight_bits=2),
        IF(name="if1", source="conv", threshold=np.ones(channels), bias=np.zeros(channels), v0=np.zeros(channels)),
        SumPool(name="pool", source="if1", kernel=16, stride=16),
        Flatten(name="flat", source="pool"),
        Linear(name="a", source="flat", weight=weight, weight_bits=8),
        Linear(name="b", source="flat", weight=weight, weight_bits=8),
        Add(name="sum", source="a", other="b"),
        IF(name="if2", source="sum", threshold=[1], bias=[(1 << 23) - 1], v0=[0]),
        Linear(name="last", source="if2", weight=[[1]], weight_bits=2),
        Readout(name="readout", source="last", bias=[0]),
    )
    result = golden.run(Network(nodes, steps), np.ones((1, 1, 16, 16), int))
    assert (result["sum"] == 2 * 127 * channels * pooled).all()
    assert result.logits[0, 0] == steps


def test_onednn_is_not_used_where_it_may_be_inexact(monkeypatch) -> None:
    """In results it makes no difference, in exactness it would: the trial has to be of sums that need all 24 bits."""
    trial, sums, convolve = exact._onednn_is_direct.__wrapped__, [], exact.F.conv2d

    def recorded(x: torch.Tensor, weight: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        sums.append((float(x.max()) * float(weight.abs().max()) * weight[0].numel(), x.dtype))
        return convolve(x, weight, **kwargs)

    monkeypatch.setattr(exact.F, "conv2d", recorded)
    monkeypatch.setattr(exact.platform, "machine", lambda: "x86_64")
    for name in ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"):
        monkeypatch.delenv(name, raising=False)
    trial()
    assert [dtype for _, dtype in sums] == [torch.float32, torch.float64]
    assert all(1 << 23 < largest <= 1 << 24 for largest, _ in sums)
    for name, mode in (("ONEDNN_DEFAULT_FPMATH_MODE", "bf16"), ("DNNL_DEFAULT_FPMATH_MODE", "ANY")):
        with monkeypatch.context() as other:
            other.setenv(name, mode)
            assert not trial()
    monkeypatch.setattr(exact.platform, "machine", lambda: "aarch64")
    assert not trial() and len(sums) == 2, "nothing is tried where the answer is known"


def test_onednn_is_as_it_was_afterwards() -> None:
    onednn: Any = torch.backends.mkldnn

    def settings() -> tuple[bool, str, str]:
        return onednn.enabled, onednn.conv.fp32_precision, onednn.matmul.fp32_precision

    before = settings()
    with golden.exact_math():
        assert settings()[1:] == ("ieee", "ieee")
    assert settings() == before
