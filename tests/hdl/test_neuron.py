"""The neuron array: against its model and the equations of the IF node, ties, strictness, latency and widths."""

from itertools import product

import numpy as np
import pytest
from core_bench import as_ints, as_words, run_pipe

from spikeloom.hdl.cores.neuron import pipeline as module
from spikeloom.hdl.cores.neuron.core import NeuronArray
from spikeloom.hdl.cores.neuron.rule import rule_names
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.neuron.stepwise import Stepwise
from spikeloom.hdl.streams import words as words_module
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant.ir import rules

LOW, HIGH = -20, 25
RULES = ("causal", "signed", "lossless")


def make(
    rule: str = "causal",
    strict: bool = False,
    steps: int = 4,
    parallel: int | None = None,
    constant: bool = False,
    co: int = 4,
    outputs: int = 2,
    seed: int = 0,
    counts: bool = False,
    low: int = 0,
) -> NeuronSpec:
    rng = np.random.default_rng(seed)
    lossless = rule == "lossless"
    terms = 1 if lossless or constant else parallel or steps
    factor = steps if lossless and not constant else 1
    threshold = rng.integers(1, 30, co)
    form = WordFormat(outputs, terms, LOW * factor, HIGH * factor)
    return NeuronSpec(
        threshold=threshold,
        bias=rng.integers(-6, 7, co),
        v0=threshold // 2,
        rule=rule,
        strict=strict,
        time_steps=steps,
        i_format=form,
        ranges=np.tile([form.low, form.high], (co, 1)),
        constant=constant,
        counts=counts,
        low=low,
    )


def equations(spec: NeuronSpec, currents: np.ndarray, channel: int) -> list[int]:
    """The node's docstring, step by step; ``currents`` of all T steps."""
    theta, bias, v = int(spec.threshold[channel]), int(spec.bias[channel]), int(spec.v0[channel])

    def fires(value: int, test: int) -> bool:
        return value > test if spec.strict else value >= test

    if spec.by_rule.adds_up:
        total = v + sum(int(c) + bias for c in currents)
        count = max(k for k in range(spec.low, spec.time_steps + 1) if k == spec.low or fires(total, k * theta))
        return [int(t < count) - int(t < -count) for t in range(spec.time_steps)]
    spikes = []
    for current in currents:
        v += int(current) + bias
        spikes.append(int(fires(v, theta)))
        if spec.rule == "signed" and v < 0 and sum(spikes) > 0:
            spikes[-1] = -1
        v -= theta * spikes[-1]
    return spikes


def membranes(spec: NeuronSpec) -> tuple[np.ndarray, np.ndarray]:
    assert isinstance(spec.by_rule, Stepwise)
    return spec.by_rule.membranes


def run(spec: NeuronSpec, x: np.ndarray, gaps: float = 0.3) -> tuple[np.ndarray, list[int], list[int]]:
    went, came = run_pipe(NeuronArray(spec), as_ints(spec.i_format.pack(x)), gaps=gaps)
    return spec.o_format.unpack(as_words([w for _, w in came], spec.o_format)), went, [c for c, _ in came]


@pytest.mark.parametrize(
    ("rule", "strict", "constant", "steps"), list(product(RULES, [False, True], [False, True], [1, 3, 4]))
)
@pytest.mark.parametrize("outputs", [1, 4])
def test_rtl_equals_model_and_equations(rule: str, strict: bool, constant: bool, steps: int, outputs: int) -> None:
    lossless = rule == "lossless"
    spec = make(rule, strict, steps, constant=constant, outputs=outputs)
    rng = np.random.default_rng(5)
    full = rng.integers(LOW, HIGH + 1, (40, spec.groups, outputs, 1 if constant else steps))
    full[:4] = HIGH
    full[4:8] = LOW
    x = (full.sum(-1, keepdims=True) if lossless and not constant else full).reshape(-1, outputs, spec.i_format.steps)
    got, went, cycles = run(spec, x)
    assert np.array_equal(got, spec.compute(x))
    assert cycles == [cycle + spec.latency for cycle in went]
    expected = [
        equations(spec, np.broadcast_to(c, steps), k % len(spec.threshold))
        for k, c in enumerate(full.reshape(-1, full.shape[-1]))
    ]
    assert got.reshape(-1, steps).tolist() == expected


@pytest.mark.parametrize("groups", [8, 9, 30])
@pytest.mark.parametrize(("counts", "low"), [(False, 0), (True, 0), (True, -3)])
def test_lossless_neurons_of_many_groups(groups: int, counts: bool, low: int) -> None:
    spec = make("lossless", steps=3, co=2 * groups, counts=counts, low=low)
    full = np.random.default_rng(6).integers(LOW, HIGH + 1, (4, groups, 2, 1, 3))
    x = full.sum(-1).reshape(-1, 2, 1)
    got, went, cycles = run(spec, x)
    assert np.array_equal(got, spec.compute(x))
    assert cycles == [cycle + spec.latency for cycle in went]
    if not counts:
        expected = [equations(spec, c, k % len(spec.threshold)) for k, c in enumerate(full.reshape(-1, 3))]
        assert got.reshape(-1, 3).tolist() == expected


