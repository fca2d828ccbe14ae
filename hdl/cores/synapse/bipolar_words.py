"""Sums of whole inputs times weights of -1 and +1, for inputs of more bits than are counted (``bipolar.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth import *

from ...streams.words import bits_for, shape_for
from .adders import Addend, register, tree
from .bipolar import Sums
from .counting import Counting, count
from .gated import Addition, add, sum_up
from .trees import levels

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["positive", "words_chosen", "words_inverted"]


def words_chosen(m: Module, platform: object, spec: SynapseSpec, weights: list[list[Value]], word: Value) -> Sums:
    """The sums for every output and time step, of whole inputs that weights choose. Latency:
    ``levels(spec.inputs) + 1``."""
    low, high = spec.element
    bits, signed = bits_for(low, high)
    offset = spec.inputs * signed << (bits - 1)
    most = spec.inputs * max(high, -low)
    sign = signed << (bits - 1)
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

    return sums


def positive(spec: SynapseSpec, word: Value) -> Value:
    """The inputs of ``word``, whole ones with a sign 2^(bits - 1) larger, so that none is negative."""
    if spec.tree_count == spec.plane_count or spec.element[0] >= 0:
        return word
    sign = Const(1 << (spec.plane_count - 1), spec.plane_count)
    return word ^ sign.replicate(len(word) // spec.plane_count)


def words_inverted(m: Module, platform: object, spec: SynapseSpec, weights: list[list[Value]], word: Value) -> Sums:
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
