"""The banks of a window whose neighbouring positions are walked together.

P windows of a row lie a stride apart. So column X of a padded row (stride s) is in bank floor(X / s) modulo P, and
whatever tap of the kernel is read, each of the P windows reads another bank. Column X is at place
s * floor(X / (s P)) + X mod s of its bank. Tap kx of window p of block b is column (b P + p) s + kx d: with
f = floor(kx d / s), r = kx d mod s and turn = f mod P it is in bank (p + turn) mod P, at place

    s (b + floor(f / P)) + r        where p + turn < P, banks turn and up,
    s (b + floor(f / P) + 1) + r    in the banks below turn.

With one window at a time there is one bank, column X at place X, and no turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .geometry import WindowGeometry

__all__ = ["Tap", "inside", "place_of", "taps"]


class Tap(NamedTuple):
    """A kernel column: ``turn``, the bank of the first window; ``place``, pixels from the first one of a block in a
    bank, to which the banks below ``turn`` add a stride."""

    turn: int
    place: int


def taps(spec: WindowGeometry) -> list[Tap]:
    """The columns of the kernel."""
    found, stride = [], spec.stride[1]
    for column in range(0, spec.extent[1], spec.dilation[1]):
        f, r = divmod(column, stride)
        found.append(Tap(f % spec.pixels, f // spec.pixels * stride + r))
    return found


def place_of(spec: WindowGeometry, column: int) -> tuple[int, int]:
    """The bank and the place in it of ``column`` of a padded row."""
    stride = spec.stride[1]
    if spec.pixels == 1:
        return 0, column
    run, within = divmod(column, stride)
    return run % spec.pixels, run // spec.pixels * stride + within


def inside(spec: WindowGeometry, bank: int) -> range:
    """The words of a row of ``bank`` that an input row fills."""
    left = spec.padding[1][0]
    places = [place for b, place in (place_of(spec, left + x) for x in range(spec.width)) if b == bank]
    return range(places[0] * spec.pixel_words, (places[-1] + 1) * spec.pixel_words) if places else range(0)