@pytest.mark.parametrize("rule", ["causal", "signed"])
@pytest.mark.parametrize(("steps", "parallel", "outputs"), [(4, 2, 2), (4, 1, 2), (6, 3, 1), (8, 2, 4)])
def test_steps_in_series(steps: int, parallel: int, outputs: int, rule: str) -> None:
    spec = make(rule, steps=steps, parallel=parallel, outputs=outputs)
    full = np.random.default_rng(3).integers(LOW, HIGH + 1, (15, spec.groups, outputs, spec.scans, parallel))
    x = full.transpose(0, 1, 3, 2, 4).reshape(-1, outputs, parallel)
    # The next scan of the same neurons must not come before their membrane is ready.
    spaced = np.zeros(len(x) * spec.turnaround, bool)
    spaced[:: spec.turnaround] = True
    core = NeuronArray(spec)
    got, went, cycles = _run_spaced(core, spec, x, spec.turnaround)
    assert np.array_equal(got, spec.compute(x))
    assert cycles == [c + spec.latency for k, c in enumerate(went) if k % spec.scans == spec.scans - 1]
    expected = [
        equations(spec, c.reshape(-1), k % len(spec.threshold))
        for k, c in enumerate(full.reshape(-1, spec.scans, parallel))
    ]
    assert got.reshape(-1, steps).tolist() == expected
    early, _, _ = _run_spaced(NeuronArray(spec), spec, x, spec.turnaround - 1)
    assert not np.array_equal(early, got), "the turnaround is longer than it has to be"


COUNTING = [("lossless", t, t) for t in (2, 3, 4, 5, 7, 8, 15, 16)]
COUNTING += [("causal", *shape) for shape in ((1, 1), (3, 3), (4, 4), (7, 7), (4, 1), (6, 3), (8, 2))]


@pytest.mark.parametrize(("rule", "steps", "parallel"), COUNTING)
def test_counts_in_binary(rule: str, steps: int, parallel: int) -> None:
    spec = make(rule, steps=steps, parallel=parallel, counts=True)
    spikes = make(rule, steps=steps, parallel=parallel)
    assert spec.o_format == spikes.o_format.summed and spec.latency == spikes.latency
    low, high = spec.i_format.low, spec.i_format.high
    x = np.random.default_rng(steps).integers(low, high + 1, (60 * spec.groups * spec.scans, 2, spec.i_format.steps))
    x[: 2 * spec.groups * spec.scans] = high
    got, _, _ = _run_spaced(NeuronArray(spec), spec, x, spec.turnaround)
    assert np.array_equal(got, spec.compute(x))
    assert np.array_equal(got, spikes.compute(x).sum(-1, keepdims=True))
    assert {0, 1, steps} <= set(got.reshape(-1).tolist())


@pytest.mark.parametrize(("steps", "low"), [(1, -1), (2, -1), (3, -3), (4, -2), (4, -4), (7, -7), (15, -1)])
@pytest.mark.parametrize("constant", [False, True])
def test_counts_below_zero(steps: int, low: int, constant: bool) -> None:
    """Of both signs: as trains and in binary, strict and not, the same counts by the equations."""
    strict = steps % 2 == 0
    spec = make("lossless", strict, steps, constant=constant, low=low)
    counts = make("lossless", strict, steps, constant=constant, low=low, counts=True)
    form = spec.i_format
    assert (spec.o_format.low, spec.o_format.high, counts.o_format) == (-1, 1, spec.o_format.summed)
    x = np.random.default_rng(steps).integers(form.low, form.high + 1, (40 * spec.groups, 2, 1))
    x[: 2 * spec.groups] = form.high
    x[-2 * spec.groups :] = form.low
    trains, went, cycles = run(spec, x)
    numbers, _, _ = run(counts, x)
    currents = x.reshape(-1)[:, None] if constant else np.eye(steps, dtype=int)[0] * x.reshape(-1)[:, None]
    expected = [
        equations(spec, np.broadcast_to(c, steps), k % len(spec.threshold)) for k, c in enumerate(currents)
    ]
    assert trains.reshape(-1, steps).tolist() == expected and np.array_equal(trains, spec.compute(x))
    assert numbers.reshape(-1).tolist() == [sum(train) for train in expected]
    assert np.array_equal(numbers, counts.compute(x)) and {low, 0, steps} <= set(numbers.reshape(-1).tolist())
    assert cycles == [cycle + 1 for cycle in went]


def test_only_lossless_neurons_have_a_lower_end() -> None:
    for rule in ("causal", "signed"):
        with pytest.raises(ValueError, match=f"The rule {rule} has no lower end, so low must be 0, not -1"):
            make(rule, low=-1)
    for low in (1, -5):
        with pytest.raises(ValueError, match=rf"low must be in -4\.\.0, not {low}"):
            make("lossless", low=low)


