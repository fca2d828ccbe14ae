"""Quantiser, pools and read-out: against their models and naive forms, corners, latency."""

import numpy as np
import pytest
from core_bench import as_ints, as_words, run_pipe

from spikeloom.hdl.cores.pool.core import PoolArray
from spikeloom.hdl.cores.pool.spec import PoolSpec
from spikeloom.hdl.cores.readout.core import Readout
from spikeloom.hdl.cores.readout.spec import ReadoutSpec
from spikeloom.hdl.cores.requant.core import Requantiser
from spikeloom.hdl.cores.requant.spec import RequantSpec
from spikeloom.hdl.streams.words import WordFormat


@pytest.mark.parametrize(
    ("bias", "shift", "lo", "hi"),
    [
        ([0, 0, 0, 0], [3, 3, 3, 3], 0, 15),
        ([5, -9, 0, 100], [2, 2, 2, 2], 0, 15),
        ([5, -9, 0, 100], [0, 1, 2, 7], -7, 7),
        ([1, 2, 3, 4], [-1, -2, 0, 3], 0, 255),
        ([1, 2, 3, 4], [-2, -2, -2, -2], -128, 127),
        ([0, 0, 0, 0], [30, 0, 1, 2], -1, 1),
        ([1000, -1000, 0, 0], [1, 1, 1, 1], 0, 1),
    ],
)
@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_quantiser(bias: list[int], shift: list[int], lo: int, hi: int, outputs: int) -> None:
    form = WordFormat(outputs, 1, -150, 200)
    spec = RequantSpec(
        bias=np.array(bias), shift=np.array(shift), lo=lo, hi=hi, i_format=form, ranges=np.tile([-150, 200], (4, 1))
    )
    x = np.arange(-150, 201).repeat(4).reshape(-1, outputs, 1)  # every value in every channel
    went, came = run_pipe(Requantiser(spec), as_ints(form.pack(x)))
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    assert np.array_equal(got, spec.compute(x))
    assert [c for c, _ in came] == [c + spec.latency for c in went]
    naive = [
        max(lo, min(hi, int(np.floor((v - b) / 2.0**s))))
        for v in range(-150, 201)
        for b, s in zip(bias, shift, strict=True)
    ]
    assert got.reshape(-1).tolist() == naive


@pytest.mark.parametrize("groups", [16, 17, 40])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(("biased", "shifts"), [(True, 5), (False, 5), (True, 1)])
def test_quantiser_of_many_groups(groups: int, outputs: int, biased: bool, shifts: int) -> None:
    """Lanes with the same shifts, with others, with one alone; words come with pauses."""
    rng, count = np.random.default_rng(groups + outputs), groups * outputs
    bias = rng.integers(-60, 61, count) if biased else np.zeros(count, int)
    shift = rng.integers(-1, shifts - 1, count) if shifts > 1 else np.full(count, 2)
    if outputs > 1:
        shift[1::outputs], shift[2::outputs] = shift[0::outputs], 2
    form, ranges = WordFormat(outputs, 1, -150, 200), np.tile([-150, 200], (count, 1))
    spec = RequantSpec(bias=bias, shift=shift, lo=0, hi=15, i_format=form, ranges=ranges)
    assert spec.latency == 1 + biased
    x = rng.integers(-150, 201, (5 * groups, outputs, 1))
    went, came = run_pipe(Requantiser(spec), as_ints(form.pack(x)))
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    each = zip(x.reshape(-1), np.tile(bias, 5), np.tile(shift, 5), strict=True)
    assert got.reshape(-1).tolist() == [max(0, min(15, int(np.floor((v - b) / 2.0**s)))) for v, b, s in each]
    assert [c for c, _ in came] == [c + spec.latency for c in went]


