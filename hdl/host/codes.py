"""Numbers of the link's protocol that hardware and host share; the bytes are laid out in ``docs/link.md``."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["MAP_VERSION", "REPLY", "VERSION", "Kind", "Reason"]

VERSION = 1
"""Version of the protocol."""

MAP_VERSION = 2
"""The version that a board with maps speaks: the one before, with parts of maps and a longer reply to INFO."""

REPLY = 0x80
"""Added to the type of a frame in the type of its reply; bits 4 to 6 of that are a ``Reason``."""


class Kind(IntEnum):
    """Types of frames, the lower half of their type byte. Only replies have 0, to a frame that was dropped, and MAP,
    before the reply to an image."""

    ERROR = 0
    IMAGE = 1
    INFO = 2
    STATUS = 3
    RESET = 4
    MAP = 5


class Reason(IntEnum):
    """Why a frame was dropped; where several apply, the lowest number."""

    GOOD = 0
    FRAMING = 1
    """A byte of it had no stop bit."""
    CODING = 2
    """It ended inside a COBS group."""
    CRC = 3
    """The CRC is wrong."""
    TYPE = 4
    """The CRC is right, its type unknown."""
    LENGTH = 5
    """The CRC is right; the length field, or the number of bytes, is not that of its type."""
    FULL = 6
    """It is good, but there was no room for it in the packet memory."""
