"""The host's side of the serial link: the conversation with a board. ``docs/link.md`` is the protocol, ``link_frames``
its frames; nothing here needs more than the standard library."""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .hdl.host.codes import MAP_VERSION, REPLY, VERSION, Kind
from .link_frames import Frame, LinkError, Parser, encode
from .link_maps import MapInfo, Parts

__all__ = ["BoardResult", "Counters", "Host", "Info", "LinkError", "Port"]

_INFO, _COUNTERS = struct.Struct("<BBBB8sHHI"), struct.Struct("<HH")

MOST_CLASSES = (65535 - 8) // 4
"""Classes whose logits have room in a frame."""


@dataclass(frozen=True)
class Info:
    """What a board tells of itself: the protocol's ``version``; ``input_high``, the highest pixel; ``window``, images
    that may be under way; ``network``, the first 16 hexadecimal digits of its network's hash; ``frame_bytes`` of an
    image; ``classes``, 0 where there are ``maps`` alone; ``clock_hz``."""

    version: int
    input_high: int
    window: int
    network: str
    frame_bytes: int
    classes: int
    clock_hz: int
    maps: tuple[MapInfo, ...] = ()

    @classmethod
    def parse(cls, payload: bytes) -> Info:
        """Read the payload of the reply to INFO. Raises LinkError for another version of the protocol, and for what no
        board can be: a number that is 0, or a result that is longer than a frame."""
        if not payload or payload[0] not in (VERSION, MAP_VERSION):
            raise LinkError(f"The board speaks version {payload[0] if payload else '?'} of the protocol, this program "
                            f"versions {VERSION} and {MAP_VERSION}; build the board's design again")
        if len(payload) < _INFO.size or (payload[0] == VERSION and len(payload) > _INFO.size):
            raise LinkError(f"A reply to INFO has {_INFO.size} bytes, not {len(payload)}; build the design again")
        version, high, window, count, network, size, classes, clock = _INFO.unpack_from(payload)
        for name, value, least, most in (
            ("highest pixel", high, 1, 255), ("window", window, 1, 255), ("bytes of an image", size, 1, 65535),
            ("classes", classes, int(version == VERSION), MOST_CLASSES), ("clock in Hz", clock, 1, 2**32 - 1),
        ):  # fmt: skip
            if not least <= value <= most:
                raise LinkError(f"The board's {name} must be in {least}..{most}, not {value}; build the board's design "
                                "again")
        maps = MapInfo.parse(payload[_INFO.size :], count) if version == MAP_VERSION else ()
        return cls(version, high, window, network.hex(), size, classes, clock, maps)

    @property
    def reply_bytes(self) -> int:
        """Bytes that a board sends for an image, about."""
        return 24 + 4 * self.classes + sum(each.size + 18 * (1 + each.size // 64) for each in self.maps)


@dataclass(frozen=True)
class Counters:
    """Counters of a board since its reset, modulo 2^16: ``frames`` classified (since RESET too), ``dropped``, frames of
    the line that were not good."""

    frames: int
    dropped: int

    @classmethod
    def parse(cls, payload: bytes) -> Counters:
        """Read the payload of the reply to STATUS. Raises LinkError where it is no such one."""
        if len(payload) != _COUNTERS.size:
            raise LinkError(f"A reply to STATUS has {_COUNTERS.size} bytes, not {len(payload)}")
        return cls(*_COUNTERS.unpack(payload))


@dataclass(frozen=True)
class BoardResult:
    """What a board says of an image: ``label``, its class; ``status``, 0 where all is well; ``latency`` in clock cycles
    from the first pixel to the last word of the result and of all maps; ``logits``; ``maps``, the bytes of each
    (:class:`~.link_maps.MapInfo`)."""

    label: int
    status: int
    latency: int
    logits: tuple[int, ...]
    maps: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, payload: bytes) -> BoardResult:
        """Read the payload of the reply to IMAGE. Raises LinkError where it is no such one."""
        if len(payload) < 8 or len(payload) % 4:
            raise LinkError(f"A reply to IMAGE has 8 bytes and 4 for each class, not {len(payload)}")
        latency, label, _, status = struct.unpack_from("<IHBB", payload)
        return cls(label, status, latency, struct.unpack(f"<{len(payload) // 4 - 2}i", payload[8:]))


class Port(Protocol):
    """A serial port, such as pyserial's ``Serial``, whose ``read`` waits for a short time."""

    def read(self, size: int = 1, /) -> bytes:
        """Return up to ``size`` bytes, none where none came in time."""
        ...

    def write(self, data: bytes, /) -> int | None:
        """Send ``data``."""
        ...


class Host:
    """A conversation with a board.

    Frames that the board dropped or whose replies were lost, or are none that a board can give, are sent again, and
    images of whose maps a part is missing: every wait ends. Parameters: ``port``; ``timeout``, seconds
    to wait for a reply; ``tries``, how often a frame is sent at most. Attributes: ``repeated``, frames sent again;
    ``parser``. Raises LinkError where ``tries`` are not enough.
    """

    def __init__(self, port: Port, *, timeout: float = 1.0, tries: int = 5) -> None:
        self.port = port
        self.timeout = timeout
        self.tries = tries
        self.repeated = 0
        self.parser = Parser()
        self._sequence = 0
        self._info: Info | None = None

    def info(self) -> Info:
        """Ask what board this is. Raises LinkError where it speaks another version of the protocol."""
        self._info = Info.parse(self._ask(Kind.INFO, None))
        return self._info

    def counters(self) -> Counters:
        """Ask for the board's counters."""
        return Counters.parse(self._ask(Kind.STATUS, _COUNTERS.size))

    def reset(self) -> None:
        """Make the board forget all frames under way."""
        self._ask(Kind.RESET, 0)

    def classify(self, images: Sequence[bytes], progress: Callable[[int, int], None] = lambda _done, _total: None,
                 window: int | None = None) -> list[BoardResult]:
        """Send ``images``, each of the board's ``frame_bytes``, and return their results in this order.

        ``window``: images under way at a time, at most (and by default) the board's ``window``.
        """
        info = self._info or self.info()
        for k, image in enumerate(images):
            if len(image) != info.frame_bytes:
                raise LinkError(f"Image {k} has {len(image)} bytes, those of this board have {info.frame_bytes}")
        window = info.window if window is None else min(info.window, window)
        if window < 1:
            raise LinkError(f"A window has at least one image, not {window}")
        results: dict[int, BoardResult] = {}
        waiting, under_way = deque(range(len(images))), deque[_Sent]()
        sent = [0] * len(images)
        while len(results) < len(images):
            while waiting and len(under_way) < window:
                number = waiting.popleft()
                if number in results:
                    continue
                self._count(sent, number)
                sequence = self._send(Kind.IMAGE, images[number])
                under_way.append(_Sent(number, sequence, Parts(info.maps), time.monotonic()))
            for frame in self._receive():
                lost = self._answered(frame, under_way, results, info)
                waiting.extendleft(reversed([number for number in lost if number not in results]))
            if under_way and time.monotonic() - under_way[0].at > self.timeout:
                waiting.extendleft(reversed([each.number for each in under_way]))
                under_way.clear()
            progress(len(results), len(images))
        return [results[number] for number in range(len(images))]

    def _count(self, sent: list[int], number: int) -> None:
        if sent[number] >= self.tries:
            raise LinkError(f"Image {number} was sent {self.tries} times without a result ({self.parser.garbage} "
                            f"broken replies so far); try a lower baud rate")
        sent[number] += 1
        self.repeated += sent[number] > 1

    def _answered(
        self, frame: Frame, under_way: deque[_Sent], results: dict[int, BoardResult], info: Info
    ) -> list[int]:
        """Note a reply; return the images to send again. Replies keep the order of the requests, so a reply to one
        tells that those before it have none."""
        if frame.kind == REPLY | Kind.MAP:
            if part := next((each for each in under_way if each.sequence == frame.sequence), None):
                part.at = time.monotonic() if part.parts.add(frame.payload) else part.at
            return []
        size = 8 + 4 * info.classes
        good = frame.kind == REPLY | Kind.IMAGE and len(frame.payload) == size
        dropped = frame.reason is not None
        place = next((k for k, each in enumerate(under_way) if each.sequence == frame.sequence), None)
        if place is None or not (good or dropped):
            return []
        lost = [under_way.popleft().number for _ in range(place)]
        answered = under_way.popleft()
        if under_way:  # a board answers one image after the other: the next one's time begins
            under_way[0].at = time.monotonic()
        if dropped:
            return [*lost, answered.number]
        result, maps = BoardResult.parse(frame.payload), answered.parts.finished()
        # All is well on a board that answers (docs/link.md).
        if result.label >= max(1, info.classes) or result.status or maps is None:
            return [*lost, answered.number]
        results.setdefault(answered.number, replace(result, maps=maps))
        return lost

    def _ask(self, kind: Kind, size: int | None) -> bytes:
        """Send a request without payload until its reply comes, and return that reply's payload, of ``size`` bytes."""
        told = ""
        for attempt in range(self.tries):
            self.repeated += attempt > 0
            sequence, start = self._send(kind), time.monotonic()
            again = False
            while not again and time.monotonic() - start < self.timeout:
                for frame in self._receive():
                    if frame.sequence == sequence and frame.kind == REPLY | kind:
                        if size in (None, len(frame.payload)):
                            return frame.payload
                        told, again = f"; its reply has {len(frame.payload)} bytes, not {size}", True
                    if frame.reason is not None and frame.sequence == sequence:
                        told, again = f"; the board dropped it: {frame.reason.name}", True
        noise = f"; {self.parser.garbage} broken replies came" if self.parser.garbage else ""
        raise LinkError(f"No board answers: {self.tries} requests {kind.name}, {self.timeout:g} s each{told}{noise}; "
                        "check port, baud rate and that the board has its bitstream")

    def _send(self, kind: Kind, payload: bytes = b"") -> int:
        self._sequence = (self._sequence + 1) % 256
        self.port.write(encode(Frame(kind, self._sequence, payload)))
        return self._sequence

    def _receive(self) -> Iterable[Frame]:
        return self.parser.feed(self.port.read(max(1, getattr(self.port, "in_waiting", 0))))


@dataclass
class _Sent:
    """An image under way; ``at``, when it was sent, the one before was answered, or a part of its maps came."""

    number: int
    sequence: int
    parts: Parts
    at: float

