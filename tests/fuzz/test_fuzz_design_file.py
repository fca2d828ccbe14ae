"""``design.json``: read, and used by all that reads it, or refused."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
from fuzzing import Format, changed, few, kept_folder, many, mixed, nested

from spikeloom.commands.design import fold_rows
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.tops.axi import AxiTop
from spikeloom.gen.tops.axi import write as write_axi
from spikeloom.sim.ports import DesignPorts
from spikeloom.sim.simulators.netlist import _wrapper


@cache
def designs() -> list[Path]:
    """A design with an AXI core, and one for an ASIC."""
    folder = kept_folder()
    made = small.design()
    write_axi(AxiTop(made, None), folder / "axi", emit.write(made, folder / "axi"))
    emit.write(made, folder / "asic", target="asic")
    return [folder / "axi", folder / "asic"]


def write(rng: np.random.Generator, folder: Path) -> Path:
    """A design whose design.json has a few changes."""
    source = designs()[int(rng.integers(2))]
    shutil.copy(source / "network.safetensors", folder)
    text = (source / "design.json").read_text()
    match int(rng.integers(8)):
        case 0:
            data = changed(rng, text.encode())
        case 1:
            value = nested(rng, *(('[', ']') if rng.integers(2) else ('{"a":[', "]}")))
            data = (f'{{"format": 1, "x": {value}, ' + text[1:]).encode()
        case _:
            data = json.dumps(mixed(rng, json.loads(text))).encode()
    (folder / "design.json").write_bytes(data)
    return folder


def read(folder: Path) -> None:
    """What verify, synth, build and run take from the file."""
    _, contents = emit.read(folder)
    fold_rows(contents)
    ports = DesignPorts.from_json(contents)
    _wrapper(ports, contents, plain=False)
    stages: dict[str, Any] = contents["predicted"]["stages"]
    assert sum(stage["lut4_eq_estimate"] for stage in stages.values()) >= 0 <= contents["predicted"]["interval_cycles"]
    assert len(contents["verilog_sha256"]) >= 0 and (folder / contents["verilog"]).parent == folder
    for memory in contents.get("memories", []):
        assert memory["depth"] * memory["width"] * memory["instances"] > 0 and f"{memory['module']}.hex"


FORMATS = {"design": Format(write, read)}


def test_a_few_inputs() -> None:
    few(FORMATS["design"])


@pytest.mark.slow
def test_many_inputs() -> None:
    many(__file__, "design")
