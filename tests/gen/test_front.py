"""The front of a space of folds against all folds there are."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from all_folds import LAGS, chain, everything, memories, residual

from spikeloom.gen.cost.model import area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit.writer import performance
from spikeloom.gen.folding.front import front
from spikeloom.gen.folding.pareto import undominated
from spikeloom.gen.folding.space import Space
from spikeloom.gen.targets.fpga.devices import DEVICES, resources
from spikeloom.quant.ir.network import Network

COLUMNS = [0, 1, 3]
"""Cycles, LUTs, block RAMs of (cycles, LUTs, flip-flops, block RAMs)."""


def space_of(network: Network, **options) -> Space:
    space = Space(network, **options)
    space.settle({layer.name: [LAGS] * len(layer.shortcuts) for layer in space.layers})
    return space


def tried(network: Network) -> np.ndarray:
    """(cycles, LUTs, flip-flops, block RAMs) of all designs."""
    return np.array([[cycles, *cost] for cycles, cost in everything(network)])


def table(figures: np.ndarray) -> list[list[float]]:
    """The rows that no other beats in cycles, LUTs and block RAMs."""
    rows = np.round(figures[:, COLUMNS], 3)
    return np.unique(rows[undominated(rows)], axis=0).tolist()


@pytest.mark.parametrize("network", [
    pytest.param(chain(), id="chain", marks=pytest.mark.slow), pytest.param(residual(), id="residual"),
    pytest.param(memories(), id="memories", marks=pytest.mark.slow),
])  # fmt: skip
def test_the_front_is_that_of_all_designs(network: Network) -> None:
    designs, space = tried(network), space_of(network)
    found = front(space.arcs, space.steps)
    figures = np.array([[point.cycles, *point.cost] for point in found.points])
    assert table(figures) == np.round(figures[:, COLUMNS], 3).tolist() == table(designs)
    assert len(found.points) >= 5 and found.evaluated < len(designs) * len(space.steps)
    assert space.designs == len(designs) == prod(len(t.candidates) for t in space.tables)
    # A budget that each resource keeps some designs out of.
    rng = np.random.default_rng(5)
    outcomes = set()
    for _ in range(12):
        budget = designs[rng.integers(len(designs)), 1:] * np.r_[rng.uniform(0.95, 1.2, 3), 1]
        inside = designs[(designs[:, 1:] <= budget).all(1)]
        found = front(space.arcs, space.steps, budget)
        figures = np.array([[point.cycles, *point.cost] for point in found.points]).reshape(-1, 5)
        assert np.round(figures[:, COLUMNS], 3).tolist() == (table(inside) if len(inside) else [])
        cheap = designs[(designs[:, [1, 3]] <= budget[[0, 2]]).all(1)]
        outcomes.add("flip-flops" if table(cheap) != table(inside) else "other")
    assert "other" in outcomes and ("flip-flops" in outcomes or network.steps == 1)


def test_many_designs_at_once_are_what_each_is() -> None:
    network = chain()
    space = space_of(network)
    choices = space.random(40, seed=3)
    assert len(np.unique(choices, axis=0)) > 30
    cycles, costs = space.evaluate(choices)
    for chosen, slowest, cost in zip(choices, cycles, costs, strict=True):
        design = Design(network, space.folds(chosen))
        assert cost == pytest.approx(resources(total(area(element.spec) for element in design.elements)))
        own = max(stage.cycles for stage in design.stages)
        assert slowest == max(own, *(b.words_per_frame for b in design.boundaries)) <= performance(design)["interval"]


def test_a_front_that_does_not_fit_is_empty_and_steps_bound_it() -> None:
    space = Space(chain())
    assert front(space.arcs, space.steps, np.zeros(3)).points == []
    assert front(space.arcs, [int(space.steps[0]) - 1]).points == []
    slow = front(space.arcs, space.steps, DEVICES["ecp5-12k"].budget).points
    half = front(space.arcs, space.steps[: len(space.steps) // 2], DEVICES["ecp5-12k"].budget).points
    assert [p.cycles for p in half] == [p.cycles for p in slow if p.cycles <= space.steps[len(space.steps) // 2 - 1]]
