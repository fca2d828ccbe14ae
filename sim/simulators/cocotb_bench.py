"""The cocotb test that drives an emitted design through its ports and watches its boundaries from outside.

Started by :mod:`spikeloom.sim.simulators.cocotb_run`; the environment variable ``SPIKELOOM_BENCH`` names a folder with
``ports.json`` and ``stimulus.npz``, into which ``trace.npz`` is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from ..environment import Environment, Recorder
from ..ports import DesignPorts
from .npz import load_stimulus, save_trace

__all__ = ["stream_bench"]

RESET_CYCLES = 2


def _bit(handle: Any, name: str, cycle: int) -> bool:
    value = str(handle.value)
    if value not in "01":
        raise AssertionError(f"{name} is {value} in cycle {cycle}")
    return value == "1"


def _reader(handle: Any, name: str, cycle: int) -> Callable[[], int]:
    def read() -> int:
        value = handle.value
        if not value.is_resolvable:
            raise AssertionError(f"{name} is {value} in cycle {cycle}, while valid")
        return int(value)

    return read


@cocotb.test()
async def stream_bench(dut: Any) -> None:
    """Play the stimulus and record every transfer."""
    folder = Path(os.environ["SPIKELOOM_BENCH"])
    ports = DesignPorts.from_json(json.loads((folder / "ports.json").read_text()))
    environment = Environment(load_stimulus(folder / "stimulus.npz"), ports.input.width, len(ports.outputs))
    recorder = Recorder(
        {port.name: port.width for port in ports.boundaries}, {last.boundary: last.words for last in ports.lasts}
    )
    marks = {last.boundary: (getattr(dut, last.port), last.port) for last in ports.lasts}
    lasts = [marks.get(port.name) for port in ports.boundaries]
    names = [[f"{port.signal}_{part}" for part in ("valid", "ready", "payload")] for port in ports.boundaries]
    handles = [[getattr(dut, name) for name in three] for three in names]
    boundaries = [(index, *three) for index, three in enumerate(handles)]
    edge = RisingEdge(dut.clk)
    driven: dict[str, int] = {}

    def drive(**values: int) -> None:
        for name, value in values.items():
            if driven.get(name) != value:
                getattr(dut, name).value = driven[name] = value

    def drive_all() -> None:
        drive(rst=environment.reset, i__valid=environment.valid)
        drive(**{f"{p}__ready": ready for p, ready in zip(ports.outputs, environment.readies, strict=True)})
        drive(i__payload=environment.payload)

    drive_all()
    Clock(dut.clk, 10, unit="ns").start(start_high=False)
    for _ in range(RESET_CYCLES):
        await edge
    # After a rising edge signals still read as before it, and what is written now shows in the cycle that begins.
    for cycle in range(environment.cycles):
        environment.begin(cycle)
        drive_all()
        await edge
        if environment.reset:
            recorder.reset()
            continue
        for index, valid, ready, payload in boundaries:
            shows = names[index]
            if _bit(valid, shows[0], cycle):
                took, read = _bit(ready, shows[1], cycle), _reader(payload, shows[2], cycle)
                mark = lasts[index]
                recorder.sample(cycle, index, True, took, read, mark is not None and _bit(*mark, cycle))
            else:
                recorder.sample(cycle, index, False, False, int)
        environment.end(_bit(dut.i__ready, "i__ready", cycle))
    save_trace(folder / "trace.npz", recorder.trace())
