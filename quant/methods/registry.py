"""The methods by name: their recipes, none of which needs torch, and what follows them.

A method is a folder: ``recipe.py``, its settings; ``algorithm.py``, what the paper says; ``run.py``, with a function
``phases`` that follows a recipe."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base import Distill, Epochs, Rates, Recipe, RecipeError, Start
from .dual_phase.recipe import DualPhaseRecipe
from .fast_snn.recipe import FastSnnRecipe
from .integernet.recipe import IntegerNetRecipe
from .ptq.recipe import PtqRecipe
from .qcfs.recipe import QcfsRecipe
from .spiking_resnet.recipe import SpikingResnetRecipe

if TYPE_CHECKING:
    from torch import nn

    from ..data import Dataset
    from ..ir.network import Network
    from ..training.fit import Fit

__all__ = [
    "METHODS",
    "Distill",
    "DualPhaseRecipe",
    "Epochs",
    "FastSnnRecipe",
    "IntegerNetRecipe",
    "Phases",
    "PtqRecipe",
    "QcfsRecipe",
    "Rates",
    "Recipe",
    "RecipeError",
    "SpikingResnetRecipe",
    "Start",
    "phases_of",
]

Phases = Callable[[Any, "nn.Module", "Dataset", "Fit"], "tuple[nn.Module, dict[str, Network]]"]
"""Called as phases(recipe, model, data, fit): the trained PyTorch model and networks by name.

``model`` is new, on the CPU, with random weights. Epochs, long steps and accuracies go through ``fit``, which keeps
them in the checkpoint and the report; what is in between runs again when a training is continued.
"""

METHODS: dict[str, type[Recipe]] = {
    kind.NAME: kind
    for kind in (QcfsRecipe, IntegerNetRecipe, DualPhaseRecipe, FastSnnRecipe, SpikingResnetRecipe, PtqRecipe)
}
"""What ``method`` may be."""


def phases_of(recipe: Recipe) -> Phases:
    """What follows ``recipe``: ``phases`` of its method's ``run.py``. Raises RecipeError where it is of no method."""
    if type(recipe) not in METHODS.values():
        raise RecipeError(f"Recipe: {type(recipe).__name__} has no training")
    return import_module(f"..{recipe.NAME}.run", __name__).phases
