"""Comparison of a trace with its prediction: same cycle and same word at every transfer of every boundary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ..hdl.streams.words import WordFormat
from .trace import Trace, Transfers

__all__ = ["BoundaryInfo", "Difference", "ElementDifference", "Kind", "Summary", "compare", "summarize"]


@dataclass(frozen=True)
class BoundaryInfo:
    """What the words of a boundary mean.

    A frame goes through pixel by pixel, row by row, and within a pixel in groups of ``format.lanes`` channels.

    Attributes:
        name: the boundary's name in a trace.
        format: layout of a word.
        words_per_frame: words in a frame.
        shape: channels, height and width of a frame.
        counts: the elements are counts of spikes, of all time steps together.
    """

    name: str
    format: WordFormat
    words_per_frame: int
    shape: tuple[int, int, int]
    counts: bool = False

    def __post_init__(self) -> None:
        channels, height, width = self.shape
        words = -(-channels // self.format.lanes) * height * width
        if words != self.words_per_frame or words < 1:
            raise ValueError(
                f"Boundary {self.name!r}: a frame of shape {self.shape} in words of {self.format.lanes} channels has "
                f"{words} words, not {self.words_per_frame}"
            )


class Kind(Enum):
    """What a difference consists in."""

    WORD = "another word"
    LATE = "late"
    EARLY = "early"
    MISSING = "missing"
    EXTRA = "extra"
    RULE = "broken stream rule"


@dataclass(frozen=True)
class ElementDifference:
    """An integer that differs, and its place in the frame; ``step`` is None for a count of spikes, ``channel`` is
    negative for an idle lane in front of the first channel."""

    channel: int
    y: int
    x: int
    step: int | None
    expected: int
    got: int

    def __str__(self) -> str:
        what = "count of spikes" if self.step is None else f"step {self.step}"
        channel = "an idle lane" if self.channel < 0 else f"channel {self.channel}"
        place = f"{channel}, y {self.y}, x {self.x}, {what}"
        return f"{place}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True)
class Difference:
    """The first difference on a boundary.

    Attributes:
        kind: what differs. A word that is dropped while the next one equals it reads as late.
        boundary: the boundary's name.
        cycle: the first cycle in which expectation and simulation are not the same.
        index: number of the transfer on this boundary, from 0, over the whole run.
        frame: number of the frame.
        word: number of the word in its frame.
        expected_cycle: cycle of the expected transfer, or None.
        got_cycle: cycle of the simulated transfer, or None.
        elements: the integers that differ; empty where the words are equal or only one of them exists.
        text: what the simulator said of a broken stream rule, else empty.
        start: the frame with which the simulation began, in cycle 0, where the frames were simulated in chunks.
    """

    kind: Kind
    boundary: str
    cycle: int
    index: int
    frame: int
    word: int
    expected_cycle: int | None = None
    got_cycle: int | None = None
    elements: tuple[ElementDifference, ...] = ()
    text: str = ""
    start: int = 0

    def __str__(self) -> str:
        since = f" since frame {self.start}" if self.start else ""
        place = f"frame {self.frame}, {self.boundary}, cycle {self.cycle}{since}, word {self.word} of the frame: "
        if self.kind is Kind.RULE:
            return place + self.text
        if self.kind is Kind.MISSING:
            return place + "transfer missing"
        if self.kind is Kind.EXTRA:
            return place + "transfer not expected"
        if self.kind is not Kind.WORD:
            cycles = abs((self.got_cycle or 0) - (self.expected_cycle or 0))
            return place + f"transfer {cycles} cycle{'s' * (cycles != 1)} {self.kind.value}"
        if not self.elements:
            return place + "the elements are equal, but the bits above them (the class of a read-out) differ"
        first = self.elements[0]
        more = f" (and {len(self.elements) - 1} more in this word)" if len(self.elements) > 1 else ""
        when = "" if self.got_cycle == self.expected_cycle else f", transferred in cycle {self.got_cycle}"
        return f"{place}{first}{more}{when}"


@dataclass(frozen=True)
class Summary:
    """How much was compared: ``boundaries``, ``transfers`` on all of them, and ``cycles``."""

    boundaries: int
    transfers: int
    cycles: int


def summarize(expected: Trace, cycles: int) -> Summary:
    """Count what a comparison over ``cycles`` clock cycles covers."""
    transfers = sum(len(transfers.cycles) for transfers in expected.boundaries.values())
    return Summary(len(expected.boundaries), transfers, cycles)


def compare(
    expected: Trace, got: Trace, describe: Sequence[BoundaryInfo], resets: Sequence[tuple[int, int]] = ()
) -> list[Difference]:
    """Return the first difference of every boundary and its first broken rule, the earliest first.

    In the same cycle the boundary nearer to the input comes first. An empty list means equal in every cycle.

    Parameters: ``describe``, all boundaries in the order of the data; ``resets``, those of the stimulus, for the
    numbers of the frames after them.

    Raises ValueError where the traces do not have the boundaries described.
    """
    names = [info.name for info in describe]
    for title, trace in (("Expected", expected), ("Simulated", got)):
        if set(trace.boundaries) != set(names):
            raise ValueError(f"{title} trace has the boundaries {', '.join(trace.boundaries)}, not {', '.join(names)}")
    if not describe:
        return []
    input_words = describe[0].words_per_frame
    starts = [(-1, 0), *((cycle, word // input_words) for cycle, word in sorted(resets))]
    found: list[Difference] = []
    for info in describe:
        pair = expected.boundaries[info.name], got.boundaries[info.name]
        for title, transfers in zip(("Expected", "Simulated"), pair, strict=True):
            shape = transfers.words.shape  # more limbs than the elements need: further fields stand above them
            if shape[0] != len(transfers.cycles) or shape[1] < info.format.limbs:
                raise ValueError(
                    f"{title} words of boundary {info.name!r} must have shape "
                    f"({len(transfers.cycles)}, {info.format.limbs}), not {shape}"
                )
        if pair[0].words.shape[1] != pair[1].words.shape[1]:
            limbs = [transfers.words.shape[1] for transfers in pair]
            raise ValueError(
                f"Words of boundary {info.name!r} have {limbs[0]} and {limbs[1]} limbs, expected and simulated"
            )
        broken = [violation for violation in got.violations if violation[1] == info.name]
        if broken:
            cycle, _, text = min(broken, key=lambda violation: violation[0])
            index = int(np.searchsorted(pair[1].cycles, cycle))
            found.append(
                Difference(Kind.RULE, info.name, cycle, index, *_place(info, pair[1], index, cycle, starts), text=text)
            )
        difference = _first(*pair, info, starts)
        if difference is not None:
            found.append(difference)
    return sorted(found, key=lambda difference: difference.cycle)


def _first(expected: Transfers, got: Transfers, info: BoundaryInfo, starts: list[tuple[int, int]]) -> Difference | None:
    common = min(len(expected.cycles), len(got.cycles))
    differs = (expected.cycles[:common] != got.cycles[:common]) | (expected.words[:common] != got.words[:common]).any(1)
    index = int(differs.argmax()) if differs.any() else common
    wanted = _transfer(expected, index)
    seen = _transfer(got, index)
    if wanted is None and seen is None:
        return None
    cycle = min(transfer[0] for transfer in (wanted, seen) if transfer is not None)
    kind = _kind(expected, got, index)
    elements: tuple[ElementDifference, ...] = ()
    if kind is Kind.MISSING:
        seen = None
    elif kind is Kind.EXTRA:
        wanted = None
    # The transfer that is there gives the place; after a reset counting starts anew in the same cycle for both.
    frame, word = _place(info, expected if wanted else got, index, cycle, starts)
    if kind is Kind.WORD:
        elements = _elements(info, expected.words[index], got.words[index], word)
    return Difference(
        kind,
        info.name,
        cycle,
        index,
        frame,
        word,
        None if wanted is None else wanted[0],
        None if seen is None else seen[0],
        elements,
    )


def _kind(expected: Transfers, got: Transfers, index: int) -> Kind:
    wanted, seen = _transfer(expected, index), _transfer(got, index)
    if seen is None:
        return Kind.MISSING
    if wanted is None:
        return Kind.EXTRA
    if wanted[1] == seen[1]:
        return Kind.LATE if seen[0] > wanted[0] else Kind.EARLY
    if wanted[0] != seen[0]:
        if seen == _transfer(expected, index + 1):
            return Kind.MISSING
        if wanted == _transfer(got, index + 1):
            return Kind.EXTRA
    return Kind.WORD


def _transfer(transfers: Transfers, index: int) -> tuple[int, bytes] | None:
    if index >= len(transfers.cycles):
        return None
    return int(transfers.cycles[index]), np.asarray(transfers.words[index], "<u4").tobytes()


def _place(
    info: BoundaryInfo, transfers: Transfers, index: int, cycle: int, starts: list[tuple[int, int]]
) -> tuple[int, int]:
    """Return frame and word in it of transfer number ``index``, which is in or about ``cycle``."""
    reset, first_frame = max(start for start in starts if start[0] < cycle or start[0] == -1)
    since = index - int(np.searchsorted(transfers.cycles, reset, side="right"))
    return first_frame + since // info.words_per_frame, since % info.words_per_frame


def _elements(info: BoundaryInfo, expected: np.ndarray, got: np.ndarray, word: int) -> tuple[ElementDifference, ...]:
    channels, _, width = info.shape
    groups, idle = -(-channels // info.format.lanes), -channels % info.format.lanes
    pixel, group = divmod(word, groups)
    values = info.format.unpack(np.stack([expected, got])[:, : info.format.limbs])
    return tuple(
        ElementDifference(
            group * info.format.lanes + int(lane) - idle,
            pixel // width,
            pixel % width,
            None if info.counts else int(step),
            int(values[0, lane, step]),
            int(values[1, lane, step]),
        )
        for lane, step in np.argwhere(values[0] != values[1])
    )
