"""The Verilator build and run: cache, waveforms, progress, messages."""

from __future__ import annotations

import dataclasses
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from sim_pipeline import PORTS, random_stimulus

from spikeloom.sim.simulators.verilator import VerilatorModel
from spikeloom.sim.trace import SimulationError, Stimulus


def test_cache_holds_what_was_built(verilog: Path, own_cache: Path, tmp_path: Path) -> None:
    built = VerilatorModel.build(verilog, PORTS, own_cache)
    again = VerilatorModel.build(verilog, PORTS, own_cache)
    assert built.build_seconds > 0 and (again.program, again.build_seconds) == (built.program, 0.0)
    changed = tmp_path / PORTS.verilog
    changed.write_text(verilog.read_text().replace("level != 2'h2", "level == 2'h0", 1))
    assert changed.read_text() != verilog.read_text()
    other = VerilatorModel.build(changed, PORTS, own_cache)
    assert other.program != built.program and other.build_seconds > 0
    stimulus = random_stimulus(7, 50, 200, source=0, sink=0)
    traces = [model.run(stimulus, tmp_path / "run") for model in (built, other)]
    assert traces[0].boundaries["o"].cycles.tolist() != traces[1].boundaries["o"].cycles.tolist()


def test_waveform_covers_the_window(verilog: Path, cache: Path, tmp_path: Path) -> None:
    model = VerilatorModel.build(verilog, PORTS, cache, trace_waves=True)
    stimulus = random_stimulus(8, 100, 100, source=0.3, sink=0.3)
    trace = model.run(stimulus, tmp_path, waves=(tmp_path / "waves.vcd", 20, 29))
    text = (tmp_path / "waves.vcd").read_text()
    times = [int(time) for time in re.findall(r"^#(\d+)$", text, re.MULTILINE)]
    assert (times[0], times[-1]) == (200, 300) and "b1_payload" in text
    # The payload shown in the middle of a cycle with a transfer is the word of that transfer.
    code = re.search(r"\$var wire\s+72 (\S+) b1_payload", text)
    assert code is not None
    wide = trace.boundaries["wide"]
    cycle, word = next((c, w) for c, w in zip(wide.cycles.tolist(), wide.words, strict=True) if 21 <= c <= 29)
    shown = ""
    for block in re.split(r"^#", text, flags=re.MULTILINE)[1:]:
        if int(block.split()[0]) > 10 * cycle + 5:
            break
        for bits in re.findall(rf"^b([01]+) {re.escape(code[1])}$", block, re.MULTILINE):
            shown = bits
    assert int(shown, 2) == int.from_bytes(word.tobytes(), "little")


def test_waveform_needs_its_build(built: VerilatorModel, tmp_path: Path) -> None:
    stimulus = Stimulus(np.zeros((1, 2), np.uint32), 10)
    with pytest.raises(ValueError, match="Waveforms need a model built with trace_waves=True"):
        built.run(stimulus, tmp_path, waves=(tmp_path / "waves.vcd", 0, 9))


def test_progress_and_speed(built: VerilatorModel, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    stimulus = random_stimulus(9, 100_000, 1_000_000, source=0.2, sink=0.2)
    trace = built.run(stimulus, tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls) and calls[-1] == (1_000_000, 1_000_000)
    assert len(trace.boundaries["i"].cycles) == 100_000
    assert trace.speed > 200_000


def test_bad_verilog_is_quoted_and_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    path, own = tmp_path / PORTS.verilog, tmp_path / cache.name
    with pytest.raises(SimulationError, match="There is no Verilog file"):
        VerilatorModel.build(path, PORTS, own)
    path.write_text("module pipe_top(input clk; endmodule\n")
    with pytest.raises(
        SimulationError, match=r"Verilator on pipe_top\.v failed with exit status 1:(.|\n)*syntax error"
    ):
        VerilatorModel.build(path, PORTS, own)
    assert list(own.iterdir()) == []


def test_missing_boundary_is_named(verilog: Path, cache: Path) -> None:
    wrong = dataclasses.replace(PORTS.boundaries[1], signal="nowhere")
    ports = dataclasses.replace(PORTS, boundaries=(PORTS.input, wrong, PORTS.output))
    with pytest.raises(SimulationError, match="nowhere_valid"):
        VerilatorModel.build(verilog, ports, cache)


def test_failing_program_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "model"
    program.write_text("#!/bin/sh\necho something broke\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(SimulationError, match="pipe_top failed with exit status 3:\nsomething broke"):
        VerilatorModel(program, PORTS).run(Stimulus(np.zeros((0, 2), np.uint32), 1), tmp_path / "run")


@pytest.mark.parametrize(("seed", "expected"), [(0, 1), (5, 6), (2**30 - 1, 2**30), (2**30, 1)])
def test_a_seed_of_the_simulator_is_positive(
    seed: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VerilatorModel, "_execute", lambda *_: 1.0)
    monkeypatch.setattr(VerilatorModel, "_read", lambda *_: None)
    model = VerilatorModel(tmp_path / "model", PORTS, waves=False, build_seconds=0.0)
    model.run(random_stimulus(1, 5, 20, source=0, sink=0), tmp_path, seed=seed)
    assert np.fromfile(tmp_path / "seed.bin", "<i8").tolist() == [expected]
