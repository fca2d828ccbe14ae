"""Networks small enough to try all folds of theirs, and those tries, each from the elements of the design itself."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from itertools import product
from math import ceil
from typing import Any

import numpy as np

from spikeloom.gen.cost.model import Area, area, total
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.candidates import merge_depth
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.folding.rates import WordRates
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage, fold_choices
from spikeloom.gen.lowering.streams import connect, with_depths
from spikeloom.gen.targets.fpga.devices import resources
from spikeloom.hdl.streams.stage import StageSpec
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, MapReadout, Node, Readout, SumPool
from spikeloom.quant.ir.ops.upsample import Upsample

LAGS = 3.5
"""Pixels in the FIFO of every shortcut."""


def fire(name: str, source: str, channels: int) -> IF:
    ones = np.ones(channels, int)
    return IF(name=name, source=source, threshold=7 * ones, bias=ones, v0=3 * ones, rule="causal", strict=False)


def conv(rng: np.random.Generator, name: str, source: str, shape: tuple[int, int]) -> Conv2d:
    return Conv2d(name=name, source=source, weight=rng.integers(-7, 8, (*shape, 3, 3)), weight_bits=4, padding=1)


def ending(rng: np.random.Generator, source: str, inputs: int) -> list[Node]:
    return [
        Flatten(name="flat", source=source),
        Linear(name="fc", source="flat", weight=rng.integers(-7, 8, (3, inputs)), weight_bits=4),
        Readout(name="out", source="fc", bias=np.arange(3)),
    ]


def chain() -> Network:
    rng = np.random.default_rng(1)
    nodes: list[Node] = [
        Input(name="input", shape=(1, 4, 4), high=3),
        conv(rng, "one", "input", (2, 1)),
        fire("if1", "one", 2),
        SumPool(name="pool", source="if1", kernel=2, stride=2),
        conv(rng, "two", "pool", (3, 2)),
        fire("if2", "two", 3),
    ]
    return Network((*nodes, *ending(rng, "if2", 12)), 2)


def residual() -> Network:
    """The input goes to a convolution and to a shortcut; a strided shortcut with padded channels follows."""
    rng = np.random.default_rng(2)
    nodes: list[Node] = [
        Input(name="input", shape=(2, 4, 4), high=3),
        conv(rng, "one", "input", (2, 2)),
        Gain(name="skip1", source="input", gain=np.array([3, 5])),
        Add(name="add1", source="one", other="skip1"),
        fire("if1", "add1", 2),
        Conv2d(name="two", source="if1", weight=rng.integers(-7, 8, (4, 2, 3, 3)), weight_bits=4, stride=2, padding=1),
        Gain(name="skip2", source="if1", gain=np.arange(1, 5), stride=2, offset=1),
        Add(name="add2", source="two", other="skip2"),
        fire("if2", "add2", 4),
    ]
    return Network((*nodes, *ending(rng, "if2", 16)), 1)


def upsampled() -> Network:
    """A pool, an upsampling and a convolution; a shortcut past them, with a convolution of its own; their sum is a
    map."""
    rng = np.random.default_rng(4)
    nodes: list[Node] = [
        Input(name="input", shape=(2, 4, 4), high=3),
        SumPool(name="pool", source="input", kernel=2, stride=2),
        Upsample(name="up", source="pool", factor=2),
        conv(rng, "one", "up", (2, 2)),
        conv(rng, "skip", "input", (2, 2)),
        Add(name="add", source="one", other="skip"),
        MapReadout(name="map", source="add", bias=np.arange(2)),
    ]
    return Network(tuple(nodes), 1)


def memories() -> Network:
    """Two linear layers whose weights are in block RAM in some folds."""
    rng = np.random.default_rng(3)
    nodes: list[Node] = [
        Input(name="input", shape=(64, 1, 1), high=3),
        Linear(name="one", source="input", weight=rng.integers(-7, 8, (48, 64)), weight_bits=4),
        fire("if1", "one", 48),
    ]
    return Network((*nodes, *ending(rng, "if1", 48)), 2)


def everything(
    network: Network, rates: WordRates | None = None, given: dict[str, Fold] | None = None
) -> list[tuple[int, np.ndarray]]:
    """(cycles, resources) of the designs of all folds, from the elements of each design itself; with ``rates`` of those
    that skip words as well; stages in ``given`` have the folds given."""
    cut = layers(network)
    stages = []
    for layer in cut:
        found = []
        if given and layer.name in given:
            folds = [given[layer.name]]
        else:
            folds = fold_choices(layer)
            folds += [replace(fold, skip=True) for fold in folds if rates is not None]
        for fold in folds:
            try:
                stage = build_stage(layer, fold)
            except PlanError:
                continue
            found += with_depths([stage], {stage.name: [merge_depth(m, LAGS) for m in stage.merges]})
        stages.append(found)
    all_stages = [stage for found in stages for stage in found]
    own = {id(s): ceil(rates.cycles(s)) if rates is not None and s.window.chunk else s.cycles for s in all_stages}
    # A stage is an element of many designs, and so are conversions and forks between stages, which are equal.
    areas: dict[Hashable, Area] = {id(stage): area(stage) for stage in all_stages}

    def area_of(spec: Any) -> Area:
        key = id(spec) if isinstance(spec, StageSpec) else spec
        if key not in areas:
            areas[key] = area(spec)
        return areas[key]

    designs = []
    for chosen in product(*stages):
        elements, boundaries = connect(network, cut, list(chosen))
        cycles = max(*(own[id(s)] for s in chosen), *(b.words_per_frame for b in boundaries))
        designs.append((cycles, resources(total(area_of(element.spec) for element in elements))))
    return designs
