"""Residual networks: every kind of shortcut in RTL, and FIFOs of shortcuts that are exactly deep enough."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from same_law import laws_agree

from spikeloom.gen.design import Design, Top
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import auto
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.streams import with_depths
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    Node,
    Readout,
    Requant,
    SumPool,
)
from spikeloom.sim.compare import compare
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.predict import boundary_infos, golden_words, make_stimulus, predict
from spikeloom.sim.simulators.amaranth_sim import run_amaranth

RNG = np.random.default_rng(11)
C = 4


def conv(name: str, source: str, co: int, ci: int, kernel: int = 3, stride: int = 1) -> Conv2d:
    weight = RNG.integers(-7, 8, (co, ci, kernel, kernel))
    return Conv2d(name=name, source=source, weight=weight, weight_bits=4, stride=stride, padding=kernel // 2)


def network(steps: int = 4, rule: Any = "causal", **shortcuts: Any) -> Network:
    """Pixels, a convolution, and a residual block of two convolutions with ``shortcuts`` past them."""
    stride, channels = shortcuts.pop("stride", 1), shortcuts.pop("channels", C)
    height, width = shortcuts.pop("size", (6, 5))
    nodes: list[Node] = [Input(name="input", shape=(2, height, width), high=15)]

    def fire(name: str, channels: int, level: int) -> None:
        source = nodes[-1].name
        if steps == 1:
            bias, shift = RNG.integers(-20, 20, channels), np.full(channels, 4)
            nodes.append(Requant(name=name, source=source, bias=bias, shift=shift, lo=0, hi=15))
            return
        threshold = RNG.integers(level, 2 * level, channels)
        bias = RNG.integers(-9, 10, channels)
        nodes.append(IF(name=name, source=source, threshold=threshold, bias=bias, v0=threshold // 2, rule=rule))

    nodes.append(conv("first", "input", C, 2))
    fire("first_if", C, 60)
    nodes.append(conv("a", "first_if", C, C, stride=stride))
    fire("a_if", C, 20)
    nodes.append(conv("b", "a_if", channels, C))
    for k, (kind, offset) in enumerate(shortcuts.pop("shortcuts", [("gain", 0)])):
        main = nodes[-1].name
        if kind == "gain":
            gain = RNG.integers(5, 30, channels)
            nodes.append(Gain(name=f"skip{k}", source="first_if", gain=gain, stride=stride, offset=offset))
        else:
            nodes.append(conv(f"skip{k}", "first_if", channels, C, 1, stride))
        nodes.append(Add(name=f"add{k}", source=main, other=f"skip{k}"))
    fire("b_if", channels, 25)
    n = channels * ((height - 1) // stride + 1) * ((width - 1) // stride + 1)
    nodes.append(Flatten(name="flat", source="b_if"))
    nodes.append(Linear(name="last", source="flat", weight=RNG.integers(-7, 8, (3, n)), weight_bits=4))
    nodes.append(Readout(name="readout", source="last", bias=RNG.integers(-9, 10, 3)))
    return Network(tuple(nodes), steps)


def check(design: Design, share: float = 0.3) -> None:
    """Core models = golden model, and RTL = both at the cycles of the law, under pauses on both sides."""
    frames = RNG.integers(0, 16, (2, *design.network.input.shape))
    words = golden_words(design, golden.run(design.network, frames).outputs)
    for name, found in design.compute(frames).items():
        assert np.array_equal(found, words[name]), f"{name}: core models differ from the golden model"
    pauses = [random_pauses(RNG, 4000, share) for _ in range(2)]
    stimulus = make_stimulus(design, frames, source_pauses=pauses[0], sink_pauses=pauses[1])
    top = Top(design)
    got = run_amaranth(top, top.boundaries, stimulus, top.outs)
    differences = compare(predict(design, stimulus, words), got, boundary_infos(design))
    laws_agree(design, stimulus, words)
    assert not differences, "\n".join(map(str, differences))
    assert len(got.boundaries["last"].cycles) == 2 * design.boundaries[-1].words_per_frame


CASES = {
    "identity": {},
    "projection": {"shortcuts": [("conv", 0)]},
    "zero-padded": {"channels": 8, "shortcuts": [("gain", 2)], "stride": 2},
    "strided projection": {"channels": 8, "shortcuts": [("conv", 0)], "stride": 2},
    "two shortcuts": {"shortcuts": [("gain", 0), ("conv", 0)]},
    "stride of three": {"stride": 3},
    "lossless": {"rule": "lossless", "shortcuts": [("gain", 0), ("conv", 0)]},
    "signed": {"rule": "signed"},
    "quantised": {"steps": 1, "shortcuts": [("gain", 0), ("conv", 0)]},
}


@pytest.mark.parametrize("case", CASES)
def test_shortcuts(case: str) -> None:
    made = network(**CASES[case])
    check(Design(made, auto(made)))


@pytest.mark.parametrize(("rule", "bits"), [("causal", 4), ("lossless", 5)])
def test_a_sum_that_is_narrower_than_its_addends_say(rule: Any, bits: int) -> None:
    """Convolution 0..4 and shortcut -4..0 in one channel, the other way round in the other: -4..4, where the ranges of
    the two over all channels would add up to -8..8. The sum is itself a shortcut, past a larger convolution."""
    weight = np.array([[4, 0], [0, -4]]).reshape(2, 2, 1, 1)
    made = Network(
        (
            Input(name="input", shape=(2, 4, 3), high=15),
            conv("first", "input", 2, 2),
            IF(name="first_if", source="first", threshold=[60, 60], bias=[3, 9], v0=[30, 30], rule=rule),
            Conv2d(name="a", source="first_if", weight=weight, weight_bits=4),
            Gain(name="skip0", source="first_if", gain=[-4, 4]),
            Add(name="add0", source="a", other="skip0"),
            conv("b", "first_if", 2, 2),
            Add(name="add1", source="b", other="add0"),
            IF(name="b_if", source="add1", threshold=[5, 7], bias=[1, -1], v0=[2, 3], rule=rule),
            Flatten(name="flat", source="b_if"),
            Linear(name="last", source="flat", weight=RNG.integers(-7, 8, (3, 24)), weight_bits=4),
            Readout(name="readout", source="last", bias=[1, -1, 0]),
        ),
        steps=2,
    )
    design = Design(made, auto(made))
    (merge,) = (merge for stage in design.stages if stage.name == "b" for merge in stage.merges)
    assert merge.shortcut_format.bits == bits
    check(design)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [1, 4])
def test_folded_steps(outputs: int) -> None:
    """A window that is scanned for one time step after the other picks the steps of the shortcut's words."""
    made = network(steps=2, channels=8, shortcuts=[("gain", 4)])
    folds = auto(made) | {"b": Fold(outputs, 1, 1)}
    check(Design(made, folds))


