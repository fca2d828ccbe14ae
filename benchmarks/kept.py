"""Results of long runs of Yosys, kept under the hash of the Verilog that they are of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spikeloom.quant.files.replacing import replacing

__all__ = ["FOLDER", "kept"]

FOLDER = Path(__file__).resolve().parent.parent / "build" / "kept"
"""Where they are kept."""


def kept(what: str, verilog: str, make: Callable[[], Any]) -> Any:
    """What ``make`` gives as JSON; of the same ``what``, ``verilog`` and version of Yosys it is made once."""
    name = hashlib.sha256("\n".join([what, version("pyosys"), verilog]).encode()).hexdigest()[:32]
    path = FOLDER / f"{what}-{name}.json"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        found = make()
        with replacing(path) as part:
            part.write_text(json.dumps(found))
    return json.loads(path.read_text())
