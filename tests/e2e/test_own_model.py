"""A user's own residual network, no model of the project's: converted, generated, and simulated as emitted Verilog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from own_model import learn, right, small_digits

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import integer_network
from spikeloom.quant.ir.network import Network
from spikeloom.quant.methods.dual_phase.algorithm import calibrate_membranes
from spikeloom.quant.methods.fast_snn import algorithm as fast_snn
from spikeloom.quant.methods.integernet import algorithm as integernet
from spikeloom.quant.methods.integernet import integer_start
from spikeloom.quant.methods.layerwise import spiking_copy
from spikeloom.quant.methods.qcfs.algorithm import calibrate, prepare
from spikeloom.quant.methods.spiking_resnet import algorithm as spiking_resnet
from spikeloom.quant.qat.integer_graph import IntegerGraph
from spikeloom.sim.verify import verify


def converted(method: str) -> Network:
    """The trained network by a method, T = 4, 3 or 8, or in values."""
    model, data, _ = small_digits()
    x, y = torch.from_numpy(data.train_x).float() / 15, torch.from_numpy(data.train_y)
    torch.manual_seed(0)
    if method == "spiking_resnet":
        graph, _ = spiking_resnet.spiking_graph(
            model, x[:200] * 15, shape=data.shape, percentile=99.5, input_high=15, steps=8, weight_bits=6
        )
        return integer_network(graph, shape=data.shape)
    if method == "integernet":
        net = integernet.prepare(model, 4, data.shape, beta=True)
        integer_start.start(net, model, x[:300] * 15, 15)
        learn(net, x[:1200] * 15, y[:1200], 6, 2e-2, torch.float32)  # the type that its integers stand in
        return integernet.convert(net, shape=data.shape, input_high=15)
    if method == "fast_snn":
        quantised: Any = fast_snn.prepare(model, 2, weight_bits=4, grid="uniform")
        calibrate(quantised, x[:500], quantile=0.99)
        learn(quantised, x[:1200], y[:1200], 4, 2e-3)
        graph = fast_snn.integer_graph(quantised.eval(), input_high=15, shape=data.shape)
        return integer_network(spiking_copy(graph, "signed", strict=False), shape=data.shape)
    quantised = prepare(model, 4)
    calibrate(quantised, x[:500], quantile=0.99)
    learn(quantised, x[:1200], y[:1200], 4, 2e-3)
    assert right(quantised, x[1200:], y[1200:]) > 0.85
    graph = IntegerGraph(quantised, input_high=15, steps=4, weight_bits=4, shape=data.shape).eval()
    if method == "dual_phase":
        spiking = spiking_copy(graph, "causal", strict=False)
        calibrate_membranes(spiking, graph, x[:200] * 15)
        return integer_network(spiking, shape=data.shape)
    return integer_network(graph, shape=data.shape, rule="lossless" if method == "qcfs_lossless" else "causal")


METHODS = ("qcfs", "qcfs_lossless", "dual_phase", "fast_snn", "spiking_resnet", "integernet")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_in_gates(method: str, tmp_path: Path) -> None:
    network, (_, data, _) = converted(method), small_digits()
    design = Design(network, auto(network, 8000))
    contents = emit.write(design, tmp_path)
    run = verify(design, contents, tmp_path, data.test_x[:20], pauses=0.2, seed=1)
    assert run.passed, run.differences[0]
    assert (run.answers == golden.run(network, data.test_x[:20]).classes).all()
    assert (run.answers == data.test_y[:20]).mean() >= 0.7
