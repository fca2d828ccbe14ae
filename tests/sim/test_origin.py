"""A verification does not trust what it reads: boundaries are those of the design, hashes those of the files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import small
from typer.testing import CliRunner

from spikeloom.cli import app
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.targets.fpga import netlist
from spikeloom.sim.verify import verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    emit.write(small.design(), tmp_path / "design")
    np.savez(tmp_path / "frames.npz", frames=small.frames(4))
    return tmp_path / "design"


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    contents = json.loads((folder / "design.json").read_text())
    edit(contents)
    (folder / "design.json").write_text(json.dumps(contents))


def command(folder: Path, *options: str) -> Any:
    where = ["verify", str(folder), "--data", str(folder.parent / "frames.npz"), "-n", "4", "--simulator", "amaranth"]
    return CliRunner().invoke(app, [*where, *options])


def only_two(contents: dict[str, Any]) -> None:
    contents["boundaries"] = contents["boundaries"][::3]


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "boundaries left out": (only_two, "the boundaries lack hidden, last.width"),
    "another width": (lambda c: c["boundaries"][1].update(width=9), "boundary 'hidden' is not described as the design"),
    "another signal": (lambda c: c["boundaries"][1].update(signal="b7_"), "boundary 'hidden' is not described"),
    "other outputs": (lambda c: c.update(outputs={"o": "hidden"}), "outputs are not those of the design"),
    "other ports": (lambda c: c["ports"].update(clk=2), "ports are not those of the design"),
    "no mark of the last word": (lambda c: c["ports"].pop("o__last"), "ports are not those of the design"),
    "another target": (lambda c: c.update(target="asic", memories=[]), "target 'asic' is not that of spikeloom_top.v"),
    "other classes": (lambda c: c["network"].update(classes=2), "network.classes is not that of the design"),
    "other cycles": (lambda c: c["predicted"].update(latency_cycles=1), "predicted.latency_cycles is not that of the"),
    "another interval": (lambda c: c["predicted"].update(interval_cycles=1), "predicted.interval_cycles is not that"),
    "another layout": (lambda c: c["layout"].pop("o"), "layout is not that of the design"),
    "another hash": (lambda c: c.update(verilog_sha256="0" * 64), "is not the file that was generated"),
}


def test_designs_from_before_the_mark_of_the_last_word_are_as_generated(folder: Path, cache: Path) -> None:
    verilog = folder / "spikeloom_top.v"
    text = verilog.read_text().replace(" o__last, i__payload);", " i__payload);", 1)
    text = text.replace("  output o__last;\n", "", 1)
    verilog.write_text(text)

    def before(contents: dict[str, Any]) -> None:
        contents["ports"].pop("o__last")
        contents["verilog_sha256"] = hashlib.sha256(text.encode()).hexdigest()

    change(folder, before)
    design, contents = emit.read(folder)
    outcome = verify(design, contents, folder, small.frames(4), cache=cache)
    assert outcome.edits == () and outcome.passed


@pytest.mark.parametrize("name", EDITS)
def test_what_design_json_says_is_not_believed(name: str, folder: Path) -> None:
    edit, text = EDITS[name]
    change(folder, edit)
    design, contents = emit.read(folder)
    outcome = verify(design, contents, folder, small.frames(4), simulator="amaranth")
    assert outcome.names == tuple(b.name for b in design.boundaries), "all boundaries are compared"
    assert outcome.equal and not outcome.passed and len(outcome.edits) == 1 and text in outcome.edits[0]
    assert outcome.network_hash == design.network.hash
    assert verify(design, contents, folder, small.frames(4), simulator="amaranth", allow_edited=True).passed


def test_all_boundaries_in_verilator_and_netlists(folder: Path, cache: Path) -> None:
    change(folder, only_two)
    design, contents = emit.read(folder)
    outcome = verify(design, contents, folder, small.frames(4), cache=cache)
    assert outcome.equal and not outcome.passed and outcome.boundaries == len(design.boundaries)
    text = (folder / contents["verilog"]).read_bytes()
    assert outcome.verilog_sha256 == hashlib.sha256(text).hexdigest()


def test_edited_verilog_is_said_everywhere(folder: Path) -> None:
    fresh = command(folder, "--json")
    assert fresh.exit_code == 0 and json.loads(fresh.stdout)["edits"] == [] and "as generated" not in fresh.stderr
    verilog = folder / "spikeloom_top.v"
    verilog.write_text(verilog.read_text() + "// a thought\n")
    report = folder.parent / "report.xml"
    ran = command(folder, "--json", "--junit", str(report))
    found = json.loads(ran.stdout)
    assert ran.exit_code == 1 and not found["passed"] and found["differences"] == []
    assert "error: " in ran.stderr and "spikeloom_top.v is not the file that was generated" in ran.stderr
    assert "--allow-edited" in ran.stderr and found["edits"][0] in ran.stderr
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None and suite.attrib["failures"] == "1"
    failed = [case.attrib["name"] for case in suite.iter("testcase") if case.find("failure") is not None]
    assert failed == ["files as generated"]
    ran = command(folder, "--allow-edited", "--junit", str(report))
    assert ran.exit_code == 0 and "equal in every cycle" in ran.stdout and ran.stderr.startswith("warning: ")
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None and suite.attrib["failures"] == "0"
    values = {p.attrib["name"]: p.attrib["value"] for p in suite.iter("property")}
    assert values["spikeloom_as_generated"] == found["edits"][0]


@pytest.mark.parametrize("kind", ["absolute", "above", "link"])
def test_no_file_outside_its_folder(kind: str, folder: Path) -> None:
    design, contents = emit.read(folder)
    other = folder.parent / "other.v"
    (folder / "spikeloom_top.v").rename(other)
    if kind == "link":
        (folder / "spikeloom_top.v").symlink_to(other)
    else:
        contents["verilog"] = str(other) if kind == "absolute" else "../other.v"
    for work in (
        lambda: verify(design, contents, folder, small.frames(2), simulator="amaranth"),
        lambda: netlist.make(folder, contents, "ice40"),
    ):
        with pytest.raises(PlanError, match=r"design\.json: verilog '.*other\.v|is a link to another place"):
            work()
