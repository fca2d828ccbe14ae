"""What follows a recipe, one file a method: from the new float model to the trained one and its integer networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..data import Dataset
from ..fit import Fit
from ..network import Network
from ..recipe import DualPhaseRecipe, FastSnnRecipe, IntegerNetRecipe, QcfsRecipe, Recipe, SpikingResnetRecipe
from . import dual_phase, fast_snn, integernet, qcfs, spiking_resnet

__all__ = ["PHASES", "Phases"]

Phases = Callable[[Any, nn.Module, Dataset, Fit], tuple[nn.Module, dict[str, Network]]]
"""Called as phases(recipe, model, data, fit): the trained PyTorch model and networks by name.

``model`` is new, on the CPU, with random weights. Epochs, long steps and accuracies go through ``fit``, which keeps
them in the checkpoint and the report; what is in between runs again when a training is continued.
"""

PHASES: dict[type[Recipe], Phases] = {
    QcfsRecipe: qcfs.phases,
    IntegerNetRecipe: integernet.phases,
    DualPhaseRecipe: dual_phase.phases,
    FastSnnRecipe: fast_snn.phases,
    SpikingResnetRecipe: spiking_resnet.phases,
}
"""The phases by the type of the recipe; the types are those of ``quant.recipes.METHODS``."""
