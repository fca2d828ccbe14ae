"""The recipes of the methods, one file each; none needs torch. What follows a recipe is in ``quant.phases``."""

from __future__ import annotations

from .base import Distill, Epochs, Rates, Recipe, RecipeError, Start
from .integernet import IntegerNetRecipe
from .qcfs import QcfsRecipe

__all__ = ["METHODS", "Distill", "Epochs", "IntegerNetRecipe", "QcfsRecipe", "Rates", "Recipe", "RecipeError", "Start"]

METHODS: dict[str, type[Recipe]] = {kind.NAME: kind for kind in (QcfsRecipe, IntegerNetRecipe)}
"""What ``method`` may be; each has a line in ``quant.phases.PHASES`` as well."""