def shallower(design: Design, words: int) -> Design:
    """The same design with ``words`` slots in the FIFO of its shortcut."""
    found = Design(design.network, design.folds)
    vars(found)["stages"] = with_depths(found.stages, {"b": [words]})
    return found


def depth(design: Design) -> int:
    return next(merge.slots for stage in design.stages for merge in stage.merges)


def test_one_word_less_makes_the_design_wait() -> None:
    """The depth that the cycle law gives is the smallest with which the free run goes on as with no limit."""
    made = network()
    design = Design(made, auto(made))
    words = 4 * design.boundaries[0].words_per_frame
    free, exact = design.free_run, design.law(words)
    less = shallower(design, depth(design) - 1)
    late = less.law(words)
    for name, cycles in free.transfers.items():
        assert cycles.tolist() == exact.transfers[name].tolist(), name
    waiting = [name for name, cycles in exact.transfers.items() if (late.transfers[name] > cycles).any()]
    assert "first_if" in " ".join(made_name(design, name) for name in waiting)
    assert all((late.transfers[name] >= cycles).all() for name, cycles in exact.transfers.items())
    check(less, 0.0)  # and the RTL waits in the same cycles


def made_name(design: Design, boundary: str) -> str:
    """The node whose result is on a boundary."""
    return next(b.node for b in design.boundaries if b.name == boundary)


def test_a_fifo_that_is_too_shallow_stops_the_design() -> None:
    """Law and RTL agree on the number of slots from which on no frame is lost, and below which none comes out."""
    made = network()
    design = Design(made, auto(made))
    words = 3 * design.boundaries[0].words_per_frame

    def finishes(slots: int) -> bool:
        return len(shallower(design, slots).law(words).transfers["last"]) > 0

    fewest = max(next(merge.needs for stage in design.stages for merge in stage.merges))
    live = next(slots for slots in range(fewest, depth(design) + 1) if finishes(slots))
    assert fewest < live < depth(design)
    frames = RNG.integers(0, 16, (3, *made.input.shape))
    stimulus = make_stimulus(design, frames)
    for slots, count in ((live - 1, 0), (live, 3)):
        top = Top(shallower(design, slots))
        trace = run_amaranth(top, {"last": top.boundaries["last"]}, replace(stimulus, cycles=2 * stimulus.cycles))
        assert len(trace.boundaries["last"].cycles) == count * design.boundaries[-1].words_per_frame


def test_what_has_no_hardware_is_refused_by_name() -> None:
    made = network()
    nodes = list(made.nodes)
    at = next(k for k, node in enumerate(nodes) if node.name == "b")
    nodes[at] = Gain(name="b", source="a_if", gain=np.ones(C, int))
    with pytest.raises(
        PlanError, match=r"add0: adds two identity shortcuts \(b, skip0\); one side must end in a Conv2d"
    ):
        layers(Network(tuple(nodes), 4))
    pixels = [Input(name="input", shape=(2, 4, 4), high=3), conv("c", "input", 2, 2)]
    one = np.ones(2, int)
    pixels += [IF(name="n", source="c", threshold=one, bias=one, v0=one), conv("d", "input", 2, 2)]
    pixels += [Gain(name="g", source="n", gain=one), Add(name="sum", source="d", other="g")]
    pixels += [
        IF(name="m", source="sum", threshold=one, bias=one, v0=one),
        SumPool(name="p", source="m", kernel=4, stride=4),
    ]
    pixels += [Flatten(name="f", source="p"), Linear(name="l", source="f", weight=np.eye(2, dtype=int), weight_bits=2)]
    pixels.append(Readout(name="readout", source="l", bias=one))
    with pytest.raises(
        PlanError, match=r"sum: adds spikes of T = 4 steps \(g\) to currents that do not change over time"
    ):
        layers(Network(tuple(pixels), 4))
