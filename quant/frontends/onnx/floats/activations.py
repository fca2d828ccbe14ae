"""Functions of one number: ReLUs and other clamps, leaky ones, sigmoids and their like."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...layers import Activation, Curve
from ...layers.leaky import leaky
from ..step import Step
from ..weights import by_channel
from .made import Handler, Made, Puts

__all__ = ["ACTIVATIONS", "gated"]

NONE = 3e38
"""An end of a Clip as large as that is none."""

Function = Callable[[Tensor], Tensor]

CURVES: dict[str, tuple[dict[str, Any], Callable[..., Function]]] = {
    "Sigmoid": ({}, lambda: torch.sigmoid),
    "Tanh": ({}, lambda: torch.tanh),
    "HardSigmoid": ({"alpha": 0.2, "beta": 0.5}, lambda alpha, beta: lambda x: (alpha * x + beta).clamp(0, 1)),
    "HardSwish": ({}, lambda: F.hardswish),
    "Elu": ({"alpha": 1.0}, lambda alpha: lambda x: F.elu(x, alpha)),
    "Selu": ({"alpha": 1.6732632, "gamma": 1.0507010}, lambda alpha, gamma: lambda x: gamma * F.elu(x, alpha)),
    "Celu": ({"alpha": 1.0}, lambda alpha: lambda x: F.celu(x, alpha)),
    "Softplus": ({}, lambda: F.softplus),
    "Softsign": ({}, lambda: F.softsign),
    "Mish": ({}, lambda: F.mish),
    "Gelu": ({"approximate": "none"}, lambda approximate: lambda x: F.gelu(x, approximate=approximate)),
    "ThresholdedRelu": ({"alpha": 1.0}, lambda alpha: lambda x: F.threshold(x, alpha, 0.0)),
    "Shrink": ({"lambd": 0.5, "bias": 0.0}, lambda lambd, bias: lambda x: _shrunk(x, lambd, bias)),
}
"""The attributes of each with their defaults, and the function that they make."""

GATES: dict[str, tuple[str, Function]] = {"Sigmoid": ("silu", F.silu)}
"""What x * curve(x) is, by the operator of the curve."""


def _shrunk(x: Tensor, lambd: float, bias: float) -> Tensor:
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, torch.zeros_like(x)))


def _relu(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    source = reader.plain(step, x[0])
    return reader.put(Activation(step.name, (source.name,), None), source.shape)


def _clip(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    ends = [step.get(key, None) if len(x) <= k or x[k] is None else x[k] for k, key in ((1, "min"), (2, "max"))]
    if any(isinstance(end, Made) or (isinstance(end, np.ndarray) and end.size != 1) for end in ends):
        step.refuse("to ends that are no numbers", "constants")
    low, high = (default if end is None else float(np.asarray(end).reshape(()))
                 for end, default in zip(ends, (-math.inf, math.inf), strict=True))  # fmt: skip
    low, high = -math.inf if low < -NONE else low, math.inf if high > NONE else high
    source = reader.plain(step, x[0])
    if (low, high) == (-math.inf, math.inf):
        return reader.same(step, source)
    if not low <= 0 < high:
        step.refuse(f"to {low}..{high}", "Relu, or Clip with min <= 0 < max")
    return reader.put(Activation(step.name, (source.name,), None, low, high), source.shape)


def _leaky(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    """A LeakyRelu, or a PRelu with slopes for channels."""
    source = reader.plain(step, x[0])
    slope = by_channel(step, x[1], source.shape) if step.op == "PRelu" else np.array([step.get("alpha", 0.01)])
    *rest, last = leaky(step.name, source.name, torch.from_numpy(np.array(slope, np.float64)))
    for layer in rest:
        reader.put(layer, source.shape)
    return reader.put(last, source.shape)


def _curve(reader: Puts, step: Step, x: Sequence[Any]) -> Made:
    defaults, made = CURVES[step.op]
    settings = {key: step.get(key, default) for key, default in defaults.items()}
    if settings.get("approximate", "none") not in ("none", "tanh"):
        step.refuse(f"with approximate={settings['approximate']!r}", "none and tanh")
    source = reader.plain(step, x[0])
    layer = Curve(step.name, (source.name,), function=made(**settings), title=step.op)
    return reader.put(layer, source.shape)


def gated(reader: Puts, step: Step, x: Sequence[Any]) -> Made | None:
    """x * sigmoid(x) as one curve; None where the product is none such."""
    for k in (0, 1):
        curve, source = reader.layers.get(x[k].name), x[1 - k]
        if isinstance(curve, Curve) and curve.title in GATES and curve.sources == (source.name,):
            if not reader.alone(step, k):
                step.refuse(f"of {curve.name}, which another operator takes too,", "x * sigmoid(x) on its own")
            title, function = GATES[curve.title]
            del reader.layers[curve.name]
            return reader.put(Curve(step.name, (source.name,), function=function, title=title), source.shape)
    return None


ACTIVATIONS: dict[str, Handler] = {"Relu": _relu, "Clip": _clip, "LeakyRelu": _leaky, "PRelu": _leaky}
ACTIVATIONS |= dict.fromkeys(CURVES, _curve)
"""By operator."""
