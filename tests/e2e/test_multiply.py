"""Products by multipliers, in whole designs: golden model, core models, Verilog and netlist agree; what they cost."""

from pathlib import Path

import numpy as np
import pytest
from test_residual import check

from spikeloom.gen.cost.model import area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.fold import Fold, folds_toml, read_folds
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Node, Readout
from spikeloom.sim.verify import verify


def network(steps: int = 4) -> Network:
    """Pixels of 4 bits, two convolutions with lossless neurons, a read-out; the same in every call."""
    rng = np.random.default_rng(3)

    def conv(name: str, source: str, shape: tuple[int, int], bits: int) -> Conv2d:
        top = (1 << (bits - 1)) - 1
        weight = rng.integers(-top, top + 1, (*shape, 3, 3))
        return Conv2d(name=name, source=source, weight=weight, weight_bits=bits, padding=1)

    def fire(name: str, source: str, channels: int, level: int) -> IF:
        threshold = rng.integers(level, 2 * level, channels)
        return IF(name=name, source=source, threshold=threshold, bias=rng.integers(-9, 10, channels),
                  v0=threshold // 2, rule="lossless")  # fmt: skip

    nodes: list[Node] = [
        Input(name="input", shape=(2, 5, 5), high=15),
        conv("one", "input", (6, 2), 8),
        fire("one_if", "one", 6, 400),
        conv("two", "one_if", (4, 6), 4),
        fire("two_if", "two", 4, 20),
        Flatten(name="flat", source="two_if"),
        Linear(name="last", source="flat", weight=rng.integers(-7, 8, (3, 100)), weight_bits=4),
        Readout(name="readout", source="last", bias=rng.integers(-9, 10, 3)),
    ]
    return Network(tuple(nodes), steps)


FOLDS = {
    "one": Fold(3, 2, 1, multiply=True),
    "two": Fold(4, 3, 1, pixels=2, multiply=True),
    "last": Fold(3, 5, 1, multiply=True),
}


def test_golden_model_core_models_and_rtl_agree() -> None:
    check(Design(network(), FOLDS))


def test_verilog_and_netlist(tmp_path: Path) -> None:
    design = Design(network(), FOLDS)
    contents = emit.write(design, tmp_path)
    frames = np.random.default_rng(5).integers(0, 16, (3, 2, 5, 5))
    outcome = verify(design, contents, tmp_path, frames, pauses=0.2)
    assert outcome.passed, [str(d) for d in outcome.differences]
    cells, modelled = synthesise(tmp_path, contents, "ecp5"), total(area(e.spec) for e in design.elements)
    # A product of 8-bit weights with pixels of 4 bits in a multiplier, four of 4-bit weights with counts, or three.
    assert cells["mult"] == modelled.mult == 2 * 3 + 3 * 2 + 5
    folds = {name: Fold(fold.outputs, fold.inputs, 1, pixels=fold.pixels) for name, fold in FOLDS.items()}
    plain = synthesise(tmp_path / "plain", emit.write(Design(network(), folds), tmp_path / "plain"), "ecp5")
    assert plain["mult"] == 0 and cells["lut4_eq"] < 0.8 * plain["lut4_eq"]


@pytest.mark.slow
def test_netlist(tmp_path: Path) -> None:
    design = Design(network(), FOLDS)
    contents = emit.write(design, tmp_path)
    frames = np.random.default_rng(5).integers(0, 16, (3, 2, 5, 5))
    outcome = verify(design, contents, tmp_path, frames, netlist="ecp5")
    assert outcome.passed, [str(d) for d in outcome.differences]


def test_the_search_takes_as_many_as_it_may() -> None:
    made = network()
    found = [search(made, 150, dsp=dsp) for dsp in (0, 6, 20)]
    luts, used = [choice.cost[0] for choice in found], [choice.cost[3] for choice in found]
    assert used[0] == 0 and 0 < used[1] <= 6 < used[2] <= 20
    assert luts[0] > luts[1] > luts[2]
    assert "multipliers: 20 at most" in found[2].log[1]
    with pytest.raises(PlanError, match="dsp=29 is more than the 28 multipliers that ecp5-12k has"):
        search(network(), device="ecp5-12k", dsp=29)
    with pytest.raises(PlanError, match="fits dsp=6: .* 16 multipliers of 6; choose other folds, or a larger dsp"):
        search(network(), given={"one": FOLDS["one"], "two": FOLDS["two"]}, dsp=6)


def test_fold_files_have_the_key(tmp_path: Path) -> None:
    (tmp_path / "fold.toml").write_text(folds_toml(FOLDS))
    assert "multiply = true" in folds_toml(FOLDS) and read_folds(tmp_path / "fold.toml") == FOLDS
