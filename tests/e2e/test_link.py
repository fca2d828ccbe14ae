"""A board on a serial line, simulated from its Verilog bit by bit: the host's answers, and faults of every kind."""

import json
import os
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
from link_faults import FAULTS, RESETS, Noisy, Script, answered, received, schedule
from typer.testing import CliRunner

from benchmarks.boards import ROOT, SHOWN
from spikeloom.cli import app
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import auto
from spikeloom.gen.tops.link import link_spec, verilog
from spikeloom.hdl.cache import cache_folder
from spikeloom.hdl.host.codes import REPLY, Kind, Reason
from spikeloom.link import BoardResult, Host, LinkError
from spikeloom.link_frames import Frame, Parser, decode, encode, stuff, unstuff
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Flatten, Input, Linear, Readout
from spikeloom.sim.board.bench import QUIET_BITS
from spikeloom.sim.board.simulation import CLOCK_HZ, CYCLES_PER_BIT, BoardSim, build, play

pytestmark = pytest.mark.xdist_group("link")


def network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    return Network(
        (
            Input(name="input", shape=(2, 3, 3), high=15),
            Flatten(name="flat", source="input"),
            Linear(name="fc1", source="flat", weight=rng.integers(-7, 8, (16, 18)), weight_bits=4),
            IF(name="if1", source="fc1", threshold=[40, 50, 60, 70] * 4, bias=[5, -5, 0, 9] * 4, v0=[20, 30] * 8),
            Linear(name="fc2", source="if1", weight=rng.integers(-7, 8, (3, 16)), weight_bits=4),
            Readout(name="out", source="fc2", bias=[1, -2, 3]),
        ),
        steps=3,
    )


@pytest.fixture(scope="module")
def design() -> Design:
    """One PE a layer: a core that computes for longer than a simulated board waits on a quiet line."""
    return Design(network(1), auto(network(1), cycles=1000))


@pytest.fixture(scope="module")
def board(design: Design) -> Path:
    return build(design, cache_folder())


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 16, (60, 2, 3, 3))


@pytest.fixture(scope="module")
def images(pixels: np.ndarray) -> list[bytes]:
    return [frame.transpose(1, 2, 0).astype("u1").tobytes() for frame in pixels]


@pytest.fixture(scope="module")
def expected(design: Design, pixels: np.ndarray) -> list[BoardResult]:
    """The golden model's answers, with the latency of an image that is alone in the core."""
    logits = golden.run(design.network, pixels).logits.tolist()
    return [BoardResult(int(np.argmax(row)), 0, 0, tuple(row)) for row in logits]


@pytest.fixture
def port(board: Path) -> Iterator[serial.Serial]:
    with BoardSim(board) as simulated, serial.Serial(simulated.port, 1_000_000, timeout=0.02) as opened:
        yield opened


def same(results: list[BoardResult], expected: list[BoardResult]) -> None:
    assert len({result.latency for result in results}) == 1, "every image has the same latency"
    assert [(r.label, r.status, r.logits) for r in results] == [(e.label, e.status, e.logits) for e in expected]


def test_frames_and_back() -> None:
    rng = np.random.default_rng(0)
    for size in (0, 1, 253, 254, 255, 1000):
        frame = Frame(int(rng.integers(256)), int(rng.integers(256)), rng.integers(0, 256, size).astype("u1").tobytes())
        data = encode(frame)
        assert data[0] == data[-1] == 0 and 0 not in data[1:-1]
        assert decode(data[1:-1]) == frame
        for place in rng.integers(1, len(data) - 1, 20):
            wrong = bytearray(data[1:-1])
            wrong[place - 1] ^= 1 << int(rng.integers(8))
            if 0 not in wrong:
                assert decode(bytes(wrong)) is None


def test_the_parser_finds_frames_in_noise() -> None:
    rng, parser, sent = np.random.default_rng(1), Parser(), []
    data = bytearray()
    for k in range(100):
        sent.append(Frame(129, k, bytes(rng.integers(0, 256, 20).astype("u1"))))
        data += rng.integers(2, 256, int(rng.integers(1, 9))).astype("u1").tobytes() + encode(sent[-1])
    found = [frame for k in range(0, len(data), 7) for frame in parser.feed(bytes(data[k : k + 7]))]
    assert found == sent and parser.garbage == 100
    assert unstuff(stuff(b"")) == b"" and decode(b"\x01") is None


def test_the_board_answers_like_the_golden_model(
    port: serial.Serial, design: Design, images: list[bytes], expected: list[BoardResult]
) -> None:
    host = Host(port, timeout=60)
    info = host.info()
    assert (info.network, info.frame_bytes, info.classes, info.input_high, info.clock_hz) == (
        design.network.hash[:16], 18, 3, 15, CLOCK_HZ
    )  # fmt: skip
    assert info.window == 511 // 20
    results = host.classify(images)
    same(results, expected)
    # One beat of 32 bits a cycle for the result, some cycles for the conversion of the input's width.
    predicted = emit.performance(design)["latency"]
    assert predicted <= results[0].latency <= predicted + 40
    counters = host.counters()
    assert (counters.frames, counters.dropped) == (len(images), 0)
    assert (host.repeated, host.parser.garbage) == (0, 0)
    host.reset()
    assert host.counters().frames == 0
    same(host.classify(images[:3], window=1), expected[:3])


