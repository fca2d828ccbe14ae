"""Proofs about pixels that are computed together (``docs/formal.md``): the FIFO that puts their words back into the
order of pixels, every word in its place, offered when its block is complete; and whole stages."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Assume, Const, Module, Signal
from prove import Bench, prove, proven, waits_for_ready
from stream_benches import hits, sink, word_from
from test_formal_window import ROW, SPIKE, stage_bench

from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.serialiser.spec import SerialiserSpec
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.blocks import BlockFifo, BlockFifoSpec, Blocks
from spikeloom.hdl.streams.stage import StageSpec
from spikeloom.hdl.verilog.library import Target

FIFOS = {
    "ragged": BlockFifoSpec(Blocks(3, 2, 2, 1), 1, 1, 2),
    "part by part": BlockFifoSpec(Blocks(2, 2, 2, 2), 1, 1, 2),
    "one slot": BlockFifoSpec(Blocks(2, 2, 2, 1), 1, 1, 1),
    "three pixels of four": BlockFifoSpec(Blocks(4, 3, 1, 1), 1, 1, 2),
}


def block_bench(core: BlockFifo, spec: BlockFifoSpec) -> Bench:
    """A block comes where there is a slot for it; the marked word of the marked row leaves in its place."""
    bench = Bench()
    m, blocks, parts = bench.m, spec.blocks, spec.parts_of_pixel
    m.submodules.core = core
    words = Blocks(blocks.width, blocks.pixels, blocks.groups * parts, parts)
    row = blocks.width * words.channels
    order = words.gathered(np.arange(1, row + 1).reshape(1, blocks.width, -1)).reshape(-1)  # 0: idle
    valid, word = bench.free(1, "i_valid"), bench.free(spec.bits, "i_payload")
    m.d.comb += [core.i.valid.eq(valid), core.i.payload.eq(word)]
    taken, out = sink(bench, core.o)
    at_i, rows_i = hits(bench, valid, len(order), "at_i")
    at_o, rows_o = hits(bench, taken, row, "at_o")
    marked, frame = bench.constant(len(at_o), "marked"), bench.constant(1, "frame")
    kept = Signal(spec.bits, name="kept")
    bench.assume(marked < row)
    came = word_from(m, [Const(int(n), 5) for n in order], at_i, "came")
    with m.If(valid & (came == marked + 1) & (rows_i == frame)):
        m.d.sync += kept.eq(word)
    begun, whole, left = (Signal(4, name=name) for name in ("begun", "whole", "blocks_left"))
    within, _ = hits(bench, valid, spec.words, "within")
    sizes = [blocks.pixels] * (blocks.count - 1) + [blocks.last]
    lasts = np.cumsum(sizes) * words.channels - 1
    leaves = Signal(name="leaves")
    m.d.comb += leaves.eq(taken & word_from(m, [Const(int(k in lasts), 1) for k in range(row)], at_o, "last_of_block"))
    m.d.sync += [
        begun.eq(begun + (valid & (within == 0))),
        whole.eq(whole + (valid & (within == spec.words - 1))),
        left.eq(left + leaves),
    ]
    room = Signal(4, name="room")
    m.d.comb += room.eq(begun - left)
    bench.assume(~valid | (within != 0) | (room < spec.slots))
    bench.rule("offered where a block is complete", core.o.valid == (whole != left))
    bench.rule("a block leaves with its last word", core.left == leaves)
    bench.rule("the word in its place", ~core.o.valid | (at_o != marked) | (rows_o != frame) | (out == kept))
    bench.goal("second row", taken & (rows_o == 1))
    return bench


@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "one slot")) for n in FIFOS])
def test_block_fifo(name: str, target: Target, tmp_path: Path) -> None:
    spec = FIFOS[name]
    bench = block_bench(BlockFifo(spec), spec)
    depth = (spec.blocks.count + 1 + (spec.slots == 1)) * spec.words + 4
    proven(prove(bench, tmp_path, depth=depth, target=target), "o", folder=tmp_path)


class Early(BlockFifo):
    """A FIFO that always offers a word."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.o.valid.eq(1)
        return m


def test_a_fifo_that_offers_too_much_is_found(tmp_path: Path) -> None:
    spec = FIFOS["ragged"]
    assert not prove(block_bench(Early(spec), spec), tmp_path, depth=8)


def test_a_fifo_that_leaves_the_order_is_found(tmp_path: Path) -> None:
    spec = FIFOS["one slot"]
    blocks = spec.blocks
    plain = Blocks(blocks.width, blocks.pixels, blocks.channels, blocks.channels)  # words that come pixel by pixel
    core = BlockFifo(BlockFifoSpec(plain, spec.lanes, spec.bits, spec.slots))
    assert prove(block_bench(core, spec), tmp_path, depth=12).broken == ["the word in its place"]


def pixel_stage(shortcut: bool) -> tuple[StageSpec, np.ndarray, int]:
    """Three pixels of a row, two together: one of the second block is idle."""
    window, weight = replace(ROW, i_format=SPIKE, credits=2), np.array([1, -2])
    blocks = Blocks(3, 2, 1, 1)
    synapse = SynapseSpec(weight=weight.reshape(1, 2, 1), weight_bits=3, i_format=window.o_format, outputs=1, steps=1,
                          sum_time=False, start=np.zeros(1, np.int64), pixels=2)  # fmt: skip
    parts = SerialiserSpec(synapse.o_format, 1)
    ranges = synapse.ranges[blocks.order]
    merge = MergeSpec(gain=np.array([2, 2]), first=0, channels=1, shortcut_format=SPIKE, i_format=parts.o_format,
                      scans=1, result_words=2, ranges=ranges, blocks=blocks, depth=4)  # fmt: skip
    form, ranges = (merge.o_format, merge.o_ranges) if shortcut else (parts.o_format, ranges)
    two = np.ones(2, int)
    neuron = NeuronSpec(threshold=2 * two, bias=0 * two, v0=two, rule="causal", strict=False, time_steps=1,
                        i_format=form, ranges=ranges, constant=False)  # fmt: skip
    cores = (synapse, parts, merge, neuron) if shortcut else (synapse, parts, neuron)
    return StageSpec(name="stage", window=window, cores=cores), weight, 2


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_stage_of_several_pixels(shortcut: bool, target: Target, tmp_path: Path) -> None:
    spec, weight, gain = pixel_stage(shortcut)
    bench = stage_bench(spec, weight, gain, spec.latency + spec.window.cycles + 2)
    if target == "fpga":
        bench.m.d.comb += Assume(bench.running | ~bench.ports[0], None)
    depth = spec.window.cycles + spec.latency + 9
    proof = prove(bench, tmp_path, depth=depth, target=target, kept=target == "fpga")
    assert proof, f"{', '.join(proof.broken)} ({proof.waves})\n{proof.table}"
    assert not waits_for_ready(tmp_path, ["o"])


def test_a_stage_of_several_pixels_that_promises_too_much_is_found(tmp_path: Path) -> None:
    """Credits for two blocks and a FIFO of one."""
    spec, weight, gain = pixel_stage(False)
    with pytest.MonkeyPatch.context() as patch:
        fifo = replace(spec.fifo, slots=1)
        patch.setattr(StageSpec, "fifo", fifo)
        found = stage_bench(spec, weight, gain, 31)
        proof = prove(found, tmp_path, depth=spec.window.cycles + spec.latency + 8, target="asic")
    assert "the FIFO has room for every result" in proof.broken
