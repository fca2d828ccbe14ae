"""The recipes of the methods, one file each; none needs torch. What follows a recipe is in ``quant.phases``."""

from __future__ import annotations

from .base import Distill, Epochs, Rates, Recipe, RecipeError, Start
from .dual_phase import DualPhaseRecipe
from .fast_snn import FastSnnRecipe
from .integernet import IntegerNetRecipe
from .qcfs import QcfsRecipe
from .spiking_resnet import SpikingResnetRecipe

__all__ = [
    "METHODS",
    "Distill",
    "DualPhaseRecipe",
    "Epochs",
    "FastSnnRecipe",
    "IntegerNetRecipe",
    "QcfsRecipe",
    "Rates",
    "Recipe",
    "RecipeError",
    "SpikingResnetRecipe",
    "Start",
]

METHODS: dict[str, type[Recipe]] = {
    kind.NAME: kind for kind in (QcfsRecipe, IntegerNetRecipe, DualPhaseRecipe, FastSnnRecipe, SpikingResnetRecipe)
}
"""What ``method`` may be; each has a line in ``quant.phases.PHASES`` as well."""
