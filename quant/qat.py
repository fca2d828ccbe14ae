"""Training with integers in the loop: a graph of layers that computes, going forward, what the integer network will.

Weights, gains, thresholds and biases are floats that are rounded on the way; activations are spike counts (rule
``lossless``) or spike trains (rule ``causal``) instead of reals. In evaluation the answer is that of the integer
network to the last bit; in training the gradient is that of the QCFS activation, straight through every rounding and,
for the causal rule, through the order of the spikes (the activation's value is the spiking neuron's, its gradient the
quantised one's, as in the second phase of Wang et al., arXiv 2205.07473).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import firing
from .firing import over_channels
from .graph import trace
from .layers import IMAGE, Activation, Flat, Layer, Pool, Shortcut, UnsupportedLayer, Weights
from .nodes import NetworkError, Rule
from .rounding import LayerIntegers, readout_integers
from .stage import Stage
from .structure import terms_of

__all__ = ["IntegerGraph"]


class IntegerGraph(nn.Module):
    """A model whose forward is the integer network.

    Parameters: ``model``, an nn.Module with QCFS activations, or the layers of one (``graph.trace``), copied;
    ``input_high``, the largest pixel, which stands for 1.0; ``steps``, T; ``weight_bits``, 2..8, with ``first_bits``
    and ``last_bits`` for the first and last layer and ``shortcut_bits`` for projections, which must come in the unit
    of the layer they are added to; ``rule``, "lossless" or "causal"; ``shape``, (C, H, W) of the image, where a pool
    covers the whole map.
    Forward: pixels as integers 0..input_high (N, C, H, W) to logits (N, classes), scaled to those of the float model.
    Raises UnsupportedLayer for a ReLU left in, NetworkError for NaN or bit widths out of range, naming the layer.
    """

    takes_integers = True

    def __init__(
        self,
        model: nn.Module | Sequence[Layer],
        *,
        input_high: int,
        steps: int,
        weight_bits: int,
        first_bits: int | None = None,
        last_bits: int | None = None,
        shortcut_bits: int = 8,
        rule: Rule = "lossless",
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__()
        if rule not in ("causal", "lossless"):
            raise NetworkError(f"rule must be 'causal' or 'lossless', not {rule!r}")
        if not 1 <= input_high <= 255 or not 1 <= steps <= 64:
            raise NetworkError(f"input_high must be in 1..255 and steps in 1..64, not {input_high} and {steps}")
        layers = trace(model, shape) if isinstance(model, nn.Module) else list(model)
        self.input_high, self.steps = input_high, steps
        self.rule: Rule = rule
        self.stages = nn.ModuleList()
        self.order: list[Stage | Pool | Flat] = []
        kinds = {layer.name: layer for layer in layers}
        first = next((layer.name for layer in layers if isinstance(layer, Weights)), "")

        def bits(layer: Weights, main: bool) -> int:
            last = last_bits if layer is layers[-1] else None
            return last or (first_bits if layer.name == first else None) or (weight_bits if main else shortcut_bits)

        for layer in layers:
            if isinstance(layer, Activation) or layer is layers[-1]:
                currents = layer.sources[0] if isinstance(layer, Activation) else layer.name
                synapses, shortcuts, sums = terms_of(currents, kinds)
                if not synapses:
                    raise UnsupportedLayer(
                        f"{layer.name}: a sum of shortcuts alone is not supported; supported: a "
                        f"convolution or linear layer in every sum"
                    )
                wide = [(s, bits(s, s is synapses[0])) for s in synapses]
                stage = Stage(layer.name, wide, shortcuts, sums, layer if isinstance(layer, Activation) else None)
                self.stages.append(stage)
                self.order.append(stage)
            elif isinstance(layer, Pool | Flat):
                self.order.append(layer)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels as integers (N, C, H, W) to logits (N, classes); see the class."""
        mixed = self.training and torch.is_autocast_enabled(pixels.device.type)
        x = pixels.to(torch.bfloat16 if mixed else torch.float32)  # pixels and counts are exact in both
        # Pixels and spike counts, and for the causal rule the trains (T, N, ...) that the counts are of.
        found, trains = {IMAGE: x}, dict[str, Tensor]()
        units, highs, timed = self.units(), self.highs(), self.timed()
        for layer in self.order:
            match layer:
                case Flat() | Pool():
                    source = layer.sources[0]
                    found[layer.name] = _passed(layer, found[source])
                    if source in trains:
                        trains[layer.name] = _passed_trains(layer, trains[source])
                case Stage() if layer.log_threshold is not None:
                    integers = self._exact(layer, layer.integers(units, highs, self.steps), highs)
                    count = None
                    if self.rule == "causal":
                        with torch.no_grad():
                            trains[layer.name], count = self._trains(layer, integers, found, trains, x.dtype)
                    if count is None or torch.is_grad_enabled():
                        total = self._total(layer, integers, found, timed)
                        count = firing.counts(total, integers.threshold, self.steps, count)
                    found[layer.name] = count.to(x.dtype)
                case Stage():
                    w, bias, value = self.readout(units)
                    none = torch.zeros_like(bias)
                    integers = self._exact(layer, LayerIntegers([w], [], none, bias), highs)
                    ((_, x),) = self._currents(layer, integers, found)
                    x = x + integers.bias
                    x = x * value if self.training else x.double() * value
        return x

    def _exact(self, stage: Stage, integers: LayerIntegers, highs: Mapping[str, int]) -> LayerIntegers:
        """The integers in float64 where, in evaluation, the sums of float32 might round; as they are otherwise."""
        if self.training:
            return integers
        with torch.no_grad():
            most = integers.threshold + 2 * self.steps * integers.bias.abs()
            for part, w in zip(stage.parts, integers.weights, strict=True):
                most = most + 2 * self.steps * highs[part.source] * w.flatten(1).abs().sum(1)
            for shortcut, gain in zip(stage.shortcuts, integers.gains, strict=True):
                most = most + 2 * self.steps * highs[shortcut.sources[0]] * gain.abs()
        if most.max() < 1 << 24:
            return integers
        weights, gains = ([t.double() for t in tensors] for tensors in integers[:2])
        return LayerIntegers(weights, gains, integers.threshold.double(), integers.bias.double())

    def units(self) -> dict[str, Tensor]:
        """What a value of 1 of the image and of each layer of ``order`` is worth in the float model."""
        units = {IMAGE: torch.tensor(1.0 / self.input_high, device=next(self.parameters()).device)}
        for layer in self.order:
            if isinstance(layer, Stage):
                if layer.log_threshold is not None:
                    units[layer.name] = layer.threshold
            else:
                area = layer.kernel**2 if isinstance(layer, Pool) and layer.kind == "average" else 1
                units[layer.name] = units[layer.sources[0]] / area if area > 1 else units[layer.sources[0]]
        return units

    def highs(self) -> dict[str, int]:
        """The largest value of the image and of each layer of ``order``, in one time step."""
        highs = {IMAGE: self.input_high}
        for layer in self.order:
            if isinstance(layer, Stage):
                highs[layer.name] = 1
            else:
                area = layer.kernel**2 if isinstance(layer, Pool) and layer.kind == "average" else 1
                highs[layer.name] = highs[layer.sources[0]] * area
        return highs

    def timed(self) -> dict[str, bool]:
        """Whether the image and each layer of ``order`` differ from time step to time step."""
        timed = {IMAGE: False}
        for layer in self.order:
            timed[layer.name] = isinstance(layer, Stage) or timed[layer.sources[0]]
        return timed

    def readout(self, units: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Integers (weight, bias) of the last layer and what a logit of 1 is worth."""
        last = self.order[-1]
        assert isinstance(last, Stage)
        part = last.parts[0]
        terms = self.steps if self.timed()[part.source] else 1
        return readout_integers(part.weight, last.bias, units[part.source], part.bits, terms)

    def _currents(
        self, stage: Stage, integers: LayerIntegers, found: Mapping[str, Tensor]
    ) -> Iterator[tuple[str, Tensor]]:
        """Source and currents (N, ...) of the weights and shortcuts of a stage for pixels or counts, without bias."""
        for part, weight in zip(stage.parts, integers.weights, strict=True):
            yield part.source, part.current(_like(weight, found[part.source]), weight)
        for shortcut, gain in zip(stage.shortcuts, integers.gains, strict=True):
            yield shortcut.sources[0], _shortcut(shortcut, found[shortcut.sources[0]], gain)

    def _total(
        self, stage: Stage, integers: LayerIntegers, found: Mapping[str, Tensor], timed: Mapping[str, bool]
    ) -> Tensor:
        """The currents of a stage in all steps together, with bias."""
        currents = [
            current if timed[source] else current * self.steps
            for source, current in self._currents(stage, integers, found)
        ]
        return functools.reduce(torch.add, currents) + over_channels(self.steps * integers.bias, currents[0])

    def _trains(
        self,
        stage: Stage,
        integers: LayerIntegers,
        found: Mapping[str, Tensor],
        trains: Mapping[str, Tensor],
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """The spike trains (T, N, ...) of a stage under the causal rule, and their counts."""
        steady, timed = list[Tensor](), list[Callable[[int], Tensor]]()
        for part, weight in zip(stage.parts, integers.weights, strict=True):
            if part.source in trains:
                x = trains[part.source]
                every = part.current(_like(weight, x.flatten(0, 1)), weight).unflatten(0, x.shape[:2])
                timed.append(every.__getitem__)
            else:
                steady.append(part.current(_like(weight, found[part.source]), weight))
        for shortcut, gain in zip(stage.shortcuts, integers.gains, strict=True):
            source = shortcut.sources[0]
            if source in trains:
                timed.append(functools.partial(_shortcut_at, shortcut, trains[source], gain))
            else:
                steady.append(_shortcut(shortcut, found[source], gain))
        always = functools.reduce(torch.add, steady) if steady else None
        return firing.trains(always, timed, integers.threshold, integers.bias, self.steps, dtype)


def _like(weight: Tensor, x: Tensor) -> Tensor:
    """``x`` as wide as ``weight``; under autocast, which makes both narrow, as it is."""
    return x if x.dtype == torch.bfloat16 else x.to(weight.dtype)


def _passed(layer: Pool | Flat, x: Tensor) -> Tensor:
    """Pixels or counts (N, ...) behind a pool or a flattening."""
    if isinstance(layer, Flat):
        return x.flatten(1)
    if layer.kind == "average":
        return F.avg_pool2d(x, layer.kernel, layer.stride, divisor_override=1)
    return F.max_pool2d(x, layer.kernel, layer.stride)


def _passed_trains(layer: Pool | Flat, x: Tensor) -> Tensor:
    """Spike trains (T, N, ...) behind a pool or a flattening."""
    gate = isinstance(layer, Pool) and layer.kind == "max"
    y = _passed(layer, (x.cumsum(0) if gate else x).flatten(0, 1)).unflatten(0, x.shape[:2])
    # The count gate: a spike leaves when the largest running count of the window grows.
    return torch.cat((y[:1], y[1:] - y[:-1])) if gate else y


def _shortcut(shortcut: Shortcut, x: Tensor, gain: Tensor) -> Tensor:
    if shortcut.stride > 1 and x.ndim > 2:  # of a map every so manyth pixel; slicing would lose the memory format
        x = F.avg_pool2d(x, 1, shortcut.stride)
    if shortcut.before or shortcut.after:
        x = F.pad(x, (*[0, 0] * (x.ndim - 2), shortcut.before, shortcut.after))
    return x.to(gain.dtype) * over_channels(gain, x)


def _shortcut_at(shortcut: Shortcut, x: Tensor, gain: Tensor, t: int) -> Tensor:
    return _shortcut(shortcut, x[t], gain)
