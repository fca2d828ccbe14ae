"""The integer network: a validated graph of nodes, the one contract between PyTorch and hardware.

A :class:`Network` that exists is a correct one: shapes, ranges and kinds are checked when it is built, and every
message names the node. :meth:`Network.signals` gives what flows out of each node, with the exact range of its
values, from which every width in the hardware is derived.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .bounds import MOST_PARAMETERS, MOST_STEPS, NetworkError, integer
from .node import Node
from .ops import Input, MapReadout, Output, Readout
from .signal import Signal

__all__ = ["Network", "NetworkError", "Signal"]


@dataclass(frozen=True)
class Network:
    """An integer network.

    Parameters: ``nodes``, in the order of the data (every node behind its sources), the first an ``Input``, the last a
    ``Readout``, whose logits are the answer, or, where the network tells no classes, a ``MapReadout``; values and
    spikes may be taken by several nodes, currents by one; further read-outs are further outputs. ``steps``, the
    number of time steps T (1..64; 1 for a quantised network); ``meta``, free strings (recipe, accuracy, origin). Raises
    :class:`NetworkError` naming the node and the rule.
    """

    nodes: tuple[Node, ...]
    steps: int
    meta: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "steps", integer("The network", "steps (T)", self.steps))
        if not 1 <= self.steps <= MOST_STEPS:
            raise NetworkError(f"steps (T) must be in 1..{MOST_STEPS}, not {self.steps}")
        if bad := [n for n in self.nodes if not isinstance(n, Node)]:
            raise NetworkError(f"The nodes must be nodes of spikeloom.quant.ir.ops, not {type(bad[0]).__name__}")
        if not isinstance(self.meta, dict) or not all(_is_text(v) for kv in self.meta.items() for v in kv):
            raise NetworkError("meta must be a dict of texts by text")
        if (size := sum(a.size for n in self.nodes for a in n.arrays().values())) > MOST_PARAMETERS:
            raise NetworkError(f"The network has {size:,} weights and other numbers, supported: {MOST_PARAMETERS:,}")
        if not self.nodes or not isinstance(self.nodes[0], Input):
            raise NetworkError("The first node must be an Input")
        if not isinstance(self.nodes[-1], Output):
            raise NetworkError("The last node must be a Readout or a MapReadout")
        if self.readouts and not self.classifies:
            raise NetworkError(f"{self.readouts[-1].name}: gives classes; put it behind all maps, as the last node")
        before: dict[str, None] = {}
        for node in self.nodes:
            if not node.name or node.name in before:
                raise NetworkError(f"{node.name or '(no name)'}: names must be unique and not empty")
            for source in node.sources:
                if source not in before:
                    raise NetworkError(
                        f"{node.name}: its source is {source!r}, which is not among the nodes before it "
                        f"({', '.join(before)})"
                    )
            before[node.name] = None
        signals = self.signals
        for node in self.nodes:
            takers = self.takers[node.name]
            if not takers and not isinstance(node, Output):
                raise NetworkError(f"{node.name}: no node takes its result; leave it out")
            if signals[node.name].kind == "currents" and len(takers) > 1:
                raise NetworkError(
                    f"{node.name}: its currents are taken by {', '.join(t.name for t in takers)}; currents go to one "
                    "node, values and spikes may go to several"
                )

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"No node {name!r}; there are {', '.join(n.name for n in self.nodes)}")

    @property
    def input(self) -> Input:
        """The input node."""
        node = self.nodes[0]
        assert isinstance(node, Input)
        return node

    @property
    def classifies(self) -> bool:
        """Whether it tells classes: by its last node, a ``Readout``. Without one all that leaves it are maps."""
        return isinstance(self.nodes[-1], Readout)

    @property
    def classes(self) -> int:
        """Number of classes, 0 where it tells none."""
        return self.signals[self.nodes[-1].name].shape[0] if self.classifies else 0

    @property
    def gives(self) -> str:
        """What leaves it, in words."""
        shapes = {node.name: "x".join(map(str, self.signals[node.name].shape)) for node in self.maps}
        found = [f"map{'s' * (len(shapes) > 1)} {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"]
        return ", ".join(found * bool(shapes) + [f"{self.classes} classes"] * self.classifies)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the nodes and T (not over ``meta``), 64 hexadecimal digits."""
        digest = hashlib.sha256(f"T={self.steps}".encode())
        for node in self.nodes:
            digest.update(json.dumps([type(node).__name__, node.settings()], sort_keys=True).encode())
            for key, array in sorted(node.arrays().items()):
                digest.update(f"{key}{array.shape}".encode() + array.astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def outputs(self) -> list[Output]:
        """All nodes whose results leave it; the last one gives the class, where there is one."""
        return [n for n in self.nodes if isinstance(n, Output)]

    @property
    def readouts(self) -> list[Readout]:
        """All read-outs of classes; the last one gives the class."""
        return [n for n in self.nodes if isinstance(n, Readout)]

    @property
    def maps(self) -> list[MapReadout]:
        """All outputs that are maps."""
        return [n for n in self.nodes if isinstance(n, MapReadout)]

    @cached_property
    def takers(self) -> dict[str, list[Node]]:
        """The nodes that take the result of each node, by name."""
        found: dict[str, list[Node]] = {n.name: [] for n in self.nodes}
        for node in self.nodes:
            for source in dict.fromkeys(node.sources):
                found[source].append(node)
        return found

    @cached_property
    def signals(self) -> dict[str, Signal]:
        """What flows out of each node, by name; computing it checks the whole network."""
        found: dict[str, Signal] = {}
        for node in self.nodes:
            sources = [found[name] for name in node.sources]
            found[node.name] = node.signal(sources, self.steps)
        return found

    def summary(self) -> str:
        """The nodes as a table of text: kind, shape, range, weights, bits and multiplications."""
        from .summary import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        """The same table, for notebooks."""
        from .summary import as_html

        return as_html(self)

    def check_frames(self, frames: np.ndarray) -> np.ndarray:
        """Return ``frames`` as int64 (N, C, H, W); raise NetworkError where shape, kind or range do not fit."""
        shape, high = self.input.shape, self.input.high
        try:
            frames = np.asarray(frames)
        except (ValueError, TypeError, RuntimeError) as error:  # ragged rows; tensors of other devices
            raise NetworkError(f"{self.input.name}: frames are no array of integers ({error})") from None
        if frames.ndim != 4 or frames.shape[1:] != shape:
            raise NetworkError(
                f"{self.input.name}: frames must have shape (N, {', '.join(map(str, shape))}), not {frames.shape}"
            )
        if frames.dtype.kind not in "iub":
            raise NetworkError(f"{self.input.name}: frames must be integers in 0..{high}, not {frames.dtype}")
        if frames.size and (frames.min() < 0 or frames.max() > high):
            raise NetworkError(f"{self.input.name}: pixels must be in 0..{high}, found {frames.min()}..{frames.max()}")
        return frames.astype(np.int64)

    def check_labels(self, labels: np.ndarray, where: str = "labels") -> None:
        """Raise NetworkError, which begins with ``where``, for a label (N,) that is no class of the network."""
        if not self.classifies:
            raise NetworkError(f"{where}: labels of classes, but the network gives {self.gives}")
        wrong = np.flatnonzero((labels < 0) | (labels >= self.classes))
        if len(wrong):
            k, last = int(wrong[0]), self.classes - 1
            hint = "; classes count from 0" if labels.min() == 1 and labels.max() == self.classes else ""
            raise NetworkError(
                f"{where}: label {labels[k]} of image {k} is no class of the network, whose classes are 0..{last}{hint}"
            )


def _is_text(value: object) -> bool:
    """Whether ``value`` is text that can be written: half of a letter, as some encodings have, cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False
