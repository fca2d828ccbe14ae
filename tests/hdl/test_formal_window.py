"""Proofs about windows and whole stages: every word of the walk in its place, none that is skipped was not zero, the
padding is what stands there whatever the memory holds, and nothing stops for ever."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Assume, Const, Mux, Signal, Value, signed
from prove import Bench, prove, waits_for_ready
from stream_benches import sink, source, word_from

from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.cores.window.core import Window
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.streams.blocks import BlockFifoSpec
from spikeloom.hdl.streams.stage import Stage, StageSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.hdl.verilog.library import Target

BITS = 2
WORD = WordFormat(1, 1, 0, 3)
PADDED = WindowSpec(i_format=WORD, channels=1, height=2, width=1, kernel=(2, 2), stride=(2, 2),
                    padding=((1, 1), (1, 1)), order="taps", groups=1, scans=1, credits=2, rows=1)  # fmt: skip
WINDOWS = {
    "taps": PADDED,
    "columns": replace(PADDED, columns=True),
    "channels": replace(PADDED, channels=2, kernel=(2, 1), padding=((0, 0), (0, 0)), order="channels", rows=2),
    "groups": replace(PADDED, kernel=(2, 1), padding=((0, 0), (0, 0)), groups=2, rows=2),
    "skipping": replace(PADDED, channels=2, chunk=2),
    "uneven": replace(PADDED, stride=(1, 2), padding=((0, 1), (1, 0)), rows=2),
    "dilated": replace(PADDED, height=3, kernel=(2, 1), stride=(1, 1), padding=((1, 1), (0, 0)), dilation=(2, 1),
                       rows=3),
}
WINDOWS |= {
    "pad": replace(PADDED, pad=(2,)),
    "pad, columns": replace(PADDED, columns=True, pad=(2,)),
    "pad, words differ": replace(PADDED, channels=2, height=1, kernel=(2, 2), padding=((1, 0), (1, 0)), pad=(2, 1)),
    "pad, channels": replace(PADDED, channels=2, height=1, kernel=(2, 1), padding=((1, 0), (0, 0)), pad=(2, 1),
                             order="channels", groups=2),
    "pad, columns, words differ": replace(PADDED, channels=2, height=1, padding=((1, 0), (1, 0)), pad=(3, 1),
                                          columns=True),
}
ROW = replace(PADDED, height=1, width=3, kernel=(1, 2), stride=(1, 1), padding=((0, 0), (1, 0)), pixels=2)
WINDOWS |= {
    "pixels": ROW,
    "pixels, a row": replace(ROW, pixels=3, groups=2, width=2, padding=((0, 0), (1, 1))),
    "pixels, groups": replace(ROW, groups=2, padding=((0, 0), (0, 0)), credits=1),
    "pixels, stride": replace(ROW, width=4, stride=(1, 2), padding=((0, 0), (1, 1))),
    "pixels, above": replace(ROW, kernel=(2, 1), stride=(2, 1), padding=((1, 0), (0, 0))),
    "pixels, columns": replace(ROW, kernel=(2, 2), padding=((1, 0), (1, 0)), columns=True),
    "pixels, pad": replace(ROW, channels=2, width=1, padding=((0, 0), (1, 1)), pad=(2, 1)),
    "pixels, pad, columns": replace(ROW, width=2, kernel=(2, 2), padding=((1, 0), (1, 1)), pixels=3, pad=(2,),
                                    columns=True),
}
AGAIN = replace(PADDED, height=1, kernel=(1, 1), stride=(1, 1), padding=((0, 0), (0, 0)), order="channels", rows=2,
                credits=4)  # fmt: skip
WINDOWS |= {
    "times": replace(AGAIN, times=(2, 2)),
    "times, two words": replace(AGAIN, channels=2, times=(1, 2)),
    "times, a slot": replace(AGAIN, width=2, times=(2, 1), rows=1),
}
LINE = replace(PADDED, padding=((1, 0), (0, 1)), stride=(1, 1), rows=2)
WINDOWS |= {
    "words": replace(LINE, words=2),
    "words, more": replace(LINE, words=3),
    "words, stride": replace(WINDOWS["uneven"], stride=(2, 1), width=2, height=1, words=2),
    "words, channels": replace(WINDOWS["channels"], kernel=(1, 1), stride=(1, 1), words=3),
    "words, groups": replace(WINDOWS["groups"], height=3, stride=(1, 1), words=3),
    "words, pad": replace(LINE, pad=(2,), words=2),
    "words, pads differ": replace(WINDOWS["pad, words differ"], kernel=(1, 2), width=2, stride=(1, 1),
                                  padding=((0, 0), (1, 0)), words=4),
}
WINDOWS["columns, dilated"] = replace(WINDOWS["dilated"], kernel=(2, 2), padding=((1, 1), (1, 0)), columns=True)


def window_bench(window: Window, stall: int, kept_memory: bool = False) -> Bench:
    """The words of the walk against ``WindowSpec.compute``, by a marked word of a marked frame; nothing is stuck for
    more than ``stall`` cycles in which neither credits nor the shortcut hold it."""
    spec = window.spec
    bench = Bench()
    m = bench.m
    m.submodules.core = window
    taken, word = source(bench, window.i)
    if kept_memory:  # a register that points anywhere, in the cycle of the reset, would write anywhere
        m.d.comb += Assume(bench.running | ~window.i.valid, None)
    hold, back = bench.free(1, "hold"), bench.free(1, "back")
    m.d.comb += [window.hold.eq(hold), window.taken.eq(back)]
    walk = replace(spec, pad=()).compute(np.arange(1, spec.i_words + 1).reshape(-1, 1, 1))[:, :, 0]  # 0: padding
    pads = spec.compute(np.zeros((spec.i_words, 1, 1), int))[:, :, 0]  # what stands there
    result = spec.scan_words * spec.scans

    def cyclic(step: Value, count: int, name: str) -> tuple[Signal, Signal]:
        """A counter of ``count`` states, and how often it wrapped."""
        value, wraps = Signal(range(max(2, count)), name=name), Signal(2, name=f"{name}_wraps")
        with m.If(step):
            m.d.sync += value.eq(Mux(value == count - 1, 0, value + 1))
        with m.If(step & (value == count - 1)):
            m.d.sync += wraps.eq(wraps + 1)
        return value, wraps

    at_i, frame_i = cyclic(taken, spec.i_words, "at_i")
    marked, frame, kept = bench.constant(len(at_i), "marked"), bench.constant(1, "frame"), Signal(BITS, name="kept")
    bench.assume(marked < spec.i_words)
    with m.If(taken & (at_i == marked) & (frame_i == frame)):
        m.d.sync += kept.eq(word)

    out, data = window.o, window.o.payload.data
    scans = len(walk) // spec.scan_words
    if spec.chunk:
        at_scan, frame_o = cyclic(out.valid & out.payload.last, scans, "at_scan")
        offset = out.payload.row % spec.scan_words
        place = Signal(range(len(walk) + 1), name="place")
        m.d.comb += place.eq(at_scan * spec.scan_words + offset)
        before = Signal(range(spec.scan_words + 1), name="least")  # rows only go up
        with m.If(out.valid):
            m.d.sync += before.eq(Mux(out.payload.last, 0, offset + 1))
        bench.rule("no word of a scan twice", ~out.valid | (offset >= before))
        has = [
            np.isin(np.arange(1, spec.i_words + 1), walk[k * spec.scan_words :][: spec.scan_words])
            for k in range(scans)
        ]
        masks = [Const(int(sum(1 << n for n in np.flatnonzero(h))), spec.i_words) for h in has]
        found = Signal(name="found")  # the marked word was handed out in this scan
        now = Signal(name="found_now")
        places = word_from(m, [Const(int(w), 4) for w in walk[:, 0]], place, "walked")
        m.d.comb += now.eq(found | (out.valid & (places == marked + 1)))
        m.d.sync += found.eq(now & ~(out.valid & out.payload.last))
        within = word_from(m, masks, at_scan, "mask").bit_select(marked, 1)
        bench.rule("no word is skipped that is not zero",
                   ~(out.valid & out.payload.last & within & (kept != 0) & (frame_o == frame)) | now)  # fmt: skip
        ends_result = out.valid & out.payload.last
    else:
        place, frame_o = cyclic(out.valid, len(walk), "place")
        bench.rule("last", ~out.valid | (out.payload.last == (place % spec.scan_words == spec.scan_words - 1)))
        block = result * (spec.groups if spec.pixels > 1 else 1)  # of windows walked together a block has a credit
        ends_result = out.valid & (place % block == result - 1)
    for lane in range(walk.shape[1]):
        walked = word_from(m, [Const(int(w), 4) for w in walk[:, lane]], place, f"walked_{lane}")
        part = data[lane * BITS :][:BITS]
        around = word_from(m, [Const(int(w), BITS) for w in pads[:, lane]], place, f"around_{lane}")
        bench.rule(f"padding is what stands there, lane {lane}", ~out.valid | (walked != 0) | (part == around))
        same = (walked == marked + 1) & (frame_o == frame)
        bench.rule(f"the word in its place, lane {lane}", ~out.valid | ~same | (part == kept))
    waiting, whole = Signal(4, name="waiting"), Signal(name="whole")
    bench.assume(~back | (waiting != 0))
    m.d.sync += waiting.eq(waiting + ends_result - back)
    bench.rule("credits", waiting <= spec.credits)
    m.d.comb += whole.eq(frame_i != frame_o)  # a frame is complete that was not handed out
    idle = Signal(4, name="idle")
    free = ~hold & (waiting + ends_result < spec.credits) & (whole | window.i.valid)
    m.d.sync += idle.eq(Mux(free & ~taken & ~out.valid, idle + ~idle.all(), 0))
    bench.rule("never stuck", idle <= stall)
    bench.goal("end of a scan", out.valid & out.payload.last)
    if not spec.chunk:
        bench.goal("second frame", out.valid & (frame_o == 1))
    return bench


DEPTH = 15
"""Cycles of a bounded proof: a frame, and the second one overlapping it."""


LONGER = ("times, two words", "pixels, a row", "pixels, stride", "pixels, above", "pixels, pad", "pixels, pad, columns",
          "words", "words, channels", "words, groups", "words, pad")  # fmt: skip


@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=[pytest.mark.slow] * ("dilated" in form or form in LONGER)) for form in WINDOWS]
)
def test_window(form: str, target: Target, tmp_path: Path) -> None:
    spec = WINDOWS[form]
    bench = window_bench(Window(spec), 8 if spec.chunk else 3, target == "fpga")
    proof = prove(bench, tmp_path, depth=DEPTH, target=target, kept=target == "fpga")
    assert proof, f"{', '.join(proof.broken)} ({proof.waves})\n{proof.table}"


SPIKE = WordFormat(1, 1, 0, 1)
WINDOW = replace(PADDED, i_format=SPIKE)


def stage_bench(spec: StageSpec, weight: np.ndarray, gain: int, stall: int) -> Bench:
    """Both words of a marked frame and what comes out of it; the FIFO is never full when a result comes."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core = Stage(spec)
    taken_i, word = source(bench, core.i)
    taken_o, out = sink(bench, core.o)
    window = replace(spec.window, pixels=1)
    results, words = window.results, window.i_words
    frame = bench.constant(1, "frame")
    walk = window.compute(np.arange(1, words + 1).reshape(-1, 1, 1)).reshape(results, -1)

    def taken_words(taken: Value, word: Value, count: int, name: str) -> tuple[list[Signal], Signal]:
        """The words of the marked frame, and the number of frames that are complete."""
        at, frames = Signal(range(max(2, count)), name=f"at_{name}"), Signal(2, name=f"frames_{name}")
        with m.If(taken):
            m.d.sync += at.eq(Mux(at == count - 1, 0, at + 1))
        with m.If(taken & (at == count - 1)):
            m.d.sync += frames.eq(frames + 1)
        found = [Signal(len(word), name=f"{name}_{k}") for k in range(count)]
        for k, signal in enumerate(found):
            with m.If(taken & (at == k) & (frames == frame)):
                m.d.sync += signal.eq(word)
        return found, frames

    x, frames_i = taken_words(taken_i, word, words, "word")
    s, frames_s = [], frames_i
    if spec.merges:
        skip = core.skip0  # pyright: ignore[reportAttributeAccessIssue]
        s, frames_s = taken_words(*source(bench, skip, "skip"), results, "skip")
    at_o, frames_o = Signal(range(max(2, results)), name="at_o"), Signal(2, name="frames_o")
    with m.If(taken_o):
        m.d.sync += at_o.eq(Mux(at_o == results - 1, 0, at_o + 1))
    with m.If(taken_o & (at_o == results - 1)):
        m.d.sync += frames_o.eq(frames_o + 1)
    expected = []
    neuron = spec.cores[-1]
    assert isinstance(neuron, NeuronSpec)
    for r in range(results):
        v = sum((x[n - 1] * int(w) for n, w in zip(walk[r], weight, strict=True) if n), Const(0, signed(2)))
        v = v + int(neuron.v0[0] + neuron.bias[0]) + (s[r] * gain if s else 0)
        expected.append(v >= int(neuron.threshold[0]))
    bench.rule(
        "the result of the frame",
        ~core.o.valid | (frames_o != frame) | (out == word_from(m, expected, at_o, "expected")),
    )
    bench.rule("nothing before its frame", ~core.o.valid | (frames_i != frames_o) | (word_from(m, [
        Const(int(row.max() < words), 1) for row in walk], at_o, "early")))  # fmt: skip
    comes = bench.probe(1, "core.fifo.i__valid")
    if isinstance(spec.fifo, BlockFifoSpec):
        at, begun, left = (Signal(4, name=name) for name in ("at_of_block", "blocks_begun", "blocks_left"))
        following = Mux(at == spec.fifo.words - 1, 0, at + 1)
        m.d.sync += at.eq(Mux(comes, following, at))  # a probe is no condition of a branch
        begins = comes & (at == 0)
        m.d.sync += [begun.eq(begun + begins), left.eq(left + bench.probe(1, "core.fifo.left"))]
        full = begins & (begun - left == spec.fifo.slots)
    else:
        full = comes & ~bench.probe(1, "core.fifo.i__ready")
    bench.rule("the FIFO has room for every result", ~full)
    idle = Signal(5, name="idle")
    due = (frames_i != frames_o) & (frames_s != frames_o)
    m.d.sync += idle.eq(Mux(due & ~core.o.valid, idle + ~idle.all(), 0))
    bench.rule("no result is lost", idle <= stall)
    bench.goal("a frame", taken_o & (at_o == results - 1))
    return bench


