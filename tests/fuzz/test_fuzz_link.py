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
MAP_INFO = struct.pack("<BBBB8sHHI8H", 2, 15, 2, 2, bytes(8), 4, 3, 12_000_000, 2, 1, 3, 1, 1, 2, 2, 2)
MAP_PARTS = [struct.pack("<HBB", 0, 1, 0) + bytes(8), struct.pack("<HBB", 1, 0, 0) + b"\1\2",
             struct.pack("<HBB", 2, 0, 0) + b"\3\4\5\xff"]  # fmt: skip
"""Of a board with two maps, of 2 x 1 x 3 numbers of a byte and 1 x 2 x 2 of two bytes: INFO, and an image in parts."""

REPLIES = {
    Kind.INFO: INFO,
    Kind.STATUS: struct.pack("<HH", 7, 1),
    Kind.RESET: b"",
    Kind.IMAGE: struct.pack("<IHBB3i", 130, 2, 0, 0, -1, 3, 9),
}


class Board:
    """A port behind which replies are changed: their payloads, with a good CRC, or the bytes on the line; of a board
    with ``maps`` parts come before the reply to an image, some of them not or twice."""

    def __init__(self, rng: np.random.Generator, share: float, *, maps: bool = False) -> None:
        self.rng, self.share, self.parser, self.line, self.maps = rng, share, Parser(), bytearray(), maps

    def write(self, data: bytes) -> int:
        for frame in self.parser.feed(data):
            payload = MAP_INFO if self.maps and frame.kind == Kind.INFO else REPLIES[Kind(frame.kind)]
            for part in MAP_PARTS if self.maps and frame.kind == Kind.IMAGE else ():
                for _ in range(1 if self.rng.random() > self.share / 4 else int(self.rng.choice([0, 2]))):
                    self.reply(Kind.MAP, frame.sequence, part, self.share / 4)
            self.reply(frame.kind, frame.sequence, payload, self.share)
        return len(data)

    def reply(self, kind: int, sequence: int, payload: bytes, share: float) -> None:
        """Put a reply on the line, changed by chance."""
        if self.rng.random() < share:
            payload = changed(self.rng, payload)
        sequence = sequence if self.rng.random() > share / 4 else int(self.rng.integers(256))
        line = encode(Frame(kind | REPLY, sequence, payload))
        self.line += line if self.rng.random() > share / 4 else changed(self.rng, line)

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
    return Board(rng, float(rng.choice([0.1, 0.4, 1.0])), maps=bool(rng.random() < 0.5))


def read(board: Board) -> None:
    """The conversation of ``run``."""
    host = Host(board, timeout=0.01, tries=2)
    info = host.info()
    assert info.window and (info.classes or info.maps) and info.frame_bytes and info.clock_hz
    counters = host.counters()
    assert counters.frames >= 0
    host.reset()
    if info.frame_bytes < 100_000 and info.classes == 3:
        for result in host.classify([bytes(info.frame_bytes)] * 3):
            assert result.label < 3 and result.status == 0 and len(result.logits) == 3
            assert [len(each) for each in result.maps] == [each.size for each in info.maps]


FORMATS = {"link": Format(write, read)}


MAPS = (b"\1\2\3\4\5\xff", bytes(8))


def broken(monkeypatch: pytest.MonkeyPatch, parts: list[bytes]) -> Host:
    monkeypatch.setattr(f"{__name__}.MAP_PARTS", parts)
    return Host(Board(np.random.default_rng(0), 0, maps=True), timeout=0.2, tries=2)


