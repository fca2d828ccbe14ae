"""Verification of a design: every word of every cycle on every boundary, in one of the simulators."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ..gen.design import Design
from ..gen.emit.origin import inspect
from ..hdl.cache import cache_folder
from ..quant import execute
from ..quant.files.replacing import replacing
from .chunk import Chunk, ChunkResult, Setup, frames_per_chunk
from .compare import Difference
from .pool import pool
from .ports import DesignPorts
from .predict import golden_words
from .reach import DesignReach
from .simulators.netlist import build_netlist
from .simulators.verilator import VerilatorModel
from .trace import SimulationError
from .views import AFTER, BEFORE, View, write_view

__all__ = ["SIMULATORS", "Outcome", "Simulator", "verify"]

Simulator = Literal["verilator", "cocotb", "cocotb-icarus", "amaranth"]
SIMULATORS: tuple[str, ...] = get_args(Simulator)

Progress = Callable[[str, float, int], None]


@dataclass(frozen=True)
class Outcome:
    """The result of a verification.

    Attributes: ``differences``, the first one of each boundary, the earliest first, none where all is equal;
    ``picture``, the earliest one with the transfers around it, for ``rich``; ``frames``, ``cycles``, ``transfers``,
    ``boundaries``, what was compared; ``names`` of the boundaries; ``classes``, the golden model's (N,); ``answers``,
    the classes in the words of the simulated design, of every whole frame on its last boundary, both (0,) where the
    network tells none; ``seconds`` of
    simulation, of all jobs together, and ``build_seconds``; ``cycles_per_second`` of a job; ``view``, the waveform with
    its views where one was asked for, and ``wave_error``, why there is none; ``netlist``, the family of the cells that
    were simulated, empty for the Verilog as it was generated, and ``cells``, their numbers by type; ``reach``, what the
    frames reached, by the golden model (``sim.reach``; where there is a difference, of those that were predicted until
    then); ``network_hash`` and ``verilog_sha256`` of the files: the Verilog that was simulated, or of which the netlist
    was made, empty where Amaranth simulated the design itself; ``edits``, what in the folder is not as the generator
    wrote it (``gen.emit.origin``), and ``allow_edited``, whether it may be so.
    """

    simulator: str
    differences: list[Difference]
    picture: Any
    frames: int
    boundaries: int
    transfers: int
    cycles: int
    classes: np.ndarray
    answers: np.ndarray
    seconds: float
    build_seconds: float
    cycles_per_second: float
    names: tuple[str, ...] = ()
    view: View | None = None
    netlist: str = ""
    cells: dict[str, int] = field(default_factory=dict)
    reach: DesignReach | None = None
    wave_error: str = ""
    network_hash: str = ""
    verilog_sha256: str = ""
    edits: tuple[str, ...] = ()
    allow_edited: bool = False

    @property
    def equal(self) -> bool:
        """Whether all words of all cycles are those of the prediction."""
        return not self.differences

    @property
    def passed(self) -> bool:
        """Whether all is equal, and what was verified is what the generator wrote, or may be another one."""
        return self.equal and (self.allow_edited or not self.edits)

    @property
    def waves(self) -> Path | None:
        """The waveform file, where one was asked for and there is a difference to show."""
        return self.view.waves if self.view else None


def verify(
    design: Design,
    contents: dict[str, Any],
    folder: Path,
    frames: np.ndarray,
    *,
    simulator: Simulator = "verilator",
    pauses: float = 0.0,
    seed: int = 0,
    resets: int | tuple[tuple[int, int], ...] = (),
    jobs: int = 1,
    netlist: str = "",
    plain: bool = False,
    allow_edited: bool = False,
    work: Path | None = None,
    cache: Path | None = None,
    waves: Path | None = None,
    reach: bool = True,
    progress: Progress = lambda _step, _done, _total: None,
) -> Outcome:
    """Simulate ``frames`` and compare with the prediction.

    Many frames are cut into chunks (``sim.chunk``), so that time and not memory grows with their number; the first
    chunk that differs ends the verification. In cocotb, and with given ``resets``, all frames are one chunk.

    Parameters: ``contents`` of ``design.json`` in ``folder``, which holds the Verilog; ``pauses``, the share of cycles
    in which the source and each sink pause at random (``sim.disturb``; ``seed``, in Verilator of what the registers
    start with too, ``sim.simulators.start``); ``resets``, pairs (cycle, frame), see ``make_stimulus``, or their number:
    they come at random, and no frame is lost; ``jobs``, processes that work at once (a program that asks for more than
    one needs ``if __name__ == "__main__"``); ``netlist``, a family of FPGAs: simulate what Yosys makes for it in place
    of the Verilog (``gen.targets.fpga.netlist``; Verilator only), and ``plain``, without leading the boundaries out, so
    that only the ports are compared; ``allow_edited``, whether an outcome passes with files that are not as generated;
    ``work``, a folder for files; ``cache``, one for builds (``hdl.cache``); ``waves``, a VCD file to write
    around the first difference, with its views beside it (Verilator); ``reach``, whether to look what the frames reach
    (not with ``plain``: at the ports alone much of it does not show).

    Raises SimulationError where a simulator is missing or fails, NetworkError where ``frames`` do not fit.
    """
    if simulator not in SIMULATORS:
        raise SimulationError(f"Simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    if netlist and simulator != "verilator":
        raise SimulationError(f"A netlist is simulated in verilator only, not in {simulator}")
    count, given = (resets, ()) if isinstance(resets, int) else (0, resets)
    if count < 0:
        raise ValueError(f"resets must not be negative, not {count}")
    if jobs < 1:
        raise ValueError(f"jobs must be a positive integer, not {jobs}")
    frames = design.network.check_frames(frames)
    if not len(frames):
        raise SimulationError("There are no frames to simulate")
    work = work if work is not None else folder / "sim"
    work.mkdir(parents=True, exist_ok=True)
    cache = cache if cache is not None else cache_folder()
    origin = inspect(folder, design, contents)
    contents = origin.contents
    ports = DesignPorts.from_json(contents)
    setup = Setup(design, ports, origin.verilog, simulator, pauses, seed, given, work, cache)
    cells: dict[str, int] = {}
    built = 0.0
    if netlist:
        progress(f"synthesis for {netlist}", 0, 0)
        found = build_netlist(folder, contents, netlist, cache, plain=plain)
        setup, cells, built = replace(setup, ports=found.ports, verilog=found.verilog), found.cells, found.build_seconds
    if simulator == "verilator":
        progress("building the simulator", 0, 0)
        model = VerilatorModel.build(
            setup.verilog, setup.ports, cache, optimize=_optimize(netlist), random_start=not netlist
        )
        setup, built = replace(setup, model=model), built + model.build_seconds
    whole = bool(given) or simulator.startswith("cocotb")
    size = len(frames) if whole else frames_per_chunk(design, len(frames), jobs)
    firsts = range(0, len(frames), size)
    classes: list[np.ndarray] = []
    reached = DesignReach(design) if reach and not plain else None

    def predicted(first: int, reach: DesignReach | None = None) -> tuple[Chunk, np.ndarray]:
        number, more = divmod(count, len(firsts))
        return _predicted(design, frames, first, size, number + (first // size < more), reach)

    def chunks() -> Iterator[Chunk]:
        for first in firsts:
            chunk, found = predicted(first, reached)
            classes.append(found)
            yield chunk

    def advance(done: float) -> None:
        progress(simulator, min(done * size, len(frames)), len(frames))

    advance(0)
    results = _run(setup, chunks(), min(jobs, len(firsts)), advance)
    last = results[-1]
    view, wave_error = None, ""
    if last.differences and waves is not None:
        progress("waveform", 0, 0)
        try:
            view = _view(setup, predicted(last.first)[0], last.differences[0], netlist, cache, waves)
        except (SimulationError, OSError) as error:  # the difference is worth more than its waveform
            wave_error = f"{waves}: no waveform was written: {error}"
    return Outcome(
        simulator,
        last.differences,
        last.picture,
        min(len(frames), len(results) * size),
        len(setup.infos),
        sum(result.transfers for result in results),
        sum(result.cycles for result in results),
        np.concatenate(classes[: len(results)]),
        np.concatenate([result.answers for result in results]),
        sum(result.seconds for result in results),
        built + sum(result.build_seconds for result in results),
        float(np.mean([result.speed for result in results])),
        tuple(info.name for info in setup.infos),
        view,
        netlist,
        cells,
        reached,
        wave_error,
        design.network.hash,
        origin.sha256 if simulator != "amaranth" else "",
        origin.edits,
        allow_edited,
    )


def _predicted(
    design: Design, frames: np.ndarray, first: int, size: int, resets: int, reach: DesignReach | None
) -> tuple[Chunk, np.ndarray]:
    """A chunk with the words of the golden model, and its classes; ``reach`` takes in what it reaches."""
    pixels = frames[first : first + size]
    result = execute.run(design.network, pixels)
    words = golden_words(design, result.outputs)
    if reach is not None:
        reach.add(result.outputs, words)
    classes = result.classes if design.network.classifies else np.zeros(0, np.int64)
    return Chunk(first, pixels, words, resets), classes


def _run(setup: Setup, chunks: Iterator[Chunk], jobs: int, advance: Callable[[float], None]) -> list[ChunkResult]:
    """The results of all chunks in order, up to the first that differs."""
    results: list[ChunkResult] = []
    if jobs == 1:
        for chunk in chunks:
            results.append(setup.check(chunk, lambda share: advance(len(results) + share)))
            advance(len(results))
            if results[-1].differences:
                break
        return results
    with pool(setup, jobs) as submit:
        waiting: deque[Future[ChunkResult]] = deque()
        left = True
        while left or waiting:
            # One chunk more than jobs is on its way, so that no job waits for it and memory stays bounded.
            while left and len(waiting) <= jobs:
                chunk = next(chunks, None)
                left = chunk is not None
                if chunk is not None:
                    waiting.append(submit(chunk))
            if waiting:
                results.append(waiting.popleft().result())
                advance(len(results))
                if results[-1].differences:
                    break
    return results


def _optimize(netlist: str) -> str:
    """Thousands of cells take the compiler minutes, and a netlist is simulated for a few frames only."""
    return "-O0" if netlist else "-O1"


def _view(
    setup: Setup, chunk: Chunk, difference: Difference, netlist: str, cache: Path, waves: Path
) -> View:
    """Simulate the chunk again, with a waveform of the cycles around the difference."""
    model = VerilatorModel.build(
        setup.verilog,
        setup.ports,
        cache,
        trace_waves=True,
        optimize=_optimize(netlist),
        random_start=not netlist,
    )
    with replacing(waves) as path:
        setup.show(chunk, difference.cycle, model, path, BEFORE, AFTER)
    return write_view(waves, setup.ports, difference.boundary, difference.cycle)
