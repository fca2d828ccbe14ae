"""Shortcuts that come later than what they are added to: the stage of the sum keeps the rows that wait for them."""

from __future__ import annotations

import numpy as np
import pytest
from test_residual import check

from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage, fold_choices
from spikeloom.gen.lowering.streams import with_rows
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, Node, Readout

C = 2


def late(depth: int, kernel: int, height: int) -> Network:
    """A sum of a convolution of ``kernel`` and of what came through ``depth`` others, one after the other."""
    rng = np.random.default_rng(depth)
    nodes: list[Node] = [Input(name="input", shape=(C, height, 3), high=15)]

    def conv(name: str, source: str, kernel: int) -> None:
        weight = rng.integers(-7, 8, (C, C, kernel, kernel))
        nodes.append(Conv2d(name=name, source=source, weight=weight, weight_bits=4, padding=kernel // 2))

    def fire(name: str) -> None:
        constants = {"threshold": rng.integers(9, 20, C), "bias": rng.integers(-3, 4, C), "v0": rng.integers(0, 9, C)}
        nodes.append(IF(name=name, source=nodes[-1].name, **constants))

    conv("first", "input", 1)
    fire("if")
    conv("early", "if", kernel)
    for k in range(depth):
        conv(f"{k}", f"if {k - 1}" if k else "if", 3)
        fire(f"if {k}")
    nodes += [
        Gain(name="late", source=f"if {depth - 1}", gain=rng.integers(2, 9, C)),
        Add(name="sum", source="early", other="late"),
    ]
    fire("out_if")
    weight = rng.integers(-7, 8, (3, C * height * 3))
    nodes += [
        Flatten(name="flat", source="out_if"),
        Linear(name="last", source="flat", weight=weight, weight_bits=4),
        Readout(name="logits", source="last", bias=rng.integers(-9, 10, 3)),
    ]
    return Network(tuple(nodes), 2)


@pytest.mark.parametrize(("depth", "kernel"), [(3, 1), pytest.param(6, 3, marks=pytest.mark.slow)])
def test_a_late_shortcut(depth: int, kernel: int) -> None:
    network = late(depth, kernel, 8)
    folds = {layer.name: fold_choices(layer)[-1] for layer in layers(network)} | {"last": Fold(1, 2, 1)}
    design = Design(network, folds)
    stages = [build_stage(layer, folds[layer.name]) for layer in layers(network)]
    (few,) = (stage.window.rows for stage in stages if stage.name == "early")
    (rows,) = (stage.window.rows for stage in design.stages if stage.name == "early")
    assert few < rows, (few, rows)
    assert not design._freely(stages).whole, "with fewer the design stops"
    assert design._freely(with_rows(stages, {"early": rows})).whole
    check(design)
