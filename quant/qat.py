"""Training with integers in the loop: a chain of layers that computes, going forward, what the integer network will.

Weights, thresholds and biases are floats that are rounded on the way; activations are spike counts (rule ``lossless``)
or spike trains (rule ``causal``) instead of reals. In evaluation the answer is that of the integer network to the last
bit; in training the gradient is that of the QCFS activation, straight through every rounding and, for the causal rule,
through the order of the spikes (the activation's value is the spiking neuron's, its gradient the quantised one's, as in
the second phase of Wang et al., arXiv 2205.07473).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .graph import Activation, Flat, Layer, Pool, UnsupportedLayer, Weights, trace
from .nodes import NetworkError, Rule
from .rounding import layer_integers, readout_integers, substitute

__all__ = ["IntegerChain", "Stage"]


class Stage(nn.Module):
    """A layer with weights, and the threshold of the activation behind it (none on the last).

    Attributes: ``name``, ``neuron`` (names of the two layers), ``weight``, ``bias``, ``log_threshold`` (parameters),
    ``stride``, ``padding``, ``bits``.
    """

    def __init__(self, layer: Weights, activation: Activation | None, bits: int) -> None:
        super().__init__()
        self.name, self.stride, self.padding, self.bits = layer.name, layer.stride, layer.padding, bits
        self.neuron = activation.name if activation else ""
        if not 2 <= bits <= 8:
            raise NetworkError(f"{layer.name}: weight_bits must be in 2..8, not {bits}")
        for what, tensor in (("weight", layer.weight), ("bias", layer.bias)):
            if not tensor.isfinite().all():
                raise NetworkError(
                    f"{layer.name}: {what} holds NaN or infinity (batch norm included); the training "
                    f"diverged, use a smaller learning rate"
                )
        self.weight, self.bias = nn.Parameter(layer.weight.float()), nn.Parameter(layer.bias.float())
        self.log_threshold = None
        if activation:
            if activation.qcfs is None:
                raise UnsupportedLayer(
                    f"{activation.name}: a ReLU has no threshold; supported: QCFS, put in with "
                    f"quant.methods.qcfs.prepare(model, levels)"
                )
            threshold = activation.qcfs.threshold.item()
            if not 0 < threshold < float("inf"):
                raise NetworkError(
                    f"{activation.name}: threshold is {threshold}; it must be positive and finite, "
                    f"retrain with a smaller learning rate"
                )
            self.log_threshold = nn.Parameter(activation.qcfs.log_threshold.detach().clone().float())

    @property
    def threshold(self) -> Tensor:
        """lambda of the activation."""
        assert self.log_threshold is not None
        return self.log_threshold.exp()

    def current(self, x: Tensor, weight: Tensor) -> Tensor:
        """The synapses with integer ``weight``."""
        if weight.ndim == 2:
            return F.linear(x, weight)
        return F.conv2d(x, weight, stride=self.stride, padding=self.padding)


class IntegerChain(nn.Module):
    """A model whose forward is the integer network.

    Parameters: ``model``, an nn.Module with QCFS activations, or the layers of one (``graph.trace``), copied;
    ``input_high``, the largest pixel, which stands for 1.0; ``steps``, T; ``weight_bits``, 2..8, with ``first_bits``
    and ``last_bits`` for the first and last layer; ``rule``, "lossless" or "causal".
    Forward: pixels as integers 0..input_high (N, C, H, W) to logits (N, classes), scaled to those of the float model.
    Raises UnsupportedLayer for a ReLU left in, NetworkError for NaN or bit widths out of range, naming the layer.
    """

    def __init__(
        self,
        model: nn.Module | Sequence[Layer],
        *,
        input_high: int,
        steps: int,
        weight_bits: int,
        first_bits: int | None = None,
        last_bits: int | None = None,
        rule: Rule = "lossless",
    ) -> None:
        super().__init__()
        if rule not in ("causal", "lossless"):
            raise NetworkError(f"rule must be 'causal' or 'lossless', not {rule!r}")
        if not 1 <= input_high <= 255 or not 1 <= steps <= 64:
            raise NetworkError(f"input_high must be in 1..255 and steps in 1..64, not {input_high} and {steps}")
        layers = trace(model) if isinstance(model, nn.Module) else list(model)
        self.input_high, self.steps = input_high, steps
        self.rule: Rule = rule
        self.stages = nn.ModuleList()
        self.order: list[Stage | Pool | Flat] = []
        for k, layer in enumerate(layers):
            if isinstance(layer, Weights):
                last = k == len(layers) - 1
                behind = None if last else layers[k + 1]
                bits = (last_bits if last else None) or (first_bits if not len(self.stages) else None) or weight_bits
                stage = Stage(layer, behind if isinstance(behind, Activation) else None, bits)
                self.stages.append(stage)
                self.order.append(stage)
            elif isinstance(layer, Pool | Flat):
                self.order.append(layer)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels as integers (N, C, H, W) to logits (N, classes); see the class."""
        # In evaluation every sum is exact in float64; in training float32 is near enough.
        x = pixels.float() if self.training else pixels.double()
        timed = False
        for layer, unit in zip(self.order, self.units(), strict=True):
            match layer:
                case Flat():
                    x = x.flatten(2 if self._trains(timed) else 1)
                case Pool():
                    x = self._pool(layer, x, timed)
                case Stage() if layer.log_threshold is not None:
                    w, theta, bias = self.integers(layer, unit)
                    current = self._current(layer, x, w, timed)
                    x, timed = self._fire(current, theta.to(x.dtype), bias.to(x.dtype), timed), True
                case Stage():
                    w, bias, value = readout_integers(layer.weight, layer.bias, unit, layer.bits, self.terms(timed))
                    x = self._current(layer, x, w, timed)
                    x = ((x.sum(1) if self._trains(timed) else x) + bias.to(x.dtype)) * value.to(x.dtype)
        return x

    def units(self) -> list[Tensor]:
        """What a value of 1 at the input of each layer of ``order`` is worth in the float model."""
        found, unit = [], torch.tensor(1.0 / self.input_high)
        for layer in self.order:
            found.append(unit)
            if isinstance(layer, Pool) and layer.kind == "average":
                unit = unit / layer.kernel**2
            elif isinstance(layer, Stage) and layer.log_threshold is not None:
                unit = layer.threshold
        return found

    def integers(self, stage: Stage, unit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Integers (weight, threshold, bias) of a spiking stage."""
        return layer_integers(stage.weight, stage.bias, stage.threshold, unit, stage.bits, self.steps)

    def terms(self, timed: bool) -> int:
        """How many terms the readout's sum over time has."""
        return self.steps if timed else 1

    def _trains(self, timed: bool) -> bool:
        """Whether activations are spike trains (N, T, ...), and not pixels or counts (N, ...)."""
        return timed and self.rule == "causal"

    def _current(self, stage: Stage, x: Tensor, weight: Tensor, timed: bool) -> Tensor:
        weight = weight.to(x.dtype)
        if not self._trains(timed):
            return stage.current(x, weight)
        return stage.current(x.flatten(0, 1), weight).unflatten(0, x.shape[:2])

    def _pool(self, pool: Pool, x: Tensor, timed: bool) -> Tensor:
        trains = self._trains(timed)
        if pool.kind == "average":
            flat = x.flatten(0, 1) if trains else x
            flat = F.avg_pool2d(flat, pool.kernel, pool.stride, divisor_override=1)
            return flat.unflatten(0, x.shape[:2]) if trains else flat
        if not trains:
            return F.max_pool2d(x, pool.kernel, pool.stride)
        # The count gate: a spike leaves when the largest running count of the window grows.
        most = F.max_pool2d(x.cumsum(1).flatten(0, 1), pool.kernel, pool.stride).unflatten(0, x.shape[:2])
        return torch.cat((most[:, :1], most[:, 1:] - most[:, :-1]), 1)

    def _fire(self, current: Tensor, theta: Tensor, bias: Tensor, timed: bool) -> Tensor:
        steps, trains = self.steps, self._trains(timed)
        channel = (-1, *[1] * (current.ndim - 2 - trains))
        theta, bias = theta.view(channel), bias.view(channel)
        total = (current.sum(1) if trains else current if timed else current * steps) + steps * bias
        count = (total / theta).clamp(0, steps)
        with torch.no_grad():
            if self.rule == "lossless":
                # floor(total / theta + 1/2) without a rounding before the floor
                spikes = torch.div(2 * total + theta, 2 * theta, rounding_mode="floor").clamp(0, steps)
            else:
                v, trail = torch.floor(theta / 2), []
                for t in range(steps):
                    v = v + (current[:, t] if trains else current) + bias
                    trail.append((v >= theta).to(v.dtype))
                    v = v - trail[-1] * theta
                spikes = torch.stack(trail, 1)
        if self.rule == "lossless":
            return substitute(count, spikes)
        return substitute((count / steps)[:, None].expand_as(spikes), spikes)
