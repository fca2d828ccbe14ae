"""The cocotb side of the AXI tests: cocotbext-axi drives the core, a watcher checks the rules and notes what came.

The environment variable ``AXI_BENCH`` names a folder with ``config.json``, into which ``record.json`` is written: runs
between resets, each with the packets that went in and the results that came out, to be compared with the golden model.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource
from cocotbext.axi.axil_channels import AxiLiteAWTransaction, AxiLiteWTransaction

OKAY, SLVERR = 0, 2
LIMIT = 8_000
"""Cycles after which a case hangs."""

OUTPUTS = {
    "m_axis_t": ("data", "last"),
    "s_axil_b": ("resp",),
    "s_axil_r": ("data", "resp"),
}
READIES = ("s_axis_tready", "s_axil_awready", "s_axil_wready", "s_axil_arready")


class Watch:
    """Sees every cycle: valid and payload are held until ready, results have their length, nothing moves in a reset.

    Attributes: ``runs``, what is written to the record; ``run``, the current one; its ``stalls``; ``cycle``.
    """

    def __init__(self, dut: Any, config: dict[str, Any]) -> None:
        self.dut, self.config, self.cycle = dut, config, 0
        self.maps = {f"{each['stream']}_t": each for each in config["maps"]}
        self.outputs = OUTPUTS | dict.fromkeys(self.maps, ("data", "last", "user"))
        self.map_words: dict[str, list[int]] = {prefix: [] for prefix in self.maps}
        self.map_runs: dict[str, dict[str, Any]] = {}  # as ``belongs``, of maps
        self.runs: list[dict[str, Any]] = []
        self.partial: list[int] = []
        self.belongs: dict[str, Any] | None = None  # the run of the packet of results that is under way
        self.writing: dict[str, int] = {}
        self.held: dict[str, tuple[int, ...]] = {}
        self.answering = False
        self.begin()

    def begin(self) -> None:
        """A new run."""
        if self.runs:
            self.run |= {"end": "reset", "partial": self.packet.hex()}
        self.run: dict[str, Any] = {"packets": [], "partial": "", "results": [], "cut": [], "end": "quiet",
                                    "maps": {prefix: {"frames": [], "cut": []} for prefix in self.maps}}  # fmt: skip
        self.runs.append(self.run)
        self.packet = bytearray()
        self.stalls = [0, 0, 0]

    @property
    def settled(self) -> bool:
        """Whether every packet has its result."""
        whole = [self.run["results"], *(found["frames"] for found in self.run["maps"].values())]
        return not self.packet and all(len(self.run["packets"]) == len(each) for each in whole)

    async def watch(self) -> None:
        dut, edge = self.dut, RisingEdge(self.dut.aclk)
        in_reset = 0
        while True:
            await edge
            self.cycle += 1
            if not int(dut.aresetn.value):
                if not in_reset:
                    self.begin()
                in_reset += 1
                if in_reset > 1:
                    for prefix in self.outputs:
                        assert not int(getattr(dut, f"{prefix}valid").value), f"{prefix}valid is high in a reset"
                self.partial, self.belongs, self.held, self.writing, self.answering = [], None, {}, {}, False
                self.map_words, self.map_runs = {prefix: [] for prefix in self.maps}, {}
                continue
            in_reset = 0
            self._registers()
            self._outputs()
            self._input()

    def _registers(self) -> None:
        """Follow writes; the soft reset is in the first cycle of the response."""
        dut = self.dut
        answering = bool(int(dut.s_axil_bvalid.value))
        if answering and not self.answering:
            write, self.writing = self.writing, {}
            if write["addr"] >> 2 == self.config["registers"]["control"] >> 2 and write["data"] & write["strb"] & 1:
                assert not int(dut.s_axis_tready.value), "s_axis_tready is high in a soft reset"
                if (self.partial or int(dut.m_axis_tvalid.value)) and self.belongs is None:
                    self.belongs = self.run
                for prefix, words in self.map_words.items():
                    if words or int(getattr(dut, f"{prefix}valid").value):
                        self.map_runs.setdefault(prefix, self.run)
                self.begin()
                waits = [self._waits(prefix) for prefix in ("m_axis_t", *self.maps)]
                # This cycle does not count.
                self.stalls = [-int(dut.s_axis_tvalid.value), -int(waits[0]), -int(any(waits[1:]))]
        self.answering = answering
        for channel, parts in (("aw", ("addr",)), ("w", ("data", "strb"))):
            if int(getattr(dut, f"s_axil_{channel}valid").value) and int(getattr(dut, f"s_axil_{channel}ready").value):
                self.writing |= {part: int(getattr(dut, f"s_axil_{channel}{part}").value) for part in parts}

    def _waits(self, prefix: str) -> bool:
        """Whether a beat is offered and not taken."""
        valid, ready = (int(getattr(self.dut, prefix + name).value) for name in ("valid", "ready"))
        return bool(valid and not ready)

    def _outputs(self) -> None:
        dut = self.dut
        self.stalls[2] += any(self._waits(prefix) for prefix in self.maps)
        for prefix, parts in self.outputs.items():
            valid, ready = (int(getattr(dut, prefix + name).value) for name in ("valid", "ready"))
            shown = tuple(int(getattr(dut, prefix + part).value) for part in parts) if valid else ()
            before = self.held.pop(prefix, None)
            assert before in (None, shown), f"cycle {self.cycle}: {prefix} was {before}, not taken, and is {shown}"
            if valid and not ready:
                self.held[prefix] = shown
                self.stalls[1] += prefix == "m_axis_t"
            if valid and ready and prefix == "m_axis_t":
                self._beat(*shown)
            if valid and ready and prefix in self.maps:
                self._map_beat(prefix, *shown)

    def _map_beat(self, prefix: str, word: int, last: int, cut: int) -> None:
        words, run = self.map_words[prefix], self.map_runs.get(prefix)
        words.append(word)
        most = self.maps[prefix]["words_per_frame"]
        assert last == (cut or len(words) == most), f"{prefix}last is {last} in word {len(words)} of {most}"
        if last:
            assert not cut or run, "a map was cut without a reset"
            (run or self.run)["maps"][prefix]["cut" if cut else "frames"].append(words)
            self.map_words[prefix] = []
            self.map_runs.pop(prefix, None)

    def _beat(self, word: int, last: int) -> None:
        self.partial.append(word)
        words = self.config["result_words"]
        cut = word == self.config["cut"]
        assert last == (cut or len(self.partial) == words), f"TLAST is {last} in word {len(self.partial)} of {words}"
        if last:
            run = self.belongs or self.run
            assert not cut or self.belongs, "a packet was cut without a reset"
            run["cut" if cut else "results"].append(self.partial)
            self.partial, self.belongs = [], None

    def _input(self) -> None:
        dut = self.dut
        if not int(dut.s_axis_tvalid.value):
            return
        if not int(dut.s_axis_tready.value):
            self.stalls[0] += 1
            return
        self.packet += int(dut.s_axis_tdata.value).to_bytes(self.config["beat_bytes"], "little")
        if int(dut.s_axis_tlast.value):
            self.run["packets"].append(self.packet.hex())
            self.packet = bytearray()


async def probe(dut: Any, rng: random.Random, cycles: int, maps: list[str]) -> None:
    """Between the edges, change all inputs and see that no output follows: all paths go through registers."""
    inputs = [f"{channel}valid" for channel in ("s_axis_t", "s_axil_aw", "s_axil_w", "s_axil_ar")]
    inputs += ["s_axis_tdata", "s_axis_tlast", "m_axis_tready", "s_axil_bready", "s_axil_rready"]
    inputs += ["s_axil_awaddr", "s_axil_wdata", "s_axil_wstrb", "s_axil_araddr"]
    inputs += [f"{prefix}ready" for prefix in maps]
    streams = OUTPUTS | dict.fromkeys(maps, ("data", "last", "user"))
    outputs = [*READIES, *(prefix + part for prefix, parts in streams.items() for part in ("valid", *parts))]
    handles = [getattr(dut, name) for name in inputs]
    for _ in range(cycles):
        await FallingEdge(dut.aclk)
        before = [int(getattr(dut, name).value) for name in outputs]
        driven = [int(handle.value) for handle in handles]
        for handle in handles:
            handle.value = rng.getrandbits(len(handle))
        await Timer(1, "ns")
        after = [int(getattr(dut, name).value) for name in outputs]
        moved = [name for name, a, b in zip(outputs, before, after, strict=True) if a != b]
        assert not moved, f"{', '.join(moved)} follow an input in the same cycle"
        for handle, value in zip(handles, driven, strict=True):
            handle.value = value


class Host:
    """The bus models around a core, and what a case does with them."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.folder = Path(os.environ["AXI_BENCH"])
        self.config = json.loads((self.folder / "config.json").read_text())
        self.rng = random.Random(self.config["seed"])
        self.address: dict[str, int] = self.config["registers"]
        dut.aresetn.value = 0
        Clock(dut.aclk, 10, unit="ns").start(start_high=False)
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **reset)
        self.maps = [AxiStreamSink(AxiStreamBus.from_prefix(dut, each["stream"]), dut.aclk, **reset)
                     for each in self.config["maps"]]  # fmt: skip
        self.axil: Any = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, **reset)
        for model in (self.source, self.sink, *self.maps, self.axil.write_if, self.axil.read_if):
            model.log.setLevel("ERROR")
        self.watch = Watch(dut, self.config)
        cocotb.start_soon(self.watch.watch())

    async def hard_reset(self) -> None:
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 3)
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)

    async def read(self, name: str) -> int:
        answer = await self.axil.read(self.address[name], 4)
        assert answer.resp == OKAY, f"{name}: {answer.resp}"
        return int.from_bytes(answer.data, "little")

    async def write_bytes(self, address: int, data: int, strb: int, lead: int) -> int:
        """Write with any WSTRB, past the command queue of the bus model; the address comes ``lead`` cycles before the
        data. Return the response."""
        model = self.axil.write_if
        order = [
            (model.aw_channel, AxiLiteAWTransaction(awaddr=address)),
            (model.w_channel, AxiLiteWTransaction(wdata=data, wstrb=strb)),
        ]
        for channel, transaction in order if lead >= 0 else reversed(order):
            await channel.send(transaction)
            if lead:
                await ClockCycles(self.dut.aclk, abs(lead))
        return int((await model.b_channel.recv()).bresp)

    async def soft_reset(self) -> None:
        answer = await self.axil.write(self.address["control"], b"\1\0\0\0")
        assert answer.resp == OKAY

    def coins(self, share: float) -> Iterator[bool]:
        return (self.rng.random() < share for _ in itertools.count())

    def pauses(self) -> None:
        """New pauses on both sides."""
        self.source.set_pause_generator(self.coins(self.rng.choice([0.0, 0.0, 0.3, 0.7])))
        for sink in (self.sink, *self.maps):
            sink.pause = False
            sink.set_pause_generator(self.coins(self.rng.choice([0.0, 0.0, 0.3, 0.7, 0.95])))

    def send(self, beats: int) -> None:
        """Queue a packet of random pixels."""
        high = self.config["pixel_high"] if self.rng.random() < 0.7 else 255
        self.source.send_nowait(bytes(self.rng.randint(0, high) for _ in range(beats * self.config["beat_bytes"])))

    def send_any(self, count: int) -> None:
        """Queue packets, about half of them with a wrong length."""
        frame = self.config["frame_bytes"] // self.config["beat_bytes"]
        for _ in range(count):
            wrong = self.rng.choice([1, frame - 1, frame + 1, 2 * frame, self.rng.randint(1, 3 * frame)])
            self.send(max(1, wrong) if self.rng.random() < 0.5 else frame)

    async def until(self, done: Callable[[], bool], what: str) -> None:
        start = self.watch.cycle
        while not done():
            await ClockCycles(self.dut.aclk, 4)
            assert self.watch.cycle - start < LIMIT, f"{what}: hangs"

    async def settle(self, what: str) -> None:
        """Wait for all results; the registers must agree with what was seen."""
        await self.until(lambda: self.source.idle() and self.watch.settled, what)
        await ClockCycles(self.dut.aclk, 2)
        run = self.watch.run
        wrong = sum(words[0] >> 24 != 0 for words in run["results"])
        seen = {"frames": len(run["results"]), "errors": wrong, "status": 0}
        seen |= {"stalls_in": self.watch.stalls[0], "stalls_out": self.watch.stalls[1]}
        seen |= {"stalls_maps": self.watch.stalls[2]} if self.maps else {}
        found = {name: await self.read(name) for name in seen}
        assert found == seen, f"{what}: registers {found}, seen {seen}"

    def save(self) -> None:
        (self.folder / "record.json").write_text(json.dumps(self.watch.runs))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers(dut: Any) -> None:
    """Every register by its address; what is not there; bytes that are not enabled; channels that pause."""
    host = Host(dut)
    await host.hard_reset()
    want = host.config["values"]
    channels = [host.axil.write_if.aw_channel, host.axil.write_if.w_channel, host.axil.write_if.b_channel]
    channels += [host.axil.read_if.ar_channel, host.axil.read_if.r_channel]
    for share in (0.0, 0.6):
        for channel in channels:
            channel.set_pause_generator(host.coins(share))
        for name in host.rng.sample(sorted(want), len(want)):
            assert await host.read(name) == want[name], name
    for address in (4 * len(host.address), 0x200, 0xFFC):
        answer = await host.axil.read(address, 4)
        assert (answer.resp, answer.data) == (SLVERR, b"\0\0\0\0")
        assert (await host.axil.write(address, b"\1\0\0\0")).resp == SLVERR
    for name in want:
        if name != "control":
            assert (await host.axil.write(host.address[name], b"\1\0\0\0")).resp == SLVERR
            assert await host.read(name) == want[name], name
    host.send(host.config["frame_bytes"] // host.config["beat_bytes"])
    await host.settle("a frame")
    control = host.address["control"]
    for data, strb in ((0xFFFF_FFFE, 15), (0xFFFF_FFFF, 14), (1, 0), (1, 2)):
        for lead in (-3, 0, 3):
            assert await host.write_bytes(control, data, strb, lead) == OKAY
            assert await host.read("frames") == 1, f"write of {data:#x}, WSTRB {strb:#x}"
    operations = [host.axil.init_read(host.address["frames"], 4) for _ in range(5)]
    writes = [host.axil.init_write(control, b"\0\0\0\0") for _ in range(5)]
    for operation in (*operations, *writes):
        await operation.wait()
        assert operation.data.resp == OKAY
    assert (await host.axil.write(control, b"\1")).resp == OKAY
    assert await host.read("frames") == 0 and await host.read("control") == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def frames(dut: Any) -> None:
    """The frames of the configuration, as the bus model sends and receives them."""
    host = Host(dut)
    await host.hard_reset()
    host.pauses()
    for packet in host.config["frames"]:
        host.source.send_nowait(bytes.fromhex(packet))
    for _ in host.config["frames"]:
        for sink in (host.sink, *host.maps):
            await sink.wait()
        for sink in host.maps:
            host.watch.run.setdefault("received_maps", []).append(bytes(sink.recv_nowait().tdata).hex())
        host.watch.run.setdefault("received", []).append(bytes(host.sink.recv_nowait().tdata).hex())
    host.save()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def busy(dut: Any) -> None:
    """A last word of a map that waits for its reader: all else has left, and the core is busy until it is taken."""
    host = Host(dut)
    await host.hard_reset()
    for prefix, sink in zip(host.watch.maps, host.maps, strict=True):
        for _ in range(50):
            sink.set_pause_generator(host.coins(0.5))
            host.send(host.config["frame_bytes"] // host.config["beat_bytes"])
            while not int(getattr(dut, f"{prefix}valid").value) & int(getattr(dut, f"{prefix}last").value):
                await FallingEdge(dut.aclk)
            sink.clear_pause_generator()
            sink.pause = True
            await ClockCycles(dut.aclk, 500)
            waits = int(getattr(dut, f"{prefix}valid").value)
            assert await host.read("status") == waits, f"{prefix}: a word waits: {waits}"
            sink.pause = False
            await host.settle(prefix)
            if waits:
                break
        else:
            raise AssertionError(f"{prefix}: its last word never waited")


@cocotb.test()
async def faults(dut: Any) -> None:
    """Seeded cases: wrong lengths, hosts that stop sending or reading, resets; each ends with two good frames."""
    host = Host(dut)
    rng, source = host.rng, host.source
    await host.hard_reset()
    cocotb.start_soon(probe(dut, random.Random(host.config["seed"]), 3000, list(host.watch.maps)))
    for number in range(host.config["cases"]):
        kind = rng.choice(["lengths", "soft reset", "soft reset", "reset", "stops reading", "stops sending"])
        what = f"case {number}, {kind}"
        host.pauses()
        host.send_any(rng.randint(1, 4))
        if kind != "lengths":
            await ClockCycles(dut.aclk, rng.randint(1, 120))
        if kind == "soft reset":
            await host.soft_reset()
        elif kind == "reset":
            await host.hard_reset()
        elif kind == "stops reading":
            sink = rng.choice([host.sink, *host.maps]) if host.maps else host.sink
            sink.clear_pause_generator()
            sink.pause = True
            host.send_any(3)
            await ClockCycles(dut.aclk, rng.randint(200, 600))
            if rng.random() < 0.5:
                await host.soft_reset()
            host.pauses()
        elif kind == "stops sending":  # in the middle of a packet, for ever: TLAST never comes
            source.clear_pause_generator()
            source.pause = True
            await ClockCycles(dut.aclk, rng.randint(50, 200))
            source.assert_reset(True)
            source.clear()
            source.pause = False
            await host.soft_reset()
            source.assert_reset(False)
        for _ in range(2):
            host.send(host.config["frame_bytes"] // host.config["beat_bytes"])
        await host.settle(what)
    host.save()
