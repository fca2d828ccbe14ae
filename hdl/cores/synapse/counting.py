"""Additions of two numbers and a single bit: the adders that count bits.

A carry chain takes a third summand of one bit at no cost, for the place between two of its additions makes the carry
of the next one (``counts.v``). So three gated bits are a count in two places of a chain, and two counts are added
together with a bit that has not been counted yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from amaranth import *

from ...verilog.library import Library, is_asic
from .trees import CELLS

__all__ = ["Counting", "count"]



def _none() -> Value:
    return Const(0, 1)


def _open() -> Value:
    return Const(1, 1)


@dataclass(frozen=True)
class Counting:
    """a + b + (c & cx) of ``width`` bits, ``c`` one bit, or (a & ax) + (b & bx) + (c & cx) where it is ``gated``.
    Where it ``inverts``, there is a ^ in place of every &. Without c the third summand is 0."""

    a: Value
    b: Value
    width: int
    gated: bool = False
    ax: Value = field(default_factory=_open)
    bx: Value = field(default_factory=_open)
    c: Value = field(default_factory=_none)
    cx: Value = field(default_factory=_none)
    inverts: bool = False


def count(m: Module, platform: object, wanted: list[Counting], name: str) -> list[Value]:
    """Return the sums, each of one bit more than ``width``; those of one width share carry chains, in their order."""
    kinds: dict[tuple[int, bool, bool], list[int]] = {}
    for k, one in enumerate(wanted):
        kinds.setdefault((one.width, one.gated, one.inverts), []).append(k)
    found: list[Value] = [_none()] * len(wanted)
    for (width, gated, inverts), members in kinds.items():
        most = max(1, (2 * CELLS - 1) // (width + 1))
        for first in range(0, len(members), most):
            chosen = members[first : first + most]
            group = [wanted[k] for k in chosen]
            if isinstance(platform, Library) and not is_asic(platform):
                y = Signal(len(group) * (width + 1), name=f"{name}_{chosen[0]}")
                m.submodules += platform.instance(
                    "counts",
                    {"COUNT": len(group), "WIDTH": width, "GATED": int(gated), "INVERTS": int(inverts)},
                    {
                        "a": Cat(_fitted(g.a, width) for g in group),
                        "b": Cat(_fitted(g.b, width) for g in group),
                        **{port: Cat(getattr(g, port) for g in group) for port in ("ax", "bx", "c", "cx")},
                    },
                    {"y": y},
                )
                values: list[Value] = [y.word_select(k, width + 1) for k in range(len(group))]
            else:
                values = [_plain(one) for one in group]
            for k, value in zip(chosen, values, strict=True):
                found[k] = value
    return found


def _fitted(value: Value, width: int) -> Value:
    """The lowest ``width`` bits of ``value``, with its sign or zeros above it."""
    if len(value) >= width:
        return value[:width]
    above = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, above.replicate(width - len(value)))


def _plain(one: Counting) -> Value:
    """The addition in Amaranth, the same as the plain part of ``counts.v``."""
    a, b = _fitted(one.a, one.width), _fitted(one.b, one.width)
    if one.gated and one.inverts:
        a, b = a ^ one.ax.replicate(one.width), b ^ one.bx.replicate(one.width)
    elif one.gated:
        a, b = Mux(one.ax, a, 0), Mux(one.bx, b, 0)
    return (a + b + (one.c ^ one.cx if one.inverts else one.c & one.cx))[: one.width + 1]
