"""Packed weight memories in whole designs: golden model, core models, Verilog and netlist agree, pixel after pixel and
through pauses and resets; what they cost, and that the search takes them where block RAMs are what it lacks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_residual import check

from spikeloom.gen.cost.model import area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.candidates import CandidateTable
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.floors import stage_floor
from spikeloom.gen.folding.fold import Fold, folds_toml, read_folds
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.targets.fpga.devices import DEVICES, Device
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Node, Readout
from spikeloom.sim.verify import verify

RNG = np.random.default_rng(7)


def network() -> Network:
    """A convolution of 576 rows in some folds, a linear layer of 576 and one of 650, lossless neurons."""

    def fire(name: str, source: str, channels: int, level: int) -> IF:
        threshold = RNG.integers(level, 2 * level, channels)
        return IF(name=name, source=source, threshold=threshold, bias=RNG.integers(-9, 10, channels),
                  v0=threshold // 2, rule="lossless")  # fmt: skip

    def weight(*shape: int) -> np.ndarray:
        return RNG.integers(-127, 128, shape)

    nodes: list[Node] = [
        Input(name="input", shape=(16, 2, 3), high=15),
        Conv2d(name="conv", source="input", weight=weight(16, 16, 3, 3), weight_bits=8, padding=1),
        fire("conv_if", "conv", 16, 900),
        Flatten(name="flat", source="conv_if"),
        Linear(name="hidden", source="flat", weight=weight(18, 96), weight_bits=8),
        fire("hidden_if", "hidden", 18, 300),
        Linear(name="last", source="hidden_if", weight=weight(108, 18), weight_bits=8),
        Readout(name="readout", source="last", bias=RNG.integers(-9, 10, 108)),
    ]
    return Network(tuple(nodes), 3)


NETWORK = network()
FOLDS = {
    "conv": Fold(2, 2, 1, packed=True),
    "hidden": Fold(3, 1, 1, packed=True),
    "last": Fold(3, 1, 1, packed=True),
}
OTHERS = {
    "conv": Fold(2, 2, 1, pixels=2, multiply=True, packed=True),
    "hidden": Fold(3, 1, 1, multiply=True, packed=True),
    "last": Fold(3, 1, 1, multiply=True, packed=True),
}


def plain(folds: dict[str, Fold]) -> Design:
    return Design(NETWORK, {name: replace(fold, packed=False) for name, fold in folds.items()})


@pytest.mark.parametrize("folds", [FOLDS, OTHERS], ids=["additions", "multipliers"])
def test_golden_model_core_models_and_rtl_agree(folds: dict[str, Fold]) -> None:
    check(Design(NETWORK, folds))


@pytest.mark.parametrize(
    "folds", [pytest.param(FOLDS, marks=pytest.mark.slow, id="additions"), pytest.param(OTHERS, id="multipliers")]
)
def test_verilog_and_what_it_takes(folds: dict[str, Fold], tmp_path: Path) -> None:
    design, before = Design(NETWORK, folds), plain(folds)
    contents = emit.write(design, tmp_path)
    frames = np.random.default_rng(5).integers(0, 16, (8, 16, 2, 3))
    outcome = verify(design, contents, tmp_path, frames, pauses=0.2, resets=2)
    assert outcome.passed, [str(d) for d in outcome.differences]
    cells, modelled = synthesise(tmp_path, contents, "ecp5"), total(area(e.spec) for e in design.elements)
    assert cells["ebr"] == modelled.ebr == total(area(e.spec) for e in before.elements).ebr - 3
    assert cells["ff"] == pytest.approx(modelled.ff, rel=0.04)
    assert cells["lut4_eq"] == pytest.approx(modelled.lut4_eq, rel=0.12)
    assert emit.performance(design) == emit.performance(before), "a packed memory moves no word"


@pytest.mark.slow
def test_netlist(tmp_path: Path) -> None:
    design = Design(NETWORK, FOLDS)
    contents = emit.write(design, tmp_path)
    frames = np.random.default_rng(5).integers(0, 16, (3, 16, 2, 3))
    outcome = verify(design, contents, tmp_path, frames, netlist="ecp5")
    assert outcome.passed, [str(d) for d in outcome.differences]


def test_the_search_packs_where_block_rams_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = list[int]()
    blocks = 12
    while True:
        monkeypatch.setitem(DEVICES, "ecp5-tiny", Device("ecp5-tiny", 1_600, blocks + 4, 0))
        try:
            found = search(NETWORK, 5_000, "ecp5-tiny")
        except PlanError as error:
            assert "fits ecp5-tiny" in str(error)
            break
        assert found.cost[2] <= blocks and found.interval <= 5_000
        packed.append(sum(fold.packed for fold in found.folds.values()))
        blocks = int(found.cost[2]) - (found.cost[2] == blocks)  # in between the same design is the smallest
    assert packed[0] == 0 and max(packed) > 0


def test_no_packed_fold_takes_less_than_its_floor() -> None:
    packed = 0
    for layer in layers(NETWORK):
        candidates = CandidateTable(layer, logic=True).candidates
        whole = stage_floor(layer, logic=True)
        assert len(whole.cycles) == len(candidates)
        for candidate in (c for c in candidates if c.fold.packed):
            floor = stage_floor(layer, [candidate.fold])
            assert (len(floor.cycles), floor.cycles[0]) == (1, candidate.cycles)
            assert floor.luts[0] <= candidate.area[0] and floor.rows[0] + floor.weights[0] <= candidate.area[2]
            assert (floor.cycles[0], floor.weights[0], floor.luts[0]) in zip(
                whole.cycles, whole.weights, whole.luts, strict=True
            )
            packed += floor.rows[0] + floor.weights[0] == candidate.area[2]
    assert packed > 3


def test_fold_files_have_the_key(tmp_path: Path) -> None:
    (tmp_path / "fold.toml").write_text(folds_toml(FOLDS))
    assert "packed = true" in folds_toml(FOLDS) and read_folds(tmp_path / "fold.toml") == FOLDS
