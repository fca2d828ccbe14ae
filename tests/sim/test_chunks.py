"""Many frames in chunks: the same verdict as in one run, the first difference with its frame, builds kept."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import small

from spikeloom.gen.emit import writer as emit
from spikeloom.hdl.cache import cache_folder, prune
from spikeloom.quant import golden
from spikeloom.sim import chunk
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.predict import MARGIN, Laws, foresee, golden_words, make_stimulus, predict
from spikeloom.sim.trace import SimulationError
from spikeloom.sim.verify import Outcome, verify


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of five frames."""
    monkeypatch.setattr(chunk, "FRAMES", 5)


def test_chunks_cover_all_frames(short: None, tmp_path: Path) -> None:
    design, frames = small.design(), small.frames(23)
    contents = emit.write(design, tmp_path)
    calls: list[tuple[str, float, int]] = []
    runs = [
        verify(design, contents, tmp_path, frames, simulator="amaranth", seed=3, **options)
        for options in (
            {"progress": lambda *call: calls.append(call)},
            {"jobs": 2},
            {"pauses": 0.3},
            {"pauses": 0.3, "jobs": 2},
            {"resets": ((40, 1),)},
        )
    ]
    for run in runs:
        assert run.passed and run.frames == 23 and run.boundaries == len(design.boundaries)
        assert np.array_equal(run.classes, golden.run(design.network, frames).classes)
    for run in runs[:4]:
        assert np.array_equal(run.answers, run.classes)
        assert run.transfers == 23 * sum(b.words_per_frame for b in design.boundaries)
    assert runs[0].cycles == runs[1].cycles < runs[2].cycles == runs[3].cycles
    assert calls[-1] == ("amaranth", 23, 23) and [c[1] for c in calls] == sorted(c[1] for c in calls)
    assert list((tmp_path / "sim").iterdir()) == []


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_the_first_difference_is_reported_with_its_frame(
    jobs: int, short: None, tmp_path: Path, cache: Path
) -> None:
    design, frames = small.design(), small.frames(40, high=2)
    contents = emit.write(design, tmp_path)
    verilog = tmp_path / contents["verilog"]
    text = verilog.read_text()
    assert text.count("assign b0__payload = i__payload;") == 1
    bits = design.boundaries[0].width
    verilog.write_text(
        text.replace("b0__payload = i__payload;", f"b0__payload = i__payload ^ (i__payload == {bits}'d3);")
    )
    frames[17, 0, 1, 0] = frames[31, 0, 0, 0] = 3
    run = verify(design, contents, tmp_path, frames, jobs=jobs, cache=cache)
    first = run.differences[0]
    assert (first.boundary, first.frame, first.start, run.frames) == ("i", 17, 15, 20)
    element = first.elements[0]
    assert (element.y, element.x, element.expected, element.got) == (1, 0, 3, 2)
    assert f"frame 17, i, cycle {first.cycle} since frame 15, word 2 of the frame" in str(first)
    assert len(run.classes) == 20


@pytest.mark.slow
def test_two_verifications_in_threads_do_not_mix(short: None, tmp_path: Path, cache: Path) -> None:
    """Two designs, each in two jobs of its own: a chunk is checked with the design to which it belongs."""

    def run(seed: int) -> Outcome:
        design, folder = small.design(seed), tmp_path / str(seed)
        return verify(design, emit.write(design, folder), folder, small.frames(60), jobs=2, cache=cache)

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(run, (3, 4)))
    for seed, outcome in zip((3, 4), outcomes, strict=True):
        assert outcome.passed and outcome.cycles_per_second > 0
        assert np.array_equal(outcome.answers, golden.run(small.network(seed), small.frames(60)).classes)


def test_a_design_is_built_once(tmp_path: Path, own_cache: Path) -> None:
    design, frames, cache = small.design(2), small.frames(8), own_cache
    seconds = []
    for name in ("a", "b"):
        contents = emit.write(design, tmp_path / name)
        before = set(cache.glob("model-*"))
        seconds.append(verify(design, contents, tmp_path / name, frames, cache=cache).build_seconds)
        for built in set(cache.glob("model-*")) - before:
            os.utime(built, (0, 0))  # as if nobody had used it since
    assert 0 < seconds[0] < 600 and seconds[1] == 0
    assert all(model.stat().st_mtime > 0 for model in cache.glob("model-*")), "who uses a program keeps it"


