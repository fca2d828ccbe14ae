"""The rules of integrate-and-fire neurons, one file each. Every module of this folder is found by itself: a new rule is
its file."""

from __future__ import annotations

import sys

from ..found import classes
from ..rule import Rule

__all__ = ["RULES"]

RULES: dict[str, Rule] = {rule.name: rule() for rule in classes(sys.modules[__name__], Rule)}
"""The rules by the names that networks have for them."""
