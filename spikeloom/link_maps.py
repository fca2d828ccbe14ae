"""Maps that come over the serial link, on the host's side: what a board tells of them, and how their parts are put
together. ``docs/link.md`` is the protocol; nothing here needs more than the standard library."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from .link_frames import LinkError

__all__ = ["MapInfo", "Parts"]

_MAP, _PART = struct.Struct("<HHHBB"), struct.Struct("<HBB")

MOST_PART = 256
"""Bytes of numbers in a part at most."""


@dataclass(frozen=True)
class MapInfo:
    """What a board tells of a map: ``channels``, ``height`` and ``width`` of a frame, ``bytes`` of a number.

    The numbers of a frame are in two's complement, the lowest byte first, row by row, pixel by pixel, the channels of a
    pixel side by side: ``numpy.frombuffer(data, info.dtype).reshape(info.height, info.width, info.channels)``.
    """

    channels: int
    height: int
    width: int
    bytes: int

    @property
    def size(self) -> int:
        """Bytes of a frame."""
        return self.channels * self.height * self.width * self.bytes

    @property
    def dtype(self) -> str:
        """The type of a number in NumPy's words."""
        return f"<i{self.bytes}"

    @classmethod
    def parse(cls, payload: bytes, count: int) -> tuple[MapInfo, ...]:
        """Read what the reply to INFO says of ``count`` maps. Raises LinkError for what no map can be."""
        if not count or len(payload) != count * _MAP.size:
            raise LinkError(f"A reply to INFO says {_MAP.size} bytes of each map, not {len(payload)} of {count}; build "
                            "the design again")
        found = []
        for channels, height, width, size, _ in _MAP.iter_unpack(payload):
            if not (channels and height and width) or size not in (1, 2, 4):
                raise LinkError(f"A map of the board must have a pixel, and 1, 2 or 4 bytes a number, not {channels} x "
                                f"{height} x {width} of {size}; build the board's design again")
            found.append(cls(channels, height, width, size))
        return tuple(found)


@dataclass
class Parts:
    """The parts of the maps of one image, as they come.

    Attributes: ``whole``, whether nothing is wrong so far; ``found``, the bytes of each map.
    """

    maps: Sequence[MapInfo]
    whole: bool = True
    found: list[bytearray] = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self.found = [bytearray() for _ in self.maps]

    def add(self, payload: bytes) -> bool:
        """Take the payload of a part; return whether it goes on where the one before ended. What is lost, doubled, too
        long or of no map makes the image one that is not whole."""
        numbers = payload[_PART.size :]
        if not self.whole or not 1 <= len(numbers) <= MOST_PART:
            self.whole = False
            return False
        count, index, zero = _PART.unpack_from(payload)
        self.whole = (
            count == self._count and not zero and index < len(self.maps)
            and len(self.found[index]) + len(numbers) <= self.maps[index].size
        )  # fmt: skip
        if self.whole:
            self.found[index] += numbers
            self._count = (self._count + 1) & 0xFFFF
        return self.whole

    def finished(self) -> tuple[bytes, ...] | None:
        """The bytes of the maps, where all of them are there; None otherwise."""
        sizes = [len(each) for each in self.found]
        return tuple(map(bytes, self.found)) if self.whole and sizes == [each.size for each in self.maps] else None
