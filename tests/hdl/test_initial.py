"""Initial membranes: the offset of every neuron in the first time step and nowhere else, and the neurons behind."""

import numpy as np
import pytest
from core_bench import as_ints, as_words, run_pipe

from spikeloom.gen.lowering.kinds.neurons import neuron_cores
from spikeloom.hdl.cores.initial.core import InitialMembranes
from spikeloom.hdl.cores.initial.spec import InitialSpec
from spikeloom.hdl.cores.neuron.core import NeuronArray
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.neuron.stepwise import Stepwise
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant.ir.ops import IF

LOW, HIGH = -20, 25
CASES = {
    "all steps at once": dict(lanes=2, steps=3),
    "a sum over time": dict(lanes=2, steps=1),
    "groups of steps": dict(lanes=2, steps=2, scans=3),
    "all channels at once": dict(lanes=4, steps=2),
    "constant, repeated": dict(lanes=2, steps=1, repeated=True),
    "constant, times 3": dict(lanes=1, steps=1, times=3),
    "constant, times 64": dict(lanes=2, steps=1, times=64),
    "one neuron a lane": dict(lanes=4, steps=2, positions=1),
    "block RAM": dict(lanes=4, steps=1, positions=90),
    "two words": dict(lanes=4, steps=2, positions=2),
}


def make(
    lanes: int, steps: int, scans: int = 1, times: int = 1, repeated: bool = False, positions: int = 6
) -> InitialSpec:
    offset = np.random.default_rng(positions).integers(0, [1, 2, 14, 40], (positions, 4))
    offset[0, 3] = 39
    ranges = np.tile([LOW, HIGH], (4, 1))
    form = WordFormat(lanes, steps, LOW, HIGH)
    return InitialSpec(offset=offset, i_format=form, ranges=ranges, scans=scans, times=times, repeated=repeated)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_rtl_equals_model_and_a_naive_sum(case: str, gaps: float) -> None:
    spec, frames = make(**CASES[case]), 3
    n, lanes = len(spec.rows) * spec.scans, spec.i_format.lanes
    x = np.random.default_rng(1).integers(LOW, HIGH + 1, (frames * n, lanes, spec.i_format.steps))
    x[:4], x[-4:] = HIGH, LOW
    went, came = run_pipe(InitialMembranes(spec), as_ints(spec.i_format.pack(x)), gaps=gaps, idle=2)
    got = spec.o_format.unpack(as_words([w for _, w in came], spec.o_format))
    assert np.array_equal(got, spec.compute(x))
    assert [c for c, _ in came] == [c + spec.latency for c in went]
    for k, (before, after) in enumerate(zip(x, got, strict=True)):
        neuron_words, scan = divmod(k % n, spec.scans)
        for lane in range(lanes):
            position, channel = divmod(neuron_words * lanes + lane, 4)
            expected = [int(v) * spec.times for v in before[lane]] * (2 if spec.repeated else 1)
            if scan == 0:
                expected[0] += int(spec.offset[position, channel])
            assert after[lane].tolist() == expected


def test_the_offsets_are_there_from_the_third_cycle_on() -> None:
    spec = make(lanes=4, steps=1)
    x = np.zeros((len(spec.rows), 4, 1), int)
    early = run_pipe(InitialMembranes(spec), as_ints(spec.i_format.pack(x)), gaps=0.0, idle=1)[1]
    ready = run_pipe(InitialMembranes(spec), as_ints(spec.i_format.pack(x)), gaps=0.0, idle=2)[1]
    assert [w for _, w in early] != [w for _, w in ready] == as_ints(spec.o_format.pack(spec.compute(x)))


