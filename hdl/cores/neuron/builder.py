"""What the circuits of all rules are built with: registers, and levels chosen out of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from amaranth import *
from amaranth.lib import stream

from ...memory.rom import selected

if TYPE_CHECKING:
    from .spec import NeuronSpec

__all__ = ["Builder", "Travel"]


@dataclass(frozen=True, eq=False)
class Travel:
    """What goes with a current word through the pipeline: whether there is one (``valid``), whether it completes its
    neurons (``ends``), their ``group``, and the group of its time steps (``scan``); ``bits``, all of it in one."""

    valid: Value
    ends: Value
    group: Value
    scan: Value
    bits: Value

    def cut(self, bits: Value) -> Travel:
        """Another one, out of its ``bits``."""
        end = 2 + len(self.group)
        return Travel(bits[0], bits[1], bits[2:end], bits[end:], bits)


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

    def travelled(self, travel: Travel, name: str) -> Travel:
        """``travel`` one cycle later."""
        return travel.cut(self.later(travel.bits, name))

    def read(self, value: Value, name: str) -> Value:
        """``value`` out of a table one cycle later; a constant stays as it is."""
        return value if isinstance(value, Const) else self.later(value, f"{name}_r")

    def chosen(self, values: Sequence[int], travel: Travel, name: str) -> Value:
        """The one of ``values`` (groups,) for the group in ``travel``."""
        return selected(self.m, travel.group, values, name)

    def level(self, levels: np.ndarray, stage: int, lane: int, travel: Travel, name: str) -> Value:
        """The one of ``levels`` (T, Co), of each scan as many, for this lane and this stage of the pipeline, group and
        scan in ``travel``."""
        spec = self.spec
        steps = levels.reshape(spec.scans, -1, spec.groups, spec.outputs)[:, stage, :, lane]
        if spec.scans == 1:
            return self.chosen(steps[0].tolist(), travel, name)
        padded = np.zeros((spec.scans, 1 << max(1, (spec.groups - 1).bit_length())), np.int64)
        padded[:, : spec.groups] = steps
        index = Cat(travel.group, Const(0, 1) if spec.groups == 1 else Const(0, 0), travel.scan)
        return selected(self.m, index, padded.reshape(-1).tolist(), name)
