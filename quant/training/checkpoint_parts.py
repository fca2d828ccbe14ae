"""What the state of a training must have: a damaged file is told from one that can be continued."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor

__all__ = ["fits_optimiser", "wrong_part"]

_KEPT = ({"step", "exp_avg", "exp_avg_sq"}, {"momentum_buffer"})
"""What AdamW and SGD keep of a parameter."""


def wrong_part(state: Mapping[str, Any]) -> str | None:
    """Which part of ``state``, as ``quant.training.fit`` writes it, is not what it must be, in words; None where all
    are."""
    done, now, accuracy = state.get("done"), state.get("now"), state.get("accuracy")
    if "now" not in state or not _named(done):
        return "'done' is no table of steps, or 'now' is missing"
    for name, step in done.items():
        if (wrong := _wrong_step(step)) is not None:
            return f"{wrong} of step {name!r}"
    if now is not None:
        if (wrong := _wrong_step(now)) is not None:
            return f"{wrong} of the step under way"
        if type(now.get("name")) is not str or type(now.get("epoch")) is not int or now["epoch"] < 1:
            return "name or epoch of the step under way is missing"
        if not isinstance(now.get("optimiser"), dict) or not _tensors(now.get("average", {})):
            return "optimiser or average of the step under way is none"
    if not _named(accuracy) or not all(_number(share) and 0 <= share <= 1 for share in accuracy.values()):
        return "'accuracy' is no table of shares"
    return None


def fits_optimiser(optimiser: torch.optim.Optimizer) -> bool:
    """Whether the state that ``optimiser`` has is one of its parameters: means of their shapes, and counts."""
    return all(
        set(state) in _KEPT
        and all(
            isinstance(value, Tensor)
            and value.is_floating_point()
            and value.shape == (() if key == "step" else parameter.shape)
            for key, value in state.items()
        )
        for parameter, state in optimiser.state.items()
    )


def _wrong_step(step: Any) -> str | None:
    """What is wrong with the model, the random numbers and the seconds after a step."""
    if not isinstance(step, dict) or not _tensors(step.get("model")):
        return "the model"
    random = step.get("random")
    if not isinstance(random, dict) or not isinstance(random.get("cuda"), list):
        return "the random numbers"
    cpu = torch.get_rng_state()
    states = (random.get("cpu"), *random["cuda"])
    if not all(isinstance(each, Tensor) and each.dtype == cpu.dtype and each.ndim == 1 for each in states):
        return "the random numbers"
    if random["cpu"].shape != cpu.shape:
        return "the random numbers"
    if not _number(step.get("seconds")) or step["seconds"] < 0:
        return "the time"
    return None


def _named(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and all(type(key) is str for key in value)


def _tensors(value: Any) -> bool:
    return _named(value) and all(isinstance(part, Tensor) for part in value.values())


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
