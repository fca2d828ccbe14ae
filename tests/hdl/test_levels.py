"""How many LUTs lie in a row, in every core: what clock is possible before anything is placed.

A level is a LUT4 or the way into a carry chain, from a flip-flop, a memory or an input of the core to another one or an
output. What is behind a LUT in its slice (PFUMX, L6MUX21), and the way along a chain, cost little and count nothing.

A failure names the core, what it has and its bound. Find the path by the cells that ``deepest`` gives, and put a
register, or a look-up a cycle ahead, into it. A bound is what the core had when it was written; it may go down.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from test_parts import EXACT, NEAR, Alone

from spikeloom.gen.emit.writer import module
from spikeloom.gen.targets import yosys
from spikeloom.hdl.cores.neuron import rule
from spikeloom.hdl.cores.window.core import Window
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.streams.fifo import Fifo, FifoSpec

BOUNDS = {
    ("bias", "many groups"): 1,
    ("initial", "logic"): 3,
    ("merge", "some channels"): 2,
    ("neuron", "lossless"): 2,
    ("neuron", "causal, one step"): 1,
    ("neuron", "causal"): 1,
    ("neuron", "signed"): 5,
    ("pool", "max"): 2,
    ("readout", "bias"): 3,
    ("staircase", "groups"): 3,
    ("requant", "many groups"): 3,
    ("serialiser", "two"): 1,
    ("synapse", "all steps"): 2,
    ("upsample", "none"): 0,
    ("window", "taps"): 3,
    ("window", "channels"): 4,
    ("window", "block RAM"): 2,
    ("window", "skipping"): 5,
    ("window", "words, channels, block RAM"): 6,
    ("fifo", "deep"): 2,
}
"""Levels of a core, by its folder and the name that its spec has in ``test_parts``."""

COST = {"LUT4": 1, "CCU2C": 1, "TRELLIS_DPR16X4": 1}
ENDS = ("TRELLIS_FF", "DP16KD")


def deepest(netlist: dict[str, Any]) -> list[str]:
    """The names of the cells of a path with the most levels in the flat module of ``netlist``, the last cell first."""
    cells = netlist["modules"]["top"]["cells"]
    driver: dict[int, tuple[str, str]] = {}
    for name, cell in cells.items():
        if cell["type"] not in ENDS:
            for pin, bits in cell["connections"].items():
                if cell["port_directions"][pin] == "output":
                    driver |= dict.fromkeys(bits, (name, pin))
    best: dict[tuple[str, str], tuple[int, tuple[str, str] | None]] = {}

    def arrival(bit: Any) -> tuple[int, tuple[str, str] | None]:
        """Levels up to ``bit``, and the output that it comes from."""
        return (best[driver[bit]][0], driver[bit]) if bit in driver else (0, None)

    def pins(name: str, out: str) -> list[tuple[Any, int]]:
        """The inputs of a cell that reach ``out``, each with what the way costs."""
        cell, found = cells[name], []
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] != "input" or (cell["type"] == "TRELLIS_DPR16X4" and pin[:3] != "RAD"):
                continue
            if cell["type"] == "CCU2C" and out == "S0" and pin[-1] == "1":
                continue
            cost = 0 if pin == "CIN" else COST.get(cell["type"], 0)
            found += [(bit, cost) for bit in bits]
        return found

    for start in driver.values():
        stack = [start]
        while stack:
            at = stack[-1]
            waits = [driver[bit] for bit, _ in pins(*at) if bit in driver and driver[bit] not in best]
            if waits:
                assert len(stack) < 10_000, "a loop"
                stack += waits
                continue
            stack.pop()
            best[at] = max(((arrival(bit)[0] + cost, arrival(bit)[1]) for bit, cost in pins(*at)),
                           key=lambda found: found[0], default=(0, None))  # fmt: skip
    path, at = list[str](), max(best, key=lambda key: best[key][0], default=None)
    count = best[at][0] if at else 0
    while at:
        path.append(f"{at[0]}/{at[1]} {best[at][0]}")
        at = best[at][1]
    return path if count else []


def levels(netlist: dict[str, Any]) -> int:
    """The levels of the deepest path."""
    path = deepest(netlist)
    return int(path[0].rpartition(" ")[2]) if path else 0


def cores(names: list[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """The cores that have bounds."""
    found: dict[tuple[str, str], Any] = {}
    for folder, name in names:
        if folder == "fifo":
            found[folder, name] = Fifo(FifoSpec(4, 20))
            continue
        spec = {**EXACT[folder], **NEAR.get(folder, {})}[name]
        found[folder, name] = Window(spec) if isinstance(spec, WindowSpec) else spec.core()
    return found


def netlists(found: dict[tuple[str, str], Any], folder: Path) -> dict[tuple[str, str], Any]:
    """The cores as cells of an ECP5."""
    passes = []
    for k, core in enumerate(found.values()):
        (folder / f"top{k}.v").write_text(module(Alone(core), "top"))
        passes += ["design -reset", f"read_verilog -DSPIKELOOM_ECP5 top{k}.v", "synth_ecp5 -top top",
                   f"write_json top{k}.json"]  # fmt: skip
    yosys.run(passes, folder)
    return {name: json.loads((folder / f"top{k}.json").read_text()) for k, name in enumerate(found)}


def test_no_core_is_deeper_than_its_bound(tmp_path: Path) -> None:
    found = netlists(cores(list(BOUNDS)), tmp_path)
    deeper = {name: (levels(net), BOUNDS[name], deepest(net)) for name, net in found.items()
              if levels(net) > BOUNDS[name]}  # fmt: skip
    said = [f"{name}: {got} levels, {most} at most: {path}" for name, (got, most, path) in deeper.items()]
    assert not deeper, "\n".join(said)


def test_every_core_has_a_bound() -> None:
    assert {folder for folder, _ in BOUNDS} == {*EXACT, "fifo"}


def test_a_core_that_gets_deeper_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ("neuron", "lossless")
    monkeypatch.setattr(rule, "AHEAD", 1000)  # tables and comparisons in one cycle
    (net,) = netlists(cores([name]), tmp_path).values()
    assert levels(net) > BOUNDS[name]


def test_levels_of_a_path_that_is_known(tmp_path: Path) -> None:
    text = ("module top(input clk, input [15:0] a, output reg y, output reg [7:0] s); reg [15:0] x; always @(posedge "
            "clk) begin x <= a; y <= ^x; s <= x[7:0] + x[15:8]; end endmodule")  # fmt: skip
    (tmp_path / "top.v").write_text(text)
    yosys.run(["read_verilog top.v", "synth_ecp5 -top top", "write_json top.json"], tmp_path)
    assert levels(json.loads((tmp_path / "top.json").read_text())) == 2
