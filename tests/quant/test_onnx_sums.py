"""Sums and averages of tensors of 8 bits, on all that they can take, against ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.quant import golden
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.onnx import Onnx
from spikeloom.quant.frontends.onnx.integers.eight.pairs import Table
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Gain

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the oracle, is not installed")

from onnx_graphs import Built, floats, runtime  # noqa: E402

MICROSOFT = "com.microsoft"
PAIRS = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 2)


def two(built: Built, a: int, b: int) -> tuple[str, str]:
    """The two numbers of an image as tensors of 8 bits, whose integers are its pixels, with zero points a and b."""
    scale = np.float32(1 / 255)
    x = built.op("QuantizeLinear", "x", scale, np.uint8(0))
    rows = zip(([[1, 0]], [[0, 1]]), (a, b), strict=True)
    found = [built.op("QGemm", x, scale, np.uint8(0), np.array(row, np.int8), np.float32(1), np.int8(0),
                      np.array([-zero], np.int32), scale, np.uint8(zero), domain=MICROSOFT, transB=1)
             for row, zero in rows]  # fmt: skip
    return found[0], found[1]


def summed(tmp_path: Path, scales: tuple[float, int, float, int, float, int], form: str, **settings: Any) -> Any:
    """The network of a sum of all pairs, what ONNX Runtime makes of them, and what the network does, in levels."""
    sa, za, sb, zb, sc, zc = scales
    codes = [(np.float32(scale), np.uint8(zero)) for scale, zero in ((sa, za), (sb, zb), (sc, zc))]
    built = Built(len(PAIRS), 2)
    a, b = two(built, za, zb)
    if form == "QLinearAdd":
        x = built.op("QLinearAdd", a, *codes[0], b, *codes[1], *codes[2], domain=MICROSOFT, name="sum")
    else:
        terms = [built.op("DequantizeLinear", q, *code) for q, code in zip((a, b), codes, strict=False)]
        x = built.op("Add", *terms, name="sum")
        x = built.op("QuantizeLinear", built.op("Relu", x) if form == "Relu" else x, *codes[2])
    path = built.save(tmp_path, built.op("DequantizeLinear", x, np.float32(1), codes[2][1]), 1)
    network = Onnx().read(path, **settings)
    assert isinstance(network, Network)
    return network, runtime(path, floats(PAIRS)), golden.run(network, PAIRS[:, :, None, None]).logits


SCALES = [(0.0825, 161, 0.0827, 73, 0.1257, 250), (0.0999, 72, 0.0687, 111, 0.0951, 67),
          (0.0158, 225, 0.0711, 87, 0.0877, 58), (0.0826, 71, 0.0385, 178, 0.0611, 148)]  # fmt: skip
"""Scales and zero points for which every order of the operations on floats gives the same levels."""


@pytest.mark.parametrize("scales", SCALES, ids=str)
def test_all_pairs_of_a_sum(tmp_path: Path, scales: tuple[float, int, float, int, float, int]) -> None:
    network, wanted, found = summed(tmp_path, scales, "QLinearAdd")
    assert np.array_equal(found, wanted) and len(np.unique(wanted)) > 100
    gains = [int(node.gain[0]) for node in network if isinstance(node, Gain)]
    assert max(gains) < 1000, "the smallest that do"
    for form in ("Add", "Relu"):
        _, wanted, found = summed(tmp_path, scales, form)
        assert np.array_equal(found, wanted)


def test_halves_are_rounded_as_integers_where_no_clamp_is_between(tmp_path: Path) -> None:
    """Of two equal scales every other sum is a half. A ReLU that the ends of the type do not say already is computed in
    floats, which round such sums here and there."""
    halves = (0.05, 128, 0.05, 0, 0.1, 7)
    for form in ("QLinearAdd", "Add"):
        network, wanted, found = summed(tmp_path, halves, form)
        assert np.array_equal(found, wanted)
        assert [int(node.gain[0]) for node in network if isinstance(node, Gain)] == [1], "the other as a weight"
    with pytest.raises(UnsupportedLayer, match="^sum: Add of two scales for which no gains"):
        summed(tmp_path, halves, "Relu")
    _, wanted, found = summed(tmp_path, (*halves[:5], 0), "Relu")
    assert np.array_equal(found, wanted), "the same as without"
    for zero in (30, 31):
        _, wanted, found = summed(tmp_path, (0.25, 10, 0.25, 20, 0.5, zero), "Relu")
        assert np.array_equal(found, wanted), "floats that round nothing, so halves are halves"


TIED = (0.013, 10, 0.091, 20, 0.026, 30)
"""Scales of which every other sum lies half-way between two levels, where the rounding of floats decides."""


def test_sums_that_no_gains_give_are_refused_or_taken_as_they_are(tmp_path: Path) -> None:
    said = r"(\S+) of 65,536 pairs of values \((\S+)%\) get another level, by 1 at most"
    with pytest.raises(UnsupportedLayer, match=rf"^sum: QLinearAdd of two scales .*: {said} .*--approximate") as caught:
        summed(tmp_path, TIED, "QLinearAdd")
    network, wanted, found = summed(tmp_path, TIED, "QLinearAdd", approximate=True)
    told = re.search(said, network.meta["approximate"])
    assert told is not None and network.meta["approximate"].startswith("sum: ")
    assert told[0] in str(caught.value)
    off = np.abs(found - wanted)
    assert off.max() == 1 and (off > 0).sum() == int(told[1].replace(",", "")) < 100


def test_the_simplest_gains() -> None:
    """Of tables that some gains make, no smaller ones do, and contradictions are found."""
    rng = np.random.default_rng(0)
    n, m = np.arange(-3, 6)[:, None], np.arange(-2, 7)
    for _ in range(40):
        one, other, start = rng.integers(1, 12, 3)
        levels = (one * n + other * m + start) // rng.integers(6, 40)
        found = Table(levels, -3, -2).exact()
        assert found is not None and found.one <= one and found.other <= other
        reached = np.searchsorted(found.threshold, found.one * n + found.other * m, "right")
        assert np.array_equal(reached + min(0, levels.min()), levels)
    assert Table(np.array([[0, 1, 1], [0, 1, 1], [1, 2, 2]]), 0, 0).exact() is None


def averaged(tmp_path: Path, op: str, scales: tuple[float, int, float, int], side: int, **settings: Any) -> Any:
    """All sums of a map of ``side`` by ``side`` pixels: the average by ONNX Runtime, and by the network, in levels."""
    cells = side * side
    sums = np.arange(255 * cells + 1)
    images = sums[:, None] // cells + (np.arange(cells) < (sums % cells)[:, None])
    images = np.random.default_rng(0).permuted(images, axis=1).reshape(-1, 1, side, side)
    code, into = (np.float32(scales[0]), np.uint8(scales[1])), (np.float32(scales[2]), np.uint8(scales[3]))
    built = Built(len(images), 1, side, side)
    x = built.op("QuantizeLinear", "x", np.float32(1 / 255), np.uint8(0))
    kernel = {"kernel_shape": [side, side]} if op.endswith("AveragePool") and "Global" not in op else {}
    if op.startswith("QLinear"):
        x = built.op(op, x, *code, *into, domain=MICROSOFT, **kernel)
    elif op == "windows":
        x = built.op("Pad", built.op("DequantizeLinear", x, *code), np.array([0, 0, 0, 0, 0, 0, 0, 0]))
        x = built.op("AveragePool", x, kernel_shape=[2, 2], strides=[side - 2] * 2, name="mean")
        x = built.op("QuantizeLinear", x, *into, name="levels")
    else:
        x = built.op("QuantizeLinear", built.op(op, built.op("DequantizeLinear", x, *code), **kernel), *into)
    count = 4 if op == "windows" else 1
    x = built.op("Flatten", built.op("DequantizeLinear", x, np.float32(1), into[1]))
    path = built.save(tmp_path, x, count)
    network = Onnx().read(path, **settings)
    assert isinstance(network, Network)
    return network, runtime(path, floats(images)), golden.run(network, images).logits


@pytest.mark.parametrize("scales", [(0.02, 3, 0.015, 9), (0.01, 200, 0.0175, 128), (0.05, 0, 0.05, 0)], ids=str)
@pytest.mark.parametrize("op", ["QLinearGlobalAveragePool", "GlobalAveragePool", "AveragePool"])
def test_all_sums_of_a_map(tmp_path: Path, op: str, scales: tuple[float, int, float, int]) -> None:
    """The zero point of the map is that of QuantizeLinear, 0: another one moves all sums."""
    for side in (2, 5):
        _, wanted, found = averaged(tmp_path, op, scales, side)
        assert np.array_equal(found, wanted) and len(np.unique(wanted)) > 50


def test_averages_of_windows_that_lie_half_way_between_two_levels(tmp_path: Path) -> None:
    _, wanted, found = averaged(tmp_path, "windows", (0.02, 0, 0.0173, 0), 4)
    assert np.array_equal(found, wanted)
    said = r"\(255 of 1,021 of them\) lie so near the middle of two levels .* by 1 at most"
    with pytest.raises(UnsupportedLayer, match=rf"^levels: QuantizeLinear behind an average .*{said}"):
        averaged(tmp_path, "windows", (0.02, 0, 0.02, 0), 4)
    network, wanted, found = averaged(tmp_path, "windows", (0.02, 0, 0.02, 0), 4, approximate=True)
    assert re.search(said, network.meta["approximate"]) and np.abs(found - wanted).max() <= 1


def test_the_highest_level_may_be_zero(tmp_path: Path) -> None:
    """A zero point of 255: 256 levels that end at 0."""
    built = Built(256, 1)
    x = built.op("QuantizeLinear", "x", np.float32(1 / 255), np.uint8(0))
    code = np.float32(1 / 255), np.uint8(255)
    x = built.op("QGemm", x, np.float32(1 / 255), np.uint8(0), np.array([[1]], np.int8), np.float32(1), np.int8(0),
                 np.array([-251], np.int32), *code, domain=MICROSOFT)  # fmt: skip
    path = built.save(tmp_path, built.op("DequantizeLinear", x, np.float32(1), code[1]), 1)
    network, pixels = Onnx().read(path), np.arange(256)
    assert isinstance(network, Network)
    found = golden.run(network, pixels[:, None, None, None]).logits
    assert np.array_equal(found, runtime(path, floats(pixels[:, None])))
    assert found.min() == -251 and found.max() == 0


def test_sums_that_have_no_place_are_refused(tmp_path: Path) -> None:
    code = np.float32(0.1), np.uint8(0)

    def eight(built: Built, x: Any) -> str:
        return built.op("DequantizeLinear", built.op("QuantizeLinear", x, *code), *code)

    def refused(message: str, last: Any) -> None:
        built = Built(1, 2)
        one = eight(built, "x")
        other = eight(built, built.op("Gemm", one, np.float32([[1, 2], [3, 4]])))
        with pytest.raises(UnsupportedLayer, match=message):
            Onnx().read(built.save(tmp_path, last(built, one, built.op("Add", one, other, name="sum"), other), 2))

    refused("^sum: Add of the sum sum, which nothing quantises .*QuantizeLinear directly", lambda b, x, y, z: y)
    refused("^Mul6: Mul of the sum sum, which", lambda b, x, y, z: b.op("Mul", y, np.float32(2)))
    refused("^Add6: Add of QuantizeLinear0 and itself", lambda b, x, y, z: eight(b, b.op("Add", x, x)))
    one = np.float32([[1], [2]])
    refused(r"^Add7: Add of \(1, 2\) .*: two tensors of one shape",
            lambda b, x, y, z: eight(b, b.op("Add", x, b.op("Gemm", z, one))))  # fmt: skip


def test_constants_for_channels(tmp_path: Path) -> None:
    """Added to all values of a tensor."""
    pixels = np.arange(256).repeat(4).reshape(-1, 4)
    code, into = (np.float32(0.02), np.uint8(50)), (np.float32(0.03), np.uint8(120))
    constant = np.array([[0, 77, 130, 255]], np.uint8)
    for first in (True, False):
        built = Built(256, 4)
        x = built.op("QuantizeLinear", "x", np.float32(1 / 255), np.uint8(0))
        terms = [(x, *code), (constant, np.float32(0.0171), np.uint8(99))]
        terms = terms if first else terms[::-1]
        x = built.op("QLinearAdd", *terms[0], *terms[1], *into, domain=MICROSOFT)
        path = built.save(tmp_path, built.op("DequantizeLinear", x, np.float32(1), into[1]), 4)
        network = Onnx().read(path)
        assert isinstance(network, Network)
        found = golden.run(network, pixels[:, :, None, None]).logits
        assert np.array_equal(found, runtime(path, floats(pixels)))
