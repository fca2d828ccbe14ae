"""Windows that are walked together: which bank and place every column and tap has, the words of the walk, and whole
stages by the law."""

from itertools import product

import numpy as np
import pytest

from spikeloom.hdl.cores.serialiser.spec import SerialiserSpec
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.cores.window.banks import inside, place_of, taps
from spikeloom.hdl.cores.window.geometry import WindowGeometry
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.streams.law import Gate, Link, SinkLaw, SourceLaw, solve
from spikeloom.hdl.streams.stage import Stage, StageSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.simulators.amaranth_sim import run_stream


def window(**changes) -> WindowSpec:
    base = dict(i_format=WordFormat(2, 1, 0, 3), channels=4, height=4, width=5, kernel=(2, 3), pixels=2, credits=2,
                rows=4)  # fmt: skip
    return WindowSpec(**(base | changes))


def lines() -> list[WindowSpec]:
    """Every window of a line of up to seven pixels, with each number of pixels that a row has."""
    found = []
    for kernel, stride, dilation, width in product((1, 2, 3), (1, 2, 3), (1, 2, 3), range(1, 8)):
        extent = (kernel - 1) * dilation + 1
        if kernel == 1 and dilation > 1:
            continue
        for sides in {(0, 0), (extent - 1, extent - 1), (extent // 2, extent // 2), (extent - 1, 0), (0, extent - 1)}:
            places = (width + sum(sides) - extent) // stride + 1 if width + sum(sides) >= extent else 0
            for pixels in range(1, places + 1):
                found.append(window(channels=2, height=1, width=width, kernel=(1, kernel), stride=(1, stride), rows=1,
                                    dilation=(1, dilation), padding=((0, 0), sides), pixels=pixels))  # fmt: skip
    return found


def test_every_column_has_a_place_of_its_own_and_every_tap_finds_it() -> None:
    cases = lines()
    assert len(cases) > 1000
    for spec in cases:
        case = f"{spec.kernel}, stride {spec.stride}, {spec.dilation}, {spec.padding}, {spec.width}: {spec.pixels}"
        stride, count = spec.stride[1], spec.pixels
        places = [place_of(spec, column) for column in range(spec.across)]
        each = spec.cells // spec.pixel_words
        assert sorted(places) == [(bank, place) for bank in range(count) for place in range(each)], case
        for block, window_of in product(range(spec.blocks), range(count)):
            first = (block * count + window_of) * stride
            for kx, tap in enumerate(taps(spec)):
                bank = (tap.turn + window_of) % count
                place = tap.place + stride * (block + (bank < tap.turn))
                assert (bank, place) == places[first + kx * spec.dilation[1]], case
        for bank in range(count):
            filled = {place for b, place in places[spec.padding[1][0] :][: spec.width] if b == bank}
            assert filled == set(inside(spec, bank)), case  # a word a pixel


def test_windows_one_by_one_are_in_one_bank() -> None:
    spec = window(pixels=1, dilation=(1, 2), padding=((0, 0), (1, 0)))
    assert [place_of(spec, column) for column in range(6)] == [(0, column) for column in range(6)]
    assert [tap.place for tap in taps(spec)] == [0, 2, 4] and {tap.turn for tap in taps(spec)} == {0}
    assert inside(spec, 0) == range(2, 12)


ONE = ((1, 1), (1, 1))
WORD = WordFormat(4, 1, 0, 3)
WINDOWS = {
    "plain": {},
    "three of three": dict(pixels=3),
    "padded": dict(padding=ONE, pixels=4, kernel=(3, 3)),
    "padded, ragged": dict(padding=ONE, pixels=3, kernel=(3, 3), groups=2),
    "all of an odd row": dict(padding=ONE, pixels=5, kernel=(3, 3)),
    "five of seven": dict(padding=ONE, pixels=5, kernel=(3, 3), width=7, credits=3),
    "stride 2": dict(stride=(2, 2), width=8, pixels=3, groups=2),
    "stride 2, padded, a word a pixel": dict(stride=(2, 2), width=7, pixels=2, padding=ONE, i_format=WORD),
    "stride 3, a word a pixel": dict(stride=(1, 3), width=10, pixels=2, i_format=WORD),
    "stride 3, three words a pixel": dict(stride=(1, 3), width=11, pixels=3, channels=6, padding=((0, 0), (2, 1))),
    "stride 3, dilation 2": dict(stride=(1, 3), dilation=(2, 2), width=10, pixels=4, padding=((1, 1), (4, 3))),
    "stride past the kernel": dict(stride=(3, 4), width=13, kernel=(2, 2), pixels=2),
    "dilation 3": dict(dilation=(1, 3), width=9, pixels=3, groups=3),
    "dilation past the pixels": dict(dilation=(2, 4), width=11, pixels=3, height=5, padding=((1, 2), (3, 0))),
    "a kernel of one": dict(kernel=(1, 1), channels=8, pixels=3, rows=2, groups=2),
    "a kernel of one, stride 2": dict(kernel=(1, 1), stride=(2, 2), channels=8, pixels=3, rows=2),
    "narrower than the kernel": dict(kernel=(3, 3), width=2, padding=ONE, pixels=2),
    "one pixel wide": dict(kernel=(3, 3), width=1, padding=((1, 1), (2, 2)), pixels=3),
    "one pixel wide, dilated": dict(kernel=(2, 2), dilation=(1, 3), width=1, padding=((0, 1), (3, 3)), pixels=2),
    "one row": dict(height=1, kernel=(1, 3), padding=((0, 0), (1, 1)), pixels=4, rows=1),
    "tight ring": dict(rows=2, pixels=3, groups=2, credits=1),
    "pad": dict(padding=ONE, pad=(1, 3, 1, 3), pixels=3, kernel=(3, 3)),
    "pad, words differ": dict(padding=ONE, pad=(3, 1, 0, 2), pixels=3, groups=2),
    "pad, stride 2": dict(padding=ONE, pad=(3, 1, 0, 2), pixels=2, stride=(2, 2), width=6),
    "pad, one pixel wide": dict(kernel=(3, 3), width=1, padding=((1, 1), (2, 2)), pixels=3, pad=(3, 1, 0, 2)),
    "columns": dict(columns=True),
    "columns, padded, ragged": dict(columns=True, padding=ONE, pixels=3, kernel=(3, 3), rows=4, groups=2),
    "columns, stride 2": dict(columns=True, stride=(2, 2), width=8, pixels=3, padding=((1, 0), (1, 0))),
    "columns, dilated": dict(columns=True, dilation=(2, 2), width=7, pixels=2, padding=((1, 2), (2, 1)), rows=5),
    "columns, stride 3, dilation 2": dict(columns=True, stride=(1, 3), dilation=(1, 2), width=10, pixels=3,
                                          padding=((0, 0), (2, 2))),
    "columns, many rows": dict(columns=True, padding=ONE, pixels=3, kernel=(3, 3), rows=6),
    "columns, pad": dict(columns=True, padding=ONE, pad=(3, 1, 0, 2), pixels=3, kernel=(3, 3)),
    "columns, pad, stride 2": dict(columns=True, padding=ONE, pad=(3, 1, 0, 2), pixels=2, stride=(2, 2), width=6,
                                   rows=5),
    "columns, pad, one pixel wide": dict(columns=True, kernel=(3, 3), width=1, padding=((1, 1), (2, 2)), pixels=3,
                                         pad=(3, 1, 0, 2)),
    "block RAM": dict(i_format=WordFormat(4, 1, 0, 255), padding=ONE, width=60, pixels=3, kernel=(3, 3), rows=4,
                      credits=9),
    "block RAM, stride 2": dict(i_format=WordFormat(4, 1, 0, 255), padding=ONE, width=60, pixels=2, kernel=(3, 3),
                                stride=(2, 2), rows=5, groups=2),
    "block RAM, pad": dict(i_format=WordFormat(2, 1, 0, 255), padding=ONE, pad=(9, 7, 200, 0), width=60, pixels=2,
                           kernel=(3, 3), rows=4),
    "columns, block RAM": dict(columns=True, i_format=WordFormat(4, 1, 0, 255), padding=ONE, width=70, pixels=2,
                               kernel=(3, 3), rows=4),
    "columns, block RAM, many rows": dict(columns=True, i_format=WordFormat(4, 1, 0, 255), padding=ONE, width=105,
                                          rows=5, pixels=3, kernel=(3, 3)),
    "columns, block RAM, pad": dict(columns=True, i_format=WordFormat(2, 1, 0, 255), padding=ONE, width=80, height=3,
                                    pad=(9, 7, 200, 0), pixels=2, kernel=(3, 3), rows=4),
}  # fmt: skip


def test_large_windows_are_in_block_ram() -> None:
    for name, changes in WINDOWS.items():
        spec = window(**changes)
        assert spec.latency == 1 + ("block RAM" in name), name
        assert spec.built_in == ("block RAM" in name and "pad" not in name.split(", ")), name


def stage(spec: WindowSpec, outputs: int = 2) -> StageSpec:
    """A stage whose weights tell every word of a walk from all others, results leaving channel by channel."""
    rng = np.random.default_rng(1)
    lanes = spec.o_format.lanes // spec.pixels
    weight = rng.integers(-100, 101, (outputs * spec.groups, spec.scan_words, lanes))
    synapse = SynapseSpec(weight=weight, weight_bits=8, i_format=spec.o_format, outputs=outputs, steps=1,
                          sum_time=False, start=np.zeros(len(weight), np.int64), pixels=spec.pixels)  # fmt: skip
    lanes = 1 if synapse.results <= spec.scan_words else outputs
    return StageSpec(name="test", window=spec, cores=(synapse, SerialiserSpec(synapse.o_format, lanes)))


def naive(spec: WindowSpec, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sums (pixels of all frames, channels) of ``x`` (frames, y, x, channels), pixel by pixel."""
    channels, (kh, kw) = spec.channels, spec.kernel
    words, lanes = spec.pixel_words, spec.i_format.lanes
    if spec.columns:  # words: kernel column, word of the pixel; lanes: kernel row, lane
        taps_of = weight.reshape(-1, kw, words, kh, lanes).transpose(0, 3, 1, 2, 4).reshape(-1, kh, kw, channels)
    else:
        taps_of = weight.reshape(-1, kh, kw, channels)
    found = []
    pad = np.array(spec.pad or [0] * channels)
    for frame in x:
        for y, at in product(range(spec.o_size[0]), range(spec.o_size[1])):
            total = np.zeros(len(weight), np.int64)
            for ky, kx in product(range(kh), range(kw)):
                row = y * spec.stride[0] - spec.padding[0][0] + ky * spec.dilation[0]
                column = at * spec.stride[1] - spec.padding[1][0] + kx * spec.dilation[1]
                within = 0 <= row < spec.height and 0 <= column < spec.width
                total += taps_of[:, ky, kx] @ (frame[row, column] if within else pad)
            found.append(total)
    return np.array(found)


PAUSES = ((0.3, 0.3), (0.0, 0.0), (0.0, 0.7))
PAUSED = [
    pytest.param(name, shares, marks=[pytest.mark.slow] * (shares != PAUSES[0] or "block RAM, " in name))
    for shares in PAUSES
    for name in WINDOWS
    if shares == PAUSES[0] or "block RAM" not in name
]


@pytest.mark.parametrize(("name", "shares"), PAUSED)
def test_a_stage_leaves_pixel_by_pixel_in_the_cycles_of_the_law(name: str, shares: tuple[float, float]) -> None:
    spec = stage(window(**WINDOWS[name]))
    geometry, form = spec.window, spec.i_format
    rng = np.random.default_rng(7)
    x = rng.integers(form.low, form.high + 1, (3 * geometry.i_words, form.lanes, 1))
    frames = x.reshape(3, geometry.height, geometry.width, geometry.channels)
    synapse = spec.cores[0]
    assert isinstance(synapse, SynapseSpec)
    sums, (found, packed) = naive(geometry, frames, synapse.weight), spec.compute(x)
    assert np.array_equal(found.reshape(sums.shape), sums)
    words = form.pack(x)
    large = "block RAM" in name
    source, sink = (random_pauses(rng, 3000, share) for share in shares)
    i, o = Link(source=Gate(source)), Link(sink=Gate(sink))
    solve([SourceLaw(len(words), i), spec.law((i,), (o,)), SinkLaw(o)])
    assert len(o.taken) == len(packed)
    cycles = min(max(i.taken[-1], o.taken[-1]) + 40, 2000 if large else 10**9)
    trace = run_stream(Stage(spec), words, cycles, source_pauses=source, sink_pauses=sink)
    assert trace.boundaries["i"].cycles.tolist() == [cycle for cycle in i.taken if cycle < cycles]
    count = sum(cycle < cycles for cycle in o.taken)
    assert trace.boundaries["o"].cycles.tolist() == o.taken[:count] and count > 50 * large
    assert np.array_equal(trace.boundaries["o"].words, packed[:count])
    assert not trace.violations


@pytest.mark.parametrize("name", ["stride 2", pytest.param("columns, stride 2", marks=pytest.mark.slow)])
def test_reset_leaves_a_clean_machine(name: str) -> None:
    spec = stage(window(**WINDOWS[name]))
    x = np.random.default_rng(3).integers(0, 4, (spec.window.i_words, spec.i_format.lanes, 1))
    words, (_, expected) = spec.i_format.pack(x), spec.compute(x)
    for cycle in range(1, 150, 37):
        trace = run_stream(Stage(spec), words, 800, resets=((cycle, 0),))
        got = trace.boundaries["o"]
        assert np.array_equal(got.words[got.cycles > cycle], expected), f"reset in cycle {cycle}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(pixels=0), r"pixels=0 is not in 1\.\.3, the windows of a row"),
        (dict(pixels=4), r"pixels=4 is not in 1\.\.3, the windows of a row"),
        (dict(order="channels"), "walked together tap by tap only, and without skipping words"),
        (dict(chunk=2), "walked together tap by tap only, and without skipping words"),
    ],
)
def test_errors_name_the_rule(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window(**changes)


def test_a_block_reads_as_many_words_as_a_window() -> None:
    one, four = (WindowGeometry(i_format=WORD, channels=4, height=4, width=10, kernel=(3, 3), padding=ONE, pixels=n)
                 for n in (1, 4))  # fmt: skip
    assert (one.cycles, four.cycles) == (9 * 40, 9 * 12) and four.blocks == 3
    assert four.o_format.lanes == 4 * one.o_format.lanes
