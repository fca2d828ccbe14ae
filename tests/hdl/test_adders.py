"""Trees of terms: shifts, signs, and values narrower than their ranges."""

from itertools import product

import pytest
from amaranth.hdl import Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator

from spikeloom.hdl.cores.synapse.adders import Addend, tree


@pytest.mark.parametrize("shapes", list(product([unsigned(2), signed(2)], repeat=3)))
@pytest.mark.parametrize("negative", list(product([False, True], repeat=3)))
@pytest.mark.parametrize("wider", [0, 9])
def test_a_tree_is_a_sum(shapes: tuple[Shape, ...], negative: tuple[bool, ...], wider: int) -> None:
    m = Module()
    inputs = [Signal(shape, name=f"x_{k}") for k, shape in enumerate(shapes)]
    ranges = [(-2, 1) if shape.signed else (0, 3) for shape in shapes]
    terms = [
        Addend(x, low - wider, high + wider, k, minus)
        for k, (x, (low, high), minus) in enumerate(zip(inputs, ranges, negative, strict=True))
    ]
    total = tree(m, terms, 2, "sum")
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    values = list(product(*(range(low, high + 1) for low, high in ranges)))

    async def bench(ctx) -> None:
        for chosen in values:
            for x, value in zip(inputs, chosen, strict=True):
                ctx.set(x, value)
            await ctx.tick().repeat(2)
            got = (ctx.get(total.value) << total.shift) * (-1 if total.negative else 1)
            assert got == sum(
                (v << k) * (-1 if minus else 1) for k, (v, minus) in enumerate(zip(chosen, negative, strict=True))
            )

    simulator.add_testbench(bench)
    simulator.run()
