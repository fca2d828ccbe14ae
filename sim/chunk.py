"""A chunk of frames: predicted, simulated and compared. Frames follow each other without a gap inside a chunk; the
simulation of each chunk starts from reset, so that chunks can be done in any order and in several processes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..gen.design import Design, Top
from .compare import BoundaryInfo, Difference, compare, summarize
from .disturb import SHORT, random_environment, random_resets
from .ports import DesignPorts
from .predict import Laws, boundary_infos, foresee, readout
from .show import difference_table
from .simulators.amaranth_sim import run_amaranth
from .simulators.cocotb_run import run_cocotb
from .simulators.verilator import VerilatorModel
from .trace import Stimulus, Trace

__all__ = ["FRAMES", "TRACE_BYTES", "Chunk", "ChunkResult", "Setup", "frames_per_chunk"]

FRAMES = 100
"""Frames in a chunk at most."""

LEAST_FRAMES = 4
"""Frames in a chunk at least, where there are so many: fewer would hardly meet each other in the design."""

TRACE_BYTES = 64_000_000
"""What the transfers of a chunk may take."""

Advance = Callable[[float], None]


@dataclass(frozen=True)
class Chunk:
    """Frames from number ``first`` on: ``pixels`` (N, C, H, W), ``words`` of all boundaries by the golden model, and
    the number of ``resets`` at random among them."""

    first: int
    pixels: np.ndarray
    words: dict[str, np.ndarray]
    resets: int


@dataclass(frozen=True)
class ChunkResult:
    """What came of a chunk: its ``differences``, the earliest first, frames counted from the first of all; ``picture``
    of the earliest; ``answers``, the simulated classes, where there are any; ``transfers`` and ``cycles``
    compared; ``seconds`` of simulation without ``build_seconds``; ``speed`` in cycles per second."""

    first: int
    differences: list[Difference]
    picture: Any
    answers: np.ndarray
    transfers: int
    cycles: int
    seconds: float
    build_seconds: float
    speed: float


def frames_per_chunk(design: Design, frames: int, jobs: int) -> int:
    """Frames of a chunk, so that its trace stays below :data:`TRACE_BYTES` and every job has one."""
    frame = sum(b.words_per_frame * (8 + 4 * -(-b.width // 32)) for b in design.boundaries)
    return max(LEAST_FRAMES, min(FRAMES, TRACE_BYTES // (2 * frame), -(-frames // jobs)))


@dataclass(frozen=True)
class Setup:
    """What all chunks have in common; it travels to other processes.

    Attributes: ``ports``, with the boundaries that are compared; ``verilog``, the file; ``pauses``, the share of paused
    cycles, at random by ``seed`` and the chunk; ``resets``, pairs (cycle, frame) in every chunk; ``work``, a folder for
    files; ``cache``, one for builds; ``model``, the program of the simulator "verilator".
    """

    design: Design
    ports: DesignPorts
    verilog: Path
    simulator: str
    pauses: float
    seed: int
    resets: tuple[tuple[int, int], ...]
    work: Path
    cache: Path
    model: VerilatorModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("infos", "laws")}

    @cached_property
    def laws(self) -> Laws:
        """The cycle law, remembered."""
        return Laws(self.design)

    @cached_property
    def infos(self) -> list[BoundaryInfo]:
        """The boundaries that are compared."""
        names = {port.name for port in self.ports.boundaries}
        return [info for info in boundary_infos(self.design) if info.name in names]

    def foresee(self, chunk: Chunk) -> tuple[Stimulus, Trace]:
        """Stimulus and prediction of ``chunk``."""
        law, outputs = self.laws, list(self.design.outputs.values())
        source, sinks, resets = np.zeros(0, bool), np.zeros((len(outputs), 0), bool), self.resets
        rng = np.random.default_rng([self.seed, chunk.first])
        if self.pauses:
            free = law(len(chunk.pixels) * self.design.boundaries[0].words_per_frame)
            run = max(int(times[-1]) for times in free.transfers.values()) + 1
            sent = int(free.transfers[self.design.boundaries[0].name][-1])
            length = int(2 * run / max(0.05, 1 - self.pauses))
            frame = max(SHORT, run // len(chunk.pixels))
            words = [self.design.boundaries[0].words_per_frame, *(b.words_per_frame for b in outputs)]
            source, sinks = random_environment(rng, run, length, self.pauses, words, frame, run - sent)
        if chunk.resets:
            resets = random_resets(self.design, rng, chunk.resets, chunk.words, source, sinks, law)
        stimulus, trace = foresee(
            self.design, chunk.pixels, chunk.words, source_pauses=source, sink_pauses=sinks, resets=resets, law=law
        )
        return stimulus, replace(trace, boundaries={info.name: trace.boundaries[info.name] for info in self.infos})

    def check(self, chunk: Chunk, advance: Advance = lambda _share: None) -> ChunkResult:
        """Predict, simulate and compare; ``advance`` is called with the share that is done."""
        stimulus, expected = self.foresee(chunk)
        start = time.perf_counter()
        got, built, speed = self._simulate(stimulus, advance)
        seconds = time.perf_counter() - start - built
        differences = compare(expected, got, self.infos, stimulus.resets)
        picture = None
        if differences:
            info = next(i for i in self.infos if i.name == differences[0].boundary)
            differences = [replace(d, frame=d.frame + chunk.first, start=chunk.first) for d in differences]
            picture = difference_table(differences[0], expected, got, info)
        covered = summarize(expected, stimulus.cycles)
        answers = np.zeros(0, np.int64)
        if self.design.network.classifies:
            answers = readout(self.design).answers(self._answered(got, stimulus))
        return ChunkResult(
            chunk.first,
            differences,
            picture,
            answers,
            covered.transfers,
            covered.cycles,
            seconds,
            built,
            speed or stimulus.cycles / max(seconds, 1e-9),
        )

    def _answered(self, got: Trace, stimulus: Stimulus) -> np.ndarray:
        """The words of the last boundary, without those of a frame that a reset cut off."""
        last = self.design.boundaries[-1]
        transfers = got.boundaries[last.name]
        cuts = np.searchsorted(transfers.cycles, [cycle for cycle, _ in stimulus.resets])
        parts = np.split(transfers.words, cuts)
        return np.concatenate([part[: len(part) - len(part) % last.words_per_frame] for part in parts])

    def show(self, chunk: Chunk, cycle: int, model: VerilatorModel, waves: Path, before: int, after: int) -> None:
        """Simulate ``chunk`` up to some cycles after ``cycle``, and write a waveform of those around it."""
        stimulus, _ = self.foresee(chunk)
        last = cycle + after
        stimulus = replace(
            stimulus, cycles=last + 1, resets=tuple(reset for reset in stimulus.resets if reset[0] <= last)
        )
        with tempfile.TemporaryDirectory(prefix="run-", dir=self.work) as folder:
            model.run(stimulus, Path(folder), (waves, max(0, cycle - before), last), seed=self.seed)

    def _simulate(self, stimulus: Stimulus, advance: Advance) -> tuple[Trace, float, float]:
        if self.simulator == "amaranth":
            top = Top(self.design)
            return run_amaranth(top, top.boundaries, stimulus, top.outs, top.lasts), 0.0, 0.0
        if self.model is not None:
            with tempfile.TemporaryDirectory(prefix="run-", dir=self.work) as folder:
                trace = self.model.run(
                    stimulus, Path(folder), seed=self.seed, progress=lambda done, total: advance(done / max(1, total))
                )
            return trace, 0.0, trace.speed
        engine = "icarus" if self.simulator == "cocotb-icarus" else "verilator"
        return *run_cocotb(self.verilog, self.ports, stimulus, self.work / self.simulator, engine, self.cache), 0.0
