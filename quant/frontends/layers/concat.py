"""Concatenation along channels, choices of channels, and the maps that a network gives side by side: they move numbers,
and become no layer of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from ...ir.ops import NetworkError
from ..torch_fx.registry import reads
from .base import Layer, Shape

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Concat", "Heads", "Select", "selected"]


class Concat(Layer):
    """The channels of its sources, one behind the other; what takes it takes the parts (``rewrites.parts``)."""

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return torch.cat(tuple(x), 1)

    def shape(self, before: Sequence[Shape]) -> Shape:
        for k, (_, *size) in enumerate(before):
            if size != list(before[0][1:]):
                raise NetworkError(
                    f"{self.name}: puts maps of {before[0][1]}x{before[0][2]} ({self.source_name()}) and "
                    f"{size[0]}x{size[1]} ({self.source_name(k)}) together"
                )
        return sum(c for c, _, _ in before), *before[0][1:]


@dataclass(frozen=True)
class Heads(Layer):
    """The last layer of a model that gives maps: ``outputs``, what its user calls them, one for each of its sources. It
    computes nothing; as one number after the other its results are compared."""

    outputs: tuple[str, ...] = ()

    @classmethod
    def of(cls, sources: Sequence[str], layers: Collection[str], names: Sequence[str] = ()) -> Heads:
        """Those of the layers ``sources``, called by ``names``, and where these are empty by the layers; ``layers``,
        all names that are taken."""
        name, outputs = "outputs", list[str]()
        while name in layers:
            name += "_"
        for source, given in zip(sources, names or [""] * len(sources), strict=True):
            found = given or source
            while found in outputs:
                found += "_"
            outputs.append(found)
        return cls(name, tuple(sources), outputs=tuple(outputs))

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return torch.cat([part.flatten(1) for part in x], 1)

    def shape(self, before: Sequence[Shape]) -> Shape:
        return sum(c * h * w for c, h, w in before), 1, 1

    @property
    def names(self) -> dict[str, str]:
        """The name of the output by the layer that gives it."""
        return dict(zip(self.sources, self.outputs, strict=True))


@dataclass(frozen=True)
class Select(Layer):
    """Channels of its source in an order of its own: ``rule`` gives them for the number of channels of the source."""

    rule: Callable[[int], Sequence[int]]
    channels: tuple[int, ...] = ()

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return x[0][:, list(self.channels or self.rule(x[0].shape[1]))]

    def sized(self, before: Sequence[Shape]) -> Select:
        return replace(self, channels=tuple(self.rule(before[0][0]))) if before else self

    def shape(self, before: Sequence[Shape]) -> Shape:
        chosen = self.channels or self.rule(before[0][0])
        if not chosen:
            raise NetworkError(f"{self.name}: takes none of the {before[0][0]} channels of {self.source_name()}")
        return len(chosen), *before[0][1:]


@reads(torch.cat, torch.concat, torch.concatenate, arguments=("input", "dim"))
def _concat(call: Call) -> None:
    given = call.of if call.of is not None else call.take("tensors")
    if (axis := call.take("dim", 0)) not in (1, -3):
        call.refuse(f"a concatenation along axis {axis}", "one along the channels, torch.cat(..., 1)")
    parts = list(given) if isinstance(given, tuple | list) else [given]
    call.put(Concat(call.name, tuple(call.layer(part) for part in parts)))


def selected(call: Call, of: Any, rule: Callable[[int], Sequence[int]]) -> None:
    """The result of ``call`` are channels of ``of`` by a ``rule``."""
    call.put(Select(call.name, (call.layer(of),), rule))


@reads(torch.chunk, "chunk", arguments=("input", "chunks", "dim"))
def _chunk(call: Call) -> None:
    count = call.number("chunks", call.take("chunks"))
    _pieces(call, lambda c: [min(-(-c // count), c - k) for k in range(0, c, -(-c // count))])


@reads(torch.split, "split", arguments=("input", "split_size_or_sections", "dim"))
def _split(call: Call) -> None:
    sizes = call.take("split_size_or_sections", call.take("split_size"))
    if isinstance(sizes, int):
        _pieces(call, lambda c: [min(sizes, c - k) for k in range(0, c, sizes)])
    else:
        _pieces(call, lambda _: list(sizes))


def _pieces(call: Call, sizes: Callable[[int], list[int]]) -> None:
    """A tuple of runs of channels, of so many each; what is taken of it by an index is a layer."""
    if (axis := call.take("dim", 0)) not in (1, -3):
        call.refuse(f"parts along axis {axis}", "parts along the channels, axis 1")

    def part(index: int) -> Callable[[int], Sequence[int]]:
        def rule(c: int) -> Sequence[int]:
            found = sizes(c)
            if not -len(found) <= index < len(found):
                raise NetworkError(f"{call.name}: has no part {index} of {len(found)}")
            first = sum(found[: index % len(found)])
            return range(first, first + found[index])

        return rule

    call.hold(part)


def channels(index: Any) -> Callable[[int], Sequence[int]] | None:
    """The channels that x[``index``] takes, where it takes channels and nothing else."""
    every = slice(None)
    if not isinstance(index, tuple) or len(index) < 2 or index[0] != every or any(i != every for i in index[2:]):
        return None
    taken = index[1]
    ends = (taken.start, taken.stop, taken.step) if isinstance(taken, slice) else ()
    if not ends or taken == every or any(isinstance(end, fx.Node) for end in ends):
        return None
    return lambda c: range(c)[taken]


@reads(nn.ChannelShuffle)
def _shuffle_module(call: Call) -> None:
    selected(call, call.of, shuffled(call.module.groups))


@reads(torch.channel_shuffle, nn.functional.channel_shuffle, arguments=("input", "groups"))
def _shuffle(call: Call) -> None:
    selected(call, call.of, shuffled(call.number("groups", call.take("groups"))))


def shuffled(groups: int) -> Callable[[int], Sequence[int]]:
    """The order of channels behind a shuffle of ``groups``."""

    def rule(c: int) -> Sequence[int]:
        if c % groups:
            raise NetworkError(f"a shuffle of {groups} groups takes a multiple of so many channels, not {c}")
        return [k * (c // groups) + j for j in range(c // groups) for k in range(groups)]

    return rule


@reads("transpose", torch.transpose, arguments=("input", "dim0", "dim1"))
def _transpose(call: Call) -> None:
    """Of a map seen as groups of channels: the middle of a shuffle that is written with views."""
    groups = call.held(call.of)
    axes = (call.take("dim0"), call.take("dim1"))
    if not isinstance(groups, int) or set(axes) != {1, 2}:
        call.refuse("a transposition", "one of groups and channels in a channel shuffle, view - transpose(1, 2) - view")
    call.hold(shuffled(groups))
