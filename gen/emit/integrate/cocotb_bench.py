"""``NAME_cocotb.py``: a test bench for cocotb 2 that needs nothing of Spikeloom, run by itself or by pytest."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from .bench import vector_files
from .layout import Port

__all__ = ["cocotb_bench"]

_TEXT = Template('''\
"""A test bench of $top for cocotb 2: every output word, and 'last', with and without pauses on both sides.

Run it with Python in this folder: python $stem_cocotb.py (SIM=verilator or SIM=icarus names the simulator).
"""

import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

FOLDER = Path(__file__).resolve().parent
INPUT = "$input"
OUTPUTS = $outputs  # by port: the file of its words, and the words of a frame


def words(file):
    """The words of a file of vectors."""
    return [int(line, 16) for line in (FOLDER / file).read_text().split()]


async def sink(dut, port, file, per_frame, pause, chance):
    """Take all words of an output and compare them; a pause is a cycle in which it is not ready."""
    valid, ready = getattr(dut, f"{port}__valid"), getattr(dut, f"{port}__ready")
    for k, want in enumerate(words(file)):
        while True:
            ready.value = int(chance.random() >= pause)
            await RisingEdge(dut.clk)
            if valid.value and ready.value:
                break
        found, last = getattr(dut, f"{port}__payload").value.to_unsigned(), bool(getattr(dut, f"{port}__last").value)
        assert found == want, f"{port}, word {k}: {found:x}, expected {want:x}"
        assert last == (k % per_frame == per_frame - 1), f"{port}, word {k}: last is {last}"
    ready.value = 0


async def source(dut, pause, chance):
    """Offer all words of the input; a word that is offered stays until it is taken."""
    for word in words(INPUT):
        while chance.random() < pause:
            dut.i__valid.value = 0
            await RisingEdge(dut.clk)
        dut.i__valid.value, dut.i__payload.value = 1, word
        while True:
            await RisingEdge(dut.clk)
            if dut.i__ready.value:
                break
    dut.i__valid.value = 0


async def run(dut, pause, seed):
    """Reset, then all frames."""
    dut.i__valid.value, dut.i__payload.value, dut.rst.value = 0, 0, 1
    for port in OUTPUTS:
        getattr(dut, f"{port}__ready").value = 0
    Clock(dut.clk, 10, unit="ns").start()
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    # Behind a rising edge signals still have the values that it saw, and what is written is there for the next one.
    sinks = [
        cocotb.start_soon(sink(dut, port, file, per_frame, pause, random.Random(seed + 1 + k)))
        for k, (port, (file, per_frame)) in enumerate(OUTPUTS.items())
    ]
    cocotb.start_soon(source(dut, pause, random.Random(seed)))
    for task in sinks:
        await task


@cocotb.test(timeout_time=$timeout, timeout_unit="ns")
async def all_words(dut):
    await run(dut, 0.0, 0)


@cocotb.test(timeout_time=$longer, timeout_unit="ns")
async def all_words_with_pauses(dut):
    await run(dut, 0.3, 1)


def main():
    """Build and run in a folder of the simulator."""
    from cocotb_tools.runner import get_results, get_runner

    simulator = os.environ.get("SIM", "icarus")
    runner = get_runner(simulator)
    options = ["-Wno-fatal"] if simulator == "verilator" else []
    build = FOLDER / f"sim_build_{simulator}"
    runner.build(sources=[FOLDER / "$verilog"], hdl_toplevel="$top", build_dir=build, always=True,
                 build_args=options, timescale=("1ns", "1ps"))
    results = runner.test(hdl_toplevel="$top", test_module=Path(__file__).stem, test_dir=FOLDER, build_dir=build)
    ran, failed = get_results(results)
    raise SystemExit(ran != 2 or failed != 0)


if __name__ == "__main__":
    main()
''')


def cocotb_bench(top: str, stem: str, verilog: str, ports: Sequence[Port], cycles: int) -> str:
    """The text of the bench; ``cycles``, that a run without pauses takes."""
    files = vector_files(stem, ports)
    outputs = {port.name: (files[port.name], port.words) for port in ports if port.output}
    return _TEXT.substitute(
        top=top, stem_cocotb=f"{stem}_cocotb", verilog=verilog, input=files["i"], outputs=repr(outputs),
        timeout=10 * (2 * cycles + 1000), longer=10 * (20 * cycles + 10000),
    )  # fmt: skip
