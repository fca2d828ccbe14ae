"""The integers of one stage: weights, gains, threshold or shift, and bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ....frontends.layers import Shortcut, Weights
from ..maps import Map, around, inner_cells, inputs_at, places, taken_at
from ..stages import Stage
from .clips import Clips
from .curves import Stairs
from .forms import CLIPPED, FEW_BITS, Form, counts, divided, within
from .levels import Levels
from .refit import Aim, Ends, Moments, best_ridge, hidden, refitted, rounded

__all__ = ["Integers", "Options", "settle"]

BIAS_TURNS = 6
"""Turns in which the bias is found, see ``refit``."""

HALF = 0.51
"""Padding that is further off than this share of an integer is left out."""

PLACES = 80
"""A layer is fitted at so many places for every input of one of its outputs."""

FEWEST_PLACES = 24_000
"""But at so many at least: the range of a channel, and what comes seldom, as a face in a photograph, is not seen at
fewer, however few inputs an output of a depthwise layer has."""

FINE_PLACES = 12_000
"""Places that thresholds and offsets are searched at."""

THRESHOLDS = (0.85, 0.92, 1.0, 1.08, 1.16)
"""Thresholds tried, as shares of the one that the clip asks for."""

OFFSETS = tuple(k / 12 for k in range(-4, 5))
"""Offsets of the bias tried, in levels."""


@dataclass(frozen=True)
class Options:
    """How stages are settled: ``refit``, whether weights are fitted anew and rounded with compensation; ``ridge``, how
    much they are kept where they were (None: found for each layer, ``refit.best_ridge``); ``share`` of its own that the
    clip of a channel has (``Clips.units``); ``samples``, places that a layer is fitted at."""

    refit: bool = True
    ridge: float | None = None
    share: float = 0.5
    samples: int = 60_000


@dataclass(frozen=True)
class Integers:
    """A settled stage: ``weights`` (Co, ...) of its terms and ``gains`` (Co,) of its shortcuts; with a = sums of both,
    over time, its results are clamp(floor((a + bias) / step), ``lo``, ``hi``), each worth ``unit``; in the last stage
    a + bias, worth ``unit``; of a curve its ``stairs``, of a. All but weights (Co,), double."""

    weights: list[Tensor]
    gains: list[Tensor]
    step: Tensor
    bias: Tensor
    unit: Tensor
    lo: int = 0
    hi: int = 0
    stairs: Stairs | None = None


class _Term:
    """A layer with weights on the samples: ``v`` (G, R, n), what a weight and a 1 of its input are worth together."""

    def __init__(self, layer: Weights, source: Map, bits: int, at: Tensor, times: int) -> None:
        self.layer, self.bits = layer, bits
        self.low, self.high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        self.moments = Moments(inputs_at(layer, source.x, at) * times)
        groups, _, n = self.moments.q.shape
        w = layer.weight.double().reshape(groups, len(layer.weight) // groups, n)
        cells = n * groups // len(source.unit)
        unit, offset = (a.repeat_interleave(cells).view(groups, 1, n) for a in (source.unit / times, source.offset))
        self.v = w * unit
        self.bias = layer.bias.double() + (w * offset).sum(2).flatten()

    def results(self, v: Tensor) -> Tensor:
        """What weights ``v`` (G, R, n) give (M, Co)."""
        centred = self.moments.q @ v.float().transpose(1, 2)
        mean = (v * self.moments.mean[:, None]).sum(2).float()
        return (centred + mean[:, None]).transpose(0, 1).flatten(1)

    def finest(self) -> Tensor:
        """The finest scale that holds ``v`` (Co,)."""
        return torch.maximum(self.v.amax(2) / self.high, self.v.amin(2) / self.low).flatten()

    def refit(self, aim: Aim, ridge: float | None, images: int) -> None:
        """Set ``v`` so that it gives what ``aim`` says, at places of ``images``."""
        if ridge is None:
            ridge = best_ridge(self.moments, self.v, aim, images)
        self.v, _ = refitted(self.moments, self.v, aim, ridge)

    def whole(self, scale: Tensor, compensated: bool) -> Tensor:
        """Integer weights (G, R, n) in units of ``scale`` (Co,)."""
        v = self.v / scale.view(*self.v.shape[:2], 1)
        return rounded(self.moments, v, self.low, self.high)[0] if compensated else v.round().clamp(self.low, self.high)


class _Skip:
    """An identity shortcut on the samples: integers ``counts`` (M, Co), of which one is worth ``unit`` (Co,), 0 where
    the source has no such channel, and ``offset`` (Co,)."""

    def __init__(self, layer: Shortcut, source: Map, at: Tensor, times: int) -> None:
        self.counts = taken_at(layer.value([source.x]), at).float() * times
        pad = (layer.before, layer.after)
        self.unit = torch.nn.functional.pad(source.unit / times, pad)
        self.offset = torch.nn.functional.pad(source.offset, pad)


@torch.no_grad()
def settle(
    stage: Stage, maps: Mapping[str, Map], z: Tensor, form: Form, options: Options, generator: torch.Generator
) -> Integers:
    """The integers of ``stage``, which takes ``maps`` and gives ``z`` (N, Co, H, W) before its activation in the float
    network."""
    inputs = max((layer.weight[0].numel() for layer in stage.terms), default=1)
    cells = torch.arange(z[0, 0].numel())
    for layer in stage.terms:
        source = maps[layer.sources[0]]
        if (around(layer, source).abs() > HALF * source.unit).any():  # no integer is near the 0 of the float network
            cells = inner_cells(layer, (source.x.shape[2], source.x.shape[3]), (z.shape[2], z.shape[3]))
    at = places(len(z), cells, min(options.samples, max(FEWEST_PLACES, PLACES * inputs)), generator)
    want = taken_at(z, at)
    times = {name: 1 if maps[name].timed or stage.last else form.steps for name in stage.sources}
    terms = [
        _Term(layer, maps[layer.sources[0]], bits, at, times[layer.sources[0]])
        for layer, bits in zip(stage.terms, stage.bits, strict=True)
    ]
    skips = [_Skip(layer, maps[layer.sources[0]], at, times[layer.sources[0]]) for layer in stage.shortcuts]
    shown = stage.shown(want)
    low = 0.0 if stage.curve is not None and bool((shown >= 0).all()) else stage.low
    clips = None if stage.last else Clips(shown, form.levels_of(low, stage.high))
    unit = torch.ones(z.shape[1]).double() if clips is None else clips.units(options.share)
    ends = None if clips is None or stage.curve is not None else _ends(unit, clips.levels)
    bias = sum([t.bias for t in terms] + [s.offset for s in skips], torch.zeros(z.shape[1]).double())
    rest = sum([s.counts * s.unit.float() for s in skips], torch.zeros_like(want))
    scale = step = torch.ones_like(unit)
    weights, gains = list[Tensor](), list[Tensor]()
    for k, term in enumerate(terms):
        beside = rest + sum([t.results(t.v) for t in terms[k + 1 :]], torch.zeros_like(want))
        if options.refit:
            term.refit(Aim(want, beside, bias, ends), options.ridge, len(z))
        if not k:
            finest = torch.stack([t.finest() for t in terms]).amax(0)
            source = skips[0].unit if skips else torch.zeros_like(unit)
            active = torch.ones_like(unit) if ends is None else (want > ends[0]).double().mean(0)
            if stage.curve is not None:
                scale = divided(finest.clamp(min=1e-30), source)
            else:
                scale, step = _grid(term, finest, source, unit, clips, form, options, active)
            gains = [torch.round(s.unit / scale) for s in skips]
            rest = sum([(g * scale).float() * s.counts for g, s in zip(gains, skips, strict=True)],
                       torch.zeros_like(want))
        whole = term.whole(scale, options.refit)
        weights.append(whole.flatten(0, 1).reshape(term.layer.weight.shape))
        rest += term.results(whole * scale.view(*whole.shape[:2], 1))
    if not terms:
        source = skips[0].unit
        widest = torch.inf if clips is None else clips.levels.widest
        scale, step = next(iter(form.grids(unit, source / 256, source, 8, widest)))
        gains = [torch.round(s.unit / scale) for s in skips]
        rest = sum([(g * scale).float() * s.counts for g, s in zip(gains, skips, strict=True)], torch.zeros_like(want))
    bias = _bias(want, rest, bias, ends)
    if clips is None:
        return Integers(weights, gains, step, (bias / scale).round(), scale)
    levels = clips.levels
    if stage.curve is not None:
        most = _most(stage, maps, weights, gains)
        stairs = Stairs.of(stage.curve.function, scale, bias, unit, most, levels.lo, levels.hi)
        none = torch.zeros_like(bias)
        return Integers(weights, gains, torch.ones_like(bias), none, stairs.unit, levels.lo, levels.hi, stairs)
    found = _fine(shown, rest, bias, scale, _steps(step, gains, scale, levels, form), levels)
    return Integers(weights, gains, *found, levels.lo, levels.hi)


def _most(stage: Stage, maps: Mapping[str, Map], weights: list[Tensor], gains: list[Tensor]) -> int:
    """A bound of the currents of ``stage``, of either sign."""
    most = torch.zeros(len(weights[0] if weights else gains[0])).double()
    for layer, w in zip(stage.terms, weights, strict=True):
        most = most + w.double().flatten(1).abs().sum(1) * maps[layer.sources[0]].magnitude
    for layer, gain in zip(stage.shortcuts, gains, strict=True):
        most = most + gain.abs() * maps[layer.sources[0]].magnitude
    return int(most.max())


def _ends(unit: Tensor, levels: Levels) -> Ends:
    """Below and above which (Co,) nothing shows of a layer whose ``levels`` are worth ``unit`` (Co,)."""
    return (unit * levels.lo).float().clamp(min=levels.low), (unit * levels.hi).float().clamp(max=levels.high)


def _grid(
    term: _Term, finest: Tensor, source: Tensor, unit: Tensor, clips: Clips | None, form: Form, options: Options,
    active: Tensor,
) -> tuple[Tensor, Tensor]:
    """Scale of the currents and step of the activation (Co,) of the least error that weights and levels make; one
    scale for all channels of a layer without activation."""
    if clips is None:
        common = finest.max().clamp(min=1e-30).expand_as(finest)
        shares = CLIPPED if term.bits <= FEW_BITS else CLIPPED[:1]
        grids = [(common * share, torch.ones_like(finest)) for share in shares]
    else:
        grids = list(form.grids(unit, finest, source, term.bits, clips.levels.widest))
    groups, rows, n = term.v.shape
    many = torch.cat([term.v / scale.view(groups, rows, 1) for scale, _ in grids], 1)
    if options.refit:
        _, lost = rounded(term.moments, many, term.low, term.high)
    else:
        lost = term.moments.loss(many.round().clamp(term.low, term.high) - many)
    lost = lost.view(groups, len(grids), rows).transpose(0, 1).flatten(1)
    lost = torch.stack([x * scale.square() for x, (scale, _) in zip(lost, grids, strict=True)])
    lost = lost / term.moments.q.shape[1]
    if clips is None:
        best = lost.sum(1).argmin().expand_as(finest)
    else:
        of_levels = torch.stack([clips.error(scale * step) for scale, step in grids]) / clips.values
        best = (lost * active + of_levels).argmin(0)
    scale, step = (torch.stack(x).gather(0, best[None])[0] for x in zip(*grids, strict=True))
    return scale, step


def _bias(want: Tensor, found: Tensor, bias: Tensor, ends: Ends | None) -> Tensor:
    """The bias (Co,) that goes with the results ``found`` (M, Co), which have none."""
    for _ in range(BIAS_TURNS):
        bias = (hidden(want, found + bias.float(), ends) - found).double().mean(0)
    return bias


def _steps(step: Tensor, gains: list[Tensor], scale: Tensor, levels: Levels, form: Form) -> list[Tensor]:
    """The steps that are tried: thresholds near ``step`` (Co,), and those on the levels of the shortcut, which it then
    keeps as they are; none is worth more than ``levels`` allow."""
    if form.kind == "values":
        return [step]
    near = [(step * share).round().clamp(min=1) for share in THRESHOLDS]
    near += [torch.where(gain > 0, gain, step) for gain in gains]
    return [within(tried, scale, levels.widest) for tried in near]


def _fine(
    aim: Tensor, found: Tensor, bias: Tensor, scale: Tensor, steps: list[Tensor], levels: Levels
) -> tuple[Tensor, Tensor, Tensor]:
    """Step, bias in integers, and what a level is worth (Co,), such that the results come nearest to ``aim`` (M, Co),
    those of the float network: the search of thresholds and offsets, each with the best worth of a level."""
    some = slice(None, None, max(1, len(aim) // FINE_PLACES))
    aim, total = aim[some], found[some] / scale.float()
    best = torch.full_like(bias, torch.inf)
    chosen = [steps[0], bias, scale * steps[0]]
    for tried in steps:
        for offset in OFFSETS:
            whole = (bias / scale + (0.5 + offset) * tried).round()
            y = counts(total + whole.float(), tried.float(), levels.lo, levels.hi)
            unit = (y * aim).sum(0).double() / y.square().sum(0).clamp(min=1)
            unit = torch.where(unit > 0, unit, scale * tried).clamp(max=levels.widest)
            lost = (y * unit.float() - aim).square().sum(0).double()
            better = lost < best * 0.9999
            best = torch.where(better, lost, best)
            chosen = [torch.where(better, new, old) for new, old in zip((tried, whole, unit), chosen, strict=True)]
    return chosen[0], chosen[1], chosen[2]
