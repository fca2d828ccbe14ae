"""The rules of integrate-and-fire neurons, one file each. Every module of this folder is found by itself: a new rule is
its file."""

from __future__ import annotations

import sys

from ..found import classes
from ..rule import Rule

__all__ = ["RULES"]

_kinds: list[type[Rule]] = list(classes(sys.modules[__name__], Rule))

RULES: dict[str, Rule] = {kind.name: kind() for kind in _kinds}
"""The rules by the names that networks have for them."""
