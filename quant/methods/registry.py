"""The methods by name: their recipes, none of which needs torch, and what follows them.

A method is a folder: ``recipe.py``, its settings; ``algorithm.py``, what the paper says; ``run.py``, with a function
``phases`` that follows a recipe; ``post.py``, where it converts trained models without training, with a function
``convert``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base import Distill, Epochs, Rates, Recipe, RecipeError, Start
from .conversion import Conversion, ConversionError, Convert, Job, LayerLoss, Made
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
    "CONVERSIONS",
    "METHODS",
    "Conversion",
    "ConversionError",
    "Distill",
    "DualPhaseRecipe",
    "Epochs",
    "FastSnnRecipe",
    "IntegerNetRecipe",
    "Job",
    "LayerLoss",
    "Made",
    "Phases",
    "PtqRecipe",
    "QcfsRecipe",
    "Rates",
    "Recipe",
    "RecipeError",
    "SpikingResnetRecipe",
    "Start",
    "check_maps",
    "conversion_of",
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


BITS = ("weight_bits", "first_bits", "last_bits", "shortcut_bits")

CONVERSIONS: dict[str, Conversion] = {
    "ptq": Conversion(package="ptq", levels=False, options=("bits", "steps", *BITS, "rule", "reconstruct"),
                      calibrated=True, folds=True, title="values, or with steps lossless spikes, without training",
                      maps=True),
    "qcfs": Conversion(package="qcfs", levels=True, options=("steps", *BITS, "rule", "strict"), calibrated=False,
                       folds=False, title="spikes, of a model trained with QCFS activations"),
    "spiking": Conversion(package="spiking_resnet", levels=False, options=("steps", *BITS, "rule", "strict"),
                          calibrated=True, folds=False, title="causal spikes, without training (Spiking ResNet)"),
}  # fmt: skip
"""What converts a trained model without training."""


def check_maps(name: str, maps: Sequence[str]) -> None:
    """Raise ConversionError where a model gives ``maps``, and the method ``name`` of :data:`CONVERSIONS` makes none."""
    if maps and not CONVERSIONS[name].maps:
        able = " or ".join(key for key, other in CONVERSIONS.items() if other.maps)
        raise ConversionError(
            f"Method {name!r} makes networks of classes, and this model gives maps ({', '.join(maps)}); take {able}"
        )


def conversion_of(name: str) -> Convert:
    """The function of the method ``name`` of :data:`CONVERSIONS`."""
    return import_module(f"..{CONVERSIONS[name].package}.post", __name__).convert