@pytest.mark.parametrize("rule", ["causal", "signed", "lossless"])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("steps", [1, 4])
def test_neurons_behind_it_follow_the_equations(rule: str, strict: bool, constant: bool, steps: int) -> None:
    rng, positions = np.random.default_rng(steps), 5
    v0 = rng.integers(-60, 60, (4, 1, positions))
    neuron = IF(
        name="n", threshold=rng.integers(1, 30, 4), bias=rng.integers(-6, 7, 4), v0=v0, rule=rule, strict=strict
    )
    factor = 1 if constant or rule != "lossless" else steps
    form = WordFormat(2, 1 if constant or rule == "lossless" else steps, LOW * factor, HIGH * factor)
    ranges = np.tile([form.low, form.high], (4, 1))
    added, neurons = neuron_cores(neuron, steps, form, ranges, 1, constant=constant)
    assert isinstance(added, InitialSpec) and isinstance(neurons, NeuronSpec)
    full = rng.integers(LOW, HIGH + 1, (8 * positions, 4, 1 if constant else steps))
    full[:9], full[9:18] = HIGH, LOW
    x = full.sum(-1, keepdims=True) if rule == "lossless" and not constant else full
    x = x.reshape(-1, 2, form.steps)
    sums = added.compute(x)
    _, came = run_pipe(NeuronArray(neurons), as_ints(neurons.i_format.pack(sums)))
    got = neurons.o_format.unpack(as_words([w for _, w in came], neurons.o_format))
    assert np.array_equal(got, neurons.compute(sums))
    for k, (currents, spikes) in enumerate(zip(full, got.reshape(-1, 4, steps), strict=True)):
        for c in range(4):
            start = int(v0[c, 0, k % positions])
            assert spikes[c].tolist() == equations(neuron, c, start, np.broadcast_to(currents[c], steps).tolist())


def equations(neuron: IF, channel: int, v: int, currents: list[int]) -> list[int]:
    """The docstring of the node, step by step."""
    theta, bias, spikes = int(neuron.threshold[channel]), int(neuron.bias[channel]), []
    if neuron.rule == "lossless":
        u = v + sum(currents) + bias * len(currents)
        count = max(k for k in range(len(currents) + 1) if k == 0 or u - neuron.strict >= k * theta)
        return [int(t < count) for t in range(len(currents))]
    for current in currents:
        v += current + bias
        spike = int(v - neuron.strict >= theta)
        if neuron.rule == "signed" and v < 0 and sum(spikes) > 0:
            spike = -1
        v -= spike * theta
        spikes.append(spike)
    return spikes


def test_a_membrane_for_each_channel_needs_no_memory() -> None:
    neuron = IF(name="n", threshold=np.ones(4), bias=np.zeros(4), v0=np.arange(4).reshape(4, 1, 1).repeat(3, axis=2))
    cores = neuron_cores(neuron, 2, WordFormat(2, 2, 0, 9), np.tile([0, 9], (4, 1)), 1, constant=False)
    assert len(cores) == 1 and isinstance(cores[0], NeuronSpec) and cores[0].v0.tolist() == [0, 1, 2, 3]


def test_ranges_are_those_that_are_reached() -> None:
    spec = make(lanes=2, steps=2)
    assert (spec.o_format.low, spec.o_format.high) == (LOW, HIGH + 39)
    assert spec.initial[3].tolist() == [spec.offset[:, 3].min(), 39]
    neuron = IF(name="n", threshold=np.full(4, 200), bias=np.zeros(4), v0=np.tile([7, -4], (4, 1, 1)))
    added, neurons = neuron_cores(neuron, 1, WordFormat(4, 1, LOW, HIGH), spec.ranges, 1, constant=False)
    assert isinstance(neurons, NeuronSpec) and isinstance(neurons.by_rule, Stepwise)
    before, _ = neurons.by_rule.membranes
    start = 200 - 1 + 4  # with the smallest v0 of a channel
    assert before[0].tolist() == [[start - (HIGH + 11), start - LOW]] * 4


def test_errors_name_the_rule() -> None:
    form, ranges = WordFormat(2, 1, 0, 1), np.zeros((4, 2), int)
    with pytest.raises(ValueError, match=r"offset must have shape \(positions, a multiple of 2\)"):
        InitialSpec(offset=np.zeros((1, 3), int), i_format=form, ranges=ranges)
    with pytest.raises(ValueError, match="Offsets must not be negative, found -1"):
        InitialSpec(offset=np.full((1, 4), -1), i_format=form, ranges=ranges)
    with pytest.raises(ValueError, match="A constant current comes once"):
        InitialSpec(offset=np.zeros((1, 4), int), i_format=WordFormat(2, 2, 0, 1), ranges=ranges, times=2)
