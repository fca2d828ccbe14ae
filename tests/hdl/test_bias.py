"""The biases of maps: against their model and a plain addition, latency, the widths that follow, and a proof."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Signal, Value, signed
from core_bench import as_ints, as_words, run_pipe
from prove import Bench, prove, proven
from stream_benches import lanes_of, per_group, pipe_bench, word_from

from spikeloom.hdl.cores.bias.core import Bias
from spikeloom.hdl.cores.bias.spec import BiasSpec
from spikeloom.hdl.streams.words import WordFormat


@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (6, 1), (6, 2), (6, 3), (6, 6), (12, 1), (40, 2)])
@pytest.mark.parametrize("low", [-9, 0])
def test_sums(channels: int, outputs: int, low: int) -> None:
    rng = np.random.default_rng(channels + outputs)
    form, bias = WordFormat(outputs, 1, low, 21), rng.integers(-20, 31, channels)
    spec = BiasSpec(bias=bias, i_format=form, ranges=np.tile([low, 21], (channels, 1)))
    assert (spec.o_format.low, spec.o_format.high) == (low + bias.min(), 21 + bias.max())
    x = rng.integers(low, 22, (9, channels))
    x[0], x[1] = low, 21
    words = x.reshape(-1, outputs, 1)
    went, came = run_pipe(Bias(spec), as_ints(form.pack(words)))
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    assert np.array_equal(got, spec.compute(words))
    assert np.array_equal(got.reshape(x.shape), x + bias)
    assert [c for c, _ in came] == [c + 1 for c in went] and spec.latency == 1


def test_lanes_have_ranges_of_their_own() -> None:
    """A lane whose channels are small is a narrow adder, and its word has the sign of its sum."""
    ranges, bias = np.array([[-2, 1], [-1000, 999]]), np.array([-1, 24])
    spec = BiasSpec(bias=bias, i_format=WordFormat(2, 1, -1000, 999), ranges=ranges)
    x = np.array([[-2, -1000], [1, 999], [0, -3]])
    _, came = run_pipe(Bias(spec), as_ints(spec.i_format.pack(x[..., None])))
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    assert np.array_equal(got[..., 0], x + bias)


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_proof(outputs: int, tmp_path: Path) -> None:
    form, bias = WordFormat(outputs, 1, -4, 3), np.array([1, -5, 0, 9])
    spec = BiasSpec(bias=bias, i_format=form, ranges=np.array([[-4, 3]] * 4))

    def reference(bench: Bench, word: Value, valid: Value) -> tuple[Value, Value]:
        m, group, sums = bench.m, per_group(bench, spec.groups, valid), []
        for k, x in enumerate(lanes_of(word, outputs, form.bits, True)):
            bias_of = word_from(m, [Const(int(b), 5) for b in bias[k::outputs]], group, f"bias_{k}")
            total = Signal(signed(8), name=f"total_{k}")
            m.d.comb += total.eq(x + bias_of.as_signed())
            sums.append(total[: spec.o_format.bits])
        return valid, Cat(*sums)

    bench = pipe_bench(Bias(spec), form, spec.latency, reference)
    proven(prove(bench, tmp_path, depth=spec.latency + 2 * spec.groups + 3, induction=spec.groups == 1),
           folder=tmp_path)


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match="summed over time, not 2 time steps"):
        BiasSpec(bias=np.zeros(1, int), i_format=WordFormat(1, 2, 0, 1), ranges=np.zeros((1, 2), int))
    with pytest.raises(ValueError, match="outputs=2 does not divide the 3 channels"):
        BiasSpec(bias=np.zeros(3, int), i_format=WordFormat(2, 1, 0, 1), ranges=np.zeros((3, 2), int))
