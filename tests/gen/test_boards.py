"""Boards: their table and pins, constraints, projects for makers' tools, and the flow to a bitstream."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import map_nets
import numpy as np
import pytest

from benchmarks import boards as shown
from spikeloom.gen.design import Design
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import auto
from spikeloom.gen.targets import yosys
from spikeloom.gen.targets.boards.pins import LEDS, pinout, pins
from spikeloom.gen.targets.boards.table import BOARDS, Board, BoardError, board
from spikeloom.gen.targets.boards.top import NAME, clock_below, files
from spikeloom.gen.targets.fpga import bitstream
from spikeloom.gen.targets.fpga.bitstream import TRIES, build, next_try
from spikeloom.gen.targets.fpga.devices import DEVICES
from spikeloom.gen.targets.fpga.pll import PllError
from spikeloom.gen.targets.fpga.route import Fit, Unplaced, place
from spikeloom.gen.targets.fpga.vendor import NOT_BUILT, project
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Flatten, Input, Linear, Readout

OPEN = [name for name, b in BOARDS.items() if b.built]
MAKERS = [name for name, b in BOARDS.items() if not b.built]


@pytest.fixture(scope="module")
def tiny() -> Design:
    """A network of one layer, four pixels and two classes."""
    network = Network(
        (
            Input(name="input", shape=(1, 2, 2), high=3),
            Flatten(name="flat", source="input"),
            Linear(name="fc", source="flat", weight=np.array([[1, -1, 1, 0], [0, 1, -1, 1]]), weight_bits=2),
            Readout(name="out", source="fc", bias=np.arange(2)),
        ),
        steps=1,
    )
    return Design(network, auto(network))


# The table and the pins.


def test_the_table_holds_the_boards_of_the_documents() -> None:
    assert {b.flow for b in BOARDS.values()} == {"ice40", "ecp5", "gowin", "vivado", "quartus"}
    assert [b.name for b in BOARDS.values()] == list(BOARDS)
    assert len(OPEN) == 4
    with pytest.raises(BoardError, match="board must be one of icebreaker, ulx3s-25f, .*, not 'papilio'"):
        board("papilio")


@pytest.mark.parametrize("name", BOARDS)
def test_pins_are_those_of_amaranth_boards(name: str) -> None:
    found = pins(board(name))
    signals = [pin.signal for pin in found]
    assert signals[:4] == ["clock", "rx", "tx", "button"]
    assert signals[4:] in (list(LEDS), list(LEDS[:2]))
    assert len({pin.site for pin in found}) == len(found), "two signals on a pin"
    assert [pin.direction for pin in found] == ["in", "in", "out", "in"] + ["out"] * (len(found) - 4)


def test_pins_of_two_boards_by_hand() -> None:
    """The maker's schematics: iCEBreaker V1.0e, ULX3S V3.0.8."""
    ice = {pin.signal: (pin.site, pin.active_low) for pin in pins(board("icebreaker"))}
    assert ice["clock"] == ("35", False)
    assert (ice["rx"], ice["tx"]) == (("6", False), ("9", False))
    assert (ice["error"], ice["heartbeat"]) == (("11", True), ("37", True))
    assert ice["button"] == ("10", True)
    ulx = {pin.signal: pin.site for pin in pins(board("ulx3s-85f"))}
    assert (ulx["clock"], ulx["rx"], ulx["tx"]) == ("G2", "M1", "L4")


@pytest.mark.parametrize("name", [n for n in OPEN if n != "tang-nano-9k"])
def test_options_of_nextpnr_are_of_the_boards_part(name: str) -> None:
    b = board(name)
    platform = b.open()
    text = " ".join(b.nextpnr).lower()
    assert b.part.startswith(str(platform.device))
    size = re.search(r"(up5k|\d+f)$", platform.device.lower())
    assert size is not None and f"--{size[0].replace('f', 'k')}" in text
    assert platform.package.lower().removeprefix("bg") in text


def test_the_gowin_part() -> None:
    b = board("tang-nano-9k")
    platform = b.open()
    assert (b.part, "family=" + platform.family.replace("NR", "N")) == (platform.part, b.nextpnr[3])
    assert b.nextpnr[1] == platform.part


