"""Stages that skip all-zero words: words against the model, every cycle against the law, corners of the sparsity."""

import numpy as np
import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from same_law import solve_both

from spikeloom.gen.emit.writer import module
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.protocol import CoreSpec
from spikeloom.hdl.cores.serialiser.spec import SerialiserSpec
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.cores.window.sparse import SparseWalk
from spikeloom.hdl.cores.window.sparse_law import scan_costs
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.streams.law import Gate, Link, Process, SinkLaw, SourceLaw
from spikeloom.hdl.streams.stage import Stage, StageSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.hdl.verilog.library import Library
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.simulators.amaranth_sim import run_stream


def window(**changes) -> WindowSpec:
    base = dict(
        i_format=WordFormat(2, 2, 0, 1),
        channels=8,
        height=5,
        width=4,
        kernel=(3, 2),
        order="taps",
        groups=1,
        scans=1,
        credits=3,
        rows=6,
        chunk=4,
    )
    return WindowSpec(**(base | changes))


GEOMETRIES = {
    "plain": {},
    "padded": dict(padding=((1, 1), (1, 1))),
    "stride 2": dict(stride=(2, 2), chunk=2),
    "stride past the kernel": dict(kernel=(1, 1), stride=(3, 3), rows=3),
    "padded, stride 2": dict(padding=((1, 1), (1, 1)), stride=(2, 2), rows=5),
    "tight ring": dict(rows=3),
    "several groups": dict(groups=3, credits=1),
    "groups, span of more than the chunks": dict(groups=2, span=9),
    "scans": dict(groups=2, scans=2, span=2, chunk=2),
    "scans, span of more than the chunks": dict(kernel=(1, 1), groups=2, scans=2, span=2),
    "vector": dict(height=1, width=1, channels=48, kernel=(1, 1), rows=2, groups=2, chunk=8),
    "vector of one chunk": dict(height=1, width=1, channels=8, kernel=(1, 1), rows=2, credits=12),
    "one row slot": dict(height=1, width=1, channels=8, kernel=(1, 1), rows=1),
    "three inputs of several bits": dict(i_format=WordFormat(3, 1, -3, 4), channels=12),
    "one input": dict(i_format=WordFormat(1, 2, 0, 1), channels=4),
    "six inputs": dict(i_format=WordFormat(6, 2, 0, 1), channels=12, chunk=2),
    "many credits": dict(credits=12, groups=2),
    "big padding": dict(kernel=(3, 3), padding=((2, 2), (2, 2)), channels=4, chunk=2),
}

UNEVEN = {
    "all sides differ": dict(kernel=(4, 3), padding=((1, 3), (2, 0)), stride=(2, 3)),
    "below and right": dict(padding=((0, 2), (0, 1)), stride=(1, 2), groups=2),
    "dilated": dict(dilation=(2, 3), padding=((3, 2), (1, 2)), chunk=2),
    "dilated, one chunk a pixel": dict(dilation=(2, 2), padding=((1, 4), (2, 1)), rows=5),
}


def stage(spec: WindowSpec, bits: int = 8) -> StageSpec:
    """A stage of a synapse array whose weights differ in every row, so that a wrong row shows; with neurons where the
    window is scanned for groups of time steps, in parts where results lie far enough apart for it."""
    rng, outputs = np.random.default_rng(1), 4
    shape = (spec.groups * outputs, spec.scan_words, spec.o_format.lanes)
    synapse = SynapseSpec(
        weight=rng.integers(-99, 100, shape) if bits > 1 else rng.choice([-1, 1], shape),
        weight_bits=bits,
        i_format=spec.o_format,
        outputs=outputs,
        steps=spec.o_format.steps // spec.scans,
        sum_time=False,
        start=np.zeros(spec.groups * outputs, np.int64),
        addressed=True,
    )
    cores: tuple[CoreSpec, ...] = (synapse,)
    if spec.scans > 1:
        neuron = NeuronSpec(
            threshold=rng.integers(50, 400, len(synapse.weight)),
            bias=rng.integers(-20, 20, len(synapse.weight)),
            v0=rng.integers(0, 50, len(synapse.weight)),
            rule="causal",
            strict=False,
            time_steps=spec.o_format.steps,
            i_format=synapse.o_format,
            ranges=synapse.ranges,
            constant=False,
        )
        assert spec.span == neuron.turnaround
        cores += (neuron,)
    elif spec.span >= outputs:
        cores += (SerialiserSpec(synapse.o_format, 1),)
    return StageSpec(name="test", window=spec, cores=cores)


