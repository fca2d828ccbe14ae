"""Spiking ResNet as a conversion of any trained module."""

from __future__ import annotations

import torch

from ...conversion.integers import integer_network
from ...qat.integer_graph import IntegerGraph
from ..conversion import ConversionError, Job, Made
from .algorithm import compensate, normalised, pool_neurons

__all__ = ["convert"]

COMPENSATED = 64
"""Images that the factors of the layers are found with, as a recipe has it."""


def convert(job: Job) -> Made:
    """The causal network of ``job``, see ``quant.methods.conversion``."""
    options = dict(job.options)
    if "steps" not in options:
        raise ConversionError("Method 'spiking' needs steps, T, 8 or more for a first try (--steps)")
    if options.pop("rule", "causal") != "causal":
        raise ConversionError("Method 'spiking' makes causal neurons; leave out the rule, or take method 'ptq'")
    pixels = torch.from_numpy(job.pixels).float()
    layers = pool_neurons(job.layers)
    scaled = normalised(layers, pixels / job.input_high)
    job.progress(0.2)
    options.setdefault("weight_bits", 8)
    graph = IntegerGraph(scaled, rule="causal", shape=job.shape, input_high=job.input_high, **options).eval()
    factors = compensate(graph, layers, pixels[:COMPENSATED])
    job.progress(1.0)
    most = max(factors, key=factors.__getitem__, default="")
    notes = (f"weights enlarged by up to {factors[most]:g}, in {most}",) if most and factors[most] > 1 else ()
    return Made(integer_network(graph, shape=job.shape, meta=job.meta), notes=notes)