def test_signed_neurons_do_not_count() -> None:
    with pytest.raises(ValueError, match="The rule signed does not count its spikes"):
        make("signed", counts=True)


def _run_spaced(
    core: NeuronArray, spec: NeuronSpec, x: np.ndarray, spacing: int
) -> tuple[np.ndarray, list[int], list[int]]:
    from amaranth.sim import Simulator

    words, went, came = as_ints(spec.i_format.pack(x)), [], []
    simulator = Simulator(core)
    simulator.add_clock(1e-6)

    async def bench(ctx) -> None:
        for cycle in range(len(words) * spacing + 40):
            k, now = divmod(cycle, spacing)
            offers = now == 0 and k < len(words)
            ctx.set(core.i.valid, offers)
            ctx.set(core.i.payload, words[k] if offers else -1)
            _, _, valid, out = await ctx.tick().sample(core.o.valid, core.o.payload)
            if offers:
                went.append(cycle)
            if valid:
                came.append((cycle, out))

    simulator.add_testbench(bench)
    simulator.run()
    return spec.o_format.unpack(as_words([w for _, w in came], spec.o_format)), went, [c for c, _ in came]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_ties_go_the_stated_way(strict: bool, rule: str) -> None:
    lossless = rule == "lossless"
    form = WordFormat(1, 1 if lossless else 2, 0, 20)
    spec = NeuronSpec(
        threshold=np.array([10]),
        bias=np.array([0]),
        v0=np.array([0]),
        rule=rule,
        strict=strict,
        time_steps=2,
        i_format=form,
        ranges=np.array([[0, 20]]),
        constant=False,
    )
    x = np.array([[[10]]]) if lossless else np.array([[[10, 0]]])
    got, _, _ = run(spec, x)
    assert got.tolist() == [[[0, 0]]] if strict else [[[1, 0]]]


def test_membrane_bounds_are_reached_and_one_bit_less_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = NeuronSpec(
        threshold=np.array([5]),
        bias=np.array([0]),
        v0=np.array([2]),
        rule="causal",
        strict=False,
        time_steps=4,
        i_format=WordFormat(1, 4, -64, 63),
        ranges=np.array([[-64, 63]]),
        constant=False,
    )
    before, _ = membranes(spec)
    # The lowest membranes of all, and a rise that is only right if they were kept whole.
    x = np.array([[-64] * 4, [-64, -64, -64, 63], [63] * 4, [-64, -64, 63, 63], [63, 63, 63, -64]])[:, None]
    start = 5 - 1 - 2  # of 5 it has 2; below 0 it spikes
    assert before[2].tolist() == [[start - (3 * 63 - 2 * 5), start + 192]]
    got, _, _ = run(spec, x)
    assert np.array_equal(got, spec.compute(x))
    widest = max(words_module.bits_for(*b)[0] for b in before.reshape(-1, 2).tolist())

    def narrower(low: int, high: int) -> words_module.Shape:
        shape = words_module.shape_for(low, high)
        return type(shape)(shape.width - 1, shape.signed) if shape.width == widest else shape

    monkeypatch.setattr(module, "shape_for", narrower)
    got, _, _ = run(spec, x)
    assert not np.array_equal(got, spec.compute(x))


@pytest.mark.parametrize("rule", ["causal", "signed"])
def test_membranes_of_neurons_that_never_or_always_fire(rule: str) -> None:
    """What is ruled out takes no bits of a membrane: a part of the range with nothing in it widens none."""
    spec = NeuronSpec(
        threshold=np.array([1000, 10]),
        bias=np.array([0, 0]),
        v0=np.array([0, 0]),
        rule=rule,
        strict=False,
        time_steps=3,
        i_format=WordFormat(2, 3, 0, 12),
        ranges=np.array([[0, 9], [10, 12]]),
        constant=False,
    )
    before, after = membranes(spec)
    assert before.tolist() == [[[990, 999], [-3, -1]], [[981, 999], [-5, -1]], [[972, 999], [-7, -1]]]
    assert after.tolist() == [[[990, 999], [7, 9]], [[981, 999], [5, 9]], [[972, 999], [3, 9]]]


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match="Threshold must be positive, not 0"):
        NeuronSpec(
            threshold=np.array([0]),
            bias=np.array([0]),
            v0=np.array([0]),
            rule="causal",
            strict=False,
            time_steps=1,
            i_format=WordFormat(1, 1, 0, 1),
            ranges=np.array([[0, 1]]),
            constant=False,
        )
    with pytest.raises(ValueError, match="outputs=3 does not divide the 4 output channels"):
        make(outputs=3)


def test_every_rule_of_networks_has_a_circuit() -> None:
    assert rule_names() == sorted(rules.RULES) == sorted(RULES)
