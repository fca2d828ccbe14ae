"""Weights of floats, and what is folded into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .step import Step

__all__ = ["Normed", "batch_norm", "bias_of", "by_channel", "gemm", "tensor_of"]


class Normed(NamedTuple):
    """y = ``gain`` * x + ``shift``, (C,) each, in float64."""

    gain: np.ndarray
    shift: np.ndarray

    @classmethod
    def batch(cls, step: Step, x: Sequence[Any], shape: tuple[int, ...]) -> Normed:
        """That of a BatchNormalization, whose other inputs are ``x``. Its epsilon is the number that the file rounds to
        a single float, 0.00001 and not 0.00000999999975, as the model has it that the file comes from."""
        *parts, epsilon = batch_norm(step, x, shape)
        scale, bias, mean, var = (np.asarray(v, np.float64) for v in parts)
        gain = scale * (1 / np.sqrt(var + float(str(np.float32(epsilon)))))
        return cls(gain, bias - mean * gain)

    def of(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The weights and the bias of a layer with this behind it."""
        gain, shift = torch.from_numpy(self.gain), torch.from_numpy(self.shift)
        made = weight.double() * gain.view(-1, *(1,) * (weight.ndim - 1))
        return made.to(weight.dtype), (bias.double() * gain + shift).to(bias.dtype)


def batch_norm(step: Step, x: Sequence[Any], shape: tuple[int, ...]) -> tuple[Any, Any, Any, Any, float]:
    """Scale, bias, mean, variance (C,) and epsilon of a BatchNormalization in evaluation."""
    step.get("momentum", 0.9)
    if step.get("training_mode", 0) or not step.get("spatial", 1):
        step.refuse("in training, or over pixels", "a model exported in evaluation")
    if len(x) != 4 or not all(isinstance(v, np.ndarray) and v.shape == shape[1:2] for v in x):
        step.refuse(f"of {shape} without constants for its {shape[1]} channels", "constants, one a channel")
    epsilon = float(step.get("epsilon", 1e-5))
    if not np.isfinite((*x, np.full(shape[1], epsilon))).all() or (np.float32(x[3]) + np.float32(epsilon) <= 0).any():
        step.refuse("with numbers that are not finite, or variances below 0", "finite ones")
    return x[0], x[1], x[2], x[3], epsilon


def by_channel(step: Step, constant: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A ``constant`` that meets a tensor of ``shape`` (N, C, ...), as (C,)."""
    if isinstance(constant, np.ndarray) and constant.ndim <= len(shape):
        found = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
        if not np.isfinite(found).all():
            step.refuse("with a constant that is not finite", "finite ones")
        if found.shape[1] in (1, shape[1]) and found.size == found.shape[1]:
            return np.broadcast_to(found.reshape(-1), shape[1:2])
    size = constant.shape if isinstance(constant, np.ndarray) else "no constant"
    return step.refuse(f"of {shape} and {size}", "a constant, or one a channel")


def tensor_of(step: Step, array: np.ndarray) -> Tensor:
    """Weights in single precision, or double where they are."""
    found = torch.from_numpy(np.array(array, np.float64 if array.dtype == np.float64 else np.float32))
    if not bool(found.isfinite().all()):
        step.refuse("with weights that are not finite", "finite ones")
    return found


def bias_of(step: Step, array: Any, weight: Tensor) -> Tensor:
    """The bias (Co,) of ``weight``; zeros where there is none."""
    if array is None:
        return torch.zeros(len(weight), dtype=weight.dtype)
    if not isinstance(array, np.ndarray) or array.shape != (len(weight),):
        step.refuse("with a bias that is no constant for each output", "one that is")
    return tensor_of(step, array).to(weight.dtype)


def gemm(step: Step, x: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Weights (out, in) and bias (out,) of a Gemm, alpha and beta in them."""
    if step.get("transA", 0) or not isinstance(x[1], np.ndarray) or x[1].ndim != 2:
        step.refuse("with transA, or with weights that are no constants", "a tensor of the image times constants")
    alpha, beta = float(step.get("alpha", 1.0)), float(step.get("beta", 1.0))
    weight = tensor_of(step, x[1] if step.get("transB", 0) else x[1].T) * alpha
    if len(x) < 3 or x[2] is None:
        return weight, torch.zeros(len(weight), dtype=weight.dtype)
    return weight, torch.from_numpy(by_channel(step, x[2], (1, len(weight))).astype(np.float64) * beta).to(weight.dtype)
