"""A board with maps on a serial line, simulated from its Verilog bit by bit."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import map_nets
import numpy as np
import pytest
import serial
from link_faults import FAULTS, RESETS, Noisy, answered, received, schedule
from typer.testing import CliRunner

from spikeloom.api import outputs
from spikeloom.cli import app
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.hdl.cache import cache_folder
from spikeloom.hdl.host.codes import REPLY, Kind
from spikeloom.link import BoardResult, Host
from spikeloom.link_frames import Parser
from spikeloom.link_maps import Parts
from spikeloom.quant.ir.netfile import save
from spikeloom.sim.board.simulation import BoardSim, build, play

pytestmark = [pytest.mark.xdist_group("link"), pytest.mark.slow]


@pytest.fixture(scope="module", params=[True, False], ids=["maps and classes", "maps"])
def design(request: pytest.FixtureRequest) -> Design:
    """Two maps, of three numbers of 8 bits a word and of one of 16; with classes, or without. A reply is longer than
    what the board keeps of it."""
    return map_nets.mixed(request.param, 12)


@pytest.fixture(scope="module")
def board(design: Design) -> Path:
    return build(design, cache_folder())


@pytest.fixture(scope="module")
def pixels(design: Design) -> np.ndarray:
    return map_nets.frames(design.network, 30)


@pytest.fixture(scope="module")
def images(pixels: np.ndarray) -> list[bytes]:
    return [frame.transpose(1, 2, 0).astype("u1").tobytes() for frame in pixels]


@pytest.fixture(scope="module")
def expected(design: Design, pixels: np.ndarray) -> list[BoardResult]:
    """The golden model's answers, with the bytes of maps as the protocol has them, but no latency."""
    found = outputs(design.network, pixels)
    logits = found["last_out"] if design.network.classifies else np.zeros((len(pixels), 0), int)
    maps = [np.ascontiguousarray(found[name].transpose(0, 2, 3, 1)).astype(size)
            for name, size in (("near", "<i1"), ("far", "<i2"))]  # fmt: skip
    return [BoardResult(int(row.argmax()) if len(row) else 0, 0, 0, tuple(row.tolist()),
                        tuple(each[k].tobytes() for each in maps)) for k, row in enumerate(logits)]  # fmt: skip


@pytest.fixture
def port(board: Path) -> Iterator[serial.Serial]:
    with BoardSim(board) as simulated, serial.Serial(simulated.port, 1_000_000, timeout=0.02) as opened:
        yield opened


def same(results: list[BoardResult], expected: list[BoardResult]) -> None:
    found = [(r.label, r.status, r.logits, r.maps) for r in results]
    assert found == [(e.label, e.status, e.logits, e.maps) for e in expected]


def test_the_board_answers_like_the_golden_model(
    port: serial.Serial, design: Design, images: list[bytes], expected: list[BoardResult]
) -> None:
    host = Host(port, timeout=60)
    info = host.info()
    assert [(m.channels, m.height, m.width, m.bytes) for m in info.maps] == [(3, 12, 12, 1), (2, 6, 6, 2)]
    assert info.classes == design.network.classes and info.version == 2
    same(host.classify(images), expected)
    counters = host.counters()
    assert (counters.frames, counters.dropped, host.repeated) == (len(images), 0, 0)
    host.reset()
    (alone,) = host.classify(images[:1], window=1)
    # Of 576 bytes 256 of each map wait on the chip, and the others for their turn on the line.
    assert emit.performance(design)["latency"] < alone.latency < 44 * 700


def test_the_host_gets_all_answers_over_a_noisy_line(
    port: serial.Serial, images: list[bytes], expected: list[BoardResult]
) -> None:
    host = Host(Noisy(port, 0.001), timeout=1.0, tries=20)
    same(host.classify(images, window=4), expected)
    assert host.repeated > 2


