"""Proofs about the replies of the link: one for every request, byte for byte what the protocol says
(``docs/formal.md``)."""

from pathlib import Path

import pytest
from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal
from amaranth.lib.crc import Algorithm
from prove import Bench, prove, proven
from stream_benches import sink, source, word_from

from spikeloom.hdl.host import replies
from spikeloom.hdl.host.codes import Kind, Reason
from spikeloom.hdl.host.replies import Replies

INFO = b"\x11\x22\x33\x44"
SIZES = {Kind.IMAGE: 12, Kind.INFO: 4, Kind.STATUS: 4}
"""Bytes of payload of the replies, of one logit."""

TURNED = Algorithm(
    crc_width=16, polynomial=1, initial_crc=0xFFFF, reflect_input=False, reflect_output=False, xor_output=0
)
"""In place of the CRC, which is proven on its own: a byte is added to the higher half, and the halves change places."""


def replies_bench(core: Replies, *, images: bool = False) -> Bench:
    """A request, its pixels and its result, and then its reply, byte for byte; and so on. ``images``: only these, and
    nobody but the accelerator pauses."""
    bench = Bench()
    m = bench.m
    m.submodules.core = core
    taken_i, byte = source(bench, core.i)
    taken_p, pixel = sink(bench, core.pixels, "pixels")
    taken_o, out = sink(bench, core.o)
    status = bench.free(32, "status")
    valid, beat = bench.free(1, "results_valid"), bench.free(32, "results_payload")
    # Of a request: its place, what it is; then its result; then its reply.
    place, head, sequence = Signal(2, name="place"), Signal(8, name="head"), Signal(8, name="sequence")
    computes, sends, second = Signal(name="computes"), Signal(name="sends"), Signal(name="second")
    known = Cat(byte == kind for kind in (*SIZES, Kind.RESET)).any()
    bench.assume((place != 0) | known | ((byte[:4] == Kind.ERROR) & (byte[4:] >= 1) & (byte[4:] <= max(Reason))))
    is_image = head == Kind.IMAGE
    m.d.comb += [
        core.status.eq(status),
        core.results.valid.eq(valid),
        core.results.payload.data.eq(beat),
        core.results.payload.last.eq(second),
    ]
    bench.assume(~valid | computes)
    m.d.comb += Assume(bench.running | ~valid, None)  # nor in the cycle of reset, in which it would be written anywhere
    latency, counts = Signal(32, name="latency_of_image"), Signal(name="counts")
    words = [Signal(32, name=f"word_{k}") for k in range(2)]
    at = Signal(5, name="at")
    m.d.comb += counts.eq(taken_p | (computes & ~sends))
    m.d.sync += latency.eq(latency + counts)
    with m.If(taken_i):
        m.d.sync += place.eq(Mux(place == 2, 0, place + 1))
        with m.If(place == 0):
            m.d.sync += [head.eq(byte), latency.eq(0)]
        with m.If(place == 1):
            m.d.sync += sequence.eq(byte)
            with m.If(head == Kind.STATUS):
                m.d.sync += latency.eq(status)
            with m.If(~is_image):
                m.d.sync += [place.eq(0), sends.eq(1)]
        with m.If(place == 2):
            m.d.sync += computes.eq(1)
    with m.If(valid):
        m.d.sync += second.eq(~second)
        with m.If(second):
            m.d.sync += [words[1].eq(beat), computes.eq(0), sends.eq(1)]
        with m.Else():
            m.d.sync += words[0].eq(beat)
    size = Mux(is_image, 12, Mux((head == Kind.INFO) | (head == Kind.STATUS), 4, 0))
    is_last = at == size + 5
    crc = Signal(16, name="expected_crc")
    with m.If(taken_o):
        m.d.sync += [at.eq(Mux(is_last, 0, at + 1)), crc.eq(Cat(Mux(at == 0, 0xFF, crc[8:]) ^ out[:8],
                                                                Mux(at == 0, 0xFF, crc[:8])))]  # fmt: skip
        with m.If(at >= size + 4):
            m.d.sync += crc.eq(crc)
        with m.If(is_last):
            m.d.sync += sends.eq(0)

    bench.rule("a request is taken where no reply is due", ~core.i.ready | ~(sends | computes))
    bench.rule("its first bytes are taken at once", core.i.ready | sends | computes | (place == 2))
    bench.rule("pixels are offered as they come", core.pixels.valid == ((place == 2) & core.i.valid))
    bench.rule("the pixel", ~core.pixels.valid | (pixel == Cat(byte, Const(1, 1))))
    bench.rule("a pixel is taken once", taken_p == (taken_i & (place == 2)))
    bench.rule("results are taken at once", core.results.ready == computes)
    bench.rule("a byte is offered where a reply is due", core.o.valid == sends)
    bench.rule("busy", core.busy == (sends | computes | (place != 0)))
    info = Const(int.from_bytes(INFO, "little"), 32)
    payload = Cat(Mux(head == Kind.INFO, info, latency), *words)
    head_of_reply = [head | 0x80, sequence, Cat(size, Const(0, 4))[:8], Const(0, 8)]
    expected = word_from(m, [*head_of_reply, *(payload[8 * k :][:8] for k in range(12))], at, "expected")
    checked = Mux(at == size + 4, crc[8:], Mux(is_last, crc[:8], expected))
    bench.rule("the byte in its place", ~core.o.valid | (out[:8] == checked))
    bench.rule("a reply ends with its CRC", ~core.o.valid | (out[8] == is_last))
    bench.goal("a reply with a payload", taken_o & is_last & (size == 4))
    if images:
        bench.assume(core.o.ready & core.pixels.ready & core.i.valid & ((place != 0) | (byte == Kind.IMAGE)))
        del bench.goals["a reply with a payload"]
        bench.goal("a reply to an image", taken_o & is_last)
    return bench


def core(monkeypatch: pytest.MonkeyPatch, of: type[Replies] = Replies) -> Replies:
    monkeypatch.setattr(replies, "CRC16_IBM_3740", TURNED)
    return of(1, INFO, 1)


def test_replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = prove(replies_bench(core(monkeypatch)), tmp_path, depth=14, kept=True, restart=True)
    proven(proof, "o", "pixels", folder=tmp_path)


@pytest.mark.slow
def test_replies_to_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole one, with pauses of results alone: the bytes of a longer reply."""
    bench = replies_bench(core(monkeypatch), images=True)
    proof = prove(bench, tmp_path, depth=27, kept=True, restart=True)
    proven(proof, folder=tmp_path)


class Live(Replies):
    """Shows the status as it is, not as it was."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.o.valid & (self.status == 0)):
            m.d.comb += self.o.payload.data.eq(0)
        return m


def test_a_reply_that_changes_while_it_waits_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = prove(replies_bench(core(monkeypatch, Live)), tmp_path, depth=8, kept=True)
    assert {"o holds", "the byte in its place"} & set(proof.broken)
