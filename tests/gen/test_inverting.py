"""Bipolar weights that invert their inputs: what that adds to currents goes into what stands behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, Node, Readout, Requant
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.sim.predict import golden_words

C = 4
"""Channels of every layer."""


def network(kind: str, steps: int = 1, single: bool = False) -> Network:
    """A convolution of the image, one of its results, one with two shortcuts, one of them a convolution, and logits;
    neurons, with first membranes of ``single`` ones, or a quantiser."""
    rng = np.random.default_rng(8)
    nodes: list[Node] = [Input(name="input", shape=(2, 3, 3), high=15)]

    def conv(name: str, source: str, inputs: int, kernel: int) -> None:
        weight = rng.choice([-1, 1], (C, inputs, kernel, kernel), p=[0.3, 0.7])
        nodes.append(Conv2d(name=name, source=source, weight=weight, weight_bits=1, padding=kernel // 2))

    def quantised(name: str, scale: int) -> None:
        source, bias = nodes[-1].name, rng.integers(-scale, scale, C)
        threshold = rng.integers(scale, 3 * scale, C)
        if kind == "Requant":
            node: Node = Requant(name=name, source=source, bias=bias, shift=np.full(C, 1), lo=-8, hi=7)
        elif kind == "Staircase":
            steps = np.sort(rng.integers(-scale, 2 * scale, (C, 3)))
            node = Staircase(name=name, source=source, threshold=steps, low=-1)
        else:
            shape = (C, 3, 3) if single else C
            node = IF(name=name, source=source, threshold=threshold, bias=bias // 4, v0=rng.integers(0, scale, shape),
                      rule=kind)  # fmt: skip
        nodes.append(node)

    conv("first", "input", 2, 3)
    quantised("first_out", 60)
    conv("second", "first_out", C, 3)
    quantised("second_out", 12)
    conv("third", "second_out", C, 3)
    nodes.append(Gain(name="identity", source="first_out", gain=[3, 1, -2, 5]))
    nodes.append(Add(name="one", source="third", other="identity"))
    conv("projection", "first_out", C, 1)
    nodes.append(Add(name="both", source="one", other="projection"))
    quantised("third_out", 14)
    nodes += [Flatten(name="flat", source="third_out"),
              Linear(name="last", source="flat", weight=rng.choice([-1, 1], (4, 9 * C)), weight_bits=1),
              Readout(name="out", source="last", bias=rng.integers(-3, 4, 4))]  # fmt: skip
    return Network(tuple(nodes), steps)


def arrays(design: Design) -> dict[str, SynapseSpec]:
    """Those of all stages."""
    return {stage.name: core for stage in design.stages for core in stage.cores if isinstance(core, SynapseSpec)}


def check(net: Network, folds: dict[str, Fold], counts: bool = True) -> Design:
    """The models of the cores give the words of the golden model; all logits differ, so that they can be wrong."""
    design = Design(net, folds, counts)
    frames = np.random.default_rng(2).integers(0, 16, (4, 2, 3, 3))
    outputs = golden.run(net, frames).outputs
    models = design.compute(frames)
    for name, words in golden_words(design, outputs).items():
        assert np.array_equal(models[name], words), name
    for name, values in outputs.items():
        assert len(np.unique(values)) > 1, name
    return design


CASES: dict[str, dict[str, Any]] = {
    "Requant": {},
    "Staircase": {},
    "causal": {"steps": 4},
    "signed": {"steps": 3},
    "lossless": {"steps": 4},
    "lossless, single": {"steps": 4, "single": True},
    "causal, single": {"steps": 3, "single": True},
}


@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("case", CASES)
def test_every_tail_takes_the_excess(case: str, outputs: int) -> None:
    net = network(case.split(",")[0], **CASES[case])
    names = ("first", "second", "third", "projection", "last")
    for inputs, steps in ((2, net.steps), (1, 1)):
        timed = {"second": steps, "third": steps} if case.startswith(("causal", "signed")) else {}
        folds = {name: Fold(outputs, inputs, timed.get(name, 1)) for name in names}
        found = arrays(check(net, folds))
        # Nothing stands behind currents that leave as they are; it must be the accumulators, one for each channel.
        choosing = {name for name, array in found.items() if not array.inverts}
        assert choosing == ({"projection"} if outputs < C else set())
        assert found["second"].excess.any() and (outputs == C or found["second"].start.any())
    check(net, folds, counts=False)


def test_where_words_are_left_out_nothing_is_inverted() -> None:
    net = network("Requant")
    folds = {name: Fold(2, 1, 1, skip=name == "second") for name in ("first", "second", "third", "projection", "last")}
    found = arrays(check(net, folds))
    assert found["second"].addressed and not found["second"].inverts and found["third"].inverts


def test_the_network_of_the_design_stays_as_it_is() -> None:
    """Only the circuit has other constants."""
    net = network("causal", 2)
    folds = {name: Fold(1, 1, 1) for name in ("first", "second", "third", "projection", "last")}
    assert Design(net, folds).network.hash == net.hash == replace(net).hash
