"""Gradient reconstruction: the settled integers of all stages together, moved so that the float results come nearer.

The network is run as it is, in integers, and differentiated as if nothing were rounded: gradients pass a rounding
unchanged, and a clamp where it does not clamp. Adam moves the weights, the bias and, of spikes, the threshold, so that
the sum of

    1/5 of the mean over the stages of |unit * y - a|^2 / |a|^2   +   |unit * logits - z|^2 / |z|^2

falls, where a and z are what the float network gives. Gains, shifts and bits stay as they are; no label is used. Where
it has not fallen, the integers stay as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...conversion.rounding import floor_ste, round_ste
from ...frontends.layers import IMAGE, Passing
from .maps import as_map
from .settling.forms import Form
from .settling.settle import Integers
from .stages import Stage

__all__ = ["reconstruct"]

BATCH = 32

HIDDEN = 0.2
"""The weight of the stages together, beside that of the logits."""

WEIGHT_RATE = 1 / 128
"""The first learning rate of weights, as a share of the largest that their bits allow."""

BIAS_RATE = 0.02
"""That of the bias, in levels."""

THRESHOLD_RATE = 0.004
"""That of the logarithm of a threshold."""


@dataclass(frozen=True)
class _Learned:
    """Parameters of a stage: ``weights`` in integers; ``bias``, what is added to it, in levels (of the last stage, in
    logits); ``threshold``, the logarithm of a factor, learned where the threshold may be any whole number."""

    start: Integers
    weights: list[Tensor]
    bias: Tensor
    threshold: Tensor

    @classmethod
    def of(cls, found: Integers) -> _Learned:
        weights = [w.clone().requires_grad_() for w in found.weights]
        bias, threshold = (torch.zeros(len(found.bias), requires_grad=True) for _ in range(2))
        return cls(found, weights, bias, threshold)

    def step(self) -> Tensor:
        """The threshold, or 2^shift, (Co,)."""
        step = self.start.step.float()
        return round_ste(step * self.threshold.exp()).clamp(min=1) if self.threshold.requires_grad else step

    def bias_(self, span: Tensor) -> Tensor:
        """The bias (Co,) where that of a stage moves by ``span`` (Co,) for every 1 of its parameter."""
        return round_ste(self.start.bias.float() + self.bias * span)


def reconstruct(
    stages: Mapping[str, Stage | Passing],
    settled: Mapping[str, Integers],
    pixels: Tensor,
    wanted: Mapping[str, Tensor],
    form: Form,
    epochs: int,
    generator: torch.Generator,
    progress: Callable[[float], object] = lambda _share: None,
) -> dict[str, Integers] | None:
    """The ``settled`` integers after ``epochs`` over ``pixels`` (N, C, H, W), integers; ``wanted`` (N, Co, H, W) are
    the results of the float network, by stage, behind the activation. None where nothing is gained."""
    learned = {name: _Learned.of(found) for name, found in settled.items()}
    groups = []
    for name, mine in learned.items():
        stage = stages[name]
        assert isinstance(stage, Stage)
        mine.threshold.requires_grad_(form.kind == "spikes" and not stage.last)
        groups += [{"params": [w], "lr": WEIGHT_RATE * (1 << (bits - 1))}
                   for w, bits in zip(mine.weights, stage.bits, strict=True)]
        groups.append({"params": [mine.bias], "lr": BIAS_RATE})
        groups.append({"params": [mine.threshold], "lr": THRESHOLD_RATE})
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
    batches = -(-len(pixels) // BATCH) * epochs
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda k: 0.5 * (1 + math.cos(math.pi * k / batches)))
    power = {name: x.square().mean() * x[0].numel() for name, x in wanted.items()}

    def judged() -> float:
        with torch.no_grad():
            return sum(lost(pick).item() * len(pick) for pick in torch.arange(len(pixels)).split(BATCH))

    def lost(pick: Tensor) -> Tensor:
        aims = {name: x[pick] for name, x in wanted.items()}
        return _loss(stages, learned, pixels[pick].float(), aims, power, form)

    before, done = judged(), 0
    for _ in range(epochs):
        for pick in torch.randperm(len(pixels), generator=generator).split(BATCH):
            with torch.enable_grad():
                loss = lost(pick)
                optimiser.zero_grad()
                loss.backward()
            optimiser.step()
            rate.step()
            done += 1
            progress(done / batches)
    if judged() >= before:
        return None
    return {name: _integers(stages[name], mine) for name, mine in learned.items()}


def _loss(
    stages: Mapping[str, Stage | Passing],
    learned: Mapping[str, _Learned],
    pixels: Tensor,
    wanted: Mapping[str, Tensor],
    power: Mapping[str, Tensor],
    form: Form,
) -> Tensor:
    """What is to fall, of some images."""
    found, timed = {IMAGE: pixels}, {IMAGE: False}
    loss = torch.zeros(())
    hidden = max(1, len(learned) - 1)
    for name, stage in stages.items():
        match stage:
            case Passing():
                found[name] = as_map(stage.integers([found[source] for source in stage.sources]))
                timed[name] = any(timed[source] for source in stage.sources)
            case Stage():
                found[name] = _results(stage, learned[name], found, timed, form)
                timed[name] = form.kind == "spikes"
                error = found[name] * learned[name].start.unit.float().view(-1, 1, 1) - wanted[name]
                part = error.square().sum() / (len(pixels) * power[name].clamp(min=1e-30))
                loss = loss + (part if stage.last else HIDDEN * part / hidden)
    return loss


def _results(
    stage: Stage, mine: _Learned, found: Mapping[str, Tensor], timed: Mapping[str, bool], form: Form
) -> Tensor:
    """What ``stage`` gives (N, Co, H, W) in integers; the last one its logits."""
    step = mine.step()
    total = mine.bias_(_span(stage, mine, step)).view(-1, 1, 1)
    for layer, w, bits in zip(stage.terms, mine.weights, stage.bits, strict=True):
        source = layer.sources[0]
        times = 1 if timed[source] or stage.last else form.steps
        top = 1 << (bits - 1)
        whole = round_ste(w).clamp(-top, top - 1)
        total = total + times * layer.convolution(found[source], as_map(whole))
    for layer, gain in zip(stage.shortcuts, mine.start.gains, strict=True):
        source = layer.sources[0]
        times = 1 if timed[source] or stage.last else form.steps
        total = total + times * gain.float().view(-1, 1, 1) * layer.aligned(found[source])
    if stage.last:
        return total
    return floor_ste(total / step.view(-1, 1, 1)).clamp(mine.start.lo, mine.start.hi)


def _span(stage: Stage, mine: _Learned, step: Tensor) -> Tensor:
    return 1 / mine.start.unit.float() if stage.last else step


def _integers(stage: object, mine: _Learned) -> Integers:
    """The parameters, rounded."""
    assert isinstance(stage, Stage)
    with torch.no_grad():
        step = mine.step()
        bias = mine.bias_(_span(stage, mine, step)).double()
        weights = [
            w.round().clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
            for w, bits in zip(mine.weights, stage.bits, strict=True)
        ]
        return replace(mine.start, weights=weights, step=step.double(), bias=bias)