def test_faults_on_the_line(
    request: pytest.FixtureRequest, board: Path, images: list[bytes], expected: list[BoardResult], tmp_path: Path
) -> None:
    """Whatever was wrong on the line: parts and replies are those of the image that they name, and none is missing."""
    count = max(3 * len(FAULTS), int(request.config.getoption("--cases") or 0))
    with BoardSim(board) as simulated, serial.Serial(simulated.port, timeout=0.02) as opened:
        host = Host(opened, timeout=60)
        info, latency = host.info(), host.classify(images[:1])[0].latency
    script, cases = schedule(images, count, latency, reply_bytes=info.reply_bytes)
    times, values, busy = play(board, *script.arrays(), end=script.at, work=tmp_path)
    assert not busy
    data, parser, at = received(times, values), Parser(), 0
    answers = cut = 0
    for case in cases:
        frames = []
        while at < len(data) and data[at][0] < case.end:
            frames += parser.feed(bytes([data[at][1]]))
            at += 1
        name = f"case {case.seed}, {case.fault}"
        under_way, parts = -1, Parts(info.maps)
        for frame in frames:
            if frame.kind == REPLY | Kind.MAP:
                assert frame.sequence in case.images, f"{name}: a map of what was never sent, {frame}"
                if frame.sequence != under_way or not int.from_bytes(frame.payload[:2], "little"):
                    cut += under_way >= 0
                    under_way, parts = frame.sequence, Parts(info.maps)
                assert parts.add(frame.payload), f"{name}: a part is missing before {frame}"
                wanted = expected[case.images[frame.sequence]].maps
                assert all(a.startswith(b) for a, b in zip(wanted, map(bytes, parts.found), strict=True)), name
            if frame.kind == REPLY | Kind.IMAGE:
                assert frame.sequence == under_way, f"{name}: a reply without parts of maps, {frame}"
                wanted, under_way = expected[case.images[frame.sequence]], -1
                got = BoardResult.parse(frame.payload)
                assert (got.label, got.status, got.logits) == (wanted.label, 0, wanted.logits), name
                assert parts.finished() == wanted.maps, f"{name}: not all of the maps"
        cut += under_way >= 0
        answers += answered(frames, case, name)
        if case.fault not in RESETS:
            assert not parser.garbage, f"{name}: the board sent what is no frame"
        cut += parser.garbage
        parser.garbage = 0
    assert answers >= 2 * count and cut, "no reset came in the middle of a reply"


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["run", *map(str, arguments)], env={"COLUMNS": "120"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_run_on_a_simulated_board(design: Design, board: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    emit.write(design, tmp_path)
    shutil.copytree(board, tmp_path / "sim" / board.name)
    np.savez(tmp_path / "frames.npz", frames=pixels, labels=np.arange(30) % 3)
    given = ("--simulate", tmp_path, "--data", tmp_path / "frames.npz", "-n", 10)
    status, out, err = run(*given, "-o", tmp_path / "out.npz", "--json")
    found, golden = json.loads(out), outputs(design.network, pixels[:10])
    assert status == 0 and found["golden_equal"] == 10, err
    assert ("accuracy" in found) == ("classes" in found) == design.network.classifies
    assert found["maps"] == {name: [int(golden[name].min()), int(golden[name].max())] for name in ("near", "far")}
    with np.load(tmp_path / "out.npz") as written:
        assert sorted(written.files) == sorted(golden)
        assert all(np.array_equal(written[name], golden[name]) for name in golden)
        assert all(written[name].dtype == golden[name].dtype for name in golden)
    status, out, err = run(*given)
    assert status == 0 and ("accuracy" in out) == ("classes: " in out) == design.network.classifies
    assert "near" in out and re.search(r"equal to the golden model +10 of 10\n", re.sub(" +\n", "\n", out))


def test_run_says_where_a_board_differs(design: Design, board: Path, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the network a board's maps have numbers in place of names; with a wrong one it ends with status 1."""
    frames = map_nets.frames(design.network, 3)
    np.savez(tmp_path / "frames.npz", frames=frames)
    save(design.network, tmp_path / "net.safetensors")
    wrong = outputs(design.network, frames)
    wrong["far"][1, 1, 0, 1] += 5
    monkeypatch.setattr("spikeloom.api.outputs", lambda _network, _pixels: wrong)
    with BoardSim(board) as simulated:
        status, _, err = run("--port", simulated.port, "--data", tmp_path / "frames.npz", "-n", 3,
                             "--network", tmp_path / "net.safetensors", "--timeout", 30)  # fmt: skip
    number = wrong["far"][1, 1, 0, 1]
    assert status == 1 and "differs from the golden model in 1 of 3 images, first in image 1: far" in err
    assert f": far, channel 1, row 0, column 1: {number - 5}, not {number}" in err
