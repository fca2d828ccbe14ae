"""Small networks for accelerators with frames at their ports, and packets into and out of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.hdl import Value
from amaranth.sim import Simulator

from spikeloom.gen.design import Design
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.tops.accelerator import GOOD, LONG, SHORT, Accelerator, FrameResult, frame_bytes, parse_result
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Readout

__all__ = ["Bench", "Packet", "expected", "perceptron", "random_packets", "small_cnn"]


def perceptron(fold: Fold, high: int = 15, inputs: int = 12, classes: int = 6, hidden: int = 0) -> Design:
    """One or two linear layers, T = 2; ``fold`` of the first."""
    rng = np.random.default_rng(inputs + classes)
    nodes: list[Any] = [Input(name="input", shape=(inputs, 1, 1), high=high)]
    folds = {}
    if hidden:
        nodes += [
            Linear(name="first", source="input", weight=rng.integers(-7, 8, (hidden, inputs)), weight_bits=4),
            IF(
                name="if",
                source="first",
                threshold=rng.integers(20, 60, hidden),
                bias=rng.integers(-5, 6, hidden),
                v0=rng.integers(5, 20, hidden),
            ),
        ]
        folds["first"], fold = fold, Fold(classes, 1, 1)
    nodes += [
        Linear(
            name="last", source=nodes[-1].name, weight=rng.integers(-7, 8, (classes, hidden or inputs)), weight_bits=4
        ),
        Readout(name="out", source="last", bias=rng.integers(-20, 21, classes)),
    ]
    return Design(Network(tuple(nodes), 2), folds | {"last": fold})


def small_cnn(outputs: int = 1) -> Design:
    """A convolution with stride on two channels that leaves out the last row and column of 5 x 5 pixels."""
    rng = np.random.default_rng(5)
    network = Network(
        (
            Input(name="input", shape=(2, 5, 5), high=9),
            Conv2d(name="conv", source="input", weight=rng.integers(-7, 8, (4, 2, 2, 2)), weight_bits=4, stride=2),
            IF(
                name="if",
                source="conv",
                threshold=rng.integers(20, 40, 4),
                bias=rng.integers(-5, 6, 4),
                v0=rng.integers(5, 20, 4),
            ),
            Flatten(name="flat", source="if"),
            Linear(name="fc", source="flat", weight=rng.integers(-7, 8, (4, 16)), weight_bits=4),
            Readout(name="out", source="fc", bias=rng.integers(-20, 21, 4)),
        ),
        3,
    )
    return Design(network, {"conv": Fold(4, 2, 1), "fc": Fold(outputs, 4, 1)})


@dataclass(frozen=True)
class Packet:
    """``data``, bytes of a packet; ``ends``: whether its last beat has ``last``."""

    data: bytes
    ends: bool = True


def frames_of(design: Design, packets: Sequence[Packet]) -> np.ndarray:
    """The frames (N, C, H, W) of ``packets``, filled with zeros or cut."""
    c, h, w = design.network.input.shape
    size = c * h * w
    frames = np.zeros((len(packets), size), np.int64)
    for frame, packet in zip(frames, packets, strict=True):
        part = np.frombuffer(packet.data[:size], np.uint8)
        frame[: len(part)] = np.minimum(part, design.network.input.high)
    return frames.reshape(-1, h, w, c).transpose(0, 3, 1, 2)


def expected_maps(design: Design, packets: Sequence[Packet]) -> dict[str, list[list[int]]]:
    """By port the numbers of every frame of a map, in their order, that the golden model gives for ``packets``."""
    found = golden.run(design.network, frames_of(design, packets))
    return {port: [frame.transpose(1, 2, 0).reshape(-1).tolist() for frame in found[b.node]]
            for port, b in design.outputs.items() if port != "o"}  # fmt: skip


def expected(design: Design, packets: Sequence[Packet]) -> list[FrameResult]:
    """What the golden model says of ``packets``, filled with zeros or cut to a frame."""
    size = int(np.prod(design.network.input.shape))
    logits = golden.run(design.network, frames_of(design, packets)).logits
    status = [GOOD if len(p.data) == size else SHORT if len(p.data) < size else LONG for p in packets]
    if not design.network.classifies:
        return [FrameResult(s, 0, ()) for s in status]
    return [
        FrameResult(s, int(np.argmax(row)), tuple(map(int, row)))
        for s, row in zip(status, np.asarray(logits), strict=True)
    ]


def random_packets(design: Design, rng: np.random.Generator, count: int, lanes: int, faulty: float) -> list[Packet]:
    """Packets of random bytes, the share ``faulty`` of them with a wrong length, a single beat among others."""
    c, h, w = design.network.input.shape
    beats, found = c * h * w // lanes, []
    for _ in range(count):
        length = beats
        if rng.random() < faulty:
            length = int(rng.choice([1, max(1, beats - 1), beats + 1, int(rng.integers(1, 3 * beats + 1))]))
        high = design.network.input.high if rng.random() < 0.8 else 255
        found.append(Packet(rng.integers(0, high + 1, length * lanes, dtype=np.uint8).tobytes()))
    return found


@dataclass
class Bench:
    """Drives an accelerator cycle by cycle and checks the rules of its streams.

    Attributes: ``results``, the words of the packets that came; ``partial``, of the one that has not ended; ``stalls``,
    at ``i`` and ``o`` as seen from outside; ``maps``, by port the numbers of the frames that came, the last of which
    has not ended; ``stuck``: a map that is not read between two cycles, and these, and in ``seen`` what was high in the
    cycle before its reader goes on: ``busy``, and ``i.ready``.
    """

    accelerator: Accelerator
    packets: Sequence[Packet]
    rng: np.random.Generator
    source_pauses: float = 0.0
    sink_pauses: float = 0.0
    resets: Sequence[tuple[int, int]] = ()
    results: list[FrameResult] = field(default_factory=list)
    partial: list[int] = field(default_factory=list)
    stalls: list[int] = field(default_factory=lambda: [0, 0])
    counters: dict[str, int] = field(default_factory=dict)
    maps: dict[str, list[list[int]]] = field(default_factory=dict)
    stuck: tuple[str, int, int] = ("", 0, 0)
    seen: tuple[bool, bool] = (False, False)

    def run(self, results: int, limit: int = 20_000) -> list[FrameResult]:
        """Run until ``results`` packets have come and all beats have gone; return them.

        ``resets``: pairs (cycle, packet): soft reset in that cycle, after which the source goes on with that packet.
        Raises TimeoutError after ``limit`` cycles.
        """
        dut = self.accelerator
        lanes, resets = dut.lanes, dict(self.resets)
        beats = []
        starts = []
        for packet in self.packets:
            starts.append(len(beats))
            chunks = [packet.data[k : k + lanes] for k in range(0, len(packet.data), lanes)]
            beats += [
                int.from_bytes(c, "little") | (packet.ends and n == len(chunks) - 1) << 8 * lanes
                for n, c in enumerate(chunks)
            ]
        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        outs = dut.map_outs
        self.maps = {port: [[]] for port in outs}

        async def bench(ctx: Any) -> None:
            k, offered, held = 0, False, None
            cycle = quiet = 0
            held_maps: dict[str, Any] = {}
            while quiet < 20:
                if cycle == limit:
                    raise TimeoutError(f"{len(self.results)} of {results} results after {limit} cycles, beat {k}")
                reset = cycle in resets
                offered = offered or (k < len(beats) and self.rng.random() >= self.source_pauses)
                ready = bool(self.rng.random() >= self.sink_pauses)
                ctx.set(dut.soft_reset, reset)
                ctx.set(dut.i.valid, offered)
                ctx.set(Value.cast(dut.i.payload), beats[k] if offered else int(self.rng.integers(1 << 8)))
                ctx.set(dut.o.ready, ready)
                readies = {port: self._reads(port, cycle) for port in outs}
                for port, out in outs.items():
                    ctx.set(out.ready, readies[port])
                ports = [part for out in outs.values() for part in (out.valid, out.payload.data, out.payload.last)]
                _, _, taken, valid, word, last, busy, *offers = await ctx.tick().sample(
                    dut.i.ready, dut.o.valid, dut.o.payload.data, dut.o.payload.last, dut.busy, *ports
                )
                shown = {port: tuple(offers[3 * n : 3 * n + 3]) for n, port in enumerate(outs)}
                if cycle == self.stuck[2] - 1:
                    self.seen = (bool(busy), bool(taken))
                if reset:
                    assert not valid and not taken, f"cycle {cycle}: something moves in a reset"
                    assert not any(offer[0] for offer in shown.values()), f"cycle {cycle}: a map moves in a reset"
                    held_maps.clear()
                    self.maps = {port: [[]] for port in outs}
                    k, offered, held = starts[resets[cycle]], False, None
                    self.results.clear()
                    self.partial.clear()
                    self.stalls[:] = [0, 0]
                else:
                    assert held in (None, (valid, word, last)), f"cycle {cycle}: a beat was taken back"
                    held = (valid, word, last) if valid and not ready else None
                    self.stalls[0] += offered and not taken
                    self.stalls[1] += bool(valid and not ready)
                    if offered and taken:
                        k, offered = k + 1, False
                    if valid and ready:
                        self.partial.append(int(word))
                        if last:
                            self.results.append(parse_result(self.partial))
                            assert len(self.partial) == dut.result_words
                            self.partial.clear()
                    for port, offer in shown.items():
                        assert held_maps.get(port) in (None, offer), f"cycle {cycle}: a word of {port} was taken back"
                        held_maps[port] = offer if offer[0] and not readies[port] else None
                        if offer[0] and readies[port]:
                            self._word(port, *offer[1:])
                idle = not offered and k == len(beats) and not valid and len(self.results) >= results
                idle = idle and all(len(found) > results for found in self.maps.values())
                quiet = quiet + 1 if idle and not any(c > cycle for c in resets) else 0
                cycle += 1
            names = ("frames", "errors", "stalls_in", "stalls_out", "busy")
            self.counters = {name: int(ctx.get(getattr(dut, name))) for name in names}

        simulator.add_testbench(bench)
        simulator.run()
        return self.results


    def _reads(self, port: str, cycle: int) -> bool:
        stuck, begin, end = self.stuck
        return bool(self.rng.random() >= self.sink_pauses) and not (port == stuck and begin <= cycle < end)

    def _word(self, port: str, word: int, last: int) -> None:
        """Take a word of a map apart."""
        form, frame = self.accelerator.maps[port], self.maps[port][-1]
        for lane in range(form.form.lanes):
            number = word >> lane * form.bits & (1 << form.bits) - 1
            frame.append(number - (1 << form.bits) * (number >> form.bits - 1))
        assert bool(last) == (len(frame) == form.words * form.form.lanes), f"{port}: last is {last} in {len(frame)}"
        if last:
            self.maps[port].append([])


def packets_of(design: Design, frames: np.ndarray) -> list[Packet]:
    """Packets of the right length."""
    return [Packet(row.tobytes()) for row in frame_bytes(design, frames)]
