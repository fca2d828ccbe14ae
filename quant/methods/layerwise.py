"""Layer by layer, a spiking network is brought near to the quantised one: what two methods share.

Both are :class:`~quant.qat.integer_graph.IntegerGraph` of the same weights; the target, rule ``lossless``, is the
quantised network, and stays as it is. A layer is tuned with the layers before it tuned and spiking already, on what
they really give.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import golden
from ..frontends.layers import IMAGE, Passing
from ..qat.integer_graph import IntegerGraph, Scales, sources_of
from ..qat.stage import QuantisedLayer

__all__ = ["Inputs", "Share", "accuracy", "fit", "nothing", "spiking_copy", "walk"]

Share = Callable[[float], object]
"""Called with the share of a walk that is done."""


def nothing(share: float) -> None:
    """No progress is shown."""


CHUNK = 16
"""Images at a time where nothing is learned."""


@dataclass(frozen=True)
class Inputs:
    """What a layer of ``graph`` takes: ``found``, pixels (N, ...) or spikes (T, N, ...) of all images, by layer, as
    small integers; ``timed``, which of them are spikes."""

    graph: IntegerGraph
    stage: QuantisedLayer | Passing
    found: dict[str, Tensor]
    timed: dict[str, bool]
    scales: Scales

    def __len__(self) -> int:
        name, x = next(iter(self.found.items()))
        return x.shape[1] if self.timed[name] else len(x)

    def results(self, pick: Tensor | slice) -> tuple[Tensor, Tensor | None]:
        """Counts (n, ...) and spikes (T, n, ...) of the layer for the images picked."""
        spikes, found = dict[str, Tensor](), dict[str, Tensor]()
        for name, x in self.found.items():
            x = _channels_behind(x)
            x = _channels_before((x[:, pick] if self.timed[name] else x[pick]).to(self.graph.dtype(x)))
            found[name] = x.sum(0) if self.timed[name] else x
            if self.timed[name]:
                spikes[name] = x
        self.graph.step(self.stage, found, spikes, self.scales)
        return found[self.stage.name], spikes.get(self.stage.name)

    def counts(self, pick: Tensor | slice | None = None) -> Tensor:
        """Spikes of every neuron (n, ...), all steps together, for the images picked, or all of them."""
        if pick is not None:
            return self.results(pick)[0]
        return torch.cat([self.results(s)[0] for s in _chunks(len(self))])

    @torch.no_grad()
    def kept(self) -> tuple[Tensor, bool]:
        """What the next layer takes of this one, as small integers: spikes, or counts where there are none."""
        parts = list[Tensor]()
        timed = False
        for some in _chunks(len(self)):
            counts, spikes = self.results(some)
            timed = spikes is not None
            parts.append(_channels_behind(counts.to(torch.int16) if spikes is None else spikes.to(torch.int8)))
        return _channels_before(torch.cat(parts, int(timed))), timed


def _channels_behind(x: Tensor) -> Tensor:
    """Maps (..., C, H, W) as (..., H, W, C), which is how they lie in memory: convolutions are faster so."""
    return x.movedim(-3, -1) if x.ndim > 3 else x


def _channels_before(x: Tensor) -> Tensor:
    return x.movedim(-1, -3) if x.ndim > 3 else x


def spiking_copy(graph: IntegerGraph, rule: str, strict: bool) -> IntegerGraph:
    """A copy of ``graph`` with neurons of ``rule``."""
    graph = copy.deepcopy(graph).eval()
    graph.rule, graph.strict = rule, strict
    return graph


def walk(
    spiking: IntegerGraph,
    target: IntegerGraph,
    pixels: Tensor,
    tune: Callable[[QuantisedLayer, Inputs, Tensor], None],
    progress: Share = nothing,
) -> None:
    """Call ``tune`` with every hidden layer of ``spiking`` in their order, what it takes, and the spike counts (N, ...)
    of ``target``, for ``pixels``, integers (N, C, H, W)."""
    mine, theirs = _Run(spiking, pixels), _Run(target, pixels)
    pairs = list(zip(spiking.order, target.order, strict=True))[:-1]
    for k, (layer, other) in enumerate(pairs):
        progress(k / len(pairs))
        want = theirs.inputs(other).kept()[0]
        if isinstance(layer, QuantisedLayer):
            tune(layer, mine.inputs(layer), want.float())
        mine.put(layer, *mine.inputs(layer).kept())
        theirs.put(other, want, False)
    progress(1.0)


class _Run:
    """A graph on all images, one layer at a time."""

    def __init__(self, graph: IntegerGraph, pixels: Tensor) -> None:
        pixels = _channels_before(_channels_behind(pixels).contiguous())
        self.graph, self.found, self.timed = graph, {IMAGE: pixels}, {IMAGE: False}
        self.last_use = {source: layer.name for layer in graph.order for source in sources_of(layer)}

    def inputs(self, layer: QuantisedLayer | Passing) -> Inputs:
        units, highs, timed = self.graph.scales()
        scales = Scales({name: unit.detach() for name, unit in units.items()}, highs, timed)
        found = {source: self.found[source] for source in sources_of(layer)}
        return Inputs(self.graph, layer, found, self.timed, scales)

    def put(self, layer: QuantisedLayer | Passing, x: Tensor, timed: bool) -> None:
        """Keep what a layer gives, and let go what no other one takes."""
        self.found[layer.name], self.timed[layer.name] = x, timed
        for source in set(sources_of(layer)):
            if self.last_use[source] == layer.name:
                del self.found[source]


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
    bf16: bool = False,
) -> float:
    """Train the parameters of ``optimiser`` so that ``loss(counts, want)`` of a layer falls; the last quarter of the
    images judges, and what was best on them, the start included, is kept. Returns the share of the loss that is left.

    The rate falls along half a cosine; ``patience`` epochs without improvement end it (0: never). ``bf16`` trains with
    bfloat16, and judges without.
    """
    learned = [p for group in optimiser.param_groups for p in group["params"]]
    train = len(inputs) - len(inputs) // 4
    batch = min(batch, train)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda e: 0.5 * (1 + math.cos(math.pi * e / epochs)))

    def judged() -> float:
        with torch.no_grad():
            chunks = [slice(s.start + train, min(s.stop + train, len(inputs))) for s in _chunks(len(inputs) - train)]
            return sum(loss(inputs.counts(s), want[s]).item() * (s.stop - s.start) for s in chunks)

    start = least = judged()
    best, waited = [p.detach().clone() for p in learned], 0
    for _ in range(epochs):
        order = torch.randperm(train)
        inputs.graph.train()
        for pick in order.split(batch):
            with torch.autocast(want.device.type, torch.bfloat16, enabled=bf16):
                found = inputs.counts(pick)
            value = loss(found.float(), want[pick])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        inputs.graph.eval()
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
