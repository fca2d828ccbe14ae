"""A window: its geometry, and how much of a frame it stores."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import or_

import numpy as np
from amaranth import Const, Value

from ...cost.memory import Style, mapped, side_by_side
from ...cost.parts import Parts
from ...memory.style import BLOCK_RAM
from ...streams.words import WordFormat
from .banks import inside
from .geometry import WindowGeometry
from .needs import Needs, needs_of
from .parts import window_parts
from .sparse_law import ScanCosts, scan_costs

__all__ = ["WindowSpec"]


@dataclass(frozen=True, kw_only=True)
class WindowSpec(WindowGeometry):
    """A window with its memory.

    Parameters, besides those of the geometry:
        rows: row slots of the ring, at least ``rows_needed``; one stride more lets writing and reading overlap.
        credits: results that may be on their way or waiting in the FIFO of the stage; where windows are walked
            together, those of all groups of outputs count as one.
        words: the window keeps so many words and not rows (a line buffer): each is freed when no position needs it any
            more, and a position waits for its last word. At least ``needs.least``; with ``needs.fewest`` words come
            while others are read, with ``needs.enough`` over the end of a frame too; 0: rows.
    """

    rows: int
    credits: int
    words: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rows < self.rows_needed:
            raise ValueError(
                f"rows must be at least {self.rows_needed} for a kernel of {self.kernel[0]} rows, not {self.rows}"
            )
        if self.words and needs_of(self) is None:
            raise ValueError("words is for a window that reads one word of one window in a cycle, whose positions have "
                             "a tap in the frame, and whose rows go on by the same steps")  # fmt: skip
        if self.words and self.words < self.needs.least:
            raise ValueError(f"words must be at least {self.needs.least} for these positions, not {self.words}")

    @classmethod
    def of(cls, geometry: WindowGeometry, *, rows: int, credits: int, line: bool = True) -> WindowSpec:
        """The window of ``geometry`` with so many row slots and credits; a line buffer where that saves block RAMs and
        may be (``line``), one that lets the first position of a frame wait for the frame before it where that is a
        fiftieth of its cycles at most. A line buffer has longer addresses and a word to replace around the frame,
        some 50 LUTs: with a kernel of several pixels it must save two block RAMs."""
        shared = {field.name: getattr(geometry, field.name) for field in fields(WindowGeometry)}
        found = cls(**shared, rows=rows, credits=credits)
        if not line or not found.block_rams or (needs := needs_of(geometry)) is None:
            return found
        words = needs.enough if 50 * (needs.enough - needs.fewest) > found.cycles else needs.fewest
        buffer, least = replace(found, words=words), 1 if geometry.kernel == (1, 1) else 2
        return buffer if found.block_rams - buffer.block_rams >= least else found

    @property
    def needs(self) -> Needs:
        """What its positions need, of a line buffer."""
        needs = needs_of(self)
        assert needs is not None
        return needs

    @property
    def kept(self) -> float:
        """What it has room for, as a share of the frame."""
        return self.words / self.i_words if self.words else self.rows / self.height

    @property
    def memory(self) -> tuple[int, Style]:
        """Words of a memory, and its style: the ring, or where whole kernel columns are read that of a row slot; one
        bank of either where windows are walked together. A slot of a ring takes a power of two of cells, so that an
        address is slot and cell side by side, and where there is padding above or below the frame one more slot is
        that. A line buffer is one ring of its words."""
        if self.columns:
            return self.cells, "auto"
        slots = self.rows + any(self.padding[0])
        depth = self.words or ((slots - 1) << (self.cells - 1).bit_length()) + self.cells
        return depth, "auto" if depth * self.i_format.width <= 1024 else "block"

    @property
    def block_rams(self) -> int:
        """Block RAMs (DP16KD) of the rows."""
        depth, style = self.memory
        memories = self.pixels * (self.rows if self.columns else 1)
        width = self.i_format.width
        return memories * (side_by_side(depth, width) if self.built_in else mapped(depth, width, style).ebr)

    @property
    def registered(self) -> bool:
        """Whether a register follows the memory: a block RAM, whose words come late in the cycle."""
        depth, style = self.memory
        return mapped(depth, self.i_format.width, style).ebr > 0

    @property
    def built_in(self) -> bool:
        """Whether that register is the one that block RAMs have built in: where the memory may start with zeros, is no
        deeper than they are, and would not take fewer of them in banks."""
        depth, _ = self.memory
        if not self.registered or (any(self.pad_words) and not self.words) or depth > BLOCK_RAM:
            return False
        return side_by_side(depth, self.i_format.width) <= mapped(depth, self.i_format.width, "block").ebr

    @property
    def turned_first(self) -> bool:
        """Whether the words of the banks are put in the order of the windows before the rows are lined up: of more than
        four rows that takes fewer LUTs than behind."""
        return self.columns and self.rows > 4

    @property
    def latency(self) -> int:
        """Cycles from the decision to hand out a word to the word."""
        return 2 if self.registered else 1

    def outside(self, at: Value, unit: int = 1, bank: int = 0) -> Value:
        """Whether address ``at`` of a ring, or of its ``bank``, in cells of ``unit`` words, lies in the padding around
        the frame: beside the words of a row, or, where there are bits for the slot above those of the cell, past the
        last slot."""
        words = inside(self, bank)
        if not words:
            return Const(1, 1)
        first, end = words.start // unit, words.stop // unit
        bits = (self.cells // unit - 1).bit_length()
        cell, slot = at[:bits], at[bits:]
        beside = [cell < first] if first else []  # a comparison that never holds is a warning of linters
        beside += [cell >= end] if self.cells // unit > end else []
        return reduce(or_, [*beside, slot == self.rows if len(slot) else Const(0, 1)])

    def scan_costs(self, events: np.ndarray) -> np.ndarray:
        """What the scans of every position cost, (frames * positions of a frame, 4), by
        ``hdl.cores.window.sparse_law``; ``events`` (frames * i_words,): which input words are not zero. All groups and
        scans of a position cost the same."""
        flags = replace(self, i_format=WordFormat(1, 1, 0, 1), channels=self.pixel_words, groups=1, scans=1)
        walked = flags.compute(events.astype(np.int8).reshape(-1, 1, 1))
        return scan_costs(walked.reshape(-1, self.scan_words // self.chunk, self.chunk).sum(axis=2))

    @property
    def dense_costs(self) -> ScanCosts:
        """The costs of a scan without a zero word."""
        n = self.scan_words
        return 1, n, n - self.chunk, n

    def parts(self) -> Parts:
        """What it is made of."""
        return window_parts(self)
