"""A stage: window, arithmetic and FIFO of one layer, joined by one ready/valid stream on either side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import prod

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..cores.merge.spec import MergeSpec
from ..cores.protocol import CoreSpec, ExtraLaw, Joining
from ..cores.window.core import Window
from ..cores.window.law import WindowLaw
from ..cores.window.line_law import LineLaw
from ..cores.window.sparse_law import ScanCosts
from ..cores.window.spec import WindowSpec
from ..cost.parts import Parts
from .blocks import BlockFifo, BlockFifoSpec, Blocks
from .counter import counter
from .element import ElementCore, ElementSpec
from .fifo import Fifo, FifoSpec
from .law import Link
from .words import WordFormat

__all__ = ["Stage", "StageSpec", "latency_of", "words_of_result"]


@dataclass(frozen=True, kw_only=True, eq=False)
class StageSpec(ElementSpec):
    """A stage.

    Parameters: ``name``; ``window``; ``cores``, what the window's words go through, in order, each with a fixed
    latency and no stall.
    """

    name: str
    window: WindowSpec
    cores: tuple[CoreSpec, ...]

    @property
    def i_format(self) -> WordFormat:
        """The words that come in."""
        return self.window.i_format

    @property
    def merges(self) -> list[MergeSpec]:
        """The shortcuts that end here."""
        return [core for core in self.cores if isinstance(core, MergeSpec)]

    @property
    def o_format(self) -> WordFormat:
        """The words that leave (the logits of a read-out)."""
        return self.cores[-1].o_format

    @property
    def o_width(self) -> int:
        """Bits of the words that leave."""
        return self.cores[-1].o_width

    @property
    def latency(self) -> int:
        """Cycles from the window's decision on the last word of a result to the cycle in which the FIFO offers it."""
        return latency_of(self.window, self.cores)

    @property
    def result_words(self) -> int:
        """Words in which a result of the window leaves."""
        return words_of_result(self.cores)

    @property
    def blocks(self) -> Blocks:
        """The pixels that it works on together, and their channels."""
        window, outputs = self.window, self.o_format.lanes * self.result_words // self.window.pixels
        return Blocks(window.o_size[1], window.pixels, outputs * window.groups - window.idle, outputs)

    @property
    def fifo_words(self) -> int:
        """Words in the FIFO: room for all results, or blocks of them, that the window has credits for."""
        each = self.result_words * (self.window.groups if self.window.blocked else 1)
        return self.window.credits * each

    @property
    def fifo(self) -> FifoSpec | BlockFifoSpec:
        """The FIFO at the end."""
        if self.window.blocked:
            return BlockFifoSpec(self.blocks, self.o_format.lanes, self.o_width, self.window.credits)
        return FifoSpec(self.o_width, self.fifo_words)

    @property
    def cycles(self) -> int:
        """Cycles of a frame in which the stage is busy, if no word is skipped."""
        return self.window.cycles

    def law(self, ins: Sequence[Link], outs: Sequence[Link], costs: Sequence[ScanCosts] | None = None) -> WindowLaw:
        """The timed process of the stage between its links, behind the input those of the shortcuts; ``costs`` of the
        scans where all-zero words are skipped."""
        laws: list[ExtraLaw] = []
        delay = self.window.latency
        i, *links = ins
        for core in self.cores:
            mine, links = links[: len(core.extras)], links[len(core.extras) :]
            laws += core.extra_laws(mine, delay)
            delay += core.latency
        words = self.blocks.channels // self.o_format.lanes
        leaving = (self.window.pixels * words, self.blocks.last * words) if self.window.blocked else None
        law = LineLaw if self.window.words else WindowLaw
        return law(self.window, self.latency, self.result_words, i, outs[0], laws, costs, leaving)

    def compute(self, *words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model: input words (n, lanes, T) of whole frames, and those of the shortcuts, to output words (m, lanes, T),
        and the same packed."""
        waiting = iter(words)
        x = self.window.compute(next(waiting))
        *before, last = self.cores
        for core in before:
            x = core.compute(x, *(next(waiting) for _ in core.extras))
        x, packed = last.packed(x, *waiting)
        return (self._in_order(x), self._in_order(packed)) if self.window.blocked else (x, packed)

    def _in_order(self, x: np.ndarray) -> np.ndarray:
        """Words (n, ...) of blocks to those pixel by pixel."""
        blocks, lanes = self.blocks, self.o_format.lanes
        words = Blocks(blocks.width, blocks.pixels, blocks.channels // lanes, blocks.outputs // lanes)
        each = x.reshape(-1, words.groups * words.pixels * words.outputs, *x.shape[1:])
        return words.spread(each).reshape(-1, *x.shape[1:])

    @property
    def core_names(self) -> list[str]:
        """What the instances of the cores are called; those that take words of other streams are numbered."""
        number = count()
        return [core.NAME + (str(next(number)) if core.extras else "") for core in self.cores]

    def core_parts(self) -> dict[str, Parts]:
        """The parts by the name of the core in it, "" for what belongs to none."""
        own = Parts()
        found = {"": own, "window": self.window.parts()}
        found |= {name: core.parts() for name, core in zip(self.core_names, self.cores, strict=True)}
        found["fifo"] = self.fifo.parts()
        own.counter(1 if self.window.blocked else self.result_words)
        own.logic["stage"] += 1
        return found

    def parts(self) -> Parts:
        """What it is made of, without what nothing reads."""
        whole = Parts()
        for parts in self.core_parts().values():
            whole.add(parts)
        unread = 0
        for core in reversed(self.cores):
            whole.add(core.spared(unread))
            unread = core.unread(unread)
        return whole

    def core(self) -> Stage:
        """The hardware."""
        return Stage(self)


def latency_of(window: WindowSpec, cores: Sequence[CoreSpec]) -> int:
    """Cycles from the decision of ``window`` on the last word of a result to the cycle in which the FIFO behind
    ``cores`` offers it."""
    return window.latency + sum(core.latency for core in cores) + 1


def words_of_result(cores: Sequence[CoreSpec]) -> int:
    """Words in which a result of the window leaves ``cores``."""
    return prod(core.ratio for core in cores)


class Stage(ElementCore):
    """The hardware of a :class:`StageSpec`.

    Members: ``i``: In(stream of words); ``o``: Out(stream of words); ``skip0``, ``skip1`` ...: In(stream of words of a
    shortcut), those of all cores.
    """

    def __init__(self, spec: StageSpec) -> None:
        self.spec = spec
        forms = [form for core in spec.cores for form in core.extras]
        skips = {f"skip{k}": In(stream.Signature(form.width)) for k, form in enumerate(forms)}
        super().__init__(
            {"i": In(stream.Signature(spec.i_format.width)), "o": Out(stream.Signature(spec.o_width)), **skips}
        )

    @property
    def ins(self) -> list[stream.Interface]:
        """The input and the shortcuts."""
        return [self.i, *(getattr(self, f"skip{k}") for k in range(sum(len(core.extras) for core in self.spec.cores)))]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.window = window = Window(self.spec.window)
        wiring.connect(m, wiring.flipped(self.i), window.i)
        before, holds = window, []
        others = iter(self.ins[1:])
        for name, spec in zip(self.spec.core_names, self.spec.cores, strict=True):
            core = spec.core()
            if isinstance(core, Joining):
                for mine in core.extras:
                    wiring.connect(m, wiring.flipped(next(others)), mine)
                m.d.comb += core.scanned.eq(window.scanned)
                holds.append(core.hold)
            m.submodules[name] = core
            m.d.comb += [core.i.valid.eq(before.o.valid), Value.cast(core.i.payload).eq(before.o.payload)]
            before = core
        m.d.comb += window.hold.eq(Cat(holds).any())
        # The credits of the window guarantee that there is room in the FIFO.
        spec = self.spec.fifo
        if isinstance(spec, BlockFifoSpec):
            m.submodules.fifo = fifo = BlockFifo(spec)
            m.d.comb += window.taken.eq(fifo.left)
        else:
            m.submodules.fifo = fifo = Fifo(spec)
            left = Signal()  # a credit comes back when all of a result has left
            _, last_part = counter(m, self.spec.result_words, left, "parts_left")
            m.d.comb += [left.eq(fifo.o.valid & fifo.o.ready), window.taken.eq(left & last_part)]
        m.d.comb += [fifo.i.valid.eq(before.o.valid), fifo.i.payload.eq(before.o.payload)]
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        return m
