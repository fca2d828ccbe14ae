"""Where Yosys puts a memory on ECP5, and how many cells it takes: the rules of ``memory_libmap``, exactly.

For every width that the cells offer the pass computes a cost: that of the cells, half a point for each multiplexer of
data between banks and for each bank's write enable, two points for the read port. It takes the cheapest width, the
narrowest of equal ones (``best`` is kept as an integer there, so costs are compared with the truncated one before).
Where the style is free, the cheaper of block RAM, LUT RAM and flip-flops wins.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

__all__ = ["Cells", "Style", "mapped", "side_by_side"]

Style = Literal["auto", "block", "distributed", "logic"]


class Cells(NamedTuple):
    """Cells of a memory: ``ebr`` (DP16KD), ``lut_ram`` (TRELLIS_DPR16X4); ``banks`` that its read data is chosen
    from; ``bits`` kept in flip-flops (written memories) or in LUTs (read-only ones)."""

    ebr: int
    lut_ram: int
    banks: int
    bits: int


# (cost of a cell, address bits, widths, bits of a write enable, narrowest width of its write port) by cell.
_BLOCK = (
    (128, 14, (1, 2, 4, 9, 18), 9, 1),  # two ports that read and write
    (128, 14, (1, 2, 4, 9, 18, 36), 9, 9),  # one that reads, one that writes 36 bits in bytes of 9
)
_DISTRIBUTED = ((4, 4, (4,), 4, 1),)


def side_by_side(depth: int, width: int) -> int:
    """Block RAMs of ``depth`` words of ``width`` bits, each of which has all words and some of the bits, as
    ``block_ram.v`` takes them."""
    unit = max(unit for unit in _BLOCK[1][2] if depth <= 1 << _BLOCK[1][1] - (unit.bit_length() - 1))
    return -(-width // unit)


def _geometry(cells: tuple, depth: int, width: int, written: bool) -> tuple[float, int, int]:
    """(cost, cells, banks) of the cheapest width of any of ``cells``."""
    found: list[tuple[float, int, int]] = []
    for cell_cost, address_bits, widths, byte, narrowest in cells:
        best: tuple[float, int, int] | None = None
        for k, unit in enumerate(widths):
            if written and unit < narrowest:
                continue
            banks = -(-depth // (1 << (address_bits - k)))
            grain = min(byte, unit) if written else 1
            count = -(-banks * (-(-width // grain) * grain) // unit)
            enables = banks if written and banks > 1 else 0
            cost = cell_cost * count + 0.5 * (banks - 1) * width + 0.5 * enables + 2
            if best is None or cost < int(best[0]):
                best = (cost, count, banks)
        assert best is not None
        found.append(best)
    return min(found, key=lambda f: f[0])


@cache
def mapped(depth: int, width: int, style: Style, *, written: bool = True, registered: bool = True) -> Cells:
    """The cells of a memory of ``depth`` words of ``width`` bits with a read port and, if ``written``, a write port.

    ``registered``: its read port is clocked; only such a memory can be a block RAM. ``style``: its ``ram_style``.
    """
    if width == 0:
        return Cells(0, 0, 1, 0)
    options: list[tuple[float, Cells]] = []
    if style in ("auto", "logic"):
        options.append((int(depth * width * (1 if written else 1 / 16)), Cells(0, 0, 1, depth * width)))
    if style in ("auto", "distributed") and written:
        cost, count, banks = _geometry(_DISTRIBUTED, depth, width, written)
        options.append((cost, Cells(0, count, banks, 0)))
    if style in ("auto", "block") and registered:
        cost, count, banks = _geometry(_BLOCK, depth, width, written)
        options.append((cost, Cells(count, 0, banks, 0)))
    return min(options, key=lambda option: option[0])[1]
