"""What the frames of a verification reached of a design, layer by layer: figures, and warnings in words.

A layer here is a stage of the design, with the names of the user's own nodes; what is counted is in
``quant.analysis.reach``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..gen.design import Design
from ..hdl.streams.stage import StageSpec
from ..quant.analysis.reach import Reach
from ..quant.ir.node import Node
from ..quant.ir.reach.branches import FAR, Branches, Role
from ..quant.ir.reach.node import NodeReach

__all__ = ["MOVED", "TAKEN", "DesignReach", "LayerReach"]

TAKEN: Role = "taken"
"""Kinds that are branches: what does one thing or another."""

MOVED: Role = "moved"
"""Kinds of constants that are moved by one."""

ORDER = ("tests", "dips", "clamps", "addends", "winners", "padding", "inputs", "answers", "comparisons", "words")
"""In which order kinds are warned of; further ones come behind these, in the order of the data."""


@dataclass(frozen=True, eq=False)
class LayerReach:
    """What was reached in a layer: its ``name``, and the ``branches`` of its nodes by kind."""

    name: str
    branches: dict[str, list[Branches]]
    windows: tuple[int, int]

    def counts(self, *what: str) -> tuple[int, int, int]:
        """How many of ``what`` (kinds of branches, :data:`TAKEN`, :data:`MOVED`) were seen, can be, cannot be."""
        found = [b.counts for kind, branches in self.branches.items() for b in branches if {kind, b.role} & {*what}]
        seen, can, cannot = map(sum, zip((0, 0, 0), *found, strict=True))
        return seen, can, cannot


class DesignReach:
    """What frames reached of ``design``.

    Attributes: ``reach``, of its network; ``words``, of the stages that skip all-zero words, by the stage's name:
    whether there were any others, and such words.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.reach = Reach(design.network, {b.node for b in design.boundaries if design.summed(b)})
        self._skipping = {
            element.name: element.ins[0]
            for element in design.elements
            if isinstance(element.spec, StageSpec) and element.spec.window.chunk
        }
        self.words = {name: Branches(np.zeros((2, 1), bool), np.ones((2, 1), bool)) for name in self._skipping}

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.reach.frames

    def add(self, outputs: Mapping[str, np.ndarray], words: Mapping[str, np.ndarray]) -> None:
        """Take in the results of all nodes by the golden model, and the words of all boundaries."""
        self.reach.add(outputs)
        for name, boundary in self._skipping.items():
            some = words[boundary].any(1)
            self.words[name].seen |= np.array([[some.any()], [not some.all()]])

    @property
    def layers(self) -> list[LayerReach]:
        """The input and all layers, in the order of the data."""
        return [self._layer(name, nodes) for name, nodes in self._nodes()]

    def share(self, *what: str) -> float:
        """The share (0..1) of what can be of ``what`` (as :meth:`LayerReach.counts`) that was seen; 1 where nothing can
        be."""
        counts = [layer.counts(*what) for layer in self.layers]
        possible = sum(c[1] for c in counts)
        return sum(c[0] for c in counts) / possible if possible else 1.0

    def warnings(self, *what: str) -> list[str]:
        """What was not reached of ``what`` (as :meth:`LayerReach.counts`; all branches, then all constants), each in a
        line."""
        wanted, found = set(what or (TAKEN, MOVED)), list[tuple[str, str, list[str]]]()
        for name, nodes in self._nodes():
            for node in nodes:
                reach = self.reach.nodes[node.name]
                for kind, branches in reach.branches.items():
                    if {kind, branches.role} & wanted and not branches.done:
                        found.append((kind, branches.role, [f"{node.name}: {text}" for text in reach.texts(kind)]))
            if name in self.words and {"words", TAKEN} & wanted and not self.words[name].done:
                rows = self.words[name].rows(("only all-zero words came in", "no all-zero word came in"))
                found.append(("words", TAKEN, [f"{name}: {text}" for text, _ in rows]))
        order = [*ORDER, *dict.fromkeys(kind for kind, _, _ in found if kind not in ORDER)]
        found.sort(key=lambda x: (x[1] != TAKEN, order.index(x[0])))
        return [text for _, _, texts in found for text in texts]

    def figures(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "frames": self.frames,
            "branches": round(self.share(TAKEN), 6),
            "constants": round(self.share(MOVED), 6),
            "values": round(self.share("values"), 6),
            "warnings": self.warnings(),
            "layers": [
                {"name": name, "nodes": [_figures(node, self.reach.nodes[node.name]) for node in nodes],
                 **({"words": _counts(self.words[name])} if name in self.words else {})}
                for name, nodes in self._nodes()
            ],
        }  # fmt: skip

    def _nodes(self) -> Iterator[tuple[str, tuple[Node, ...]]]:
        yield self.design.network.input.name, (self.design.network.input,)
        for layer in self.design.layers:
            yield layer.name, layer.nodes

    def _layer(self, name: str, nodes: tuple[Node, ...]) -> LayerReach:
        found: dict[str, list[Branches]] = {"words": [self.words[name]]} if name in self.words else {}
        for node in nodes:
            for kind, branches in self.reach.nodes[node.name].branches.items():
                found.setdefault(kind, []).append(branches)
        return LayerReach(name, found, self.reach.nodes[nodes[0].name].windows)


def _counts(branches: Branches) -> dict[str, Any]:
    seen, can, cannot = branches.counts
    return {"seen": seen, "can": can, "cannot": cannot, "missed_channels": branches.channels.tolist()}


def _figures(node: Node, found: NodeReach) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "name": node.name,
        "type": type(node).__name__,
        "range": [int(found.span[0].min()), int(found.span[1].max())],
        "appeared": [int(found.low.min()), int(found.high.max())],
        **{kind: _counts(branches) for kind, branches in found.branches.items()},
    }
    if found.windows[1]:
        figures["windows"] = {"zero": found.windows[0], "all": found.windows[1]}
    if found.near is not None:
        sides = {"above": found.near.above.min(0), "below": found.near.below.min(0)}
        figures["nearest"] = {s: [int(d) if d != FAR else None for d in far] for s, far in sides.items()}
    return figures