def test_a_board_that_computes_while_its_line_is_quiet_goes_on(
    port: serial.Serial, images: list[bytes], expected: list[BoardResult]
) -> None:
    host = Host(port, timeout=10)
    results = host.classify(images[:2], window=1)
    same(results, expected[:2])
    assert results[0].latency > 2 * QUIET_BITS * CYCLES_PER_BIT
    assert host.repeated == 0, "the simulation stood still until the host asked again"


def test_a_script_is_played_at_its_times(board: Path, tmp_path: Path) -> None:
    """The same request three times, 5,000 cycles apart, with a reset in the second reply and the end in the third."""
    script, request, apart = Script(), encode(Frame(Kind.INFO, 7)), 5000
    begins = [script.at + k * apart for k in range(3)]
    for script.at in begins:
        script.send(request)
    reset, end = begins[1] + 760, begins[2] + 960
    script.events += [(reset, 1, 1), (reset + 2, 1, 0)]
    times, values, busy = play(board, *script.arrays(), end=end, work=tmp_path)
    assert busy, "it ends in a reply"
    # Inputs change in the middle of the low half of the clock, a quarter of a cycle before the edge that moves tx.
    assert (times % 1 == pytest.approx(0.25)) and values.tolist() == [k % 2 for k in range(len(times))]
    started = times[times < begins[0]]
    first, second, third = (times[(times >= begin) & (times < begin + apart)] - begin for begin in begins)
    reply = bytes(byte for time, byte in received(times, values) if begins[0] < time < begins[1])
    assert [(frame.kind, frame.sequence) for frame in Parser().feed(reply)] == [(REPLY | Kind.INFO, 7)]
    # The reset lets the line go high at the next edge of the clock, and the board starts as at first.
    cut = first[first < 760].tolist()
    expected = [*cut, *[760.25] * (len(cut) % 2), *(started + 762)]
    assert second == pytest.approx(expected) and third == pytest.approx(first[first < 960])
    assert started.size and 0 < len(cut) < len(third) < len(first)


def test_the_host_gets_all_answers_over_a_noisy_line(
    port: serial.Serial, images: list[bytes], expected: list[BoardResult]
) -> None:
    host = Host(Noisy(port, 0.003), timeout=1.0, tries=12)
    same(host.classify(images, window=4), expected)
    assert host.repeated > 3 and Host(port, timeout=60).counters().dropped > 3


@pytest.mark.slow
def test_a_host_that_stops_reading_loses_replies_and_nothing_else(
    port: serial.Serial, images: list[bytes], expected: list[BoardResult]
) -> None:
    for k in range(220):  # more bytes of replies than the terminal holds
        port.write(encode(Frame(Kind.INFO, k % 256)))
        if k % 40 == 39:
            time.sleep(0.1)
    host = Host(port, timeout=60)
    host.reset()
    same(host.classify(images[:10]), expected[:10])


@pytest.mark.slow
def test_faults_on_the_line(
    request: pytest.FixtureRequest, board: Path, images: list[bytes], expected: list[BoardResult], tmp_path: Path
) -> None:
    count = round(int(request.config.getoption("--cases") or 0) / 0.6)
    assert count >= len(FAULTS)
    with BoardSim(board) as simulated, serial.Serial(simulated.port, timeout=0.02) as opened:
        latency = Host(opened, timeout=60).classify(images[:1])[0].latency
    script, cases = schedule(images, count, latency, reply_bytes=31)
    times, values, busy = play(board, *script.arrays(), end=script.at, work=tmp_path)
    assert not busy
    data, parser, at = received(times, values), Parser(), 0
    answers = dropped = 0
    for case in cases:
        frames = []
        while at < len(data) and data[at][0] < case.end:
            frames += parser.feed(bytes([data[at][1]]))
            at += 1
        name = f"case {case.seed}, {case.fault}"
        for frame in frames:
            if frame.kind == REPLY | Kind.IMAGE:
                # Whatever was wrong on the line: no answer is a wrong one.
                assert frame.sequence in case.images, f"{name}: an answer to what was never sent, {frame}"
                wanted = expected[case.images[frame.sequence]]
                got = BoardResult.parse(frame.payload)
                assert got == BoardResult(wanted.label, 0, latency, wanted.logits), f"{name}: {frame.sequence}"
            dropped += frame.reason is not None
        answers += answered(frames, case, name)
        if case.fault not in RESETS:
            assert not parser.garbage, f"{name}: the board sent what is no frame"
        parser.garbage = 0
    assert answers >= 2 * count and dropped > count // 3


