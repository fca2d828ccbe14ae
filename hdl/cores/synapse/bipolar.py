"""Sums of inputs times weights of -1 and +1, one bit each, in two ways.

- **Inverted** (``SynapseSpec.inverts``): a weight of -1 inverts the bits of its input, so that 2^b - 1 - x is added in
  place of -x. A sum is then too large by as much for every negative weight: a constant of the channel, which the
  accumulator starts with, or which goes into what stands behind.
- **Chosen**: sum of w * x = 2 * (sum of the x with w = +1) - sum of x. The last sum is the same for all outputs, so
  there is one for each time step. This is exact word by word, for where words are left out or sums leave as they are.

Either has two forms:

- **Counts** of the bits of narrow inputs, each in a tree of its own, as those of wider weights are. A carry chain adds
  two counts and a bit more (``counting.py``), so 15 inputs take 18 places of it. A subtraction takes the last input.
- **Words** of wide inputs: a bit of a weight gates or inverts a whole input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from amaranth import *

from ...streams.words import bits_for, shape_for
from .adders import Addend, register, tree
from .counting import Counting, count
from .gated import Addition, PairFormat, add, sum_up
from .trees import CountTree, count_levels, count_tree, levels

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["counted", "inverted", "positive", "summed"]

Sums = Callable[[int, int, int], tuple[Addend, int]]


def counted(
    m: Module, platform: object, spec: SynapseSpec, weights: list[list[Value]], word: Value, less: Sums | None
) -> Sums:
    """The sums for every output, time step and bit of the inputs, by counts.

    ``weights`` are the bits of every output, 1 where an input is chosen or inverted; ``word`` the inputs that come with
    them; ``less`` minus the sum of the inputs that an output has, one level before the result, None where they are
    inverted. Latency: ``levels(spec.inputs)``, and ``count_levels(spec.inputs)`` of inverted ones.
    """
    lane_bits = spec.terms * spec.plane_count
    later = _Later(m)
    places = [(o, bit) for o in range(spec.outputs) for bit in range(lane_bits)]

    def gate(o: int, bit: int, k: int, cycles: int) -> tuple[Value, Value]:
        """The weight and the bit of input ``k``, so many cycles later."""
        lane = spec.lanes_of(o)[k]
        return later(weights[o][k], cycles, "weight", o, k), later(word[lane * lane_bits + bit], cycles, "x", lane, bit)

    if less is None:
        if spec.inputs == 1:
            alone = {(o, bit): Addend(Cat(gate(o, bit, 0, 0)).xor(), 0, 1) for o, bit in places}
            return lambda o, t, b: (alone[o, t * spec.plane_count + b], 0)
        last, counts = count_levels(spec.inputs), spec.inputs
    elif spec.inputs <= 2:
        few = {place: _few(m, [gate(*place, k, 0) for k in range(spec.inputs)], place) for place in places}
        return lambda o, t, b: (few[o, t * spec.plane_count + b], 0)
    else:
        last, counts = levels(spec.inputs) - 1, spec.inputs - 1
    shape = count_tree(counts, last)
    found: dict[tuple[int, int, tuple[int, int]], Value] = {}  # by level, place among its nodes, output and bit
    for level in range(1, last + 1):
        nodes, wanted = list(shape.on(level)), list[tuple[tuple[int, int, tuple[int, int]], int, Counting]]()
        for place in places:
            below = 0
            for k, node in enumerate(nodes):
                parts = [found[level - 1, below + n, place] for n in range(len(node.parts))]
                below += len(parts)
                inputs = [gate(*place, n, level - 1) for n in node.inputs]
                if len(parts) + len(inputs) == 1:
                    value = parts[0] if parts else Cat(inputs[0]).xor() if less is None else Cat(inputs[0]).all()
                    found[level, k, place] = _registered(m, value, node.top, level, k, place)
                else:
                    wanted.append(((level, k, place), node.top, _counting(node, parts, inputs, less is None)))
        sums = count(m, platform, [each for _, _, each in wanted], f"count_{level}")
        for (key, top, _), value in zip(wanted, sums, strict=True):
            found[key] = _registered(m, value, top, *key)
    if less is None:
        return lambda o, t, b: (Addend(found[last, 0, (o, t * spec.plane_count + b)], 0, spec.inputs), 0)
    width, _ = bits_for(-(-(-spec.inputs // 2)), spec.inputs // 2)
    wanted, lowest = [], {}
    for o, bit in places:
        minus, _ = less(o, *divmod(bit, spec.plane_count))
        w, x = gate(o, bit, spec.inputs - 1, last)
        wanted.append(Counting(found[last, 0, (o, bit)], minus.value >> 1, width, c=w, cx=x))
        lowest[o, bit] = later(minus.value[0], 1, "odd", spec.lanes_of(o)[0], bit)
    results = {}
    for place, value in zip(places, count(m, platform, wanted, "twice"), strict=True):
        upper = Signal(width, name="signed_{}_{}".format(*place))
        m.d.sync += upper.eq(value)
        results[place] = Addend(Cat(lowest[place], upper).as_signed(), -spec.inputs, spec.inputs)
    return lambda o, t, b: (results[o, t * spec.plane_count + b], 0)


def summed(m: Module, platform: object, spec: SynapseSpec, weights: list[list[Value]], word: Value) -> Sums:
    """The sums for every output and time step, of whole inputs that are chosen. Latency: ``levels(spec.inputs) + 1``."""
    low, high = spec.element
    bits, signed = bits_for(low, high)
    pair, alone = PairFormat(2, bits, signed), PairFormat(1, bits, signed)
    offset = spec.inputs // 2 * pair.offset + spec.inputs % 2 * alone.offset
    most = spec.inputs * max(high, -low)
    sign, shape = signed << (bits - 1), shape_for(low, high)
    minus: dict[tuple[int, int], Addend] = {}

    def sums(o: int, t: int, _: int) -> tuple[Addend, int]:
        lanes, name = spec.lanes_of(o), f"{o}_{t}"
        inputs = [word.word_select(lane * spec.terms + t, bits) for lane in lanes]
        w = weights[o]
        value = Signal(shape_for(-most, most), name=f"signed_{name}")
        if spec.inputs == 1:
            x = inputs[0].as_signed() if signed else inputs[0]
            m.d.sync += value.eq(Mux(w[0], x, -x))
            return Addend(value, -most, most), 0
        # One sum of all inputs for the outputs of a block, as much too large as twice that of the chosen ones.
        if (lanes[0], t) not in minus:
            terms = [Addend(x.as_signed() if signed else x, low, high) for x in inputs]
            if offset:
                first = Signal(shape_for(low + 2 * offset, high + 2 * offset), name=f"first_{name}")
                m.d.comb += first.eq(terms[0].value + 2 * offset)
                terms[0] = Addend(first, low + 2 * offset, high + 2 * offset)
            minus[lanes[0], t] = tree(m, terms, levels(spec.inputs), f"all_{name}")
        pairs = [
            Addition(inputs[k], inputs[k + 1] ^ sign, bits, signed, w[k], w[k + 1], ~w[k + 1] if signed else None)
            for k in range(0, spec.inputs - 1, 2)
        ]
        found = [Addend(v, 0, (2 << bits) - 2) for v in add(m, platform, pairs, f"pair_{name}")]
        if spec.inputs % 2:
            found.append(Addend(Mux(w[-1], inputs[-1], 0) ^ sign, 0, (1 << bits) - 1))
        found = [register(m, term, f"pair_{name}_{k}_r") for k, term in enumerate(found)]
        chosen = sum_up(m, platform, found, f"sum_{name}")
        m.d.sync += value.eq((chosen.value << 1) - minus[lanes[0], t].value)
        return Addend(value, -most, most), 0

    assert shape.width == bits
    return sums


def positive(spec: SynapseSpec, word: Value) -> Value:
    """The inputs of ``word``, whole ones with a sign 2^(bits - 1) larger, so that none is negative."""
    if spec.tree_count == spec.plane_count or spec.element[0] >= 0:
        return word
    sign = Const(1 << (spec.plane_count - 1), spec.plane_count)
    return word ^ sign.replicate(len(word) // spec.plane_count)


def inverted(m: Module, platform: object, spec: SynapseSpec, weights: list[list[Value]], word: Value) -> Sums:
    """The sums for every output and time step, of whole inputs, ``word`` (:func:`positive`). Latency:
    ``levels(spec.inputs)``."""
    bits = spec.plane_count
    larger = (spec.element[0] < 0) << (bits - 1)

    def sums(o: int, t: int, _: int) -> tuple[Addend, int]:
        name, w = f"{o}_{t}", weights[o]
        inputs = [word.word_select(lane * spec.terms + t, bits) for lane in spec.lanes_of(o)]
        pairs = [
            Counting(inputs[k], inputs[k + 1], bits, True, w[k], w[k + 1], inverts=True)
            for k in range(0, spec.inputs - 1, 2)
        ]
        found = [Addend(v, 0, (2 << bits) - 2) for v in count(m, platform, pairs, f"pair_{name}")]
        if spec.inputs % 2:
            found.append(Addend(inputs[-1] ^ w[-1].replicate(bits), 0, (1 << bits) - 1))
        if spec.inputs > 1:
            found = [register(m, term, f"pair_{name}_{k}_r") for k, term in enumerate(found)]
        return sum_up(m, platform, found, f"sum_{name}"), spec.inputs * larger

    return sums


class _Later:
    """Signals some cycles later, one register a cycle for all who want them."""

    def __init__(self, m: Module) -> None:
        self._m, self._made = m, dict[tuple[int | str, ...], Value]()

    def __call__(self, value: Value, cycles: int, *name: int | str) -> Value:
        for k in range(1, cycles + 1):
            if (key := (*name, k)) not in self._made:
                later = Signal(len(value), name="_".join(map(str, ("later", *key))))
                self._m.d.sync += later.eq(value)
                self._made[key] = later
            value = self._made[key]
        return value


def _few(m: Module, gates: list[tuple[Value, Value]], place: tuple[int, int]) -> Addend:
    """One input or two: a table."""
    products = [Cat(x, x & ~w).as_signed() for w, x in gates]
    if len(products) == 1:
        return Addend(products[0], -1, 1)
    total = Signal(shape_for(-2, 2), name="signed_{}_{}".format(*place))
    m.d.sync += total.eq(products[0] + products[1])
    return Addend(total, -2, 2)


def _counting(node: CountTree, parts: list[Value], inputs: list[tuple[Value, Value]], inverts: bool) -> Counting:
    """The addition of a node."""
    zero, nothing = Const(0, 1), (Const(0, 1), Const(0, 1))
    if node.level > 1:
        one, other = [*parts, zero][:2]
        c, cx = [*inputs, nothing][0]
        return Counting(one, other, node.width, c=c, cx=cx, inverts=inverts)
    (a, ax), (b, bx), (c, cx) = [*inputs, nothing][:3]
    return Counting(a, b, 1, True, ax, bx, c, cx, inverts)


def _registered(m: Module, value: Value, top: int, level: int, k: int, place: tuple[int, int]) -> Value:
    later = Signal(top.bit_length(), name="count_{}_{}_{}_{}_r".format(level, k, *place))
    m.d.sync += later.eq(value)
    return later