@pytest.mark.parametrize(("lo", "hi"), [(0, 15), (0, 1), (-8, 7), (-7, 7), (-1, 0), (0, 14)])
@pytest.mark.parametrize("beyond", [0, 1, 2, 40])
@pytest.mark.parametrize("shift", [-1, 0, 2])
@pytest.mark.parametrize("bias", [0, 3])
def test_a_range_that_ends_beside_the_bounds_of_the_quantiser(
    lo: int, hi: int, beyond: int, shift: int, bias: int
) -> None:
    """Clamps are there as soon as the shifted value can go ``beyond`` the output range, by as little as 1."""
    low, high = ((edge << shift if shift >= 0 else -(-edge >> -shift)) + bias for edge in (lo - beyond, hi + beyond))
    form = WordFormat(1, 1, low, high)
    spec = RequantSpec(
        bias=np.array([bias]), shift=np.array([shift]), lo=lo, hi=hi, i_format=form, ranges=np.array([[low, high]])
    )
    x = np.arange(low, high + 1)
    _, came = run_pipe(Requantiser(spec), as_ints(form.pack(x.reshape(-1, 1, 1))), gaps=0.0, tail=4)
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format)).reshape(-1)
    assert got.tolist() == [max(lo, min(hi, int(np.floor((v - bias) / 2.0**shift)))) for v in x.tolist()]


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("sum", WordFormat(2, 4, 0, 1)),
        ("sum", WordFormat(1, 1, 0, 15)),
        ("sum", WordFormat(3, 1, -7, 7)),
        ("sum", WordFormat(1, 2, 0, 4)),
        ("max", WordFormat(2, 1, 0, 15)),
        ("max", WordFormat(1, 1, -7, 7)),
        ("max_spikes", WordFormat(2, 4, 0, 1)),
        ("max_spikes", WordFormat(1, 1, 0, 1)),
        ("max_spikes", WordFormat(1, 7, 0, 1)),
    ],
)
@pytest.mark.parametrize("words", [1, 4])
def test_pools(kind: str, form: WordFormat, words: int) -> None:
    spec = PoolSpec(kind=kind, words=words, i_format=form)
    x = np.random.default_rng(2).integers(form.low, form.high + 1, (words * 60, form.lanes, form.steps))
    x[:words], x[words : 2 * words] = form.low, form.high
    lasts = [k % words == words - 1 for k in range(len(x))]
    went, came = run_pipe(PoolArray(spec), as_ints(form.pack(x)), lasts)
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    assert np.array_equal(got, spec.compute(x))
    assert [c for c, _ in came] == [c + spec.latency for c, last in zip(went, lasts, strict=True) if last]
    if kind == "max_spikes":  # the count gate, one neuron after the other
        for window, out in zip(x.reshape(-1, words, form.lanes, form.steps), got, strict=True):
            for lane in range(form.lanes):
                given = 0
                for t in range(form.steps):
                    spike = max(window[k, lane, : t + 1].sum() for k in range(words)) > given
                    given += spike
                    assert out[lane, t] == spike


@pytest.mark.parametrize(("classes", "outputs"), [(10, 1), (10, 2), (10, 5), (10, 10), (3, 3), (2, 1), (7, 7)])
@pytest.mark.parametrize("biased", [False, True])
def test_readout(classes: int, outputs: int, biased: bool) -> None:
    rng = np.random.default_rng(4)
    form = WordFormat(outputs, 1, -3, 3)  # few values, so that ties are common
    bias = rng.integers(-2, 3, classes) if biased else np.zeros(classes, int)
    spec = ReadoutSpec(bias=bias, i_format=form, ranges=np.tile([-3, 3], (classes, 1)))
    x = rng.integers(-3, 4, (50, classes))
    words = x.reshape(-1, outputs, 1)
    went, came = run_pipe(Readout(spec), as_ints(form.pack(words)))
    logits, best = spec.compute(words)
    expected = as_ints(spec.pack(logits, best))
    assert [w for _, w in came] == expected
    assert [c for c, _ in came] == [c + spec.latency for c in went]
    final = [w >> spec.o_format.width for _, w in came][classes // outputs - 1 :: classes // outputs]
    assert final == (x + bias).argmax(1).tolist()
    assert (np.sort(x + bias, 1)[:, -1] == np.sort(x + bias, 1)[:, -2]).any(), "no tie was tried"


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match="one current a channel"):
        RequantSpec(
            bias=np.zeros(1, int),
            shift=np.zeros(1, int),
            lo=0,
            hi=1,
            i_format=WordFormat(1, 2, 0, 1),
            ranges=np.zeros((1, 2), int),
        )
    with pytest.raises(ValueError, match="The count gate takes single spikes"):
        PoolSpec(kind="max_spikes", words=4, i_format=WordFormat(1, 2, 0, 3))
    with pytest.raises(ValueError, match="outputs=2 does not divide the 3 classes"):
        ReadoutSpec(bias=np.zeros(3, int), i_format=WordFormat(2, 1, 0, 1), ranges=np.zeros((3, 2), int))
