"""Whether the layers that were read from a model give what the model gives: compared on two images, layer by layer.

A model may do more than its graph says: forward hooks, parametrisations, in-place operations on a result that is read
again, a ``forward`` of its own in a class that looks like one of torch.nn. Nobody can list all of it, so the model is
run. Two comparisons find the first layer that differs:

- of the model, called as its user calls it, with its graph executed by torch.fx (:func:`check_forward`);
- of every operation of the graph with its layer, for random numbers of its own in place of what the operations before
  it give, so that no layer hides behind a dead one (:mod:`~.operations`).

Where layers are repeated (``quant.frontends.repeat``), a third one holds every repeated layer against its original,
with random numbers in place of what activations give (:func:`check_repeated`).

Each layer is compared for the very inputs that the operation had, so that a step of an activation is on one side in
both, and errors of rounding do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..layers import IMAGE, Activation, Layer, UnsupportedLayer, Weights
from .compare import SEED, compare, largest, scales
from .results import joined
from .tracing import evaluating, type_name

__all__ = ["as_map", "check_forward", "check_fused", "check_repeated", "check_rewritten", "check_same", "images"]

IMAGES = 2

DEPTH = 10
"""Rewritten layers are compared as a whole: errors of rounding of so many layers may add up."""


def images(
    model: nn.Module, layers: Mapping[str, Layer], shape: tuple[int, int, int], *, lines: bool = False
) -> Tensor:
    """Two random images of ``shape``, in 0..1, as ``model`` takes them: (N, C) where it begins with a Linear, (N, C, L)
    where it takes ``lines``."""
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    x = torch.rand(IMAGES, *shape, generator=torch.Generator().manual_seed(SEED), dtype=dtype)
    first = [layer for layer in layers.values() if IMAGE in layer.sources]
    vector = any(isinstance(layer, Weights) and layer.weight.ndim == 2 for layer in first)
    if lines and shape[1] != 1:
        raise UnsupportedLayer(
            f"{type_name(model)}: takes lines (N, C, L), but the shape of an image is {shape}; supported: (C, 1, L)"
        )
    return x.flatten(1) if vector else x[:, :, 0] if lines else x


def as_map(x: Tensor) -> Tensor:
    """Lines (N, C, L) as maps of one row, all else as it is."""
    return x[:, :, None] if x.ndim == 3 else x


def check_forward(model: nn.Module, graph: fx.Graph, x: Tensor) -> None:
    """Compare ``model``, called on images ``x``, with its ``graph``, and with itself, called again. Raises
    UnsupportedLayer, naming the first module, or the model, whose result differs."""
    check_same(model, model, x, lambda: fx.Interpreter(model, graph=graph).run(x.clone()))
    with evaluating(model):
        first, second = joined(model(x.clone())), joined(model(x.clone()))
    compare(type_name(model), second, first, largest(first), ("in a first call", "in a second one"))


def check_same(
    model: nn.Module,
    other: nn.Module,
    x: Tensor,
    run: Callable[[], Any] | None = None,
    *,
    replaced: Collection[str] = (),
) -> None:
    """Compare the results of ``model`` and of the modules in it, but for those ``replaced``, on images ``x``, with
    those of ``other`` where it is called by ``run`` (None: as it is). Raises UnsupportedLayer, naming the first module
    whose results differ."""
    try:
        wanted = _results(model, lambda: model(x.clone()))
    except Exception as error:  # it runs the user's code
        raise UnsupportedLayer(
            f"{type_name(model)}: its forward fails on images of shape {tuple(x.shape[1:])} and {x.dtype} ({error}); "
            f"supported: a forward that runs on the CPU"
        ) from error
    found = _results(other, run or (lambda: other(x.clone())))
    for path, results in wanted.items():
        if path and (path not in found or path in replaced):  # a difference would show in what takes its result
            continue
        name = path or type_name(model)
        if len(found[path]) != len(results):
            raise UnsupportedLayer(
                f"{name}: is called {len(results)} times in the model, and {len(found[path])} times as traced; "
                f"supported: a forward that does the same in every call"
            )
        for got, want in zip(found[path], results, strict=True):
            compare(name, got, want, largest(want), ("in the model", "as traced"))


def _results(model: nn.Module, run: Callable[[], Any]) -> dict[str, list[Tensor]]:
    """The results of the modules in ``model``, in the order of their first call, and under "" that of ``run``, which
    calls it."""
    found: dict[str, list[Tensor]] = {}

    def keep(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, result: Any) -> None:
            if isinstance(result, Tensor):
                found.setdefault(path, []).append(result.detach().clone())

        return hook

    inner = [(path, module) for path, module in model.named_modules() if path and "parametrizations" not in path]
    handles = [module.register_forward_hook(keep(path)) for path, module in inner]
    try:
        with evaluating(model):
            result = joined(run())
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(result, Tensor):
        raise UnsupportedLayer(f"{type_name(model)}: gives {type(result).__name__}; supported: a tensor, or "
                               "a tuple, list or dict of tensors")
    return found | {"": [result]}


def check_repeated(once: Sequence[Layer], repeated: Sequence[Layer], x: Tensor) -> None:
    """Compare ``repeated`` layers with those that they repeat, and every other one with itself among ``once``, for
    images ``x`` and random numbers in place of activations. Raises UnsupportedLayer, naming the first that differs."""
    if len(repeated) == len(once):
        return
    wanted, found = _stood_in(once, x), _stood_in(repeated, x)
    for layer in repeated:
        want, got = wanted[layer.origin], found[layer.name]
        compare(layer.name, got, want, largest(want), ("once", "where it is repeated"))


@torch.no_grad()
def check_rewritten(
    read: Sequence[Layer],
    made: Sequence[Layer],
    answers: tuple[str, str],
    x: Tensor,
    normalised: tuple[tuple[float, ...], tuple[float, ...]] | None,
) -> None:
    """Compare the layers ``made`` of those that were ``read`` (``quant.frontends.rewrites``), by the activations of one
    name and by the ``answers`` of both, for images ``x``. Raises UnsupportedLayer, naming the first that differs."""
    if [layer.name for layer in read] == [layer.name for layer in made]:
        return
    image = x
    if normalised is not None:
        mean, std = (torch.tensor(a, dtype=x.dtype).view(-1, *[1] * (x.ndim - 2)) for a in normalised)
        image = (x - mean) / std
    wanted, found = {IMAGE: x}, {IMAGE: image}
    for values, layers in ((wanted, read), (found, made)):
        for layer in layers:
            values[layer.name] = layer.value([values[source] for source in layer.sources])
    kinds = {layer.name: layer for layer in read}
    for layer in made:
        if isinstance(layer, Activation) and isinstance(kinds.get(layer.name), Activation):
            want = wanted[layer.name]
            compare(layer.name, found[layer.name], want, DEPTH * largest(want), ("in the model", "rewritten"))
    want = wanted[answers[0]]
    compare(answers[0], found[answers[1]], want, DEPTH * largest(want), ("in the model", "rewritten"))


@torch.no_grad()
def _stood_in(layers: Sequence[Layer], x: Tensor) -> dict[str, Tensor]:
    """What ``layers`` give for ``x``, with random numbers, of one seed in any list, for the activations."""
    random, values = torch.Generator().manual_seed(SEED), {IMAGE: x}
    for layer in layers:
        values[layer.name] = result = layer.value([values[source] for source in layer.sources])
        if isinstance(layer, Activation):
            values[layer.name] = torch.randn(result.shape, generator=random, dtype=torch.float64).to(result.dtype)
    return values


def check_fused(name: str, layer: nn.Conv2d | nn.Linear, norm: nn.Module, fused: nn.Module) -> None:
    """Compare ``fused`` with ``layer`` and the batch norm ``norm`` behind it, all in evaluation, on random numbers.

    Raises UnsupportedLayer, by ``name``: what makes a weight in every forward makes it without the batch norm again.
    """
    if isinstance(layer, nn.Linear):
        shape: tuple[int, ...] = (layer.in_features,)
    else:
        shape = (layer.in_channels, *(d * (k - 1) + 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)))
    x = torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(SEED)).to(layer.weight)
    with torch.no_grad():
        y = layer(x.clone())
        want, got = norm(y.clone()), fused(x.clone())
        gain, rest = scales(norm)
    compare(name, got, want, (gain * y.abs().max() + rest).max())
