"""The parts of a window: its writer, its walk, its memory."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from ...cost.parts import Parts, index_bits
from ...memory.columns import count_columns
from ...memory.style import memory_style
from ...streams.words import bits_for
from .banks import taps

if TYPE_CHECKING:
    from .spec import WindowSpec

__all__ = ["window_parts"]


def window_parts(spec: WindowSpec) -> Parts:
    """The parts of a window: memory, writer, walk and credits."""
    parts = Parts()
    alone = spec.times != (1, 1)
    parts.registers((spec.credits - 1).bit_length() + 1 + (1 if alone else 2) * spec.latency)
    parts.logic["credit bit"] += spec.credits.bit_length()
    if spec.words:
        _line(spec, parts)
        return parts
    cells = spec.cells
    over, aside = (any(sides) for sides in spec.padding)
    cell_bits, slot_bits = index_bits(cells), index_bits(spec.rows)
    parts.logic["window"] += 1
    # The writer: complete rows, the slot and the cell.
    parts.counter(spec.rows)
    parts.registers((spec.rows - 1).bit_length() + 1 + cell_bits + (spec.row_words > 1))
    parts.logic["window row bit"] += spec.rows.bit_length()
    parts.logic["window cell bit"] += 2 * cell_bits if aside or spec.row_words & (spec.row_words - 1) else cell_bits
    # The reader: the nested loops, the place and the plan of the rows.
    unit = spec.chunk or 1
    beside = spec.pixel_words // spec.pixel_parts
    several = spec.pixels > 1
    parts.counter(spec.plan_period)
    for count in (
        spec.kernel[1] if several else spec.run // unit,
        1 if spec.columns else spec.kernel[0],
        spec.scans,
        spec.groups,
        spec.pixel_parts,
        beside // unit if several or beside < spec.dilation[1] * spec.pixel_words else 1,
        spec.times[1],
        spec.blocks // spec.times[1],
    ):
        parts.counter(count)
        parts.registers(count > 2)  # it is in its last state
    if several:
        _banks(spec, parts)
    # The cell within the window, its start, and the slot of its first row; a window that never moves has no start.
    moving = spec.blocks > 1 or spec.pixel_parts > 1
    # The start moves by pixels, or parts of one: its lowest bits are never set.
    step = gcd(spec.stride[1] * spec.pixel_words, beside)
    still = 0 if spec.chunk else min(cell_bits, (step & -step).bit_length() - 1)
    # Of windows of one word the cell is the start, the slot that of the first row, and every word the last.
    parts.registers(cell_bits + (moving and not alone) * (cell_bits - still) if cells > 1 else 0)
    parts.logic["walk cell bit"] += cell_bits * (1 + moving)
    if spec.rows > 1:
        parts.registers(slot_bits * (1 if spec.columns or alone else 2))
        parts.logic["walk slot bit"] += slot_bits
    _rows(spec, parts)
    if any(row.offset for row in spec.row_plan):
        parts.logic["walk slot bit"] += slot_bits
    if over:
        parts.logic["padding"] += 1
    width = spec.i_format.width
    if spec.columns:
        for _ in range(spec.rows * spec.pixels):
            _memory(spec, parts)
        parts.registers(slot_bits + spec.kernel[0])
        parts.mux(spec.rows, spec.o_format.width)
        parts.logic["row mask"] += spec.o_format.width if over else 0
        if len(set(spec.pad_words)) > 1:
            parts.counter(spec.pixel_words)
            parts.table(spec.pixel_words, width)
            parts.registers(width)
    else:
        for _ in range(spec.pixels):
            _memory(spec, parts)
        if spec.chunk:
            _sparse(spec, parts, spec.memory[0])
    if spec.registered:
        if spec.columns:
            parts.registers(slot_bits + spec.kernel[0] + (width if len(set(spec.pad_words)) > 1 else 0))
        if spec.chunk:
            parts.registers(index_bits(spec.groups * spec.scan_words))
    return parts


def _line(spec: WindowSpec, parts: Parts) -> None:
    """A window that keeps words (``line``): the writer, the loops, the addresses, what positions need, the memory."""
    needs, bits, beside = spec.needs, index_bits(spec.words), spec.pixel_words // spec.pixel_parts
    parts.logic["window"] += 1
    parts.counter(spec.words)
    parts.registers((spec.words - 1).bit_length() + 1 + (spec.words > 2))
    parts.logic["window row bit"] += spec.words.bit_length()
    parts.counter(spec.o_size[0])
    for count in (beside, spec.kernel[1], spec.kernel[0], spec.scans, spec.groups, spec.pixel_parts, spec.blocks):
        parts.counter(count)
        parts.registers(count > 2)  # it is in its last state
    parts.registers(3 * bits)
    parts.logic["walk cell bit"] += (3 if spec.words & (spec.words - 1) == 0 else 9) * bits
    figures = [needs.done.rows, needs.done.move, needs.further.rows, needs.further.move]
    figures += [[int(row.above <= k < row.above + row.inside) for row in spec.row_plan] for k in range(spec.kernel[0])]
    columns = count_columns(figures)
    parts.table(spec.o_size[0], columns)
    parts.registers(columns)
    most = max(int(needs.need[0, 0]), *needs.further.along, *needs.further.rows, 0)
    spare = bits_for(-most, spec.words)[0]
    parts.registers(spare)
    parts.logic["window row bit"] += spare
    width = spec.i_format.width
    _memory(spec, parts)
    if spec.padded:
        parts.registers(2 if spec.built_in else 1)
        parts.logic["row mask"] += width
        if len(set(spec.pad_words)) > 1:
            parts.counter(spec.pixel_words // spec.pixel_parts)
            parts.table(spec.pixel_words, width)
            parts.registers(width * (2 if spec.built_in else 1))


def _banks(spec: WindowSpec, parts: Parts) -> None:
    """What chooses the bank that a word goes to, the cell in each bank, and the order of their words."""
    run = spec.stride[1] * spec.pixel_words
    bits = index_bits(spec.cells)
    parts.registers(index_bits(spec.pixels) + (index_bits(run) if run & (run - 1) else 0))
    parts.logic["counter"] += 2
    parts.logic["counter bit"] += index_bits(spec.pixels) + (index_bits(run) if run & (run - 1) else 0)
    parts.logic["window cell bit"] += bits
    turns = {tap.turn for tap in taps(spec)}
    if turns != {0}:
        parts.registers(bits)
        parts.logic["walk cell bit"] += 2 * bits
        parts.mux(2, bits * max(turns))
        parts.registers(spec.latency * index_bits(max(turns) + 1) if len(turns) > 1 else 0)
        rows = spec.rows if spec.turned_first else spec.kernel[0] if spec.columns else 1
        parts.mux(len(turns), rows * spec.pixels * spec.i_format.width)


def _rows(spec: WindowSpec, parts: Parts) -> None:
    """The plan of the rows, in registers behind tables, and the rows that are there beyond those waited for."""
    plan = spec.row_plan[: spec.plan_period]
    further = [b.wait - a.wait + a.freed for a, b in zip(plan, [*plan[1:], plan[0]], strict=True)]
    figures = [further, [row.freed for row in plan], [row.offset for row in plan]]
    if spec.columns:
        figures.append([row.above * spec.dilation[0] - row.offset for row in plan])
    for k in range(spec.kernel[0]):
        figures.append([int(row.above <= k < row.above + row.inside) for row in plan])
    columns = count_columns(figures)
    parts.table(len(plan), columns)
    parts.registers(columns)
    waits = [row.wait for row in plan]
    bits = bits_for(-max(waits), spec.rows - min(waits))[0]
    parts.registers(bits)
    parts.logic["window row bit"] += bits


def _memory(spec: WindowSpec, parts: Parts) -> None:
    """The ring, or that of a row slot, and the register behind it."""
    depth, style = spec.memory
    if spec.built_in:
        parts.block_ram(depth, spec.i_format.width)
        return
    parts.memory(depth, spec.i_format.width, style)
    if spec.registered:
        parts.registers(spec.i_format.width)


def _sparse(spec: WindowSpec, parts: Parts, depth: int) -> None:
    """What skips words (``hdl.cores.window.sparse``): the flags, and three chunks on their way."""
    chunk = spec.chunk
    parts.memory(-(-depth // chunk), chunk, memory_style(-(-depth // chunk), chunk))
    rows = index_bits(spec.groups * spec.scan_words)
    entry = index_bits(depth) + rows + 2 + spec.rows.bit_length()
    parts.registers(3 * entry + 3 * chunk + rows + 8 + index_bits(spec.span))
    parts.logic["sparse"] += entry + 4 * chunk + spec.i_format.width / 3
