"""Simulation of an emitted design in Verilator, for whole networks and bulk regression."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..environment import VIOLATIONS, checked
from ..ports import DesignPorts
from ..trace import SimulationError, Stimulus, Trace, Transfers
from .toolchain import tail
from .verilator_build import build_model

__all__ = ["VerilatorModel"]


class VerilatorModel:
    """A design compiled to a program, which takes its stimulus from files and writes all transfers to files.

    Parameters:
        program: the simulator program; see :meth:`build`.
        ports: the design's boundaries.
        waves: whether the program can write waveforms.

    Attributes:
        build_seconds: time the build took; 0.0 where the program was in the cache.
    """

    def __init__(self, program: Path, ports: DesignPorts, *, waves: bool = False, build_seconds: float = 0.0) -> None:
        self.program = program
        self.ports = ports
        self.waves = waves
        self.build_seconds = build_seconds

    @classmethod
    def build(
        cls,
        verilog_path: Path,
        ports: DesignPorts,
        build_dir: Path,
        trace_waves: bool = False,
        *,
        optimize: str = "-O1",
        random_start: bool = False,
    ) -> VerilatorModel:
        """Compile a design, or take it from the cache.

        Parameters: ``verilog_path``, the emitted file; ``build_dir``, a folder that keeps the programs of any number
        of designs under the hash of all they depend on; ``trace_waves``, whether runs may write waveforms, which
        makes them slower; ``optimize``, the C++ compiler's option for the design; ``random_start``, whether registers
        start with random values, by the seed of a run (``sim.simulators.start``).

        Raises SimulationError where a tool is missing or the design does not compile.
        """
        start = time.perf_counter()
        program, cached = build_model(
            Path(verilog_path), ports, Path(build_dir), waves=trace_waves, optimize=optimize, random_start=random_start
        )
        seconds = 0.0 if cached else time.perf_counter() - start
        return cls(program, ports, waves=trace_waves, build_seconds=seconds)

    def run(
        self,
        stimulus: Stimulus,
        work_dir: Path,
        waves: tuple[Path, int, int] | None = None,
        *,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Trace:
        """Simulate and return all transfers.

        Parameters: ``work_dir``, a folder for the files of this run; ``waves``, a VCD file and the first and last
        cycle in it; ``seed`` of what registers, and memories without contents, start with; ``progress``,
        called with the cycles done and their total a few times a second.
        """
        stimulus = checked(stimulus, self.ports.input.width, len(self.ports.outputs))
        if waves is not None and not self.waves:
            raise ValueError("Waveforms need a model built with trace_waves=True")
        work_dir = Path(work_dir)
        work_dir.mkdir(parents=True, exist_ok=True)
        stimulus.words.tofile(work_dir / "words.bin")
        stimulus.source_pauses.astype(np.uint8).tofile(work_dir / "source_pauses.bin")
        stimulus.sink_pauses.astype(np.uint8).tofile(work_dir / "sink_pauses.bin")
        np.array(stimulus.resets, "<i8").tofile(work_dir / "resets.bin")
        np.array([1 + seed % 2**30], "<i8").tofile(work_dir / "seed.bin")  # 0 would be another one in every run
        command = [str(self.program), str(stimulus.cycles), str(work_dir), *map(str, waves or ())]
        speed = self._execute(command, stimulus.cycles, progress)
        return self._read(work_dir, speed)

    def _execute(self, command: list[str], cycles: int, progress: Callable[[int, int], None] | None) -> float:
        printed: list[str] = []
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    key, _, value = line.partition(" ")
                    if key != "progress":
                        printed.append(line)
                    elif progress is not None:
                        progress(int(value), cycles)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise SimulationError(
                f"The simulation of {self.ports.top} failed with exit status {process.returncode}:\n"
                + tail("".join(printed))
            )
        if progress is not None:
            progress(cycles, cycles)
        return float(printed[-1].split()[1])

    def _read(self, work_dir: Path, speed: float) -> Trace:
        boundaries: dict[str, Transfers] = {}
        for index, port in enumerate(self.ports.boundaries):
            record = np.dtype([("cycle", "<i8"), ("word", "<u4", (port.limbs,))])
            data = np.fromfile(work_dir / f"boundary_{index}.bin", record)
            boundaries[port.name] = Transfers(np.ascontiguousarray(data["cycle"]), np.ascontiguousarray(data["word"]))
        names = [port.name for port in self.ports.boundaries]
        lines = [line.split() for line in (work_dir / "violations.txt").read_text().splitlines()]
        violations = tuple((int(cycle), names[int(k)], VIOLATIONS[kind]) for cycle, k, kind in lines)
        return Trace(boundaries, violations, speed)
