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

SOURCE = Path(spikeloom.hdl.__file__).parent / "verilog" / "adds.v"
MODELS: dict[str, dict[str, list[str]]] = {
    "ecp5": {"ecp5/ccu2c_sim.vh": ["CCU2C"], "ecp5/common_sim.vh": ["LUT4", "LUT2"]},
    "xc7": {"xilinx/cells_sim.v": ["LUT6_2", "CARRY4"]},
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

FORMS = {
    "all gated": (8, 0, 0, 0, 0, 0),
    "all open": (7, 0, 0, 0, 0b1111111, 0),
    "signs": (11, 0b01001001001, 0b00001001010, 0, 0, 0),
    "ends": (10, 0b0000100001, 0, 0b1000110001, 0, 0),
    "all of them": (21, 0x001111, 0x009044, 0x104081, 0x0F0002, 0x0C0000),
    "a place": (1, 0, 0, 0, 0, 0),
    "an end": (1, 1, 0, 1, 0, 0),
}
"""SIZE, FIRST, SECOND, ENDS, OPEN and ALONE."""

# The form of a device and the plain one side by side, and whether they differ.
BENCH = """
module bench (input [{size}-1:0] a, ax, b, bx, output [{size}-1:0] y);
  spikeloom_adds #(.SIZE({size}), .FIRST({masks[0]}), .SECOND({masks[1]}), .ENDS({masks[2]}), .OPEN({masks[3]}),
    .ALONE({masks[4]})) adds (.a(a), .ax(ax | {masks[3]}), .b(b & ~{masks[4]}), .bx(bx | {masks[3]}), .y(y));
endmodule
"""


def bench(form: tuple[int, ...]) -> str:
    """The bench of ``form``."""
    size, *masks = form
    return BENCH.format(size=size, masks=[f"{size}'d{mask}" for mask in masks])


def prove(folder: Path, source: str, device: str) -> None:
    """Prove by SAT that the form of ``device`` of what is in ``source``, with a module bench, equals the plain one;
    YosysError where it does not."""
    (folder / "source.v").write_text(source)
    (folder / "cells.v").write_text(models(device))
    yosys.run(
        [
            "read_verilog source.v", "hierarchy -top bench", "proc", "flatten", "opt_clean", "rename bench plain",
            "design -stash plain",
            f"read_verilog -DSPIKELOOM_{device.upper()} source.v", "read_verilog cells.v",
            "hierarchy -top bench", "proc", "flatten", "opt_clean", "rename bench small",
            "design -copy-from plain plain",
            "miter -equiv -flatten -make_assert plain small both",
            "hierarchy -top both", "sat -verify -prove-asserts -set-def-inputs both",
        ],
        folder,
    )  # fmt: skip


@pytest.mark.parametrize("device", ["ecp5", "xc7"])
@pytest.mark.parametrize("form", FORMS)
def test_every_device_adds_the_same(device: str, form: str, tmp_path: Path) -> None:
    prove(tmp_path, SOURCE.read_text() + bench(FORMS[form]), device)


@pytest.mark.parametrize(
    ("device", "right", "wrong"),
    [
        ("ecp5", "INVERT[2*i+1]}}),", "INVERT[2*i]}}),"),
        ("ecp5", "EITHER[2*i] ? 16'h0ff0", "EITHER[2*i] ? 16'h00f0"),
        ("ecp5", "LAST[2*i] ? (INVERT[2*i] ? 16'h0007 : 16'h0008)", "LAST[2*i] ? (INVERT[2*i] ? 16'h0007 : 16'h000f)"),
        ("xc7", "{2{16'h8888}}", "{2{16'h4444}}"),
        ("xc7", "(a[i] & ax[i]) ^ FIRST[i]", "(a[i] & ax[i])"),
        ("xc7", "a[i] ^ b[i]", "a[i] | b[i]"),
        ("xc7", "ALONE[i] ? a[i]", "ALONE[i] ? b[i]"),
    ],
)
def test_a_wrong_table_is_found(device: str, right: str, wrong: str, tmp_path: Path) -> None:
    source = SOURCE.read_text()
    assert right in source
    with pytest.raises(yosys.YosysError):
        prove(tmp_path, source.replace(right, wrong) + bench(FORMS["all of them"]), device)


class Additions(wiring.Component):
    """Additions of several kinds at once, in Amaranth or, ``small``, by ``adds.v``: of one width and of different ones,
    with signs, gates and third summands or without, more of them than a chain takes, and one that has no carry."""

    # Bits of both summands; whether the first, and the second has a sign; a third summand, 2 where it is a sign.
    KINDS = [(3, 3, 0, 0, 0), (2, 3, 1, 0, 1), (3, 1, 0, 0, 2), (5, 4, 1, 1, 1)]
    KINDS += [*[(2, 2, 1, 1, 2)] * 9, (6, 4, 0, 0, 1)]

    x: Signal
    gates: Signal
    y: Signal

    def __init__(self, *, gated: bool, small: bool) -> None:
        self.gated, self.small = gated, small
        total = sum(wa + wb + 1 for wa, wb, *_ in self.KINDS)
        y = sum(max(wa, wb) + 1 for wa, wb, *_ in self.KINDS) - 1
        super().__init__({"x": In(total), "gates": In(3 * len(self.KINDS)), "y": Out(y)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        additions, at = [], 0
        for k, (wa, wb, first, second, third) in enumerate(self.KINDS):
            a, b, c = self.x[at : at + wa], self.x[at + wa : at + wa + wb], self.x[at + wa + wb]
            at += wa + wb + 1
            ax, bx, cx = self.gates[3 * k : 3 * k + 3]
            gates = (first, ax, bx, ~bx if second else None) if self.gated else (False, None, None, None)
            more = {"c": c, "cx": cx, "nand": third > 1} if third else {}
            additions.append(Addition(a, b, max(wa, wb), *gates, carry=k < len(self.KINDS) - 1, **more))
        found = add(m, platform if self.small else None, additions, "sum")
        named = [Signal(one.width + one.carry, name=f"y_{k}") for k, one in enumerate(additions)]
        m.d.comb += [signal.eq(value) for signal, value in zip(named, found, strict=True)]
        m.d.comb += self.y.eq(Cat(named))
        return m


@pytest.mark.parametrize("gated", [False, True])
def test_additions_that_share_carry_chains_are_each_of_its_own(gated: bool, tmp_path: Path) -> None:
    texts = [module(Additions(gated=gated, small=small), name) for small, name in ((False, "plain"), (True, "chained"))]
    assert [text.count("_adds #(") for text in texts] == [0, 2]
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
