"""A design after synthesis, ready for a simulator: Yosys's netlist, and models of the cells in it, in one file.

The models are those that come with Yosys (``cells_sim.v`` of the family). Yosys has none of ECP5's block RAM: that is
``cells_ecp5.v`` here, written from the way in which Yosys uses the cell.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...gen.emit.origin import verilog_file
from ...gen.targets import yosys
from ...gen.targets.fpga import netlist
from ...hdl.cache import prune
from ..ports import BoundaryPort, DesignPorts
from ..trace import SimulationError

__all__ = ["BuiltNetlist", "build_netlist", "cell_models"]

OWN_MODELS = {"ecp5": Path(__file__).with_name("cells_ecp5.v")}


@dataclass(frozen=True)
class BuiltNetlist:
    """``verilog``, a file with netlist and models; ``ports``, the boundaries that are in it; ``cells``, their numbers
    by type; ``build_seconds``, 0.0 where it was in the cache."""

    verilog: Path
    ports: DesignPorts
    cells: dict[str, int]
    build_seconds: float


def build_netlist(
    folder: Path, contents: dict[str, Any], family: str, cache: Path, *, plain: bool = False
) -> BuiltNetlist:
    """Synthesise the design in ``folder`` for ``family`` (``gen.targets.fpga.netlist``), or take it from the cache.

    ``plain``: the boundaries are not led out, and the ports alone remain to be compared.
    Raises YosysError where synthesis fails, SimulationError where a cell has no model.
    """
    start = time.perf_counter()
    ports = DesignPorts.from_json(contents)
    todo = netlist.passes(contents, family, plain=plain)
    verilog = verilog_file(folder, contents)
    if not verilog.is_file():
        raise SimulationError(f"There is no Verilog file {verilog}")
    models = cell_models(family)
    parts = (yosys.version(), *todo, models, _wrapper(ports, contents, plain), verilog.read_text())
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    target = cache / f"netlist-{key}"
    seconds = 0.0
    if target.is_dir():
        os.utime(target)
    else:
        made = netlist.make(folder, contents, family, plain=plain)
        known = set(re.findall(r"^module (\w+)", models, re.MULTILINE))
        if unknown := sorted(set(made.cells) - known):
            raise SimulationError(f"There is no simulation model of the {family} cell {', '.join(unknown)}")
        cache.mkdir(parents=True, exist_ok=True)
        prune(cache)
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as name:
            finished = Path(name) / "finished"
            finished.mkdir()
            text = made.text + _wrapper(ports, contents, plain) + models
            (finished / "netlist.v").write_text(text)
            (finished / "cells.json").write_text(json.dumps(made.cells))
            try:
                finished.rename(target)
            except OSError:  # another process was quicker
                if not target.is_dir():
                    raise
        seconds = time.perf_counter() - start
    cells = json.loads((target / "cells.json").read_text())
    if plain:
        answers = set(contents["outputs"].values())
        ends = (ports.input.name, *answers)
        ports = replace(ports, boundaries=tuple(b for b in ports.boundaries if b.name in ends))
    return BuiltNetlist(target / "netlist.v", ports, cells, seconds)


def cell_models(family: str) -> str:
    """Verilog of all cells of ``family`` that can be simulated."""
    spec = importlib.util.find_spec("pyosys")
    places = (spec.submodule_search_locations or ()) if spec else ()
    folder = next((Path(p) / "share" / family for p in places if (Path(p) / "share" / family).is_dir()), None)
    if folder is None:
        raise SimulationError("Cell models come with Yosys; run 'pip install pyosys'")
    text = _included(folder / "cells_sim.v")
    text = re.sub(r"\(\* blackbox \*\)\s*module .*?endmodule", "", text, flags=re.S)
    own = OWN_MODELS.get(family)
    return text + (own.read_text() if own else "")


def _included(path: Path) -> str:
    """A file with the files that it includes, each once."""
    seen: set[str] = set()

    def read(path: Path) -> str:
        def insert(match: re.Match[str]) -> str:
            if match[1] in seen:
                return ""
            seen.add(match[1])
            return read(path.with_name(match[1]))

        return re.sub(r'^`include "([^"]+)".*$', insert, path.read_text(), flags=re.MULTILINE)

    return read(path)


def _wrapper(ports: DesignPorts, contents: dict[str, Any], plain: bool) -> str:
    """The top module around the cells: its ports and the wires of the boundaries; ``plain``: those at its ports."""
    by_name = {port.name: port for port in ports.boundaries}
    ends: list[tuple[str, BoundaryPort, bool]] = [("i", ports.input, True)]
    ends += [(port, by_name[name], False) for port, name in contents["outputs"].items()]
    declared, wires, joined = ["input clk", "input rst"], [], [".clk(clk)", ".rst(rst)"]
    for port, boundary, inwards in ends:
        for part, shape, of_source in _parts(boundary):
            declared.append(f"{'input' if of_source == inwards else 'output'} {shape}{port}__{part}")
            joined.append(f".{port}__{part}({port}__{part})")
            if plain:
                wires.append(f"  wire {shape}{boundary.signal}_{part} = {port}__{part};\n")
    for last in ports.lasts:
        declared.append(f"output {last.port}")
        joined.append(f".{last.port}({last.port})")
    for boundary in () if plain else ports.boundaries:
        for part, shape, _ in _parts(boundary):
            wires.append(f"  wire {shape}{boundary.signal}_{part};\n")
            joined.append(f".{boundary.signal}_{part}({boundary.signal}_{part})")
    return (
        f"\nmodule {ports.top}({', '.join(declared)});\n{''.join(wires)}"
        f"  {ports.top}_cells cells({', '.join(joined)});\nendmodule\n\n"
    )


def _parts(boundary: BoundaryPort) -> tuple[tuple[str, str, bool], ...]:
    """The signals of a stream: name, range, and whether the source drives it."""
    bits = f"[{boundary.width - 1}:0] " if boundary.width > 1 else ""
    return (("payload", bits, True), ("valid", "", True), ("ready", "", False))
