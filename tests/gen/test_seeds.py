"""Placements from several seeds: the best of a netlist, seeds that fail, and how many are under way at once."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from spikeloom.gen.targets.fpga import synth
from spikeloom.gen.targets.fpga.seeds import Placement, place_all, spread
from spikeloom.gen.targets.yosys import YosysError

CLOCKS = {1: 90.0, 2: 110.5, 3: None, 4: 100.0, 5: 95.0}
"""What the seeds reach here; one fails."""


def reached(seed: int) -> tuple[float, str]:
    if (mhz := CLOCKS[seed]) is None:
        raise YosysError("nextpnr failed")
    return mhz, f"of {seed}"


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_a_seed_that_fails_loses_no_other(jobs: int) -> None:
    known = []
    made = place_all(reached, CLOCKS, jobs, fails=YosysError, done=lambda placements: known.append(len(placements)))
    assert [(placed.seed, placed.mhz) for placed in made] == list(CLOCKS.items())
    assert made[1].found == "of 2" and isinstance(made[2].error, YosysError) and made[2].found is None
    assert known == sorted(known) and known[-1] == len(CLOCKS)
    found = spread(made)
    assert [found[f"{name}_mhz"] for name in ("min", "median", "max")] == [90.0, 97.5, 110.5]
    assert (found["seeds"], found["failed"]) == (4, 1)
    assert [(one["seed"], one.get("error")) for one in found["each"] if one["mhz"] is None] == [(3, "nextpnr failed")]
    assert json.loads(json.dumps(found)) == found


def test_no_seed_is_begun_after_one_that_is_enough() -> None:
    made = place_all(reached, CLOCKS, fails=YosysError, enough=lambda text: text == "of 2")
    assert [placed.seed for placed in made] == [1, 2]


def test_as_many_are_under_way_as_jobs_say() -> None:
    both = threading.Barrier(2, timeout=20)  # broken where one waits for the other

    def place(seed: int) -> tuple[float, int]:
        both.wait()
        return float(seed), seed

    assert len(place_all(place, range(4), 2, fails=YosysError)) == 4
    waiting = threading.Barrier(2, timeout=0.2)
    with pytest.raises(threading.BrokenBarrierError):
        place_all(lambda seed: (float(waiting.wait()), seed), range(2), 1, fails=YosysError)


def test_any_other_error_is_raised() -> None:
    begun = []

    def place(seed: int) -> tuple[float, int]:
        begun.append(seed)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        place_all(place, range(5), fails=YosysError)
    assert begun == [0]


def test_a_spread_without_any_clock() -> None:
    found = spread([Placement(7, None, 1.0, error=YosysError("out of memory"))])
    assert (found["min_mhz"], found["median_mhz"], found["max_mhz"], found["seeds"]) == (None, None, None, 0)
    assert found["each"] == [{"seed": 7, "mhz": None, "seconds": 1.0, "error": "out of memory"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A design of one register, in a folder."""
    (tmp_path / "top.v").write_text("module top(input clk, d, output reg [1:0] q); always @(posedge clk) q <= {q, d}; "
                                    "endmodule\n")
    return tmp_path


CONTENTS = {"top": "top", "verilog": "top.v"}


def test_the_delays_are_those_of_the_best_and_every_seed_is_recorded(folder: Path, monkeypatch) -> None:
    record, asked = folder / "seeds.json", []

    def nextpnr(work: Path, options: list[str], seed: int, delays: bool) -> tuple[float, dict[str, int]]:
        asked.append((options[options.index("--freq") + 1], options[options.index("--seed") + 1]))
        if seed > 1:
            assert len(json.loads(record.read_text())["spread"]["each"]) == seed - 1
        if delays:
            (work / f"delays-{seed}.sdf").write_text(f"of {seed}")
        return reached(seed)[0], {"comb": seed}

    monkeypatch.setattr(synth, "_nextpnr", nextpnr)
    steps = []
    found = synth.place(folder, CONTENTS, "12k", target=150, seeds=5, sdf=folder / "x.sdf", record=record,
                        progress=lambda *step: steps.append(step))  # fmt: skip
    assert asked == [("150", str(seed)) for seed in CLOCKS]
    assert (found["mhz"], found["seed"], found["comb"], found["cells"]["ff"]) == (110.5, 2, 2, 2)
    assert (folder / "x.sdf").read_text() == "of 2" and json.loads(record.read_text()) == found
    assert steps == [("synthesis", 0, 0), *(("place and route", k, 5) for k in range(6))]
    assert sorted(path.name for path in folder.iterdir()) == ["seeds.json", "top.v", "x.sdf"]
    monkeypatch.setitem(CLOCKS, 1, None)
    with pytest.raises(YosysError, match="nextpnr failed"):
        synth.place(folder, CONTENTS, "12k")


def test_seeds_of_a_record_are_not_placed_again(folder: Path, monkeypatch) -> None:
    record, asked = folder / "seeds.json", []

    def nextpnr(work: Path, options: list[str], seed: int, delays: bool) -> tuple[float, dict[str, int]]:
        asked.append(seed)
        clock, _ = reached(seed)
        return clock, {"comb": seed}

    monkeypatch.setattr(synth, "_nextpnr", nextpnr)
    steps = []
    first = synth.place(folder, CONTENTS, "12k", seeds=2, record=record)
    again = synth.place(folder, CONTENTS, "12k", seeds=2, record=record, progress=lambda *step: steps.append(step))
    assert asked == [1, 2] and again == first and steps == [("place and route", 2, 2)]
    more = synth.place(folder, CONTENTS, "12k", seeds=4, record=record)
    assert asked == [1, 2, 3, 4] and (more["seed"], more["comb"], more["spread"]["seeds"]) == (2, 2, 3)
    assert json.loads(record.read_text()) == more
    # What the clocks depend on is another: all are placed again.
    synth.place(folder, CONTENTS, "25k", seeds=1, record=record)
    (folder / "top.v").write_text((folder / "top.v").read_text() + "// another\n")
    synth.place(folder, CONTENTS, "25k", seeds=1, record=record)
    record.write_text("no JSON")
    synth.place(folder, CONTENTS, "25k", seeds=1, record=record)
    assert asked == [1, 2, 3, 4, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.xdist_group("nextpnr")
def test_seeds_are_placed(folder: Path) -> None:
    found = synth.place(folder, CONTENTS, "12k", seeds=2, jobs=2, sdf=folder / "x.sdf")
    assert found["mhz"] == found["spread"]["max_mhz"] > 100 and found["spread"]["seeds"] == 2 == found["ff"]
    assert "IOPATH" in (folder / "x.sdf").read_text()
