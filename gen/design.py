"""A design: a network with its folds, its stages, its boundaries, and the top level that joins them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..hdl.streams.counter import counter
from ..hdl.streams.stage import StageSpec
from ..quant.ir.network import Network
from .emit.names import Namespace, identifier
from .errors import PlanError
from .folding.fold import Fold
from .lowering import paced
from .lowering.layers import StageNodes, layers
from .lowering.occupancy import most_waiting
from .lowering.paced import credits_of_maps, with_credits
from .lowering.plan import build_stage
from .lowering.streams import Boundary, Element, connect, output_ports, with_depths, with_rows
from .lowering.timing import Timing, timing

__all__ = ["FRAMES", "Boundary", "Design", "Timing", "Top"]

FRAMES = 4
"""Frames of the run from which latency and interval are taken."""


@dataclass(frozen=True, eq=False)
class Design:
    """``network`` with a fold for every stage; ``counts``: spikes travel as their counts where all who take them add
    them up over time (``gen.lowering.counts``). Raises PlanError where a fold is missing, unknown or does not fit."""

    network: Network
    folds: dict[str, Fold]
    counts: bool = True

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if unknown := set(self.folds) - set(names):
            raise PlanError(f"{sorted(unknown)[0]}: no such stage; the stages are {', '.join(names)}")
        if missing := [name for name in names if name not in self.folds]:
            raise PlanError(f"{missing[0]}: no fold is given for this stage")
        _ = self._built

    @cached_property
    def layers(self) -> list[StageNodes]:
        """The network cut into stages."""
        return layers(self.network, self.counts)

    @property
    def _built(self) -> list[StageSpec]:
        """The stages, the FIFOs of their shortcuts without limit."""
        return self._running[0]

    @cached_property
    def _running(self) -> tuple[list[StageSpec], Timing | None]:
        """The stages, the FIFOs of their shortcuts without limit, and what the cycle law says of them, where it was
        asked.

        A stage whose shortcut comes later than its own input keeps more rows: as many as come before its first result
        where rings have no limit.
        """
        stages = [build_stage(layer, self.folds[layer.name]) for layer in self.layers]
        merging = [stage for stage in stages if stage.merges]
        if not merging:
            return stages, None
        if (run := self._freely(stages)).whole:
            return stages, run
        endless = self._freely(with_rows(stages, {s.name: FRAMES * s.window.height for s in merging}))
        if not endless.whole:
            raise PlanError(f"{merging[0].name}: its shortcut waits for a result of the stage itself")
        rows = {s.name: max(s.window.rows, endless.stages[s.name].rows_before) for s in merging}
        while not (run := self._freely(stages := with_rows(stages, rows))).whole:
            rows = {s.name: rows[s.name] + s.window.stride[0] for s in merging}
        return stages, run

    def _freely(
        self, stages: list[StageSpec], frames: int = FRAMES, sink_pauses: np.ndarray | tuple = ()
    ) -> Timing:
        elements, boundaries = connect(self.network, self.layers, stages)
        return timing(elements, boundaries, frames * boundaries[0].words_per_frame, sink_pauses=sink_pauses)

    @cached_property
    def free_run(self) -> Timing:
        """What the cycle law says for :data:`FRAMES` frames without pauses, in which no word is zero."""
        stages, run = self._running
        if run is not None:
            return run
        if self.network.maps:  # its stages are those of the run that is asked anyway
            boundaries = connect(self.network, self.layers, stages)[1]
            return self._freely_for_maps.first({b.name: FRAMES * b.words_per_frame for b in boundaries})
        return self._freely(stages)

    @cached_property
    def _freely_for_maps(self) -> Timing:
        return self._freely(self._merged, paced.FRAMES)

    @cached_property
    def stages(self) -> list[StageSpec]:
        """The stages in the order of the data.

        The FIFO of a shortcut has as many slots as words wait in it at most in a free run with FIFOs without limit.
        With them the same run goes on as before; and since a marked graph that can go on in one order of events can in
        any, no pauses of the environment can make it stop: the design is free of deadlock (``docs/cycles.md``).
        Where a stage up to the merge skips words, pixels come unevenly, and a shortcut that was full would hold up the
        fork: there the FIFO has room for all that the stages between fork and merge have room for.
        The FIFOs of maps have room for readers at the mean rate (:mod:`~.lowering.paced`).
        """
        if not self.network.maps:
            return self._merged
        boundaries = output_ports(self.network, connect(self.network, self.layers, self._merged)[1]).values()
        maps = {node.name for node in self.network.maps}
        outs = {b.name: b.words_per_frame if b.node in maps else 0 for b in boundaries}
        return with_credits(self._merged, credits_of_maps(self._merged, outs, self._freely_for_maps, self._freely))

    @cached_property
    def _merged(self) -> list[StageSpec]:
        """The stages with the FIFOs of their shortcuts."""
        if not any(stage.merges for stage in self._built):
            return self._built
        laws = self.free_run.stages
        most = most_waiting(self.layers, {stage.name: stage for stage in self._built})
        depths = {
            stage.name: [
                merge.holding(max(skip.occupied, room))
                for skip, room, merge in zip(laws[stage.name].skips, most[stage.name], stage.merges, strict=True)
            ]
            for stage in self._built
            if stage.merges
        }
        return with_depths(self._built, depths)

    @cached_property
    def _connected(self) -> tuple[list[Element], list[Boundary]]:
        return connect(self.network, self.layers, self.stages)

    @property
    def elements(self) -> list[Element]:
        """Stages, forks, width conversions and strided shortcuts, in the order of the data."""
        return self._connected[0]

    @property
    def boundaries(self) -> list[Boundary]:
        """All streams: the input first, an output last."""
        return self._connected[1]

    @cached_property
    def instances(self) -> dict[str, str]:
        """What the elements are called as instances in the top module, by name: as in the network, where that is an
        identifier."""
        given = Namespace(["clk", "rst"])
        return {e.name: given.give(identifier(e.name, "stage")) for e in self.elements}

    @cached_property
    def outputs(self) -> dict[str, Boundary]:
        """The output streams by port name: ``o`` of the last read-out, ``o_<node>`` of the others and of maps."""
        return output_ports(self.network, self.boundaries)

    def summed(self, boundary: Boundary) -> bool:
        """Whether the words of ``boundary`` carry the counts of spikes."""
        signal = self.network.signals[boundary.node]
        return signal.kind == "spikes" and boundary.format.steps < self.network.steps

    def words(self, frames: np.ndarray) -> np.ndarray:
        """Input words (n, limbs), uint32, of ``frames`` (N, C, H, W)."""
        return self.boundaries[0].format.pack(self._elements(self.network.check_frames(frames)))

    def _elements(self, frames: np.ndarray) -> np.ndarray:
        lanes = self.boundaries[0].format.lanes
        return frames.transpose(0, 2, 3, 1).reshape(-1, lanes, 1)

    def compute(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """The words (n, limbs) on every boundary, by the numpy models of the cores."""
        entry = self.boundaries[0]
        words = {entry.name: self._elements(self.network.check_frames(frames))}
        found = {entry.name: entry.format.pack(words[entry.name])}
        for element in self.elements:
            x, packed = element.spec.compute(*(words[name] for name in element.ins))
            for name in element.outs:
                words[name] = x
                found[name] = packed
        return found

    @property
    def sparse(self) -> bool:
        """Whether a stage skips words, so that the cycles depend on the frames."""
        return any(stage.window.chunk for stage in self.stages)

    def costs(self, words: Mapping[str, np.ndarray], frame: int = 0) -> dict[str, np.ndarray]:
        """What the scans of every stage that skips words cost (``WindowSpec.scan_costs``), from ``frame`` on.

        ``words`` (n, limbs) of whole frames on the boundaries; only those before such stages are looked at.
        """
        found, per_frame = {}, {b.name: b.words_per_frame for b in self.boundaries}
        for element in self.elements:
            if isinstance(element.spec, StageSpec) and element.spec.window.chunk:
                name = element.ins[0]
                events = np.any(words[name][frame * per_frame[name] :], axis=1)
                found[element.name] = element.spec.window.scan_costs(events)
        return found

    def law(
        self,
        words: int,
        source_pauses: np.ndarray | tuple = (),
        sink_pauses: np.ndarray | tuple = (),
        costs: Mapping[str, np.ndarray] | None = None,
    ) -> Timing:
        """The cycle of every transfer for ``words`` input words and the pauses of the environment
        (``hdl.streams.law``).

        ``sink_pauses`` (n,) of all sinks, or (outputs, n), a row for each in the order of :attr:`outputs`.

        ``costs`` of the frames (:meth:`costs`) for the stages that skip words; without, no word is zero.
        """
        return timing(self.elements, self.boundaries, words, source_pauses, sink_pauses, costs or {})


class Top(wiring.Component):
    """The top level of a :class:`Design`: streams ``i`` and ``o``, one ``o_<node>`` for every further read-out and
    for every map, beside each of which ``<port>__last`` is high with the last word of a frame; and for every boundary
    three wires ``bK__valid``, ``bK__ready`` and ``bK__payload`` that keep their names in the Verilog."""

    i: stream.Interface
    o: stream.Interface  # where the network tells classes

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "i": In(stream.Signature(design.boundaries[0].width)),
                **{port: Out(stream.Signature(b.width)) for port, b in design.outputs.items()},
                **{f"{port}__last": Out(1) for port in design.outputs},
            }
        )
        self.boundaries = {
            b.name: stream.Signature(b.width).create(path=(b.signal.rstrip("_"),)) for b in design.boundaries
        }

    @property
    def outs(self) -> list[stream.Interface]:
        """All output streams."""
        return [getattr(self, port) for port in self.design.outputs]

    @property
    def lasts(self) -> dict[str, tuple[Signal, int]]:
        """By boundary the port that marks the last word of a frame, and the words in one."""
        return {b.name: (getattr(self, f"{port}__last"), b.words_per_frame) for port, b in self.design.outputs.items()}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        streams = self.boundaries
        _join(m, self.i, streams[self.design.boundaries[0].name])
        for out, (port, boundary) in zip(self.outs, self.design.outputs.items(), strict=True):
            _join(m, streams[boundary.name], out)
            _, at_end = counter(m, boundary.words_per_frame, out.valid & out.ready, f"{port}_word")
            m.d.comb += getattr(self, f"{port}__last").eq(at_end)
        for k, element in enumerate(self.design.elements):
            core = element.spec.core()
            m.submodules[f"s{k}_{self.design.instances[element.name]}"] = core
            for inner, name in zip(core.ins, element.ins, strict=True):
                _join(m, streams[name], inner)
            for inner, name in zip(core.outs, element.outs, strict=True):
                _join(m, inner, streams[name])
        return m


def _join(m: Module, source: stream.Interface, sink: stream.Interface) -> None:
    m.d.comb += [
        sink.valid.eq(source.valid),
        sink.payload.eq(source.payload),
        source.ready.eq(sink.ready),
    ]
