"""The elements of a design and the streams between them: stages, forks, width conversions, strided shortcuts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...hdl.cores.merge.spec import MergeSpec
from ...hdl.streams.decimator import DecimatorSpec
from ...hdl.streams.element import ElementSpec
from ...hdl.streams.fork import ForkSpec
from ...hdl.streams.gearbox import GearboxSpec
from ...hdl.streams.stage import StageSpec
from ...hdl.streams.words import WordFormat
from ...quant.ir.network import Network
from ...quant.ir.ops import Output
from ..emit.names import Namespace, identifier
from .layers import StageNodes

__all__ = ["Boundary", "Element", "connect", "entry_lanes", "output_ports"]


@dataclass(frozen=True)
class Boundary:
    """A stream of the design.

    Attributes: ``name``; ``signal``, prefix of its wires in the top module (``b0_`` for ``b0__valid``); ``width``, bits
    of a word; ``format`` of the elements in its low bits; ``shape`` (C, H, W) of a frame: pixel by pixel, in a pixel
    ``lanes`` channels a word, of the first word fewer where ``lanes`` do not divide them (its first lanes are idle and
    hold 0); ``node`` of the network whose result it carries, of which it has every ``stride``-th pixel of every
    ``stride``-th row.
    """

    name: str
    signal: str
    width: int
    format: WordFormat
    shape: tuple[int, int, int]
    node: str
    stride: int = 1

    @property
    def words_per_frame(self) -> int:
        """Words of one frame."""
        c, h, w = self.shape
        return -(-c // self.format.lanes) * h * w

    @property
    def limbs(self) -> int:
        """32-bit limbs of a word."""
        return -(-self.width // 32)

    def frames(self, results: np.ndarray) -> np.ndarray:
        """The elements (n, lanes, T) of this stream, from the results of its node by the golden model: (N, C, H, W), or
        (N, T, C, H, W) where they change over time."""
        x = results[:, None] if results.ndim == 4 else results
        x = x[..., :: self.stride, :: self.stride].transpose(0, 3, 4, 2, 1)  # n y x c t
        if x.shape[-1] > self.format.steps:  # currents added up over time
            x = x.sum(-1, keepdims=True)
        if idle := -self.shape[0] % self.format.lanes:
            x = np.pad(x.reshape(-1, self.shape[0], self.format.steps), ((0, 0), (idle, 0), (0, 0)))
        return x.reshape(-1, self.format.lanes, self.format.steps)


@dataclass(frozen=True, eq=False)
class Element:
    """A part of the design between streams: a stage, a fork, a width conversion or a strided shortcut.

    Attributes: ``name``; ``spec``; ``ins`` and ``outs``, names of its streams.
    """

    name: str
    spec: ElementSpec
    ins: tuple[str, ...]
    outs: tuple[str, ...]


def _framed(shape: tuple[int, int, int], form: WordFormat) -> tuple[int, int, int]:
    """The shape as which words of ``form`` run over a frame: a vector where a word holds several pixels."""
    return shape if shape[0] % form.lanes == 0 else (shape[0] * shape[1] * shape[2], 1, 1)


_Reader = tuple[str, int | None]
"""Who takes a stream: a stage by its name, and the number of its shortcut, None for its input."""


class _Wiring:
    """Collects elements and boundaries in the order of the data.

    ``stages``: names of the network's own nodes, which its stages and their streams keep; whatever lies between them
    gets another name than all of these (:meth:`inner`).
    """

    def __init__(self, stages: Iterable[str]) -> None:
        self.elements: list[Element] = []
        self.boundaries: dict[str, Boundary] = {}
        self._taken = set(stages)

    def inner(self, name: str) -> str:
        """A name for what is no stage: ``name``, marked where a node or another stream has that already."""
        while name in self._taken:
            name += " (inner)"
        self._taken.add(name)
        return name

    def stream(
        self,
        name: str,
        width: int,
        form: WordFormat,
        shape: tuple[int, int, int],
        node: str,
        stride: int = 1,
        *,
        idle: bool = False,
    ) -> str:
        """A new stream; return its name. ``idle``: the first word of a pixel has idle lanes."""
        if name in self.boundaries:
            raise AssertionError(f"Two streams are called {name!r}")
        signal = f"b{len(self.boundaries)}_"
        shape = shape if idle else _framed(shape, form)
        self.boundaries[name] = Boundary(name, signal, width, form, shape, node, stride)
        return name

    def like(self, name: str, source: str, form: WordFormat, channels: int = 0) -> str:
        """A stream of the same elements as ``source`` in words of ``form``; ``channels`` of a pixel, where the first
        word of each has idle lanes."""
        before = self.boundaries[source]
        shape = before.shape
        if channels and shape[0] != channels:
            shape = (channels, int(np.prod(shape)) // channels, 1)
        return self.stream(self.inner(name), form.width, form, shape, before.node, before.stride, idle=channels > 0)

    def gearboxes(self, name: str, source: str, lanes: int, channels: int) -> str:
        """Conversions of ``source`` to words of ``lanes``, over the common divisor where neither divides the other; of
        pixels of ``channels``, where ``lanes`` do not divide these."""
        form = self.boundaries[source].format
        common = int(np.gcd(form.lanes, lanes))
        targets = [t for t in dict.fromkeys((common, lanes)) if t != form.lanes]
        for k, target in enumerate(targets):
            short = channels if target == lanes and channels % lanes else 0
            gearbox = GearboxSpec(self.boundaries[source].format, target, short)
            end = self.like(f"{name}{k}" if len(targets) > 1 else name, source, gearbox.o_format, short)
            self.elements.append(Element(end, gearbox, (source,), (end,)))
            source = end
        return source

    def decimator(self, name: str, source: str, stride: int) -> str:
        """Every ``stride``-th pixel of ``source``."""
        before = self.boundaries[source]
        c, h, w = before.shape
        spec = DecimatorSpec(before.format, c // before.format.lanes, h, w, stride)
        shape = (c, -(-h // stride), -(-w // stride))
        name = self.inner(name)
        self.stream(name, before.width, before.format, shape, before.node, stride)
        self.elements.append(Element(name, spec, (source,), (name,)))
        return name


def connect(
    network: Network, layers: list[StageNodes], stages: list[StageSpec]
) -> tuple[list[Element], list[Boundary]]:
    """Elements and boundaries of the design, the input's boundary first, in the order of the data."""
    wiring = _Wiring(layer.name for layer in layers)
    node, shape = network.input.name, network.input.shape
    reader, taker = next((layer, s) for layer, s in zip(layers, stages, strict=True) if layer.input == node)
    first = replace(taker.i_format, lanes=entry_lanes(network, reader, taker.i_format.lanes))
    entry = wiring.stream(wiring.inner("i"), first.width, first, shape, node)
    readers: dict[str, list[_Reader]] = {}  # stages and shortcuts that take the result of a node
    for layer in layers:
        readers.setdefault(layer.input, []).append((layer.name, None))
        for k, skip in enumerate(layer.shortcuts):
            readers.setdefault(skip.node, []).append((layer.name, k))
    shown = {(layer.name, k): _shown(layer, k) for layer in layers for k in (None, *range(len(layer.shortcuts)))}
    source: dict[tuple[str, _Reader], str] = {}  # the stream of a node for a reader

    def offer(node: str, name: str) -> None:
        takers = readers.get(node, [])
        if len(takers) < 2:
            source.update({(node, reader): name for reader in takers})
            return
        form = wiring.boundaries[name].format
        branches = [wiring.like(f"{name} to {shown[reader]}", name, form) for reader in takers]
        fork = ForkSpec(form, len(takers))
        wiring.elements.append(Element(wiring.inner(f"{name}.fork"), fork, (name,), tuple(branches)))
        source.update({(node, reader): branch for reader, branch in zip(takers, branches, strict=True)})

    offer(network.input.name, entry)
    for layer, stage in zip(layers, stages, strict=True):
        reader = (layer.name, None)
        entry, lanes = source[layer.input, reader], stage.i_format.lanes
        ins = [wiring.gearboxes(f"{layer.name}.width", entry, lanes, layer.channels[1])]
        for k, (skip, merge) in enumerate(zip(layer.shortcuts, stage.merges, strict=True)):
            name = _shown(layer, k)
            stream = source[skip.node, (layer.name, k)]
            if skip.stride > 1:
                stream = wiring.decimator(f"{name}.stride", stream, skip.stride)
            ins.append(wiring.gearboxes(f"{name}.width", stream, merge.shortcut_format.lanes, 0))
        for stream, form in zip(ins, (stage.i_format, *(merge.shortcut_format for merge in stage.merges)), strict=True):
            if (found := wiring.boundaries[stream].format) != form:
                raise AssertionError(f"{layer.name}: takes words {form}, but the stream {stream!r} has {found}")
        node = layer.nodes[-1].name
        wiring.stream(layer.name, stage.o_width, stage.o_format, network.signals[node].shape, node)
        wiring.elements.append(Element(layer.name, stage, tuple(ins), (layer.name,)))
        offer(node, layer.name)
    return wiring.elements, list(wiring.boundaries.values())


