"""Windows and whole stages: geometry against a naive walk, cycles against the law, resets, full use."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Module, Signal, Value
from amaranth.sim import Simulator
from same_law import solve_both

from spikeloom.hdl.cores.pool.spec import PoolSpec
from spikeloom.hdl.cores.window.core import Window
from spikeloom.hdl.cores.window.needs import needs_of
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.streams.law import Gate, Link, Process, SinkLaw, SourceLaw, solve
from spikeloom.hdl.streams.stage import Stage, StageSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.simulators.amaranth_sim import run_stream


def around(padding: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """So much padding on every side."""
    return (padding, padding), (padding, padding)


def window(**changes) -> WindowSpec:
    base = dict(
        i_format=WordFormat(2, 1, 0, 3),
        channels=4,
        height=5,
        width=4,
        kernel=(3, 2),
        order="taps",
        groups=1,
        scans=1,
        credits=1,
        rows=6,
    )
    return WindowSpec(**(base | changes))


GEOMETRIES = {
    "plain": {},
    "padded": dict(padding=around(1)),
    "stride 2": dict(stride=(2, 2)),
    "stride past the kernel": dict(kernel=(1, 1), stride=(3, 3)),
    "padded, stride 2": dict(padding=around(1), stride=(2, 2), rows=5),
    "tight ring": dict(rows=3),
    "several groups": dict(groups=3),
    "groups and scans": dict(groups=2, scans=2),
    "channels": dict(order="channels"),
    "channels, stride 2": dict(order="channels", stride=(2, 2)),
    "parts of a pixel": dict(order="channels", channels=8, part=2),
    "parts, padded, several groups": dict(order="channels", channels=12, part=3, groups=2, padding=around(1),
                                          stride=(2, 2)),
    "channels, groups and scans": dict(order="channels", groups=2, scans=2),
    "vector": dict(height=1, width=1, channels=12, kernel=(1, 1), rows=2),
    "many credits": dict(credits=7),
    "one word": dict(kernel=(1, 1), i_format=WordFormat(4, 1, 0, 3), credits=5, rows=2),
    "columns": dict(columns=True),
    "columns, padded": dict(columns=True, padding=around(1), rows=4),
    "columns, padded by two, stride 2": dict(columns=True, kernel=(3, 3), padding=around(2), stride=(2, 2), groups=2),
    "columns, tight ring": dict(columns=True, rows=3, credits=3),
    "big padding": dict(kernel=(3, 3), padding=around(2)),
}

UNEVEN = {
    "above": dict(padding=((2, 0), (0, 0)), stride=(2, 1)),
    "below": dict(padding=((0, 1), (0, 0)), stride=(1, 2)),
    "left": dict(padding=((0, 0), (1, 0)), rows=3),
    "right, stride past the kernel": dict(padding=((0, 0), (0, 1)), stride=(4, 3)),
    "all sides differ": dict(kernel=(4, 3), padding=((1, 3), (2, 0)), stride=(2, 3), groups=2),
    "columns, all sides differ": dict(columns=True, kernel=(4, 3), padding=((1, 3), (2, 0)), stride=(2, 1), rows=5),
    "channels, below and right": dict(order="channels", kernel=(2, 2), padding=((0, 1), (0, 1)), stride=(2, 2)),
    "columns, below": dict(columns=True, padding=((0, 2), (0, 0))),
    "columns, left": dict(columns=True, padding=((0, 0), (1, 0))),
    "dilated rows": dict(dilation=(2, 1), padding=((3, 2), (0, 1))),
    "dilated columns": dict(dilation=(1, 3), padding=((0, 0), (2, 1))),
    "dilated, one word a pixel": dict(i_format=WordFormat(4, 1, 0, 3), dilation=(2, 2), padding=around(2)),
    "dilated, tight ring": dict(dilation=(2, 2), padding=((1, 4), (2, 1)), rows=5),
    "dilated, stride 2": dict(height=8, dilation=(3, 2), padding=((5, 4), (1, 2)), stride=(2, 2), rows=9, groups=2),
    "dilated past the frame": dict(height=2, dilation=(4, 3), padding=((5, 7), (2, 2)), stride=(3, 1), rows=2),
    "dilated, no row in the window": dict(height=1, kernel=(2, 2), dilation=(2, 1), padding=((1, 1), (0, 1)), rows=1),
    "parts, dilated": dict(order="channels", channels=12, part=3, groups=2, dilation=(2, 2), padding=around(1)),
    "channels, dilated": dict(order="channels", dilation=(2, 2), padding=around(1)),
    "columns, dilated": dict(columns=True, dilation=(2, 2), padding=((3, 1), (1, 2)), groups=2),
    "columns, dilated, stride 2": dict(columns=True, height=8, dilation=(3, 1), padding=((4, 5), (0, 0)), stride=(2, 1),
                                       rows=7),
}
"""Windows that differ in the two directions or at the sides, or whose kernel rows or columns lie apart."""

PADS = {
    "pad": dict(padding=around(1), pad=(1, 3, 1, 3)),
    "pad, words differ": dict(padding=around(1), pad=(3, 1, 0, 2), groups=2),
    "pad, one word a pixel": dict(i_format=WordFormat(4, 1, 0, 3), padding=((2, 1), (1, 0)), pad=(3, 0, 1, 2), rows=4),
    "pad, signed": dict(i_format=WordFormat(2, 1, -2, 1), padding=around(1), pad=(-2, 1, 0, -1)),
    "pad beside alone": dict(padding=((0, 0), (1, 1)), pad=(1, 2, 3, 0)),
    "pad below alone": dict(padding=((0, 2), (0, 0)), pad=(1, 2, 3, 0)),
    "pad, columns": dict(columns=True, padding=around(1), pad=(1, 3, 1, 3), rows=4),
    "pad, columns, words differ": dict(columns=True, padding=((2, 1), (1, 0)), pad=(3, 1, 0, 2), groups=2),
    "pad, columns, dilated": dict(columns=True, dilation=(2, 2), padding=((3, 1), (1, 2)), pad=(3, 1, 0, 2)),
    "pad, channels": dict(order="channels", padding=around(1), pad=(3, 1, 0, 2), stride=(2, 2)),
    "pad, parts": dict(order="channels", channels=12, part=3, groups=2, padding=around(1),
                       pad=(3, 1, 0, 2, 1, 1, 2, 2, 3, 3, 0, 0)),
    "pad, no row in the window": dict(height=1, kernel=(2, 2), dilation=(2, 1), padding=((1, 1), (0, 1)), rows=1,
                                      pad=(3, 1, 0, 2)),
    "pad, columns, no row": dict(columns=True, height=1, kernel=(2, 2), dilation=(2, 1), padding=((1, 1), (0, 1)),
                                 rows=1, pad=(3, 1, 0, 2)),
    "pad, dilated": dict(dilation=(2, 3), padding=((3, 2), (2, 1)), pad=(3, 1, 0, 2), rows=7),
}
"""Windows with a value for each channel around the frame."""

TWICE = dict(kernel=(1, 1), order="channels", times=(2, 2), rows=2)
TIMES = {
    "times 2": TWICE,
    "times, a word a pixel": dict(TWICE, i_format=WordFormat(4, 1, 0, 3), credits=2),
    "times, along a row alone": dict(TWICE, times=(1, 3), channels=6),
    "times, rows alone": dict(TWICE, times=(3, 1), rows=3),
    "times, one slot": dict(TWICE, times=(2, 3), rows=1),
    "times, a pixel": dict(TWICE, times=(4, 4), height=1, width=1, i_format=WordFormat(4, 1, 0, 3)),
}
"""Windows of a pixel that are walked several times."""

LARGE = {
    "block RAM": dict(padding=around(1), rows=4, width=40, height=4, credits=9, i_format=WordFormat(4, 1, 0, 255)),
    "columns, block RAM": dict(columns=True, padding=((1, 1), (0, 0)), rows=4, width=44, height=4, credits=9,
                               i_format=WordFormat(4, 1, 0, 255)),
    "times, block RAM": dict(TWICE, width=40, height=3, credits=2, i_format=WordFormat(4, 1, 0, 255)),
}  # fmt: skip
"""Windows in block RAM, with the register behind it."""

ALL = GEOMETRIES | UNEVEN | PADS | TIMES | LARGE


def lines() -> dict[str, dict]:
    """Those of the windows that can keep words, with as few as may be and with some more."""
    found = {}
    for k, (name, changes) in enumerate(ALL.items()):
        if "scans" not in name and (needs := needs_of(window(**changes))) is not None:
            words = (needs.least, needs.fewest, needs.enough, needs.enough + 7)[k % 4]
            found[f"{name}, words"] = {**changes, "words": words}
    return found


LINES = lines()
FAST = {
    f"{name}, words"
    for name in ("padded, stride 2", "channels, stride 2", "parts, padded, several groups", "all sides differ",
                 "dilated, tight ring", "pad, words differ", "block RAM")
}  # fmt: skip
"""Those of them that ``make test`` looks at, with pauses: of all kinds of addresses."""

PAUSES = ((0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.3, 0.3))
PAUSED = [
    *((g, shares) for shares in PAUSES for g in GEOMETRIES if "scans" not in g),
    *(pytest.param(g, shares, marks=[pytest.mark.slow] * (shares != PAUSES[-1]))
      for shares in PAUSES for g in UNEVEN | PADS | TIMES | LARGE),
    *(pytest.param(g, shares, marks=[pytest.mark.slow] * (shares != PAUSES[-1] or g not in FAST))
      for shares in PAUSES for g in LINES),
]


def test_large_windows_have_the_register() -> None:
    assert all(window(**LARGE[geometry]).latency == 2 for geometry in LARGE)


def stage(spec: WindowSpec) -> StageSpec:
    """A stage that adds up what its window hands out: enough to see every word of the walk."""
    return StageSpec(
        name="test", window=spec, cores=(PoolSpec(kind="sum", words=spec.scan_words, i_format=spec.o_format),)
    )


@pytest.mark.parametrize("geometry", ALL)
def test_walk_against_naive_loops(geometry: str) -> None:
    spec = window(**ALL[geometry])
    form, words = spec.i_format, spec.pixel_words
    x = np.random.default_rng(0).integers(form.low, form.high + 1, (2 * spec.i_words, form.lanes, 1))
    frames = x.reshape(2, spec.height, spec.width, words, form.lanes, 1)
    pad, expected = np.array(spec.pad or [0] * spec.channels).reshape(words, form.lanes, 1), []

    def word(frame: np.ndarray, y: int, xx: int, c: int) -> np.ndarray:
        return frame[y, xx, c] if 0 <= y < spec.height and 0 <= xx < spec.width else pad[c]

    for frame in frames:
        for oy in range(spec.o_size[0]):
            for ox in range(spec.o_size[1]):
                y, xx = oy // spec.times[0] * spec.stride[0], ox // spec.times[1] * spec.stride[1]
                y, xx = y - spec.padding[0][0], xx - spec.padding[1][0]
                (kh, kw), (dy, dx) = spec.kernel, spec.dilation
                taps = [(y + ky * dy, xx + kx * dx) for ky in range(kh) for kx in range(kw)]
                columns = [taps[kx :: spec.kernel[1]] for kx in range(spec.kernel[1])]
                if spec.columns:
                    words_of = [
                        np.concatenate([word(frame, *tap, c) for tap in column])
                        for column in columns
                        for c in range(words)
                    ]
                    expected += words_of * spec.groups * spec.scans
                elif spec.order == "channels":
                    for first in range(0, words, spec.part):
                        walk = [word(frame, *tap, c) for tap in taps for c in range(first, first + spec.part)]
                        expected += walk * spec.groups * spec.scans
                else:
                    expected += [word(frame, *tap, c) for tap in taps for c in range(words)] * spec.groups * spec.scans
    assert np.array_equal(spec.compute(x), np.stack(expected))
    assert len(expected) == 2 * spec.cycles


@pytest.mark.parametrize(("geometry", "shares"), PAUSED)
def test_stage_follows_the_law(geometry: str, shares: tuple[float, float]) -> None:
    spec = stage(window(**(ALL | LINES)[geometry]))
    rng = np.random.default_rng(7)
    form = spec.i_format
    x = rng.integers(form.low, form.high + 1, (3 * spec.window.i_words, form.lanes, 1))
    words, (_, expected) = spec.i_format.pack(x), spec.compute(x)
    source, sink = (random_pauses(rng, 1500, share) for share in shares)

    def made() -> list[Process]:
        i, o = Link(source=Gate(source)), Link(sink=Gate(sink))
        return [SourceLaw(len(words), i), spec.law((i,), (o,)), SinkLaw(o)]

    _, law, _ = solve_both(made)
    (i,), (o,) = law.ins, law.outs
    last = max(i.taken[-1], o.taken[-1])
    trace = run_stream(Stage(spec), words, last + 40, source_pauses=source, sink_pauses=sink)
    assert trace.boundaries["i"].cycles.tolist() == i.taken
    assert trace.boundaries["o"].cycles.tolist() == o.taken
    assert np.array_equal(trace.boundaries["o"].words, expected)
    assert not trace.violations


def test_a_stage_with_enough_rows_never_idles_between_frames() -> None:
    spec = stage(window(kernel=(3, 3), padding=around(1), groups=4, credits=2))
    i, o = Link(), Link()
    law = spec.law((i,), (o,))
    solve([SourceLaw(5 * spec.window.i_words, i), law, SinkLaw(o)])
    per_frame = spec.window.results
    assert law.decided[-1] - law.decided[per_frame - 1] == 4 * spec.cycles


def test_reset_leaves_a_clean_machine() -> None:
    spec = stage(window(padding=around(1), stride=(2, 2)))
    x = np.random.default_rng(3).integers(0, 4, (spec.window.i_words, spec.i_format.lanes, 1))
    words, (_, expected) = spec.i_format.pack(x), spec.compute(x)
    for cycle in range(0, 60, 7):
        trace = run_stream(Stage(spec), words, 400, resets=((cycle, 0),))
        got = trace.boundaries["o"]
        assert np.array_equal(got.words[got.cycles > cycle], expected), f"reset in cycle {cycle}"


def test_elaborates_twice_alike() -> None:
    core = Stage(stage(window(padding=around(1))))
    assert rtlil.convert(core, emit_src=False) == rtlil.convert(core, emit_src=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(i_format=WordFormat(3, 1, 0, 3)), "inputs=3 does not divide the 4 input channels"),
        (dict(rows=2), "rows must be at least 3 for a kernel of 3 rows, not 2"),
        (dict(padding=around(2)), r"padding must be smaller than the kernel, not \(\(2, 2\), \(2, 2\)\)"),
        (dict(padding=((0, 0), (0, 3)), dilation=(1, 2)), "padding must be smaller than the kernel, not "),
        (dict(order="channels", part=3), "part=3 does not divide the 2 words of a pixel"),
        (dict(padding=around(1), pad=(1, 2)), "pad must have a value for each of the 4 channels of words of one time"),
        (dict(padding=around(1), pad=(1, 2, 3, 4)), r"Elements must be in 0\.\.3, found 1\.\.4"),
        (dict(padding=around(1), pad=(1,) * 4, i_format=WordFormat(2, 2, 0, 3)), "of one time step, not 4 in words of"),
        (dict(TWICE, times=(2, 0)), r"times must be 1 or more, not \(2, 0\)"),
        (dict(TWICE, order="taps"), "several times word by word only, with a kernel of one pixel"),
        (dict(TWICE, kernel=(2, 1)), "several times word by word only, with a kernel of one pixel"),
        (dict(TWICE, groups=2), "several times word by word only, with a kernel of one pixel"),
        (dict(columns=True, words=99), "words is for a window that reads one word of one window in a cycle"),
        (dict(words=18), "words must be at least 20 for these positions, not 18"),
        (dict(padding=around(1), pad=(1,) * 4, chunk=2), "where the cells around the frame are zero only, not with"),
    ],
)
def test_errors_name_the_rule(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window(**changes)


def test_rows_slots_follow_the_geometry() -> None:
    assert replace(window(kernel=(1, 1), stride=(3, 3)), rows=3).rows_needed == 3
    assert window(padding=around(1)).rows_needed == 3


@pytest.mark.parametrize(
    "changes",
    [
        dict(scans=3),
        dict(groups=2, scans=2),
        dict(groups=2),
        dict(order="channels", scans=2, groups=2),
        dict(scans=2, i_format=WordFormat(1, 1, 0, 3), chunk=2),
    ],
)
def test_the_first_scan_of_a_result_is_announced_and_can_be_held(changes: dict) -> None:
    spec = window(credits=99, **changes)
    core, held = Window(spec), 25
    scanned, lasts = list[int](), list[int]()

    async def bench(ctx) -> None:
        ctx.set(core.i.valid, 1)
        ctx.set(Value.cast(core.i.payload), 1)  # no word is zero, so that none is skipped
        ctx.set(core.hold, 1)
        for cycle in range(800):
            if cycle == spec.cycles // spec.results + spec.i_words + held:
                assert not scanned and not lasts, "the last word of the first scan waits"
                ctx.set(core.hold, 0)
            _, _, announced, valid, last = await ctx.tick().sample(core.scanned, core.o.valid, core.o.payload.last)
            if announced:
                scanned.append(cycle)
            if valid and last:
                lasts.append(cycle)

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(lasts) > 3 * spec.scans
    assert [cycle + 1 for cycle in scanned][: len(lasts[:: spec.scans])] == lasts[:: spec.scans]


@pytest.mark.parametrize("unit", [1, 2])
@pytest.mark.parametrize("padding", [around(0), around(1), around(2), ((0, 0), (2, 1)), ((1, 0), (0, 2))])
def test_cells_around_the_frame_are_told_from_those_in_it(padding: tuple[tuple[int, int], ...], unit: int) -> None:
    spec = window(kernel=(3, 3), padding=padding, width=5, rows=5)
    margin, right, row = (n * spec.pixel_words // unit for n in (*padding[1], 5))
    cells = margin + row + right
    bits = (cells - 1).bit_length()
    at, outside, m = Signal(bits + 3), Signal(), Module()
    m.d.comb += outside.eq(spec.outside(at, unit))

    async def bench(ctx) -> None:
        for slot in range(spec.rows + 1):
            for cell in range(cells):
                ctx.set(at, slot << bits | cell)
                inside = margin <= cell < margin + row and slot < spec.rows
                assert ctx.get(outside) != inside, f"slot {slot}, cell {cell}"

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
