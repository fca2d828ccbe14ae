"""The parts of what moves words: windows, FIFOs, width conversions, forks, shortcuts and merges."""

from __future__ import annotations

import numpy as np

from ...hdl.cores.merge.spec import MergeSpec
from ...hdl.cores.window.spec import RowPlan, WindowSpec
from ...hdl.memory.style import memory_style
from ...hdl.streams.decimator import DecimatorSpec
from ...hdl.streams.fork import ForkSpec
from ...hdl.streams.gearbox import GearboxSpec
from ...hdl.streams.words import bits_for
from .parts import Parts, bits_of, index_bits

__all__ = ["decimator_parts", "fifo_parts", "fork_parts", "gearbox_parts", "merge_parts", "window_parts"]


def window_parts(spec: WindowSpec, parts: Parts) -> None:
    """Add the parts of a window: memory, writer, walk and credits."""
    margin = spec.padding * spec.pixel_words
    cells = spec.row_words + 2 * margin
    cell_bits, slot_bits = index_bits(cells), index_bits(spec.rows)
    parts.logic["window"] += 1
    # The writer: complete rows, the slot and the cell.
    parts.counter(spec.rows)
    parts.registers(spec.rows.bit_length() + cell_bits)
    parts.logic["window row bit"] += spec.rows.bit_length()
    parts.logic["window cell bit"] += 2 * cell_bits if margin or spec.row_words & (spec.row_words - 1) else cell_bits
    # The reader: the nested loops, the place and the plan of the rows.
    unit = spec.chunk or 1
    beside = spec.pixel_words // spec.pixel_parts
    for count in (
        spec.o_size[0],
        spec.run // unit,
        1 if spec.columns else spec.kernel[0],
        spec.scans,
        spec.groups,
        spec.pixel_parts,
        beside if beside < spec.pixel_words else 1,
        spec.o_size[1],
    ):
        parts.counter(count)
    # The cell within the window, its start, and the slot of its first row; a window that never moves has no start.
    moving = spec.o_size[1] > 1 or spec.pixel_parts > 1
    parts.registers(cell_bits * (1 + moving) if cells > 1 else 0)
    parts.logic["walk cell bit"] += cell_bits * (1 + moving)
    if spec.rows > 1:
        parts.registers(slot_bits * (1 if spec.columns else 2))
        parts.logic["walk slot bit"] += slot_bits
    for k in range(len(RowPlan._fields)):
        values = [row[k] for row in spec.row_plan]
        if len(set(values)) > 1:
            parts.table(len(values), bits_for(min(values), max(values))[0])
    if spec.padding:
        parts.logic["padding"] += 1
    width = spec.i_format.width
    if spec.columns:
        for _ in range(spec.rows):
            parts.memory(cells, width, "auto")
        parts.registers(slot_bits + spec.kernel[0])
        parts.mux(spec.rows, spec.kernel[0] * width)
        parts.logic["row mask"] += spec.kernel[0] * width if spec.padding else 0
    else:
        slots = spec.rows + (1 if spec.padding else 0)
        depth = ((slots - 1) << index_bits(cells)) + cells
        parts.memory(depth, width, "auto" if depth * width <= 1024 else "block")
        if spec.chunk:
            _sparse(spec, parts, depth)
    parts.registers(spec.credits.bit_length() + 2)
    parts.logic["credit bit"] += spec.credits.bit_length()


