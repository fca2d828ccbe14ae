"""Names: nothing that a user calls a layer meets an inner name, and two designs have no module in common."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small

from spikeloom import api
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.emit.lint import RULES
from spikeloom.gen.emit.names import RESERVED, Namespace, check_name, identifier
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import auto
from spikeloom.gen.folding.fold import Fold, folds_toml, read_folds
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.targets import yosys
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, MaxPool, Node, Readout
from spikeloom.sim.predict import golden_words
from spikeloom.sim.simulators.toolchain import run_program, verilator_root
from spikeloom.sim.verify import verify

ROOT = Path(emit.__file__).parents[2]
VERILOG = ROOT / "hdl" / "verilog"


def lint(top: str, *files: Path | str) -> None:
    """Verilator with all warnings; raises SimulationError where there is one."""
    root = verilator_root()
    command = [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--top-module", top, *files]
    run_program(command, "Verilator", environment={"VERILATOR_ROOT": str(root)})


def chain(*names: str) -> Network:
    """Layers called ``names``, the first of which is also added to the last but one: forks, width conversions and a
    shortcut with a stride between them."""
    rng = np.random.default_rng(5)

    def conv(name: str, source: str, inputs: int, stride: int = 1) -> tuple[Conv2d, IF]:
        weight = rng.integers(-3, 4, (4, inputs, 1, 1))
        levels = {"threshold": np.array([2, 3, 4, 5]), "bias": rng.integers(0, 3, 4), "v0": np.ones(4, int)}
        return (
            Conv2d(name=name, source=source, weight=weight, weight_bits=3, stride=stride),
            IF(name=f"{name} fires", source=name, **levels),
        )

    nodes: list[Node] = [Input(name="pixels", shape=(1, 4, 4), high=3)]
    for before, name in pairwise(("pixels", *names[:-2])):
        source = before if before == "pixels" else f"{before} fires"
        nodes += conv(name, source, 1 if before == "pixels" else 4)
    *_, main, last = names
    first, before = f"{names[0]} fires", f"{names[-3]} fires"
    synapse, neuron = conv(main, before, 4, stride=2)
    nodes += [
        synapse,
        Gain(name=f"{main} gain", source=first, gain=np.ones(4, int), stride=2),
        Add(name=f"{main} add", source=main, other=f"{main} gain"),
        IF(
            name=f"{main} fires",
            source=f"{main} add",
            threshold=neuron.threshold,
            bias=neuron.bias,
            v0=neuron.v0,
        ),
        Flatten(name="vector", source=f"{main} fires"),
        Linear(name=last, source="vector", weight=rng.integers(-3, 4, (3, 16)), weight_bits=3),
        Readout(name=f"{last} answers", source=last, bias=np.zeros(3, int)),
    ]
    return Network(tuple(nodes), steps=3)


NASTY = (
    ("a", "i", "o", "a.fork", "a to i", "a.width", "m", "m.skip"),  # inner streams, the fork of a, the shortcut of m
    ("m", "m.skip", "m.skip.width", "m.skip.stride", "m to m.skip", "m.fork", "clk", "rst"),
    ("module", "wait", "adds", "rom_0", "A", "a", "b0__valid", "i__payload"),
    ("0", "features.0", "features_0", "層", "x" * 240, "x" * 240 + "y", "`a b'\"[red]", "\\escaped$1"),
)


@pytest.mark.parametrize("number", [0, 1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_layer_may_have_any_name(number: int, tmp_path: Path) -> None:
    names = NASTY[number]
    network = chain(*names)
    folds = auto(network, 200)
    design = Design(network, folds | {names[1]: Fold(1, 1, folds[names[1]].steps)})
    streams = [b.name for b in design.boundaries]
    assert set(names) < set(streams) and len(set(streams)) == len(streams) > len(names) + 2
    assert len({e.name for e in design.elements}) == len(design.elements)
    frames = np.random.default_rng(1).integers(0, 4, (6, 1, 4, 4))
    words = golden_words(design, golden.run(network, frames).outputs)
    models = design.compute(frames)
    assert all(np.array_equal(models[name], words[name]) for name in streams)
    contents = emit.write(design, tmp_path)
    text = (tmp_path / contents["verilog"]).read_text()
    assert text.isascii() and "\\" not in text and not re.search(r"\b_\d+_\b", text)
    lint(contents["top"], tmp_path / contents["waiver"], tmp_path / contents["verilog"])
    yosys.run([f"read_verilog {contents['verilog']}", f"hierarchy -check -top {contents['top']}"], tmp_path)
    if number == 2:  # one build is enough to see that words and cycles are where the names say
        outcome = verify(design, contents, tmp_path, frames, pauses=0.3)
        assert outcome.passed, [str(d) for d in outcome.differences]


def read(folder: Path, *names: str) -> set[str]:
    """The modules of the files, which Yosys and Verilator read together."""
    files = [folder / name for name in names]
    text = "".join(file.read_text() for file in files)
    modules = re.findall(r"^module (\w+)", text, re.MULTILINE)
    assert len(modules) == len(set(modules)), "two modules with one name"
    tops = [name for name in modules if f" {name} " not in text and f" {name} #" not in text.replace("module ", "")]
    wires = "".join(f"  {top} u{k} ();\n" for k, top in enumerate(tops))
    (folder / "all.v").write_text(text + f"module all;\n{wires}endmodule\n")
    yosys.run(["read_verilog all.v", "hierarchy -check -top all"], folder)
    lint("all", "-Wno-PINMISSING", *(f"-Wno-{rule}" for rule in RULES), "-Wno-UNDRIVEN", folder / "all.v")
    return set(modules)


WAYS = ({}, {"name": "other", "axi": True}, {"axi": True}, {"target": "asic"})


@pytest.mark.parametrize("ways", [WAYS[:2], pytest.param(WAYS[1:], marks=pytest.mark.slow)], ids=["some", "all"])
def test_two_designs_in_one_project(ways: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    """With and without names, plain and AXI cores, for FPGA and ASIC: no module twice, and all can be read together."""
    made = []
    for number, options in enumerate(ways):
        for seed in (1, 2):
            given = options | ({"name": f"other_{seed}"} if "name" in options else {})
            folder = tmp_path / f"{number}{seed}"
            _, contents = api.generate(small.network(seed), folder, fold=small.FOLDS, **given)
            for about in (contents, *([contents["axi"]] if "axi" in contents else [])):
                made.append(f"{number}{seed}/{about['verilog']}")
                lint(about["top"], folder / about["waiver"], folder / about["verilog"])
                modules = re.findall(r"^module (\w+)", (folder / about["verilog"]).read_text(), re.MULTILINE)
                assert modules[0] == about["top"] and all(m.startswith(f"{about['top']}_") for m in modules[1:])
    number = ways.index(WAYS[1])
    assert {f"{number}1/other_1.v", f"{number}1/other_1_axi.v"} < set(made)
    assert len(made) == sum(4 if "axi" in options else 2 for options in ways)
    assert len(read(tmp_path, *made)) > 6 * len(made)


def test_the_default_name_is_that_of_the_design(tmp_path: Path) -> None:
    _, contents = api.generate(small.network(), tmp_path / "a", fold=small.FOLDS)
    _, again = api.generate(small.network(), tmp_path / "b", fold=small.FOLDS)
    _, other = api.generate(small.network(), tmp_path / "c", fold=small.FOLDS | {"last": Fold(3, 2, 1)})
    _, asic = api.generate(small.network(), tmp_path / "d", fold=small.FOLDS, target="asic")
    assert contents["verilog"] == other["verilog"] == "spikeloom_top.v"
    assert contents["verilog_sha256"] == again["verilog_sha256"]
    assert len({contents["top"], again["top"], other["top"], asic["top"]}) == 3
    text = (tmp_path / "a" / "spikeloom_top.v").read_text()
    _, named = api.generate(small.network(), tmp_path / "a", fold=small.FOLDS, name="a9_core")
    assert (named["top"], named["verilog"], named["waiver"]) == ("a9_core", "a9_core.v", "a9_core.vlt")
    assert text.replace(contents["top"], "a9_core") == (tmp_path / "a" / "a9_core.v").read_text()


@pytest.mark.parametrize(
    "name", ["", "9a", "a b", "a__b", "a_", "_a", "a.b", "a-b", "é", "module", "Logic", "x" * 65, "a\n"]
)
def test_a_name_that_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot name a design: a name .*, such as digits_core"):
        api.generate(small.network(), tmp_path / "d", name=name)
    assert not (tmp_path / "d").exists() and check_name("digits_core2") == "digits_core2"


def test_output_ports_differ_in_more_than_case() -> None:
    """Also where the names of read-outs are those of others, not of ASCII, or very long."""
    names = ["a.b", "a_b", "A-B", "a_b_2", "層", "o", "i", "module", "7", "x" * 240, "x" * 241]
    nodes: list[Node] = [Input(name="in", shape=(2, 1, 1), high=3), Flatten(name="f", source="in")]
    for name in names:
        nodes.append(Linear(name=f"l {name}", source="f", weight=np.ones((2, 2), int), weight_bits=2))
        nodes.append(Readout(name=name, source=f"l {name}", bias=np.zeros(2, int)))
    network = Network(tuple(nodes), 1)
    design = Design(network, {layer.name: Fold(1, 1, 1) for layer in layers(network)})
    ports = [*design.outputs]
    assert ports[:8] == ["o_a_b", "o_a_b_2", "o_A_B_3", "o_a_b_2_2", "o_1", "o_o", "o_i", "o_module"]
    assert ports[-1] == "o" and len({port.lower() for port in ports}) == len(names)
    assert max(map(len, ports)) < 70


def test_a_fold_file_of_any_names(tmp_path: Path) -> None:
    folds = {name: Fold(1, 2, 1) for name in ("a.b", "層", "\U0001f600", 'q"\\', "é")}
    (tmp_path / "fold.toml").write_text(folds_toml(folds))
    assert {name: fold.inputs for name, fold in read_folds(tmp_path / "fold.toml").items()} == dict.fromkeys(folds, 2)


def test_identifiers() -> None:
    given = Namespace(["clk"])
    assert [given.give(n) for n in ("clk", "a", "A", "a_2", "a")] == ["clk_2", "a", "A_2", "a_2_2", "a_3"]
    texts = ("a.b", "a b", "7", "", "層", "wire", "Wire", "_x_", "x" * 99)
    assert [identifier(t) for t in texts] == ["a_b", "a_b", "n_7", "n", "n", "n_wire", "n_Wire", "x", "x" * 64]
    assert {"wire", "logic", "module", "always_ff"} < RESERVED


@pytest.mark.parametrize("bits", [4, 1])
def test_lint_of_windows_of_all_kinds(bits: int, tmp_path: Path) -> None:
    """Whole kernel columns, a ring, words that are skipped, a depthwise convolution, a pool, quantised values; weights
    of several bits and of one."""
    rng = np.random.default_rng(4)
    levels = {"threshold": rng.integers(9, 20, 4), "bias": rng.integers(-3, 4, 4), "v0": rng.integers(0, 9, 4)}
    layers: list[Node] = [Input(name="pixels", shape=(1, 5, 5), high=15)]
    for name, inputs, groups in (("columns", 1, 1), ("depthwise", 4, 4), ("skipping", 4, 1)):
        shape = (4, inputs // groups, 3, 3)
        weight = rng.integers(-7, 8, shape) if bits > 1 else rng.choice([-1, 1], shape)
        source = layers[-1].name
        layers.append(Conv2d(name=name, source=source, weight=weight, weight_bits=bits, padding=1, groups=groups))
        layers.append(IF(name=f"{name} fires", source=name, **levels))
    layers += [
        MaxPool(name="pool", source="skipping fires", kernel=2, stride=2),
        Flatten(name="flat", source="pool"),
        Linear(name="fc", source="flat", weight=rng.integers(-7, 8, (5, 16)), weight_bits=4),
        Readout(name="out", source="fc", bias=rng.integers(-5, 6, 5)),
    ]
    folds = {
        "columns": Fold(2, 3, 1),
        "depthwise": Fold(2, 2, 1),
        "skipping": Fold(4, 2, 2, skip=True),
        "pool": Fold(2, 2, 1),
        "fc": Fold(1, 1, 1),
    }
    contents = emit.write(Design(Network(tuple(layers), 2), folds), tmp_path)
    lint(contents["top"], tmp_path / contents["waiver"], tmp_path / contents["verilog"])


@pytest.mark.parametrize("form", ["SPIKELOOM_PLAIN", "SPIKELOOM_ICE40"])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("adds", {"SIZE": 9, "FIRST": "9'h010", "SECOND": "9'h008", "ENDS": "9'h020", "OPEN": "9'h003"}),
        ("adds", {"SIZE": 1}),
        ("counts", {"COUNT": 3}),
        ("counts", {"COUNT": 2, "WIDTH": 4, "GATED": 0, "INVERTS": 1}),
        ("rom", {"DEPTH": 40, "ADDRESS": 6}),
        ("ram", {"DEPTH": 40, "ADDRESS": 6}),
        ("block_ram", {"DEPTH": 40, "ADDRESS": 6}),
        ("register_file", {"DEPTH": 5, "ADDRESS": 3}),
    ],
)
def test_lint_of_the_library(name: str, parameters: dict[str, int | str], form: str, tmp_path: Path) -> None:
    """Without any waiver; the file is called as its module, which Verilator asks for."""
    file = tmp_path / f"spikeloom_{name}.v"
    file.write_text((VERILOG / f"{name}.v").read_text())
    lint(f"spikeloom_{name}", f"-D{form}", *(f"-G{key}={value}" for key, value in parameters.items()), file)


def test_lint_of_the_block_ram_of_ecp5(tmp_path: Path) -> None:
    """The forms of memories that have cells, with our model of them."""
    for name in ("rom", "block_ram"):
        (tmp_path / f"spikeloom_{name}.v").write_text((VERILOG / f"{name}.v").read_text())
    model = (ROOT / "sim" / "simulators" / "cells_ecp5.v").read_text()
    port, rest = re.split(r"(?<=endmodule\n)", model, maxsplit=1)
    (tmp_path / "spikeloom_bram_port.v").write_text(port)
    (tmp_path / "DP16KD.v").write_text(re.split(r"(?=// The multiplier)", rest)[0])
    files = [tmp_path / f"{name}.v" for name in ("spikeloom_bram_port", "DP16KD")]
    sizes = (("rom", 40, 6, 1), ("rom", 600, 10, 40), ("rom", 2000, 11, 10),
             ("block_ram", 600, 10, 40), ("block_ram", 2000, 11, 10), ("block_ram", 9000, 14, 2))  # fmt: skip
    for name, depth, address, width in sizes:
        size = (f"-GDEPTH={depth}", f"-GADDRESS={address}", f"-GWIDTH={width}")
        lint(f"spikeloom_{name}", "-DSPIKELOOM_ECP5", *size, tmp_path / f"spikeloom_{name}.v", *files)
