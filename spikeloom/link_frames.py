"""Frames of the serial link on the host's side, and a parser that finds them again after noise. ``docs/link.md`` is the
protocol; nothing here needs more than the standard library."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass, field

from .hdl.host.codes import REPLY, Kind, Reason

__all__ = ["Frame", "LinkError", "Parser", "decode", "encode", "stuff", "unstuff"]


class LinkError(RuntimeError):
    """The board does not answer, or is another one than was asked for; the message says what to try."""


@dataclass(frozen=True)
class Frame:
    """A frame: ``kind``, its type byte (with ``REPLY`` in a reply); ``sequence``, 0..255; ``payload``."""

    kind: int
    sequence: int
    payload: bytes = b""

    @property
    def reason(self) -> Reason | None:
        """Why the board dropped a frame; None where this does not say so."""
        number = (self.kind ^ REPLY) >> 4
        return Reason(number) if self.kind & 15 == Kind.ERROR and Reason.GOOD < number <= max(Reason) else None


def stuff(data: bytes) -> bytes:
    """Return ``data`` without zero bytes, by COBS (``hdl.host.cobs``)."""
    out = bytearray()
    for block in data.split(b"\0"):
        for k in range(0, len(block), 254):
            out += bytes([min(len(block) - k, 254) + 1]) + block[k : k + 254]
        if len(block) % 254 == 0:  # none yet, or a full group, which stands for no zero
            out += b"\x01"
    return bytes(out)


def unstuff(data: bytes) -> bytes | None:
    """Undo :func:`stuff`; None where ``data`` ends inside a group, or has a zero where a group begins."""
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        if not code or at + code > len(data):
            return None
        out += data[at + 1 : at + code]
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out)


def encode(frame: Frame) -> bytes:
    """The bytes of ``frame`` on the line, a zero before and after it. Raises LinkError where a field has no room."""
    if not (0 <= frame.kind < 256 and 0 <= frame.sequence < 256 and len(frame.payload) < 65536):
        raise LinkError(f"A frame has a type and a sequence number in 0..255 and up to 65535 bytes, not {frame.kind}, "
                        f"{frame.sequence} and {len(frame.payload)} bytes")
    body = struct.pack("<BBH", frame.kind, frame.sequence, len(frame.payload)) + frame.payload
    return b"\0" + stuff(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")) + b"\0"


def decode(stuffed: bytes) -> Frame | None:
    """The frame between two zeros of the line; None where it is not whole."""
    body = unstuff(stuffed)
    if body is None or len(body) < 6 or binascii.crc_hqx(body, 0xFFFF):
        return None
    kind, sequence, length = struct.unpack_from("<BBH", body)
    return Frame(kind, sequence, body[4:-2]) if length == len(body) - 6 else None


@dataclass
class Parser:
    """Finds frames in what comes from the line, whatever else comes with them.

    Attributes: ``garbage``, runs of bytes so far that were no frame; ``most``, bytes after which a run is thrown away
    without waiting for its end.
    """

    garbage: int = 0
    most: int = 1 << 17
    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in ``data``."""
        *runs, rest = (self._rest + data).split(b"\0")
        found = [decode(bytes(run)) for run in runs if run and run != b"\x01"]  # the latter: an empty frame
        self.garbage += sum(frame is None for frame in found)
        self._rest = rest if len(rest) <= self.most else bytearray()
        return [frame for frame in found if frame is not None]
