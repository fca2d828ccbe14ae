"""Geometry of a window: which words it hands out, in which order, how many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...streams.words import WordFormat
from .rows import RowPlan, row_plan, rows_needed

__all__ = ["WindowGeometry", "chunk_for"]


def chunk_for(words: int) -> int:
    """Words whose flags are looked at together, for ``words`` of a pixel: the largest power of two up to 8 that
    divides them. As many pass in a cycle where all are zero; more would hardly ever be."""
    return min(8, words & -words)


@dataclass(frozen=True, kw_only=True)
class WindowGeometry:
    """What a window hands out, and in which order; how much it stores is another matter (:class:`.spec.WindowSpec`).

    Parameters:
        i_format: input words, ``lanes`` channels each.
        channels, height, width: of the input frame; ``lanes`` divides ``channels``. A vector is one pixel.
        kernel: (rows, columns) of the windows; ``dilation``, from one to the next; ``stride``, from window to window.
        padding: around the frame, ((top, bottom), (left, right)).
        pad: what stands there, a value of a word's range for each channel, in words of one time step; without it zeros.
        order: "taps": all words of a window, kernel row by kernel row; "channels": those of a part of the channels,
            then those of the next.
        part: words of a pixel that are walked together with order "channels": one, or those of a group of a grouped
            convolution; divides the words of a pixel.
        groups: times a window, or a part of it, is walked for groups of outputs.
        scans: times a window is walked for each of them, for groups of time steps.
        columns: hand out whole kernel columns ("taps" only): a word has the ``lanes`` of all kernel rows, the first row
            lowest, so that a walk takes only ``kernel[1]`` x pixel words cycles.
        chunk: words whose flags are looked at together where all-zero words are skipped ("taps" only), a power of two
            that divides the words of a pixel; 0: every word of the walk is handed out.
        span: cycles from the end of a scan to the end of the next one, at least (where words are skipped).
        pixels: neighbouring windows of a row that are walked together ("taps" only): a word has a word of each of them,
            the first one lowest. Where it does not divide the windows of a row, the last ones of a row reach beyond the
            frame, into cells like those around it; their results are idle.
        idle: channels of the last group of outputs whose results are idle too.
        times: (rows, columns), times that a row of windows is walked, and in it every window, with all its words: every
            pixel of a map again, as an upsampling needs it. For kernels of one pixel and words one by one
            ("channels", a part of one word).
    """

    i_format: WordFormat
    channels: int
    height: int
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    pad: tuple[int, ...] = ()
    dilation: tuple[int, int] = (1, 1)
    order: Literal["taps", "channels"] = "taps"
    groups: int = 1
    scans: int = 1
    columns: bool = False
    part: int = 1
    chunk: int = 0
    span: int = 1
    pixels: int = 1
    idle: int = 0
    times: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.channels % self.i_format.lanes:
            raise ValueError(f"inputs={self.i_format.lanes} does not divide the {self.channels} input channels")
        if self.part < 1 or self.pixel_words % self.part:
            raise ValueError(f"part={self.part} does not divide the {self.pixel_words} words of a pixel")
        if any(not 0 <= side < n for n, sides in zip(self.extent, self.padding, strict=True) for side in sides):
            raise ValueError(f"padding must be smaller than the kernel, not {self.padding}")
        if self.chunk and (self.chunk < 2 or self.chunk & (self.chunk - 1) or self.pixel_words % self.chunk):
            raise ValueError(
                f"chunk={self.chunk} must be a power of two above one that divides the {self.pixel_words} words of a "
                "pixel"
            )
        if self.chunk and (self.columns or self.order != "taps"):
            raise ValueError("Words can be skipped where a window is walked tap by tap only")
        self._check_times()
        if not 1 <= self.pixels <= self.o_size[1]:
            raise ValueError(f"pixels={self.pixels} is not in 1..{self.o_size[1]}, the windows of a row")
        if self.blocked and (self.chunk or self.order != "taps"):
            raise ValueError("Windows are walked together tap by tap only, and without skipping words")
        if self.pad:
            self._check_pad()

    def _check_times(self) -> None:
        if min(self.times) < 1:
            raise ValueError(f"times must be 1 or more, not {self.times}")
        plain = (self.kernel, self.stride, self.padded, self.order) == ((1, 1), (1, 1), False, "channels")
        if self.times != (1, 1) and not (plain and self.part * self.groups * self.scans == 1):
            raise ValueError("Windows are walked several times word by word only, with a kernel of one pixel")

    def _check_pad(self) -> None:
        if len(self.pad) != self.channels or self.i_format.steps != 1:
            raise ValueError(
                f"pad must have a value for each of the {self.channels} channels of words of one time step, not "
                f"{len(self.pad)} in words of {self.i_format.steps}"
            )
        self.i_format.checked(np.array(self.pad))
        if self.chunk:
            raise ValueError("Words can be skipped where the cells around the frame are zero only, not with pad")

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first cell of a window to the last."""
        rows, columns = ((n - 1) * apart + 1 for n, apart in zip(self.kernel, self.dilation, strict=True))
        return rows, columns

    @property
    def o_size(self) -> tuple[int, int]:
        """Rows and columns of window positions."""
        whole = self.height + sum(self.padding[0]), self.width + sum(self.padding[1])
        each = zip(whole, self.extent, self.stride, self.times, strict=True)
        rows, columns = (((n - m) // s + 1) * times for n, m, s, times in each)
        return rows, columns

    @property
    def padded(self) -> bool:
        """Whether there is padding on any side."""
        return any(map(any, self.padding))

    @property
    def pad_words(self) -> list[int]:
        """The bits of the words of a pixel around the frame."""
        form = self.i_format
        if not self.pad:
            return [0] * self.pixel_words
        mask = (1 << form.bits) - 1
        words = [self.pad[first : first + form.lanes] for first in range(0, self.channels, form.lanes)]
        return [sum((value & mask) << (form.bits * lane) for lane, value in enumerate(word)) for word in words]

    @property
    def margin(self) -> int:
        """Words left of those of an input row."""
        return self.padding[1][0] * self.pixel_words

    @property
    def across(self) -> int:
        """Pixels of a row with the padding beside it, and where windows are walked together with what the last of them
        reach: the same number in each bank of :attr:`pixels` (``hdl.cores.window.banks``)."""
        whole = self.width + sum(self.padding[1])
        if self.pixels == 1:
            return whole
        reached = (self.blocks * self.pixels - 1) * self.stride[1] + self.extent[1]
        each = self.stride[1] * self.pixels
        return -(-max(whole, reached) // each) * each

    @property
    def cells(self) -> int:
        """Words of a row in a memory: of an input row and of the padding beside it, or of a bank of them."""
        return self.across // self.pixels * self.pixel_words

    @property
    def blocked(self) -> bool:
        """Whether the results of all groups of outputs are collected before they leave (``hdl.streams.blocks``)."""
        return self.pixels > 1 or self.idle > 0

    @property
    def blocks(self) -> int:
        """Walks of an output row, each of :attr:`pixels` windows (the last one of as many as are left)."""
        return -(-self.o_size[1] // self.pixels)

    @property
    def o_format(self) -> WordFormat:
        """The words handed out."""
        form = self.i_format
        lanes = form.lanes * self.pixels * (self.kernel[0] if self.columns else 1)
        return WordFormat(lanes, form.steps, form.low, form.high)

    @property
    def pixel_words(self) -> int:
        """Words of an input pixel."""
        return self.channels // self.i_format.lanes

    @property
    def pixel_parts(self) -> int:
        """Parts of a pixel that are walked one after the other."""
        return 1 if self.order == "taps" else self.pixel_words // self.part

    @property
    def row_words(self) -> int:
        """Words of an input row."""
        return self.pixel_words * self.width

    @property
    def i_words(self) -> int:
        """Input words of a frame."""
        return self.row_words * self.height

    @property
    def run(self) -> int:
        """Words of one kernel row in the walk."""
        return self.kernel[1] * self.pixel_words // self.pixel_parts

    @property
    def scan_words(self) -> int:
        """Words of one walk over a window."""
        return self.run * (1 if self.columns else self.kernel[0])

    @property
    def positions(self) -> int:
        """Walks of an output row that start at different words."""
        return self.blocks * self.pixel_parts

    @property
    def results(self) -> int:
        """Results of a frame."""
        return self.o_size[0] * self.positions * self.groups

    @property
    def cycles(self) -> int:
        """Cycles of a frame in which a word is handed out, if none is skipped."""
        return self.results * self.scans * self.scan_words

    @property
    def scan_cycles(self) -> int:
        """Cycles of a scan at least, on average: all its words, or where they are skipped all its chunks."""
        return max(self.scan_words // self.chunk, self.span) if self.chunk else self.scan_words

    @property
    def row_plan(self) -> tuple[RowPlan, ...]:
        """What every output row needs of the ring."""
        rows = self.height, self.kernel[0], self.stride[0], self.padding[0][0], self.dilation[0], self.times[0]
        return row_plan(self.o_size[0] // self.times[0], *rows)

    @property
    def plan_period(self) -> int:
        """Output rows after which :attr:`row_plan` says the same again: all of them, but where rows are walked several
        times and each frees itself."""
        return self.times[0] if self.times != (1, 1) else self.o_size[0]

    @property
    def rows_needed(self) -> int:
        """Complete rows that an output row waits for, at most."""
        return rows_needed(self.row_plan)

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Model: input words (frames * i_words, lanes, T) to the walked words (n, lanes, T), skipped ones included."""
        lanes, steps = words.shape[1:]
        (kh, kw), (sy, sx), (dy, dx) = self.kernel, self.stride, self.dilation
        x = words.reshape(-1, self.height, self.width, self.pixel_words, lanes, steps)
        (above, _), (left, _) = self.padding
        size = self.height + sum(self.padding[0]), self.across
        pad = np.array(self.pad or [0] * self.channels, x.dtype).reshape(self.pixel_words, lanes, 1)
        around = np.broadcast_to(pad, (len(x), *size, self.pixel_words, lanes, steps)).copy()
        around[:, above : above + self.height, left : left + self.width] = x
        x = around
        x = np.lib.stride_tricks.sliding_window_view(x, self.extent, axis=(1, 2))[:, ::sy, ::sx]
        x = x[..., ::dy, ::dx]  # n y x c lane t ky kx
        if self.times != (1, 1):
            down, along = (np.arange(n) // times for n, times in zip(self.o_size, self.times, strict=True))
            x = x[:, down][:, :, along]
        if self.pixels > 1:
            x = x[:, :, : self.blocks * self.pixels]
            x = x.reshape(len(x), -1, self.blocks, self.pixels, *x.shape[3:])
            order = (0, 1, 2, 8, 4, 3, 7, 5, 6) if self.columns else (0, 1, 2, 7, 8, 4, 3, 5, 6)
            x = x.transpose(order).reshape(-1, 1, self.scan_words, self.o_format.lanes, steps)
            return np.repeat(x, self.groups * self.scans, axis=1).reshape(-1, self.o_format.lanes, steps)
        if self.order == "channels":
            x = x.reshape(*x.shape[:3], self.pixel_parts, self.part, lanes, steps, kh, kw)
            x = x.transpose(0, 1, 2, 3, 7, 8, 4, 5, 6).reshape(-1, 1, self.scan_words, lanes, steps)
            return np.repeat(x, self.groups * self.scans, axis=1).reshape(-1, lanes, steps)
        x = x.transpose(0, 1, 2, 7, 3, 6, 4, 5) if self.columns else x.transpose(0, 1, 2, 6, 7, 3, 4, 5)
        lanes = self.o_format.lanes
        x = x.reshape(-1, 1, self.scan_words, lanes, steps)
        return np.repeat(x, self.groups * self.scans, axis=1).reshape(-1, lanes, steps)
