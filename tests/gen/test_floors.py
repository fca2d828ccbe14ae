"""Floors of folds and the bounds made of them, against what the folds and the designs really take."""

from __future__ import annotations

import re

import numpy as np
import pytest
from all_folds import LAGS, chain, ending, everything, fire, memories, residual, upsampled

from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.bounds import heaviest_first, least_luts, refuse_too_large
from spikeloom.gen.folding.candidates import CandidateTable
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.floors import BLOCK_BITS, StageFloor, stage_floor
from spikeloom.gen.folding.lattice import lattice
from spikeloom.gen.folding.least import fits
from spikeloom.gen.folding.rates import WordRates
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.targets.fpga.devices import Device
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Flatten, Input, Linear, Node, Readout


def wide(bits: int = 4, rule: str = "causal", groups: int = 1) -> Network:
    """A convolution, a linear layer and a read-out with weights in block RAM in most folds; of one bit, or grouped."""
    rng = np.random.default_rng(5)

    def weight(*shape: int) -> np.ndarray:
        return rng.choice((-1, 1), shape) if bits == 1 else rng.integers(-7, 8, shape)

    kernel = weight(32, 16 // groups, 3, 3)
    nodes: list[Node] = [
        Input(name="input", shape=(16, 9, 40), high=15),
        Conv2d(name="one", source="input", weight=kernel, weight_bits=bits, stride=2, padding=1, groups=groups),
        fire("if1", "one", 32),
        Conv2d(name="two", source="if1", weight=weight(8, 32, 1, 1), weight_bits=bits),
        fire("if2", "two", 8),
        Flatten(name="flat", source="if2"),
        Linear(name="fc", source="flat", weight=weight(6, 800), weight_bits=bits),
        Readout(name="out", source="fc", bias=np.arange(6)),
    ]
    return Network(tuple(nodes), 2)


NETWORKS = {
    "chain": chain(),
    "residual": residual(),
    "memories": memories(),
    "upsampled": upsampled(),
    "wide": wide(),
    "bits": wide(1),
    "groups": wide(groups=4),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_no_fold_takes_less_than_its_floor(network: Network) -> None:
    tight = 0
    for layer in layers(network):
        for candidate in CandidateTable(layer, logic=True).candidates:
            floor = stage_floor(layer, [candidate.fold])
            luts, _, blocks, _ = candidate.area
            assert len(floor.cycles) == 1
            assert floor.cycles[0] <= candidate.cycles
            assert floor.luts[0] <= luts + 1e-9
            assert floor.rows[0] + floor.weights[0] <= blocks
            tight += floor.cycles[0] == candidate.cycles and floor.rows[0] + floor.weights[0] == blocks
    assert tight > 20  # and it is close


def test_all_floors_are_those_of_the_folds_and_their_places() -> None:
    for layer in layers(memories()):
        folds = [candidate.fold for candidate in CandidateTable(layer, logic=True).candidates]
        whole, each = stage_floor(layer, logic=True), [stage_floor(layer, [fold]) for fold in folds]
        mine = set(zip(whole.cycles, whole.weights, whole.luts, strict=True))
        assert {(floor.cycles[0], floor.weights[0], floor.luts[0]) for floor in each} <= mine
        places = {(floor.weights > 0).any() for floor in each}
        assert len(whole.cycles) == len(folds)
        assert len(stage_floor(layer).cycles) == len(folds) - (whole.weights > 0).sum()
        assert places == ({False, True} if layer.name == "one" else {False})


def test_skipped_words_are_no_bound_on_cycles() -> None:
    network = wide()
    frames = np.zeros((2, 16, 9, 40), int)
    frames[0, 0, 0, 0] = 1
    rates = WordRates(network, golden.run(network, frames).outputs)
    faster = 0
    for layer in layers(network):
        for candidate in CandidateTable(layer, rates=rates).candidates:
            floor = stage_floor(layer, [candidate.fold], skips=True)
            assert floor.cycles[0] <= candidate.cycles
            faster += stage_floor(layer, [candidate.fold]).cycles[0] > candidate.cycles
    assert faster > 5


def refused(floors: list[StageFloor], cycles: int | None, device: Device) -> bool:
    try:
        refuse_too_large(floors, cycles, device)
    except PlanError:
        return True
    return False


SLOW = [pytest.param(network(), marks=pytest.mark.slow, id=network.__name__) for network in (chain, memories)]


@pytest.mark.parametrize("network", [pytest.param(residual(), id="residual"), *SLOW])
def test_what_the_search_finds_is_not_refused(network: Network) -> None:
    occupancy = {layer.name: [LAGS] * len(layer.shortcuts) for layer in layers(network)}
    arcs = lattice(network, [CandidateTable(layer, logic=True) for layer in layers(network)], occupancy)
    floors = [stage_floor(layer, logic=True) for layer in layers(network)]
    designs = everything(network)
    cycles, costs = np.array([c for c, _ in designs]), np.array([r for _, r in designs])
    outcomes = {(found, bound): 0 for found in (False, True) for bound in (False, True)}
    rng = np.random.default_rng(0)
    for target in np.quantile(cycles, (0.01, 0.2, 1), method="lower").tolist():
        for _ in range(6):
            luts = int(rng.uniform(0.1, 1.2) * costs[:, 0].min() / 0.8)
            device = Device("small", luts, 4 + int(rng.integers(0, costs[:, 2].min() + 2)), 0)
            bare = (costs[cycles <= target][:, [0, 2]] <= device.budget[[0, 2]]).all(1).any()
            budget = np.array([device.budget[0], 1e9, device.budget[2], 0])  # no floor says anything of flip-flops
            found = fits(arcs, target, budget)
            assert found >= bare
            bound = refused(floors, target, device)
            assert not (found and bound)
            assert not (found and least_luts([f.within(target) for f in floors], device.budget[2]) > budget[0] + 1e-6)
            outcomes[found, bound] += 1
    assert outcomes[False, True] > 0


def test_too_many_weights_are_refused_before_the_search() -> None:
    rng = np.random.default_rng(6)
    nodes: list[Node] = [Input(name="input", shape=(128, 8, 8), high=1)]
    for k, outputs in enumerate((128, 256, 128)):
        source, inputs = (f"if{k - 1}", (128, 256)[k - 1]) if k else ("input", 128)
        weight = rng.integers(-7, 8, (outputs, inputs, 3, 3))
        nodes += [Conv2d(name=f"conv{k}", source=source, weight=weight, weight_bits=4, padding=1)]
        nodes += [fire(f"if{k}", f"conv{k}", outputs)]
    network = Network((*nodes, *ending(rng, "if2", 128 * 64)), 1)
    with pytest.raises(PlanError) as error:
        search(network, device="ecp5-12k")
    text = str(error.value)
    found = re.match(r"no design fits ecp5-12k: the weights, ([\d,]+) bits, take at least (\d+) block RAMs and", text)
    assert found is not None
    stored, blocks = int(found[1].replace(",", "")), int(found[2])
    weights = 9 * 128 * (128 + 256 + 256)  # of 4 bits; where few have a place in memory, they may fit into 3
    assert 3.6 * weights < stored <= 4 * (weights + 3 * 128 * 64)
    assert stored / BLOCK_BITS <= blocks < 1.15 * stored / BLOCK_BITS
    assert re.search(r"most of the weights are those of conv[12], [\d,]+ bits;", text)
    assert "of the 28 that may be used" in text
    assert "LUTs of the 9,715 that may be used" in text
    assert "fewer bits a weight or fewer channels" in text


def test_a_stage_that_is_too_large_alone_is_refused_before_the_others_are_looked_at() -> None:
    rng = np.random.default_rng(8)
    nodes: list[Node] = [Input(name="input", shape=(16, 8, 8), high=1)]
    for k, (outputs, inputs, kernel) in enumerate([(384, 16, 1), (384, 384, 3)]):
        weight = rng.integers(-7, 8, (outputs, inputs, kernel, kernel))
        source = f"if{k - 1}" if k else "input"
        nodes += [Conv2d(name=f"conv{k}", source=source, weight=weight, weight_bits=4, padding=kernel // 2)]
        nodes += [fire(f"if{k}", f"conv{k}", outputs)]
    network = Network((*nodes, *ending(rng, "if1", 384 * 64)), 1)
    with pytest.raises(PlanError) as error:
        search(network, device="ecp5-12k")
    found = re.match(r"no design fits ecp5-12k: the weights of 1 of 3 stages, ([\d,]+) bits, take at least (\d+) block "
                     r"RAMs .* those of conv1, \1 bits; ", str(error.value))  # fmt: skip
    assert found is not None
    weights, stored = 9 * 384 * 384, int(found[1].replace(",", ""))
    assert 3.6 * weights < stored <= 4 * weights and stored / BLOCK_BITS <= int(found[2]) < 1.15 * stored / BLOCK_BITS
    device = Device("enough", 2_000_000, 230, 0)  # its LUTs hold what its block RAMs do not
    order = heaviest_first(layers(network), device)
    assert [layer.name for layer, _ in order] == ["conv1", "fc", "conv0"] and not any(late for _, late in order)


def test_long_rows_are_refused_before_the_search() -> None:
    rng = np.random.default_rng(7)
    nodes: list[Node] = [
        Input(name="input", shape=(16, 6, 3000), high=255),
        Conv2d(name="long", source="input", weight=rng.integers(-7, 8, (1, 16, 3, 3)), weight_bits=4, padding=1),
        fire("if1", "long", 1),
    ]
    network = Network((*nodes, *ending(rng, "if1", 18_000)), 1)
    message = r"no design fits ecp5-12k: the rows that windows keep take at least \d+ block RAMs of the 28 .* of long, "
    with pytest.raises(PlanError, match=message + r".*smaller maps"):
        search(network, device="ecp5-12k")


def test_a_target_too_fast_for_the_device_is_refused_before_the_search() -> None:
    network = wide()
    least = min(CandidateTable(layer).fastest for layer in layers(network)[:1])
    with pytest.raises(PlanError, match=rf"no design of {least} cycles a frame fits ecp5-12k: with as much in block .*"
                                        r" LUTs of the 9,715 .* most of it in one; choose a larger device or more cyc"):
        search(network, least, "ecp5-12k")
