"""A file of 8 bits, as ONNX Runtime quantises it, in gates: a sum of two scales, a concatenation, an average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeloom import api
from spikeloom.quant.frontends.onnx import Onnx
from spikeloom.quant.ir.network import Network
from spikeloom.sim.verify import verify

pytest.importorskip("onnxruntime", reason="onnxruntime, which quantises the file, is not installed")

from onnx_graphs import Built, floats, pixels, statically


def small(built: Built, rng: np.random.Generator) -> str:
    def conv(x: str, co: int, ci: int, k: int) -> str:
        weight = rng.normal(size=(co, ci, k, k)) / np.sqrt(ci * k * k)
        return built.op("Conv", x, weight, rng.normal(size=co) / 3, pads=[k // 2] * 4)

    x = one = built.op("Relu", conv("x", 4, 1, 3))
    x = built.op("Relu", built.op("Add", conv(x, 4, 4, 3), one))
    x = built.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = built.op("Concat", built.op("Relu", conv(x, 3, 4, 1)), conv(x, 2, 4, 1), axis=1)
    x = built.op("Flatten", built.op("GlobalAveragePool", x))
    return built.op("Gemm", x, rng.normal(size=(10, 5)), rng.normal(size=10) / 9, transB=1)


@pytest.mark.slow
def test_a_file_of_eight_bits_in_gates(tmp_path: Path) -> None:
    built, images = Built("N", 1, 6, 6), pixels((100, 1, 6, 6))
    path = built.save(tmp_path, small(built, np.random.default_rng(3)))
    network = Onnx().read(statically(path, tmp_path / "eight.onnx", [floats(images)]))
    assert isinstance(network, Network)
    design, contents = api.generate(network, tmp_path / "design", cycles=2000)
    outcome = verify(design, contents, tmp_path / "design", images[:2])
    assert outcome.passed, "\n".join(map(str, outcome.differences))