@pytest.mark.slow
def test_dropped_frames_say_why(port: serial.Serial, images: list[bytes]) -> None:
    body = struct.pack("<BBH", Kind.IMAGE, 9, 18) + images[0]
    parser, found = Parser(), []
    port.write(b"\x05\x01\0" + b"\0" + stuff(body + b"\x12\x34") + b"\0")
    port.write(encode(Frame(9, 1)) + encode(Frame(Kind.IMAGE, 2, bytes(17))) + encode(Frame(Kind.INFO, 3)))
    start = time.monotonic()
    while len(found) < 5 and time.monotonic() - start < 60:
        found += parser.feed(port.read(64))
    assert [(frame.sequence, frame.reason) for frame in found] == [
        (0, Reason.CODING), (9, Reason.CRC), (1, Reason.TYPE), (2, Reason.LENGTH), (3, None)
    ]  # fmt: skip


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["run", *map(str, arguments)], env={"COLUMNS": "120"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(design: Design, board: Path, pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated design with its board built already, and a file of images."""
    folder = tmp_path_factory.mktemp("design")
    emit.write(design, folder)
    shutil.copytree(board, folder / "sim" / board.name)
    labels = golden.run(design.network, pixels).classes
    labels[0] = (labels[0] + 1) % 3
    np.savez(folder / "frames.npz", frames=pixels, labels=labels)
    return folder


def test_run_on_a_simulated_board(folder: Path, design: Design) -> None:
    status, out, err = run("--simulate", folder, "--data", folder / "frames.npz", "-n", 20, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["golden_equal"] == found["images"] == 20 and found["accuracy"] == 19 / 20
    assert found["latency_cycles"]["least"] == found["latency_cycles"]["most"] > 0
    assert found["images_per_second"] == pytest.approx(20 * CLOCK_HZ / found["cycles"], rel=0.01)
    status, out, err = run("--simulate", folder, "--data", folder / "frames.npz", "-n", 20)
    assert status == 0 and "equal to the golden model   20 of 20" in out and "(label " in out and "95.00 %" in out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits-icebreaker", "mnist-ulx3s-85f"])
def test_what_boards_show_answers_like_the_golden_model(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A hundred test images through the serial line, bit by bit, with the fold of the board's bitstream."""
    shown = SHOWN[name]
    data = "digits" if "digits" in name else "mnist"
    if data != "digits":
        request.getfixturevalue("real")(data)
    option, folds = shown.folds
    folds = str(ROOT / folds) if option == "--fold" else folds
    made = CliRunner().invoke(app, ["generate", str(ROOT / shown.network), option, folds, "-o", str(tmp_path)])
    assert made.exit_code == 0, made.output
    status, out, err = run("--simulate", tmp_path, "--data", data, "-n", 100, "--json")
    assert status == 0, err
    assert json.loads(out)["golden_equal"] == json.loads(out)["images"] == 100


def test_run_with_another_network_than_the_board_has(folder: Path, board: Path, tmp_path: Path) -> None:
    other = network(2)
    emit.write(Design(other, auto(other)), tmp_path)
    with BoardSim(board) as simulated:
        status, _, err = run("--port", simulated.port, "--network", tmp_path, "--data", folder / "frames.npz")
        assert status == 1 and f"is {other.hash[:16]}" in err and network(1).hash[:16] in err
        # Without a network the board says what it takes.
        status, _, err = run("--port", simulated.port)
        assert status == 1 and "Images of digits have 64 bytes, those of this board 18" in err
        status, _, err = run("--port", simulated.port, "--data", folder / "frames.npz")
        assert status == 1 and "needs --network" in err


def test_run_without_a_board(folder: Path, tmp_path: Path) -> None:
    master, slave = os.openpty()
    status, _, err = run("--port", os.ttyname(slave), "--timeout", 0.02)
    os.close(master)
    os.close(slave)
    assert status == 1 and err.startswith("error: No board answers: 5 requests INFO") and len(err.splitlines()) == 1
    status, _, err = run("--port", tmp_path / "ttyUSB9")
    assert status == 1 and "ttyUSB9" in err and err.startswith("error: ")
    for wrong in ((), ("--port", "x", "--simulate", folder)):
        status, _, err = run(*wrong)
        assert status == 2 and "give either --port or --simulate" in err


def test_what_a_link_refuses(design: Design) -> None:
    with pytest.raises(PlanError, match=r"Link: 4e\+06 baud take 4 clock cycles a bit"):
        link_spec(design, 12e6, 4e6)
    with pytest.raises(LinkError, match="No board answers"):
        Host(Nobody(), timeout=0.01, tries=2).info()


class Nobody:
    """A port at which nothing is."""

    def read(self, size: int = 1, /) -> bytes:
        time.sleep(0.002)
        return b""

    def write(self, data: bytes, /) -> int:
        return len(data)


def test_the_verilog_is_the_same_twice(design: Design) -> None:
    assert verilog(design, 12e6, 1e6) == verilog(design, 12e6, 1e6)
