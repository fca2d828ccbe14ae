"""A design with frames at its ports: packets of pixels in, of results and maps out, counters and a soft reset.

All host sides (AXI, UART, boards) stand on this component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd
from operator import or_
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...hdl.cores.readout.spec import ReadoutSpec
from ...hdl.host.frames import CUT, CUT_WORD, GOOD, LONG, SHORT, Framer, Results, Verdicts, beat_signature, result_beats
from ...hdl.host.maps import MapForm, MapPort
from ...hdl.streams.gearbox import Gearbox, GearboxSpec
from ...hdl.streams.words import WordFormat
from ..design import Design, Top
from ..errors import PlanError

__all__ = ["CUT", "GOOD", "LONG", "SHORT", "Accelerator", "FrameResult", "check_outputs", "frame_bytes", "map_forms",
           "parse_result"]

COUNTERS = ("frames", "errors", "stalls_in", "stalls_out")


@dataclass(frozen=True)
class FrameResult:
    """What a result packet says: ``status`` (:data:`GOOD`, :data:`SHORT` or :data:`LONG`), the class ``label``, and the
    ``logits`` in the order of the classes."""

    status: int
    label: int
    logits: tuple[int, ...]


def parse_result(words: Sequence[int]) -> FrameResult:
    """Read the 32-bit words of a result packet; what a soft reset has cut has the status :data:`CUT` alone. Raises
    ValueError where there is no word."""
    if len(words) and int(words[-1]) == CUT_WORD:
        return FrameResult(CUT, 0, ())
    if not len(words):
        raise ValueError("A result has a word for the class and the status at least, not 0 words")
    head, *logits = (int(word) for word in words)
    return FrameResult(head >> 24, head & 0xFFFF, tuple((w ^ 1 << 31) - (1 << 31) for w in logits))


def check_outputs(design: Design) -> None:
    """Raise PlanError where ``design`` gives what a result packet has no room for."""
    if len(readouts := design.network.readouts) > 1:
        raise PlanError(
            f"A result packet has room for one read-out, this network has {len(readouts)}: "
            f"{', '.join(node.name for node in readouts)}; keep one, or use the plain top level"
        )


def map_forms(design: Design) -> dict[str, MapForm]:
    """By port the words of every map as hosts see them, in the order of the network. Raises PlanError, naming the map,
    where a number has no room in 32 bits."""
    found, ports = {}, {boundary.node: port for port, boundary in design.outputs.items()}
    for node in design.network.maps:
        boundary = design.outputs[ports[node.name]]
        try:
            found[ports[node.name]] = MapForm(boundary.format, boundary.words_per_frame)
        except ValueError as error:
            raise PlanError(f"{node.name}: {error}; use the plain top level") from None
    return found


def frame_bytes(design: Design, frames: np.ndarray) -> np.ndarray:
    """The packets of ``frames`` (N, C, H, W) as bytes (N, frame_bytes), uint8: row by row, pixel by pixel, the channels
    of a pixel side by side. Raises NetworkError where the frames do not fit the network."""
    frames = design.network.check_frames(frames)
    return np.ascontiguousarray(frames.transpose(0, 2, 3, 1)).reshape(len(frames), -1).astype(np.uint8)


class Accelerator(wiring.Component):
    """A design with frames at its ports.

    One packet in gives exactly one packet out, and one on every map: one that ends too early is filled with zeros, what
    is too long is thrown away until its last beat, and the status of the result says so (``hdl.host.frames``). The
    result of a frame is offered when its last beat has come, maps as they are computed; none waits for another output.
    The next frame may follow without a gap.

    Parameters: ``design``, with one read-out at most; ``lanes``, bytes of an input beat, a divisor of the bytes of a
    frame; None: the pixels of an input word of the design, which costs no conversion.
    Members: ``i``: In(beats of ``lanes`` pixels, a byte each, the first in the lowest byte, in the order of
    :func:`frame_bytes`; a byte above the highest pixel counts as the highest); ``o``: Out(beats of 32 bits): class in
    bits 15..0 and status in bits 31..24, then one beat a logit, sign-extended, none without a read-out; for every map
    ``o_<node>``: Out(beats of its :class:`~...hdl.host.maps.MapForm`), those of a frame a packet; ``soft_reset``:
    In(1), while high nothing moves at the ports and everything inside is in reset: frames under way are forgotten, the
    counters are zero; ``frames``, ``errors``: Out(32), results handed out, and those of them whose status is not good;
    ``stalls_in``, ``stalls_out``: Out(32), cycles in which valid met no ready at ``i`` and at ``o``; ``busy``: Out(1),
    a packet, a frame, a result or a map is under way. Counters start again from zero after 2**32 - 1.
    Attributes: ``maps``, the forms of the maps by port; ``result_words``, beats of a packet at ``o``.

    Raises PlanError where the design or ``lanes`` break one of these rules.
    """

    i: stream.Interface
    o: stream.Interface
    soft_reset: Signal
    frames: Signal
    errors: Signal
    stalls_in: Signal
    stalls_out: Signal
    busy: Signal

    def __init__(self, design: Design, lanes: int | None = None) -> None:
        check_outputs(design)
        entry = design.boundaries[0]
        self.frame_bytes = entry.words_per_frame * entry.format.lanes
        self.lanes = entry.format.lanes if lanes is None else lanes
        if self.lanes < 1 or self.frame_bytes % self.lanes:
            raise PlanError(
                f"Bytes of an input beat must divide the {self.frame_bytes} bytes of a frame, {self.lanes} do not"
            )
        self.design, self.readout, self.maps = design, _readout(design), map_forms(design)
        try:
            self.result_words = result_beats(self.readout) if self.readout else 1
        except ValueError as error:
            raise PlanError(f"{design.outputs['o'].node}: {error}") from None
        super().__init__(_members(self.lanes, self.maps) | {"soft_reset": In(1)})

    @property
    def map_outs(self) -> dict[str, stream.Interface]:
        """The streams of the maps by port."""
        return {port: getattr(self, port) for port in self.maps}

    @property
    def frame_beats(self) -> int:
        """Beats of a frame at ``i``."""
        return self.frame_bytes // self.lanes

    def elaborate(self, platform: object) -> Module:
        """Return the circuit."""
        m = Module()
        core = _Core(self)
        m.submodules.core = ResetInserter(self.soft_reset)(core)
        outs = [(getattr(core, port), out) for port, out in self.map_outs.items()]
        for outer, inner in ((self.i, core.i), (core.o, self.o), *outs):
            m.d.comb += [
                inner.valid.eq(outer.valid & ~self.soft_reset),
                inner.payload.eq(outer.payload),
                outer.ready.eq(inner.ready & ~self.soft_reset),
            ]
        m.d.comb += [getattr(self, name).eq(getattr(core, name)) for name in (*COUNTERS, "busy")]
        return m


def _members(lanes: int, maps: dict[str, MapForm]) -> dict[str, Any]:
    counters = {name: Out(32) for name in COUNTERS}
    outs = {port: Out(beat_signature(form.width)) for port, form in maps.items()}
    return {"i": In(beat_signature(8 * lanes)), "o": Out(beat_signature(32)), **outs, **counters, "busy": Out(1)}


def _readout(design: Design) -> ReadoutSpec | None:
    """The read-out of ``design``, None where it has maps alone."""
    if "o" not in design.outputs:
        return None
    name = design.outputs["o"].name
    spec = next(stage for stage in design.stages if stage.name == name).cores[-1]
    assert isinstance(spec, ReadoutSpec)
    return spec


class _Core(wiring.Component):
    """All of an :class:`Accelerator` that its soft reset resets."""

    i: stream.Interface
    o: stream.Interface
    busy: Signal

    def __init__(self, shell: Accelerator) -> None:
        self.shell = shell
        super().__init__(_members(shell.lanes, shell.maps))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shell, design = self.shell, self.shell.design
        form = design.boundaries[0].format
        m.submodules.top = top = Top(design)
        beat_form = WordFormat(shell.lanes, form.steps, form.low, form.high)
        depth = _frames_under_way(design, "o") if shell.readout else 2
        m.submodules.framer = framer = Framer(beat_form, shell.frame_beats, depth, guarded=bool(shell.maps))
        m.submodules.results = results = Results(shell.readout) if shell.readout else Verdicts()
        wiring.connect(m, wiring.flipped(self.i), framer.i)
        source = framer.o
        for k, spec in enumerate(_gearboxes(beat_form, form.lanes)):
            m.submodules[f"width{k}"] = gearbox = Gearbox(spec)
            wiring.connect(m, source, gearbox.i)
            source = gearbox.o
        wiring.connect(m, source, top.i)
        if isinstance(results, Results):
            wiring.connect(m, top.o, results.i)
        ports = [self._map(m, top, framer, port) for port in shell.maps]
        if ports:
            m.d.comb += framer.admits.eq(Cat(port.admits for port in ports).all())
        wiring.connect(m, framer.status, results.status)
        wiring.connect(m, results.o, wiring.flipped(self.o))

        ends = Signal()
        m.d.comb += [
            ends.eq(self.o.valid & self.o.ready & self.o.payload.last),
            # A status waits until the last beat of its result has left.
            self.busy.eq(reduce(or_, (port.busy for port in ports), framer.busy | framer.status.valid)),
        ]
        events = (
            ends,
            ends & (framer.status.payload != GOOD),
            self.i.valid & ~self.i.ready,
            self.o.valid & ~self.o.ready,
        )
        for name, event in zip(COUNTERS, events, strict=True):
            count = getattr(self, name)
            m.d.sync += count.eq(count + event)
        return m

    def _map(self, m: Module, top: Top, framer: Framer, port: str) -> MapPort:
        """Join the map at ``port``. A reader at the mean rate ends a frame up to an interval later."""
        core = MapPort(self.shell.maps[port], 1 + _frames_under_way(self.shell.design, port))
        m.submodules[port.removeprefix("o_") + "_map"] = core
        wiring.connect(m, getattr(top, port), core.i)
        wiring.connect(m, core.o, wiring.flipped(getattr(self, port)))
        m.d.comb += [core.last.eq(getattr(top, f"{port}__last")), core.closes.eq(framer.closes)]
        return core


def _gearboxes(form: WordFormat, lanes: int) -> list[GearboxSpec]:
    """Conversions from words of ``form`` to words of ``lanes``, over the common divisor where neither divides."""
    found = []
    for target in dict.fromkeys((gcd(form.lanes, lanes), lanes)):
        if target != form.lanes:
            found.append(GearboxSpec(form, target))
            form = found[-1].o_format
    return found


def _frames_under_way(design: Design, port: str) -> int:
    """Frames that may lie between the last pixel and the end of what comes at output ``port``, without the input having
    to wait."""
    timing = design.free_run
    pair = design.boundaries[0], design.outputs[port]
    come, gone = (timing.transfers[b.name][b.words_per_frame - 1 :: b.words_per_frame] for b in pair)
    interval = max(1, int(gone[-1] - gone[-2]))
    return 2 + int(max(gone - come)) // interval
