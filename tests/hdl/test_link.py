"""The link before a core that is a few lines of Python: order, pipelining, a full memory, times, size."""

import json
from pathlib import Path
from typing import Any

import pytest
from link_bench import CYCLES, IMAGES, line_of, push, replies, simulate, spec

from spikeloom.gen.emit.writer import module
from spikeloom.gen.targets import yosys
from spikeloom.hdl.host.codes import Kind, Reason
from spikeloom.hdl.host.link import LinkCore, LinkSpec
from spikeloom.hdl.host.replies import Replies
from spikeloom.hdl.host.uart import BitRate
from spikeloom.link import BoardResult, Info
from spikeloom.link_frames import Frame, encode

DOCS = Path(__file__).resolve().parents[2] / "docs" / "link.md"


def converse(core: LinkCore, line: list[int], wait: int) -> tuple[list[bytes], list[int], list[tuple[int, bool]]]:
    """Play a line before a core that needs ``wait`` cycles and gives the sum of an image as its first logit: the images
    that came, the levels of ``tx``, and ``soft_reset`` and ``busy`` in every cycle."""
    images, levels, flags = list[bytes](), list[int](), list[tuple[int, bool]]()

    async def bench(ctx: Any) -> None:
        image, beats, pause = bytearray(), list[int](), 0
        ctx.set(core.pixels.ready, 1)
        for level in line:
            offers = bool(beats) and not pause
            ctx.set(core.rx, level)
            ctx.set(core.frames, len(images))
            ctx.set(core.results.valid, offers)
            ctx.set(core.results.payload.data, beats[0] if beats else 0)
            ctx.set(core.results.payload.last, len(beats) == 1)
            _, _, tx, valid, byte, last, takes, reset, busy = await ctx.tick().sample(
                core.tx, core.pixels.valid, core.pixels.payload.data, core.pixels.payload.last,
                core.results.ready, core.soft_reset, core.busy
            )  # fmt: skip
            levels.append(tx)
            flags.append((reset, busy))
            pause = max(0, pause - 1)
            if offers and takes:
                beats.pop(0)
            if reset:
                image, beats = bytearray(), []
            elif valid:
                image.append(byte)
                if last:
                    images.append(bytes(image))
                    image, beats, pause = bytearray(), [2, sum(images[-1]), 0xFFFFFFFE, 0], wait

    simulate(core, bench)
    return images, levels, flags


def test_replies_keep_the_order_of_requests() -> None:
    kinds = [Kind.INFO, Kind.IMAGE, Kind.STATUS, Kind.IMAGE, 9, Kind.INFO]
    sent = [Frame(kind, 250 + k, IMAGES[k] if kind == Kind.IMAGE else b"") for k, kind in enumerate(kinds)]
    core = LinkCore(spec(depth=64))
    data = b"".join(map(encode, sent))
    images, levels, _ = converse(core, line_of(data, CYCLES) + [1] * 4500, wait=20)
    got = replies(levels)
    assert [frame.sequence for frame in got] == [250, 251, 252, 253, 254, 255]
    assert [frame.kind for frame in got] == [0x82, 0x81, 0x83, 0x81, 0xC0, 0x82]
    assert Info.parse(got[0].payload) == Info(1, 15, 9, "0001020304050607", 5, 3, 4_000_000)
    assert images == [IMAGES[1], IMAGES[3]]
    # The first pixel, four more, the cycles of the core, four beats.
    assert BoardResult.parse(got[1].payload) == BoardResult(2, 0, 5 + 20 + 4, (sum(IMAGES[1]), -2, 0))
    assert BoardResult.parse(got[3].payload).latency == 29
    assert got[2].payload == b"\1\0\0\0"


