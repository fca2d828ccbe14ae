"""Sums of inputs times weights of -1 and +1, one bit each, in two ways.

- **Inverted** (``SynapseSpec.inverts``): a weight of -1 inverts the bits of its input, so that 2^b - 1 - x is added in
  place of -x. A sum is then too large by as much for every negative weight: a constant of the channel, which the
  accumulator starts with, or which goes into what stands behind.
- **Chosen**: sum of w * x = 2 * (sum of the x with w = +1) - sum of x. The last sum is the same for all outputs, so
  there is one for each time step. This is exact word by word, for where words are left out or sums leave as they are.

Either has two forms:

- **Counts** of the bits of narrow inputs, each in a tree of its own, as those of wider weights are. A carry chain adds
  two counts and a bit more (``counting.py``), so 15 inputs take 18 places of it. A subtraction takes the last input.
- **Words** of wide inputs: a bit of a weight gates or inverts a whole input (``bipolar_words.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from amaranth import *

from ...streams.words import bits_for, shape_for
from .adders import Addend, Later
from .counting import Counting, count
from .trees import CountTree, count_levels, count_tree, levels

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["Sums", "counts_chosen", "counts_inverted"]

Sums = Callable[[int, int, int], tuple[Addend, int]]
"""The sum over the inputs for an output, a time step and a bit of the inputs, and by how much it is too large."""

Place = tuple[int, int]
"""An output, and a bit of an input with its time step."""


def counts_inverted(
    m: Module, platform: object, spec: SynapseSpec, weights: list[list[Value]], word: Value
) -> Sums:
    """The sums for every output, time step and bit of the inputs in ``word``, which the bits ``weights`` of an output
    invert. Latency: ``count_levels(spec.inputs)``."""
    gates = _Gates(m, spec, weights, word)
    if spec.inputs == 1:
        found = {place: Cat(gates(*place, 0, 0)).xor() for place in gates.places}
    else:
        found = _counted(m, platform, gates, count_tree(spec.inputs, count_levels(spec.inputs)), True)
    return lambda o, t, b: (Addend(found[o, t * spec.plane_count + b], 0, spec.inputs), 0)


def counts_chosen(
    m: Module, platform: object, spec: SynapseSpec, weights: list[list[Value]], word: Value, less: Sums
) -> Sums:
    """The sums for every output, time step and bit of the inputs in ``word``, which the bits ``weights`` of an output
    choose; ``less`` is minus the sum of all inputs of an output, one level before the result. Latency:
    ``levels(spec.inputs)``."""
    gates = _Gates(m, spec, weights, word)
    if spec.inputs <= 2:
        few = {place: _few(m, [gates(*place, k, 0) for k in range(spec.inputs)], place) for place in gates.places}
        return lambda o, t, b: (few[o, t * spec.plane_count + b], 0)
    last = levels(spec.inputs) - 1
    found = _counted(m, platform, gates, count_tree(spec.inputs - 1, last), False)
    # 2 * count - sum: the lowest bit is that of the sum, and the last input is a third summand above it.
    width, _ = bits_for(-spec.inputs // 2, spec.inputs // 2)
    wanted, lowest = list[Counting](), list[Value]()
    for o, bit in gates.places:
        minus, _ = less(o, *divmod(bit, spec.plane_count))
        w, x = gates(o, bit, spec.inputs - 1, last)
        wanted.append(Counting(found[o, bit], minus.value >> 1, width, c=w, cx=x))
        lowest.append(gates.later(minus.value[0], 1, "odd", spec.lanes_of(o)[0], bit))
    results = {}
    for place, low, value in zip(gates.places, lowest, count(m, platform, wanted, "twice"), strict=True):
        upper = Signal(width, name="signed_{}_{}".format(*place))
        m.d.sync += upper.eq(value)
        results[place] = Addend(Cat(low, upper).as_signed(), -spec.inputs, spec.inputs)
    return lambda o, t, b: (results[o, t * spec.plane_count + b], 0)


def _counted(
    m: Module, platform: object, gates: _Gates, tree: CountTree, inverts: bool
) -> dict[Place, Value]:
    """The counts of the inputs of ``tree`` that weights invert or choose, with a register after every level."""
    below: dict[tuple[Place, int], Value] = {}
    for level in range(1, tree.level + 1):
        found: dict[tuple[Place, int], Value] = {}
        wanted: list[tuple[Place, int, int, Counting]] = []
        for place in gates.places:
            first = 0  # of the parts on the level below
            for k, node in enumerate(tree.on(level)):
                parts = [below[place, first + n] for n in range(len(node.parts))]
                first += len(parts)
                inputs = [gates(*place, n, level - 1) for n in node.inputs]
                if len(parts) + len(inputs) > 1:
                    wanted.append((place, k, node.top, _counting(node, parts, inputs, inverts)))
                    continue
                value = parts[0] if parts else Cat(inputs[0]).xor() if inverts else Cat(inputs[0]).all()
                found[place, k] = _registered(m, value, node.top, level, k, place)
        for (place, k, top, _), value in zip(
            wanted, count(m, platform, [each for *_, each in wanted], f"count_{level}"), strict=True
        ):
            found[place, k] = _registered(m, value, top, level, k, place)
        below = found
    return {place: below[place, 0] for place in gates.places}


class _Gates:
    """The bits of weights and inputs, in the cycle in which they are used; ``places``, the trees that there are."""

    def __init__(self, m: Module, spec: SynapseSpec, weights: list[list[Value]], word: Value) -> None:
        self._spec, self._weights, self._word = spec, weights, word
        self._bits = spec.terms * spec.plane_count
        self.places: list[Place] = [(o, bit) for o in range(spec.results) for bit in range(self._bits)]
        self.later = Later(m)

    def __call__(self, o: int, bit: int, k: int, cycles: int) -> tuple[Value, Value]:
        """The weight of input ``k`` of an output and the bit of that input, so many cycles later."""
        lane = self._spec.lanes_of(o)[k]
        weight = self.later(self._weights[o][k], cycles, "weight", o, k)
        return weight, self.later(self._word[lane * self._bits + bit], cycles, "x", lane, bit)


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