def test_parts_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    host = broken(monkeypatch, MAP_PARTS)
    assert [result.maps for result in host.classify([bytes(4)] * 3)] == [MAPS] * 3 and host.repeated == 0
    info = host.info()
    assert [(each.channels, each.height, each.width, each.size, each.dtype) for each in info.maps] == [
        (2, 1, 3, 6, "<i1"), (1, 2, 2, 8, "<i2")]  # fmt: skip
    assert np.frombuffer(MAPS[0], info.maps[0].dtype).tolist() == [1, 2, 3, 4, 5, -1]
    line = [encode(Frame(Kind.MAP, 0, part)) for part in (MAP_PARTS[0], MAP_PARTS[1] + MAP_PARTS[2][4:])]
    assert len(b"".join(line)) + len(encode(Frame(0, 0, REPLIES[Kind.IMAGE]))) <= info.reply_bytes < 100


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(MAP_PARTS[:2], id="the last one is lost"),
        pytest.param(MAP_PARTS[1:], id="the first one is lost"),
        pytest.param([MAP_PARTS[0], MAP_PARTS[2]], id="one in the middle is lost"),
        pytest.param([*MAP_PARTS, MAP_PARTS[2]], id="one comes twice"),
        pytest.param([MAP_PARTS[1], MAP_PARTS[0], MAP_PARTS[2]], id="two change places"),
        pytest.param([*MAP_PARTS, struct.pack("<HBB", 3, 0, 0) + b"\0"], id="a map is too long"),
        pytest.param([*MAP_PARTS, struct.pack("<HBB", 3, 2, 0) + b"\0"], id="a map that there is not"),
        pytest.param([*MAP_PARTS, struct.pack("<HBB", 3, 0, 0)], id="a part without a number"),
        pytest.param([*MAP_PARTS, b"\3\0"], id="a part without a map"),
        pytest.param([MAP_PARTS[0], MAP_PARTS[1], b"\2\0\0\1\3\4\5\xff"], id="no zero"),
    ],
)
def test_an_image_whose_parts_are_not_whole_is_sent_again(monkeypatch: pytest.MonkeyPatch, parts: list[bytes]) -> None:
    host = broken(monkeypatch, parts)
    with pytest.raises(LinkError, match="Image 0 was sent 2 times without a result"):
        host.classify([bytes(4)])
    assert host.repeated == 1


def test_parts_of_one_image_that_are_wrong_cost_that_image_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = broken(monkeypatch, MAP_PARTS)
    assert isinstance(host.port, Board)
    reply, told = host.port.reply, []

    def once(kind: int, sequence: int, payload: bytes, share: float) -> None:
        told.append(kind)
        if told.count(Kind.MAP) != 5:  # the second one of the second image
            reply(kind, sequence, payload, share)

    monkeypatch.setattr(host.port, "reply", once)
    assert [result.maps for result in host.classify([bytes(4)] * 4)] == [MAPS] * 4 and host.repeated == 1


class Slow(Board):
    """A board that needs a second for every frame; the clock of the host is the seconds."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def read(self, size: int = 1) -> bytes:
        self.now += 1
        end = self.line.find(b"\0", 1) + 1
        found, self.line = bytes(self.line[:end]), self.line[end:]
        return found


def test_a_board_that_goes_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than the timeout, as long as a part or a reply comes within it; one that stops is not."""
    board = Slow(np.random.default_rng(0), 0, maps=True)
    monkeypatch.setattr("spikeloom.link.time", board)
    host = Host(board, timeout=1.5, tries=2)
    assert [result.maps for result in host.classify([bytes(4)] * 2)] == [MAPS] * 2 and host.repeated == 0
    assert board.now >= 9
    monkeypatch.setattr(board, "reply", lambda *_: None)
    with pytest.raises(LinkError, match="Image 0 was sent 2 times without a result"):
        host.classify([bytes(4)])


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (3, b"\1", r"says 8 bytes of each map, not 16 of 1"),
        (3, b"\0", r"says 8 bytes of each map, not 16 of 0"),
        (36, b"\0", r"says 8 bytes of each map, not 17 of 2"),
        (20, b"\0\0", r"must have a pixel, and 1, 2 or 4 bytes a number, not 0 x 1 x 3 of 1"),
        (34, b"\3", r"must have a pixel, and 1, 2 or 4 bytes a number, not 1 x 2 x 2 of 3"),
    ],
)
def test_maps_that_no_board_has(monkeypatch: pytest.MonkeyPatch, at: int, value: bytes, message: str) -> None:
    monkeypatch.setattr(f"{__name__}.MAP_INFO", MAP_INFO[:at] + value + MAP_INFO[at + len(value) :])
    with pytest.raises(LinkError, match=message):
        Host(Board(np.random.default_rng(0), 0, maps=True), timeout=5.0).info()


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
