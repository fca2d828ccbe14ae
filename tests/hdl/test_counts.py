"""The additions of ``counts.v``: every device's form is proven equal to the plain one, by SAT over all inputs."""

from pathlib import Path

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from test_adds import MODELS, models

import spikeloom.hdl
from spikeloom.gen.emit.writer import module
from spikeloom.gen.targets import yosys
from spikeloom.hdl.cores.synapse.counting import Counting, count
from spikeloom.hdl.cores.synapse.trees import CELLS, count_levels, count_tree

SOURCE = Path(spikeloom.hdl.__file__).parent / "verilog" / "counts.v"

SHAPES = [(1, 1, 1), (4, 1, 1), (9, 1, 1), (2, 3, 1), (1, 2, 0), (5, 2, 0), (3, 4, 0), (1, 7, 0)]

# The form of a device and the plain one side by side.
BENCH = """
module bench (input [{n}*{w}-1:0] a, b, input [{n}-1:0] ax, bx, c, cx, output [{n}*({w}+1)-1:0] y);
  spikeloom_counts #(.COUNT({n}), .WIDTH({w}), .GATED({gated}), .INVERTS({inverts})) counts (
    .a(a), .b(b), .ax(ax), .bx(bx), .c(c), .cx(cx), .y(y));
endmodule
"""


def equal(folder: Path, plain: list[str], small: list[str]) -> None:
    """Prove by SAT that what two lists of passes read is the same; YosysError where it is not."""
    flat = ["proc", "flatten", "opt_clean"]
    yosys.run(
        [
            *plain, "hierarchy -top bench", *flat, "rename bench plain", "design -stash plain",
            *small, "hierarchy -top bench", *flat, "rename bench small", "design -copy-from plain plain",
            "miter -equiv -flatten -make_assert plain small both",
            "hierarchy -top both", "sat -verify -prove-asserts -set-def-inputs both",
        ],
        folder,
    )  # fmt: skip


def prove(folder: Path, source: str, device: str, number: int, width: int, gated: int, inverts: int) -> None:
    """Prove that the form of ``device`` is the plain one."""
    (folder / "counts.v").write_text(source + BENCH.format(n=number, w=width, gated=gated, inverts=inverts))
    (folder / "cells.v").write_text(models(device))
    read = f"read_verilog -DSPIKELOOM_{device.upper()} counts.v"
    equal(folder, ["read_verilog counts.v"], [read, "read_verilog cells.v"])


@pytest.mark.parametrize("device", MODELS)
@pytest.mark.parametrize("inverts", [0, 1])
@pytest.mark.parametrize(("number", "width", "gated"), SHAPES)
def test_every_device_counts_the_same(
    device: str, number: int, width: int, gated: int, inverts: int, tmp_path: Path
) -> None:
    prove(tmp_path, SOURCE.read_text(), device, number, width, gated, inverts)


@pytest.mark.parametrize(
    ("device", "right", "wrong", "inverts"),
    [
        ("ecp5", "16'h0008;", "16'h0000;", 0),
        ("ecp5", "16'h7888;", "16'h0888;", 0),
        ("ecp5", "16'h6996", "16'h6990", 1),
        ("ecp5", "16'h0006 :", "16'h0008 :", 1),
        ("xc7", "64'h7888788888888888", "64'h7888788844444444", 0),
        ("xc7", "64'h6996699666666666", "64'h6996699688888888", 1),
        ("xc7", "c[i / (WIDTH + 1)] & cx[i / (WIDTH + 1)]", "c[i / (WIDTH + 1)]", 0),
    ],
)
def test_a_wrong_table_is_found(device: str, right: str, wrong: str, inverts: int, tmp_path: Path) -> None:
    source = SOURCE.read_text()
    assert source.count(right) == 1
    with pytest.raises(yosys.YosysError):
        prove(tmp_path, source.replace(right, wrong), device, 3, 1, 1, inverts)


class Additions(wiring.Component):
    """Additions of several kinds at once, in Amaranth or, ``small``, by ``counts.v``: more of a kind than a carry chain
    takes, summands with a sign and without, with a third one and without."""

    WIDTHS = [(3, 3, 3), (2, 1, 4), (1, 3, 5), *[(2, 2, 2)] * 8]

    x: Signal
    third: Signal
    y: Signal

    def __init__(self, *, small: bool) -> None:
        self.small = small
        total, result = sum(a + b for a, b, _ in self.WIDTHS) + 8 * 6, sum(w + 1 for *_, w in self.WIDTHS) + 8 * 2
        super().__init__({"x": In(total), "third": In(2 * len(self.WIDTHS)), "y": Out(result)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wanted, at = [], 0
        for k, (wa, wb, width) in enumerate(self.WIDTHS):
            a, b = self.x[at : at + wa], self.x[at + wa : at + wa + wb]
            at += wa + wb
            third = {"c": self.third[2 * k], "cx": self.third[2 * k + 1]} if k % 2 == 0 else {}
            wanted.append(Counting(a, b.as_signed(), width, **third))
        for k in range(8):
            a, ax, b, bx, c, cx = self.x[at + 6 * k : at + 6 * k + 6]
            wanted.append(Counting(a, b, 1, True, ax, bx, c, cx, inverts=k % 4 == 3))
        found = count(m, platform if self.small else None, wanted, "sum")
        named = [Signal(one.width + 1, name=f"y_{k}") for k, one in enumerate(wanted)]
        m.d.comb += [signal.eq(value) for signal, value in zip(named, found, strict=True)]
        m.d.comb += self.y.eq(Cat(named))
        return m


def test_additions_that_share_carry_chains_are_each_of_its_own(tmp_path: Path) -> None:
    texts = [module(Additions(small=small), "bench") for small in (False, True)]
    per_chain = (2 * CELLS - 1) // 3  # of the eight with summands of two bits
    assert [text.count("_counts #(") for text in texts] == [0, 3 + -(-8 // per_chain) + 2]
    for name, text in zip(("plain", "chained"), texts, strict=True):
        (tmp_path / f"{name}.v").write_text(text)
    equal(tmp_path, ["read_verilog plain.v"], ["read_verilog chained.v"])


@pytest.mark.parametrize("number", range(1, 64))
def test_a_tree_counts_every_input_once(number: int) -> None:
    level = max(1, count_levels(number))
    tree = count_tree(number, level)
    nodes = [node for k in range(1, level + 1) for node in tree.on(k)]
    assert sorted(k for node in nodes for k in node.inputs) == list(range(number)) and tree.top == number
    for node in nodes:
        assert node.top == len(node.inputs) + sum(part.top for part in node.parts)
        assert all(part.level == node.level - 1 for part in node.parts) and node.top < 2 << node.width
        assert len(node.inputs) <= (3 if node.level == 1 else 1) and len(node.parts) <= 2
