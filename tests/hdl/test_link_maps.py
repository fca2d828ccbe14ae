"""The link before a core with maps that is a few lines of Python: what comes over the line, in which order."""

from __future__ import annotations

from typing import Any

import pytest
from link_bench import CYCLES, IMAGES, line_of, replies, simulate, spec

from spikeloom.hdl.host import map_replies
from spikeloom.hdl.host.codes import REPLY, Kind
from spikeloom.hdl.host.link import LinkCore, LinkMap
from spikeloom.link import BoardResult, Info
from spikeloom.link_frames import Frame, encode
from spikeloom.link_maps import MapInfo, Parts

MAPS = (LinkMap((3, 2, 4), 1, 3), LinkMap((1, 10, 1), 2, 2))
INFOS = (MapInfo(3, 2, 4, 1), MapInfo(1, 10, 1, 2))
PART, PACE = 16, 48


def maps_of(image: bytes) -> list[bytes]:
    """The maps that the core gives for an image."""
    return [bytes((sum(image) * (k + 3) + n) % 256 for n in range(info.size)) for k, info in enumerate(INFOS)]


def converse(core: LinkCore, line: list[int]) -> tuple[list[bytes], list[int]]:
    """Play a line before a core that takes the last pixel of an image when its maps have begun to leave, and gives the
    result before them, and a word of each map every ``PACE`` cycles: the images that came, and the levels of ``tx``."""
    images, levels = list[bytes](), list[int]()

    async def bench(ctx: Any) -> None:
        image, beats, maps, offers = bytearray(), list[int](), [b"", b""], [False, False]
        for cycle, level in enumerate(line):
            offers = [bool(data) and (offer or cycle % PACE == 0) for offer, data in zip(offers, maps, strict=True)]
            most = len(IMAGES[0]) - 1
            ready = len(image) < most or any(len(m) < info.size for m, info in zip(maps, INFOS, strict=True))
            ctx.set(core.pixels.ready, ready)
            ctx.set(core.rx, level)
            ctx.set(core.results.valid, bool(beats))
            ctx.set(core.results.payload.data, beats[0] if beats else 0)
            ctx.set(core.results.payload.last, len(beats) == 1)
            for each, data, given, offer in zip(core.maps, maps, MAPS, offers, strict=True):
                ctx.set(each.valid, offer)
                ctx.set(each.payload.data, int.from_bytes(data[: given.word], "little"))
                ctx.set(each.payload.last, len(data) == given.word)
            _, _, tx, valid, byte, last, takes, reset, *taken = await ctx.tick().sample(
                core.tx, core.pixels.valid, core.pixels.payload.data, core.pixels.payload.last, core.results.ready,
                core.soft_reset, *(each.ready for each in core.maps)
            )  # fmt: skip
            levels.append(tx)
            if beats and takes:
                beats.pop(0)
            for k, given in enumerate(MAPS):
                if offers[k] and taken[k]:
                    maps[k], offers[k] = maps[k][given.word :], False
            if reset:
                image, beats, maps = bytearray(), [], [b"", b""]
            elif valid and ready:
                image.append(byte)
                if last:
                    images.append(bytes(image))
                    image, beats = bytearray(), [sum(images[-1])]
                elif len(image) == most:  # its last pixel is known to be zero
                    maps = maps_of(bytes(image))

    simulate(core, bench)
    return images, levels


PICTURES = [image[:-1] + b"\0" for image in IMAGES]


def test_an_image_behind_a_reset_in_the_middle_of_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of the first image is forgotten; of the next one all parts come, and then the reply to it."""
    monkeypatch.setattr(map_replies, "part_bytes", lambda _count: PART)
    sent = [Frame(Kind.IMAGE, 1, PICTURES[0]), Frame(Kind.RESET, 2), Frame(Kind.IMAGE, 3, PICTURES[1]),
            Frame(Kind.STATUS, 4)]  # fmt: skip
    line = line_of(b"".join(map(encode, sent)), CYCLES)
    images, levels = converse(LinkCore(spec(maps=MAPS, classes=0, depth=32)), line + [1] * 6400)
    assert images == PICTURES[:2]
    cut, found = split(replies(levels, broken=True))
    assert {frame.kind for frame in cut} == {REPLY | Kind.MAP} and len(cut) < 4, "the image was not under way"
    kinds = [(frame.sequence, frame.kind) for frame in found if frame.kind != REPLY | Kind.MAP]
    assert kinds == [(2, 0x84), (3, 0x81), (4, 0x83)]
    assert [frame.sequence for frame in found] == [2, 3, 3, 3, 3, 3, 4]
    taken, result = Parts(INFOS), BoardResult.parse(found[5].payload)
    assert all(taken.add(part.payload) for part in found[1:5]) and taken.finished() == tuple(maps_of(PICTURES[1]))
    assert result == BoardResult(sum(PICTURES[1]), 0, result.latency, ())
    # The words of the longer map, and no wait for the line: all of them have room on the chip.
    assert 9 * PACE < result.latency < 11 * PACE


def split(frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Frames before the reply to RESET, and the others."""
    at = [frame.kind for frame in frames].index(0x84)
    return frames[:at], frames[at:]


def test_a_board_tells_of_its_maps() -> None:
    told = spec(maps=MAPS, classes=0, depth=32).info
    assert Info.parse(told) == Info(2, 15, 4, "0001020304050607", 5, 0, 4_000_000, INFOS)
    assert spec(depth=32).info[:4] == b"\1\x0f\4\0" and told[:4] == b"\2\x0f\4\2"
    assert told[20:] == b"\3\0\2\0\4\0\1\0" + b"\1\0\x0a\0\1\0\2\0"


def test_what_is_refused() -> None:
    for changes, message in (
        ({"classes": 0}, "1 to 16,380 logits, not 0"),
        ({"maps": MAPS[:1] * 256}, "255 maps at most, not 256"),
    ):
        with pytest.raises(ValueError, match=message):
            spec(**changes)
    with pytest.raises(ValueError, match="a map over the link are 1 to 65,535, not 1 x 70000 x 1"):
        LinkMap((1, 70_000, 1), 1, 1)
