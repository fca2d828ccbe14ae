"""Trees of gated additions of weights in memory, as ``layout.py`` plans them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from amaranth import *

from .adders import Addend, Later
from .gated import Addition, Chains
from .layout import Step
from .trees import levels

if TYPE_CHECKING:
    from .bipolar import Sums
    from .spec import SynapseSpec

__all__ = ["gated_sums"]


def gated_sums(
    m: Module, chains: Chains, spec: SynapseSpec, weights: list[list[Value]], word: Value, inverse: Value
) -> Sums:
    """The sums for every result, time step and bit of the inputs in ``word``; ``inverse`` is ``word`` inverted.
    ``weights``: those of every output in the places and the form of ``spec.layout``. Latency: ``levels(spec.inputs)``.

    Every sum is too large by a constant. Where the words of a scan are not always as many, it must go before the
    accumulator: then it is a power of two, and the highest bit inverted takes it off.
    """
    later, excess = Later(m), spec.layout.excess.tolist()

    def sums(o: int, t: int, b: int) -> tuple[Addend, int]:
        output = o % spec.outputs
        total = _Sum(m, chains, spec, weights[output], (word, inverse), later, (o, t, b)).total()
        larger = excess[output]
        if not (spec.addressed and larger):
            return total, larger
        value = (total.value ^ larger)[: larger.bit_length()].as_signed()
        return replace(total, value=value, low=-larger, high=total.high - larger), 0

    return sums


class _Sum:
    """The additions of a result, a time step and a bit of the inputs: ``at``."""

    def __init__(
        self,
        m: Module,
        chains: Chains,
        spec: SynapseSpec,
        weights: list[Value],
        words: tuple[Value, Value],
        later: Later,
        at: tuple[int, int, int],
    ) -> None:
        result, t, b = at
        layout, lanes, o = spec.layout, spec.lanes_of(result), result % spec.outputs
        self._m, self._chains, self._plan, self._later = m, chains, layout.plan, later
        self._weights, self._words, self._o = weights, words, o
        self._name = "sum_" + "_".join(map(str, at))
        self._signed = layout.signed[o].tolist()
        # Where the bits of the inputs at the places are in their words.
        self._bits = [(lanes[k] * spec.terms + t) * spec.plane_count + b for k in layout.order[o].tolist()]
        # The rows, and the levels that they come from.
        self._rows = [self._word(place) for place in range(spec.inputs)]
        self._rows.append(Addend(Const(layout.constant), 0, layout.constant))
        self._level = [0] * len(self._rows)

    def total(self) -> Addend:
        """The sum of all; its third summand is the bit that no addition had a place for."""
        plan = self._plan
        for step in plan.steps:
            self._add(step)
        total = self._rows[plan.sum]
        if plan.sum < plan.places:
            gated = Mux(self._words[0][self._bits[plan.sum]], total.value, 0)
            return replace(total, value=gated ^ self._signed[plan.sum] << (len(gated) - 1))
        place, end = plan.spare, levels(plan.places)
        return total if place is None else replace(total, third=lambda cycles: self._third(place, 0, end + cycles))

    def _add(self, step: Step) -> None:
        """A step and its register."""
        cycles, left, right, low = step.level - 1, step.left, step.right, []
        first, second = self._waited(left, cycles), self._waited(right, cycles)
        high = first.high + (second.high << step.joins)
        if step.joins:
            low, first = [first.value[0]], replace(first, value=first.value[1:])
        if self._is_signed(right) and not self._is_signed(left):  # one alone comes first
            left, right, first, second = right, left, second, first
        c, cx, nand = None, None, False
        if step.third is not None:
            c, cx = self._third(*step.third, cycles)
            high += 1 << step.joins
            # The sign of a weight, if it is the highest bit.
            nand = self._is_signed(step.third[0]) and step.third[1] == len(self._weights[step.third[0]]) - 1
        addition = Addition(
            first.value,
            second.value,
            max(len(first.value), len(second.value)),
            self._is_signed(left),
            self._gate(left, cycles),
            self._gate(right, cycles),
            self._gate(right, cycles, inverse=True) if self._is_signed(right) else None,
            c,
            cx,
            nand,
        )
        name = f"{self._name}_{len(self._rows)}"
        value = Signal(high.bit_length(), name=f"{name}_r")
        self._m.d.sync += value.eq(Cat(*low, self._chains(addition, name)))
        self._rows.append(Addend(value, 0, high))
        self._level.append(step.level)

    def _is_signed(self, row: int) -> bool:
        return row < self._plan.places and self._signed[row]

    def _waited(self, row: int, cycles: int) -> Addend:
        """A row ``cycles`` after the inputs; weights wait for all that use them."""
        found, waits = self._rows[row], cycles - self._level[row]
        if row == self._plan.places:
            return found
        name = ("weight", self._o, row) if row < self._plan.places else (self._name, row)
        return replace(found, value=self._later(found.value, waits, *name))

    def _gate(self, row: int, cycles: int, inverse: bool = False) -> Value | None:
        """The bit of the inputs that lets a weight through, None of other rows."""
        if row >= self._plan.places:
            return None
        bit = self._bits[row]
        return self._later(self._words[inverse][bit], cycles, "not_x" if inverse else "x", bit)

    def _third(self, place: int, bit: int, cycles: int) -> tuple[Value, Value]:
        """A bit of a weight, and the bit of the inputs that lets it through."""
        gate = self._gate(place, cycles)
        assert gate is not None
        return self._later(self._weights[place][bit], cycles, "weight", self._o, place, bit), gate

    def _word(self, place: int) -> Addend:
        word = self._weights[place][self._plan.shift[place] :]
        return Addend(word, 0, (1 << len(word)) - 1)
