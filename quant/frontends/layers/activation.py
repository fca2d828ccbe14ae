"""Activations: currents become values or spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..activations import QCFS
from ..torch_fx.registry import reads
from .base import Layer, refuse

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["RELUS", "Activation"]

RELUS = (torch.relu, torch.relu_, F.relu, F.relu_, "relu", "relu_")


@dataclass(frozen=True)
class Activation(Layer):
    """The QCFS module itself, or, where ``qcfs`` is None, y = clamp(x, ``low``, ``high``): a ReLU as it stands.

    With a finite ``high`` it is a ReLU6 or a Hardtanh, with a ``low`` of minus infinity none at all: values with a
    sign, as a linear bottleneck gives them.
    """

    qcfs: QCFS | None = None
    low: float = 0.0
    high: float = math.inf

    @property
    def signed(self) -> bool:
        """Whether it gives values below 0."""
        return self.low < 0

    @property
    def rises(self) -> bool:
        """Whether it is a rising function, before which and behind which a maximum is the same."""
        return True

    @property
    def called(self) -> str:
        """What messages call it."""
        if self.qcfs is not None:
            return type(self.qcfs).__name__
        if (self.low, self.high) == (-math.inf, math.inf):
            return "values with a sign (no activation)"
        return "a ReLU" if (self.low, self.high) == (0, math.inf) else f"a clamp to {self.low:g}..{self.high:g}"

    def check_unsigned(self, by: str) -> None:
        """Raise UnsupportedLayer, by its name, where it gives values below 0; ``by``, what has none of them."""
        if self.signed:
            refuse(
                self.name,
                f"{self.called} with {by}",
                "ReLU, ReLU6 and other clamps from 0 on, or method ptq, whose values and spikes have a sign",
            )

    def value(self, x: Sequence[Tensor]) -> Tensor:
        """What it gives, or what its own module computes."""
        if self.qcfs is not None:
            return self.qcfs(x[0])
        return x[0].relu() if (self.low, self.high) == (0, math.inf) else x[0].clamp(self.low, self.high)


@reads(nn.ReLU)
@reads(*RELUS, arguments=("input", "inplace"))
def _relu(call: Call) -> None:
    call.take("inplace")
    call.put(Activation(call.name, (call.source,)))


@reads(nn.ReLU6)
@reads(F.relu6, arguments=("input", "inplace"))
def _relu6(call: Call) -> None:
    call.take("inplace")
    call.put(Activation(call.name, (call.source,), high=6.0))


@reads(nn.Hardtanh)
def _hardtanh_module(call: Call) -> None:
    _clamped(call, call.module.min_val, call.module.max_val)


@reads(F.hardtanh, F.hardtanh_, arguments=("input", "min_val", "max_val", "inplace"))
def _hardtanh(call: Call) -> None:
    call.take("inplace")
    _clamped(call, call.take("min_val", -1.0), call.take("max_val", 1.0))


@reads(torch.clamp, torch.clip, "clamp", "clamp_", "clip", "clip_", arguments=("input", "min", "max"))
def _clamp(call: Call) -> None:
    _clamped(call, call.take("min"), call.take("max"))


@reads(torch.clamp_min, torch.clamp_min_, "clamp_min", "clamp_min_", arguments=("input", "min"))
def _clamp_min(call: Call) -> None:
    _clamped(call, call.take("min"), None)


def _clamped(call: Call, low: Any, high: Any) -> None:
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    if not all(isinstance(end, int | float) for end in (low, high)) or not low <= 0 < high:
        call.refuse(f"a clamp to {low}..{high}", "numbers with low <= 0 < high")
    call.put(Activation(call.name, (call.source,), None, float(low), float(high)))


@reads(QCFS)
def _qcfs(call: Call) -> None:
    call.put(Activation(call.name, (call.source,), call.module))
