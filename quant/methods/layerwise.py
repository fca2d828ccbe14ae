"""Layer by layer, a spiking network is brought near to the quantised one: what two methods share.

Both are :class:`~quant.qat.IntegerGraph` of the same weights; the target, rule ``lossless``, is the quantised network,
and stays as it is. A layer is tuned with the layers before it tuned and spiking already, on what they really give.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import golden
from ..layers import IMAGE
from ..nodes import Rule
from ..qat import IntegerGraph, Scales, sources_of
from ..stage import Stage

__all__ = ["Inputs", "accuracy", "fit", "spiking_copy", "walk"]

CHUNK = 64
"""Images at a time where nothing is learned."""


@dataclass(frozen=True)
class Inputs:
    """What a layer of ``graph`` takes: ``found``, the spikes (as bytes) or pixels of all images, by layer."""

    graph: IntegerGraph
    stage: Stage
    found: dict[str, Tensor]
    scales: Scales

    def __len__(self) -> int:
        return len(next(iter(self.found.values())))

    def spikes(self, pick: Tensor | slice = slice(None)) -> Tensor:
        """Spikes (n, T, ...) of the layer for the images picked."""
        found = {name: x[pick].float() for name, x in self.found.items()}
        return self.graph.step(self.stage, found, self.scales)

    def counts(self) -> Tensor:
        """Spikes of every neuron (N, ...), all steps together."""
        return torch.cat([self.spikes(s).sum(1) for s in _chunks(len(self))])


def spiking_copy(graph: IntegerGraph, rule: Rule, strict: bool) -> IntegerGraph:
    """A copy of ``graph`` with neurons of ``rule``."""
    graph = copy.deepcopy(graph).eval()
    graph.rule, graph.strict = rule, strict
    return graph


def walk(
    spiking: IntegerGraph,
    target: IntegerGraph,
    pixels: Tensor,
    tune: Callable[[Stage, Inputs, Tensor], None],
) -> None:
    """Call ``tune`` with every hidden layer of ``spiking`` in their order, what it takes, and the spike counts (N, ...)
    of ``target``, for ``pixels``, integers (N, C, H, W)."""
    mine, theirs, aims = {IMAGE: pixels}, {IMAGE: pixels}, target.scales()
    pairs = list(zip(spiking.order, target.order, strict=True))
    last_use = {source: layer.name for layer in spiking.order for source in sources_of(layer)}
    for layer, other in pairs[:-1]:
        sources = set(sources_of(layer))
        scales = spiking.scales()
        theirs[layer.name] = _run(target, other, theirs, aims)
        if isinstance(layer, Stage):
            scales = Scales({k: v.detach() for k, v in scales.units.items()}, scales.highs, scales.timed)
            inputs = Inputs(spiking, layer, {s: mine[s] for s in sources}, scales)
            tune(layer, inputs, theirs[layer.name].float())
        mine[layer.name] = _run(spiking, layer, mine, scales)
        for source in sources:
            if last_use[source] == layer.name:
                del mine[source], theirs[source]


@torch.no_grad()
def _run(graph: IntegerGraph, layer, found: dict[str, Tensor], scales: Scales) -> Tensor:
    taken = {source: found[source] for source in sources_of(layer)}
    parts = []
    for chunk in _chunks(len(next(iter(taken.values())))):
        x = graph.step(layer, {name: t[chunk].float() for name, t in taken.items()}, scales)
        parts.append(x.to(torch.int16))
    return torch.cat(parts)


def _chunks(n: int) -> Iterator[slice]:
    return (slice(k, k + CHUNK) for k in range(0, n, CHUNK))


def fit(
    inputs: Inputs,
    want: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimiser: torch.optim.Optimizer,
    *,
    epochs: int,
    batch: int,
    patience: int = 0,
) -> float:
    """Train the parameters of ``optimiser`` so that ``loss(counts, want)`` of a layer falls; the last quarter of the
    images judges, and what was best on them, the start included, is kept. Returns the share of the loss that is left.

    The rate falls along half a cosine; ``patience`` epochs without improvement end it (0: never).
    """
    learned = [p for group in optimiser.param_groups for p in group["params"]]
    train = len(inputs) - len(inputs) // 4
    batch = min(batch, train)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda e: 0.5 * (1 + math.cos(math.pi * e / epochs)))

    def judged() -> float:
        with torch.no_grad():
            chunks = [slice(s.start + train, min(s.stop + train, len(inputs))) for s in _chunks(len(inputs) - train)]
            return sum(loss(inputs.spikes(s).sum(1), want[s]).item() * (s.stop - s.start) for s in chunks)

    start = least = judged()
    best, waited = [p.detach().clone() for p in learned], 0
    for _ in range(epochs):
        order = torch.randperm(train)
        for pick in order.split(batch):
            value = loss(inputs.spikes(pick).sum(1), want[pick])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        schedule.step()
        now, waited = judged(), waited + 1
        if now < least:
            least, best, waited = now, [p.detach().clone() for p in learned], 0
        if patience and waited >= patience:
            break
    with torch.no_grad():
        for p, kept in zip(learned, best, strict=True):
            p.copy_(kept)
            p.grad = None
    return least / start if start else 1.0


def accuracy(graph: IntegerGraph, pixels: Tensor, labels: Tensor) -> float:
    """The share of ``pixels`` (N, C, H, W), integers, of the classes ``labels`` (N,); exactly the integer network's."""
    graph.eval()
    with golden.exact_math():
        right = sum(int((graph(pixels[s]).argmax(1) == labels[s]).sum()) for s in _chunks(len(pixels)))
    return right / len(pixels)
