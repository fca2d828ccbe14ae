"""A small face detector with random weights, from the module to gates: eight maps, every word of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import spikeloom
from examples.face_detector.net import Slim
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.sim.verify import verify

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64)).astype(np.uint8)


@pytest.mark.slow
def test_a_small_detector_in_gates(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Slim(1).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_buffer("running_mean", torch.randn(module.num_features) / 10)
    network = spikeloom.convert(net, calibrate=PIXELS, pixel_range=(0, 255), mean=127, std=128).network
    design = Design(network, {layer.name: Fold(1, 1, 1) for layer in layers(network)})
    assert len(design.outputs) == 8
    outcome = verify(design, emit.write(design, tmp_path), tmp_path, PIXELS[:2], pauses=0.2)
    assert outcome.passed, outcome.differences
