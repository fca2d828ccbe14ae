"""Weights of one bit in designs: golden model, core models, law and Verilog agree, at folds of every circuit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeloom.gen.cost.model import area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.fold import Fold
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Node, Readout, Requant, Synapse
from spikeloom.sim.verify import verify


def network(kind: str, bits: int = 1) -> Network:
    """Three padded convolutions, the second one depthwise, and logits; neurons of a rule, or values 0..3 and -8..7."""
    rng = np.random.default_rng(5)
    steps = 1 if kind == "values" else 3
    nodes: list[Node] = [Input(name="input", shape=(2, 4, 3), high=15)]
    for name, inputs, outputs, groups in (("first", 2, 6, 1), ("depthwise", 6, 6, 6), ("third", 6, 4, 1)):
        weight = rng.choice([-1, 1], (outputs, inputs // groups, 3, 3))
        scale = 15 if name == "first" else 2
        geometry = {"padding": 1, "groups": groups}
        nodes.append(Conv2d(name=name, source=nodes[-1].name, weight=weight, weight_bits=bits, **geometry))
        bias = rng.integers(-scale, scale + 1, outputs)
        if kind == "values":
            lo, hi = (0, 3) if name == "first" else (-8, 7)
            shift = np.full(outputs, 4 if name == "first" else 0)
            nodes.append(Requant(name=f"{name}_out", source=name, bias=bias, shift=shift, lo=lo, hi=hi))
        else:
            threshold = rng.integers(scale, 3 * scale, outputs)
            nodes.append(IF(name=f"{name}_out", source=name, threshold=threshold, bias=bias // 4, v0=threshold // 2,
                            rule=kind))  # fmt: skip
    last = rng.choice([-1, 1], (5, 48))
    nodes += [Flatten(name="flat", source=nodes[-1].name), Linear(name="last", source="flat", weight=last,
              weight_bits=bits), Readout(name="out", source="last", bias=rng.integers(-3, 4, 5))]  # fmt: skip
    return Network(tuple(nodes), steps)


FOLDS = {
    "narrow": {"first": Fold(2, 1, 1), "depthwise": Fold(1, 1, 1), "third": Fold(2, 1, 1), "last": Fold(1, 2, 1)},
    "skipping": {"first": Fold(6, 2, 1), "depthwise": Fold(2, 2, 1), "third": Fold(2, 3, 1, skip=True),
                 "last": Fold(5, 1, 1, skip=True)},
    "wide": {"first": Fold(6, 6, 1), "depthwise": Fold(6, 6, 1), "third": Fold(4, 18, 1), "last": Fold(5, 4, 1)},
}  # fmt: skip


def design(kind: str, folds: str, **changes: object) -> Design:
    """All time steps at once, but for the last layer but one where a rule may compute them one by one."""
    found = {name: replace(fold, **changes) for name, fold in FOLDS[folds].items()}
    if kind != "values":
        at_once = {"depthwise": 3, "third": 1 if kind == "causal" and folds == "narrow" else 3, "last": 1}
        found |= {name: replace(found[name], steps=steps) for name, steps in at_once.items() if kind != "lossless"}
    return Design(network(kind), found)


def frames(count: int) -> np.ndarray:
    """Random ones, half of the pixels 0, the first one of the highest pixels."""
    rng = np.random.default_rng(2)
    found = rng.integers(0, 16, (count, 2, 4, 3)) * (rng.random((count, 2, 4, 3)) < 0.5)
    found[0] = 15
    return found


CASES = [("values", "narrow"), ("values", "skipping"), ("values", "wide"), ("causal", "narrow"), ("causal", "skipping"),
         ("signed", "wide"), ("lossless", "narrow"), ("lossless", "wide")]  # fmt: skip
QUICK = {("values", "skipping"), ("lossless", "wide")}


@pytest.mark.parametrize(("kind", "folds"), [pytest.param(*c, marks=[] if c in QUICK else pytest.mark.slow)
                                             for c in CASES])  # fmt: skip
def test_every_circuit_in_a_design(kind: str, folds: str, tmp_path: Path) -> None:
    made = design(kind, folds)
    outcome = verify(made, emit.write(made, tmp_path), tmp_path, frames(3), simulator="amaranth", pauses=0.2, seed=1)
    assert outcome.passed, "\n".join(map(str, outcome.differences))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "folds"), CASES)
def test_the_verilog_of_every_circuit(kind: str, folds: str, tmp_path: Path) -> None:
    made = design(kind, folds)
    outcome = verify(made, emit.write(made, tmp_path), tmp_path, frames(6), pauses=0.2, seed=1)
    assert outcome.passed, "\n".join(map(str, outcome.differences))


@pytest.mark.parametrize(("kind", "folds"), [*sorted(QUICK), ("values", "narrow")])
def test_every_array_has_a_form_of_one_bit(kind: str, folds: str) -> None:
    """Where no word is skipped, weights invert; in one that makes room for neither, they choose."""
    made = design(kind, folds)
    arrays = [core for stage in made.stages for core in stage.cores if isinstance(core, SynapseSpec)]
    assert all(core.bipolar for core in arrays)
    assert [core.inverts for core in arrays] == [not core.addressed for core in arrays]
    assert "_counts #(" in emit.verilog(made, name="top")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5", "ice40"])
@pytest.mark.parametrize(("kind", "folds"), [("values", "wide"), ("causal", "narrow"), ("lossless", "wide")])
def test_netlists(kind: str, folds: str, family: str, tmp_path: Path) -> None:
    made = design(kind, folds)
    outcome = verify(made, emit.write(made, tmp_path), tmp_path, frames(2), netlist=family)
    assert outcome.passed, "\n".join(map(str, outcome.differences))


@pytest.mark.slow
@pytest.mark.parametrize("logic", [False, True])
def test_an_asic_has_them_too(logic: bool, tmp_path: Path) -> None:
    made = design("values", "wide", logic=logic)
    outcome = verify(made, emit.write(made, tmp_path, target="asic"), tmp_path, frames(3))
    assert outcome.passed, "\n".join(map(str, outcome.differences))


def test_memories_have_one_bit_a_weight(tmp_path: Path) -> None:
    """Those in block RAM, which the modules of an ASIC name with their sizes."""
    made = Design(network("values"), FOLDS["narrow"] | {"third": Fold(1, 6, 1), "last": Fold(1, 4, 1)})
    emit.write(made, tmp_path, target="asic")
    _, contents = emit.read(tmp_path)
    weights = {node.name: node.weight.size for node in made.network if isinstance(node, Synapse)}
    block = [stage.name for stage in made.stages for core in stage.cores
             if isinstance(core, SynapseSpec) and core.in_block_ram]  # fmt: skip
    assert [m["depth"] * m["width"] for m in contents["memories"] if m["kind"] == "rom"] == [weights[n] for n in block]


def test_the_search_finds_a_smaller_design_than_with_two_bits() -> None:
    found = [search(network("values", bits), 108).design for bits in (1, 2)]
    one, two = (total(area(element.spec) for element in each.elements) for each in found)
    assert one.lut4_eq < 0.85 * two.lut4_eq and one.ff < two.ff and one.ebr <= two.ebr
