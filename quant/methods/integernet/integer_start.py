"""IntegerNet from trained floats: the first weights, gains and betas of an integer network that is then trained.

A trained layer computes z = W x + b and a = relu(z), batch norm folded in; x = u q, q the integers of the layer before
and u what one of them is worth, channel by channel. With s (Co,) the smallest for which W u / s fits the bits of
the weights, the sums of these, rounded, are (z - b) / s, and the SBN, whose shift follows from their deviation, gives

    y = floor((a - bias) / 2^shift) = round(z / (s 2^shift))        beta = (mean + b / s) / 2^shift + 1/2,

so that one of the values of this layer is worth s 2^shift. Nothing is lost but by rounding, and by the shift, which
sets the largest value, and makes a logit of one class worth twice that of another; training makes good for both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...frontends.layers import IMAGE, Passing, Weights
from ...frontends.torch_fx.graph import trace
from ...ir.ops import NetworkError
from .algorithm import IntegerGains, IntegerLayer, IntegerNet, IntegerWeights

__all__ = ["start"]


@torch.no_grad()
def start(net: IntegerNet, model: nn.Module, pixels: Tensor, high: int) -> None:
    """Set the parameters of ``net``, made of ``model`` by ``integernet.prepare``, so that it computes nearly what
    ``model`` does, trained on pixels / ``high``.

    ``pixels`` (N, C, H, W) are training images, integers, that deviations are measured on; a few hundred are enough.
    Raises NetworkError, naming the layer, for weights or gains that are all zero.
    """
    _, channels, height, width = pixels.shape
    trained = {w.name: w for w in trace(model, (channels, height, width)) if isinstance(w, Weights)}
    found = {IMAGE: pixels.float().contiguous(memory_format=torch.channels_last)}
    units = {IMAGE: torch.full((channels,), 1.0 / high, device=pixels.device)}
    net.train()
    for layer in net.order:
        match layer:
            case IntegerLayer():
                name = layer.result
                units[name] = _layer(layer, trained, found, units)
                found[name] = layer(found)
            case Passing():
                x = [found[source] for source in layer.sources]
                units[layer.name] = layer.unit([units[source] for source in layer.sources], x[0][0, 0].numel())
                found[layer.name] = layer.integers(x)


def _layer(
    layer: IntegerLayer, trained: dict[str, Weights], found: dict[str, Tensor], units: dict[str, Tensor]
) -> Tensor:
    """Set the parameters of ``layer``; returns what one of its values is worth (Co,)."""
    parts = [(part, trained[part.name].weight.to(part.shadow) * _inputs(part, units)) for part in layer.parts]
    skips = [(skip, _of_shortcut(skip, units[skip.source])) for skip in layer.shortcuts]
    needs = [real.flatten(1).abs().amax(1) / part.top for part, real in parts]
    needs += [real / skip.top for skip, real in skips]
    scale = torch.stack(needs).amax(0)
    if layer.norm.signed:
        scale = scale.amax().expand_as(scale)
    if not (scale > 0).all():
        channel = int((scale <= 0).nonzero()[0])
        raise NetworkError(f"{layer.name}: the weights of channel {channel} are all zero; remove the channel")
    for part, real in parts:
        part.shadow.copy_(real / scale.view(-1, *[1] * (real.ndim - 1)))
    for skip, real in skips:
        skip.shadow.copy_(real / scale)
    bias = torch.stack([trained[part.name].bias.to(scale) for part in layer.parts]).sum(0)
    return scale * layer.norm.start(layer.total(found), bias / scale).to(scale)


def _inputs(part: IntegerWeights, units: dict[str, Tensor]) -> Tensor:
    """What a value of each input of ``part`` is worth, to be multiplied by its weights (Co, Ci / groups, ...)."""
    unit, weight = units[part.source], part.shadow
    if part.convolution.groups > 1:
        unit = unit.view(part.convolution.groups, -1).repeat_interleave(len(weight) // part.convolution.groups, 0)
    else:
        unit = unit[None]
    return unit.view(*unit.shape, *[1] * (weight.ndim - 2))


def _of_shortcut(skip: IntegerGains, unit: Tensor) -> Tensor:
    """What a value of the source (C,) is worth in each channel of the sum (Co,); 0 where the source has none."""
    real = torch.zeros_like(skip.shadow)
    first = skip.shortcut.before
    real[first : first + len(unit)] = unit
    return real
