"""The cocotb test that plays a board: bits on the serial line of an emitted ``LinkTop``, from and to a pseudo-terminal
or a file.

Started by :mod:`spikeloom.sim.board.simulation` in a folder with ``bench.json``. Python runs at the edges of the line
only, the clock is cocotb's own in C++.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import tty
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

__all__ = ["board"]

PERIOD = 10  # ns
RESET_CYCLES = 4
QUIET_BITS = 24  # without anything moving before the simulation stops to wait for the host
STDIN = 0


@cocotb.test()
async def board(dut: Any) -> None:
    """Reset the board, then do what ``bench.json`` says."""
    folder = Path(os.environ["SPIKELOOM_BENCH"])
    settings = json.loads((folder / "bench.json").read_text())
    dut.rst.value, dut.rx.value = 1, 1
    Clock(dut.clk, PERIOD, unit="ns", impl="gpi").start(start_high=False)
    # Everything else happens in the middle of a cycle's second half, away from the edges of the clock.
    await Timer(RESET_CYCLES * PERIOD * 1000 + 2500, "ps")
    dut.rst.value = 0
    if settings["script"]:
        await _play(dut, folder)
    else:
        await _serve(dut, folder, settings["cycles_per_bit"])


def _now() -> float:
    """The clock cycle, a fraction included."""
    return get_sim_time("ps") / (1000 * PERIOD)


async def _cycles(count: float) -> None:
    await Timer(round(1000 * PERIOD * count), "ps")


async def _play(dut: Any, folder: Path) -> None:
    """Set the inputs at the times of ``script.npz`` and write the edges of ``tx`` to ``edges.npz``."""
    with np.load(folder / "script.npz") as file:
        times, inputs, values = (file[name].tolist() for name in ("times", "inputs", "values"))
        end = float(file["end"])
    start, edges = _now(), list[tuple[float, int]]()

    async def watch() -> None:
        while True:
            await dut.tx.value_change
            edges.append((_now() - start, int(dut.tx.value)))

    task = cocotb.start_soon(watch())
    handles, at = (dut.rx, dut.rst), 0.0
    for time, which, value in zip(times, inputs, values, strict=True):
        if time > at:
            await _cycles(time - at)
            at = time
        handles[which].value = value
    await _cycles(end - at)
    task.cancel()
    found = np.array(edges, float).reshape(-1, 2)
    np.savez(folder / "edges.npz", times=found[:, 0], values=found[:, 1].astype(np.int8), busy=int(dut.busy.value))


async def _serve(dut: Any, folder: Path, bit: int) -> None:
    """Be a serial port until standard input ends. The simulation stands still while nothing is under way."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    cycles = os.open(folder / "cycles", os.O_RDWR | os.O_CREAT, 0o644)
    transmitter = _Transmitter(dut, bit, master, cycles)
    task = cocotb.start_soon(transmitter.run())
    (folder / "port.new").write_text(os.ttyname(slave))
    (folder / "port.new").replace(folder / "port")
    quiet = 0
    while True:
        wait = None if quiet > QUIET_BITS else 0
        ready, _, _ = select.select([master, STDIN], [], [], wait)
        if master in ready:
            await _send(dut, os.read(master, 4096), bit)
            quiet = 0
        elif STDIN in ready and not os.read(STDIN, 1):
            break
        else:
            moving = transmitter.receiving or int(dut.busy.value)
            quiet = 0 if moving else quiet + 1
            await _cycles(4 * bit if moving else bit)
    task.cancel()
    for descriptor in (master, slave, cycles):
        os.close(descriptor)


async def _send(dut: Any, data: bytes, bit: int) -> None:
    """Put bytes on ``rx``, 8N1, one after the other."""
    for byte in data:
        levels = (byte << 1) | 0x200
        at = 0
        while at < 10:
            level, length = levels >> at & 1, 1
            while at + length < 10 and levels >> (at + length) & 1 == level:
                length += 1
            dut.rx.value = level
            await _cycles(length * bit)
            at += length


class _Transmitter:
    """Takes bytes from ``tx`` and gives them to the pseudo-terminal, which drops what nobody reads."""

    def __init__(self, dut: Any, bit: int, master: int, cycles: int) -> None:
        self.tx, self.bit, self.master, self.cycles = dut.tx, bit, master, cycles
        self.receiving = False
        self._bytes = bytearray()

    async def run(self) -> None:
        """Watch the line for ever."""
        while True:
            if self.tx.value == 1:
                await self.tx.value_change
            self.receiving = True
            byte = 0
            await _cycles(1.5 * self.bit)
            for k in range(8):
                byte |= int(self.tx.value) << k
                await _cycles(self.bit)
            if self.tx.value == 1:
                self._take(byte)
            self.receiving = False

    def _take(self, byte: int) -> None:
        self._bytes.append(byte)
        if byte and len(self._bytes) < 256:
            return
        os.pwrite(self.cycles, b"%20d\n" % int(_now()), 0)
        with contextlib.suppress(BlockingIOError):
            os.write(self.master, self._bytes)
        self._bytes.clear()
