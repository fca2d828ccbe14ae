"""Sums with one of two numbers: ``either.v`` for ECP5 is proven equal to its plain form, and that to the one in
Amaranth, by SAT over all inputs."""

from pathlib import Path

import pytest
from amaranth.hdl import Cat, Module, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from test_adds import prove

import spikeloom.hdl
from spikeloom.gen.emit.writer import module
from spikeloom.gen.targets import yosys
from spikeloom.hdl.cores.neuron.either import either

SOURCE = Path(spikeloom.hdl.__file__).parent / "verilog" / "either.v"
BENCH = """
module bench (input [{size}-1:0] a, b, c, input s, output [{size}-1:0] y);
  spikeloom_either #(.SIZE({size}), .MINUS({minus})) either (.a(a), .s(s), .b(b), .c(c), .y(y));
endmodule
"""


@pytest.mark.parametrize("minus", [0, 1])
@pytest.mark.parametrize("size", [1, 2, 7, 12])
def test_ecp5_gives_the_same(size: int, minus: int, tmp_path: Path) -> None:
    prove(tmp_path, SOURCE.read_text() + BENCH.format(size=size, minus=minus), "ecp5")


WRONG = [("16'hA965 :", "16'hA956 :"), (": 16'h569A", ": 16'h569B"), ("MINUS != 0;", "1'b0;")]


@pytest.mark.parametrize(("right", "wrong"), [*WRONG, (".D1(pd[2*i+1])", ".D1(pd[2*i])")])
def test_a_wrong_cell_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    source = SOURCE.read_text()
    assert source.count(right) == 1
    benches = [BENCH.format(size=5, minus=minus) for minus in (0, 1)]
    with pytest.raises(yosys.YosysError):  # one of them at least
        for bench in benches:
            prove(tmp_path, source.replace(right, wrong) + bench, "ecp5")


class Sum(wiring.Component):
    """Numbers of several widths and signs, in Amaranth or, ``small``, by ``either.v``."""

    a: Signal
    b: Signal
    c: Signal
    s: Signal
    y: Signal

    SHAPES = (signed(8), unsigned(4), signed(3))

    def __init__(self, *, small: bool) -> None:
        self.small = small
        super().__init__({"a": In(signed(4)), "b": In(signed(6)), "c": In(unsigned(5)), "s": In(1), "y": Out(30)})

    def elaborate(self, platform: object) -> Module:
        m, found = Module(), []
        for minus in (False, True):
            for k, shape in enumerate(self.SHAPES):
                name = f"y_{k}_{int(minus)}"
                value = either(m, platform if self.small else None, self.a, self.s, (self.b, self.c), Shape.cast(shape),
                               f"{name}_sum", minus=minus)  # fmt: skip
                found.append(named := Signal(shape, name=name))
                m.d.comb += named.eq(value)
        m.d.comb += self.y.eq(Cat(found))
        return m


def test_widths_and_signs(tmp_path: Path) -> None:
    texts = [module(Sum(small=small), name) for small, name in ((False, "plain"), (True, "cells"))]
    assert [text.count("_either #(") for text in texts] == [0, 6]
    for name, text in zip(("plain", "cells"), texts, strict=True):
        (tmp_path / f"{name}.v").write_text(text)
    flat = ["proc", "flatten", "opt_clean"]
    yosys.run(
        [
            "read_verilog plain.v", "hierarchy -top plain", *flat, "design -stash plain",
            "read_verilog cells.v", "hierarchy -top cells", *flat, "design -copy-from plain plain",
            "miter -equiv -flatten -make_assert plain cells both",
            "hierarchy -top both", "sat -verify -prove-asserts -set-def-inputs both",
        ],
        tmp_path,
    )  # fmt: skip
