"""The outcome of a verification as a JUnit report, which build servers show: one test case a boundary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from .sim.verify import Outcome

__all__ = ["properties", "write_junit"]


def properties(contents: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """What identifies a verification and says how much it covers; ``contents`` of ``design.json``."""
    return {"network_hash": contents["network"]["hash"], "verilog_sha256": contents["verilog_sha256"],
            "simulator": outcome.simulator, "netlist": outcome.netlist or "none", "frames": outcome.frames,
            "boundaries": outcome.boundaries, "cycles": outcome.cycles, "transfers": outcome.transfers,
            "classes": " ".join(map(str, outcome.classes.tolist())), **_reach(outcome)}


def _reach(outcome: Outcome) -> dict[str, Any]:
    """The shares of branches taken and of constants that would show, and how many warnings there are."""
    if outcome.reach is None:
        return {}
    from .sim.reach import MOVED, TAKEN

    shares = {f"reach_{name}": round(outcome.reach.share(*kinds), 6)
              for name, kinds in (("branches", TAKEN), ("constants", MOVED))}
    return {**shares, "reach_warnings": len(outcome.reach.warnings())}


def write_junit(path: Path, name: str, contents: dict[str, Any], outcome: Outcome, text: str) -> None:
    """Write the report of the design ``name``; ``text`` shows the earliest difference, where there is one."""
    found = {difference.boundary: str(difference) for difference in outcome.differences}
    suite = ET.Element("testsuite", name="spikeloom verify", tests=str(len(outcome.names)), errors="0", skipped="0",
                       failures=str(len(found)), time=f"{outcome.seconds + outcome.build_seconds:.3f}")
    listed = ET.SubElement(suite, "properties")
    for key, value in properties(contents, outcome).items():
        ET.SubElement(listed, "property", name=f"spikeloom_{key}", value=str(value))
    for boundary in outcome.names:
        case = ET.SubElement(suite, "testcase", classname=name, name=boundary, time="0")
        if boundary in found:
            failure = ET.SubElement(case, "failure", message=found[boundary])
            failure.text = text if boundary == outcome.differences[0].boundary else found[boundary]
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="unicode", xml_declaration=True)
