"""Replies of a board: taken for what they are, or refused, and every wait ends."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from fuzzing import Format, changed, few, many

from spikeloom.hdl.host.codes import REPLY, Kind
from spikeloom.link import Host, LinkError
from spikeloom.link_frames import Frame, Parser, encode

INFO = struct.pack("<BBBB8sHHI", 1, 15, 2, 0, bytes(8), 4, 3, 12_000_000)
REPLIES = {
    Kind.INFO: INFO,
    Kind.STATUS: struct.pack("<HH", 7, 1),
    Kind.RESET: b"",
    Kind.IMAGE: struct.pack("<IHBB3i", 130, 2, 0, 0, -1, 3, 9),
}


class Board:
    """A port behind which replies are changed: their payloads, with a good CRC, or the bytes on the line."""

    def __init__(self, rng: np.random.Generator, share: float) -> None:
        self.rng, self.share, self.parser, self.line = rng, share, Parser(), bytearray()

    def write(self, data: bytes) -> int:
        for frame in self.parser.feed(data):
            payload, line = REPLIES[Kind(frame.kind)], b""
            if self.rng.random() < self.share:
                payload = changed(self.rng, payload)
            sequence = frame.sequence if self.rng.random() > self.share / 4 else int(self.rng.integers(256))
            line = encode(Frame(frame.kind | REPLY, sequence, payload))
            self.line += line if self.rng.random() > self.share / 4 else changed(self.rng, line)
        return len(data)

    def read(self, size: int = 1) -> bytes:
        found, self.line = bytes(self.line[:size]), self.line[size:]
        if not found:
            time.sleep(0.0005)
        return found

    @property
    def in_waiting(self) -> int:
        return len(self.line)


def write(rng: np.random.Generator, folder: Path) -> Board:
    """A board with many or few faults."""
    return Board(rng, float(rng.choice([0.1, 0.4, 1.0])))


def read(board: Board) -> None:
    """The conversation of ``run``."""
    host = Host(board, timeout=0.01, tries=2)
    info = host.info()
    assert info.window and info.classes and info.frame_bytes and info.clock_hz
    counters = host.counters()
    assert counters.frames >= 0
    host.reset()
    if info.frame_bytes < 100_000 and info.classes == 3:
        for result in host.classify([bytes(info.frame_bytes)] * 3):
            assert result.label < 3 and result.status == 0 and len(result.logits) == 3


FORMATS = {"link": Format(write, read)}


def test_a_few_inputs() -> None:
    tried = few(FORMATS["link"])
    assert any(not each.error for each in tried), "some conversations come to their end"


@pytest.mark.slow
def test_many_inputs() -> None:
    many(__file__, "link")


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (2, b"\0", r"The board's window must be in 1\.\.255, not 0"),
        (1, b"\0", r"highest pixel must be in 1\.\.255, not 0"),
        (12, b"\0\0", r"bytes of an image must be in 1\.\.65535, not 0"),
        (14, b"\0\0", r"classes must be in 1\.\.16381, not 0"),
        (14, b"\xff\xff", r"classes must be in 1\.\.16381, not 65535"),
        (16, bytes(4), r"clock in Hz must be in 1\.\.4294967295, not 0"),
        (0, b"\3", r"speaks version 3 of the protocol"),
        (20, b"\0", r"A reply to INFO has 20 bytes, not 21"),
    ],
)
def test_what_no_board_can_be(monkeypatch: pytest.MonkeyPatch, at: int, value: bytes, message: str) -> None:
    monkeypatch.setitem(REPLIES, Kind.INFO, INFO[:at] + value + INFO[at + len(value) :])
    with pytest.raises(LinkError, match=message):
        Host(Board(np.random.default_rng(0), 0), timeout=5.0).classify([bytes(4)])


@pytest.mark.parametrize(
    ("kind", "payload", "message"),
    [
        (Kind.STATUS, b"\0\0\0", r"requests STATUS.*its reply has 3 bytes, not 4"),
        (Kind.RESET, b"\0", r"requests RESET.*its reply has 1 bytes, not 0"),
        (Kind.IMAGE, REPLIES[Kind.IMAGE][:-4], r"Image 0 was sent 2 times without a result"),
        (Kind.IMAGE, struct.pack("<IHBB3i", 130, 3, 0, 0, 0, 0, 0), r"Image 0 was sent 2 times without a result"),
        (Kind.IMAGE, struct.pack("<IHBB3i", 130, 2, 0, 1, 0, 0, 0), r"Image 0 was sent 2 times without a result"),
    ],
)
def test_replies_that_are_none(monkeypatch: pytest.MonkeyPatch, kind: Kind, payload: bytes, message: str) -> None:
    monkeypatch.setitem(REPLIES, kind, payload)
    host = Host(Board(np.random.default_rng(0), 0), timeout=0.1, tries=2)
    with pytest.raises(LinkError, match=message):
        host.counters()
        host.reset()
        host.classify([bytes(4)])


def test_a_window_without_an_image_is_refused() -> None:
    host = Host(Board(np.random.default_rng(0), 0), timeout=5.0, tries=2)
    for window in (0, -1):
        with pytest.raises(LinkError, match="A window has at least one image"):
            host.classify([bytes(4)], window=window)
    assert [result.label for result in host.classify([bytes(4)] * 3, window=1)] == [2] * 3
