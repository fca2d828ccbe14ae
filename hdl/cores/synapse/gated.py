"""Sums of gated weights without negative numbers: the adders of the synapse array.

An addition of two weights that two bits of the inputs let through, (a & ax) + (b & bx), is one function of four bits
in every bit place, so it needs no gates of its own beside the carry chain (``adds.v``). A two's complement weight of
W bits counts 2**(W-1) more than it is: its sign bit is inverted after the gate. Then no sum is negative, none needs a
sign extension, and no carry leaves an addition, so that several additions share one carry chain. What all weights
count too much is a constant, which the accumulator starts with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth import *

from ...streams.words import bits_for
from ...verilog.library import Library, is_asic
from .adders import Addend, register
from .trees import CHAIN

__all__ = ["Addition", "PairFormat", "add", "sum_up"]


@dataclass(frozen=True)
class PairFormat:
    """How two weights of an addition, or the last one alone, are stored: ``columns`` of ``bits`` bits each.

    ``signed``: in two's complement, but the second with its sign bit inverted.
    """

    columns: int
    bits: int
    signed: bool

    @classmethod
    def of(cls, weights: np.ndarray) -> PairFormat:
        """The narrowest format for ``weights`` (rows, 1 or 2)."""
        bits, is_signed = bits_for(min(0, int(weights.min())), max(0, int(weights.max())))
        return cls(weights.shape[1], bits, is_signed)

    @property
    def width(self) -> int:
        """Bits of a row."""
        return self.columns * self.bits

    @property
    def offset(self) -> int:
        """By how much a sum of the two is larger than what it stands for."""
        return 1 << (self.bits - 2 + self.columns) if self.signed else 0

    def pack(self, weights: np.ndarray) -> list[int]:
        """Pack ``weights`` (rows, columns) into integers, the first lowest."""
        mask, sign = (1 << self.bits) - 1, self.signed << (self.bits - 1)
        flips = (0, sign)
        return [sum(((int(w) & mask) ^ flips[k]) << (k * self.bits) for k, w in enumerate(row)) for row in weights]


@dataclass(frozen=True)
class Addition:
    """(a & ax) + (b & bx) of ``width`` bits, or a + b without gates; ``signed`` and ``bn`` as in ``adds.v``."""

    a: Value
    b: Value
    width: int
    signed: bool = False
    ax: Value | None = None
    bx: Value | None = None
    bn: Value | None = None


def add(m: Module, platform: object, additions: list[Addition], name: str) -> list[Value]:
    """Return the results, each of one bit more than its summands; additions of one kind share carry chains."""
    kinds: dict[tuple[int, bool, bool], list[int]] = {}
    for k, addition in enumerate(additions):
        kinds.setdefault((addition.width, addition.signed, addition.ax is not None), []).append(k)
    found: list[Value] = [Const(0)] * len(additions)
    for (width, is_signed, gated), members in kinds.items():
        for first in range(0, len(members), CHAIN):
            chosen = members[first : first + CHAIN]
            group = [additions[k] for k in chosen]
            if isinstance(platform, Library) and not is_asic(platform):
                y = Signal(len(group) * (width + 1), name=f"{name}_{chosen[0]}")
                no_gates = Const(0, len(group))
                m.submodules += platform.instance(
                    "adds",
                    {"COUNT": len(group), "WIDTH": width, "SIGNED": int(is_signed), "GATED": int(gated)},
                    {
                        "a": Cat(_widened(g.a, width) for g in group),
                        "b": Cat(_widened(g.b, width) for g in group),
                        "ax": Cat(g.ax for g in group if g.ax is not None) if gated else no_gates,
                        "bx": Cat(g.bx for g in group if g.bx is not None) if gated else no_gates,
                        "bn": Cat(g.bn for g in group if g.bn is not None) if is_signed else no_gates,
                    },
                    {"y": y},
                )
                values: list[Value] = [y.word_select(k, width + 1) for k in range(len(group))]
            else:
                values = [_plain(addition) for addition in group]
            for k, value in zip(chosen, values, strict=True):
                found[k] = value
    return found


def _widened(value: Value, width: int) -> Value:
    """``value``, not negative, with zeros above it."""
    return Cat(value, Const(0, width - len(value)))


def _plain(addition: Addition) -> Value:
    """The addition in Amaranth, the same as the plain part of ``adds.v``."""
    width = addition.width
    a, b = _widened(addition.a, width), _widened(addition.b, width)
    if addition.ax is None or addition.bx is None:
        return (a + b)[: width + 1]
    a, b = Mux(addition.ax, a, 0), Mux(addition.bx, b, 0)
    if addition.bn is not None:
        sign = 1 << (width - 1)
        a, b = a ^ sign, b | Mux(addition.bn, sign, 0)
    return (a + b)[: width + 1]


def sum_up(m: Module, platform: object, terms: list[Addend], name: str) -> Addend:
    """Sum ``terms``, none of which is negative, with a register after every level."""
    level = 0
    while len(terms) > 1:
        pairs = list(zip(terms[::2], terms[1::2], strict=False))
        width = [max(len(a.value), len(b.value)) for a, b in pairs]
        sums = add(
            m,
            platform,
            [Addition(a.value, b.value, w) for (a, b), w in zip(pairs, width, strict=True)],
            f"{name}_l{level}",
        )
        added = [Addend(s, 0, a.high + b.high) for s, (a, b) in zip(sums, pairs, strict=True)]
        terms = [
            register(m, term, f"{name}_l{level}_{k}_r") for k, term in enumerate([*added, *terms[2 * len(pairs) :]])
        ]
        level += 1
    return terms[0]