def test_multipliers_of_a_board() -> None:
    known = {b.name: (b.multipliers, DEVICES[b.device].dsp) for b in BOARDS.values() if b.device}
    assert len(known) == 2 and all(ours == theirs for ours, theirs in known.values())
    text = shown.DOCUMENT.read_text()
    for b in BOARDS.values():
        assert b.dsp == 0 < b.multipliers and f"| {b.title} | {b.multipliers} |" in text
        assert (b.checked_dsp(None), replace(b, dsp=2).checked_dsp(None), replace(b, dsp=2).checked_dsp(3)) == (0, 2, 3)
    for dsp in (-1, 9, 2.0, True, "8"):
        refused = f"icebreaker: dsp={dsp!r} is no number of the 8 multipliers of its iCE40UP5K-SG48; choose one from 0"
        with pytest.raises(BoardError, match=refused):
            replace(board("icebreaker"), dsp=dsp)


# The top level.

# A design that shows its reset; PLLs that lock after 15 cycles; pins' cells as far as they are used.
STUB = """
module stub(input clk, rst, rx, output tx, error, heartbeat, busy);
  assign tx = rx, error = rst, heartbeat = clk, busy = 0;
endmodule
"""
MODELS = """
module {cell}(input {source}, output {clock}, LOCK, input {rest});
  parameter {parameters};
  reg [3:0] n = 0;
  always @(posedge {source}) if (!LOCK) n <= n + 1;
  assign {clock} = {source}, LOCK = &n;
endmodule
module SB_IO(inout PACKAGE_PIN, input CLOCK_ENABLE, OUTPUT_ENABLE, D_OUT_0, output D_IN_0);
  parameter PIN_TYPE = 0, IO_STANDARD = "", PULLUP = 0;
  assign D_IN_0 = PACKAGE_PIN;
  generate if (PIN_TYPE[5]) assign PACKAGE_PIN = D_OUT_0; endgenerate
endmodule
module IB(input I, output O);
  assign O = I;
endmodule
module OBZ(input I, T, output O);
  assign O = I;
endmodule
module bench(input clk, output reset);
  reg [7:0] n = 0;
  always @(posedge clk) n <= n + 1;
  wire pressed = n >= 40 && n < 45;
  {name} board(.{pin}(clk), .button_0__io({invert}pressed), .uart_0__rx__io(1'b1), .led_0__io(led));
  assign reset = {low}led;
endmodule
"""
CELLS = {
    "icebreaker": ("SB_PLL40_PAD", "PACKAGEPIN", "PLLOUTGLOBAL", "RESETB, BYPASS", "clk12_0__io"),
    "ulx3s-25f": ("EHXPLLL", "CLKI", "CLKOP",
                  "CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC, ENCLKOP",
                  "clk25_0__io"),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_design_is_in_reset_until_the_pll_locks_and_while_the_button_is_pressed(name: str, tmp_path: Path) -> None:
    b = board(name)
    clock = clock_below(b, 40)
    assert clock.pll is not None
    texts = files(b, clock, "stub", STUB)
    cell, source, output, rest, pin = CELLS[name]
    low = "~" * next(p.active_low for p in pins(b) if p.signal == "error")
    invert = "~" * next(p.active_low for p in pins(b) if p.signal == "button")
    parameters = ", ".join(f"{key} = 0" for key in clock.pll.parameters)
    model = MODELS.format(cell=cell, source=source, clock=output, rest=rest, parameters=parameters, name=NAME, pin=pin,
                          low=low, invert=invert)
    for file, text in {**texts, "models.v": model}.items():
        (tmp_path / file).write_text(text)
    yosys.run(["read_verilog stub.v models.v", f"read_rtlil {NAME}.il", "hierarchy -top bench", "proc", "flatten",
               "opt_clean -purge", "sim -clock clk -zinit -n 60 -vcd out.vcd bench"], tmp_path)
    vcd = (tmp_path / "out.vcd").read_text()
    found = re.search(r"\$var \w+ 1 (\S+) reset \$end", vcd)
    assert found is not None
    changes = [(int(at), int(value)) for at, value in
               re.findall(rf"#(\d+)(?:\n(?!#).*)*?\n[b]?([01]) ?{re.escape(found[1])}\b", vcd)]
    cycles = [(at // 10, value) for at, value in changes]
    high = [value for _, value in cycles]
    assert high == [1, 0, 1, 0], f"the reset changes at {cycles}"
    assert [at for at, _ in cycles][1:] == sorted(at for at, _ in cycles)[1:]
    locked, pressed, released = (at for at, _ in cycles[1:])
    assert 15 < locked <= 18 and 40 <= pressed <= 41 and 45 < released <= 48, cycles


@pytest.mark.parametrize(("name", "library"), [
    ("icebreaker", "+/ice40/cells_sim.v"), ("ulx3s-85f", "+/ecp5/cells_sim.v +/ecp5/cells_bb.v"),
    ("tang-nano-9k", "+/gowin/cells_sim.v"), ("arty-a7-35t", "+/xilinx/cells_sim.v +/xilinx/cells_xtra.v"),
])  # fmt: skip
def test_cells_of_the_top_level_are_those_of_the_device(name: str, library: str, tmp_path: Path) -> None:
    """Names of cells, ports and parameters, the PLL's among them, against Yosys' library of the device."""
    b = board(name)
    for file, text in files(b, clock_below(b, 50), "stub", STUB).items():
        (tmp_path / file).write_text(text)
    passes = ["read_verilog stub.v", f"read_rtlil {NAME}.il", f"read_verilog -lib {library}",
              f"hierarchy -check -top {NAME}"]
    yosys.run(passes, tmp_path)
    text = (tmp_path / f"{NAME}.il").read_text()
    broken = re.sub(r"\\(DIVF|CLKFB_DIV|CLKFBOUT_MULT)\b", r"\\DIVX", text)
    if b.pll is not None:
        (tmp_path / f"{NAME}.il").write_text(broken)
        with pytest.raises(yosys.YosysError, match="DIVX"):
            yosys.run(passes, tmp_path)


CONSTRAINTS = {
    "icebreaker": ("pcf", ["set_io uart_0__rx__io 6\n", "set_io clk12_0__io 35\n", "set_frequency clk12_0__io 12.0\n"]),
    "ulx3s-25f": ("lpf", ['LOCATE COMP "uart_0__rx__io" SITE "M1";\n', 'FREQUENCY PORT "clk25_0__io" 25000000.0 HZ']),
    "ulx3s-85f": ("lpf", ['IOBUF PORT "button_0__io" IO_TYPE=LVCMOS33 PULLMODE=DOWN;\n']),
    "tang-nano-9k": ("cst", ['IO_LOC "uart_0__rx__io" 18;\n', 'IO_PORT "led_1__io" IO_TYPE=LVCMOS33;\n']),
    "arty-a7-35t": ("xdc", ['set_property LOC A9 [get_ports "uart_0__rx__io"]\n', "create_clock -name clk100_0__io"]),
    "de10-nano": ("qsf", ['set_location_assignment -to "uart_0__rx__io" PIN_AG13\n', "-name DEVICE 5CSEBA6U23I7\n"]),
}


@pytest.mark.parametrize("name", BOARDS)
def test_constraints_place_every_pin(name: str) -> None:
    suffix, lines = CONSTRAINTS[name]
    texts = files(board(name), clock_below(board(name), 50), "stub", STUB)
    text = texts[f"{NAME}.{suffix}"]
    assert not [line for line in lines if line not in text], text
    assert texts["stub.v"] == STUB
    for pin in pins(board(name)):
        assert re.search(rf"\b(PIN_)?{pin.site}\b", text), f"{pin.signal} has no place in\n{text}"
    assert "placeholder" not in "".join(texts.values())


# Projects and refusals.


@pytest.mark.parametrize("name", MAKERS)
def test_projects_for_the_makers_tools(name: str, tiny: Design, tmp_path: Path) -> None:
    contents = project(tiny, board(name), tmp_path)
    assert contents == json.loads((tmp_path / "report.json").read_text())
    assert contents["built"] is False and contents["statement"] == NOT_BUILT
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*contents["files"], "report.json"])
    script = (tmp_path / "build.sh").read_text()
    assert NOT_BUILT in script and all(command in script for command in contents["commands"])
    listed = (tmp_path / f"{NAME}.{'tcl' if name == 'arty-a7-35t' else 'qsf'}").read_text()
    assert "spikeloom_link.v" in listed and f"{NAME}.v" in listed
    top = (tmp_path / f"{NAME}.v").read_text()
    assert re.search(rf"^module {NAME}\(", top, re.MULTILINE) and "spikeloom_link" in top
    with pytest.raises(BoardError, match=f"{name}: no bitstream is made for it here"):
        build(tiny, board(name), tmp_path)


def test_what_cannot_be_built(tiny: Design, tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="icebreaker: its bitstream is made here"):
        project(tiny, board("icebreaker"), tmp_path)
    with pytest.raises(PllError, match="the slowest clock that its PLL makes"):
        build(tiny, board("icebreaker"), tmp_path, mhz=5)
    with pytest.raises(PlanError, match="baud"):
        build(tiny, board("icebreaker"), tmp_path, mhz=16.5, baud=6_000_000)
    assert not (tmp_path / f"{NAME}.bin").exists()


@pytest.mark.slow
def test_too_large_a_design_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "big.v").write_text(
        "module top(input uart_0__rx__io, clk12_0__io, button_0__io, output uart_0__tx__io, led_0__io, led_1__io);\n"
        "reg [5999:0] s; always @(posedge clk12_0__io) s <= {s, uart_0__rx__io};\n"
        "assign uart_0__tx__io = s[5999], led_0__io = button_0__io, led_1__io = 0; endmodule\n"
    )
    texts = files(board("icebreaker"), clock_below(board("icebreaker"), 24), "stub", STUB)
    (tmp_path / f"{NAME}.pcf").write_text(texts[f"{NAME}.pcf"])
    yosys.run(["read_verilog big.v", "synth_ice40 -noabc -top top", f"write_json {NAME}.json"], tmp_path)
    refused = r"icebreaker: the design needs 6,\d+ ICESTORM_LC of 5,280; generate it with more --cycles, or choose a "
    with pytest.raises(BoardError, match=refused):
        place(board("icebreaker"), tmp_path, 24.0)


