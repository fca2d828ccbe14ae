"""Sizes that a forward asks for: x.size(0) in a view, x.shape[2:] as the kernel of a pool over the whole map."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

__all__ = ["Sizes"]


class Sizes:
    """Operations that give a size, with their source and its axis (None: all of them, "map": height and width)."""

    def __init__(self) -> None:
        self.found: dict[fx.Node, tuple[fx.Node, int | str | None]] = {}

    def note(self, node: fx.Node) -> bool:
        """Keep ``node`` where it is x.size(), x.size(k), x.shape or x.shape[k]; False for anything else."""
        args = node.args
        if node.op == "call_method" and node.target == "size":
            axis = args[1] if len(args) > 1 else node.kwargs.get("dim")
            self.found[node] = (node.all_input_nodes[0], None if axis is None else int(axis) % 4)  # type: ignore[arg-type]
        elif node.op == "call_function" and node.target is getattr and args[1] == "shape":
            self.found[node] = (node.all_input_nodes[0], None)
        elif node.target is operator.getitem and args[0] in self.found:
            of, axis = self.found[node.all_input_nodes[0]]
            index = args[1]
            if axis is not None or not (isinstance(index, int) or index in (slice(2, None), slice(-2, None))):
                return False
            self.found[node] = (of, index % 4 if isinstance(index, int) else "map")
        elif node.target is operator.floordiv and args[0] in self.found:
            self.found[node] = (self.found[node.all_input_nodes[0]][0], "part")
        else:
            return False
        return True

    def axis(self, value: Any) -> int | str | None:
        """The axis of which ``value`` is the size; None where it is no size, or that of all axes."""
        return self.found[value][1] if isinstance(value, fx.Node) and value in self.found else None

    def whole_map(self, kernel: Any) -> bool:
        """Whether every side of a ``kernel`` is the height or the width of a map."""
        sides = kernel if isinstance(kernel, tuple | list) else [kernel]
        return all(self.axis(side) in (2, 3, "map") for side in sides)