def stage_spec(shortcut: bool) -> tuple[StageSpec, np.ndarray, int]:
    weight = np.array([1, -2, 1, 1])
    synapse = SynapseSpec(weight=weight.reshape(1, 4, 1), weight_bits=3, i_format=SPIKE, outputs=1, steps=1,
                          sum_time=False, start=np.zeros(1, np.int64))  # fmt: skip
    merge = MergeSpec(gain=np.array([2]), first=0, channels=1, shortcut_format=SPIKE, i_format=synapse.o_format,
                      scans=1, result_words=1, ranges=synapse.ranges, depth=2)  # fmt: skip
    last = merge if shortcut else synapse
    ranges = merge.o_ranges if shortcut else synapse.ranges
    neuron = NeuronSpec(threshold=np.array([2]), bias=np.array([0]), v0=np.array([1]), rule="causal", strict=False,
                        time_steps=1, i_format=last.o_format, ranges=ranges, constant=False)  # fmt: skip
    cores = (synapse, merge, neuron) if shortcut else (synapse, neuron)
    return StageSpec(name="stage", window=WINDOW, cores=cores), weight, 2


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize("shortcut", [False, True])
def test_stage(shortcut: bool, target: Target, tmp_path: Path) -> None:
    spec, weight, gain = stage_spec(shortcut)
    bench = stage_bench(spec, weight, gain, spec.latency + spec.window.cycles + 2)
    if target == "fpga":
        bench.m.d.comb += Assume(bench.running | ~bench.ports[0], None)
    depth = spec.window.cycles + spec.latency + 7
    proof = prove(bench, tmp_path, depth=depth, target=target, kept=target == "fpga")
    assert proof, f"{', '.join(proof.broken)} ({proof.waves})\n{proof.table}"
    assert not waits_for_ready(tmp_path, ["o"])


def test_a_stage_that_promises_too_much_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credits for two results and a FIFO of one."""
    spec, weight, gain = stage_spec(False)
    monkeypatch.setattr(StageSpec, "fifo_words", 1)
    bench = stage_bench(spec, weight, gain, 31)
    proof = prove(bench, tmp_path, depth=spec.window.cycles + spec.latency + 6, target="asic")
    assert "the FIFO has room for every result" in proof.broken
