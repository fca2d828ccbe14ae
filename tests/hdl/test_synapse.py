"""The synapse array: against its model and a naive sum, latency, fold, and the derived widths at their bounds."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator
from core_bench import as_ints, as_words, run_pipe
from small_packing import pack_all

from spikeloom.hdl.cores.synapse import core as module
from spikeloom.hdl.cores.synapse.core import SynapseArray
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.memory import style
from spikeloom.hdl.streams import words as words_module
from spikeloom.hdl.streams.words import WordFormat

CASES = {
    "spikes": dict(form=WordFormat(4, 4, 0, 1), co=4, outputs=2, words=3, steps=4),
    "steps folded": dict(form=WordFormat(2, 4, 0, 1), co=4, outputs=2, words=3, steps=2),
    "steps one by one": dict(form=WordFormat(2, 3, 0, 1), co=2, outputs=1, words=2, steps=1),
    "sum over time": dict(form=WordFormat(3, 4, 0, 1), co=2, outputs=2, words=2, steps=4, sum_time=True),
    "sum over many steps": dict(form=WordFormat(2, 8, 0, 3), co=2, outputs=1, words=2, steps=8, sum_time=True),
    "pixels": dict(form=WordFormat(3, 1, 0, 255), co=4, outputs=4, words=4, steps=1),
    "signed values": dict(form=WordFormat(3, 1, -7, 7), co=4, outputs=1, words=2, steps=1),
    "one sign bit": dict(form=WordFormat(2, 1, -1, 0), co=2, outputs=1, words=2, steps=1),
    "one word": dict(form=WordFormat(4, 2, 0, 1), co=4, outputs=2, words=1, steps=2),
    "one word and group": dict(form=WordFormat(5, 1, 0, 15), co=2, outputs=2, words=1, steps=1),
    "start value": dict(form=WordFormat(2, 1, 0, 15), co=3, outputs=3, words=3, steps=1, start=True),
    "one input": dict(form=WordFormat(1, 2, 0, 3), co=4, outputs=2, words=3, steps=2),
    "many inputs": dict(form=WordFormat(11, 2, 0, 1), co=4, outputs=2, words=2, steps=2),
    "many constants": dict(form=WordFormat(11, 2, 0, 1), co=2, outputs=2, words=1, steps=2),
    "signed steps": dict(form=WordFormat(5, 2, -1, 1), co=4, outputs=2, words=2, steps=2),
    "wide weights": dict(form=WordFormat(3, 1, 0, 15), co=2, outputs=1, words=3, steps=1, bits=8),
    "blocks": dict(form=WordFormat(4, 2, 0, 1), co=8, outputs=4, words=3, steps=2, blocks=2),
    "one input a block": dict(form=WordFormat(3, 4, 0, 1), co=6, outputs=3, words=4, steps=2, blocks=3),
    "blocks of values": dict(form=WordFormat(4, 1, 0, 15), co=2, outputs=2, words=3, steps=1, blocks=2, start=True),
    "blocks, sum over time": dict(
        form=WordFormat(2, 4, 0, 1), co=8, outputs=4, words=2, steps=4, sum_time=True, blocks=2
    ),
    "blocks, one word": dict(form=WordFormat(4, 2, 0, 1), co=4, outputs=4, words=1, steps=2, blocks=2),
    "ternary, with zeros": dict(form=WordFormat(4, 2, 0, 1), co=2, outputs=1, words=2, steps=2, bits=2, zeros=True),
}
CASES |= {
    f"{n} counts": dict(form=WordFormat(n, 1, 0, 4), co=4, outputs=2, words=3, steps=1, bits=bits)
    for n, bits in ((2, 4), (4, 2), (6, 4), (7, 3), (8, 4), (13, 4), (16, 4), (17, 8), (32, 5))
}
BIPOLAR = {
    "spikes": dict(form=WordFormat(4, 4, 0, 1), co=4, outputs=2, words=3, steps=4),
    "steps folded": dict(form=WordFormat(3, 4, 0, 1), co=4, outputs=2, words=3, steps=2),
    "steps one by one": dict(form=WordFormat(2, 3, 0, 1), co=2, outputs=1, words=2, steps=1),
    "sum over time": dict(form=WordFormat(3, 4, 0, 1), co=2, outputs=2, words=2, steps=4, sum_time=True),
    "sum of two": dict(form=WordFormat(7, 3, 0, 1), co=2, outputs=2, words=2, steps=3, sum_time=True),
    "pixels": dict(form=WordFormat(3, 1, 0, 255), co=4, outputs=4, words=4, steps=1),
    "signed values": dict(form=WordFormat(5, 1, -8, 7), co=4, outputs=1, words=2, steps=1),
    "two bits": dict(form=WordFormat(6, 1, -2, 1), co=4, outputs=2, words=2, steps=1),
    "signed words, even": dict(form=WordFormat(4, 2, -4, 3), co=4, outputs=2, words=2, steps=2),
    "one sign bit": dict(form=WordFormat(2, 1, -1, 0), co=2, outputs=1, words=2, steps=1),
    "signed steps": dict(form=WordFormat(5, 2, -1, 1), co=4, outputs=2, words=2, steps=2),
    "one word": dict(form=WordFormat(4, 2, 0, 1), co=4, outputs=2, words=1, steps=2),
    "constant": dict(form=WordFormat(5, 1, 0, 15), co=2, outputs=2, words=1, steps=1),
    "start value": dict(form=WordFormat(2, 1, 0, 15), co=3, outputs=3, words=3, steps=1, start=True),
    "one input": dict(form=WordFormat(1, 2, 0, 3), co=4, outputs=2, words=3, steps=2),
    "one wide input": dict(form=WordFormat(1, 2, -9, 3), co=4, outputs=2, words=3, steps=2),
    **{f"{n} inputs": dict(form=WordFormat(n, 2, 0, 1), co=2, outputs=1, words=2, steps=2) for n in range(5, 21)},
    "33 inputs": dict(form=WordFormat(33, 1, 0, 1), co=2, outputs=2, words=2, steps=1),
    "blocks": dict(form=WordFormat(8, 2, 0, 1), co=8, outputs=4, words=3, steps=2, blocks=2),
    "one input a block": dict(form=WordFormat(3, 4, 0, 1), co=6, outputs=3, words=4, steps=2, blocks=3),
    "blocks of values": dict(form=WordFormat(4, 1, 0, 15), co=2, outputs=2, words=3, steps=1, blocks=2, start=True),
    "blocks, sum over time": dict(
        form=WordFormat(6, 4, 0, 1), co=8, outputs=4, words=2, steps=4, sum_time=True, blocks=2
    ),
}
TOGETHER = {
    "two pixels at once": dict(form=WordFormat(8, 4, 0, 1), co=4, outputs=2, words=3, steps=4, pixels=2),
    "three pixels, sum over time": dict(
        form=WordFormat(6, 4, 0, 1), co=4, outputs=2, words=4, steps=4, sum_time=True, pixels=3
    ),
    "two pixels of values": dict(form=WordFormat(6, 1, 0, 255), co=4, outputs=4, words=4, steps=1, pixels=2),
    "two pixels, signed values": dict(form=WordFormat(6, 1, -7, 7), co=4, outputs=1, words=2, steps=1, pixels=2),
    "five pixels of one input": dict(form=WordFormat(5, 2, 0, 3), co=2, outputs=1, words=5, steps=2, pixels=5),
    "two pixels, start value": dict(
        form=WordFormat(6, 1, 0, 15), co=3, outputs=3, words=3, steps=1, start=True, pixels=2
    ),
    "two pixels, steps folded": dict(form=WordFormat(4, 4, 0, 1), co=4, outputs=2, words=3, steps=2, pixels=2),
    "two pixels, signed steps": dict(form=WordFormat(10, 2, -1, 1), co=4, outputs=2, words=2, steps=2, pixels=2),
}
CONSTANTS = {
    "two pixels, constant": dict(form=WordFormat(10, 1, 0, 15), co=2, outputs=2, words=1, steps=1, pixels=2),
    "three pixels, constant": dict(form=WordFormat(15, 2, 0, 1), co=3, outputs=3, words=1, steps=2, pixels=3),
}
CASES |= TOGETHER | CONSTANTS
BIPOLAR |= TOGETHER
BIPOLAR |= {
    "two pixels, counted words": dict(form=WordFormat(18, 1, 0, 3), co=4, outputs=2, words=3, steps=1, pixels=2),
    "two pixels of 17 inputs": dict(form=WordFormat(34, 2, 0, 1), co=2, outputs=1, words=2, steps=2, pixels=2),
}
CASES |= {f"bipolar, {name}": case | {"bits": 1} for name, case in BIPOLAR.items()}
MULTIPLIED = {
    "counts": dict(form=WordFormat(5, 1, 0, 4), co=6, outputs=3, words=3, steps=1),
    "counts, seven outputs": dict(form=WordFormat(4, 1, 0, 7), co=7, outputs=7, words=2, steps=1),
    "counts of two pixels": dict(form=WordFormat(16, 1, 0, 4), co=8, outputs=4, words=3, steps=1, pixels=2),
    "counts of three pixels": dict(form=WordFormat(9, 1, 0, 7), co=6, outputs=3, words=3, steps=1, pixels=3),
    "sum over time": dict(form=WordFormat(6, 4, 0, 1), co=4, outputs=2, words=4, steps=4, sum_time=True, pixels=2),
    "eight bits": dict(form=WordFormat(3, 1, 0, 255), co=4, outputs=4, words=4, steps=1, bits=8, start=True),
    "narrow weights": dict(form=WordFormat(6, 1, 0, 15), co=4, outputs=2, words=2, steps=1, bits=2, pixels=2),
    "one word": dict(form=WordFormat(4, 1, 0, 15), co=4, outputs=2, words=1, steps=1),
    "one input": dict(form=WordFormat(1, 1, 0, 3), co=4, outputs=2, words=3, steps=1),
    "no negative weight": dict(form=WordFormat(4, 1, 0, 4), co=4, outputs=2, words=3, steps=1, positive=True),
}
CASES |= {f"multiplied, {name}": case | {"multiplies": True} for name, case in MULTIPLIED.items()}
CASES |= {f"inverting, {name}": case | {"inverts": True} for name, case in CASES.items()
          if name.startswith("bipolar") and "constant" not in name}  # fmt: skip


def make(
    form: WordFormat,
    co: int,
    outputs: int,
    words: int,
    steps: int,
    sum_time: bool = False,
    start: bool = False,
    bits: int = 4,
    blocks: int = 1,
    zeros: bool = False,
    inverts: bool = False,
    pixels: int = 1,
    multiplies: bool = False,
    positive: bool = False,
    seed: int = 0,
) -> SynapseSpec:
    rng = np.random.default_rng(seed)
    top = (1 << (bits - 1)) - 1
    weight = rng.integers(-top, top + 1, (co, words, form.lanes // (blocks * pixels)))
    if bits == 1:
        weight = np.where(rng.integers(2, size=weight.shape), 1, -1)
    if zeros:
        weight[:, :, 0] = 0
    spec = SynapseSpec(
        weight=abs(weight) if positive else weight,
        weight_bits=bits,
        i_format=form,
        outputs=outputs,
        steps=steps,
        sum_time=sum_time,
        start=rng.integers(-50, 50, co) if start else np.zeros(co, np.int64),
        blocks=blocks,
        pixels=pixels,
        multiplies=multiplies,
    )
    if not inverts:
        return spec
    return replace(spec, inverts=True, start=spec.start if start else spec.excess)


def window_words(spec: SynapseSpec, positions: int, seed: int) -> np.ndarray:
    """Random window words, each window walked for every group and scan."""
    rng = np.random.default_rng(seed)
    form = spec.i_format
    x = rng.integers(form.low, form.high + 1, (positions, 1, spec.words, form.lanes, form.steps))
    return np.repeat(x, spec.groups * spec.scans, axis=1).reshape(-1, form.lanes, form.steps)


def run(spec: SynapseSpec, x: np.ndarray, seed: int = 0) -> tuple[np.ndarray, list[int], list[int]]:
    """Currents out of the RTL, the cycles of the last words, and those of the currents."""
    lasts = [k % spec.words == spec.words - 1 for k in range(len(x))]
    went, came = run_pipe(SynapseArray(spec), as_ints(spec.i_format.pack(x)), lasts, seed=seed)
    ends = [cycle for cycle, last in zip(went, lasts, strict=True) if last]
    return spec.o_format.unpack(as_words([w for _, w in came], spec.o_format)), ends, [c for c, _ in came]


@pytest.mark.parametrize("case", CASES)
def test_rtl_equals_model_and_a_naive_sum(case: str) -> None:
    spec = make(**CASES[case])
    x = window_words(spec, 5, seed=1)
    got, ends, cycles = run(spec, x)
    assert np.array_equal(got, spec.compute(x))
    assert cycles == [end + spec.latency for end in ends]
    naive = []
    for n, window in enumerate(x.reshape(-1, spec.words, spec.i_format.lanes, spec.i_format.steps)):
        group, scan = n // spec.scans % spec.groups, n % spec.scans
        mine = range(group * spec.outputs, (group + 1) * spec.outputs)
        for pixel, o in ((p, o) for p in range(spec.pixels) for o in mine):
            for t in range(scan * spec.steps, (scan + 1) * spec.steps if not spec.sum_time else scan * spec.steps + 1):
                taken = window.sum(-1) if spec.sum_time else window[..., t]
                block = (o - group * spec.outputs) // (spec.outputs // spec.blocks)
                taken = taken[:, (block + pixel) * spec.inputs :][:, : spec.inputs]
                naive.append(
                    int(spec.start[o])
                    + sum(int(a) * int(b) for a, b in zip(spec.weight[o].flat, taken.flat, strict=True))
                )
    assert got.reshape(-1).tolist() == naive


@pytest.mark.parametrize("case", CASES)
def test_packed_weights_are_the_same_in_the_same_cycles(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_all(monkeypatch)
    plain = make(**CASES[case])
    if plain.scans > 1 or plain.constant:
        with pytest.raises(ValueError, match="rows are read again" if plain.scans > 1 else "saves no block RAM"):
            replace(plain, packs=True)
        return
    spec = replace(plain, packs=True)
    x = window_words(spec, 9, seed=2)
    got, ends, cycles = run(spec, x)
    assert np.array_equal(got, plain.compute(x))
    assert cycles == [end + plain.latency for end in ends]


@pytest.mark.parametrize("case", ["steps folded", "sum over time", "signed values", "bipolar, steps folded",
                                  "bipolar, one wide input", "inverting, bipolar, two bits"])  # fmt: skip
def test_deep_memories_take_a_cycle_more(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shallow = make(**CASES[case]).latency
    monkeypatch.setattr(style, "DEEPEST", 1)
    spec = make(**CASES[case])
    x = window_words(spec, 5, seed=1)
    got, ends, cycles = run(spec, x)
    assert np.array_equal(got, spec.compute(x))
    assert cycles == [end + spec.latency for end in ends] and spec.latency == shallow + 1


def worst_case(spec: SynapseSpec) -> np.ndarray:
    """For every channel the two windows that drive its accumulator to its lowest and highest value."""
    form, windows = spec.i_format, []
    for sign in (-1, 1):
        for weight in spec.weight:
            x = np.tile(np.where(weight * sign > 0, form.high, form.low), spec.pixels)
            windows.append(np.repeat(x[:, :, None], form.steps, axis=2))
    x = np.stack(windows)[:, None]
    return np.repeat(x, spec.groups * spec.scans, axis=1).reshape(-1, form.lanes, form.steps)


WORST = ["spikes", "many inputs", "many constants", "signed steps", "sum over time", "pixels", "signed values"]
WORST += ["start value", "wide weights", "two pixels at once", "two pixels of values", "two pixels, constant"]
WORST += [f"bipolar, {name}" for name in ("spikes", "16 inputs", "signed steps", "pixels", "signed values")]
WORST += [f"inverting, {name}" for name in WORST if name.startswith("bipolar")]


@pytest.mark.parametrize("case", WORST)
def test_worst_case_reaches_the_derived_bounds(case: str) -> None:
    spec = make(**CASES[case])
    got, _, _ = run(spec, worst_case(spec))
    assert (
        (got.min(), got.max())
        == (spec.ranges[:, 0].min(), spec.ranges[:, 1].max())
        == (spec.o_format.low, spec.o_format.high)
    )
    assert np.array_equal(got, spec.compute(worst_case(spec)))


@pytest.mark.parametrize("case", WORST)
def test_one_bit_less_fails(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make(**CASES[case])
    full = words_module.shape_for(spec.o_format.low, spec.o_format.high)

    def narrower(low: int, high: int) -> words_module.Shape:
        shape = words_module.shape_for(low, high)
        return type(shape)(shape.width - 1, shape.signed) if shape.width == full.width else shape

    monkeypatch.setattr(module, "shape_for", narrower)
    x = worst_case(spec)
    got, _, _ = run(spec, x)
    assert not np.array_equal(got, spec.compute(x))


def test_errors_name_the_rule() -> None:
    form = WordFormat(2, 4, 0, 1)
    good = dict(
        weight=np.ones((4, 3, 2), int),
        weight_bits=4,
        i_format=form,
        outputs=2,
        steps=2,
        sum_time=False,
        start=np.zeros(4, int),
    )
    SynapseSpec(**good)
    for change, message in (
        ({"outputs": 3}, "outputs=3 does not divide the 4 output channels"),
        ({"steps": 3}, "steps=3 does not divide the 4 time steps"),
        ({"weight": np.ones((4, 3, 1), int)}, r"Weight must have shape \(Co, words, 2\)"),
        ({"weight_bits": 1, "weight": np.eye(12, 2, dtype=int).reshape(4, 3, 2)}, "weight_bits=1 are -1 or .* is a 0"),
        ({"weight_bits": 1, "weight": np.full((4, 3, 2), 2)}, "Weights reach 2, more than weight_bits=1 hold"),
        ({"pixels": 2}, r"Weight must have shape \(Co, words, 1\)"),
        ({"pixels": 3}, "blocks=1 of 3 pixels does not divide 2 lanes and 2 outputs"),
        ({"pixels": 2, "weight": np.ones((4, 3, 1), int), "addressed": True}, "Words of several pixels cannot be left"),
        ({"start": np.ones(4, int)}, "A start value needs an accumulator of its own"),
    ):
        with pytest.raises(ValueError, match=message):
            SynapseSpec(**(good | change))
    inverting = SynapseSpec(**(good | {"weight_bits": 1}))
    assert replace(inverting, inverts=True, start=inverting.excess + 7).ranges.min() == 7
    uneven = np.where(np.arange(24) < 3, -1, 1).reshape(4, 3, 2)
    for change, message in (
        ({"weight": uneven}, "start - excess must be the same for all channels that have one accumulator"),
        ({"weight_bits": 2}, "Only weights of one bit that change from word to word, all of them read, invert inputs"),
        ({"addressed": True}, "Only weights of one bit that change from word to word, all of them read, invert"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(inverting, **({"inverts": True} | change))
    with pytest.raises(ValueError, match=r"Elements must be in 0\.\.1"):
        SynapseSpec(**good).compute(np.full((12, 2, 4), 2))


@pytest.mark.parametrize("inputs", [1, 2, 3, 4, 5, 6, 7, 8, 12, 15])
@pytest.mark.parametrize("form", [(0, 1), (0, 4), (-3, 4)])
@pytest.mark.parametrize("uneven", [False, True])
def test_rows_that_come_with_their_words_in_any_number(inputs: int, form: tuple[int, int], uneven: bool) -> None:
    """``uneven``: the widest weights are those of lanes without a negative one, so that with a sign all are wider."""
    rng = np.random.default_rng(inputs)
    base = make(WordFormat(inputs, 1, *form), co=4, outputs=2, words=5, steps=1, seed=inputs)
    if uneven:
        weight = np.abs(base.weight)
        weight[1::2] = np.where(weight[1::2] > 3, -1, 0)
        base = replace(base, weight=np.ascontiguousarray(weight))
    spec, core = replace(base, addressed=True), SynapseArray(replace(base, addressed=True))
    wanted, got = list[list[int]](), list[list[int]]()
    simulator = Simulator(core)
    simulator.add_clock(1e-6)

    async def bench(ctx) -> None:
        for _ in range(12):
            group, sums = int(rng.integers(2)), np.zeros(2, int)
            for left in reversed(range(int(rng.integers(1, 6)))):
                x, word = rng.integers(form[0], form[1] + 1, inputs), int(rng.integers(5))
                sums += spec.weight[2 * group : 2 * group + 2, word] @ x
                packed = as_ints(spec.i_format.pack(x.reshape(1, inputs, 1)))[0]
                ctx.set(core.i.valid, 1)
                ctx.set(core.i.payload, {"data": packed, "last": not left, "row": group * 5 + word})
                await ctx.tick()
            wanted.append(sums.tolist())
        ctx.set(core.i.valid, 0)
        await ctx.tick().repeat(spec.latency + 1)

    async def watch(ctx) -> None:
        async for *_, valid, payload in ctx.tick().sample(core.o.valid, core.o.payload):
            if valid:
                got.append(spec.o_format.unpack(as_words([payload], spec.o_format)).reshape(-1).tolist())

    simulator.add_testbench(bench)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    assert got == wanted
