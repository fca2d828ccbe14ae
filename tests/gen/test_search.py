"""The search for folds against all folds there are, under the same cost model."""

from __future__ import annotations

import numpy as np
import pytest
from all_folds import LAGS, chain, conv, ending, everything, fire, residual, upsampled

from spikeloom.gen.design import Design
from spikeloom.gen.emit.writer import performance
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.candidates import CandidateTable
from spikeloom.gen.folding.find import auto, search
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.folding.lattice import lattice
from spikeloom.gen.folding.least import ORDER, fits, smallest
from spikeloom.gen.folding.rates import WordRates
from spikeloom.gen.lowering.kinds import sizes
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage, fold_choices, walk_of
from spikeloom.gen.targets.fpga.devices import DEVICES
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, Readout


@pytest.mark.parametrize("network", [pytest.param(chain(), id="chain", marks=pytest.mark.slow),
                                     pytest.param(residual(), id="residual"),
                                     pytest.param(upsampled(), id="upsampled", marks=pytest.mark.slow)])  # fmt: skip
def test_the_search_finds_what_trying_everything_finds(network: Network) -> None:
    designs = everything(network)
    assert len(designs) > 400
    occupancy = {layer.name: [LAGS] * len(layer.shortcuts) for layer in layers(network)}
    arcs = lattice(network, [CandidateTable(layer) for layer in layers(network)], occupancy)
    cycles, costs = np.array([c for c, _ in designs]), np.array([r for _, r in designs])
    rng = np.random.default_rng(0)
    outcomes = set()
    for target in np.unique(cycles):
        allowed = costs[cycles <= target]
        found = smallest(arcs, int(target))
        assert found is not None and found.size == pytest.approx((allowed @ ORDER).min())
        for _ in range(8):  # budgets around those of some design, so that several resources bind
            budget = allowed[rng.integers(len(allowed))] * np.r_[rng.uniform(0.8, 1.1, 3), 1]
            inside = allowed[(allowed <= budget).all(1)]
            outcomes.add(len(inside) > 0)
            assert fits(arcs, int(target), budget) == (len(inside) > 0)
            within = smallest(arcs, int(target), budget)
            if len(inside):
                assert within is not None and within.size == pytest.approx((inside @ ORDER).min())
            else:
                assert within is None
    assert smallest(arcs, int(cycles.min()) - 1) is None
    assert outcomes == {False, True}


@pytest.mark.parametrize("network", [chain(), residual(), upsampled()], ids=["chain", "residual", "upsampled"])
def test_a_target_is_met_by_the_cycle_law(network: Network) -> None:
    fastest = max(CandidateTable(layer).fastest for layer in layers(network))
    for target in (fastest, 2 * fastest, 500):
        found = search(network, target)
        assert found.interval <= target
        assert performance(found.design)["interval"] == found.interval


def test_a_stage_that_is_done_before_its_next_words_come_makes_others_wait_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sizes, "MOST_PIXELS", 1)  # with several pixels no stage waits here
    draw = np.random.default_rng(0).integers
    zero, lanes = np.zeros(6, int), {"conv": Fold(1, 1, 1)}
    network = Network(
        (
            Input(name="input", shape=(4, 3, 7), high=2),
            Conv2d(name="first", source="input", weight=draw(-7, 8, (6, 4, 1, 1)), weight_bits=4, stride=3),
            Gain(name="shortcut", source="input", gain=zero + 1, stride=3, offset=2),
            Add(name="sum", source="first", other="shortcut"),
            IF(name="if1", source="sum", threshold=zero + 4, bias=zero, v0=zero),
            Conv2d(name="conv", source="if1", weight=draw(-1, 2, (1, 6, 1, 2)), weight_bits=2, stride=2),
            IF(name="if2", source="conv", threshold=zero[:1] + 4, bias=zero[:1], v0=zero[:1]),
            Flatten(name="flat", source="if2"),
            Linear(name="last", source="flat", weight=draw(-3, 4, (2, 1)), weight_bits=3),
            Readout(name="out", source="last", bias=zero[:2]),
        ),
        steps=1,
    )
    words = 3 * 7  # one a pixel: as many cycles as the input takes, whatever the stages do
    slow = Design(network, search(network, words + 10, given=lanes, counts=False).folds, counts=False)
    assert next(s for s in slow.stages if s.name == "first").cycles < words < performance(slow)["interval"]
    found = search(network, words, given=lanes, counts=False)
    assert found.interval == words == performance(found.design)["interval"]
    assert found.folds["first"].outputs > slow.folds["first"].outputs
    assert any("words bind" in line for line in found.log)
    with pytest.raises(PlanError, match="first: needs at least 21 cycles a frame, more than the target of 20"):
        search(network, words - 1, given=lanes, counts=False)


