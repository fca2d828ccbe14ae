"""Gated additions without negative numbers: the adders of the synapse array.

An addition of two weights that two bits of the inputs let through, (a & ax) + (b & bx), is one function of four bits
in every bit place, so it needs no gates of its own beside the carry chain (``adds.v``). A two's complement weight of
W bits counts 2**(W-1) more than it is: its sign bit is inverted after the gate. Then no sum is negative, none needs a
sign extension, and no carry leaves an addition, so that several additions share one carry chain. The place between two
of them makes the carry of the next one, so a third summand of one bit is free. What all weights count too much is a
constant, which the accumulator starts with.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import *

from ...verilog.library import Library, is_asic
from .adders import Addend, register
from .trees import PLACES

__all__ = ["Addition", "Chains", "add", "sum_up"]


@dataclass(frozen=True, eq=False)
class Addition:
    """(a & ax) + (b & bx) + (c & cx) of ``width`` bits, ``c`` one bit; a gate that is None is open, without c the third
    summand is 0.

    ``signed``: the highest bit of a is its sign, inverted after the gate. Where ``bn`` is there, that of b is one too:
    it comes inverted, as does its gate, ``bn``. ``nand``: c is a sign, inverted after the gate. ``carry``: whether the
    result has one bit more than the summands.
    """

    a: Value
    b: Value
    width: int
    signed: bool = False
    ax: Value | None = None
    bx: Value | None = None
    bn: Value | None = None
    c: Value | None = None
    cx: Value | None = None
    nand: bool = False
    carry: bool = True


_Waiting = tuple[Addition, Signal]
"""An addition that has no chain yet, and its result."""


class Chains:
    """Additions that share carry chains, called as they are made; ``build`` makes the chains of all since the last."""

    def __init__(self, m: Module, platform: object) -> None:
        self._m = m
        self._library = platform if isinstance(platform, Library) and not is_asic(platform) else None
        self._waiting: list[_Waiting] = []

    def __call__(self, addition: Addition, name: str) -> Value:
        """The result of ``addition``, of ``width`` bits or one more."""
        if self._library is None:
            return _plain(addition)
        result = Signal(addition.width + addition.carry, name=name)
        self._waiting.append((addition, result))
        return result

    def plus(self, value: Value, term: Addend, name: str, *, width: int | None = None) -> Value:
        """``value`` + ``term``, its shift left out, none of them negative, or their sum modulo 2^``width``."""
        c, cx = (None, None) if term.third is None else term.third(0)
        a, b = value[:width], term.value[:width]
        a, b = (b, a) if len(a) < len(b) else (a, b)
        wide = max(len(a), len(b)) if width is None else width
        return self(Addition(a, b, wide, c=c, cx=cx, carry=width is None), name)

    def build(self) -> None:
        """Make the chains: sums first, so that gated weights, which come from afar, have fewer cells behind them."""
        sums, gated, last = list[_Waiting](), list[_Waiting](), list[_Waiting]()
        for waiting in self._waiting:
            one = waiting[0]
            (gated if one.ax is not None or one.bx is not None else sums if one.carry else last).append(waiting)
        while sums or gated or last:
            chain = list[_Waiting]()
            # A third summand of the first addition takes a place of its own.
            for source in (sums, gated):
                heads = [waiting for waiting in source if waiting[0].c is None and waiting[0].carry]
                if heads and not chain:
                    chain.append(heads[0])
                    source.remove(heads[0])
            while sums and (_places(chain) < PLACES // 2 or not (gated or last) and _places(chain) < PLACES):
                chain.append(sums.pop(0))
            if last:
                chain.append(last.pop(0))
            while gated and _places(chain) < PLACES and (not chain or chain[-1][0].carry):
                chain.append(gated.pop(0))
            # A cell has two places.
            fits = [w for w in (*gated, *sums) if (w[0].width + w[0].carry) % 2]
            if _places(chain) % 2 and chain[-1][0].carry and fits:
                chain.append(min(fits, key=lambda w: w[0].width))
                (gated if chain[-1] in gated else sums).remove(chain[-1])
            self._chain(chain)
        self._waiting = []

    def _chain(self, chain: list[_Waiting]) -> None:
        zero, one = Const(0, 1), Const(1, 1)
        a, ax, b, bx = (list[Value]() for _ in range(4))
        masks, starts = {"FIRST": 0, "SECOND": 0, "ENDS": 0, "OPEN": 0, "ALONE": 0}, list[int]()
        for addition, _ in chain:
            if a or addition.c is not None:
                masks["ENDS"] |= 1 << len(a)
                masks["FIRST"] |= addition.nand << len(a)
                third = (zero if v is None else v for v in (addition.c, addition.cx))
                for port, bit in zip((a, ax, b, bx), (*third, zero, zero), strict=True):
                    port.append(bit)
            starts.append(len(a))
            for port, value in ((a, addition.a), (b, addition.b)):
                port += [*value, *[zero] * (addition.width - len(value))]
            for port, gate in ((ax, addition.ax), (bx, addition.bx)):
                port += [one if gate is None else gate] * addition.width
            if addition.ax is None and addition.bx is None and not addition.signed:
                masks["OPEN"] |= (1 << addition.width) - 1 << starts[-1]
                masks["ALONE"] |= (1 << addition.width) - (1 << len(addition.b)) << starts[-1]
            if addition.signed:
                masks["FIRST"] |= 1 << (starts[-1] + len(addition.a) - 1)
            if addition.bn is not None:
                masks["SECOND"] |= 1 << (sign := starts[-1] + len(addition.b) - 1)
                bx[sign] = addition.bn
        if chain[-1][0].carry:
            masks["ENDS"] |= 1 << len(a)
            for port in (a, ax, b, bx):
                port.append(zero)
        size = len(a)
        assert self._library is not None
        y = Signal(size, name=f"{chain[0][1].name}_chain")
        self._m.submodules += self._library.instance(
            "adds",
            {"SIZE": size, **{key: Const(mask, size) for key, mask in masks.items()}},
            {"a": Cat(a), "ax": Cat(ax), "b": Cat(b), "bx": Cat(bx)},
            {"y": y},
        )
        self._m.d.comb += [result.eq(y[k:]) for k, (_, result) in zip(starts, chain, strict=True)]


def _places(chain: list[_Waiting]) -> int:
    if not chain:
        return 0
    return sum(one.width + 1 for one, _ in chain) + (chain[0][0].c is not None) - (not chain[-1][0].carry)


def add(m: Module, platform: object, additions: list[Addition], name: str) -> list[Value]:
    """The results of ``additions``, which share carry chains."""
    chains = Chains(m, platform)
    found = [chains(addition, f"{name}_{k}") for k, addition in enumerate(additions)]
    chains.build()
    return found


def _plain(addition: Addition) -> Value:
    """The addition in Amaranth, the same as the plain part of ``adds.v``."""
    width, a, b = addition.width, addition.a, addition.b
    a = a if addition.ax is None else Mux(addition.ax, a, 0)
    b = b if addition.bx is None else Mux(addition.bx, b, 0)
    if addition.signed:
        a = a ^ 1 << (len(addition.a) - 1)
    if addition.bn is not None:
        sign = len(addition.b) - 1
        b = Cat(b[:sign], addition.b[sign] | addition.bn)
    if addition.c is not None and addition.cx is not None:
        b = b + (addition.c & addition.cx ^ addition.nand)
    return (a + b)[: width + addition.carry]


def sum_up(m: Module, platform: object, terms: list[Addend], name: str) -> Addend:
    """Sum ``terms``, none of which is negative, with a register after every level."""
    level, chains = 0, Chains(m, platform)
    while len(terms) > 1:
        pairs = list(zip(terms[::2], terms[1::2], strict=False))
        names = [f"{name}_l{level}_{k}" for k in range(-(-len(terms) // 2))]
        added = [
            Addend(chains(Addition(a.value, b.value, max(len(a.value), len(b.value))), own), 0, a.high + b.high)
            for (a, b), own in zip(pairs, names, strict=False)
        ]
        terms = [
            register(m, term, f"{own}_r")
            for term, own in zip([*added, *terms[2 * len(pairs) :]], names, strict=True)
        ]
        level += 1
    chains.build()
    return terms[0]
