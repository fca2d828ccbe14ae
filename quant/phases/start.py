"""Trained weights that a method starts from."""

from __future__ import annotations

from torch import nn

from ..models import load_weights
from ..recipe import RecipeError, Start

__all__ = ["start"]


def start(model: nn.Module, given: Start | None) -> None:
    """Load the weights that a recipe names, if any, into ``model``. Raises RecipeError where they do not fit."""
    if given is None:
        return
    try:
        load_weights(model, given.file, mean=given.mean, std=given.std)
    except ValueError as error:
        raise RecipeError(f"Recipe: start: {error}") from None