def test_the_law_is_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    design, frames = small.design(), small.frames(6)
    words = golden_words(design, golden.run(design.network, frames).outputs)
    pauses = [random_pauses(np.random.default_rng(1), 400, 0.3) for _ in range(2)]
    for options in ({}, {"source_pauses": pauses[0], "sink_pauses": pauses[1], "resets": ((30, 1), (95, 0))}):
        stimulus, trace = foresee(design, frames, words, **options, law=Laws(design))
        expected = make_stimulus(design, frames, **options)
        assert stimulus.cycles == expected.cycles and stimulus.resets == expected.resets
        for name, transfers in predict(design, expected, words).boundaries.items():
            assert np.array_equal(transfers.cycles, trace.boundaries[name].cycles)
            assert np.array_equal(transfers.words, trace.boundaries[name].words)
    laws = Laws(design)
    assert laws(12) is laws(12) and laws(12) is not laws(16)
    assert laws(12, pauses[0]) is not laws(12, pauses[0])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    design = small.design()
    assert chunk.frames_per_chunk(design, 10, 1) == 10
    assert chunk.frames_per_chunk(design, 10**6, 1) == chunk.FRAMES
    assert chunk.frames_per_chunk(design, 30, 2) == 15 and chunk.frames_per_chunk(design, 6, 4) == chunk.LEAST_FRAMES
    # A transfer takes its cycle, 8 bytes, and a word of one limb here; prediction and simulation have one each.
    assert all(b.width <= 32 for b in design.boundaries)
    monkeypatch.setattr(chunk, "TRACE_BYTES", 2 * 90 * 12 * sum(b.words_per_frame for b in design.boundaries))
    assert chunk.frames_per_chunk(design, 1000, 1) == 90


def test_what_nobody_uses_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKELOOM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SPIKELOOM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "spikeloom"
    old, new = tmp_path / "model-old", tmp_path / "model-new"
    for folder, days in ((old, 31), (new, 29)):
        folder.mkdir()
        then = time.time() - days * 86400
        os.utime(folder, (then, then))
    prune(tmp_path)
    assert not old.exists() and new.exists()


def test_refusals(tmp_path: Path) -> None:
    design = small.design()
    contents = emit.write(design, tmp_path)
    with pytest.raises(ValueError, match="jobs must be a positive integer, not 0"):
        verify(design, contents, tmp_path, small.frames(1), jobs=0)
    with pytest.raises(SimulationError, match="There are no frames to simulate"):
        verify(design, contents, tmp_path, small.frames(0))
    with pytest.raises(SimulationError, match="A netlist is simulated in verilator only, not in amaranth"):
        verify(design, contents, tmp_path, small.frames(1), netlist="ecp5", simulator="amaranth")


@pytest.mark.parametrize(("simulator", "engine"), [("cocotb", "verilator"), ("cocotb-icarus", "icarus")])
def test_cocotb_runs_in_the_simulator_that_is_asked_for(
    simulator: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = small.design()

    def stop(verilog: Path, ports: object, stimulus: object, work: Path, chosen: str, cache: Path) -> None:
        raise SimulationError(f"{chosen} in {work.name} on {verilog.name}")

    monkeypatch.setattr(chunk, "run_cocotb", stop)
    contents = emit.write(design, tmp_path)
    with pytest.raises(SimulationError, match=f"^{engine} in {simulator} on {contents['verilog']}$"):
        verify(design, contents, tmp_path, small.frames(1), simulator=simulator, cache=tmp_path)


@pytest.mark.parametrize(("jobs", "count"), [(1, 12), (2, 4)])
def test_one_job_or_one_chunk_needs_no_pool(
    jobs: int, count: int, short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = small.design()
    contents = emit.write(design, tmp_path)
    monkeypatch.setattr("spikeloom.sim.verify.pool", None)
    assert verify(design, contents, tmp_path, small.frames(count), simulator="amaranth", jobs=jobs).passed


def test_a_run_ends_where_no_frame_is_left_after_a_reset() -> None:
    assert make_stimulus(small.design(), small.frames(6), resets=((40, 6),)).cycles == 41 + MARGIN


def test_each_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    design, told = small.design(), list[tuple[str, float, int]]()

    def stop(*_args: object, **_options: object) -> None:
        raise SimulationError("here")

    monkeypatch.setattr("spikeloom.sim.verify.build_netlist", stop)
    with pytest.raises(SimulationError, match="here"):
        verify(design, emit.write(design, tmp_path), tmp_path, small.frames(1), netlist="ecp5",
               progress=lambda *call: told.append(call))  # fmt: skip
    assert told == [("synthesis for ecp5", 0, 0)]
