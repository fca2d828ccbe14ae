"""Random windows for hypothesis: of a convolution, and of a pool."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from spikeloom.quant.ir.windows import Windows


def sides(draw: st.DrawFn, cells: int, extent: int) -> tuple[int, int]:
    """Padding before and behind a line of ``cells`` into which a window of ``extent`` fits."""
    before = draw(st.integers(0, extent - 1))
    return before, draw(st.integers(max(0, extent - cells - before), extent - 1))


def convolution(draw: st.DrawFn, size: tuple[int, int]) -> Windows:
    """Windows with one setting for both directions, or one for each direction and each side, and dilation."""
    rows, columns = (draw(st.integers(1, min(3, n))) for n in size)
    if draw(st.booleans(), label="even"):
        stride, around = draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(0, min(rows, columns) - 1))
        return Windows((rows, columns), (stride, stride), ((around, around), (around, around)))
    stride = draw(st.sampled_from([1, 1, 2, 3])), draw(st.sampled_from([1, 1, 2, 3]))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2), (2, 2), (3, 1)]), label="dilation")
    found = Windows((rows, columns), stride, dilation=dilation)
    return replace(found, padding=(sides(draw, size[0], found.extent[0]), sides(draw, size[1], found.extent[1])))


def pool(draw: st.DrawFn, size: tuple[int, int], padded: bool) -> Windows:
    """Square windows without padding, the last kind those of the whole of a square map; or any, with padding where
    there may be some (``padded``)."""
    h, w = size
    if draw(st.booleans(), label="square"):
        side = draw(st.sampled_from([n for n in (2, 3, 1, min(h, w)) if n <= min(h, w)]), label="pool of")
        move = draw(st.integers(1, 2))
        return Windows((side, side), (move, move))
    kernel = draw(st.integers(1, min(3, h))), draw(st.integers(1, min(3, w)))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    padding = (sides(draw, h, kernel[0]), sides(draw, w, kernel[1])) if padded else ((0, 0), (0, 0))
    return Windows(kernel, stride, padding)
