"""A model that was trained with QCFS activations, converted as it is."""

from __future__ import annotations

from ...conversion.integers import convert as integers
from ...frontends.layers import Activation
from ..conversion import ConversionError, Job, Made

__all__ = ["convert"]


def convert(job: Job) -> Made:
    """The network of ``job``, of as many steps as its activations have levels, see ``quant.methods.conversion``."""
    options = dict(job.options)
    levels = {a.name: a.qcfs.levels for a in job.layers if isinstance(a, Activation) and a.qcfs is not None}
    if "steps" not in options:
        if len(set(levels.values())) != 1:
            listed = ", ".join(f"{name}: {n}" for name, n in levels.items()) or "none"
            raise ConversionError(f"The activations have different levels ({listed}); say how many steps (--steps)")
        options["steps"] = next(iter(levels.values()))
    options.setdefault("weight_bits", 8)
    return Made(integers(job.layers, shape=job.shape, input_high=job.input_high, meta=job.meta, **options))
