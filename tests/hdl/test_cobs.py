"""COBS: the decoder and the encoder against a model of a few lines, groups of 254 bytes and broken frames."""

import numpy as np
import pytest
from link_bench import push

from spikeloom.gen.emit.writer import module
from spikeloom.hdl.host.cobs import CobsDecoder, CobsEncoder
from spikeloom.hdl.host.codes import Reason
from spikeloom.link_frames import stuff, unstuff

END = 1 << 8


def frames(seed: int) -> list[bytes]:
    """Short ones, long ones, with many zeros and without any."""
    rng = np.random.default_rng(seed)
    lengths = [1, 2, 30, 253, 254, 255, 300]
    chosen = [rng.integers(0 if k % 3 else 1, 256 if k % 2 else 3, n).astype("u1") for k, n in enumerate(lengths)]
    return [bytes(20), *(bytes(frame) for frame in chosen), bytes([7]) * 254 + b"\0", b"\0"]


def test_the_model_by_hand() -> None:
    # The examples of the paper's table, and of group ends.
    assert stuff(b"\0") == b"\x01\x01"
    assert stuff(b"\x11\x22\0\x33") == b"\x03\x11\x22\x02\x33"
    assert stuff(bytes(range(1, 255))) == b"\xff" + bytes(range(1, 255)) + b"\x01"
    assert unstuff(b"\xff" + bytes(range(1, 255))) == bytes(range(1, 255))
    assert unstuff(b"\xff" + bytes(range(1, 255)) + b"\x02\xff") == bytes(range(1, 256))
    assert unstuff(b"\x05\x11") is None
    for frame in frames(0):
        assert unstuff(stuff(frame)) == frame and 0 not in stuff(frame)


@pytest.mark.parametrize("gaps", [0.0, 0.6])
def test_decoder(gaps: float) -> None:
    sent = frames(1)
    got = push(CobsDecoder(), list(b"\0\0" + b"".join(stuff(frame) + b"\0" for frame in sent)), gaps=gaps)
    assert got == [event for frame in sent for event in [*frame, END | Reason.GOOD]]


def test_decoder_of_frames_that_end_too_early() -> None:
    whole = stuff(b"\x11\x22\0\x33\x44")
    got = push(CobsDecoder(), list(whole[:2] + b"\0" + whole + b"\0" + whole[:-1] + b"\0" + whole + b"\0"))
    good = [*b"\x11\x22\0\x33\x44", END | Reason.GOOD]
    bad = END | Reason.CODING
    assert got == [0x11, bad, *good, *b"\x11\x22\0\x33", bad, *good]


@pytest.mark.parametrize(("gaps", "stalls"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.2, 0.7)])
def test_encoder(gaps: float, stalls: float) -> None:
    sent = frames(2)
    words = [byte | (k == len(frame) - 1) << 8 for frame in sent for k, byte in enumerate(frame)]
    got = bytes(push(CobsEncoder(), words, gaps=gaps, stalls=stalls, tail=600))
    assert got[:2] == b"\0\0"
    ends = b"\0\0".join(stuff(frame) for frame in sent) + b"\0\0"
    assert got[2:] == ends


def test_encoder_of_a_frame_longer_than_its_ring() -> None:
    frame = np.random.default_rng(3).integers(1, 256, 1500).astype("u1").tobytes()
    words = [byte | (k == len(frame) - 1) << 8 for k, byte in enumerate(frame)]
    assert bytes(push(CobsEncoder(512), words, stalls=0.3, tail=600))[2:-2] == stuff(frame)


@pytest.mark.parametrize("depth", [256, 600])
def test_depths_that_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=f"power of two, at least 512, not {depth}"):
        CobsEncoder(depth)


def test_the_verilog_is_the_same_twice() -> None:
    core = CobsEncoder()
    assert module(core, "cobs") == module(core, "cobs")
