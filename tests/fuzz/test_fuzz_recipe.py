"""Recipes: read, and their model built without memory, as ``train`` does before it begins; or refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import Format, changed, few, many, mixed, nested

from spikeloom.quant.models import build
from spikeloom.quant.recipe import RecipeError, read

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
TEXTS = [text for path in EXAMPLES if "\nmodel" in (text := path.read_text())]


def toml(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf").replace("null", '""')


def write(rng: np.random.Generator, folder: Path) -> Path:
    """A recipe of the examples with a few changes."""
    path, text = folder / "recipe.toml", TEXTS[int(rng.integers(len(TEXTS)))]
    match int(rng.integers(6)):
        case 0:
            path.write_bytes(changed(rng, text.encode()))
        case 1:
            path.write_text(f"x = {nested(rng, *(('[', ']') if rng.integers(2) else ('{a=', '}')))}\n{text}")
        case _:
            whole = folder / "whole.toml"
            whole.write_text(text)
            filled = {key: value for key, value in asdict(read(whole)).items() if value is not None}
            if rng.integers(2):
                filled["model_args"] = {"depth": 20, "width": 4, "hidden": [8], "channels": [2, 3], "kernel": 3,
                                        "blocks": [[2]], "pool": "max", "shortcut": "zeros"}  # fmt: skip
                filled["model_args"] = dict(list(filled["model_args"].items())[: int(rng.integers(9))])
                filled["model"] = ["cnn", "mlp", "vgg", "resnet", "lenet5"][int(rng.integers(5))]
            changed_ = mixed(rng, json.loads(json.dumps(filled)))
            path.write_text("".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in changed_.items()))
    return path


def build_model(path: Path) -> None:
    """As ``api.train`` does, for images of CIFAR-10."""
    recipe = read(path)
    json.dumps(asdict(recipe))
    try:
        with torch.device("meta"):
            build(recipe.model, (3, 32, 32), 10, **recipe.model_args)
    except ValueError as error:
        raise RecipeError(f"Recipe: {error}") from None


FORMATS = {"recipe": Format(write, build_model)}


def test_a_few_inputs() -> None:
    few(FORMATS["recipe"])


@pytest.mark.slow
def test_many_inputs() -> None:
    many(__file__, "recipe")