def inputs(spec: WindowSpec, frames: int, density: float, rng: np.random.Generator) -> np.ndarray:
    """Words of which about the share ``density`` is not zero."""
    shape = (frames * spec.i_words, spec.i_format.lanes, spec.i_format.steps)
    words = rng.integers(spec.i_format.low, spec.i_format.high + 1, shape)
    words[:, 0, 0] |= ~words.any(axis=(1, 2))
    return words * (rng.random(shape[0]) < density)[:, None, None]


def check(spec: StageSpec, x: np.ndarray, shares: tuple[float, float] = (0.0, 0.0)) -> list[int]:
    """Simulate the input words ``x``; return the cycles of the results."""
    rng = np.random.default_rng(7)
    words, (_, expected) = spec.i_format.pack(x), spec.compute(x)
    costs = spec.window.scan_costs(x.any(axis=(1, 2))).tolist()
    source, sink = (random_pauses(rng, 3000, share) for share in shares)

    def made() -> list[Process]:
        i, o = Link(source=Gate(source)), Link(sink=Gate(sink))
        return [SourceLaw(len(words), i), spec.law((i,), (o,), costs), SinkLaw(o)]

    _, law, _ = solve_both(made)
    (i,), (o,) = law.ins, law.outs
    last = max(i.taken[-1], o.taken[-1])
    trace = run_stream(Stage(spec), words, last + 40, source_pauses=source, sink_pauses=sink)
    assert np.array_equal(trace.boundaries["o"].words, expected[: len(trace.boundaries["o"].words)])
    assert trace.boundaries["o"].cycles.tolist() == o.taken
    assert trace.boundaries["i"].cycles.tolist() == i.taken
    assert len(o.taken) == len(expected) and not trace.violations
    return o.taken


@pytest.mark.parametrize(("geometry", "shares"), [
    *((g, shares) for g in GEOMETRIES for shares in ((0.0, 0.0), (0.3, 0.3))), *((g, (0.3, 0.3)) for g in UNEVEN),
    *(pytest.param(g, shares, marks=pytest.mark.slow) for g in GEOMETRIES for shares in ((0.6, 0.0), (0.0, 0.6)))
])  # fmt: skip
def test_stage_follows_the_law(geometry: str, shares: tuple[float, float]) -> None:
    spec = window(**(GEOMETRIES | UNEVEN)[geometry])
    rng = np.random.default_rng(len(geometry))
    # A frame of zeros, one without a zero word, and frames in between.
    x = np.concatenate([inputs(spec, 1, density, rng) for density in (0.1, 0.0, 1.0, 0.3, 0.7)])
    check(stage(spec), x, shares)


@pytest.mark.parametrize("geometry", ["padded", "scans", "three inputs of several bits", "one input", "six inputs"])
def test_stage_of_bipolar_weights_follows_the_law(geometry: str) -> None:
    """Words that are left out count as 0, though no bit of a weight is."""
    spec = window(**GEOMETRIES[geometry])
    rng = np.random.default_rng(len(geometry))
    x = np.concatenate([inputs(spec, 1, density, rng) for density in (0.1, 0.0, 1.0, 0.3)])
    check(stage(spec, bits=1), x, (0.3, 0.3))


@pytest.mark.parametrize(("scans", "span"), [(1, 1), pytest.param(1, 5, marks=pytest.mark.slow), (2, 2)])
@pytest.mark.parametrize("density", [0.0, 1.0])
def test_all_zero_and_all_dense(density: float, scans: int, span: int) -> None:
    spec = window(channels=16, groups=8, scans=scans, span=span, credits=16)
    tested = stage(spec)
    taken = check(tested, inputs(spec, 2, density, np.random.default_rng(0)))[:: tested.result_words]
    # In the steady state a dense scan takes all its words, an empty one all its chunks.
    interval = spec.scan_words if density else spec.scan_words // spec.chunk
    assert set(np.diff(taken[-spec.groups :])) == {scans * interval}


