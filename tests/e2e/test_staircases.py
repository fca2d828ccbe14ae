"""Staircases in designs: which circuit a fold gets, and that golden model, core models, law and RTL agree on each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Add, Conv2d, Flatten, Gain, Input, Linear, Node, Readout
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.sim.verify import verify

COMPARED, PIPELINE, SERIAL = "StaircaseSpec", "SearchSpec", "SerialSpec"


def network(count: int, rows: str = "none", shortcut: bool = False) -> Network:
    """Two convolutions of four channels with staircases of ``count`` thresholds, the second one with a shortcut, and
    logits; values for none, all channels at once, or each."""
    rng = np.random.default_rng(count)

    def conv(name: str, source: str, inputs: int) -> Conv2d:
        weight = rng.integers(-3, 4, (4, inputs, 3, 3))
        return Conv2d(name=name, source=source, weight=weight, weight_bits=3, padding=1)

    def stairs(name: str, source: str, scale: int) -> Staircase:
        shape = {"none": None, "one": (count + 1,), "each": (4, count + 1)}[rows]
        values = None if shape is None else rng.integers(-7, 8, shape)
        threshold = np.sort(rng.integers(-scale, scale, (4, count)))
        return Staircase(name=name, source=source, threshold=threshold, low=-1 if shape is None else 0, values=values)

    nodes: list[Node] = [Input(name="input", shape=(2, 2, 2), high=15), conv("first", "input", 2),
                         stairs("levels", "first", 90), conv("second", "levels", 4)]  # fmt: skip
    if shortcut:
        nodes += [Gain(name="skip", source="levels", gain=rng.integers(1, 5, 4)),
                  Add(name="sum", source="second", other="skip")]  # fmt: skip
    last = rng.integers(-3, 4, (3, 16))
    nodes += [stairs("more", nodes[-1].name, 60 * count), Flatten(name="flat", source="more"),
              Linear(name="last", source="flat", weight=last, weight_bits=3),
              Readout(name="out", source="last", bias=rng.integers(-3, 4, 3))]  # fmt: skip
    return Network(tuple(nodes), 1)


def circuits(design: Design) -> list[str]:
    """Those of the two staircases."""
    names = (COMPARED, PIPELINE, SERIAL)
    return [type(core).__name__ for stage in design.stages for core in stage.cores if type(core).__name__ in names]


CASES = {
    "comparators and a table": (network(15, "each"), Fold(2, 1, 1), Fold(4, 4, 1), [COMPARED, COMPARED]),
    "a pipeline, a comparator a lane": (network(40), Fold(4, 6, 1), Fold(1, 1, 1), [PIPELINE, SERIAL]),
    "parts of a word": (network(63, "one"), Fold(1, 1, 1), Fold(2, 1, 1), [SERIAL, SERIAL]),
    "a shortcut": (network(40, "each", True), Fold(1, 1, 1), Fold(2, 1, 1), [SERIAL, PIPELINE]),
    "words that are skipped": (network(40), Fold(1, 1, 1), Fold(1, 1, 1, skip=True), [SERIAL, SERIAL]),
}
"""The network, the folds of its convolutions, and the circuits of its staircases."""


QUICK = ("a pipeline, a comparator a lane", "parts of a word")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in CASES])
def test_every_circuit_in_a_design(name: str, tmp_path: Path) -> None:
    net, first, second, expected = CASES[name]
    design = Design(net, {"first": first, "second": second, "last": Fold(1, 4, 1)})
    assert circuits(design) == expected
    frames = np.random.default_rng(1).integers(0, 16, (2, 2, 2, 2))
    pauses = {} if name in QUICK else {"pauses": 0.3, "seed": 1}
    outcome = verify(design, emit.write(design, tmp_path), tmp_path, frames, simulator="amaranth", **pauses)
    assert outcome.passed, "\n".join(map(str, outcome.differences))


def test_fifteen_thresholds_are_compared_as_before_search_came(tmp_path: Path) -> None:
    """Also where one comparator would have time for all of them."""
    folds = {"first": Fold(1, 1, 1), "second": Fold(1, 1, 1), "last": Fold(1, 1, 1)}
    assert circuits(Design(network(15), folds)) == [COMPARED] * 2
    assert circuits(Design(network(40), folds)) == [SERIAL] * 2


def test_a_fold_with_as_many_words_as_a_search_needs() -> None:
    """Of 36 words a result the search of 9 levels in block RAM has time, of 9 not."""
    net = network(255, "one")
    for inputs, expected in ((1, SERIAL), (4, PIPELINE)):
        found = circuits(Design(net, {"first": Fold(4, 2, 1), "second": Fold(1, inputs, 1), "last": Fold(1, 1, 1)}))
        assert found == [PIPELINE, expected]
