"""A small face detector with random weights, from the module to gates: eight maps, every word of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import spikeloom
from examples.face_detector.net import Slim
from spikeloom.gen.cost.model import area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold, read_folds
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage
from spikeloom.gen.targets.fpga.devices import DEVICES
from spikeloom.sim.verify import verify

FOLDS = Path(__file__).resolve().parents[2] / "examples" / "face_detector" / "slim_w8_fold.toml"
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


@pytest.mark.slow
def test_the_folds_of_the_example_fit_an_lfe5u_85f() -> None:
    torch.manual_seed(0)
    photograph = np.random.default_rng(0).integers(0, 256, (2, 3, 240, 320)).astype(np.uint8)
    network = spikeloom.convert(Slim().eval(), calibrate=photograph, pixel_range=(0, 255), mean=127, std=128).network
    folds = read_folds(FOLDS)
    stages = [build_stage(layer, folds[layer.name]) for layer in layers(network)]
    whole, (luts, flip_flops, blocks, _) = total(area(stage) for stage in stages), DEVICES["ecp5-85k"].budget
    assert whole.ebr <= blocks and whole.lut4_eq <= luts and whole.ff <= flip_flops
    assert sum(stage.window.block_rams for stage in stages) <= 80
    assert max(stage.window.cycles for stage in stages) == 691_200
