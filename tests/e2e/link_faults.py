"""Seeded faults on the serial line of a board, one case after the other in one long simulation.

A case may send a good image, then a fault, then good frames; all good ones must be answered, unless a reset takes them.
Nothing is reset between cases.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from spikeloom.hdl.host.codes import REPLY, Kind
from spikeloom.link import Port
from spikeloom.link_frames import Frame, encode, stuff

__all__ = ["FAULTS", "Case", "Noisy", "Script", "answered", "received", "schedule"]

BIT = 4  # clock cycles
IDLE = 12  # bits of a quiet line, after which every receiver waits for a start bit
SHORTEST = 10  # bytes of the shortest reply
RESETS = ("reset", "soft_reset", "flooded_reset")


@dataclass
class Case:
    """What was sent: ``images``, number of the image by sequence number; ``must``, sequence numbers and types of the
    frames that must be answered, in this order; ``begin``, ``end`` of the case in cycles."""

    fault: str
    seed: int
    images: dict[int, int] = field(default_factory=dict)
    must: list[tuple[int, Kind]] = field(default_factory=list)
    begin: float = 0.0
    end: float = 0.0


class Script:
    """Times and values of ``rx`` (input 0) and ``rst`` (input 1), for ``sim.board.simulation.play``."""

    def __init__(self) -> None:
        self.at = 100.0
        self.zeros = 0
        self.events: list[tuple[float, int, int]] = []

    def bits(self, levels: Sequence[int], bit: float = BIT) -> None:
        """Put bits on the line."""
        for level in levels:
            self.events.append((self.at, 0, level))
            self.at += bit

    def send(self, data: bytes, bit: float = BIT) -> None:
        """Put bytes on the line."""
        self.zeros += data.count(0)
        self.bits(flattened(data), bit)

    def idle(self, bits: float) -> None:
        """Leave the line high."""
        self.events.append((self.at, 0, 1))
        self.at += bits * BIT

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times, inputs and values, in order, without values that change nothing."""
        state, found = [1, 0], []
        for time, which, value in sorted(self.events, key=lambda event: event[0]):
            if state[which] != value:
                state[which] = value
                found.append((time, which, value))
        times, inputs, values = zip(*found, strict=True)
        return np.array(times), np.array(inputs, np.int8), np.array(values, np.int8)


def levels(byte: int) -> list[int]:
    """The ten bits of a byte on the line."""
    return [0, *(byte >> k & 1 for k in range(8)), 1]


def flattened(data: bytes) -> list[int]:
    """The bits of bytes on the line."""
    return [level for byte in data for level in levels(byte)]


