"""From float weights, biases and thresholds to integers: one place for training and for conversion.

Real quantities: a layer computes z = W x + b, fires with threshold lambda, and its input comes in steps of ``unit``
(1/high for pixels, the lambda of the layer before for spikes, divided by the area of a sum-pool). With one scale s
per output channel, W = s * w, everything is divided by s * unit:

    w = round(W / s)    threshold = round(lambda / (s * unit))    bias = round(b / (s * unit))
    gain = round(unit of the spikes of an identity shortcut / (s * unit))

s is the smallest for which w fits its bits (with a projection to add: for which both layers' do): that also makes the
threshold, whose relative rounding error is at most 0.5 / threshold, as fine as it can be. Currents are integers by
nature and never rounded. A negative batch-norm gain is already in the sign of W. All functions are differentiable,
straight through every rounding, and exact going forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "FINE_THRESHOLD",
    "MAX_GAIN",
    "MAX_THRESHOLD",
    "LayerIntegers",
    "Term",
    "floor_ste",
    "half_threshold",
    "layer_integers",
    "on_grid",
    "readout_integers",
    "round_ste",
    "substitute",
]

MAX_THRESHOLD = 1 << 16
"""Thresholds are kept at or below this: a channel of tiny weights gets a larger scale, not a wide membrane."""

FINE_THRESHOLD = 1 << 10
"""And at or below the largest current of a time step, where that is more than this, which is fine enough for any."""

MAX_GAIN = MAX_THRESHOLD - 1
"""And so are the gains of identity shortcuts."""


class _Substitute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, exact: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def substitute(value: Tensor, exact: Tensor) -> Tensor:
    """``exact`` going forward, bit for bit (value + (exact - value) would round), and ``value`` for the gradient."""
    result = _Substitute.apply(value, exact)
    assert isinstance(result, Tensor)
    return result


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes unchanged."""
    return substitute(x, x.detach().round())


def floor_ste(x: Tensor) -> Tensor:
    """Round down; the gradient passes unchanged."""
    return substitute(x, x.detach().floor())


def half_threshold(threshold: Any, strict: bool) -> Any:
    """The whole number that acts as an initial membrane of threshold/2 (``quant.conversion.integers``); an array or a
    tensor."""
    return (threshold + strict) // 2


def _flat(weight: Tensor) -> Tensor:
    return weight.flatten(1).abs()


class Term(NamedTuple):
    """Weights (Co, ...) of ``bits`` bits on inputs 0..``high``, of which one is worth ``unit``; ``scale`` (Co,), what
    a 1 of them is worth (None: as fine as the bits allow); ``grid``, the magnitudes allowed, rising from 0 (None: all).
    """

    weight: Tensor
    unit: Tensor
    high: int
    bits: int
    scale: Tensor | None = None
    grid: Tensor | None = None

    @property
    def most(self) -> int:
        """A bound on the current."""
        return _top(self.bits) * self.weight[0].numel() * self.high

    def finest(self) -> Tensor:
        """The smallest scale of the weights (Co,)."""
        return _flat(self.weight).amax(1).detach() / _top(self.bits) if self.scale is None else self.scale

    def whole(self, scale: Tensor) -> Tensor:
        """The integer weights in units of ``scale`` (Co,)."""
        x = self.weight / scale.view(-1, *[1] * (self.weight.ndim - 1))
        if self.grid is not None:
            return on_grid(x, self.grid)
        return round_ste(x).clamp(-_top(self.bits), _top(self.bits))


def on_grid(x: Tensor, grid: Tensor) -> Tensor:
    """The nearest of +-``grid``, rising magnitudes from 0, the smaller one on ties; beyond the last one the gradient is
    0, elsewhere it passes unchanged."""
    nearest = grid[torch.bucketize(x.detach().abs().contiguous(), (grid[1:] + grid[:-1]) / 2)]
    return substitute(x.clamp(-grid[-1], grid[-1]), nearest * x.detach().sign())


class LayerIntegers(NamedTuple):
    """Integers of a spiking layer, as float tensors: ``weights`` of its terms and ``gains`` of its shortcuts, in their
    order, ``threshold`` and ``bias``; all but the weights of shape (Co,)."""

    weights: list[Tensor]
    gains: list[Tensor]
    threshold: Tensor
    bias: Tensor


def layer_integers(
    terms: Sequence[Term], shortcuts: Sequence[Tensor], bias: Tensor, threshold: Tensor, steps: int
) -> LayerIntegers:
    """Integers of a spiking layer whose currents are the sum of ``terms`` and of ``shortcuts``, given by the steps
    their spikes come in: currents of one output channel have one unit, so that they can be added.

    A channel without shortcut whose weights are all zero (a batch norm of gain zero) has a constant output of
    k = clip(floor(T * b / lambda + 1/2), 0, T) spikes. It is converted exactly, with threshold T and bias k: every
    step adds k to a membrane that starts at T/2, and after T steps k spikes are out under either rule.
    """
    unit = terms[0].unit
    largest = [_flat(term.weight).amax(1).detach() for term in terms]
    # What the current's unit is, in units of the first term.
    needs = [term.finest() * (term.unit / unit).detach() for term in terms]
    most = min(max(FINE_THRESHOLD, sum(term.most for term in terms)), MAX_THRESHOLD)
    needs += [((threshold / unit).detach() / most).expand_as(bias)]
    needs += [(step / unit).detach().expand_as(bias) / MAX_GAIN for step in shortcuts]
    scale = torch.stack(needs).amax(0)
    weights = []
    for term in terms:
        of_term = scale * (unit / term.unit) if term.unit is not unit else scale
        weights.append(term.whole(of_term))
    gains = [round_ste(step / (scale * unit)) for step in shortcuts]
    theta = round_ste(threshold / (scale * unit)).clamp(min=1)
    b = round_ste(bias / (scale * unit))
    if shortcuts:
        return LayerIntegers(weights, gains, theta, b)
    dead = torch.stack(largest).amax(0) == 0
    count = floor_ste(bias * steps / threshold + 0.5).clamp(0, steps)
    return LayerIntegers(
        weights, gains, torch.where(dead, torch.full_like(theta, steps), theta), torch.where(dead, count, b)
    )


def _top(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def readout_integers(
    weights: Sequence[Tensor], bias: Tensor, units: Sequence[Tensor], bits: Sequence[int], terms: int
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Integers (weights, bias) of the last layer and what a logit of 1 is worth, of logits summed over ``terms`` steps.

    Several ``weights`` (out, in), whose results are added, where it takes several layers, each worth its unit.

    One scale for all classes, so that the largest integer is the largest logit.
    """
    needs = []
    for weight, width in zip(weights, bits, strict=True):
        largest = _flat(weight).max().detach()
        needs.append(torch.where(largest > 0, largest / _top(width), torch.ones_like(largest)))
    worths = torch.stack([need * unit / terms for need, unit in zip(needs, units, strict=True)])
    most = int(worths.argmax())
    value = worths[most]
    scales = [needs[k] if k == most else value * terms / units[k] for k in range(len(needs))]
    tops = [_top(width) for width in bits]
    whole = [round_ste(w / scale).clamp(-top, top) for w, scale, top in zip(weights, scales, tops, strict=True)]
    return whole, round_ste(bias / value), value
