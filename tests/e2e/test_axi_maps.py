"""The AXI core of a network with maps in Verilator: frames, pauses of each stream, faults, resets in the middle of a
map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import axi_run
import map_nets
import numpy as np
import pytest
from frame_bench import Packet, expected, expected_maps, packets_of
from test_axi import Core, built, results

from spikeloom.gen.emit import writer as emit
from spikeloom.gen.emit.integrate import integrate_axi

pytestmark = [pytest.mark.xdist_group("axi"), pytest.mark.slow]


@pytest.fixture(scope="module", params=[True, False], ids=["maps and classes", "maps"])
def core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Core:
    """16 pixels in beats of 4 bytes; words of three numbers of 8 bits, and of one of 16."""
    return built(map_nets.mixed(request.param), tmp_path_factory.mktemp("axi"), 4)


def numbers(core: Core, name: str, words: list[int]) -> list[int]:
    """The numbers in the words of a map."""
    (about,) = [each for each in core.contents["axi"]["maps"] if each["stream"] == name]
    data = b"".join(word.to_bytes(about["word_bytes"], "little") for word in words)
    return np.frombuffer(data, f"<i{about['bits'] // 8}").tolist()


def test_registers(core: Core, tmp_path: Path) -> None:
    axi_run.run(core.built, tmp_path, "registers", core.config())


def test_frames(core: Core, tmp_path: Path) -> None:
    packets = packets_of(core.design, map_nets.frames(core.design.network, 20))
    (*_, run) = axi_run.run(core.built, tmp_path, "frames", core.config(frames=tuple(packets)))
    received = [np.frombuffer(bytes.fromhex(p), "<u4").tolist() for p in run["received"]]
    assert results(received) == expected(core.design, packets)
    maps = core.contents["axi"]["maps"]
    for k, about in enumerate(maps):
        given = [np.frombuffer(bytes.fromhex(p), f"<i{about['bits'] // 8}").tolist()
                 for p in run["received_maps"][k :: len(maps)]]  # fmt: skip
        assert given == expected_maps(core.design, packets)[f"o_{about['name']}"]


def test_a_last_word_that_waits_is_busy(core: Core, tmp_path: Path) -> None:
    axi_run.run(core.built, tmp_path, "busy", core.config())


def test_faults(core: Core, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every packet has its result and its frame of every map; what a reset cuts is the begin of the right one."""
    cases = int(request.config.getoption("--cases"))
    runs = axi_run.run(core.built, tmp_path, "faults", core.config(cases=cases))
    for run in runs:
        # Of the packet that was under way a map may have begun, by pixels that have come; here zeros follow them.
        run["packets"].append(run["partial"] + "00")
    packets = [Packet(bytes.fromhex(p)) for run in runs for p in run["packets"]]
    want, want_maps = iter(expected(core.design, packets)), expected_maps(core.design, packets)
    at = cuts = frames = 0
    for number, run in enumerate(runs):
        count = len(run["packets"])
        mine, found = [next(want) for _ in range(count)], results(run["results"])
        assert found == mine[: len(found)], f"run {number}"
        for prefix, seen in run["maps"].items():
            stream = prefix.removesuffix("_t")
            whole = want_maps[f"o_{stream.removeprefix('m_axis_')}"][at : at + count]
            given = [numbers(core, stream, words) for words in seen["frames"]]
            assert given == whole[: len(given)], f"run {number}, {stream}"
            if run["end"] == "quiet":
                assert len(given) == len(found) == count - 1 and not seen["cut"]
            for words in seen["cut"]:
                begin = numbers(core, stream, words[:-1])
                assert words[-1] == 0 and begin == whole[len(given)][: len(begin)], f"run {number}, {stream}"
            cuts, frames = cuts + len(seen["cut"]), frames + len(given)
        at += count
    assert frames >= 4 * cases and cuts > cases // 30


def test_what_integrators_get_knows_the_maps(core: Core, tmp_path: Path) -> None:
    contents: dict[str, Any] = core.contents
    about = contents["axi"]
    files = integrate_axi(contents, tmp_path, 100)
    instance = (tmp_path / files["axi_instance"]).read_text()
    for port in about["ports"]:
        assert f".{port}({port})" in instance
    text = (core.built.parent / about["verilog"]).read_text()
    for each in about["maps"]:
        assert f"// {each['stream']}: map {each['name']}: {each['words_per_frame']} words a frame" in text
        assert each["lanes"] * each["bits"] == 8 * each["word_bytes"] == about["ports"][f"{each['stream']}_tdata"]
    assert [each["shape"] for each in about["maps"]] == [[3, 4, 4], [2, 2, 2]]
    again = emit.read(core.built.parent)[1]
    assert again["axi"] == json.loads(json.dumps(about))
