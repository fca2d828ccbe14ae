"""Folds of several pixels: whole networks in every cycle, in Amaranth's simulator."""

from typing import Any

import pytest
import test_late_shortcuts
import test_residual
from pixel_nets import LAST, Nets
from test_residual import check

from spikeloom.gen.design import Design
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import fold_choices
from spikeloom.gen.lowering.streams import with_depths
from spikeloom.hdl.cores.staircase.search import SearchSpec
from spikeloom.hdl.cores.staircase.spec import StaircaseSpec
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import MaxPool

RESIDUAL = {
    "identity": (dict(steps=3, rule="lossless"), {"first": (2, 2, 4), "a": (4, 2, 3), "b": (2, 4, 2)}),
    "causal": (dict(steps=2, rule="causal"), {"first": (4, 1, 2), "a": (1, 4, 5), "b": (4, 4, 3)}),
    "signed": (dict(steps=3, rule="signed"), {"first": (2, 6, 3), "a": (2, 12, 2), "b": (1, 2, 4)}),
    "projection": (
        dict(steps=3, rule="lossless", shortcuts=[("conv", 0)]),
        {"first": (2, 2, 3), "a": (2, 4, 2), "b": (2, 2, 3), "skip0": (2, 2, 2)},
    ),
    "zero-padded": (
        dict(steps=3, channels=8, shortcuts=[("gain", 2)], stride=2),
        {"first": (2, 2, 5), "a": (2, 4, 3), "b": (4, 4, 2)},
    ),
    "strided projection": (
        dict(steps=2, rule="lossless", channels=8, shortcuts=[("conv", 0)], stride=2),
        {"first": (1, 2, 5), "a": (2, 2, 2), "b": (2, 4, 3), "skip0": (4, 1, 3)},
    ),
    "two shortcuts": (
        dict(steps=1, shortcuts=[("gain", 0), ("conv", 0)]),
        {"first": (4, 2, 3), "a": (2, 2, 4), "b": (2, 4, 3), "skip0": (4, 4, 1), "skip1": (2, 1, 4)},
    ),
    "no blocks at the sum": (dict(steps=3, rule="lossless"), {"first": (2, 2, 4), "a": (4, 2, 3), "b": (2, 4, 1)}),
    "blocks at the sum alone": (dict(steps=3, rule="lossless"), {"first": (2, 2, 1), "a": (4, 2, 1), "b": (2, 4, 4)}),
}
"""Networks of tests/e2e/test_residual.py, rows of 5 pixels; outputs, inputs and pixels of their folds."""


def residual(case: str) -> Design:
    given, sizes = RESIDUAL[case]
    made = test_residual.network(**given)
    folds = {"last": LAST}
    for layer in layers(made):
        if layer.name in sizes:
            outputs, inputs, pixels = sizes[layer.name]
            folds[layer.name] = Fold(outputs, inputs, layer.time_fold, pixels=pixels)
    return Design(made, folds)


LONGER = {"signed", "two shortcuts", "projection", "blocks at the sum alone"}


@pytest.mark.parametrize("case", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONGER)) for n in RESIDUAL])
def test_shortcuts(case: str) -> None:
    check(residual(case))


def shallower(design: Design, words: int) -> Design:
    """The same design with ``words`` in the FIFO of its shortcut."""
    found = Design(design.network, design.folds)
    vars(found)["stages"] = with_depths(found.stages, {"b": [words]})
    return found


@pytest.mark.parametrize("case", ["identity", "projection"])
def test_one_block_less_makes_the_design_wait(case: str) -> None:
    design = residual(case)
    (merge,) = (merge for stage in design.stages for merge in stage.merges)
    block = merge.of_blocks.pixels * merge.words
    assert merge.slots % block == 0
    words = 4 * design.boundaries[0].words_per_frame
    exact, free = design.law(words), design.free_run
    for name, cycles in free.transfers.items():
        assert cycles.tolist() == exact.transfers[name].tolist(), name
    less = shallower(design, merge.slots - block)
    late = less.law(words)
    waits = [len(late.transfers[n]) < len(c) or (late.transfers[n] > c).any() for n, c in exact.transfers.items()]
    assert any(waits)
    if late.whole:
        check(less, 0.0)  # and the RTL waits in the same cycles


def chain(kind: str) -> Network:
    """Two convolutions with what ``kind`` says behind them, and a read-out."""
    nets = Nets((2, 5, 7), 1 if "stair" in kind or kind == "quantised" else 3)
    stairs = {"staircase": (7, False), "stairs with values": (5, True), "searched staircase": (40, False),
              "searched stairs with values": (20, True)}  # fmt: skip
    for name in ("one", "two"):
        nets.conv(name, **({"stride": 2, "padding": 1} if name == "two" else {}))
        if kind in stairs:
            nets.stairs(*stairs[kind])
        elif kind == "quantised":
            nets.quantise()
        elif kind == "causal, each neuron":
            nets.fire(rule="causal", each=True)
        elif kind == "each neuron":
            nets.fire(each=True)
        else:
            nets.fire(rule=kind)
    nets.answer()
    return nets.done()


