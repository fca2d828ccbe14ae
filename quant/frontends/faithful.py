"""Whether the layers that were read from a model give what the model gives: compared on two images, layer by layer.

A model may do more than its graph says: forward hooks, parametrisations, in-place operations on a result that is read
again, a ``forward`` of its own in a class that looks like one of torch.nn. Nobody can list all of it, so the model is
run. Two comparisons find the first layer that differs:

- of the model, called as its user calls it, with its graph executed by torch.fx (:func:`check_forward`);
- of every operation of the graph with its layer, for random numbers of its own in place of what the operations before
  it give, so that no layer hides behind a dead one (:func:`check_layers`).

Where layers are repeated (``quant.frontends.repeat``), a third one holds every repeated layer against its original,
with random numbers in place of what activations give (:func:`check_repeated`).

Each layer is compared for the very inputs that the operation had, so that a step of an activation is on one side in
both, and errors of rounding do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from .activations import QCFS
from .floats import value_of
from .layers import IMAGE, Activation, Layer, UnsupportedLayer, Weights
from .tracing import call_name, evaluating, type_name

__all__ = ["Reading", "check_forward", "check_fused", "check_layers", "check_repeated", "check_same", "images"]

IMAGES = 2
SEED = 20260
SPREAD = 1000
"""Times the precision of the numbers, and the size of what is added up, is as far as two right results may differ."""

WHY = (
    "as by a forward hook, a parametrisation, an operation in place or a forward of its own; supported: the layers of "
    "torch.nn as they are, in a forward that does the same in every call and writes over nothing that is read again"
)


@dataclass
class Reading:
    """What was read from a graph. ``layers`` by name, each behind its sources, as the graph has them; ``nodes``, the
    operation that gives the result of each; ``passed``, operations that give what another one does; ``softmax``, final
    ones, with what they take; ``folds``, the batch norm that is part of a layer."""

    layers: dict[str, Layer] = field(default_factory=dict)
    nodes: dict[str, fx.Node] = field(default_factory=dict)
    passed: dict[fx.Node, fx.Node] = field(default_factory=dict)
    softmax: dict[fx.Node, fx.Node] = field(default_factory=dict)
    folds: dict[str, nn.Module] = field(default_factory=dict)


def images(model: nn.Module, layers: Mapping[str, Layer], shape: tuple[int, int, int]) -> Tensor:
    """Two random images of ``shape``, in 0..1, as ``model`` takes them: (N, C) where it begins with a Linear."""
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    x = torch.rand(IMAGES, *shape, generator=torch.Generator().manual_seed(SEED), dtype=dtype)
    first = [layer for layer in layers.values() if IMAGE in layer.sources]
    vector = any(isinstance(layer, Weights) and layer.weight.ndim == 2 for layer in first)
    return x.flatten(1) if vector else x


def check_forward(model: nn.Module, graph: fx.Graph, x: Tensor) -> None:
    """Compare ``model``, called on images ``x``, with its ``graph``, and with itself, called again. Raises
    UnsupportedLayer, naming the first module, or the model, whose result differs."""
    check_same(model, model, x, lambda: fx.Interpreter(model, graph=graph).run(x.clone()))
    with evaluating(model):
        first, second = model(x.clone()), model(x.clone())
    _compare(type_name(model), second, first, _largest(first), ("in a first call", "in a second one"))


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
            _compare(name, got, want, _largest(want), ("in the model", "as traced"))


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
            result = run()
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(result, Tensor):
        raise UnsupportedLayer(f"{type_name(model)}: gives {type(result).__name__}; supported: the logits, a tensor")
    return found | {"": [result]}


def check_layers(model: nn.Module, graph: fx.Graph, reading: Reading, x: Tensor) -> None:
    """Compare every operation of ``graph`` with the layer read from it, for images ``x``. Raises UnsupportedLayer,
    naming the first one that differs."""
    thresholds = {
        reading.nodes[layer.sources[0]]: layer.qcfs.threshold.item()
        for layer in reading.layers.values()
        if isinstance(layer, Activation) and layer.qcfs is not None and layer.sources[0] in reading.nodes
    }
    runner = _Runner(model, graph, set(reading.nodes.values()), thresholds)
    with evaluating(model):
        try:
            runner.run(x.clone())
        except Exception as error:
            where = call_name(runner.at) if runner.at else type_name(model)
            raise UnsupportedLayer(
                f"{where}: fails on images of shape {tuple(x.shape[1:])} ({error}); supported: layers that fit one "
                f"another"
            ) from error
        image_node = next(node for node in graph.nodes if node.op == "placeholder")
        nodes = {node: name for name, node in reading.nodes.items()}  # the last of a node's layers
        values = {IMAGE: runner.seen[image_node]}
        for name, layer in reading.layers.items():
            node, sources = reading.nodes[name], [values[source] for source in layer.sources]
            if nodes[node] != name:  # one operation that becomes two layers
                values[name] = value_of(layer, sources)
                continue
            _compare(name, _expected(layer, sources), runner.computed[node], _size(layer, sources, reading))
            values[name] = runner.seen[node]
        for node, of in reading.passed.items():
            _compare(call_name(node), runner.seen[of], runner.computed[node], runner.seen[of].abs().max())
        for node, of in reading.softmax.items():
            logits = runner.seen[of]
            soft = logits.softmax(1) if runner.computed[node].amax() > 0 else logits.log_softmax(1)
            _compare(call_name(node), soft, runner.computed[node], logits.abs().max())


def check_repeated(once: Sequence[Layer], repeated: Sequence[Layer], x: Tensor) -> None:
    """Compare ``repeated`` layers with those that they repeat, and every other one with itself among ``once``, for
    images ``x`` and random numbers in place of activations. Raises UnsupportedLayer, naming the first that differs."""
    if len(repeated) == len(once):
        return
    wanted, found = _stood_in(once, x), _stood_in(repeated, x)
    for layer in repeated:
        want, got = wanted[layer.origin], found[layer.name]
        _compare(layer.name, got, want, _largest(want), ("once", "where it is repeated"))


@torch.no_grad()
def _stood_in(layers: Sequence[Layer], x: Tensor) -> dict[str, Tensor]:
    """What ``layers`` give for ``x``, with random numbers, of one seed in any list, for the activations."""
    random, values = torch.Generator().manual_seed(SEED), {IMAGE: x}
    for layer in layers:
        values[layer.name] = result = value_of(layer, [values[source] for source in layer.sources])
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
        gain, rest = _scales(norm)
    _compare(name, got, want, (gain * y.abs().max() + rest).max())


class _Runner(fx.Interpreter):
    """Executes a graph with the user's modules and functions on random numbers.

    ``computed``, what each operation gives for what it takes; ``seen``, what the others take of it: of the operations
    ``last`` of a layer random numbers, as large as the threshold of the activation that takes them. A result that
    shares its memory with something else stays as it is, for writing over it is what may be wrong. ``at``: the
    operation it is at.
    """

    at: fx.Node | None

    def __init__(
        self, model: nn.Module, graph: fx.Graph, last: set[fx.Node], thresholds: Mapping[fx.Node, float]
    ) -> None:
        super().__init__(model, graph=graph)
        self.last, self.thresholds, self.at = last, thresholds, None
        self.computed, self.seen = dict[fx.Node, Tensor](), dict[fx.Node, Tensor]()
        self.random = torch.Generator().manual_seed(SEED)

    def run_node(self, n: fx.Node) -> Any:
        """One operation."""
        self.at = n
        result = super().run_node(n)
        if not isinstance(result, Tensor) or n.op == "output":
            return result
        self.computed[n] = result.clone()
        taken = [self.env[k] for k in n.all_input_nodes if isinstance(self.env.get(k), Tensor)]
        if n in self.last and all(result.untyped_storage().data_ptr() != x.untyped_storage().data_ptr() for x in taken):
            noise = torch.randn(result.shape, generator=self.random, dtype=torch.float64).to(result.dtype)
            result = noise * self.thresholds.get(n, 1.0)
        self.seen[n] = result.clone()
        return result


def _expected(layer: Layer, x: list[Tensor]) -> Tensor:
    """What ``layer`` gives, computed without the hooks of its module."""
    if not isinstance(layer, Activation) or layer.qcfs is None:
        return value_of(layer, x)
    if type(layer.qcfs).forward is not QCFS.forward:
        raise UnsupportedLayer(
            f"{layer.name}: {type_name(layer.qcfs)} has a forward of its own; supported: a QCFS whose quantise alone "
            f"is another"
        )
    result, threshold = QCFS.forward(layer.qcfs, x[0].clone()), layer.qcfs.threshold.item()
    half = threshold / layer.qcfs.levels / 2
    if (apart := (result - x[0].clamp(0, threshold)).abs().max().item()) > half * 1.001:
        raise UnsupportedLayer(
            f"{layer.name}: its quantise gives values {apart:.4g} away from what it takes; supported: rounding, by at "
            f"most half a level, {half:.4g}"
        )
    return result


def _size(layer: Layer, x: list[Tensor], reading: Reading) -> Tensor:
    """How large the numbers are that ``layer`` adds up, as a whole or in each channel."""
    if not isinstance(layer, Weights):
        return torch.stack([part.abs().max() for part in x]).sum()
    size = value_of(
        Weights(
            layer.name,
            layer.sources,
            layer.weight.abs(),
            layer.bias.abs(),
            layer.stride,
            layer.padding,
            layer.groups,
        ),
        [x[0].abs()],
    )
    norm: Any = reading.folds.get(layer.name)
    if norm is not None:  # mean and bias may cancel
        size = size + _scales(norm)[1].view(-1, *[1] * (size.ndim - 2))
    return size


def _scales(norm: Any) -> tuple[Tensor, Tensor]:
    """Of each channel of a batch norm, how much larger its result is than what it takes, and how large the numbers are
    that it adds to that."""
    gain = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight.abs())
    return gain, 2 * gain * norm.running_mean.abs() + (0 if norm.bias is None else norm.bias.abs())


def _largest(x: Tensor) -> Tensor:
    return x.detach().abs().nan_to_num(0, 0, 0).max() if x.numel() else x.new_zeros(())


def _compare(
    name: str, got: Tensor, want: Tensor, size: Tensor, where: tuple[str, str] = ("in the model", "as a layer")
) -> None:
    """Raise UnsupportedLayer where ``got`` is not ``want``, as found ``where``, up to the rounding of ``size``."""
    if got.dtype != want.dtype:  # how far two results of few bits may differ says nothing
        raise UnsupportedLayer(
            f"{name}: gives numbers of type {want.dtype} {where[0]} and {got.dtype} {where[1]}; supported: a forward "
            f"without torch.autocast in it"
        )
    if got.shape != want.shape:
        raise UnsupportedLayer(
            f"{name}: gives the shape {tuple(want.shape[1:])} {where[0]} and {tuple(got.shape[1:])} {where[1]}, {WHY}"
        )
    wide = want.double() - got.double()
    allowed = size.double() * SPREAD * torch.finfo(want.dtype).eps
    # A network that diverged is not another one: what holds NaN is refused elsewhere, by its own name.
    good = (wide.abs() <= allowed) | (~want.isfinite() & ~got.isfinite())
    if not good.all():
        at = int((~good).flatten().nonzero()[0])
        raise UnsupportedLayer(
            f"{name}: gives {want.flatten()[at].item():.6g} {where[0]} and {got.flatten()[at].item():.6g} {where[1]}, "
            f"{WHY}"
        )
