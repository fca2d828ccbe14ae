"""Which function reads which modules, functions and methods of PyTorch; those of a layer stand in its own file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .call import Call

__all__ = ["POSITIONS", "READERS", "reads"]

READERS: dict[Any, Callable[[Call], None]] = {}
"""By class of a module, by function, or by the name of a method."""

POSITIONS: dict[Any, tuple[str, ...]] = {}
"""The names of the positional arguments of functions, and of methods, whose first one is the tensor."""

Reader = TypeVar("Reader", bound="Callable[[Call], None]")


def reads(*targets: Any, arguments: tuple[str, ...] = ("input",)) -> Callable[[Reader], Reader]:
    """That the decorated function reads calls of ``targets``: classes of modules, functions, or names of methods, whose
    positional arguments have the names ``arguments``, all of them."""

    def registered(reader: Reader) -> Reader:
        for target in targets:
            if READERS.setdefault(target, reader) is not reader:
                raise TypeError(f"{target} has two readers, in {READERS[target].__module__} and {reader.__module__}")
            if not isinstance(target, type):
                POSITIONS[target] = arguments
        return reader

    return registered
