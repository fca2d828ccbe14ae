"""``spikeloom build``: projects, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

from spikeloom import api
from spikeloom.gen.targets.boards.table import BOARDS
from spikeloom.gen.targets.fpga import vendor


def test_a_project_for_the_makers_tools(cli, design: Path, tmp_path: Path) -> None:
    ran = cli("build", design, "--board", "de10-nano", "-o", tmp_path / "de10", "--baud", 115200, "--json")
    assert ran.status == 0, ran.err
    assert ran.json["built"] is False and ran.json["baud"] == 115200
    assert ran.json["clock"] == {"mhz": 50.0, "oscillator_mhz": 50.0}
    assert json.loads((tmp_path / "de10" / "report.json").read_text())["files"] == ran.json["files"]
    shown = cli("build", design, "--board", "arty-a7-35t", "-o", tmp_path / "arty", "--clock", 40)
    assert shown.status == 0 and "Arty A7-35T, XC7A35TICSG324-1L: not built here" in shown.out
    assert "vivado -mode batch -source spikeloom_board.tcl" in shown.out


def test_a_network_file_is_generated_first(cli, network_file: Path, tmp_path: Path) -> None:
    ran = cli("build", network_file, "--board", "de10-nano", "--cycles", 2000, "-o", tmp_path / "made", "--json")
    assert ran.status == 0, ran.err
    assert (tmp_path / "made" / "design" / "design.json").is_file()
    assert (tmp_path / "made" / "spikeloom_board.qsf").is_file()


def test_multipliers_of_the_board(cli, network_file: Path, tmp_path: Path, monkeypatch) -> None:
    """None by default, as many as its entry says, and the option wins."""
    given = []
    monkeypatch.setattr(api, "generate", lambda *_, dsp, **__: given.append(dsp) or [None])
    contents = {"statement": "", "files": [], "commands": [], "program": ""}
    monkeypatch.setattr(vendor, "project", lambda *_, **__: dict(contents))

    def built(*more: str | int) -> None:
        ran = cli("build", network_file, "--board", "de10-nano", "--cycles", 2000, "-o", tmp_path / "made", *more)
        assert ran.status == 0, ran.err

    built()
    built("--dsp", 7)
    monkeypatch.setitem(BOARDS, "de10-nano", replace(BOARDS["de10-nano"], dsp=28))
    built()
    built("--dsp", 0)
    assert given == [0, 7, 28, 0]
    cli("build", network_file, "--board", "de10-nano", "--cycles", 2000, "-o", tmp_path, "--dsp", 225).refused(
        "de10-nano: dsp=225 is no number of the 224 multipliers of its 5CSEBA6U23I7; choose one from 0 to 224")


def test_what_is_refused(cli, design: Path, network_file: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "out")
    cli("build", design, "--board", "papilio", *out).refused("board must be one of icebreaker, ulx3s-25f", "'papilio'")
    cli("build", tmp_path, "--board", "icebreaker", *out).refused("not a generated design", "spikeloom generate")
    cli("build", network_file, "--board", "icebreaker", *out).refused("icebreaker", "choose --cycles")
    for more in (("--board", "ulx3s-85f", *out), ("--board", "ulx3s-85f"), ()):
        cli("build", tmp_path / "nope", *more).refused("nope: no such file or folder")
    cli("build", design, "--board", "icebreaker", "--clock", 8, *out).refused(
        "the slowest clock that its PLL makes of 12 MHz is 16.125 MHz, more than 8 MHz")
    cli("build", design, "--board", "ulx3s-25f", "--clock", 20, "--baud", 9_000_000, *out).refused(
        "9e+06 baud take 4 clock cycles a bit")
    usage = cli("build", design, "--board", "icebreaker", "--cycles", 100, *out)
    assert usage.status == 2 and "this is a design already" in usage.err
    usage = cli("build", design, "--board", "icebreaker", "--fold", "fold.toml", *out)
    assert usage.status == 2 and "--fold" in usage.err and "this is a design already" in usage.err
    usage = cli("build", design, "--board", "icebreaker", "--dsp", 4, *out)
    assert usage.status == 2 and "--dsp" in usage.err and "this is a design already" in usage.err
    usage = cli("build", design, "--board", "de10-nano", "--seeds", 2, *out)
    assert usage.status == 2 and "nothing is placed here" in usage.err
    usage = cli("build", network_file, "--board", "icebreaker")
    assert usage.status == 2 and "is needed with a network file" in usage.err
    assert not list((tmp_path / "out").glob("*.bi*"))
