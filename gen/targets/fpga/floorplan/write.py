"""A floorplan in the netlist that nextpnr reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .....quant.files.replacing import replacing
from ....emit.names import identifier
from .netlist import read
from .plan import Plan, plan
from .sites import Site

__all__ = ["digest", "pin"]


def pin(
    path: Path, stages: Sequence[str], sites: Mapping[str, Sequence[Site]],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Plan:  # fmt: skip
    """Plan the netlist ``path`` (:func:`.plan.plan`), and pin its macros to their sites in the file.

    ``stages``: names of the network's layers with arithmetic, in their order.
    """
    found = plan(read(path, [identifier(name) for name in stages]), sites, progress)
    netlist = json.loads(path.read_text())
    for module in netlist["modules"].values():
        for name, cell in module["cells"].items():
            if name in found.places:
                cell["attributes"]["BEL"] = found.places[name]
    with replacing(path) as part:
        part.write_text(json.dumps(netlist))
    return found


def digest() -> str:
    """What tells two ways of making a floorplan apart: the digest of the sources here."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
