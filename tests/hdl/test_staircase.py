"""The staircase: against its model and a naive form, at the ends of its ranges, its latency, its size, its refusals."""

import numpy as np
import pytest
from core_bench import as_ints, as_words, run_pipe

from spikeloom.hdl.cores.staircase.core import StaircaseArray
from spikeloom.hdl.cores.staircase.spec import StaircaseSpec
from spikeloom.hdl.streams.words import WordFormat


def specified(
    threshold: list[list[int]], low: int = 0, outputs: int = 1, ranges: tuple[int, int] = (-60, 70)
) -> StaircaseSpec:
    form = WordFormat(outputs, 1, *ranges)
    return StaircaseSpec(
        threshold=np.array(threshold), low=low, i_format=form, ranges=np.tile(ranges, (len(threshold), 1))
    )


def agrees(spec: StaircaseSpec) -> None:
    """Every value in every channel: the core, its model, a loop; a result ``latency`` cycles behind its word."""
    form, channels = spec.i_format, len(spec.threshold)
    x = np.arange(form.low, form.high + 1).repeat(channels).reshape(-1, spec.outputs, 1)
    went, came = run_pipe(StaircaseArray(spec), as_ints(form.pack(x)))
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    assert np.array_equal(got, spec.compute(x))
    assert [c for c, _ in came] == [c + spec.latency for c in went]
    rows = spec.threshold.tolist()
    naive = [spec.low + sum(v >= t for t in row) for v in range(form.low, form.high + 1) for row in rows]
    assert got.reshape(-1).tolist() == naive


@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 14, 15])
@pytest.mark.parametrize("signed", [False, True])
def test_every_value_of_a_current(outputs: int, count: int, signed: bool) -> None:
    """Random thresholds, in a part of the channels beyond the range; with 15 of 50 places some are equal."""
    rng = np.random.default_rng(count)
    threshold = np.sort(rng.integers(-25, 26, (4, count)))
    threshold[1] += 70
    threshold[2] -= 60
    agrees(specified(threshold.tolist(), -(count // 2) if signed else 0, outputs))


@pytest.mark.parametrize("ranges", [(0, 31), (-32, 31), (-31, 0), (-1, 0), (0, 1)])
def test_thresholds_at_the_ends_of_the_range(ranges: tuple[int, int]) -> None:
    low, high = ranges
    ends = [low - 1, low, low + 1, high - 1, high, high + 1, high + 2]
    for channels in ([sorted(ends)], [[end] for end in ends]):
        agrees(specified(channels, ranges=ranges))


def test_numbers_far_beyond_the_words() -> None:
    agrees(specified([[-(1 << 48), -3, 1 << 48], [1 << 48] * 3], low=-1))


def test_channels_with_ranges_of_their_own() -> None:
    """What the range of a channel decides takes no comparison, though the word is wider."""
    form, ranges = WordFormat(1, 1, -8, 9), np.array([[-8, -3], [2, 9]])
    spec = StaircaseSpec(threshold=np.array([[-2, 0], [1, 2]]), low=0, i_format=form, ranges=ranges)
    assert spec.decided.tolist() == [[-1, -1]], "reached in one group, not in the other"
    both = StaircaseSpec(threshold=np.array([[-9, -2], [2, 10]]), low=0, i_format=form, ranges=ranges)
    assert both.decided.tolist() == [[1, 0]]
    assert both.parts().logic["chosen test"] == both.parts().logic["test"] == 0
    x = np.array([-8, 2, -3, 9, -5, 5]).reshape(-1, 1, 1)
    for one, expected in ((spec, [0, 2, 0, 2, 0, 2]), (both, [1, 1, 1, 1, 1, 1])):
        _, came = run_pipe(StaircaseArray(one), as_ints(form.pack(x)))
        got = one.o_format.unpack(as_words([w for _, w in came], one.o_format)).reshape(-1).tolist()
        assert got == one.compute(x).reshape(-1).tolist() == expected


def test_size() -> None:
    """A comparison for every threshold and lane, however many groups; registers of tests, values, and two flags."""
    one, two = specified([[1, 2, 3]] * 4, outputs=4), specified([[1, 2, 3]] * 4, outputs=2)
    assert one.parts().logic["test"] == 2 * two.parts().logic["chosen test"] == 12 * one.i_format.bits
    assert one.parts().ff == 4 * 3 + 4 * 2 + 2


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match="The thresholds of a channel must ascend"):
        specified([[2, 1]])
    with pytest.raises(ValueError, match="outputs=2 does not divide the 3 output channels"):
        specified([[1]] * 3, outputs=2)
    with pytest.raises(TypeError, match="threshold must be a numpy array of integers, not float64"):
        specified([[0.5]])
    with pytest.raises(ValueError, match="one current a channel, not 2 time steps"):
        StaircaseSpec(threshold=np.array([[1]]), low=0, i_format=WordFormat(1, 2, 0, 1), ranges=np.array([[0, 1]]))