CHAINS = ["quantised", "staircase", "stairs with values", "searched staircase", "searched stairs with values",
          "lossless", "causal", "signed", "each neuron", "causal, each neuron"]  # fmt: skip
SIZES = {"one": (2, 2, 3), "two": (2, 4, 4)}


def chained(kind: str, sizes: dict[str, tuple[int, int, int]], counts: bool = True) -> Design:
    network = chain(kind)
    folds = {layer.name: Fold(*sizes[layer.name][:2], layer.time_fold, pixels=sizes[layer.name][2])
             for layer in layers(network) if layer.name in sizes}  # fmt: skip
    return Design(network, folds | {"last": LAST}, counts)


@pytest.mark.parametrize("kind", [pytest.param(n, marks=[pytest.mark.slow] * ("values" in n)) for n in CHAINS])
def test_what_stands_behind_the_currents(kind: str) -> None:
    design = chained(kind, SIZES)
    check(design)
    last = [stage.cores[-1] for stage in design.stages if stage.name in SIZES]
    if "stair" in kind:
        assert all(isinstance(core, SearchSpec if "searched" in kind else StaircaseSpec) for core in last)


@pytest.mark.parametrize("kind", ["each neuron", "causal, each neuron"])
@pytest.mark.parametrize("sizes", [{"one": (4, 6, 3), "two": (1, 12, 2)}, {"one": (1, 1, 7), "two": (4, 1, 3)}])
def test_initial_membranes_of_single_neurons(kind: str, sizes: dict[str, tuple[int, int, int]]) -> None:
    """Of neurons of every pixel of a block, with all outputs in a group and with one; spikes, not counts."""
    check(chained(kind, sizes, counts=False))


def test_several_readers() -> None:
    """A fork, two read-outs, a pool and bipolar weights, whose inverted inputs move the thresholds of all groups."""
    nets = Nets((2, 4, 6), 3)
    nets.conv("one", bits=1)
    nets.fire(12)
    entry = nets.end
    nets.answer("early", entry)
    nets.conv("two", source=entry, bits=1, kernel=1)
    nets.fire(3)
    nets.nodes.append(MaxPool(name="pool", source=nets.end, kernel=2, stride=2))
    nets.conv("three", co=6, kernel=(2, 3), padding=(1, 0, 0, 1))
    nets.fire(9)
    nets.answer()
    made = nets.done()
    folds = {"one": Fold(2, 1, 1, pixels=4), "two": Fold(1, 2, 1, pixels=2), "pool": Fold(4, 4, 1), "early": LAST,
             "three": Fold(3, 2, 1, pixels=2), "last": LAST}  # fmt: skip
    design = Design(made, folds)
    assert len(design.outputs) == 2
    check(design)


@pytest.mark.parametrize("depth", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_late_shortcut(depth: int) -> None:
    """The stage of the sum, which computes several pixels, keeps the rows that wait for the shortcut."""
    made = test_late_shortcuts.late(depth, 3, 8)
    folds = {layer.name: fold_choices(layer)[-1] for layer in layers(made)} | {"last": Fold(1, 2, 1)}
    folds |= {"early": Fold(1, 2, folds["early"].steps, pixels=2), "0": Fold(2, 1, folds["0"].steps, pixels=3)}
    design = Design(made, folds)
    check(design)


WINDOWS: dict[str, tuple[dict[str, Any], tuple[int, int, int], int]] = {
    "one pixel wide": (dict(padding=(1, 1, 2, 2)), (2, 6, 1), 3),
    "narrower than the kernel": (dict(padding=(1, 1, 1, 1)), (2, 5, 2), 2),
    "stride 3, dilation 2": (dict(stride=3, dilation=2, padding=3), (2, 5, 11), 4),
    "dilated rows": (dict(dilation=(3, 1), padding=(3, 3, 1, 1)), (2, 5, 5), 5),
    "a pad": (dict(padding=2, pad=[3, 9]), (2, 4, 4), 4),
    "stride past the kernel": (dict(kernel=(2, 2), stride=(3, 4), padding=0), (2, 5, 14), 3),
}


def windows(case: str, inputs: int) -> Design:
    geometry, shape, pixels = WINDOWS[case]
    nets = Nets(shape, 1)
    nets.conv("conv", **geometry)
    nets.quantise()
    nets.answer()
    made = nets.done()
    weight = made["conv"].weight  # pyright: ignore[reportAttributeAccessIssue]
    pixels = min(pixels, weight[0].size // inputs)  # a walk hands out as many
    return Design(made, {"conv": Fold(2, inputs, 1, pixels=pixels), "last": LAST})


@pytest.mark.parametrize("case", WINDOWS)
def test_windows(case: str) -> None:
    check(windows(case, 1))


@pytest.mark.slow
def test_the_search_takes_several_pixels() -> None:
    """It finds folds of several pixels where one pixel at a time is too slow, and they are right."""
    nets = Nets((1, 6, 8), 1)
    nets.conv("one", co=2)
    nets.quantise()
    nets.answer()
    made = nets.done()
    design = search(made, 100).design
    assert design.folds["one"].pixels > 1
    check(design)
