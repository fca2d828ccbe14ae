"""A design that skips all-zero words: its Verilog in every cycle, on real, on the sparsest and the densest images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.folding.rates import WordRates
from spikeloom.gen.lowering.plan import build_stage
from spikeloom.quant import data, golden
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Input, Linear, Readout
from spikeloom.sim.verify import verify

ROOT = Path(__file__).parents[2]
FOLDS = {
    "conv1": Fold(8, 3, 1),
    "pool1": Fold(4, 4, 1),
    "conv2": Fold(8, 1, 4, skip=True),
    "pool2": Fold(2, 2, 1),
    "classes": Fold(2, 1, 1, skip=True),
}


def test_every_cycle_of_a_skipping_design(tmp_path: Path) -> None:
    network = netfile.load(ROOT / "models" / "digits-t4w4.safetensors")
    images = data.load("digits").test_x.reshape(-1, *network.input.shape)[:20]
    zero, high = np.zeros_like(images[:1]), np.full_like(images[:1], network.input.high)
    frames = np.concatenate([images, zero, zero, high, high, images[:1], zero])
    design = Design(network, FOLDS)
    contents = emit.write(design, tmp_path)
    assert Fold(**contents["folds"]["conv2"]) == FOLDS["conv2"] and contents["folds"]["conv2"]["skip"] is True
    assert emit.read(tmp_path)[0].folds == FOLDS
    runs = [
        verify(design, contents, tmp_path, frames),
        verify(design, contents, tmp_path, frames, pauses=0.4, seed=2, resets=((3000, 2), (20_000, 7))),
    ]
    for run in runs:
        assert run.passed, str(run.differences[0])
    assert np.array_equal(runs[0].answers, golden.run(network, frames).classes)


def test_skipping_saves_what_the_rates_say() -> None:
    network = netfile.load(ROOT / "models" / "digits-t4w4.safetensors")
    images = data.load("digits").test_x.reshape(-1, *network.input.shape)[:60]
    rates = WordRates(network, golden.run(network, images).outputs)
    design = Design(network, FOLDS)
    dense = Design(network, {name: replace(fold, skip=False) for name, fold in FOLDS.items()})
    interval = emit.performance(design, images=images)["interval"]
    (conv2,) = (stage for stage in design.stages if stage.name == "conv2")
    # The bottleneck of both; between frames a few cycles more or less, as the next frame is sparser or denser.
    assert abs(interval / rates.cycles(conv2) - 1) < 0.02
    assert emit.performance(dense)["interval"] == 2304 and interval < 1000
    table = rates.table()
    assert table["conv1"] == {} and list(table["conv2"]) == [1, 2, 4]
    assert 0.3 < table["conv2"][1] < table["conv2"][2] < table["conv2"][4] < 1


def test_the_search_skips_where_that_is_smaller() -> None:
    """Chosen on 60 images, for a mean: in the law other images keep within 3 % of it."""
    network = netfile.load(ROOT / "models" / "digits-t4w4.safetensors")
    images = data.load("digits").test_x.reshape(-1, *network.input.shape)
    rates = WordRates(network, golden.run(network, images[:60]).outputs)
    dense, found = search(network, 1000), search(network, 1000, rates=rates)
    assert found.folds["conv2"].skip and found.interval <= 1000 and found.cost[0] < 0.9 * dense.cost[0]
    assert emit.performance(found.design, images[60:160])["interval"] <= 1030
    # Without a zero word it takes what its slowest stage takes, which is more than was asked for.
    slowest = max(stage.cycles for stage in found.design.stages)
    assert emit.performance(found.design)["interval"] == slowest > 1000
    assert "cycles are means over 60 frames" in found.log[0]
    # So fast a design has all inputs at once, of whose words few are zero.
    dense, found = search(network, 288), search(network, 288, rates=rates)
    assert found.folds == dense.folds and not any(fold.skip for fold in found.folds.values())


def test_rates_by_hand() -> None:
    network = netfile.load(ROOT / "models" / "digits-t4w4.safetensors")
    outputs = golden.run(network, data.load("digits").test_x.reshape(-1, *network.input.shape)[:3]).outputs
    rates = WordRates(network, outputs)
    layer = next(layer for layer in Design(network, FOLDS).layers if layer.name == "conv2")
    spikes = np.pad(outputs[layer.nodes[0].source], ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1)))
    n, _, channels, height, width = spikes.shape
    kept = 0
    for y in range(height - 2):
        for x in range(width - 2):
            taps = spikes[:, :, :, y : y + 3, x : x + 3].reshape(n, network.steps, channels // 2, 2, 9)
            kept += taps.any(axis=(1, 3)).sum()
    assert rates.share("conv2", 2) == kept / (n * (height - 2) * (width - 2) * 9 * channels // 2)
    assert rates.cycles(build_stage(layer, Fold(16, 2, 4, skip=True))) >= kept / n


def small() -> Network:
    """A block whose second convolution, scanned for one group of time steps after the other, is one cycle long."""

    def fire(source: str, channels: int, rule: Any) -> IF:
        ones = np.ones(channels, np.int64)
        return IF(name=f"{source}_if", source=source, threshold=ones, bias=0 * ones, v0=0 * ones, rule=rule)

    def conv(name: str, source: str, co: int, *rest: int, stride: int = 1) -> Conv2d:
        return Conv2d(name=name, source=source, weight=np.ones((co, *rest), np.int64), weight_bits=2, stride=stride)

    return Network(
        (
            Input(name="input", shape=(4, 4, 3), high=2),
            conv("first", "input", 1, 4, 2, 3, stride=3),
            fire("first", 1, "lossless"),
            conv("a", "first_if", 2, 1, 1, 1),
            fire("a", 2, "lossless"),
            conv("b", "a_if", 1, 2, 1, 1),
            conv("past", "first_if", 1, 1, 1, 1),
            Add(name="sum", source="b", other="past"),
            fire("sum", 1, "signed"),
            Flatten(name="flat", source="sum_if"),
            Linear(name="last", source="flat", weight=[[1], [-1]], weight_bits=2),
            Readout(name="readout", source="last", bias=[0, 0]),
        ),
        steps=8,
    )


def test_where_skipping_stages_wait_the_search_goes_on_without() -> None:
    network = small()
    rates = WordRates(network, golden.run(network, np.zeros((2, *network.input.shape), np.int64)).outputs)
    found = search(network, 12, rates=rates)
    assert found.interval <= 12 and not found.design.sparse
    assert "no faster one skips words: searching without" in found.log


def test_no_design_without_waiting() -> None:
    rule = "no design of 12 cycles a frame was found: stages wait for each other, so that by the cycle law the fastest "
    with pytest.raises(PlanError, match=f"{rule}that was tried takes 16; choose a target of 16 or more"):
        search(small(), 12, given={"b": Fold(1, 1, 2, skip=True)})
    assert search(small(), 16, given={"b": Fold(1, 1, 2, skip=True)}).interval == 16
