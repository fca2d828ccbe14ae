"""Folds of several pixels: whole networks in every cycle, in Amaranth's simulator and as Verilog, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_late_shortcuts
import test_residual
from test_residual import check

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.fold import Fold, folds_toml, read_folds
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage, fold_choices
from spikeloom.gen.lowering.streams import with_depths
from spikeloom.hdl.cores.staircase.search import SearchSpec
from spikeloom.hdl.cores.staircase.spec import StaircaseSpec
from spikeloom.hdl.streams.law import Link, SinkLaw, SourceLaw, solve
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, MaxPool, Node, Readout, Requant
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.sim.verify import verify

C = 4
LAST = Fold(1, 1, 1)


class Nets:
    """Makes nodes with random constants."""

    def __init__(self, shape: tuple[int, int, int], steps: int, seed: int = 3) -> None:
        self.rng, self.steps = np.random.default_rng(seed), steps
        self.nodes: list[Node] = [Input(name="input", shape=shape, high=15)]

    @property
    def end(self) -> str:
        return self.nodes[-1].name

    @property
    def shape(self) -> tuple[int, ...]:
        signals: dict[str, Any] = {}
        for node in self.nodes:
            signals[node.name] = node.signal([signals[name] for name in node.sources], self.steps)
        return signals[self.end].shape

    def conv(self, name: str, co: int = C, kernel: Any = 3, source: str = "", bits: int = 4, **geometry: Any) -> None:
        source, ci = source or self.end, C if source else self.shape[0]
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        top = (1 << (bits - 1)) - 1
        weight = self.rng.integers(-top, top + 1, (co, ci // geometry.get("groups", 1), *kernel))
        weight = self.rng.choice([-1, 1], weight.shape) if bits == 1 else weight
        geometry = {"padding": kernel[0] // 2} | geometry
        self.nodes.append(Conv2d(name=name, source=source, weight=weight, weight_bits=bits, **geometry))

    def fire(self, level: int = 30, rule: Any = "lossless", each: bool = False, **more: Any) -> None:
        c, name, rng = self.shape[0], f"{self.end}_if", self.rng
        threshold = rng.integers(level, 2 * level, c)
        v0 = rng.integers(-level, level, self.shape) if each else threshold // 2
        constants = {"threshold": threshold, "bias": rng.integers(-5, 6, c), "v0": v0} | more
        self.nodes.append(IF(name=name, source=self.end, **constants, rule=rule))

    def quantise(self) -> None:
        c, name = self.shape[0], f"{self.end}_q"
        bias, shift = self.rng.integers(-20, 20, c), self.rng.integers(2, 5, c)
        self.nodes.append(Requant(name=name, source=self.end, bias=bias, shift=shift, lo=0, hi=15))

    def stairs(self, count: int, values: bool = False) -> None:
        c, name = self.shape[0], f"{self.end}_q"
        rows = self.rng.integers(-9, 10, (c, count + 1)) if values else None
        threshold = np.sort(self.rng.integers(-300, 301, (c, count)))
        self.nodes.append(Staircase(name=name, source=self.end, threshold=threshold, low=0, values=rows))

    def answer(self, name: str = "last", source: str = "") -> None:
        if source:
            self.nodes.append(Flatten(name=f"{name}_flat", source=source))
        else:
            self.nodes.append(Flatten(name=f"{name}_flat", source=self.end))
        n = int(np.prod(self.shape))
        weight = self.rng.integers(-7, 8, (3, n))
        self.nodes.append(Linear(name=name, source=self.end, weight=weight, weight_bits=4))
        self.nodes.append(Readout(name=f"{name}_out", source=name, bias=self.rng.integers(-9, 10, 3)))

    def done(self) -> Network:
        return Network(tuple(self.nodes), self.steps)


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


@pytest.mark.parametrize("case", RESIDUAL)
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


CHAINS = ["quantised", "staircase", "stairs with values", "searched staircase", "searched stairs with values", "lossless",
          "causal", "signed", "each neuron", "causal, each neuron"]  # fmt: skip
SIZES = {"one": (2, 2, 3), "two": (2, 4, 4)}


def chained(kind: str, sizes: dict[str, tuple[int, int, int]], counts: bool = True) -> Design:
    network = chain(kind)
    folds = {layer.name: Fold(*sizes[layer.name][:2], layer.time_fold, pixels=sizes[layer.name][2])
             for layer in layers(network) if layer.name in sizes}  # fmt: skip
    return Design(network, folds | {"last": LAST}, counts)


@pytest.mark.parametrize("kind", CHAINS)
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
    return Design(nets.done(), {"conv": Fold(2, inputs, 1, pixels=pixels), "last": LAST})


@pytest.mark.parametrize("case", WINDOWS)
def test_windows(case: str) -> None:
    check(windows(case, 1))


def large() -> Network:
    """Windows in block RAM, rows of 50 pixels: a ring and whole kernel columns, the ring ragged with a shortcut."""
    nets = Nets((4, 4, 50), 3)
    nets.conv("ring")
    nets.fire(40)
    entry = nets.end
    nets.conv("columns", stride=2)
    nets.fire(9)
    nets.conv("small", source=nets.end)
    nets.nodes.append(Gain(name="skip", source=entry, gain=[3, 5, 2, 4], stride=2))
    nets.nodes.append(Add(name="add", source="small", other="skip"))
    nets.fire(12)
    nets.answer()
    return nets.done()


LARGE = {
    "ring": Fold(4, 4, 1, pixels=3),
    "columns": Fold(2, 12, 1, pixels=2),
    "small": Fold(2, 4, 1, pixels=4),
    "last": Fold(1, 4, 1),
}


@pytest.mark.parametrize(
    ("target", "number"), [("fpga", 0), *(pytest.param("asic", n, marks=pytest.mark.slow) for n in (1, 2))]
)
def test_as_verilog(target: Any, number: int, tmp_path: Path) -> None:
    """In Verilator, with pauses and a reset, from any contents of memories on an ASIC."""
    made = residual("zero-padded")
    contents = emit.write(made, tmp_path, target=target)
    frames = np.random.default_rng(number).integers(0, 16, (12, *made.network.input.shape))
    outcome = verify(made, contents, tmp_path, frames, pauses=0.3, seed=number, resets=((333, 2),))
    assert outcome.passed, [str(d) for d in outcome.differences]
    assert outcome.transfers > 3000


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fpga", "asic"])
def test_large_windows_as_verilog(target: Any, tmp_path: Path) -> None:
    """With the registers that block RAMs have built in, and on an ASIC with registers."""
    network = large()
    # The rows of values of 8 bits do not fit LUT RAM.
    nodes = [replace(node, high=255) if isinstance(node, Input) else node for node in network]
    design = Design(Network(tuple(nodes), 3), LARGE)
    assert [stage.window.built_in for stage in design.stages][:1] == [True]
    contents = emit.write(design, tmp_path, target=target)
    frames = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 50))
    outcome = verify(design, contents, tmp_path, frames, pauses=0.2)
    assert outcome.passed, [str(d) for d in outcome.differences]


@pytest.mark.slow
@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.parametrize("inputs", [2, 6])
def test_windows_on_an_asic(case: str, inputs: int, tmp_path: Path) -> None:
    """The masks of the cells that no input word fills, in a ring and in whole kernel columns; no lint."""
    from test_asic import lint

    rows = WINDOWS[case][0].get("kernel", (3, 3))[0]
    design = windows(case, 2 * rows if inputs > 2 else 2)
    contents = emit.write(design, tmp_path, target="asic")
    lint(tmp_path / contents["verilog"], contents["top"])
    frames = np.random.default_rng(0).integers(0, 16, (8, *design.network.input.shape))
    outcome = verify(design, contents, tmp_path, frames, pauses=0.2, seed=3, resets=((77, 1),))
    assert outcome.passed, [str(d) for d in outcome.differences]


def test_as_many_credits_as_the_latency_needs() -> None:
    """With one less a stage waits that is otherwise busy in every cycle; with more it is no faster."""
    nets = Nets((4, 6, 12), 1)
    nets.conv("conv")
    nets.quantise()
    nets.answer()
    (layer, _), most = layers(nets.done()), 0
    for fold in (Fold(4, 4, 1, pixels=4), Fold(2, 4, 1, pixels=3), Fold(4, 12, 1, pixels=3), Fold(1, 4, 1, pixels=2)):
        stage = build_stage(layer, fold)

        def ends(credits: int, stage=stage) -> list[int]:
            changed = replace(stage, window=replace(stage.window, credits=credits, rows=12))
            i, o = Link(), Link()
            solve([SourceLaw(4 * stage.window.i_words, i), changed.law((i,), (o,)), SinkLaw(o)])
            return o.taken

        credits = stage.window.credits
        assert ends(credits) == ends(credits + 5)
        assert ends(credits - 1)[-1] > ends(credits)[-1] if credits > 1 else fold == Fold(1, 4, 1, pixels=2)
        most = max(most, credits)
    assert most > 1


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


def test_fold_files_keep_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "folds.toml"
    path.write_text(folds_toml(LARGE))
    assert read_folds(path) == LARGE and "pixels = 3" in path.read_text()
    assert path.read_text().count("pixels") == 3  # the last one has none
    assert str(LARGE["ring"]) == "4 x 4 x 1, 3 pixels"


REFUSED = {
    "a pool": ("pool", Fold(2, 2, 1, pixels=2), "pool: fold pixels=2 does not fit, a pool has no weights that pixels could"
               " share; choose more outputs and inputs, and leave pixels out"),
    "groups": ("grouped", Fold(1, 1, 1, pixels=2), "grouped: fold pixels=2 does not fit, a grouped convolution walks a part"
               " of a pixel only; leave pixels out"),
    "skip": ("conv", Fold(2, 2, 2, skip=True, pixels=2), "conv: fold pixels=2 does not fit, words of several pixels are"
             " hardly ever all zero, so none is skipped; leave pixels out, or skip"),
    "folded time": ("conv", Fold(2, 2, 1, pixels=2), "conv: fold pixels=2 does not fit, the membranes of several pixels"
                    " cannot wait for the next scan, steps=1; choose steps=2, or leave pixels out"),
    "a short row": ("conv", Fold(2, 2, 2, pixels=4), "conv: fold pixels=4 does not fit, a row of the result has 3; choose"
                    " at most 3, or leave pixels out"),
    "a short walk": ("point", Fold(2, 4, 1, pixels=2), "point: fold pixels=2 does not fit, a walk of 1 words has no time to"
                     " hand out the results of so many; choose at most 1, fewer inputs, or leave pixels out"),
    "a vector": ("last", Fold(1, 1, 1, pixels=2), "last: fold pixels=2 does not fit, a row of the result has 1; leave pixels"
                 " out"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_hardware_is_refused_by_name(case: str) -> None:
    nets = Nets((4, 6, 6), 2)
    nets.conv("point", kernel=1, padding=0)
    nets.fire()
    nets.nodes.append(MaxPool(name="pool", source=nets.end, kernel=2, stride=2))
    nets.conv("grouped", groups=2)
    nets.fire(9)
    nets.conv("conv")
    nets.fire(9, "causal")
    nets.answer()
    found = {layer.name: layer for layer in layers(nets.done())}
    name, fold, message = REFUSED[case]
    with pytest.raises(PlanError) as error:
        build_stage(found[name], fold)
    assert str(error.value) == message
    build_stage(found["conv"], Fold(2, 2, 2, pixels=3))
