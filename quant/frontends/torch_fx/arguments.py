"""The arguments of a traced function, each of which is read or refused: none is left out without a word."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

from ..layers.base import refuse
from .registry import POSITIONS
from .tracing import call_name, word

__all__ = ["Arguments", "in_place"]


class Arguments:
    """What ``node`` is called with, by the names of the arguments: :meth:`take` them, and at last :meth:`done`."""

    def __init__(self, node: fx.Node) -> None:
        self.name = call_name(node)
        names = ("input",) if node.op == "call_module" else POSITIONS.get(node.target, ("input",))
        # Beyond the names that are known an argument has its place for a name, which nobody takes.
        places = [*names, *(f"argument {k + 1}" for k in range(len(names), len(node.args)))]
        self.left = dict(zip(places, node.args, strict=False)) | dict(node.kwargs)

    def take(self, key: str, default: Any = None) -> Any:
        """The value of an argument, ``default`` where it is not given."""
        return self.left.pop(key, default)

    def rest(self) -> list[Any]:
        """The values of all arguments that have a place and no name."""
        return [self.take(key) for key in list(self.left) if key.startswith("argument ")]

    def done(self) -> None:
        """Refuse what was given and not taken."""
        for key, value in self.left.items():
            refuse(self.name, f"{key}={value!r}", f"a call without {key}")


def in_place(node: fx.Node, modules: dict[str, Any]) -> bool:
    """Whether ``node`` writes its result over its argument: by its name (``relu_``), or because it is told so."""
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    writes = node.target is operator.iadd or (word(node).endswith("_") and not word(node).endswith("__"))
    return writes or bool(Arguments(node).take("inplace", False))
