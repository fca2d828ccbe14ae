"""The additions of ``adds.v``: every device's form is proven equal to the plain one, by SAT over all inputs."""

import re
from pathlib import Path

import pyosys
import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import spikeloom.hdl
from spikeloom.gen.emit.writer import module
from spikeloom.gen.targets import yosys
from spikeloom.hdl.cores.synapse.gated import Addition, add
from spikeloom.hdl.cores.synapse.trees import CHAIN

SOURCE = Path(spikeloom.hdl.__file__).parent / "verilog" / "adds.v"
MODELS: dict[str, dict[str, list[str]]] = {
    "ecp5": {"ecp5/ccu2c_sim.vh": ["CCU2C"], "ecp5/common_sim.vh": ["LUT4", "LUT2"]},
    "xc7": {"xilinx/cells_sim.v": ["LUT6_2", "CARRY4"]},
    "ice40": {},
}
"""Yosys's models of the cells that a device's form is made of, by file."""


def models(device: str) -> str:
    """The Verilog of the models, without the other cells of their files."""
    share = Path(pyosys.__file__).parent / "share"
    found = [
        re.search(rf"^module {name}\b.*?^endmodule\n", (share / file).read_text(), re.DOTALL | re.MULTILINE)
        for file, names in MODELS[device].items()
        for name in names
    ]
    return "".join(match[0] for match in found if match)

SHAPES = [(1, 1), (1, 4), (3, 3), (4, 4), (2, 5), (2, 8), (5, 2)]

# The form of a device and the plain one side by side, and whether they differ.
BENCH = """
module {name} (input [{n}*{w}-1:0] a, b, input [{n}-1:0] ax, bx, output [{n}*({w}+1)-1:0] y);
  spikeloom_adds #(.COUNT({n}), .WIDTH({w}), .SIGNED({signed}), .GATED({gated})) adds (
    .a(a), .b(b), .ax(ax), .bx(bx), .bn(~bx), .y(y));
endmodule
"""


def prove(folder: Path, source: str, device: str, count: int, width: int, signed: int, gated: int) -> None:
    """Prove by SAT that the form of ``device`` equals the plain one; YosysError where it does not."""
    bench = BENCH.format(name="bench", n=count, w=width, signed=signed, gated=gated)
    (folder / "adds.v").write_text(source + bench)
    (folder / "cells.v").write_text(models(device))
    yosys.run(
        [
            "read_verilog adds.v", "hierarchy -top bench", "proc", "flatten", "opt_clean", "rename bench plain",
            "design -stash plain",
            f"read_verilog -DSPIKELOOM_{device.upper()} adds.v", "read_verilog cells.v",
            "hierarchy -top bench", "proc", "flatten", "opt_clean", "rename bench small",
            "design -copy-from plain plain",
            "miter -equiv -flatten -make_assert plain small both",
            "hierarchy -top both", "sat -verify -prove-asserts -set-def-inputs both",
        ],
        folder,
    )  # fmt: skip


@pytest.mark.parametrize("device", MODELS)
@pytest.mark.parametrize(("count", "width"), SHAPES)
@pytest.mark.parametrize(("signed", "gated"), [(0, 0), (0, 1), (1, 1)])
def test_every_device_adds_the_same(
    device: str, count: int, width: int, signed: int, gated: int, tmp_path: Path
) -> None:
    prove(tmp_path, SOURCE.read_text(), device, count, width, signed, gated)


@pytest.mark.parametrize(
    ("device", "right", "wrong"),
    [
        ("ecp5", "WIDTH - 1 ? 16'h8887", "WIDTH - 1 ? 16'h7888"),
        ("ecp5", "i % (WIDTH + 1) == WIDTH ? 16'h0000", "i % (WIDTH + 1) == WIDTH ? 16'h000f"),
        ("xc7", "64'h7888788888888888", "64'h7888788844444444"),
        ("ice40", "bx[i] ? only_b", "bx[i] ? only_a"),
    ],
)
def test_a_wrong_table_is_found(device: str, right: str, wrong: str, tmp_path: Path) -> None:
    source = SOURCE.read_text()
    assert right in source
    with pytest.raises(yosys.YosysError):
        prove(tmp_path, source.replace(right, wrong), device, 3, 4, 1 if device == "ecp5" else 0, 1)


class Additions(wiring.Component):
    """Additions of several kinds at once, in Amaranth or, ``small``, by ``adds.v``: more of a kind than a carry chain
    takes, summands of one width and of different ones."""

    WIDTHS = [(3, 3), (2, 3), (3, 1), (5, 4), *[(2, 2)] * 9]

    x: Signal
    gates: Signal
    y: Signal

    def __init__(self, *, gated: bool, small: bool) -> None:
        self.gated, self.small = gated, small
        total = sum(map(sum, self.WIDTHS))
        count = len(self.WIDTHS)
        super().__init__({"x": In(total), "gates": In(2 * count), "y": Out(sum(max(w) + 1 for w in self.WIDTHS))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        additions, at = [], 0
        for k, (wa, wb) in enumerate(self.WIDTHS):
            a, b = self.x[at : at + wa], self.x[at + wa : at + wa + wb]
            at += wa + wb
            gates = (self.gates[2 * k], self.gates[2 * k + 1]) if self.gated else (None, None)
            additions.append(Addition(a, b, max(wa, wb), False, *gates))
        found = add(m, platform if self.small else None, additions, "sum")
        named = [Signal(max(w) + 1, name=f"y_{k}") for k, w in enumerate(self.WIDTHS)]
        m.d.comb += [signal.eq(value) for signal, value in zip(named, found, strict=True)]
        m.d.comb += self.y.eq(Cat(named))
        return m


@pytest.mark.parametrize("gated", [False, True])
def test_additions_that_share_carry_chains_are_each_of_its_own(gated: bool, tmp_path: Path) -> None:
    texts = [module(Additions(gated=gated, small=small), name) for small, name in ((False, "plain"), (True, "chained"))]
    assert [text.count("_adds #(") for text in texts] == [0, 2 + -(-9 // CHAIN)]
    for name, text in zip(("plain", "chained"), texts, strict=True):
        (tmp_path / f"{name}.v").write_text(text)
    flat = ["proc", "flatten", "opt_clean"]
    yosys.run(
        [
            "read_verilog plain.v", "hierarchy -top plain", *flat, "design -stash plain",
            "read_verilog chained.v", "hierarchy -top chained", *flat, "design -copy-from plain plain",
            "miter -equiv -flatten -make_assert plain chained both",
            "hierarchy -top both", "sat -verify -prove-asserts -set-def-inputs both",
        ],
        tmp_path,
    )  # fmt: skip
