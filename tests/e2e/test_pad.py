"""A first layer that pads with the pixel that stands for zero: golden model = core models = RTL in every cycle, for
every kind of window, in emitted Verilog with pauses and resets, on an ASIC and after synthesis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_operators import Maker, check, smallest

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.emit.origin import inspect
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.candidates import CandidateTable
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.folding.rates import WordRates
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d
from spikeloom.sim.simulators.netlist import build_netlist
from spikeloom.sim.verify import verify

PAD = (7, 0, 15, 4)
FOLDS = {
    "words": Fold(2, 1, 1),
    "pairs": Fold(1, 2, 1),
    "pixels": Fold(4, 4, 1),
    "columns": Fold(2, 12, 1),
}
"""One channel a word, two, all of a pixel, whole kernel columns."""


def network(groups: int = 1, second: bool = False, **geometry: Any) -> Network:
    """A convolution of 4 x 5 x 6 pixels that pads with PAD, neurons, another one that pads with zeros, a linear
    layer."""
    m = Maker((4, 5, 6), high=15, seed=2)
    m.conv("first", (4, 4 // groups, 3, 3), groups=groups, **{"padding": 1, "pad": PAD} | geometry)
    first = m.nodes[-1]
    assert isinstance(first, Conv2d)
    rows, columns = first.windows.places((5, 6))
    m.fire(4)
    neurons = m.nodes[-1]
    assert isinstance(neurons, IF)
    m.nodes[-1] = replace(neurons, threshold=8 * neurons.threshold)
    if second:
        m.conv("second", (4, 4, 3, 3), padding=1)
        m.fire(4)
    m.read("fc", m.end, 4 * rows * columns, 3)
    return Network(tuple(m.nodes), 2)


def frames(count: int) -> np.ndarray:
    """Random frames, frames of 0, of 15 and of the pad."""
    rng = np.random.default_rng(3)
    ends = [np.broadcast_to(np.reshape(v, (-1, 1, 1)), (4, 5, 6)) for v in (0, 15, PAD)]
    return np.concatenate([rng.integers(0, 16, (count, 4, 5, 6)), np.stack(ends)])


def design(fold: str | Fold, **more: Any) -> Design:
    made = network(**more)
    return Design(made, smallest(made) | {"first": FOLDS[fold] if isinstance(fold, str) else fold})


@pytest.mark.parametrize("fold", [pytest.param(f, marks=[pytest.mark.slow] * (f != "pairs")) for f in FOLDS])
def test_every_fold(fold: str) -> None:
    made = network()
    check(made, smallest(made) | {"first": FOLDS[fold]})


@pytest.mark.parametrize(
    ("fold", "geometry"),
    [
        (Fold(2, 1, 1), dict(groups=2)),
        pytest.param(Fold(1, 1, 1), dict(groups=4, padding=2), marks=pytest.mark.slow),
        pytest.param(Fold(4, 12, 1), dict(padding=(1, 2, 0, 1), stride=(2, 1)), marks=pytest.mark.slow),
        pytest.param(Fold(1, 2, 1), dict(padding=(3, 1, 2, 0), dilation=(2, 2)), marks=pytest.mark.slow),
    ],
)
def test_groups_sides_and_dilation(fold: Fold, geometry: dict[str, Any]) -> None:
    made = network(**geometry)
    check(made, smallest(made) | {"first": fold})


@pytest.mark.parametrize("target", ["fpga", pytest.param("asic", marks=pytest.mark.slow)])
@pytest.mark.parametrize("fold", [pytest.param(f, marks=[pytest.mark.slow] * (f != "words")) for f in FOLDS])
def test_in_emitted_verilog(fold: str, target: Any, tmp_path: Path) -> None:
    made = design(fold, second=fold != "words")
    contents = emit.write(made, tmp_path, target=target)
    for seed, environment in enumerate(({}, {"pauses": 0.3, "resets": ((90, 1), (700, 2))})):
        run = verify(made, contents, tmp_path, frames(8), seed=seed, **environment)
        assert run.passed, str(run.differences[0])


def test_a_wrong_pad_is_found(tmp_path: Path) -> None:
    """A design with zeros around the image differs in the words behind the first layer."""
    wrong = design("words", pad=None)
    contents = emit.write(wrong, tmp_path)
    run = verify(design("words"), contents, tmp_path, frames(2))
    assert not run.passed and run.differences[0].boundary == "first"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5", "ice40"])
@pytest.mark.parametrize("fold", ["words", "columns"])
def test_after_synthesis(fold: str, family: str, tmp_path: Path) -> None:
    """The initial contents of the memories are those of the device's cells."""
    made = design(fold)
    contents = inspect(tmp_path, made, emit.write(made, tmp_path)).contents
    build_netlist(tmp_path, contents, family, tmp_path / "cache")
    run = verify(made, contents, tmp_path, frames(5), pauses=0.2, resets=((200, 1),), netlist=family,
                 cache=tmp_path / "cache")  # fmt: skip
    assert run.passed, str(run.differences[0])


def test_words_are_not_skipped() -> None:
    """By name where the fold asks for it; the search does not try it."""
    made = network()
    (layer,) = (layer for layer in layers(made) if layer.name == "first")
    message = "first: fold skip=true does not fit, the cells around its map are not zero .*; leave skip out"
    with pytest.raises(PlanError, match=message):
        build_stage(layer, Fold(2, 2, 1, skip=True))
    rates = WordRates(made, golden.run(made, frames(2)).outputs)
    assert not any(candidate.fold.skip for candidate in CandidateTable(layer, rates=rates).candidates)
    plain = next(layer for layer in layers(network(pad=None)) if layer.name == "first")
    assert any(candidate.fold.skip for candidate in CandidateTable(plain, rates=rates).candidates)


def test_it_costs_nothing_in_a_ring() -> None:
    """The parts of a window are the same with and without it."""
    for fold in FOLDS:
        with_it, without = (design(fold, pad=pad).stages[0] for pad in (PAD, None))
        assert isinstance(network().nodes[1], Conv2d) and with_it.window.pad == PAD and not without.window.pad
        parts, plain = (stage.window.parts() for stage in (with_it, without))
        assert (parts.ff, parts.ebr, parts.lut_ram, parts.logic) == (plain.ff, plain.ebr, plain.lut_ram, plain.logic)
