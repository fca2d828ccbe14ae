"""Verification of a design: every word of every cycle on every boundary, in one of the simulators."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ..gen.design import Design, Top
from ..quant import golden
from .amaranth_sim import run_amaranth
from .cocotb_run import run_cocotb
from .compare import Difference, compare, summarize
from .ports import DesignPorts
from .predict import boundary_infos, golden_words, make_stimulus, predict, random_pauses, readout
from .show import difference_table
from .trace import SimulationError, Stimulus, Trace
from .verilator import VerilatorModel

__all__ = ["SIMULATORS", "Outcome", "Simulator", "verify"]

Simulator = Literal["verilator", "cocotb", "cocotb-icarus", "amaranth"]
SIMULATORS: tuple[str, ...] = get_args(Simulator)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outcome:
    """The result of a verification.

    Attributes: ``differences``, the first one of each boundary, the earliest first, none where all is equal;
    ``picture``, the earliest one with the transfers around it, for ``rich``; ``frames``, ``cycles``, ``transfers``,
    ``boundaries``, what was compared; ``classes``, the golden model's (N,); ``answers``, the classes in the words of
    the simulated design, of every whole frame on its last boundary; ``seconds`` of simulation and ``build_seconds``;
    ``cycles_per_second``; ``waves``, the waveform file where one was asked for.
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
    waves: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether all is equal."""
        return not self.differences


def verify(
    design: Design,
    contents: dict[str, Any],
    folder: Path,
    frames: np.ndarray,
    *,
    simulator: Simulator = "verilator",
    pauses: float = 0.0,
    seed: int = 0,
    resets: tuple[tuple[int, int], ...] = (),
    work: Path | None = None,
    waves: Path | None = None,
    progress: Progress = lambda _step, _done, _total: None,
) -> Outcome:
    """Simulate ``frames`` and compare with the prediction.

    Parameters: ``contents`` of ``design.json`` in ``folder``, which holds the Verilog; ``pauses``, the share of cycles
    in which source and sink pause at random (``seed``, of what the
    registers of an ASIC start with too); ``resets``, pairs (cycle, frame), see ``make_stimulus``;
    ``work``, a folder for builds and files; ``waves``, a VCD file to write around the first difference (Verilator).

    Raises SimulationError where a simulator is missing or fails, NetworkError where ``frames`` do not fit.
    """
    if simulator not in SIMULATORS:
        raise SimulationError(f"Simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    work = work if work is not None else folder / "sim"
    progress("golden model", 0, len(frames))
    result = golden.run(design.network, frames)
    progress("cycle law", 0, 0)
    words = golden_words(design, result.outputs)
    stimulus = make_stimulus(design, frames, words=words)
    if pauses or resets:
        rng = np.random.default_rng(seed)
        length = int(2 * stimulus.cycles / max(0.05, 1 - pauses)) if pauses else 0
        stimulus = make_stimulus(
            design,
            frames,
            source_pauses=random_pauses(rng, length, pauses),
            sink_pauses=random_pauses(rng, length, pauses),
            resets=resets,
            words=words,
        )
    expected = predict(design, stimulus, words)
    progress(simulator, 0, stimulus.cycles)
    start = time.perf_counter()
    got, build_seconds, speed = _simulate(design, contents, folder, stimulus, simulator, work, progress, seed)
    seconds = time.perf_counter() - start - build_seconds
    infos = boundary_infos(design)
    differences = compare(expected, got, infos, stimulus.resets)
    covered = summarize(expected, stimulus.cycles)
    picture = None
    if differences:
        info = next(i for i in infos if i.name == differences[0].boundary)
        picture = difference_table(differences[0], expected, got, info)
        if waves is not None:
            _write_waves(contents, folder, stimulus, work, waves, differences[0].cycle)
    return Outcome(
        simulator,
        differences,
        picture,
        len(frames),
        covered.boundaries,
        covered.transfers,
        covered.cycles,
        result.classes,
        readout(design).answers(got.boundaries[design.boundaries[-1].name].words),
        seconds,
        build_seconds,
        speed or stimulus.cycles / max(seconds, 1e-9),
        waves if differences else None,
    )


def _simulate(
    design: Design,
    contents: dict[str, Any],
    folder: Path,
    stimulus: Stimulus,
    simulator: str,
    work: Path,
    progress: Progress,
    seed: int,
) -> tuple[Trace, float, float]:
    if simulator == "amaranth":
        top = Top(design)
        return run_amaranth(top, top.boundaries, stimulus, top.outs), 0.0, 0.0
    ports = DesignPorts.from_json(contents)
    verilog = folder / ports.verilog
    if simulator == "verilator":
        model = VerilatorModel.build(verilog, ports, work / "verilator")
        trace = model.run(
            stimulus, work / "verilator_run", seed=seed, progress=lambda done, total: progress(simulator, done, total)
        )
        return trace, model.build_seconds, model.last_cycles_per_second
    engine = "icarus" if simulator == "cocotb-icarus" else "verilator"
    return *run_cocotb(verilog, ports, stimulus, work / simulator, engine), 0.0


def _write_waves(
    contents: dict[str, Any], folder: Path, stimulus: Stimulus, work: Path, waves: Path, cycle: int
) -> None:
    """Run again with waveforms of the cycles around the difference."""
    ports = DesignPorts.from_json(contents)
    model = VerilatorModel.build(folder / ports.verilog, ports, work / "verilator", trace_waves=True)
    model.run(stimulus, work / "waves_run", (waves, max(0, cycle - 50), cycle + 20))
