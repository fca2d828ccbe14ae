"""The packet memory and the checks before it: nothing of a bad frame is ever read."""

import binascii
from collections import deque
from typing import Any

import numpy as np
import pytest
from link_bench import simulate

from spikeloom.gen.emit.writer import module
from spikeloom.hdl.host.codes import Kind, Reason
from spikeloom.hdl.host.packets import PacketMemory, PacketReceiver

LENGTHS = {Kind.IMAGE: 5, Kind.INFO: 0, Kind.RESET: 0}
END = 1 << 8


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("depth", [8, 64])
def test_memory_against_two_queues(depth: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    core = PacketMemory(depth)
    kept, fresh = deque[int](), list[int]()

    async def bench(ctx: Any) -> None:
        reads = 0
        for cycle in range(1500):
            command = rng.choice(["write", "write", "write", "write", "commit", "rollback", "drop", "none"])
            drops = command == "drop" and rng.random() < 0.2
            data, takes = int(rng.integers(256)), bool(rng.random() < 0.6)
            for name in ("write", "commit", "rollback"):
                ctx.set(getattr(core, name), command == name)
            ctx.set(core.drop, drops)
            ctx.set(core.data, data)
            ctx.set(core.o.ready, takes)
            _, _, full, valid, byte = await ctx.tick().sample(core.full, core.o.valid, core.o.payload)
            assert full == (len(kept) + len(fresh) == depth - 1), f"cycle {cycle}"
            if valid:
                assert kept and byte == kept[0], f"cycle {cycle}: {byte}, not {list(kept)[:1]}"
                if takes and not drops:
                    kept.popleft()
                    reads += 1
            if drops:
                kept.clear()
            if command == "write" and not full:
                fresh.append(data)
            if command in ("commit", "rollback"):
                kept.extend(fresh if command == "commit" else [])
                fresh.clear()
        assert reads > 200

    simulate(core, bench)


def body(kind: int, sequence: int, payload: bytes = b"", length: int | None = None) -> bytes:
    head = bytes([kind, sequence]) + (len(payload) if length is None else length).to_bytes(2, "little") + payload
    return head + binascii.crc_hqx(head, 0xFFFF).to_bytes(2, "big")


def events(frame: bytes, coding: Reason = Reason.GOOD) -> list[int]:
    return [*frame, END | coding]


IMAGE = body(Kind.IMAGE, 9, b"\1\2\0\4\5")
CASES = {
    "a good image": (events(IMAGE), b"\1\x09\1\2\0\4\5"),
    "a good question": (events(body(Kind.INFO, 200)), b"\2\xc8"),
    "a byte without stop bit": (events(IMAGE, Reason.FRAMING), b"\x10\x09"),
    "an unfinished group": (events(IMAGE, Reason.CODING), b"\x20\x09"),
    "a bit error": (events(IMAGE[:6] + bytes([IMAGE[6] ^ 4]) + IMAGE[7:]), b"\x30\x09"),
    "a bit error in the CRC": (events(IMAGE[:-1] + bytes([IMAGE[-1] ^ 1])), b"\x30\x09"),
    "too few bytes": (events(IMAGE[:-1]), b"\x30\x09"),
    "one byte": (events(b"\1"), b"\x30\0"),
    "no bytes": (events(b""), b"\x30\0"),
    "an unknown type": (events(body(7, 33)), b"\x40\x21"),
    "the type of errors": (events(body(0, 33)), b"\x40\x21"),
    "a payload that is too short": (events(body(Kind.IMAGE, 9, b"\1\2\3\4")), b"\x50\x09"),
    "a payload that is too long": (events(body(Kind.IMAGE, 9, b"\1\2\3\4\5\6")), b"\x50\x09"),
    "a length that is wrong": (events(body(Kind.IMAGE, 9, b"\1\2\3\4\5", 6)), b"\x50\x09"),
    "a length whose high byte is wrong": (events(body(Kind.IMAGE, 9, b"\1\2\3\4\5", 0x105)), b"\x50\x09"),
    "a question with a payload": (events(body(Kind.INFO, 9, b"\1\2")), b"\x50\x09"),
    "a frame of 300 bytes": (events(bytes(300)), b"\x30\0"),
}


def receive(depth: int, frames: list[list[int]]) -> tuple[bytes, list[int], list[int]]:
    """Put frames into a receiver, five cycles between them, and only then read: the records, and the frames (counted
    from 0) whose ends were bad and were resets."""
    core, found = PacketReceiver(LENGTHS, depth), bytearray()
    seen: dict[str, list[int]] = {"bad": [], "reset": []}

    async def bench(ctx: Any) -> None:
        for k, frame in enumerate(frames):
            for event in [*frame, *[None] * 5]:
                ctx.set(core.i.valid, event is not None)
                ctx.set(core.i.payload.data, (event or 0) & 255)
                ctx.set(core.i.payload.end, (event or 0) >> 8)
                _, _, bad, reset = await ctx.tick().sample(core.bad, core.reset)
                seen["bad"] += [k] * bad
                seen["reset"] += [k] * reset
        ctx.set(core.o.ready, 1)
        for _ in range(depth + 4):
            _, _, valid, byte = await ctx.tick().sample(core.o.valid, core.o.payload)
            if valid:
                found.append(int(byte))

    simulate(core, bench)
    return bytes(found), seen["bad"], seen["reset"]


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_frame(name: str) -> None:
    sent, record = CASES[name]
    # A good frame before and after: what is in between must not touch them.
    found, bad, _ = receive(64, [events(IMAGE), sent, events(body(Kind.INFO, 1))])
    assert found == b"\1\x09\1\2\0\4\5" + record + b"\2\1"
    assert bad == ([] if name.startswith("a good") else [1])


def test_frames_without_room() -> None:
    # 15 bytes: two images of 7 fill 14, so not even the record of the third has room.
    found, bad, _ = receive(16, [events(body(Kind.IMAGE, k, b"\1\2\3\4\5")) for k in range(5)])
    assert found == b"\1\0\1\2\3\4\5\1\1\1\2\3\4\5" and bad == [2, 3, 4]
    # 7 bytes: after the first record an image has no room, but what says so has, and so has the next frame.
    found, bad, _ = receive(8, [events(body(Kind.INFO, 1)), events(IMAGE), events(body(Kind.INFO, 3))])
    assert found == b"\2\1" + b"\x60\x09" + b"\2\3" and bad == [1]


def test_reset_drops_what_waits() -> None:
    requests = [IMAGE, body(Kind.INFO, 2), body(Kind.RESET, 3), body(Kind.INFO, 4)]
    found, bad, resets = receive(64, [events(frame) for frame in requests])
    assert found == b"\4\3\2\4" and resets == [2] and not bad
    # A reset that is not whole resets nothing.
    found, bad, resets = receive(64, [events(IMAGE), events(body(Kind.RESET, 3)[:-1])])
    assert found == b"\1\x09\1\2\0\4\5\x30\3" and bad == [1] and not resets


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two, at least 2, not 12"):
        PacketMemory(12)
    with pytest.raises(ValueError, match="A memory of 64 bytes has no room for a frame with 64 bytes"):
        PacketReceiver({Kind.IMAGE: 64}, 64)
    with pytest.raises(ValueError, match="65,535 bytes of payload at most, not 65536"):
        PacketReceiver({Kind.IMAGE: 65536}, 1 << 18)
    assert PacketReceiver({Kind.IMAGE: 65535}, 1 << 18).depth == 1 << 18


def test_the_verilog_is_the_same_twice() -> None:
    core = PacketMemory(16)
    assert module(core, "packets") == module(core, "packets")