def entry_lanes(network: Network, reader: StageNodes, lanes: int) -> int:
    """Channels in an input word of the design, where the first stage that takes it, ``reader``, has words of ``lanes``:
    as many, or where some of these would be idle the most of which none is; all channels of a pixel where there are
    several readers, one of which may go pixel by pixel."""
    node, channels = network.input.name, network.input.shape[0]
    if len(network.takers[node]) > 1 and channels % lanes:
        return channels
    return int(np.gcd(lanes, reader.channels[1]))


def output_ports(network: Network, boundaries: Sequence[Boundary]) -> dict[str, Boundary]:
    """The output streams by port name: ``o`` of the last read-out, which gives the class, ``o_<node>`` of the others
    and of all maps, in the order of the data.

    A name is made an identifier, and gets a number where another one is the same but for case.
    """
    outs = [b for b in boundaries if isinstance(network[b.node], Output)]
    given = Namespace()
    named = outs[: len(outs) - network.classifies]
    found = {f"o_{given.give(identifier(b.node, '1', words=True))}": b for b in named}
    return found | ({"o": outs[-1]} if network.classifies else {})


def _shown(layer: StageNodes, k: int | None) -> str:
    """What the streams to a reader are called after: the stage, or its shortcut number ``k``."""
    return layer.name if k is None else f"{layer.name}.skip{k if len(layer.shortcuts) > 1 else ''}"


def with_depths(stages: list[StageSpec], depths: dict[str, list[int]]) -> list[StageSpec]:
    """``stages`` with FIFOs of ``depths`` words for their shortcuts."""
    found = []
    for stage in stages:
        left = iter(depths.get(stage.name, ()))
        cores = tuple(replace(c, depth=next(left)) if isinstance(c, MergeSpec) else c for c in stage.cores)
        found.append(replace(stage, cores=cores))
    return found


def with_rows(stages: list[StageSpec], rows: dict[str, int]) -> list[StageSpec]:
    """``stages``, the windows of those named with so many ``rows``."""
    return [
        replace(stage, window=replace(stage.window, rows=rows[stage.name])) if stage.name in rows else stage
        for stage in stages
    ]
