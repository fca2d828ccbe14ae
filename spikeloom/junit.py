"""The outcome of a verification as a JUnit report, which build servers show: one test case a boundary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from .sim.verify import Outcome

__all__ = ["properties", "write_junit"]


def properties(outcome: Outcome) -> dict[str, Any]:
    """What identifies a verification and says how much it covers. The Verilog is the file that was simulated or of
    which the netlist was made; where Amaranth simulated the design itself there is none."""
    return {"network_hash": outcome.network_hash, "verilog_sha256": outcome.verilog_sha256 or "none",
            "as_generated": "; ".join(outcome.edits) or "yes",
            "simulator": outcome.simulator, "netlist": outcome.netlist or "none", "frames": outcome.frames,
            "boundaries": outcome.boundaries, "cycles": outcome.cycles, "transfers": outcome.transfers,
            "classes": " ".join(map(str, outcome.classes.tolist())), **_reach(outcome)}


def _reach(outcome: Outcome) -> dict[str, Any]:
    """The shares of branches taken and of constants that would show, and how many warnings there are."""
    if outcome.reach is None:
        return {}
    from .sim.reach import MOVED, TAKEN

    shares = {f"reach_{name}": round(outcome.reach.share(what), 6)
              for name, what in (("branches", TAKEN), ("constants", MOVED))}
    return {**shares, "reach_warnings": len(outcome.reach.warnings())}


def write_junit(path: Path, name: str, outcome: Outcome, text: str) -> None:
    """Write the report of the design ``name``; ``text`` shows the earliest difference, where there is one. A case of
    its own says whether the files are as they were generated."""
    edited = bool(outcome.edits) and not outcome.allow_edited
    found = {difference.boundary: str(difference) for difference in outcome.differences}
    suite = ET.Element("testsuite", name="spikeloom verify", tests=str(len(outcome.names) + 1), errors="0", skipped="0",
                       failures=str(len(found) + edited), time=f"{outcome.seconds + outcome.build_seconds:.3f}")
    listed = ET.SubElement(suite, "properties")
    for key, value in properties(outcome).items():
        ET.SubElement(listed, "property", name=f"spikeloom_{key}", value=str(value))
    case = ET.SubElement(suite, "testcase", classname=name, name="files as generated", time="0")
    if edited:
        ET.SubElement(case, "failure", message=outcome.edits[0]).text = "\n".join(outcome.edits)
    for boundary in outcome.names:
        case = ET.SubElement(suite, "testcase", classname=name, name=boundary, time="0")
        if boundary in found:
            failure = ET.SubElement(case, "failure", message=found[boundary])
            failure.text = text if boundary == outcome.differences[0].boundary else found[boundary]
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="unicode", xml_declaration=True)
