"""The netlist that Yosys makes of a design: the cells of an FPGA family as Verilog, for simulation after synthesis."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from ...emit.origin import verilog_file
from .. import yosys
from ..yosys import YosysError
from .synth import DEVICES

__all__ = ["FAMILIES", "Netlist", "make", "passes"]

FAMILIES = ("ecp5", "ice40")
"""Families whose cells can be simulated."""


class Netlist(NamedTuple):
    """``text``, Verilog of one flat module; ``cells``, their numbers by type."""

    text: str
    cells: dict[str, int]


def passes(contents: dict[str, Any], family: str, *, plain: bool = False) -> list[str]:
    """The passes from ``top.v`` to ``netlist.v`` and ``stat.json``: those of
    :func:`spikeloom.gen.targets.fpga.synth.synthesise`.

    The three wires of every boundary become output ports, so that they live through synthesis and can be compared;
    that moves a few LUTs. ``plain``: nothing is added, the netlist is the one that is placed and routed. The module
    is called ``<top>_cells``.
    """
    if family not in FAMILIES:
        raise YosysError(f"The cells of {family!r} cannot be simulated; those of {', '.join(FAMILIES)} can")
    top = contents["top"]
    wires = [f"{top}/w:{b['signal']}_{part}" for b in contents["boundaries"] for part in ("valid", "ready", "payload")]
    return [
        f"read_verilog -DSPIKELOOM_{family.upper()} top.v",
        *([] if plain else [f"expose {' '.join(wires)}"]),
        f"{DEVICES[family]} -top {top}",
        "tee -q -o stat.json stat -json",
        "delete t:$scopeinfo",
        f"rename {top} {top}_cells",
        "write_verilog -noattr netlist.v",
    ]


def make(folder: str | Path, contents: dict[str, Any], family: str, *, plain: bool = False) -> Netlist:
    """Synthesise the design in ``folder`` for ``family``, one of :data:`FAMILIES`. See :func:`passes`.

    Raises YosysError where the family is unknown, or Yosys is missing or fails.
    """
    todo = passes(contents, family, plain=plain)
    verilog = verilog_file(folder, contents)
    if not verilog.is_file():
        raise YosysError(f"{verilog}: no such file; generate the design again")
    with tempfile.TemporaryDirectory(prefix="spikeloom-netlist-") as name:
        work = Path(name)
        (work / "top.v").write_bytes(verilog.read_bytes())
        yosys.run(todo, work)
        stat = json.loads((work / "stat.json").read_text())
        cells = {k: n for k, n in stat["design"]["num_cells_by_type"].items() if not k.startswith("$")}
        return Netlist((work / "netlist.v").read_text(), cells)