def test_the_next_clock_follows_what_was_reached() -> None:
    ice = board("icebreaker")

    def after(reached: float, *, asked: float = 48, wanted: float | None = None, tries: int = 1) -> tuple[float, int]:
        fit = Fit({}, reached, asked, False, "")
        made = [{"achieved_mhz": reached}] * tries
        clock, seed = next_try(ice, clock_below(ice, asked), fit, made, wanted, 1)
        return float(clock.mhz), seed

    assert after(42.88) == (40.5, 1), "the highest below 95 % of 42.88 MHz, 40.74"
    assert after(40.74, asked=40.75) == (38.25, 1)
    assert after(16.9) == (12.0, 1), "the oscillator itself"
    assert after(40, asked=41.25, wanted=41.25) == (41.25, 2), "another placement"
    with pytest.raises(BoardError, match="icebreaker: timing is not met: 41.25 MHz asked for, 30 MHz .* 28.5 or"):
        after(30, asked=41.25, wanted=41.25)
    with pytest.raises(BoardError, match=f"timing is not met in {TRIES} tries, of 48 MHz nextpnr reached 42.88 MHz"):
        after(42.88, tries=TRIES)
    with pytest.raises(BoardError, match="timing is not met, 9.5 MHz reached; ice40: the slowest clock"):
        after(9.5)


