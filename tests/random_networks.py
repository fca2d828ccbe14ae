"""Random integer networks, folds and environments for hypothesis: the structure is drawn, the weights follow a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import random_heads
import random_windows
from hypothesis import assume
from hypothesis import strategies as st

from spikeloom.gen.design import Design
from spikeloom.gen.emit.writer import performance
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.folding.rates import WordRates
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage, fold_choices, multiplies
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network, Signal
from spikeloom.quant.ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MaxPool,
    Node,
    Readout,
    Requant,
    SumPool,
)
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.quant.ir.ops.upsample import Upsample
from spikeloom.sim.disturb import SHORT, random_pauses
from spikeloom.sim.predict import make_stimulus
from spikeloom.sim.trace import Stimulus


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Convolutions (grouped and depthwise ones too, of values with other numbers than 0 around them), pools,
    upsamplings, residual blocks, one or two linear layers, one or two read-outs,
    maps beside them or in their place; initial membranes of channels or single neurons; neurons of
    all rules, or lossless ones, with a lower end too; T 1..16, or quantised."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="weights"))
    steps = draw(st.sampled_from([*range(1, 9), 12, 15, 16]), label="T")
    quantised = steps == 1 and draw(st.booleans(), label="quantised")
    rules = draw(st.sampled_from([["causal", "lossless", "signed"], ["lossless"]]), label="rules")
    shape = (draw(st.integers(1, 4)), draw(st.integers(2, 7)), draw(st.integers(2, 7)))
    nodes: list[Node] = [Input(name="input", shape=shape, high=draw(st.sampled_from([1, 2, 15, 255])))]
    sizes = {"input": shape}  # of values and spikes

    def grouped(name: str, inputs: int, outputs: int) -> int:
        return draw(st.sampled_from([g for g in range(1, inputs + 1) if not inputs % g + outputs % g]), label=name)

    def synapse(kind: type, name: str, weight_shape: tuple[int, ...], source: str = "", **geometry: Any) -> None:
        bits = draw(st.integers(1, 8), label=f"{name} bits")
        top = (1 << (bits - 1)) - 1
        weight, source = rng.integers(-top - (bits > 2), top + 1, weight_shape), source or nodes[-1].name
        if bits == 1:
            weight = rng.choice([-1, 1], weight_shape)
        if np.any(geometry.get("padding", 0)):
            geometry["pad"] = around(name, source)
        nodes.append(kind(name=name, source=source, weight=weight, weight_bits=bits, **geometry))

    def around(name: str, source: str) -> np.ndarray | None:
        """What stands around the result of ``source``: zeros, or of values numbers that it can have, all alike too."""
        signals: dict[str, Signal] = {}
        for node in nodes:
            signals[node.name] = node.signal([signals[before] for before in node.sources], steps)
        found = signals[source]
        kinds = ["", "", "alike", "each"] if found.kind == "values" else [""]
        if not (kind := draw(st.sampled_from(kinds), label=f"{name} pad")):
            return None
        numbers = rng.integers(found.low, found.high + 1, found.shape[0])
        return numbers if kind == "each" else np.full_like(numbers, numbers[0])

    def answer(channels: int, height: int = 1, width: int = 1) -> None:
        name = nodes[-1].name
        sizes[f"{name}_quant" if quantised else f"{name}_if"] = (channels, height, width)
        synapses = [node for node in nodes if isinstance(node, Conv2d | Linear)]
        weight = synapses[-1].weight
        scale = int(np.abs(weight).reshape(len(weight), -1).sum(1).max()) + 1
        if quantised and draw(st.integers(0, 2), label="staircase") == 0:
            count = draw(st.sampled_from([1, 2, 7, 15, 16, 40, 255]), label="thresholds")
            rows = draw(st.sampled_from([None, (), (channels,)]), label="values")  # none, of all channels, of each
            values = None if rows is None else rng.integers(-30, 31, (*rows, count + 1))
            if values is not None:
                values.flat[0] = 9  # not all 0
            nodes.append(
                Staircase(
                    name=f"{name}_quant",
                    source=name,
                    threshold=np.sort(rng.integers(-scale, 2 * scale + 1, (channels, count))),
                    low=draw(st.sampled_from([0, -(count // 2)]), label="low") if rows is None else 0,
                    values=values,
                )
            )
            return
        if quantised:
            low, high = draw(st.sampled_from([(0, 15), (0, 1), (0, 255), (-7, 7), (-8, 7)]))
            nodes.append(
                Requant(
                    name=f"{name}_quant",
                    source=name,
                    bias=rng.integers(-scale, scale + 1, channels),
                    shift=rng.integers(-2, 6, channels) if draw(st.booleans()) else np.full(channels, 3),
                    lo=low,
                    hi=high,
                )
            )
            return
        threshold = rng.integers(1, scale + 1, channels)
        v0 = threshold // 2
        if draw(st.integers(0, 3), label="v0 of every neuron") == 0:
            v0 = rng.integers(-scale, scale + 1, (channels, height, width))
        rule = draw(st.sampled_from(rules))
        low = draw(st.sampled_from([0, 0, -1, -steps]), label="low") if rule == "lossless" else 0
        nodes.append(
            IF(
                name=f"{name}_if",
                source=name,
                threshold=threshold,
                bias=rng.integers(-scale, scale + 1, channels) // 4,
                v0=v0,
                rule=rule,
                strict=draw(st.booleans()),
                low=low,
            )
        )

    def residual(name: str, c: int, h: int, w: int) -> tuple[int, int, int]:
        """One or two convolutions, and a shortcut past them: identity, zero-padded, or a convolution."""
        entry, stride = nodes[-1].name, draw(st.integers(1, 3))
        channels = c + draw(st.sampled_from([0, 0, 1, 2, c]), label="channels")
        size = ((h - 1) // stride + 1, (w - 1) // stride + 1)
        inner, steps_left = c, [stride, 1][: draw(st.integers(1, 2), label="depth")]
        for n, move in enumerate(steps_left):
            kernel, outer = draw(st.sampled_from([1, 3])), channels if n == len(steps_left) - 1 else 2
            groups = grouped(f"{name}_{n} groups", inner, outer)
            geometry = {"stride": move, "padding": kernel // 2, "groups": groups}
            synapse(Conv2d, f"{name}_{n}", (outer, inner // groups, kernel, kernel), **geometry)
            if n < len(steps_left) - 1:
                answer(outer, *size)
            inner = outer
        for n in range(draw(st.sampled_from([1, 1, 2]), label="shortcuts")):
            main, skip = nodes[-1].name, f"{name}_skip{n}"
            if draw(st.booleans(), label="convolution in the shortcut"):
                synapse(Conv2d, skip, (channels, c, 1, 1), entry, stride=stride)
            else:
                gain = rng.integers(-9, 30, channels)
                offset = draw(st.integers(0, channels - c), label="offset")
                nodes.append(Gain(name=skip, source=entry, gain=gain, stride=stride, offset=offset))
            pair = [main, skip] if draw(st.booleans(), label="order") else [skip, main]
            nodes.append(Add(name=f"{name}_add{n}", source=pair[0], other=pair[1]))
        answer(channels, *size)
        return channels, *size

    c, h, w = shape
    if draw(st.integers(0, 5), label="residual at the input") == 0:
        c, h, w = residual("first", c, h, w)
    for k in range(draw(st.sampled_from([1, 2, 0]), label="convolutions")):
        windows = random_windows.convolution(draw, (h, w))
        channels = draw(st.sampled_from([1, 2, 3, 4, 6, c, 2 * c]))
        groups = grouped(f"conv{k} groups", c, channels)
        geometry = {"stride": windows.stride, "padding": sum(windows.padding, ()), "dilation": windows.dilation}
        synapse(Conv2d, f"conv{k}", (channels, c // groups, *windows.kernel), groups=groups, **geometry)
        c, h, w = channels, *windows.places((h, w))
        answer(c, h, w)
        if draw(st.booleans(), label="pool"):
            last = nodes[-1]
            summing = getattr(last, "rule", "") == "signed" or draw(st.booleans())
            low = getattr(last, "lo", getattr(last, "lowest", getattr(last, "low", 0)))
            windows = random_windows.pool(draw, (h, w), padded=summing or low == 0)
            geometry = {"kernel": windows.kernel, "stride": windows.stride, "padding": sum(windows.padding, ())}
            nodes.append((SumPool if summing else MaxPool)(name=f"pool{k}", source=last.name, **geometry))
            h, w = windows.places((h, w))
            sizes[f"pool{k}"] = (c, h, w)
        if draw(st.integers(0, 3), label="upsampling") == 0:
            down, along = draw(st.sampled_from([(2, 2), (2, 2), (1, 2), (3, 1), (2, 3)]), label=f"up{k} factor")
            nodes.append(Upsample(name=f"up{k}", source=nodes[-1].name, factor=(down, along)))
            h, w = h * down, w * along
            sizes[f"up{k}"] = (c, h, w)
        if draw(st.booleans(), label="residual block"):
            c, h, w = residual(f"block{k}", c, h, w)
    main = nodes[-1].name
    if draw(st.integers(0, 3), label="further read-out") == 0:
        entry = draw(st.sampled_from(sorted(sizes)), label="read-out of")
        classes = draw(st.integers(1, 4))
        nodes.append(Flatten(name="exit flatten", source=entry))
        synapse(Linear, "exit", (classes, int(np.prod(sizes[entry]))))
        nodes.append(Readout(name="exit read-out", source="exit", bias=rng.integers(-20, 21, classes)))
    heads = draw(st.sampled_from([0, 0, 1, 2]), label="maps")
    for k in range(heads):
        random_heads.head(draw, k, sorted(sizes), sizes, synapse, quantised, nodes, rng)
    alone = heads and not any(isinstance(node, Readout) for node in nodes)
    if alone and draw(st.booleans(), label="maps only"):
        random_heads.head(draw, heads, [main], sizes, synapse, quantised, nodes, rng)
        return Network(tuple(nodes), steps)
    nodes.append(Flatten(name="flatten", source=main))
    n = c * h * w
    if draw(st.booleans(), label="hidden"):
        synapse(Linear, "hidden", (6, n))
        answer(6)
        n = 6
    classes = draw(st.integers(2, 5))
    synapse(Linear, "last", (classes, n))
    if quantised and draw(st.booleans(), label="quantised logits"):
        nodes.append(
            Requant(
                name="last_quant",
                source="last",
                bias=rng.integers(-9, 9, classes),
                shift=rng.integers(0, 4, classes),
                lo=-7,
                hi=7,
            )
        )
    nodes.append(Readout(name="readout", source=nodes[-1].name, bias=rng.integers(-20, 21, classes)))
    return Network(tuple(nodes), steps)


@st.composite
def designs(draw: st.DrawFn) -> Design:
    """A random network with a random fold for every stage, of those that can be built, packed ones too, products made
    by multipliers or not, or with those that the search finds for as many cycles, by random rates or without, with
    multipliers or none; spikes travel as counts where they can, or nowhere."""
    network = draw(networks())
    counts = draw(st.booleans(), label="counts")
    folds = {}
    for layer in layers(network, counts):
        choices = [replace(f, skip=skip) for skip in (False, True) for f in fold_choices(layer)]
        fitting = [f for f in choices if _fits(layer, f)]
        packed = (replace(f, packed=True) for f in fitting if not f.skip)
        fitting += [f for f in packed if _fits(layer, f)]  # none but with ``small_packing``
        assume(fitting)  # lanes may divide the channels of a zero-padded shortcut in no fold
        multiplied = [replace(f, multiply=True) for f in fitting if not f.skip and multiplies(layer, f)]
        multiplied = [f for f in multiplied if _fits(layer, f)]
        if multiplied and draw(st.booleans(), label=f"{layer.name} multiplied"):
            fitting = multiplied
        folds[layer.name] = draw(st.sampled_from(fitting), label=layer.name)
    design = Design(network, folds, counts)
    searched = draw(st.sampled_from(["no", "no", "no", "no", "dense", "rates"]), label="searched")
    if searched == "no":
        return design
    rates = None
    if searched == "rates":
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="rates"))
        frames = rng.integers(0, network.input.high + 1, (3, *network.input.shape))
        rates = WordRates(network, golden.run(network, frames * (rng.random(frames.shape) < 0.2)).outputs, counts)
    dsp = draw(st.sampled_from([0, 0, 3, 40]), label="multipliers")
    return search(network, performance(design)["interval"], counts=counts, rates=rates, dsp=dsp).design


def _fits(layer, fold: Fold) -> bool:
    try:
        build_stage(layer, fold)
    except PlanError:
        return False
    return True


@dataclass(frozen=True, repr=False)
class Run:
    """Frames for a design and what the environment does meanwhile."""

    frames: np.ndarray
    stimulus: Stimulus

    def __repr__(self) -> str:
        s = self.stimulus
        return (
            f"Run({len(self.frames)} frames, {s.cycles} cycles, pauses {s.source_pauses.sum()} and "
            f"{s.sink_pauses.sum()}, resets {s.resets})"
        )


@st.composite
def runs(draw: st.DrawFn, design: Design) -> Run:
    """Two or three frames back to back, pauses on both sides or none, and perhaps a reset in the middle."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="pixels"))
    frames = rng.integers(0, design.network.input.high + 1, (draw(st.integers(2, 3)), *design.network.input.shape))
    if draw(st.booleans(), label="extreme pixels"):
        frames[0] = design.network.input.high
    if draw(st.booleans(), label="sparse pixels"):
        frames[-1] *= rng.random(frames[-1].shape) < 0.1
    length = 3 * make_stimulus(design, frames).cycles
    longest = draw(st.sampled_from([SHORT, SHORT, length // (3 * len(frames))]), label="longest pause")
    source, *sinks = (
        random_pauses(rng, length, draw(st.sampled_from([0.0, 0.2, 0.7])), longest)
        for _ in range(1 + len(design.outputs))
    )
    resets: tuple[tuple[int, int], ...] = ()
    if draw(st.booleans(), label="reset"):
        resets = ((draw(st.integers(0, length // 6)), draw(st.integers(0, len(frames) - 1))),)
    return Run(frames, make_stimulus(design, frames, source_pauses=source, sink_pauses=np.stack(sinks), resets=resets))
