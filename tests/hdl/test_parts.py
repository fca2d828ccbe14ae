"""What specs say they are made of: flip-flops and memories of every core exactly as Yosys makes them of it alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from spikeloom.gen.emit.writer import module
from spikeloom.gen.targets import yosys
from spikeloom.hdl import cores
from spikeloom.hdl.cores.bias.spec import BiasSpec
from spikeloom.hdl.cores.initial.spec import InitialSpec
from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.cores.neuron.rule import rule_names, rule_of
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.pool.spec import PoolSpec
from spikeloom.hdl.cores.readout.spec import ReadoutSpec
from spikeloom.hdl.cores.requant.spec import RequantSpec
from spikeloom.hdl.cores.serialiser.spec import SerialiserSpec
from spikeloom.hdl.cores.staircase.search import SearchSpec
from spikeloom.hdl.cores.staircase.serial import SerialSpec
from spikeloom.hdl.cores.staircase.spec import StaircaseSpec
from spikeloom.hdl.cores.staircase.stairs import Stairs
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.cores.upsample.spec import UpsampleSpec
from spikeloom.hdl.cores.window.core import Window
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.streams.blocks import BlockFifo, BlockFifoSpec, Blocks
from spikeloom.hdl.streams.words import WordFormat


def neuron(rule: str, steps: int = 3, parallel: int | None = None, constant: bool = False, outputs: int = 2,
           counts: bool = False, low: int = 0) -> NeuronSpec:  # fmt: skip
    """64 neurons, ``outputs`` at once: groups enough that no two bits of their levels are alike."""
    rng, once = np.random.default_rng(1), rule_of(rule).adds_up or constant
    form = WordFormat(outputs, 1 if once else parallel or steps, -200, 250)
    return NeuronSpec(threshold=rng.integers(60, 200, 64), bias=rng.integers(-40, 41, 64), v0=rng.integers(0, 60, 64),
                      rule=rule, strict=False, time_steps=steps, i_format=form, ranges=np.tile([-200, 250], (64, 1)),
                      constant=constant, counts=counts, low=low)  # fmt: skip


def synapse(lanes: int = 4, steps: int = 2, words: int = 5, groups: int = 2, **changes: Any) -> SynapseSpec:
    """Two outputs at once."""
    weight = np.random.default_rng(3).integers(-7, 8, (2 * groups, words, lanes))
    base: dict[str, Any] = dict(weight=weight, weight_bits=4, i_format=WordFormat(lanes, 2, 0, 1), outputs=2,
                                steps=steps, sum_time=False, start=np.zeros(len(weight), np.int64))  # fmt: skip
    return SynapseSpec(**base | changes)


def bipolar(lanes: int = 16, words: int = 10, groups: int = 2, **changes: Any) -> SynapseSpec:
    """Weights of one bit, rows enough that no two columns are alike."""
    inputs = lanes // (changes.get("blocks", 1) * changes.get("pixels", 1))
    weight = np.random.default_rng(6).choice([-1, 1], (2 * groups, words, inputs))
    changes = {"i_format": WordFormat(lanes, 2, 0, 1)} | changes
    inverts = changes.pop("inverts", False)
    spec = synapse(lanes, weight=weight, weight_bits=1, **changes)
    return replace(spec, inverts=True, start=spec.excess) if inverts else spec


def staircase(
    outputs: int, count: int, kind: type[Stairs] = StaircaseSpec, values: bool = False, **more: int
) -> Stairs:
    """Six channels, ``count`` thresholds each, no two of which are alike."""
    rng, reach = np.random.default_rng(5), 4 * count + 100
    threshold = np.sort(rng.permutation(np.arange(-reach + 1, reach))[: 6 * count].reshape(6, count))
    form = WordFormat(outputs, 1, -reach, reach)
    return kind(threshold=threshold, low=0, values=rng.integers(-255, 256, (6, count + 1)) if values else None,
                i_format=form, ranges=np.tile([-reach, reach], (6, 1)), **more)  # fmt: skip


PAD = (9, 0, 15, 3, 1, 8)


def window(**changes: Any) -> WindowSpec:
    base: dict[str, Any] = dict(i_format=WordFormat(2, 2, 0, 1), channels=6, height=5, width=6, kernel=(3, 3),
                                padding=((1, 1), (1, 1)), order="taps", groups=2, scans=1, credits=3,
                                rows=4)  # fmt: skip
    return WindowSpec(**base | changes)


def merge(**changes: Any) -> MergeSpec:
    base: dict[str, Any] = dict(gain=np.random.default_rng(2).integers(-60, 61, 64), first=0, channels=64,
                                shortcut_format=WordFormat(2, 2, 0, 1), i_format=WordFormat(2, 2, -14, 13), scans=1,
                                result_words=1, ranges=np.tile([-14, 13], (64, 1)),
                                depth=5)  # fmt: skip
    return MergeSpec(**base | changes)


def initial(depth: int = 20, **changes: Any) -> InitialSpec:
    base: dict[str, Any] = dict(offset=np.random.default_rng(4).integers(0, 60, (depth, 4)),
                                i_format=WordFormat(2, 1, -9, 8), ranges=np.tile([-9, 8], (4, 1)))  # fmt: skip
    return InitialSpec(**base | changes)


def readout(lanes: int, bias: list[int]) -> ReadoutSpec:
    return ReadoutSpec(bias=np.array(bias), i_format=WordFormat(lanes, 1, -150, 200), ranges=RANGES)


def biases(lanes: int, bias: list[int]) -> BiasSpec:
    ranges = np.tile([-150, 200], (len(bias), 1))
    return BiasSpec(bias=np.array(bias), i_format=WordFormat(lanes, 1, -150, 200), ranges=ranges)


def quantiser(bias: list[int], shift: list[int], lo: int, hi: int) -> RequantSpec:
    form, ranges = WordFormat(2, 1, -150, 200), np.tile([-150, 200], (len(bias), 1))
    return RequantSpec(bias=np.array(bias), shift=np.array(shift), lo=lo, hi=hi, i_format=form, ranges=ranges)


RANGES = np.tile([-150, 200], (4, 1))
FOUR, ONE = WordFormat(2, 4, 0, 1), WordFormat(2, 1, -14, 13)

EXACT: dict[str, dict[str, Any]] = {
    "bias": {
        "two at a time": biases(2, [3, -2, 0, 9]),
        "many groups": biases(2, np.random.default_rng(5).integers(-99, 99, 24).tolist()),
    },
    "initial": {"logic": initial(), "block RAM": initial(120), "three times": initial(times=3)},
    "merge": {
        "some channels": merge(gain=np.pad(np.random.default_rng(2).integers(-60, 61, 32), 16), first=16, channels=32)
    },
    "neuron": {
        "causal, one step": neuron("causal", 1),
        "causal": neuron("causal"),
        "causal, constant": neuron("causal", constant=True),
        "causal, two words": neuron("causal", 4, 2),
        "causal, counts": neuron("causal", counts=True),
        "causal, counts carried along": neuron("causal", 5, counts=True),
        "causal, counts, a step a word": neuron("causal", 4, 1, counts=True),
        "lossless": neuron("lossless"),
        "lossless, constant": neuron("lossless", constant=True),
        "lossless, counts": neuron("lossless", counts=True),
        "lossless, one group": neuron("lossless", outputs=64),
        "lossless, lower end": neuron("lossless", low=-2),
        "lossless, lower end, counts": neuron("lossless", low=-3, counts=True),
    },
    "pool": {
        "sum": PoolSpec(kind="sum", words=4, i_format=WordFormat(2, 2, 0, 1)),
        "max": PoolSpec(kind="max", words=4, i_format=WordFormat(2, 1, -7, 7)),
        "max_spikes": PoolSpec(kind="max_spikes", words=4, i_format=FOUR),
    },
    "readout": {"bias": readout(2, [3, -2, 0, 9]), "one at a time": readout(1, [3, -2, 0, 9])},
    "staircase": {
        "values": staircase(2, 3, values=True),
        "groups": staircase(2, 3),
        "a count": staircase(1, 7),
        "search": staircase(2, 20, SearchSpec),
        "search, block RAM": staircase(1, 130, SearchSpec),
        "search, values": staircase(1, 40, SearchSpec, True),
        "one comparator": staircase(6, 20, SerialSpec, lanes=3),
        "one comparator, block RAM, values": staircase(3, 40, SerialSpec, True, lanes=1),
    },
    "requant": {
        "bias": quantiser([5, -9, 0, 100], [0, 1, 2, 7], -7, 7),
        "few results": quantiser([5, -9, 0, 100], [6, 5, 6, 5], 0, 15),
        "two's complement": quantiser([5, -9, 0, 100], [0, 1, 2, 4], -8, 7),
        "many groups": quantiser([*range(-17, 19)], [0, 2, 1] * 12, -7, 7),
    },
    "serialiser": {"two": SerialiserSpec(WordFormat(4, 2, -5, 9), 2), "one": SerialiserSpec(WordFormat(4, 1, 0, 1), 1)},
    "synapse": {
        "all steps": synapse(),
        "a step at a time": synapse(steps=1),
        "a sum over time": synapse(sum_time=True),
        "three inputs": synapse(lanes=3),
        "one input": synapse(lanes=1),
        "addressed": synapse(addressed=True),
        "sixteen counts": synapse(16, words=20, i_format=WordFormat(16, 1, 0, 4), steps=1),
        "addressed, seven counts": synapse(7, words=20, i_format=WordFormat(7, 1, 0, 4), steps=1, addressed=True),
        "bipolar": bipolar(5),
        "bipolar, inverting": bipolar(6, inverts=True),
    },
    "upsample": {"none": UpsampleSpec(i_format=WordFormat(2, 2, 0, 1))},
    "window": {
        "taps": window(),
        "scans": window(scans=2),
        "columns": window(columns=True),
        "channels": window(order="channels", padding=((0, 0), (0, 0)), groups=1),
        "vector": window(height=1, width=1, kernel=(1, 1), padding=((0, 0), (0, 0)), rows=2),
        "block RAM": window(channels=16, width=40),
        "columns, block RAM": window(columns=True, channels=24, width=64),
        "times": window(order="channels", kernel=(1, 1), padding=((0, 0), (0, 0)), groups=1, times=(2, 3), rows=2),
        "times, a word a pixel": window(order="channels", kernel=(1, 1), padding=((0, 0), (0, 0)), groups=1,
                                        times=(2, 2), rows=2, i_format=WordFormat(6, 2, 0, 1)),
        "times, block RAM": window(order="channels", kernel=(1, 1), padding=((0, 0), (0, 0)), groups=1, times=(2, 2),
                                   rows=2, channels=16, width=40),
        "all sides differ": window(kernel=(3, 2), padding=((0, 2), (1, 0)), stride=(2, 1)),
        "words": window(words=59),
        "words, channels, block RAM": window(order="channels", channels=16, width=40, words=740),
        "words, banks, stride": window(order="channels", channels=32, width=200, i_format=WordFormat(1, 8, 0, 1),
                                       stride=(2, 2), height=6, words=20001),
    },
}
"""Small specs of every core, by its folder."""

BIPOLAR = {
    "sixteen inputs": bipolar(),
    "block RAM": bipolar(11, 40),
    "sums over time": bipolar(6, sum_time=True),
    "two inputs": bipolar(2, i_format=WordFormat(2, 1, -2, 1), steps=1),
    "one input": bipolar(1),
    "blocks": bipolar(10, blocks=2),
    "values": bipolar(5, i_format=WordFormat(5, 1, 0, 15), steps=1),
    "one value": bipolar(1, i_format=WordFormat(1, 1, 0, 15), steps=1),
    "addressed": bipolar(9, addressed=True),
    "inverting, sixteen inputs": bipolar(inverts=True),
    "inverting, block RAM": bipolar(11, 40, inverts=True),
    "inverting, values of two bits": bipolar(6, i_format=WordFormat(6, 1, -2, 1), steps=1, inverts=True),
    "inverting, one input": bipolar(1, inverts=True),
    "inverting, blocks": bipolar(10, blocks=2, inverts=True),
    "inverting, values": bipolar(5, i_format=WordFormat(5, 1, -8, 7), steps=1, inverts=True),
    "inverting, one value": bipolar(1, i_format=WordFormat(1, 1, 0, 15), steps=1, inverts=True),
}
"""More arrays of which the count is exact."""

def block_merge(blocks: Blocks, first: int = 0, channels: int = 0, slots: int = 2) -> MergeSpec:
    """Of pixels computed together; every channel has a gain of its own."""
    found = merge(gain=np.random.default_rng(2).integers(-60, 61, blocks.channels)[blocks.order], blocks=blocks,
                  ranges=np.tile([-14, 13], (len(blocks.order), 1)), result_words=blocks.outputs * blocks.pixels // 2,
                  first=first, channels=channels or blocks.channels, depth=None)  # fmt: skip
    return replace(found, depth=slots * blocks.pixels * found.words)


V, PLAIN = WordFormat(2, 1, 0, 15), ((0, 0), (0, 0))
PIXELS: dict[str, dict[str, Any]] = {
    "windows": {
        "two": window(width=8, pixels=2),
        "three of eight": window(width=8, pixels=3),
        "a word a pixel": window(width=8, pixels=4, i_format=WordFormat(6, 2, 0, 1)),
        "stride 3, dilation 2": window(width=12, stride=(1, 3), dilation=(1, 2), pixels=3),
        "pad": window(width=8, i_format=V, pad=PAD, pixels=2),
        "block RAM": window(channels=16, width=60, pixels=2),
        "columns": window(width=8, columns=True, pixels=2),
        "columns, six rows": window(width=8, columns=True, pixels=3, rows=6),
        "columns, block RAM": window(columns=True, channels=24, width=128, pixels=2),
    },
    "FIFOs": {
        "one group": BlockFifoSpec(Blocks(8, 2, 4, 4), 4, 8, 2),
        "groups, part by part": BlockFifoSpec(Blocks(8, 4, 8, 4), 2, 4, 2),
        "ragged": BlockFifoSpec(Blocks(7, 3, 6, 2), 1, 6, 3),
        "one slot, two blocks": BlockFifoSpec(Blocks(5, 4, 3, 3), 3, 6, 1),
    },
    "arrays": {
        "two": synapse(weight=np.random.default_rng(3).integers(-7, 8, (4, 5, 4)), i_format=WordFormat(8, 2, 0, 1),
                       pixels=2),
        "three, one input": synapse(weight=np.random.default_rng(3).integers(-7, 8, (4, 5, 1)), pixels=3,
                                    i_format=WordFormat(3, 2, 0, 1)),
        "bipolar": bipolar(12, pixels=2),
        "bipolar, inverting": bipolar(12, pixels=2, inverts=True),
    },
    "merges": {
        "groups": block_merge(Blocks(8, 2, 16, 4)),
        "ragged": block_merge(Blocks(7, 3, 16, 4)),
        "some channels": block_merge(Blocks(8, 4, 32, 8), first=8, channels=16),
        "four slots": block_merge(Blocks(7, 2, 16, 4), slots=4),
    },
}  # fmt: skip
"""Cores of several pixels at once, of which the count is exact."""

NEAR: dict[str, dict[str, Any]] = {
    "initial": {"two steps": initial(i_format=WordFormat(2, 2, -9, 8))},
    "merge": {
        "a step each": merge(),
        "added up": merge(i_format=ONE, shortcut_format=FOUR),
        "a step a word": merge(i_format=ONE, shortcut_format=WordFormat(2, 3, 0, 1), scans=3),
        "values": merge(i_format=ONE, shortcut_format=WordFormat(2, 1, -3, 4)),
        "plain": merge(gain=np.ones(64, int), shortcut_format=WordFormat(2, 1, -30, 40)),
    },
    "neuron": {
        "signed": neuron("signed"),
        "signed, constant": neuron("signed", constant=True),
        "signed, two words": neuron("signed", 4, 2),
    },
    "readout": {"all at once": readout(4, [0] * 4)},
    "requant": {"no bias": quantiser([0] * 4, [3] * 4, 0, 15)},
    "synapse": {
        "constant weights": synapse(words=1, groups=1),
        "values": synapse(i_format=WordFormat(4, 1, -3, 4), steps=1),
        "weights in LUTs": synapse(words=3, logic=True),
        "bipolar, signed values": bipolar(6, i_format=WordFormat(6, 1, -8, 7), steps=1),
    },
    "window": {
        "skipping": window(channels=8, chunk=4),
        "skipping, no padding": window(channels=8, chunk=2, padding=((0, 0), (0, 0))),
        "columns, above": window(columns=True, padding=((1, 0), (0, 0)), stride=(1, 2)),
        "pad": window(i_format=WordFormat(2, 1, 0, 15), pad=PAD),
        "pad, columns": window(i_format=WordFormat(2, 1, 0, 15), columns=True, pad=PAD),
        "dilated": window(dilation=(2, 2), rows=6),
        "words, no padding": window(padding=((0, 0), (0, 0)), words=64),
        "words, pad": window(i_format=WordFormat(2, 1, 0, 15), pad=PAD, words=60),
    },
}
"""Those in which registers are alike or are not read, or of which the count says that it is about right: counters that
choose among equals, the sign of a sum in a wider word, levels of a test that cannot hold."""

LESS, MORE = 1, 0.2
"""By so many flip-flops at most the count is below that of Yosys, by that share above it."""


class Alone(wiring.Component):
    """A core whose ports are those of a module."""

    def __init__(self, core: Any) -> None:
        self.core = core
        self.ports = {}
        for path, member, value in core.signature.flatten(core):
            if not isinstance(wire := Value.cast(value), Const):
                self.ports["__".join(map(str, path))] = (member.flow, wire)
        super().__init__({name: flow(len(wire)) for name, (flow, wire) in self.ports.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = self.core
        for name, (flow, wire) in self.ports.items():
            mine = getattr(self, name)
            m.d.comb += wire.eq(mine) if flow == In else mine.eq(wire)
        return m


def made(specs: dict[str, Any], folder: Path) -> dict[str, tuple[int, int, int]]:
    """Flip-flops, block RAMs and LUT RAMs that Yosys makes of ``specs``, by name."""
    passes: list[str] = []
    for k, spec in enumerate(specs.values()):
        own = {WindowSpec: Window, BlockFifoSpec: BlockFifo}.get(type(spec))
        core = own(spec) if own else spec.core()
        (folder / f"top{k}.v").write_text(module(Alone(core), f"top{k}"))
        passes += ["design -reset", f"read_verilog -DSPIKELOOM_ECP5 top{k}.v", f"synth_ecp5 -top top{k}",
                   f"tee -q -o stat{k}.json stat -json"]  # fmt: skip
    yosys.run(passes, folder)
    found = {}
    for k, name in enumerate(specs):
        cells = json.loads((folder / f"stat{k}.json").read_text())["design"]["num_cells_by_type"]
        found[name] = tuple(cells.get(kind, 0) for kind in ("TRELLIS_FF", "DP16KD", "TRELLIS_DPR16X4"))
    return found


def said(specs: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """The same by the specs."""
    return {name: (parts.ff, parts.ebr, parts.lut_ram) for name, parts in ((n, s.parts()) for n, s in specs.items())}


def test_every_core_and_every_rule_is_here() -> None:
    (folder,) = cores.__path__
    assert {path.parent.name for path in Path(folder).glob("*/spec.py")} == set(EXACT) >= set(NEAR)
    neurons = [*EXACT["neuron"].values(), *NEAR["neuron"].values()]
    assert {spec.rule for spec in neurons} == set(rule_names())


FEW = 2
"""Specs of a core in "make test"; "make regress" makes all."""


@pytest.mark.parametrize("folder", EXACT)
def test_registers_and_memories_are_those_that_yosys_makes(folder: str, tmp_path: Path) -> None:
    first = dict(list(EXACT[folder].items())[:FEW])
    assert said(first) == made(first, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("folder", [folder for folder, specs in EXACT.items() if len(specs) > FEW])
def test_registers_and_memories_of_other_forms(folder: str, tmp_path: Path) -> None:
    others = dict(list(EXACT[folder].items())[FEW:])
    assert said(others) == made(others, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PIXELS)
def test_cores_of_several_pixels_are_exact_too(kind: str, tmp_path: Path) -> None:
    assert said(PIXELS[kind]) == made(PIXELS[kind], tmp_path)


@pytest.mark.slow
def test_arrays_of_bipolar_weights_are_exact_too(tmp_path: Path) -> None:
    assert said(BIPOLAR) == made(BIPOLAR, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("folder", NEAR)
def test_registers_that_are_alike_or_unread_are_few(folder: str, tmp_path: Path) -> None:
    counted = made(NEAR[folder], tmp_path)
    for name, (ff, *memories) in said(NEAR[folder]).items():
        assert memories == list(counted[name][1:]), name
        assert -LESS <= ff - counted[name][0] <= MORE * counted[name][0], f"{name}: {ff}, not {counted[name][0]}"
