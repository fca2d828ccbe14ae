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
from ..quant.analysis.branches import FAR, Branches
from ..quant.analysis.reach import NodeReach, Reach
from ..quant.ir.ops import Add, Node, Requant

__all__ = ["MOVED", "TAKEN", "DesignReach", "LayerReach"]

TAKEN = ("tests", "dips", "clamps", "addends", "winners", "padding", "inputs", "answers", "comparisons", "words")
"""Kinds that are branches: what does one thing or another."""

MOVED = ("thresholds", "biases")
"""Kinds of constants that are moved by one."""


@dataclass(frozen=True, eq=False)
class LayerReach:
    """What was reached in a layer: its ``name``, and the ``branches`` of its nodes by kind."""

    name: str
    branches: dict[str, list[Branches]]
    windows: tuple[int, int]

    def counts(self, *kinds: str) -> tuple[int, int, int]:
        """How many of ``kinds`` were seen, can be, cannot be."""
        found = [branches.counts for kind in kinds for branches in self.branches.get(kind, [])]
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

    def share(self, *kinds: str) -> float:
        """The share (0..1) of what can be of ``kinds`` that was seen; 1 where nothing can be."""
        counts = [layer.counts(*kinds) for layer in self.layers]
        possible = sum(c[1] for c in counts)
        return sum(c[0] for c in counts) / possible if possible else 1.0

    def warnings(self, *kinds: str) -> list[str]:
        """What was not reached of ``kinds`` (all branches, then all constants), each in a line."""
        found = []
        for kind in kinds or (*TAKEN, *MOVED):
            for name, nodes in self._nodes():
                for node in nodes:
                    branches = self.reach.nodes[node.name].branches
                    if kind in branches and not branches[kind].done:
                        found += [f"{node.name}: {text}" for text in _texts(kind, node, branches[kind])]
                if kind == "words" and name in self.words and not self.words[name].done:
                    missed = ("only all-zero words came in", "no all-zero word came in")
                    found += [f"{name}: {t}" for t, m in zip(missed, self.words[name].missed[:, 0], strict=True) if m]
        return found

    def figures(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "frames": self.frames,
            "branches": round(self.share(*TAKEN), 6),
            "constants": round(self.share(*MOVED), 6),
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


def _texts(kind: str, node: Node, branches: Branches) -> list[str]:
    """What was missed at ``node``, in words."""
    missed, some = branches.missed, len(branches.channels)
    of = f"{some} of {missed.shape[-1]}"
    channels = f"{of} channels"
    match kind:
        case "tests":
            never = int((branches.can[1].any(0) & ~branches.seen[1].any(0)).sum())
            texts = [(never, "never crossed their threshold"), (some - never, "have a test that went one way only")]
            return [f"{n} of {missed.shape[-1]} channels {text}" for n, text in texts if n]
        case "dips":
            return [f"{channels} have a test for taking a spike back that went one way only"]
        case "clamps":
            assert isinstance(node, Requant)
            parts = (f"below {node.lo}, where they are clamped", f"inside {node.lo}..{node.hi}",
                     f"above {node.hi}, where they are clamped")  # fmt: skip
            return [f"{n} of {missed.shape[1]} channels were never {part}" for part, n in _rows(parts, missed)]
        case "addends":
            assert isinstance(node, Add)
            rows = [f"{name} {what} 0" for name in node.sources for what in ("was never", "was always")]
            return [f"{what} in {n} of {missed.shape[1]} channels" for what, n in _rows(rows, missed)]
        case "winners":
            return [f"{channels} have a place of the window that never had the maximum alone"]
        case "padding":
            sides = [name for name, _ in _rows(("top", "bottom", "left", "right"), missed)]
            return [f"no window that reaches over the edge held anything but 0: {', '.join(sides)}"]
        case "inputs":
            return [f"{of} inputs were always 0 where a weight takes them, so it is not tested"]
        case "answers":
            return [f"{of} classes were never the answer"]
        case "comparisons":
            return [f"{of} comparisons of logits went one way only"]
        case "thresholds" | "biases":
            what = "threshold" if kind == "thresholds" else "bias"
            both = int(missed.all(0).sum())
            ways = f" ({both} of them neither higher nor lower)" if both else ""
            return [f"in {channels} a {what} moved by one would change no word{ways}"]
    return []


def _rows(names: tuple[str, ...] | list[str], missed: np.ndarray) -> list[tuple[str, int]]:
    return [(name, int(row.sum())) for name, row in zip(names, missed, strict=True) if row.any()]


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
