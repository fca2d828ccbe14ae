"""What the circuits of all rules are built with: registers, and constants chosen by the group of neurons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amaranth import *
from amaranth.lib import stream

from ...memory.columns import Columns
from ...memory.rom import selected

if TYPE_CHECKING:
    from .spec import NeuronSpec

__all__ = ["Builder", "Travel"]


@dataclass(frozen=True, eq=False)
class Travel:
    """What comes with a current word: whether there is one (``valid``), whether it is the ``first`` of its neurons,
    whether it completes them (``ends``), and their ``group``."""

    valid: Value
    first: Value
    ends: Value
    group: Value


@dataclass(frozen=True, eq=False)
class Builder:
    """The module ``m`` of the array of ``spec`` while it is made; its words leave on ``o``."""

    m: Module
    platform: object
    spec: NeuronSpec
    o: stream.Interface

    def later(self, value: Value, name: str) -> Signal:
        """``value`` one cycle later."""
        return self.into(Signal(value.shape(), name=name), value)

    def into(self, register: Signal, value: Value) -> Signal:
        """``register``, which takes ``value`` in every cycle."""
        self.m.d.sync += register.eq(value)
        return register

    def constants(self, travel: Travel) -> Callable[[Sequence[int], str], Value]:
        """What gives the one of some values (groups,) for the group in ``travel``, by a name; of many groups it is
        looked up while the group before is there."""
        if self.spec.by_rule.ahead:
            return Columns(self.m, travel.group, travel.ends).value
        return lambda values, name: selected(self.m, travel.group, values, name)
