"""What the generator refuses."""

from __future__ import annotations

__all__ = ["PlanError"]


class PlanError(ValueError):
    """A network or a fold that the generator cannot build; the message names the layer, the rule and the remedy."""
