"""IntegerNet: settings (``recipe``), what the paper says (``algorithm``), and how a recipe is followed (``run``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .algorithm import GAIN_BITS, SBN, IntegerGains, IntegerLayer, IntegerNet, convert, prepare

__all__ = ["GAIN_BITS", "SBN", "IntegerGains", "IntegerLayer", "IntegerNet", "convert", "prepare"]


def __getattr__(name: str) -> Any:
    """A name of ``algorithm``, which needs torch: recipes are read without it."""
    if name in __all__:
        from . import algorithm

        return getattr(algorithm, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