def test_a_device_gets_the_fastest_design_that_fits() -> None:
    network = chain()
    found = search(network, device="ecp5-12k")
    assert (found.cost <= DEVICES["ecp5-12k"].budget).all()
    assert found.interval == found.cycles
    assert any("binds" in line for line in found.log)
    # With a target as well, the smallest one is enough.
    small = search(network, 200, "ecp5-12k")
    assert small.interval <= 200
    assert small.cost[0] < found.cost[0]


def test_folds_that_are_given_stay() -> None:
    given = {"two": Fold(3, 1, 2)}
    assert search(chain(), 400, given=given).folds["two"] == given["two"]


def test_what_cannot_be_says_why() -> None:
    with pytest.raises(PlanError, match=r"one: needs at least \d+ cycles a frame, more than the target of 3"):
        auto(chain(), 3)
    with pytest.raises(PlanError, match="device must be one of ecp5-12k, .* not 'ecp5-1k'"):
        auto(chain(), device="ecp5-1k")


def test_too_small_a_device_names_the_resource() -> None:
    rng = np.random.default_rng(3)
    wide = Network(
        (
            Input(name="input", shape=(512, 1, 1), high=1),
            Linear(name="fc", source="input", weight=rng.integers(-7, 8, (256, 512)), weight_bits=4),
            Readout(name="out", source="fc", bias=np.arange(256)),
        ),
        1,
    )
    with pytest.raises(PlanError, match=r"fits ecp5-12k: .* takes \d\d block RAMs of 28; choose a larger device"):
        Design(wide, auto(wide, device="ecp5-12k"))


def test_the_search_with_skipping_finds_what_trying_everything_finds() -> None:
    rng = np.random.default_rng(1)
    nodes = [Input(name="input", shape=(8, 4, 4), high=3), conv(rng, "one", "input", (16, 8)), fire("if1", "one", 16)]
    network = Network((*nodes, *ending(rng, "if1", 256)), 2)
    given = {layer.name: Fold(1, 16, 1) for layer in layers(network)[1:]}
    frames = np.random.default_rng(4).integers(0, 4, (20, 8, 4, 4)) * (np.arange(16).reshape(4, 4) % 5 == 0)
    rates = WordRates(network, golden.run(network, frames).outputs)
    designs = everything(network, rates, given)
    folds = [(layer, [given[layer.name]] if layer.name in given else None) for layer in layers(network)]
    arcs = lattice(network, [CandidateTable(layer, fold, rates=rates) for layer, fold in folds], {})
    dense = lattice(network, [CandidateTable(layer, fold) for layer, fold in folds], {})
    cycles, costs = np.array([c for c, _ in designs]), np.array([r for _, r in designs])
    better = 0
    for target in range(cycles.min(), cycles.max()):
        found, without = smallest(arcs, target), smallest(dense, target)
        assert found is not None and found.size == pytest.approx((costs[cycles <= target] @ ORDER).min())
        better += without is None or found.size < without.size
    assert 0 < better < cycles.max() - cycles.min()


@pytest.mark.parametrize("network", [chain(), residual()], ids=["chain", "residual"])
def test_walks_are_known_before_a_stage_is_built(network: Network) -> None:
    for layer in layers(network):
        walks = {}
        for fold in fold_choices(layer):
            try:
                walks[fold] = build_stage(layer, fold).cycles
            except PlanError:
                continue
            assert walk_of(layer, fold) in (0, walks[fold]), (layer.name, fold)
        if walk_of(layer, next(iter(walks))):
            most = sorted(walks.values())[len(walks) // 2]
            table = CandidateTable(layer, most=most)
            assert {c.fold for c in table.candidates} == {fold for fold, walk in walks.items() if walk <= most}