def test_one_word_in_every_walk() -> None:
    spec = window(height=1, width=1, channels=64, kernel=(1, 1), chunk=8, groups=2, credits=12, rows=2)
    x = np.zeros((64, spec.pixel_words, 2, 2), int)
    for frame in range(64):
        x[frame, frame % spec.pixel_words, 1, 0] = 1
    assert spec.scan_costs(x.any(axis=(2, 3)).reshape(-1))[:, 3].tolist() == [1] * 64
    check(stage(spec), x.reshape(-1, 2, 2))


def test_costs_by_hand() -> None:
    # Chunks of up to four words: three, none, one; none at all; none but the last; full.
    kept = np.array([[3, 0, 1], [0, 0, 0], [0, 0, 2], [4, 4, 4], [1, 0, 0], [0, 3, 0]])
    assert scan_costs(kept).tolist() == [
        [1, 4, 3, 4],
        [3, 1, 0, 1],
        [3, 2, 0, 2],
        [1, 12, 8, 12],
        [1, 2, 2, 1],
        [2, 3, 1, 3],
    ]


def test_without_costs_no_word_is_zero() -> None:
    spec = window(groups=2)
    x = inputs(spec, 1, 1.0, np.random.default_rng(0))
    assert set(map(tuple, spec.scan_costs(x.any(axis=(1, 2))).tolist())) == {spec.dense_costs}


def test_reset_leaves_a_clean_machine() -> None:
    spec = stage(window(padding=((1, 1), (1, 1)), stride=(2, 2), groups=2, span=3))
    x = inputs(spec.window, 1, 0.4, np.random.default_rng(3))
    words, (_, expected) = spec.i_format.pack(x), spec.compute(x)
    for cycle in range(0, 90, 7):
        trace = run_stream(Stage(spec), words, 400, resets=((cycle, 0),))
        got = trace.boundaries["o"]
        assert np.array_equal(got.words[got.cycles > cycle], expected), f"reset in cycle {cycle}"


def test_elaborates_twice_alike() -> None:
    core = Stage(stage(window(padding=((1, 1), (1, 1)))))
    assert rtlil.convert(core, emit_src=False) == rtlil.convert(core, emit_src=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(chunk=3), "chunk=3 must be a power of two above one that divides the 4 words of a pixel"),
        (dict(chunk=8), "chunk=8 must be a power of two above one that divides the 4 words of a pixel"),
        (dict(columns=True), "Words can be skipped where a window is walked tap by tap only"),
        (dict(order="channels"), "Words can be skipped where a window is walked tap by tap only"),
    ],
)
def test_errors_name_the_rule(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window(**changes)


def test_fields_of_the_walk_are_as_wide_as_what_is_in_them() -> None:
    spec = WindowSpec(
        i_format=WordFormat(1, 1, 0, 1), channels=4, height=7, width=7, kernel=(1, 1), stride=(3, 3),
        order="taps", groups=3, scans=1, credits=1, rows=4, chunk=2,
    )  # fmt: skip
    assert max(row.freed for row in spec.row_plan) == 3
    core = SparseWalk(spec, 5, 2)
    # Six pairs of words, and in a word which of a pair it is; up to three rows are freed at once.
    assert {name: field.width for name, field in core.entry} == {
        "at": 5, "row": 3, "last": 1, "first": 0, "final": 1, "freed": 2
    }  # fmt: skip
    assert len(core.freed) == 2 and core.o.payload.row.shape().width == 4 and core.o.payload.at.shape().width == 6


@pytest.mark.parametrize("chunk", [2, 4])
def test_flags_take_a_word_a_chunk(chunk: int) -> None:
    library = Library("asic")
    module(Stage(stage(window(chunk=chunk))), "top", library)
    found = [(memory.depth, memory.width) for memory in library.memories if memory.kind == "ram"]
    assert found == [(96, 4), (96 // chunk, chunk)]  # the words of the window, and their flags
