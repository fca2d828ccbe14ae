"""All simulators against the pipeline's model: the same transfers in the same cycles, and the same broken rules."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from sim_pipeline import PORTS, Pipeline, emit, model, random_stimulus

from spikeloom.sim.environment import MAX_VIOLATIONS, VIOLATIONS
from spikeloom.sim.simulators.amaranth_sim import run_amaranth, run_stream
from spikeloom.sim.simulators.cocotb_run import run_cocotb
from spikeloom.sim.simulators.verilator import VerilatorModel
from spikeloom.sim.trace import SimulationError, Stimulus, Trace

STIMULI = {
    "steady": random_stimulus(1, 200, 260, source=0, sink=0),
    "slow sink": random_stimulus(2, 300, 600, source=0, sink=0.8),
    "slow source": random_stimulus(3, 300, 600, source=0.8, sink=0),
    "pauses": random_stimulus(4, 600, 1200, source=0.4, sink=0.4),
    "resets": random_stimulus(5, 600, 1200, source=0.3, sink=0.3, resets=40),
    "resets in a row": dataclasses.replace(
        random_stimulus(6, 60, 100, source=0, sink=0.5), resets=((0, 2), (30, 5), (31, 9), (32, 1), (99, 0))
    ),
}
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")


def assert_same(got: Trace, want: Trace) -> None:
    assert list(got.boundaries) == list(want.boundaries)
    for name, expected in want.boundaries.items():
        transfers = got.boundaries[name]
        assert (transfers.cycles.dtype, transfers.words.dtype) == (np.int64, np.uint32)
        assert transfers.cycles.tolist() == expected.cycles.tolist(), f"cycles on {name}"
        assert transfers.words.tolist() == expected.words.tolist(), f"words on {name}"
    assert got.violations == want.violations


@pytest.fixture(params=list(STIMULI))
def stimulus(request: pytest.FixtureRequest) -> Stimulus:
    return STIMULI[request.param]


def test_stimuli_exercise_the_pipeline() -> None:
    for stimulus in STIMULI.values():
        assert all(len(transfers.cycles) > 10 for transfers in model(stimulus).boundaries.values())


def test_amaranth_equals_the_model(stimulus: Stimulus) -> None:
    design = Pipeline()
    assert_same(run_amaranth(design, design.boundaries, stimulus), model(stimulus))


def test_verilator_equals_the_model(stimulus: Stimulus, built: VerilatorModel, tmp_path: Path) -> None:
    assert_same(built.run(stimulus, tmp_path), model(stimulus))


@pytest.mark.parametrize(("simulator", "name"), [
    ("verilator", "resets"), pytest.param("verilator", "steady", marks=pytest.mark.slow),
    *(pytest.param("icarus", name, marks=needs_icarus) for name in ("steady", "resets")),
])  # fmt: skip
def test_cocotb_equals_the_model(simulator: str, name: str, verilog: Path, cocotb_dir: Path, cache: Path) -> None:
    stimulus = STIMULI[name]
    assert_same(run_cocotb(verilog, PORTS, stimulus, cocotb_dir, simulator)[0], model(stimulus))
    if simulator == "verilator" and not os.environ.get("OBJCACHE"):
        log = (cocotb_dir / "build.log").read_text().splitlines()
        assert all("object_cache.py" in line for line in log if "-o verilated_vpi.o" in line), "compiled once for all"


def test_run_stream_gives_the_ports() -> None:
    stimulus = STIMULI["resets"]
    trace = run_stream(
        Pipeline(),
        stimulus.words,
        stimulus.cycles,
        source_pauses=stimulus.source_pauses,
        sink_pauses=stimulus.sink_pauses,
        resets=stimulus.resets,
    )
    want = model(stimulus).boundaries
    assert_same(trace, Trace({"i": want["i"], "o": want["o"]}))


# The sink never takes a word: the increment waits from cycle 4 on, so that the rule is broken first in cycle 5.
BLOCKED = Stimulus(random_stimulus(7, 3000, 3000, source=0, sink=0).words, 3000, sink_pauses=np.ones(3000, bool))


@pytest.mark.parametrize(
    ("flaw", "cycles"), [("valid", [5, 7, 9]), pytest.param("payload", [5, 6, 7], marks=pytest.mark.slow)]
)
def test_broken_rules_are_seen(flaw: str, cycles: list[int], cache: Path, tmp_path: Path) -> None:
    design = Pipeline(flaw)
    built = VerilatorModel.build(emit(design, tmp_path), PORTS, cache)
    trace = built.run(BLOCKED, tmp_path / "run")
    assert trace.violations[:3] == tuple((cycle, "wide", VIOLATIONS[flaw]) for cycle in cycles)
    assert len(trace.violations) == MAX_VIOLATIONS
    assert_same(run_amaranth(design, design.boundaries, BLOCKED), trace)
    healed = Pipeline()
    assert run_amaranth(healed, healed.boundaries, BLOCKED).violations == ()


@needs_icarus
def test_broken_rules_are_seen_by_cocotb(tmp_path: Path) -> None:
    short = dataclasses.replace(BLOCKED, cycles=8)
    trace, _ = run_cocotb(emit(Pipeline("payload"), tmp_path), PORTS, short, tmp_path / "run", "icarus")
    assert trace.violations == tuple((cycle, "wide", VIOLATIONS["payload"]) for cycle in (5, 6, 7))


def test_reset_ends_waiting_without_a_violation() -> None:
    resets = tuple((cycle, 0) for cycle in range(6, 100, 7))
    design = Pipeline()
    trace = run_amaranth(design, design.boundaries, dataclasses.replace(BLOCKED, cycles=100, resets=resets))
    assert len(trace.boundaries["i"].cycles) > len(resets) and trace.violations == ()


def test_payload_without_valid_is_garbage(cache: Path, tmp_path: Path) -> None:
    # A design that uses the input payload of cycles without valid must not pass in any simulator.
    design, stimulus = Pipeline("peek"), STIMULI["slow source"]
    built = VerilatorModel.build(emit(design, tmp_path), PORTS, cache)
    traces = [run_amaranth(design, design.boundaries, stimulus), built.run(stimulus, tmp_path / "run")]
    want = model(stimulus).boundaries["wide"].words
    for trace in traces:
        assert (trace.boundaries["wide"].words != want).any()


def test_wrong_stimulus_is_refused(built: VerilatorModel, tmp_path: Path) -> None:
    good = STIMULI["steady"]
    for change, message in (
        ({"words": good.words[:, :1]}, r"Input words of 40 bits must have shape \(n, 2\), not \(200, 1\)"),
        ({"words": good.words | np.uint32(0x100)}, "Input words must have 40 bits, found one with more"),
        ({"cycles": -1}, "Cycles must not be negative, not -1"),
        ({"resets": ((3, 201),)}, r"Reset must be \(cycle, word 0..200\), not \(3, 201\)"),
        ({"resets": ((3, 1), (3, 2))}, r"Resets must be in different cycles, not \[3, 3\]"),
    ):
        with pytest.raises(ValueError, match=message):
            built.run(dataclasses.replace(good, **change), tmp_path)


@needs_icarus
def test_cocotb_failure_quotes_the_log(verilog: Path, tmp_path: Path) -> None:
    wrong = dataclasses.replace(PORTS.boundaries[1], signal="nowhere")
    ports = dataclasses.replace(PORTS, boundaries=(PORTS.input, wrong, PORTS.output))
    with pytest.raises(SimulationError, match="Running pipe_top in icarus failed:(.|\n)*nowhere_valid"):
        run_cocotb(verilog, ports, STIMULI["steady"], tmp_path, "icarus")
