"""What integrators and ``design.json`` say of maps: ports by the names of the outputs, order and meaning of words."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import map_nets
import pytest

import spikeloom
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.emit.integrate.bench import vector_files
from spikeloom.gen.emit.integrate.layout import ports
from spikeloom.gen.emit.integrate.text import header
from spikeloom.gen.folding.fold import Fold

PORTS = {"o_cls8": [2, 6, 6], "o_box8": [4, 6, 6], "o_cls16": [2, 3, 3], "o_box16": [4, 3, 3]}


def test_design_json(tmp_path: Path) -> None:
    emit.write(map_nets.design(True), tmp_path)
    found = json.loads((tmp_path / "design.json").read_text())
    assert list(found["outputs"]) == list(PORTS)
    assert found["network"]["maps"] == dict(zip(map_nets.HEADS, PORTS.values(), strict=True))
    assert "classes" not in found["network"] and "o__last" not in found["ports"]
    for port, shape in PORTS.items():
        assert found["layout"][port]["shape"] == shape and found["ports"][f"{port}__last"] == 1
    network = map_nets.network(True).signals["cls8"]
    assert found["layout"]["o_cls8"]["words_per_frame"] == 72
    assert found["layout"]["o_cls8"]["order"].endswith("a pixel in 2 words, the lowest channels first")
    (field,) = found["layout"]["o_cls8"]["fields"]
    assert field["text"] == f"channel word of the pixel, {network.low} to {network.high}" and field["signed"]


def test_the_header_says_what_comes() -> None:
    design = map_nets.design(False)
    text = header(ports(design), emit.describe(design))
    assert "T = 3, 4 maps." in text and "output o_box16__last" in text


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")
def test_the_plain_bench_checks_every_output(tmp_path: Path) -> None:
    spikeloom.generate(map_nets.network(True), tmp_path, fold=map_nets.FOLDS)
    commands = "iverilog -g2005 -o tb.vvp spikeloom_top.v spikeloom_top_tb.v", "vvp -n tb.vvp"
    for command in commands:
        done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "PASS: 540 words" in done.stdout, done.stdout


def test_each_file_of_vectors_is_of_one_output() -> None:
    nets = map_nets.MapNets((1, 4, 4), 1, 5)
    nets.conv("one", map_nets.C)
    nets.quantise()
    first = nets.end
    names = ("a", "a_cycles", "a cycles", "a__cycles")
    for name in names:
        nets.head(name, 1, first, 1)
    streams = ports(Design(nets.done(), {f"{name} conv": Fold(1, 1, 1) for name in names} | {"one": Fold(1, 1, 1)}))
    files = vector_files("net", streams)
    assert len(streams) == 5 and len(set(files.values())) == len(files) == 1 + 2 * 4
