"""The trainable layers of :class:`~.integer_graph.IntegerGraph`: weights, shortcuts, thresholds, and the integers they
become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..conversion.rounding import LayerIntegers, Term, half_threshold, layer_integers, round_ste
from ..frontends.layers import Activation, Shortcut, UnsupportedLayer, Weights, refuse
from ..ir.ops import NetworkError
from ..training.convolution import conv2d
from .firing import over_channels

__all__ = ["QuantisedLayer", "Synapses", "inside", "shortcut_currents"]


class Synapses(nn.Module):
    """Weights of a stage; ``name``, ``origin``, ``source``, ``weight``, ``convolution``, ``bits``; ``scale`` and
    ``grid``, where a method has its own (``rounding.Term``)."""

    scale: Tensor | None
    grid: Tensor | None

    def __init__(self, layer: Weights, bits: int) -> None:
        super().__init__()
        self.name, self.origin, self.source, self.bits = layer.name, layer.origin, layer.sources[0], bits
        self.convolution = layer.convolution
        if not 2 <= bits <= 8:
            raise NetworkError(f"{layer.name}: weight_bits must be in 2..8, not {bits}")
        for what, tensor in (("weight", layer.weight), ("bias", layer.bias)):
            if not tensor.float().isfinite().all():  # float32 is what it is converted from
                raise NetworkError(
                    f"{layer.name}: {what} holds NaN or infinity (batch norm included); the training "
                    f"diverged, use a smaller learning rate"
                )
        self.weight = nn.Parameter(layer.weight.float())
        self.register_buffer("scale", None)
        self.register_buffer("grid", None)

    def current(self, x: Tensor, weight: Tensor) -> Tensor:
        """The currents of integer ``weight``."""
        return self.convolution(x, weight, by=conv2d)


class QuantisedLayer(nn.Module):
    """What one threshold sees: the weights and shortcuts whose sum it is, or the last layer, which has none.

    Attributes: ``name`` of the activation; ``synapses``, the largest kernel first; ``shortcuts``; ``sums``, the names
    of the additions; ``bias`` (Co,), of all weights together; ``log_threshold`` (None on the last layer); ``charge``,
    the initial membrane beyond exactly half the threshold, in thresholds, (Co,) or (Co, H, W), if any; ``boost``, by
    how much the currents are larger than the weights say, that is, the threshold smaller, while a spike is worth the
    same, if any.
    """

    boost: Tensor | None

    def __init__(
        self,
        name: str,
        synapses: Sequence[tuple[Weights, int]],
        shortcuts: Sequence[Shortcut],
        sums: Sequence[str],
        activation: Activation | None,
    ) -> None:
        super().__init__()
        self.name, self.shortcuts, self.sums = name, list(shortcuts), list(sums)
        self.synapses = nn.ModuleList(Synapses(layer, bits) for layer, bits in synapses)
        self.bias = nn.Parameter(torch.stack([layer.bias for layer, _ in synapses]).sum(0).float())
        self.log_threshold = None
        self.charge: nn.Parameter | None = None
        self.register_buffer("boost", None)
        if activation:
            activation.check_unsigned("spiking neurons")
            if activation.qcfs is None:
                raise UnsupportedLayer(
                    f"{activation.name}: {activation.called} has no threshold; supported: QCFS, put in with "
                    f"quant.methods.qcfs.prepare(model, levels)"
                )
            threshold = activation.qcfs.threshold.item()
            if not 0 < threshold < float("inf"):
                raise NetworkError(
                    f"{activation.name}: threshold is {threshold}; it must be positive and finite, "
                    f"retrain with a smaller learning rate"
                )
            self.log_threshold = nn.Parameter(activation.qcfs.log_threshold.detach().clone().float())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if (charge := state_dict.get(f"{prefix}charge")) is not None:
            self.charge = nn.Parameter(torch.empty_like(charge))  # shaped by the layer's map
        if (boost := state_dict.get(f"{prefix}boost")) is not None:
            self.boost = torch.empty_like(boost)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def threshold(self) -> Tensor:
        """lambda of the activation."""
        assert self.log_threshold is not None
        return self.log_threshold.exp()

    @property
    def parts(self) -> list[Synapses]:
        """The synapses, for the type checker."""
        return [s for s in self.synapses if isinstance(s, Synapses)]

    def pad_with_integers(
        self, units: Mapping[str, Tensor], highs: Mapping[str, int], timed: Mapping[str, bool]
    ) -> None:
        """Let its weights see integers around maps of pixels too; ``units``, ``highs`` and ``timed`` as in
        :class:`IntegerGraph`. Raises UnsupportedLayer for maps of spikes."""
        for part in self.parts:
            if not part.convolution.pad:
                continue
            if timed[part.source]:
                refuse(part.name, "padding of spikes with another number than 0", "pixels, or sums of them, there")
            zero = torch.tensor(part.convolution.pad, dtype=torch.float64) / units[part.source].detach().cpu().double()
            part.convolution = part.convolution.nearest(zero, 0, highs[part.source])

    def integers(self, units: Mapping[str, Tensor], highs: Mapping[str, int], steps: int) -> LayerIntegers:
        """Integers of a spiking stage; ``units`` and ``highs`` as in :class:`IntegerGraph`."""
        terms = [Term(s.weight, units[s.source], highs[s.source], s.bits, s.scale, s.grid) for s in self.parts]
        threshold = self.threshold if self.boost is None else self.threshold / self.boost
        found = layer_integers(terms, [units[s.sources[0]] for s in self.shortcuts], self.bias, threshold, steps)
        return found._replace(gains=[inside(s, g) for s, g in zip(self.shortcuts, found.gains, strict=True)])

    def initial(self, threshold: Tensor, strict: bool) -> Tensor:
        """The whole initial membrane, (Co,) or (Co, H, W), of whole thresholds (Co,): half of them, rounded so
        that it acts as exactly the half (``quant.conversion.integers``), and the charge, rounded."""
        half = half_threshold(threshold.detach(), strict)
        if self.charge is None:
            return half
        channel = (-1, *[1] * (self.charge.ndim - 1))
        return half.view(channel) + round_ste(self.charge.to(threshold.dtype) * threshold.view(channel))


def inside(shortcut: Shortcut, gain: Tensor) -> Tensor:
    """Gain 0 where the shortcut has no channel."""
    channel = torch.arange(len(gain), device=gain.device)
    return gain * ((channel >= shortcut.before) & (channel < len(gain) - shortcut.after))


def shortcut_currents(shortcut: Shortcut, x: Tensor, gain: Tensor) -> Tensor:
    """The currents (N, Co, ...) of a shortcut for values or counts ``x`` (N, C, ...) and its gains (Co,)."""
    return shortcut.aligned(x).to(gain.dtype) * over_channels(gain, x)
