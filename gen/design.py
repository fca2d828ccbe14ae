"""A design: a network with its folds, its stages, its boundaries, and the top level that joins them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..hdl.flow import Gearbox, GearboxLaw, GearboxSpec
from ..hdl.law import Gate, Link, SinkLaw, SourceLaw, solve
from ..hdl.stage import Stage, StageSpec
from ..hdl.window_law import WindowLaw
from ..hdl.words import WordFormat
from ..quant.network import Network
from .plan import Fold, Layer, PlanError, build_stage, join, layers

__all__ = ["Boundary", "Design", "Top"]


@dataclass(frozen=True)
class Boundary:
    """A stream of the design.

    Attributes: ``name``; ``signal``, prefix of its wires in the top module (``b0_`` for ``b0__valid``); ``width``, bits
    of a word; ``format`` of the elements in its low bits; ``shape`` (C, H, W) of a frame: pixel by pixel, in a pixel
    ``lanes`` channels a word; ``node`` of the network whose result it carries.
    """

    name: str
    signal: str
    width: int
    format: WordFormat
    shape: tuple[int, int, int]
    node: str

    @property
    def words_per_frame(self) -> int:
        """Words of one frame."""
        c, h, w = self.shape
        return c * h * w // self.format.lanes

    @property
    def limbs(self) -> int:
        """32-bit limbs of a word."""
        return -(-self.width // 32)


def _framed(shape: tuple[int, int, int], form: WordFormat) -> tuple[int, int, int]:
    """The shape as which words of ``form`` run over a frame: a vector where a word holds several pixels."""
    return shape if shape[0] % form.lanes == 0 else (shape[0] * shape[1] * shape[2], 1, 1)


@dataclass(frozen=True, eq=False)
class Design:
    """``network`` with a fold for every stage. Raises PlanError where a fold is missing, unknown or does not fit."""

    network: Network
    folds: dict[str, Fold]

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if unknown := set(self.folds) - set(names):
            raise PlanError(f"{sorted(unknown)[0]}: no such stage; the stages are {', '.join(names)}")
        if missing := [name for name in names if name not in self.folds]:
            raise PlanError(f"{missing[0]}: no fold is given for this stage")
        _ = self.stages

    @cached_property
    def layers(self) -> list[Layer]:
        """The network cut into stages."""
        return layers(self.network)

    @cached_property
    def stages(self) -> list[StageSpec]:
        """The stages in the order of the data."""
        return [build_stage(layer, self.folds[layer.name]) for layer in self.layers]

    @cached_property
    def chain(self) -> list[StageSpec | tuple[str, GearboxSpec]]:
        """Stages and the width conversions between them."""
        return join(self.stages)

    @cached_property
    def boundaries(self) -> list[Boundary]:
        """All streams: the input, then the output of every element of the chain."""
        signals = self.network.signals
        ends = {layer.name: layer.nodes[-1].name for layer in self.layers}
        first = self.stages[0].i_format
        node = self.network.input.name
        found = [Boundary("i", "b0_", first.width, first, _framed(signals[node].shape, first), node)]
        for k, element in enumerate(self.chain, 1):
            if isinstance(element, StageSpec):
                node = ends[element.name]
                found.append(
                    Boundary(element.name, f"b{k}_", element.o_width, element.o_format, signals[node].shape, node)
                )
            else:
                name, gearbox = element
                form = gearbox.o_format
                found.append(Boundary(name, f"b{k}_", form.width, form, _framed(signals[node].shape, form), node))
        return found

    def words(self, frames: np.ndarray) -> np.ndarray:
        """Input words (n, limbs), uint32, of ``frames`` (N, C, H, W)."""
        return self.boundaries[0].format.pack(self._elements(self.network.check_frames(frames)))

    def _elements(self, frames: np.ndarray) -> np.ndarray:
        lanes = self.boundaries[0].format.lanes
        return frames.transpose(0, 2, 3, 1).reshape(-1, lanes, 1)

    def compute(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """The words (n, limbs) on every boundary, by the numpy models of the cores."""
        x = self._elements(self.network.check_frames(frames))
        found = {"i": self.boundaries[0].format.pack(x)}
        for element in self.chain:
            if isinstance(element, StageSpec):
                x, found[element.name] = element.compute(x)
            else:
                name, gearbox = element
                x = gearbox.compute(x)
                found[name] = gearbox.o_format.pack(x)
        return found

    def law(self, words: int, source_pauses: np.ndarray | tuple = (), sink_pauses: np.ndarray | tuple = ()) -> Timing:
        """The cycle of every transfer for ``words`` input words and the pauses of the environment (``hdl.law``)."""
        links = [Link(source=Gate(source_pauses))] + [Link() for _ in self.chain[:-1]] + [Link(sink=Gate(sink_pauses))]
        processes = [
            element.law(i, o) if isinstance(element, StageSpec) else GearboxLaw(element[1], i, o)
            for element, i, o in zip(self.chain, links, links[1:], strict=False)
        ]
        solve([SourceLaw(words, links[0]), *processes, SinkLaw(links[-1])])
        return Timing(
            {b.name: np.array(link.taken, np.int64) for b, link in zip(self.boundaries, links, strict=True)},
            {
                e.name: p
                for e, p in zip(self.chain, processes, strict=True)
                if isinstance(e, StageSpec) and isinstance(p, WindowLaw)
            },
        )


@dataclass(frozen=True)
class Timing:
    """What the cycle law says: ``transfers``, cycles by boundary; ``stages``, the solved laws of the stages."""

    transfers: dict[str, np.ndarray]
    stages: dict[str, WindowLaw]


class Top(wiring.Component):
    """The top level of a :class:`Design`: streams ``i`` and ``o``, and for every boundary three wires ``bK__valid``,
    ``bK__ready`` and ``bK__payload`` that keep their names in the Verilog."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "i": In(stream.Signature(design.boundaries[0].width)),
                "o": Out(stream.Signature(design.boundaries[-1].width)),
            }
        )
        self.boundaries = {
            b.name: stream.Signature(b.width).create(path=(b.signal.rstrip("_"),)) for b in design.boundaries
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wires = list(self.boundaries.values())
        m.d.comb += [
            wires[0].valid.eq(self.i.valid),
            wires[0].payload.eq(self.i.payload),
            self.i.ready.eq(wires[0].ready),
            self.o.valid.eq(wires[-1].valid),
            self.o.payload.eq(wires[-1].payload),
            wires[-1].ready.eq(self.o.ready),
        ]
        for k, (element, i, o) in enumerate(zip(self.design.chain, wires, wires[1:], strict=False)):
            core = Stage(element) if isinstance(element, StageSpec) else Gearbox(element[1])
            name = element.name if isinstance(element, StageSpec) else element[0]
            m.submodules[f"s{k}_{''.join(c if c.isalnum() else '_' for c in name)}"] = core
            m.d.comb += [
                core.i.valid.eq(i.valid),
                core.i.payload.eq(i.payload),
                i.ready.eq(core.i.ready),
                o.valid.eq(core.o.valid),
                o.payload.eq(core.o.payload),
                core.o.ready.eq(o.ready),
            ]
        return m
