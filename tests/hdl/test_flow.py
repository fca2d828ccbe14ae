"""FIFO and width conversion: words and cycles against the law, under pauses, at full speed, and after a reset."""

import numpy as np
import pytest
from same_law import solve_both

from spikeloom.hdl.streams.fifo import Fifo, FifoSpec
from spikeloom.hdl.streams.gearbox import Gearbox, GearboxLaw, GearboxSpec
from spikeloom.hdl.streams.law import FifoLaw, Gate, Link, Process, SinkLaw, SourceLaw, solve
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.simulators.amaranth_sim import run_stream

SHARES = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.4)]


def solved(law, count: int, source: np.ndarray, sink: np.ndarray) -> tuple[list[int], list[int]]:
    def made() -> list[Process]:
        i, o = Link(source=Gate(source)), Link(sink=Gate(sink))
        return [SourceLaw(count, i), law(i, o), SinkLaw(o)]

    _, between, _ = solve_both(made)
    return between.ins[0].taken, between.outs[0].taken


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_fifo(depth: int, shares: tuple[float, float]) -> None:
    rng = np.random.default_rng(depth)
    words = rng.integers(0, 1 << 20, (60, 1)).astype(np.uint32)
    source, sink = (random_pauses(rng, 200, share) for share in shares)
    cycles_in, cycles_out = solved(lambda i, o: FifoLaw(depth, i, o), len(words), source, sink)
    trace = run_stream(Fifo(FifoSpec(20, depth)), words, cycles_out[-1] + 5, source_pauses=source, sink_pauses=sink)
    assert trace.boundaries["i"].cycles.tolist() == cycles_in
    assert trace.boundaries["o"].cycles.tolist() == cycles_out
    assert np.array_equal(trace.boundaries["o"].words, words)
    assert not trace.violations


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize(
    ("lanes_i", "lanes_o", "channels"),
    [(1, 4, 0), (2, 4, 0), (1, 3, 0), (4, 1, 0), (6, 2, 0), (3, 1, 0), (1, 4, 5), (1, 3, 10), (2, 6, 20), (2, 4, 6)],
)
def test_gearbox(lanes_i: int, lanes_o: int, channels: int, shares: tuple[float, float]) -> None:
    rng = np.random.default_rng(lanes_i * 10 + lanes_o)
    spec = GearboxSpec(WordFormat(lanes_i, 2, 0, 5), lanes_o, channels)
    x = rng.integers(0, 6, (12 * 10 // lanes_i, lanes_i, 2))
    source, sink = (random_pauses(rng, 400, share) for share in shares)
    words = spec.i_format.pack(x)
    cycles_in, cycles_out = solved(lambda i, o: GearboxLaw(spec, i, o), len(words), source, sink)
    trace = run_stream(Gearbox(spec), words, cycles_out[-1] + 5, source_pauses=source, sink_pauses=sink)
    assert trace.boundaries["i"].cycles.tolist() == cycles_in
    assert trace.boundaries["o"].cycles.tolist() == cycles_out
    elements, packed = spec.compute(x)
    assert np.array_equal(trace.boundaries["o"].words, packed)
    assert np.array_equal(spec.o_format.unpack(packed), elements)
    if channels:  # all elements are there, behind the idle ones of every pixel
        idle, pixels = spec.idle, elements.reshape(-1, channels + spec.idle, 2)
        assert idle > 0 and not pixels[:, :idle].any() and np.array_equal(pixels[:, idle:].ravel(), x.ravel())
    assert not trace.violations
    if shares == (0.0, 0.0):  # the narrow side never idles
        narrow = cycles_in if spec.widens else cycles_out
        assert np.diff(narrow).max() == 1


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match="Depth must be a positive integer, not 0"):
        FifoSpec(1, 0)
    with pytest.raises(ValueError, match="One width must divide the other, not 4 and 6 lanes"):
        GearboxSpec(WordFormat(4, 1, 0, 1), 6)
    with pytest.raises(ValueError, match="Words of 2 and 4 lanes do not hold pixels of 7 channels"):
        GearboxSpec(WordFormat(2, 1, 0, 1), 4, 7)
    with pytest.raises(ValueError, match=r"Idle lanes hold 0, which is not in 3\.\.9"):
        GearboxSpec(WordFormat(2, 1, 3, 9), 4, 6)


def test_the_law_leaves_no_word_behind() -> None:
    """A chain of unequal FIFOs, against a simulation of the same handshakes cycle by cycle."""
    rng = np.random.default_rng(0)
    depths = (2, 1, 3)
    source, sink = random_pauses(rng, 300, 0.4), random_pauses(rng, 300, 0.5)
    links = [Link(source=Gate(source)), Link(), Link(), Link(sink=Gate(sink))]
    solve(
        [
            SourceLaw(80, links[0]),
            *(FifoLaw(d, i, o) for d, i, o in zip(depths, links, links[1:], strict=False)),
            SinkLaw(links[-1]),
        ]
    )
    levels, taken, offered, left = [0, 0, 0], [[], [], [], []], False, 80
    for cycle in range(600):
        paused = [p[cycle] if cycle < len(p) else False for p in (source, sink)]
        offered = offered or (left > 0 and not paused[0])
        moves = [
            offered and levels[0] < 2,
            levels[0] > 0 and levels[1] < 1,
            levels[1] > 0 and levels[2] < 3,
            levels[2] > 0 and not paused[1],
        ]
        for k, moved in enumerate(moves):
            if moved:
                taken[k].append(cycle)
                if k < 3:
                    levels[k] += 1
                if k > 0:
                    levels[k - 1] -= 1
        if moves[0]:
            offered, left = False, left - 1
    assert [link.taken for link in links] == taken