# The documents, and the whole flow.


def test_the_document_holds_the_boards_their_pins_and_what_was_built() -> None:
    text = shown.DOCUMENT.read_text()
    found = dict(re.findall(r"<!-- pinout: ([\w-]+) -->\n(.*?)<!-- end -->", text, re.DOTALL))
    assert found == {name: pinout(b) for name, b in BOARDS.items()}
    assert text == shown.regenerated(text, shown.figures()), "run 'python -m benchmarks.boards --tables'"
    assert text.count("<!-- end -->") == 2 + len(BOARDS)
    assert all(f"`{name}`" in text for name in BOARDS)
    readme = shown.README.read_text()
    assert readme == shown.regenerated(readme, shown.figures()) and "iCEBreaker | " in readme


def test_what_the_document_says_was_built_was_built() -> None:
    records = shown.figures()
    assert set(records) <= set(shown.SHOWN)
    for name, report in records.items():
        assert report["board"] == shown.SHOWN[name].board
        assert report["timing"]["met"] and report["timing"]["achieved_mhz"] >= report["clock"]["mhz"]
        assert not [cell for cell, use in report["used"].items() if use["used"] > use["available"]]


@pytest.mark.xdist_group("nextpnr")
def test_a_tiny_network_becomes_a_bitstream(tiny: Design, tmp_path: Path, monkeypatch) -> None:
    """At the second placement: of the first, as it may be where nearly all cells are in use, nextpnr finds none."""

    def second(chosen: Board, work: Path, mhz: float, seed: int) -> Fit:
        if seed == 1:
            raise Unplaced("no place for one cell")
        return place(chosen, work, mhz, seed)

    monkeypatch.setattr(bitstream, "place", second)
    steps: dict[str, None] = {}
    contents = build(tiny, board("icebreaker"), tmp_path, mhz=20.25, progress=lambda what, *_: steps.setdefault(what))
    assert list(steps) == ["synthesis, 20.25 MHz", "place and route, 20.25 MHz", "bitstream"]
    assert [(made["seed"], made["met"]) for made in contents["timing"]["tries"]] == [(2, True)]
    assert contents == json.loads((tmp_path / "report.json").read_text())
    assert contents["timing"]["met"] and contents["timing"]["achieved_mhz"] >= 20.25
    assert contents["clock"] | {"pll": None} == {"mhz": 20.25, "oscillator_mhz": 12.0, "pll": None}
    assert contents["used"]["ICESTORM_PLL"]["used"] == 1 and contents["used"]["SB_IO"]["used"] == 6
    image = (tmp_path / f"{NAME}.bin").read_bytes()
    assert len(image) == contents["bytes"] and b"\x7e\xaa\x99\x7e" in image[:256], "an iCE40's preamble"
    placed = (tmp_path / f"{NAME}.asc").read_text()
    assert ".device 5k" in placed and not [*tmp_path.glob("seed-*")]


