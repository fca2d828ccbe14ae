"""Conversion: a model with QCFS activations becomes an integer :class:`~.network.Network`.

The arithmetic is that of ``quant.rounding``, the same code that ran in training. The initial membrane is theta/2,
which need not be whole; sums are. With u the sum without it and k a number of spikes,

    u + theta/2 >= k*theta  is  u >= k*theta - theta/2  is  u >= ceil(k*theta - theta/2) = k*theta - floor(theta/2),
    u + theta/2 >  k*theta  is  u >  k*theta - theta/2  is  u > floor(k*theta - theta/2) = k*theta - ceil(theta/2),

so floor(theta/2) is exactly a real theta/2 for the test ``>=``, and ceil(theta/2) is for ``>``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .graph import Flat, Pool
from .network import Network
from .nodes import IF, Conv2d, Flatten, Input, Linear, MaxPool, NetworkError, Node, Readout, Rule, SumPool
from .qat import IntegerChain, Stage
from .rounding import readout_integers

__all__ = ["chain_network", "convert", "half_threshold", "link"]


def half_threshold(threshold: np.ndarray, strict: bool) -> np.ndarray:
    """The whole number that acts as an initial membrane of threshold/2 (see above)."""
    return (threshold + 1) // 2 if strict else threshold // 2


def convert(
    model: nn.Module,
    *,
    shape: tuple[int, int, int],
    input_high: int,
    steps: int,
    weight_bits: int,
    rule: Rule = "causal",
    first_bits: int | None = None,
    last_bits: int | None = None,
    strict: bool = False,
    meta: dict[str, str] | None = None,
) -> Network:
    """Convert ``model``, trained with QCFS activations on pixels / input_high, to an integer network of T = ``steps``.

    ``shape`` is that of an image (C, H, W). Weights get ``weight_bits`` bits, a scale for each output channel; the last
    layer one scale for all. ``strict`` makes neurons fire at ``>`` instead of ``>=``.
    Raises UnsupportedLayer or NetworkError, naming the layer: a structure that has no counterpart, a ReLU left in,
    NaN, a threshold that is not positive and finite.
    """
    chain = IntegerChain(
        model,
        input_high=input_high,
        steps=steps,
        weight_bits=weight_bits,
        first_bits=first_bits,
        last_bits=last_bits,
        rule=rule,
    )
    return chain_network(chain, shape=shape, rule=rule, strict=strict, meta=meta)


def chain_network(
    chain: IntegerChain,
    *,
    shape: tuple[int, int, int],
    rule: Rule | None = None,
    strict: bool = False,
    meta: dict[str, str] | None = None,
) -> Network:
    """The integer network that ``chain`` computes in evaluation; ``rule`` may be another than it was trained with."""
    fires = chain.rule if rule is None else rule
    nodes: list[Node] = [Input(name="input", shape=shape, high=chain.input_high)]
    timed = False

    with torch.no_grad():
        for layer, unit in zip(chain.order, chain.units(), strict=True):
            if isinstance(layer, Flat):
                nodes.append(Flatten(**link(nodes, layer.name)))
            elif isinstance(layer, Pool):
                kind = SumPool if layer.kind == "average" else MaxPool
                nodes.append(kind(**link(nodes, layer.name), kernel=layer.kernel, stride=layer.stride))
            elif layer.log_threshold is None:
                w, bias, _ = readout_integers(layer.weight, layer.bias, unit, layer.bits, chain.terms(timed))
                nodes.append(_synapse(layer, w, link(nodes, layer.name)))
                nodes.append(Readout(name="readout", source=nodes[-1].name, bias=_whole(layer.name, "bias", bias)))
            else:
                w, theta, bias = chain.integers(layer, unit)
                nodes.append(_synapse(layer, w, link(nodes, layer.name)))
                threshold = _whole(layer.neuron, "threshold", theta)
                nodes.append(
                    IF(
                        **link(nodes, layer.neuron),
                        threshold=threshold,
                        bias=_whole(layer.neuron, "bias", bias),
                        v0=half_threshold(threshold, strict),
                        rule=fires,
                        strict=strict,
                    )
                )
                timed = True
    return Network(nodes=tuple(nodes), steps=chain.steps, meta=meta or {})


def link(nodes: list[Node], name: str) -> dict[str, str]:
    """The fields ``name`` (made unique) and ``source`` of a node that is to follow ``nodes``."""
    while any(name == node.name for node in nodes) or name == "readout":
        name += "_"
    return {"name": name, "source": nodes[-1].name}


def _synapse(stage: Stage, weight: Tensor, fields: dict[str, str]) -> Node:
    w = _whole(stage.name, "weight", weight)
    if w.ndim == 2:
        return Linear(**fields, weight=w, weight_bits=stage.bits)
    return Conv2d(**fields, weight=w, weight_bits=stage.bits, stride=stage.stride, padding=stage.padding)


def _whole(name: str, what: str, values: Tensor) -> np.ndarray:
    array = values.double().numpy()
    # Beyond 2**24 a float32 tensor no longer holds every integer, so training and network could differ.
    if not np.isfinite(array).all() or (np.abs(array) >= 1 << 24).any():
        worst = array.flat[np.abs(np.nan_to_num(array, nan=np.inf)).argmax()]
        raise NetworkError(
            f"{name}: {what} {worst:g} is too large for an integer network; the scales of this layer "
            f"and of the one before it differ too much"
        )
    return array.astype(np.int64)