def _sparse(spec: WindowSpec, parts: Parts, depth: int) -> None:
    """What skips words (``hdl.cores.window.sparse``): the flags, and three chunks on their way."""
    chunk = spec.chunk
    style = "block" if memory_style(-(-depth // chunk), chunk) == "block" else "distributed"
    parts.memory(-(-depth // chunk), chunk, style)
    rows = index_bits(spec.groups * spec.scan_words)
    entry = index_bits(depth) + rows + 2 + spec.rows.bit_length()
    parts.registers(3 * entry + 3 * chunk + rows + 8 + index_bits(spec.span))
    parts.logic["sparse"] += entry + 4 * chunk + spec.i_format.width / 3


def fifo_parts(width: int, depth: int, parts: Parts) -> None:
    """Add the parts of a FIFO of ``depth`` words of ``width`` bits."""
    if depth == 1:
        parts.registers(width + 1)
        parts.logic["register stage"] += 1
        return
    parts.memory(depth, width, "auto", registered=False)
    parts.registers(depth.bit_length())
    parts.logic["level bit"] += depth.bit_length()
    parts.counter(depth)
    parts.counter(depth)


def gearbox_parts(spec: GearboxSpec, parts: Parts) -> None:
    """Add the parts of a width conversion: the register of the wide word."""
    wide = max(spec.i_format.width, spec.o_format.width)
    narrow = min(spec.i_format.width, spec.o_format.width)
    parts.registers(wide + 1)
    parts.counter(spec.ratio)
    parts.logic["gearbox"] += 1
    parts.logic["narrowing bit"] += 0 if spec.widens else wide - narrow


def fork_parts(spec: ForkSpec, parts: Parts) -> None:
    """Add the parts of a fork: a flag for each branch."""
    parts.registers(spec.branches)
    parts.logic["fork branch"] += spec.branches


def decimator_parts(spec: DecimatorSpec, parts: Parts) -> None:
    """Add the parts of a strided shortcut: its counters."""
    for count in (spec.pixel_words, spec.width, spec.height):
        parts.counter(count)
    if spec.stride & (spec.stride - 1):
        for count in (spec.width, spec.height):
            if count > 1:
                parts.counter(spec.stride)
    parts.logic["decimator"] += 1


def merge_parts(core: MergeSpec, parts: Parts) -> None:
    """Add the parts of a merge: the shortcut's FIFO, the products of its bits, the sums."""
    form, skip = core.i_format, core.skip_format
    parts.memory(core.depth, skip.width, "block" if memory_style(core.depth, skip.width) == "block" else "distributed")
    parts.logic["merge"] += 1
    level = core.depth.bit_length()
    parts.registers(2 * level)
    parts.logic["level bit"] += 2 * level
    for count in (core.depth, core.depth, core.groups, core.scans, len(core.needs)):
        parts.counter(count)
    parts.registers(2 + core.depth_of_products + 1)  # valid
    parts.registers((2 + core.depth_of_products) * form.width)  # the currents wait
    bits = bits_for(*core.element)[0]
    shown = skip.steps // core.scans if skip.steps > 1 else 1
    products = 1 if core.sums else shown
    parts.registers(form.lanes * products * bits)
    if core.sums:
        parts.logic["count of values"] += form.lanes * (skip.steps - 1) * bits
    elif core.scans > 1 and skip.steps > 1:
        parts.mux(core.scans, form.lanes * shown * skip.bits)
        parts.registers(index_bits(core.scans))
    _products(core, parts, products, bits)
    out = core.o_format.bits
    parts.registers(form.lanes * form.steps * out)
    parts.adders(np.full(form.lanes * form.steps, out), "merge adder")


def _products(core: MergeSpec, parts: Parts, products: int, bits: int) -> None:
    """A gain for each lane, gated by every bit of a multiplicand, and the tree that joins them."""
    if core.plain:
        return
    gains = core.gain.reshape(core.groups, core.i_format.lanes)
    changing = (gains != gains[:1]).any(0)
    width = int(bits_of(np.array([min(0, gains.min())]), np.array([max(0, gains.max())]))[0])
    parts.table(core.groups, int(changing.sum()) * width)
    parts.registers(int(changing.sum()) * width + (index_bits(core.groups) if changing.any() else 0))
    parts.logic["gain gate"] += int(changing.sum()) * products * bits * width
    if bits == 1:
        return
    planes, height = bits, width
    for level in range(core.depth_of_products):
        height += 1 << level
        parts.registers(core.i_format.lanes * products * ((planes + 1) // 2) * height)
        parts.adders(np.array([height]), "gain adder", core.i_format.lanes * products * (planes // 2))
        planes -= planes // 2
