"""Inputs that do not divide the channels: golden model, core models, Verilog and netlist agree in every cycle."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_residual
from pixel_nets import Nets
from test_residual import check

from spikeloom.gen.cost.model import area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage, fold_choices, walk_of
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.gearbox import GearboxSpec
from spikeloom.quant.ir.network import Network
from spikeloom.sim.verify import verify


def folded(network: Network, folds: dict[str, Fold]) -> Design:
    """A design of ``network`` with ``folds``; the rest one by one."""
    rest = {layer.name: Fold(1, 1, 1) for layer in layers(network)}
    design = Design(network, {name: folds.get(name, fold) for name, fold in rest.items()})
    idle = [e for e in design.elements if isinstance(e.spec, GearboxSpec) and e.spec.idle]
    assert len(idle) == len([n for n, f in folds.items() if _divides(design, n, f)])
    return design


def _divides(design: Design, name: str, fold: Fold) -> int:
    (layer,) = (layer for layer in design.layers if layer.name == name)
    return layer.channels[1] % fold.inputs


RESIDUAL = {
    "identity": (dict(steps=3, rule="lossless"), {"a": (4, 3), "b": (2, 3), "last": (3, 7)}),
    "causal": (dict(steps=2, rule="causal"), {"a": (2, 3), "b": (4, 3)}),
    "signed": (dict(steps=3, rule="signed"), {"a": (2, 3), "b": (1, 3), "last": (1, 7)}),
    "projection": (dict(steps=3, rule="lossless", shortcuts=[("conv", 0)]), {"a": (2, 3), "skip0": (4, 3)}),
    "quantised": (dict(steps=1, shortcuts=[("gain", 0), ("conv", 0)]), {"b": (4, 3), "skip1": (1, 3)}),
}
"""Networks of tests/e2e/test_residual.py, of four channels; outputs and inputs of their folds."""


QUICK = ("signed", "quantised")
"""What "make test" verifies; "make regress" does all."""


@pytest.mark.parametrize("case", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
                                  for name in RESIDUAL])  # fmt: skip
def test_shortcuts(case: str) -> None:
    given, sizes = RESIDUAL[case]
    check(folded(test_residual.network(**given, size=(4, 3)), {name: Fold(o, i, 1) for name, (o, i) in sizes.items()}))


def chain(kind: str, bits: int = 4, **geometry: Any) -> Network:
    """Three channels and four, a convolution each, and a read-out."""
    nets = Nets((3, 5, 4), 1 if kind == "quantised" else 3)
    for name in ("one", "two"):
        nets.conv(name, bits=bits, **(geometry if name == "two" else {}))
        if kind == "quantised":
            nets.quantise()
        else:
            nets.fire(rule=kind)
    nets.answer()
    return nets.done()


CHAINS = {
    "the input": (chain("lossless"), {"one": Fold(2, 2, 1), "two": Fold(2, 3, 1)}),
    "outputs too": (chain("lossless"), {"one": Fold(3, 2, 1), "two": Fold(3, 3, 1)}),
    "pixels": (chain("lossless"), {"one": Fold(4, 2, 1, pixels=2), "two": Fold(2, 3, 1, pixels=3)}),
    "multipliers": (chain("lossless"), {"one": Fold(4, 2, 1, multiply=True), "two": Fold(2, 3, 1, multiply=True)}),
    "multipliers, pixels": (chain("lossless"), {"two": Fold(4, 3, 1, pixels=2, multiply=True)}),
    "skipped": (chain("lossless"), {"one": Fold(2, 2, 1, skip=True), "two": Fold(2, 3, 1, skip=True)}),
    "time steps": (chain("causal"), {"two": Fold(2, 3, 1)}),
    "one bit": (chain("lossless", 1), {"one": Fold(4, 2, 1), "two": Fold(2, 3, 1)}),
    "one bit, skipped": (chain("lossless", 1), {"one": Fold(2, 2, 1, skip=True), "two": Fold(4, 3, 1, skip=True)}),
    "one bit, values": (chain("quantised", 1), {"one": Fold(1, 2, 1), "two": Fold(4, 3, 1)}),
    "a pad": (chain("quantised", pad=np.array([3, 0, 15, 7])), {"two": Fold(2, 3, 1)}),
    "strides": (chain("quantised", stride=2, padding=2, dilation=2), {"two": Fold(2, 3, 1, pixels=2)}),
}


@pytest.mark.parametrize("case", CHAINS)
def test_chains(case: str) -> None:
    check(folded(*CHAINS[case]))


def test_a_walk_has_a_word_for_each_group() -> None:
    (_, two, *_) = layers(chain("lossless"))
    fold = Fold(2, 3, 1)
    stage = build_stage(two, fold)
    assert stage.window.scan_words == 9 * 2 and stage.cycles == walk_of(two, fold) == 5 * 4 * 2 * 18
    array = stage.cores[0]
    assert isinstance(array, SynapseSpec)
    weight = array.weight.reshape(4, 9, 6)
    assert not weight[:, :, :2].any() and weight[:, :, 2:].any()


def test_what_is_refused_and_what_the_search_tries() -> None:
    one, two, *_ = layers(chain("lossless"))
    for inputs in (5, 11):
        with pytest.raises(PlanError, match=f"two: fold inputs={inputs} does not divide 4; choose one of 1, 2, 4, 12"):
            build_stage(two, Fold(4, inputs, 1))
    with pytest.raises(PlanError, match="one: fold skip=true does not fit, inputs=1 does not cut the 3 channels"):
        build_stage(one, Fold(4, 1, 1, skip=True))
    nets = Nets((16, 4, 4), 1)
    nets.conv("one", 16)
    nets.quantise()
    nets.conv("grouped", 16, groups=2)
    nets.quantise()
    nets.answer()
    one, grouped, *_ = layers(nets.done())
    assert {fold.inputs for fold in fold_choices(one)} == {1, 2, 3, 4, 6, 8, 16, 48}, "not 5 of 20"
    with pytest.raises(PlanError, match="grouped: fold outputs=8, inputs=6 does not fit 2 groups"):
        build_stage(grouped, Fold(8, 6, 1))


@pytest.mark.slow
def test_verilog_and_netlist(tmp_path: Path) -> None:
    network, folds = CHAINS["multipliers"]
    design = folded(network, folds | {"two": replace(folds["two"], pixels=2)})
    contents = emit.write(design, tmp_path)
    frames = np.random.default_rng(5).integers(0, 16, (3, *network.input.shape))
    for netlist in ("", "ecp5"):
        outcome = verify(design, contents, tmp_path, frames, pauses=0.2, netlist=netlist)
        assert outcome.passed, [str(d) for d in outcome.differences]
    cells, modelled = synthesise(tmp_path, contents, "ecp5"), total(area(e.spec) for e in design.elements)
    assert cells["mult"] == modelled.mult > 0 and cells["ebr"] == modelled.ebr
    assert abs(cells["lut4_eq"] / modelled.lut4_eq - 1) < 0.15
