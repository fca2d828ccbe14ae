"""Classes that need no list: what the modules of a package define."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import TypeVar

__all__ = ["classes"]

Kind = TypeVar("Kind")


def classes(package: ModuleType, base: type[Kind]) -> Iterator[type[Kind]]:
    """The kinds of ``base`` that the modules of ``package`` define, module by module; what several of them have in
    common, which is abstract, is left out."""
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        for kind in vars(module).values():
            here = inspect.isclass(kind) and kind.__module__ == module.__name__
            if here and issubclass(kind, base) and not inspect.isabstract(kind):
                yield kind
