"""What a method begins with: trained weights, teachers, and images that it chooses by."""

from __future__ import annotations

from torch import Tensor, nn

from ..data import Dataset
from ..models import build, load_weights
from ..recipe import Recipe, RecipeError, Start
from ..training.fit import Fit

__all__ = ["held_out", "start", "teacher"]


def start(model: nn.Module, given: Start | None, key: str = "start") -> None:
    """Load the weights that a recipe names, if any, into ``model``. Raises RecipeError where they do not fit."""
    if given is None:
        return
    try:
        load_weights(model, given.file, mean=given.mean, std=given.std)
    except ValueError as error:
        raise RecipeError(f"Recipe: {key}: {error}") from None


def teacher(recipe: Recipe, data: Dataset, model: nn.Module | None = None) -> nn.Module | None:
    """The model that ``recipe`` wants to be taught by, ``model`` where it names none of its own, or None."""
    wanted = recipe.distill
    if wanted is None or not wanted.model:
        return model if wanted else None
    try:
        found = build(wanted.model, data.shape, data.classes, **wanted.model_args)
    except ValueError as error:
        raise RecipeError(f"Recipe: distill: {error}") from None
    start(found, wanted.start, "distill: start")
    return found


def held_out(fit: Fit, count: int) -> tuple[Tensor, Tensor]:
    """The last ``count`` training images and their classes, which ``fit`` trains on no more: to choose by them.

    Raises RecipeError where too few would be left.
    """
    left = len(fit.train_x) - count
    if left < fit.recipe.batch:
        raise RecipeError(
            f"Recipe: {count} images held out of {len(fit.train_x)} leave too few for batch={fit.recipe.batch}"
        )
    held = fit.train_x[left:], fit.train_y[left:]
    fit.train_x, fit.train_y = fit.train_x[:left], fit.train_y[:left]
    return held
