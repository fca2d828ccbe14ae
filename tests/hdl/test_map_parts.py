"""Maps in parts: every byte of every map in frames that the host takes, whoever waits for whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from link_bench import simulate

from spikeloom.hdl.host.codes import REPLY, Kind
from spikeloom.hdl.host.map_parts import MapParts, part_bytes
from spikeloom.link_frames import Frame, decode, stuff
from spikeloom.link_maps import MapInfo, Parts

LIMIT = 4000
"""Cycles after which maps stand still."""

SIZES, WORDS = (3, 1, 4), (10, 25, 4)
"""Bytes of a word, and words of a frame; two maps do not end with a whole part of 16 bytes."""


def run(images: list[list[bytes]], waits: dict[int, int], stalls: float, part: int = 16) -> list[list[Frame]]:
    """Push the bytes of maps image by image; map k offers no word before the whole map ``waits[k]`` was taken. The
    frames of each image."""
    sizes = SIZES[: len(images[0])]
    core, found = MapParts(sizes, part), list[list[Frame]]()
    rng = np.random.default_rng(1)

    async def bench(ctx: Any) -> None:
        for number, maps in enumerate(images):
            at, offered, body, frames, quiet = [0] * len(maps), [False] * len(maps), bytearray(), list[Frame](), 0
            ctx.set(core.sequence, 7 + number)
            held, cycle = None, 0
            while quiet < 3:
                cycle += 1
                assert cycle < LIMIT, f"it stands still, {at} bytes of the maps taken"
                for k, (data, size) in enumerate(zip(maps, sizes, strict=True)):
                    free = k not in waits or at[waits[k]] == len(maps[waits[k]])
                    offered[k] = at[k] < len(data) and free and (offered[k] or rng.random() < 0.7)
                    ctx.set(core.maps[k].valid, offered[k])
                    ctx.set(core.maps[k].payload.data, int.from_bytes(data[at[k] : at[k] + size], "little"))
                    ctx.set(core.maps[k].payload.last, at[k] + size == len(data))
                ready = bool(rng.random() >= stalls)
                ctx.set(core.o.ready, ready)
                ports = [each.ready for each in core.maps]
                _, _, valid, byte, last, ended, busy, *taken = await ctx.tick().sample(
                    core.o.valid, core.o.payload.data, core.o.payload.last, core.ended, core.busy, *ports
                )
                assert held in (None, (valid, byte, last)), "a byte was taken back"
                held = (valid, byte, last) if valid and not ready else None
                if valid and ready:
                    body.append(byte)
                    if last:
                        frame = decode(stuff(bytes(body)))
                        assert frame, f"no frame: {body.hex()}"
                        frames.append(frame)
                        body.clear()
                for k, size in enumerate(sizes):
                    if offered[k] and taken[k]:
                        at[k], offered[k] = at[k] + size, False
                done = all(a == len(data) for a, data in zip(at, maps, strict=True))
                assert not ended or done
                quiet = quiet + 1 if ended and not busy else 0
            ctx.set(core.clear, 1)
            await ctx.tick()
            ctx.set(core.clear, 0)
            assert not body
            found.append(frames)

    simulate(core, bench)
    return found


def maps_of(seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, size * words).astype("u1").tobytes() for size, words in zip(SIZES, WORDS, strict=True)]


@pytest.mark.parametrize("waits", [{}, {0: 1, 1: 2}, {2: 1, 1: 0}], ids=["", "upwards", "downwards"])
@pytest.mark.parametrize("stalls", [0.0, 0.8])
def test_every_byte_in_its_place(waits: dict[int, int], stalls: float) -> None:
    """Whatever map waits for another one to end: none of them stops."""
    images = [maps_of(0), maps_of(1)]
    for k, frames in enumerate(run(images, waits, stalls)):
        parts = Parts([MapInfo(size, 1, words, 1) for size, words in zip(SIZES, WORDS, strict=True)])
        assert {(frame.kind, frame.sequence) for frame in frames} == {(REPLY | Kind.MAP, 7 + k)}
        assert all(parts.add(frame.payload) for frame in frames)
        assert parts.finished() == tuple(images[k])
        # All parts of a map are whole but its last one.
        lengths = [[len(frame.payload) - 4 for frame in frames if frame.payload[2] == n] for n in range(3)]
        assert lengths == [[16, 14], [16, 9], [16]]


def test_a_map_alone() -> None:
    image = maps_of(2)[:1]
    (frames,) = run([image], {}, 0.5)
    assert [frame.payload for frame in frames] == [b"\0\0\0\0" + image[0][:16], b"\1\0\0\0" + image[0][16:]]


def test_maps_take_turns() -> None:
    """Word by word: where all of them always have words, those with the same number of words end together."""
    (frames,) = run([[bytes(size * 48) for size in SIZES]], {}, 0.0)
    order = [frame.payload[2] for frame in frames]
    assert [order.count(k) for k in range(3)] == [9, 3, 12] and set(order[-6:]) == {0, 1, 2}


def test_a_part_fits_the_memory() -> None:
    assert [part_bytes(n) for n in (1, 2, 3, 4, 5, 8, 9, 12, 200)] == [256, 256, 128, 128, 64, 64, 64, 64, 64]
    for sizes, part in (((), 16), ((0,), 16), ((1,), 24), ((1,), 2)):
        with pytest.raises(ValueError, match="must be|at least"):
            MapParts(sizes, part)