@pytest.mark.slow
@pytest.mark.xdist_group("nextpnr")
def test_a_network_with_maps_becomes_a_bitstream(tmp_path: Path) -> None:
    """Two maps and classes, with their parts on the serial line."""
    contents = build(map_nets.mixed(), board("icebreaker"), tmp_path, mhz=20.25)
    assert contents["timing"]["met"] and contents["timing"]["achieved_mhz"] >= 20.25
    assert not [cell for cell, use in contents["used"].items() if use["used"] > use["available"]]


@pytest.mark.slow
def test_a_board_keeps_the_best_of_several_seeds(tiny: Design, tmp_path: Path, monkeypatch) -> None:
    """The first seed finds no place, the third is the fastest, no clock is met; at the next clock the second meets it,
    and no further one is begun."""
    reached = {48.0: (None, 40.0, 44.0), 43.5: (41.0, 43.6, 43.9)}
    begun = []

    def place(chosen: Board, work: Path, mhz: float, seed: int) -> Fit:
        begun.append((mhz, seed))
        assert (work / f"{NAME}.json").is_file() and (work / f"{NAME}.pcf").is_file()
        if (clock := reached[mhz][seed - 1]) is None:
            raise Unplaced("no place for one cell")
        for name in (f"{NAME}.asc", "nextpnr.json", "nextpnr.log"):
            (work / name).write_text(f"{mhz} {seed}")
        return Fit({}, clock, mhz, clock >= mhz, f"nextpnr --seed {seed}")

    def pack(_tool: object, _arguments: list[str], work: Path) -> tuple[bool, str]:
        (work / f"{NAME}.bin").write_text((work / f"{NAME}.asc").read_text())
        return True, ""

    monkeypatch.setattr(bitstream, "place", place)
    monkeypatch.setattr(bitstream, "run", pack)
    contents = build(tiny, board("icebreaker"), tmp_path, seeds=3)
    first, second = contents["timing"]["tries"]
    assert (first["seed"], first["achieved_mhz"], first["met"]) == (3, 44.0, False)
    assert (first["spread"]["min_mhz"], first["spread"]["seeds"], first["spread"]["failed"]) == (40.0, 2, 1)
    assert (second["seed"], second["achieved_mhz"], second["met"]) == (2, 43.6, True)
    assert begun == [(48.0, 1), (48.0, 2), (48.0, 3), (43.5, 1), (43.5, 2)]
    assert (tmp_path / f"{NAME}.bin").read_text() == (tmp_path / "nextpnr.log").read_text() == "43.5 2"
    assert not [*tmp_path.glob("seed-*")] and "nextpnr --seed 2" in contents["commands"]
    # No place for any cell from any seed: that is said, and no folder of a seed is left.
    reached[48.0] = (None,) * 12
    begun.clear()
    with pytest.raises(Unplaced, match="no place for one cell"):
        build(tiny, board("icebreaker"), tmp_path, seeds=3)
    assert len(begun) == 12 and not [*tmp_path.glob("seed-*")] and not (tmp_path / f"{NAME}.bin").exists()


# What is shown, each by one command.


@pytest.mark.slow
@pytest.mark.xdist_group("nextpnr")
@pytest.mark.parametrize(
    ("name", "least_mhz"), [("digits-icebreaker", 24), ("digits-tang-nano-9k", 27), ("mnist-ulx3s-85f", 50)]
)
def test_one_command_makes_the_bitstream(name: str, least_mhz: float, tmp_path: Path) -> None:
    command = shown.SHOWN[name]._replace(more=()).command(str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "spikeloom", *command, "--json"],
        cwd=shown.ROOT, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    contents = json.loads(done.stdout)
    assert contents["timing"]["met"] and contents["timing"]["achieved_mhz"] >= contents["clock"]["mhz"] >= least_mhz
    assert (tmp_path / contents["bitstream"]).stat().st_size == contents["bytes"] > 50_000