class _Maker:
    """Makes one case."""

    def __init__(self, script: Script, case: Case, rng: np.random.Generator, images: Sequence[bytes]) -> None:
        self.script, self.case, self.rng, self.pool = script, case, rng, images
        self.sequence = int(rng.integers(256))

    def image(self, *, must: bool = False) -> bytes:
        """An image as bytes of the line."""
        number = int(self.rng.integers(len(self.pool)))
        frame = self.frame(Kind.IMAGE, self.pool[number], must=must)
        self.case.images[self.sequence] = number
        return frame

    def frame(self, kind: int, payload: bytes = b"", *, must: bool = False) -> bytes:
        """A frame with the next sequence number."""
        self.sequence = (self.sequence + 1) % 256
        self.case.images.pop(self.sequence, None)
        if must:
            self.case.must.append((self.sequence, Kind(kind)))
        return encode(Frame(kind, self.sequence, payload))

    def quiet(self) -> None:
        self.script.idle(IDLE)

    def noise(self, most: int) -> bytes:
        return self.rng.integers(0, 256, int(self.rng.integers(1, most))).astype("u1").tobytes()

    # The faults: each is followed at once by good frames.

    def garbage(self) -> None:
        """Bytes between frames."""
        self.script.send(self.noise(60))

    def zeros(self) -> None:
        """Zero bytes between frames."""
        self.script.send(bytes(int(self.rng.integers(1, 20))))

    def truncated(self) -> None:
        """A frame that ends too early."""
        data = self.image()
        self.script.send(data[: int(self.rng.integers(1, len(data)))])

    def beheaded(self) -> None:
        """A frame whose begin is missing."""
        data = self.image()
        self.script.send(data[int(self.rng.integers(1, len(data))) :])

    def flipped(self) -> None:
        """One to three wrong data bits in a frame."""
        data = bytearray(self.image())
        for place in self.rng.choice(8 * len(data), int(self.rng.integers(1, 4)), replace=False):
            data[place // 8] ^= 1 << place % 8
        self.script.send(bytes(data))

    def line_bits(self) -> None:
        """One to four wrong bits on the line, start and stop bits among them."""
        bits = flattened(self.image())
        for place in self.rng.choice(len(bits), int(self.rng.integers(1, 5)), replace=False):
            bits[place] ^= 1
        self.script.bits(bits)
        self.quiet()

    def dropped(self) -> None:
        """A byte is lost."""
        data = self.image()
        place = int(self.rng.integers(len(data)))
        self.script.send(data[:place] + data[place + 1 :])

    def doubled(self) -> None:
        """A byte comes twice."""
        data = self.image()
        place = int(self.rng.integers(len(data)))
        self.script.send(data[:place] + data[place : place + 1] + data[place:])

    def no_stop(self) -> None:
        """A byte of a frame without its stop bit."""
        data = self.image()
        bits, place = flattened(data), int(self.rng.integers(len(data)))
        bits[10 * place + 9] = 0
        self.script.bits(bits)
        self.quiet()

    def broken_line(self) -> None:
        """The line is low for a while, in the middle of a frame."""
        bits = flattened(self.image())
        place = int(self.rng.integers(len(bits)))
        self.script.bits([*bits[:place], *[0] * int(self.rng.integers(1, 60)), *bits[place:]])
        self.quiet()

    def glitches(self) -> None:
        """Pulses shorter than a bit at any time."""
        start, bits = self.script.at, flattened(self.image())
        self.script.bits(bits)
        for place in self.rng.choice(len(bits), int(self.rng.integers(1, 4)), replace=False):
            begin, length = start + BIT * place + self.rng.uniform(0, BIT - 1), self.rng.uniform(0.3, 2.5)
            end = min(begin + length, start + BIT * (place + 1) - 0.1)
            self.script.events += [(begin, 0, 1 - bits[place]), (end, 0, bits[place])]
        self.quiet()

    def reset(self) -> None:
        """The board is reset at any cycle of several frames, and their rest still comes."""
        start = self.script.at
        for _ in range(int(self.rng.integers(1, 4))):
            self.script.send(self.image())
        time = float(np.floor(self.rng.uniform(start, self.script.at + 2000)))
        self.script.events += [(time, 1, 1), (time + int(self.rng.integers(1, 4)), 1, 0)]
        self.script.at = max(self.script.at, time + 4)
        self.quiet()

    def soft_reset(self) -> None:
        """A RESET behind images that are under way."""
        for _ in range(int(self.rng.integers(0, 4))):
            self.script.send(self.image())
        self.script.idle(float(self.rng.uniform(0, 150)))
        self.script.send(self.frame(Kind.RESET, must=True))

    def flooded_reset(self) -> None:
        """A RESET behind more questions than the board has room for answers."""
        for _ in range(int(self.rng.integers(30, 50))):
            self.script.send(self.frame(Kind.INFO))
        self.script.idle(float(self.rng.uniform(0, 20)))
        self.script.send(self.frame(Kind.RESET, must=True))

    def wrong_type(self) -> None:
        """A whole frame of a type that there is not."""
        self.script.send(self.frame(int(self.rng.choice([0, 5, 17, 128, 129, 255])), self.noise(20)))

    def wrong_length(self) -> None:
        """A whole frame with another number of bytes than its type has."""
        size = int(self.rng.choice([k for k in range(40) if k != len(self.pool[0])]))
        self.script.send(self.frame(Kind.IMAGE, bytes(size)))

    def lying_length(self) -> None:
        """A whole image whose length field says something else, the CRC right."""
        body = bytearray(b"\1\0" + len(self.pool[0]).to_bytes(2, "little") + self.pool[0])
        body[2 + int(self.rng.integers(2))] ^= int(self.rng.integers(1, 256))
        self.script.send(b"\0" + stuff(bytes(body) + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")) + b"\0")

    def endless(self) -> None:
        """A long run of bytes that are not zero."""
        self.script.send(bytes(self.rng.integers(1, 256, int(self.rng.integers(600, 900))).astype("u1")))

    def off_rate(self) -> None:
        """A frame at a rate that is 10 % off."""
        self.script.send(self.image(), BIT * float(self.rng.choice([0.9, 1.1])))
        self.quiet()


FAULTS = tuple(
    name
    for name, method in vars(_Maker).items()
    if not name.startswith("_") and name not in ("image", "frame", "quiet", "noise")
)
"""Names of the faults."""


def schedule(images: Sequence[bytes], count: int, latency: int, reply_bytes: int) -> tuple[Script, list[Case]]:
    """A script of ``count`` cases, each fault in turn, with all their choices from the seed, which is their number.

    ``latency`` of an image in cycles, and bytes of the longest reply on the line: a board that has not answered within
    them, once for every frame there can be, does not answer at all.
    """
    script, cases = Script(), []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        case = Case(FAULTS[seed % len(FAULTS)], seed, begin=script.at)
        maker, zeros = _Maker(script, case, rng, images), script.zeros
        if rng.random() < 0.3:
            script.send(maker.image(must=case.fault not in RESETS))
        getattr(maker, case.fault)()
        for _ in range(int(rng.integers(1, 3))):
            script.send(maker.image(must=True))
        script.send(maker.frame(Kind(int(rng.choice([Kind.INFO, Kind.STATUS]))), must=True))
        script.idle(0)
        # Every zero may end a frame that is answered with the shortest reply.
        shortest, longest = 10 * BIT * SHORTEST, 10 * BIT * reply_bytes + latency
        script.at += (script.zeros - zeros + 4) * shortest + (len(case.images) + 1) * longest
        case.end = script.at
        cases.append(case)
    return script, cases


def received(times: np.ndarray, values: np.ndarray) -> list[tuple[float, int]]:
    """Bytes on ``tx``, each with its time, out of the edges; those without a stop bit are left out."""
    found, at = [], -1.0
    for k, (time, value) in enumerate(zip(times.tolist(), values.tolist(), strict=True)):
        if value or time < at:
            continue
        byte, n, level = 0, k, 0
        for bit in range(10):
            middle = time + (bit + 0.5) * BIT
            while n < len(times) and times[n] <= middle:
                level, n = values[n], n + 1
            byte |= int(level) << bit
        if byte & 0x200 and not byte & 1:
            found.append((time, byte >> 1 & 255))
        at = time + 9.4 * BIT
    return found


def answered(frames: Sequence[Frame], case: Case, name: str) -> int:
    """How many requests of ``case`` must be answered; each was, once, by one of ``frames``, and in their order. Parts
    of maps are no answers."""
    replies = [(frame.sequence, frame.kind ^ REPLY) for frame in frames if frame.kind != REPLY | Kind.MAP]
    places = [[k for k, reply in enumerate(replies) if reply == must] for must in case.must]
    assert all(len(place) == 1 for place in places), f"{name}: {case.must} were answered with {replies}"
    assert places == sorted(places), f"{name}: replies out of order, {replies}"
    return len(places)


class Noisy:
    """A line that drops, doubles and changes bytes both ways."""

    def __init__(self, port: Port, share: float) -> None:
        self.port, self.share, self.rng = port, share, np.random.default_rng(5)

    def _noise(self, data: bytes) -> bytes:
        found = bytearray()
        for byte in data:
            kind = self.rng.random() / self.share
            found += bytes([byte ^ 1 << int(self.rng.integers(8))]) if kind < 0.5 else b"" if kind < 0.75 else (
                bytes([byte, byte]) if kind < 1 else bytes([byte])
            )  # fmt: skip
        return bytes(found)

    def read(self, size: int = 1, /) -> bytes:
        return self._noise(self.port.read(size))

    def write(self, data: bytes, /) -> int:
        self.port.write(self._noise(data))
        return len(data)