def test_a_reply_begins_soon_after_its_request() -> None:
    core = LinkCore(spec())
    line = line_of(encode(Frame(Kind.STATUS, 1)), CYCLES, start=400)
    ends = 400 + 10 * CYCLES * len(encode(Frame(Kind.STATUS, 1)))
    _, levels, flags = converse(core, line + [1] * 1500, wait=0)
    first = levels.index(0, 300)
    assert 0 < first - (ends - CYCLES // 2) <= 30
    assert not flags[300][1] and flags[first][1] and not flags[-1][1], "busy while something is under way"


def test_the_error_flag_is_that_of_the_last_frame() -> None:
    """A lamp on a board: on after a frame that was none, off after a good one."""
    core, seen = LinkCore(spec()), []
    good = encode(Frame(Kind.STATUS, 1))
    bad = good[:3] + bytes([good[3] ^ 1]) + good[4:]

    async def bench(ctx: Any) -> None:
        for frame in (good, bad, good):
            for level in line_of(frame, CYCLES) + [1] * 20:
                ctx.set(core.rx, level)
                await ctx.tick()
            seen.append(ctx.get(core.error))

    simulate(core, bench)
    assert seen == [0, 1, 0]


def test_a_long_reply_has_its_length_in_two_bytes() -> None:
    info = bytes(k % 251 for k in range(700))
    got = push(Replies(1, info, 1), [Kind.INFO, 7])
    assert [word & 0xFF for word in got[:4]] == [0x82, 7, 700 & 0xFF, 700 >> 8]
    assert bytes(word & 0xFF for word in got[4:-2]) == info
    assert [word >> 8 for word in got] == [0] * (len(got) - 1) + [1], "the last byte is marked"


def test_what_finds_no_room_is_told_and_lost() -> None:
    # 15 bytes: with one image in the core, two wait.
    core = LinkCore(spec(depth=16))
    data = b"".join(encode(Frame(Kind.IMAGE, k, image)) for k, image in enumerate(IMAGES[:4]))
    tail = encode(Frame(Kind.STATUS, 77))
    line = line_of(data, CYCLES) + [1] * 7500
    line[7600 : 7600 + 10 * CYCLES * len(tail)] = line_of(tail, CYCLES)[: 10 * CYCLES * len(tail)]
    images, levels, _ = converse(core, line, wait=1700)
    got = replies(levels)
    assert spec(depth=16).window == 2
    assert images == IMAGES[:3], "one more than the window, for its bytes are read at once"
    assert [(frame.sequence, frame.kind) for frame in got] == [(0, 0x81), (1, 0x81), (2, 0x81), (77, 0x83)]
    assert got[3].payload == b"\3\0\1\0"


def test_reset_breaks_off_what_is_under_way() -> None:
    core = LinkCore(spec(depth=64))
    data = b"".join(encode(Frame(Kind.IMAGE, k, image)) for k, image in enumerate(IMAGES[:3]))
    data += encode(Frame(Kind.RESET, 9)) + encode(Frame(Kind.IMAGE, 10, IMAGES[3]))
    images, levels, flags = converse(core, line_of(data, CYCLES) + [1] * 4000, wait=4000)
    assert images == [IMAGES[0], IMAGES[3]]
    assert sum(reset for reset, _ in flags) == 4
    assert [(frame.sequence, frame.kind) for frame in replies(levels)] == [(9, 0x84)]


def test_a_reset_between_two_replies_is_answered() -> None:
    """The replies to an image and to STATUS follow each other; RESET comes in the cycles between the two."""
    sent = (Frame(Kind.IMAGE, 1, IMAGES[0]), Frame(Kind.STATUS, 2), Frame(Kind.RESET, 3))
    line = line_of(b"".join(map(encode, sent)), CYCLES) + [1] * 1900
    for wait in range(651, 656):
        _, levels, _ = converse(LinkCore(spec(depth=64)), line, wait=wait)
        got = [(frame.sequence, frame.kind) for frame in replies(levels, broken=True)]
        assert got[-1] == (3, 0x84), f"no reply to RESET where the result comes after {wait} cycles"
        assert (1, 0x81) in got, "the reset should come after the reply to the image"


def test_what_is_refused() -> None:
    for changes, message in (
        ({"frame_bytes": 65536}, "1 to 65,535 bytes, not 65,536"),
        ({"classes": 20000}, "1 to 16,380 logits, not 20,000"),
        ({"depth": 4}, "A memory of 4 bytes has no room for an image of 5 bytes"),
    ):
        with pytest.raises(ValueError, match=message):
            spec(**changes)
    assert [spec(frame_bytes=n, depth=0).memory_bytes for n in (1, 64, 254, 784, 3072)] == [512, 512, 1024, 2048, 8192]
    assert [spec(frame_bytes=n, depth=0).window for n in (64, 784, 3072)] == [7, 2, 2]
    assert max(Reason) == 6


COLUMNS = {"ice40": ("SB_LUT4", "SB_CARRY", "SB_DFF", "SB_RAM40_4K", "no LUT RAM"),
           "ecp5": ("LUT4", "CCU2C", "TRELLIS_FF", "DP16KD", "TRELLIS_DPR16X4")}  # fmt: skip


@pytest.mark.parametrize(("device", "command"), [
    pytest.param("ice40", "synth_ice40 -device u", marks=pytest.mark.slow), ("ecp5", "synth_ecp5")])
def test_size_is_that_of_the_document(device: str, command: str, tmp_path: Path) -> None:
    core = LinkCore(LinkSpec(BitRate(24e6, 1e6), bytes(range(1, 9)), frame_bytes=64, input_high=15, classes=10))
    (tmp_path / "top.v").write_text(module(core, "link"))
    yosys.run([f"read_verilog -DSPIKELOOM_{device.upper()} top.v", f"{command} -top link",
               "tee -q -o stat.json stat -json"], tmp_path)  # fmt: skip
    cells = json.loads((tmp_path / "stat.json").read_text())["design"]["num_cells_by_type"]
    found = [sum(n for name, n in cells.items() if name.startswith(prefix)) for prefix in COLUMNS[device]]
    row = next(line for line in DOCS.read_text().splitlines() if line.startswith(f"| {device} |"))
    told = [int(entry.replace(",", "")) for entry in row.strip("|").split("|")[1:]]
    assert all(abs(a - b) <= 0.1 * b for a, b in zip(found, told, strict=True)), f"{found}, in docs/link.md {told}"
