"""What all nodes of the integer network have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn

import numpy as np

from .bounds import MOST_ELEMENTS, MOST_STRIDE, NetworkError, integer, integers, text, within
from .reach.node import NodeReach, Place
from .signal import Signal
from .span import Span
from .windows import Windows, alike, each_way, whole_numbers

__all__ = ["IMPLICIT", "Node", "Tested", "by_channel", "multiplied"]

IMPLICIT = {"implicit": True}
"""Marks a field that files and hashes leave out at its default, so that those from before it came stay valid."""


class Tested(NamedTuple):
    """What a node compares before it decides: ``values`` (N, S, C, H, W), integers, where S is T if every time step has
    a comparison of its own, else 1; the ``unit`` (C,) in which a channel counts them; a ``title`` with that unit; and
    ``mark``, in units, with the words ``beyond`` for values of it and more."""

    values: np.ndarray
    unit: np.ndarray
    title: str
    mark: int
    beyond: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A node of the graph. ``source`` names the node whose result it takes (empty for an ``Input``).

    A kind of node says which kinds of signals it ``takes``, with a ``remedy`` for the message about others; the shape
    and the range of its result (``_signal``); the numbers of its result (``reference``, or ``reference_step`` where
    the time steps have nothing to do with each other); and about time whether it ``passes_sums``: whether the sum of
    its result over time follows from the sums of what it takes, as with all that is linear. Where those who take it
    add it up (:attr:`adds_up`) it may be computed from sums, and spikes may travel as counts (:attr:`counts`).
    """

    takes: ClassVar[tuple[Literal["values", "spikes", "currents"], ...]] = ("values", "spikes")
    remedy: ClassVar[str] = ""
    passes_sums: ClassVar[bool] = False
    activation: ClassVar[bool] = False
    """Whether its results are the activations of a layer, those of neurons or of a quantiser; reports draw them."""

    name: str
    source: str = ""

    def __post_init__(self) -> None:
        text("A node", "its name", self.name)
        text(self.name, "source", self.source)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all nodes whose results it takes."""
        return self.sources_of(vars(self))

    @classmethod
    def sources_of(cls, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of all nodes whose results a node with the fields ``values`` takes."""
        return (values["source"],) if values.get("source") else ()

    @property
    def adds_up(self) -> bool:
        """Whether it adds up what it takes over time before anything else, so that the sum is all it needs."""
        return False

    @property
    def counts(self) -> bool:
        """Whether its spikes may travel as their sum over time, where all who take them add them up and the spikes that
        it takes itself do so as well: whether its circuit can give, and take, counts."""
        return False

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return all(np.array_equal(a, b) if np.ndarray in (type(a), type(b)) else a == b for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    def arrays(self) -> dict[str, np.ndarray]:
        """The integer arrays of the node by field name."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}

    def settings(self) -> dict[str, Any]:
        """The fields that are not arrays, as JSON values."""
        return {
            f.name: list(v) if isinstance(v, tuple) else v
            for f in fields(self)
            if not isinstance(v := getattr(self, f.name), np.ndarray)
            and not (f.metadata == IMPLICIT and v == f.default)
        }

    def signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        """What flows out where ``sources`` flow in, in a network of ``steps`` time steps. Raises NetworkError where
        they do not fit, or where numbers go beyond the bounds of a network."""
        if not sources:
            self._fail("only the first node may be an Input")
        for name, source in zip(self.sources, sources, strict=True):
            self._check_kind(name, source)
        found = self._signal(sources, steps)
        if (size := math.prod(found.shape)) > MOST_ELEMENTS:
            self._fail(f"gives {size:,} numbers a frame, supported: {MOST_ELEMENTS:,}; cut the images")
        times = steps if found.timed else 1
        over = " over all time steps" if times > 1 else ""
        within(self.name, f"the range of its {found.kind}{over}", found.low * times, found.high * times)
        self._check_inside(sources[0], steps)
        return found

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        """Shape and range of the result, of sources of the right kinds. Raises NetworkError where these do not fit."""
        raise NetworkError(f"{self.name}: {type(self).__name__} is not supported")

    def _check_inside(self, source: Signal, steps: int) -> None:
        """Refuse numbers beyond the bounds of a network that it needs inside (``docs/network.md``)."""

    def reference(self, x: Sequence[np.ndarray], timed: Sequence[bool], steps: int) -> np.ndarray:
        """The result of ``x``, those of its sources, as ``docs/network.md`` writes it: int64 arrays (N, T, C, H, W)
        where there is time (``timed``, of the sources), else (N, C, H, W), logits (N, C).

        It has nothing of the golden model's shortcuts and shares no line with ``quant.kernels``.
        """
        if not timed[0]:
            return self.reference_step(x[0])
        together = self.reference_step(x[0].reshape(-1, *x[0].shape[2:]))
        return together.reshape(*x[0].shape[:2], *together.shape[1:])

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        """The result of values, or of the spikes of one time step: ``x`` (N, C, H, W)."""
        raise NetworkError(f"{self.name}: the NumPy model does not know {type(self).__name__}")

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        """What the result can be, channel by channel, where those of the sources, of the signals ``sources``, can be
        ``spans``, as if their elements were independent of each other."""
        raise NetworkError(f"{self.name}: what {type(self).__name__} can give is not known")

    def total(
        self, totals: Sequence[Span | None], spans: Sequence[Span], sources: Sequence[Signal], steps: int
    ) -> Span | None:
        """What the sum over time of its spikes can be (S = 1), where those of the sources can be ``totals``; None where
        that is not known."""
        known = [total for total in totals if total is not None]
        if not self.passes_sums or len(known) < len(totals):
            return None
        return self.span(known, [replace(source, timed=False) for source in sources], steps)

    def reach(self, place: Place) -> NodeReach:
        """What frames reach of it, before any frame: where it has branches, such as clamps, an object of a class of
        its own, which says which there are, how they are seen, and how a missed one is said in words."""
        return NodeReach(place)

    def tested(self, current: np.ndarray, result: np.ndarray, steps: int) -> Tested | None:
        """What it compares with its constants before it decides, for reports; None where it compares nothing.
        ``current`` and ``result``, that of its source and its own, have an axis of time where they differ over it."""
        return None

    def scalable(self, factor: np.ndarray) -> np.ndarray:
        """Factors (C,) up to ``factor`` by which the currents that it takes may be multiplied."""
        self._fail(f"what a {type(self).__name__} takes cannot be scaled, so weights before it cannot be narrowed")

    def scaled(self, factor: np.ndarray) -> Node:
        """The node with its constants rounded to fit ``factor`` (C,): those of what makes currents times it, so that
        its result is; those of what takes currents as they must be behind currents that are times it."""
        self._fail(f"a {type(self).__name__} cannot be scaled, so weights that are added to it cannot be narrowed")

    @classmethod
    def array_shape(
        cls, field: str, shape: tuple[int, ...], entry: Mapping[str, Any], source: tuple[int, int, int]
    ) -> tuple[bool, str]:
        """Whether the array ``field`` of a node with the other fields of ``entry`` can have ``shape`` behind a source
        of the shape ``source``, and what it must be: what a reader of files asks before it reads the array."""
        return shape == source[:1], f"({source[0]},)"

    def _check_kind(self, name: str, source: Signal) -> None:
        """Refuse the result of ``name`` where it is of another kind than the node takes."""
        if source.kind not in self.takes:
            takes = f"{type(self).__name__} takes {' or '.join(self.takes)}"
            self._fail(f"{takes}, but {name} gives {source.kind}{self.remedy}")

    def _check_channels(self, array: np.ndarray, source: Signal) -> None:
        """Refuse an array of the node that has another number of channels than its source."""
        if len(array) != source.shape[0]:
            self._fail(f"has {len(array)} channels, but {self.source} gives {source.shape[0]}")

    def _check_vector(self, source: Signal, remedy: str = "") -> None:
        """Refuse a map where the node takes a vector."""
        c, h, w = source.shape
        if (h, w) != (1, 1):
            self._fail(f"{type(self).__name__} takes a vector, but {self.source} gives {c}x{h}x{w}{remedy}")

    def _arrays(self, *keys: str) -> None:
        """Make integer arrays of these fields, or refuse them."""
        for key in keys:
            object.__setattr__(self, key, integers(self.name, key, getattr(self, key)))

    def _integers(self, *keys: str) -> None:
        """Make Python integers of these fields, or refuse them."""
        for key in keys:
            object.__setattr__(self, key, integer(self.name, key, getattr(self, key)))

    def _pairs(self, *keys: str) -> None:
        """Make settings in both directions of these fields (``quant.ir.windows.Pair``), or refuse them."""
        for key in keys:
            object.__setattr__(self, key, alike(whole_numbers(self.name, key, getattr(self, key), 2)))

    def _sides(self, *keys: str) -> None:
        """Make settings around a map of these fields (``quant.ir.windows.Sides``), or refuse them."""
        for key in keys:
            object.__setattr__(self, key, alike(whole_numbers(self.name, key, getattr(self, key), 4)))

    def _check_steps(self, key: str) -> None:
        """Refuse a field ``key``, cells from one place to the next, out of range."""
        steps = each_way(getattr(self, key))
        if min(steps) < 1:
            self._fail(f"{key} must be a positive integer, not {min(steps)}")
        if max(steps) > MOST_STRIDE:
            self._fail(f"{key} must be at most {MOST_STRIDE:,}, not {max(steps):,}")

    def _check_padding(self, windows: Windows) -> None:
        """Refuse ``windows`` that could lie in the padding alone."""
        room = [cells - 1 for cells in windows.extent]
        if all(0 <= side <= most for sides, most in zip(windows.padding, room, strict=True) for side in sides):
            return
        setting = alike([side for sides in windows.padding for side in sides])
        most = f"0..{min(room)}"
        if not isinstance(setting, int):
            most = f"0..{room[0]} above and below and 0..{room[1]} left and right"
        self._fail(f"padding must be in {most} (smaller than the kernel), not {setting}")

    def _fail(self, text: str) -> NoReturn:
        raise NetworkError(f"{self.name}: {text}")


def by_channel(array: np.ndarray) -> np.ndarray:
    """``array`` (C,) as (C, 1, 1), to meet (..., C, H, W)."""
    return array.reshape(-1, 1, 1)


def multiplied(array: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """``array`` (C, ...) with every channel times its ``factor`` (C,), rounded, in the same type."""
    return np.rint(array * factor.reshape(-1, *(1,) * (array.ndim - 1))).astype(array.dtype)
