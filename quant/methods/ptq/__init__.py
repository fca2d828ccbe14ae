"""Post-training quantisation: settings (``recipe``), the search (``algorithm``), and how a recipe is followed
(``run``). ``docs/ptq.md`` has the equations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .algorithm import Quantised, quantise
    from .errors import LayerError

__all__ = ["LayerError", "Quantised", "quantise"]


def __getattr__(name: str) -> Any:
    """A name of ``algorithm``, which needs torch: recipes are read without it."""
    if name in __all__:
        from . import algorithm

        return getattr(algorithm, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
