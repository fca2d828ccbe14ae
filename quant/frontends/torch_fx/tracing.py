"""The user's module before it is read: in a form that can be, in evaluation, and traced with torch.fx.

Nothing here changes the user's module for good: training flags, buffers and random numbers are as they were afterwards.
Only what PyTorch computes in a forward, as the weight of ``torch.nn.utils.weight_norm``, is up to date then.
"""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.nn.parameter import is_lazy

from ..activations import QCFS
from ..layers import UnsupportedLayer, refuse

__all__ = ["Constant", "call_name", "evaluating", "graph_of", "plain", "type_name", "word"]

COMPUTED = (torch.float32, torch.float64)
"""Types of numbers that weights are read in; narrower ones are exact in float32."""

WRAPPERS: dict[type[nn.Module], str] = {
    nn.DataParallel: "the model in it, model.module",
    nn.parallel.DistributedDataParallel: "the model in it, model.module",
    torch.jit.ScriptModule: "the nn.Module that torch.jit was given",
}
"""Modules around another one that torch.fx does not look into, and what to take instead."""


WHOLE = (QCFS,)
"""Modules that are a layer by themselves, beside those of torch.nn: torch.fx does not look into them."""


class _Proxy(fx.Proxy):
    """torch.fx takes ``a += b`` for ``a = a + b``, which leaves other names of a as they were."""

    def __iadd__(self, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {}, name="add")


class Constant:
    """A tensor that a forward makes without its image, in place of an attribute that tracing gives the model."""

    __name__ = "constant"

    def __init__(self, value: torch.Tensor) -> None:
        self.value = value

    def __call__(self) -> torch.Tensor:
        """The tensor."""
        return self.value


class _Tracer(fx.Tracer):
    """Keeps modules of :data:`WHOLE` and of torch.nn whole, and knows ``+=`` from ``+``."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, WHOLE) or super().is_leaf_module(m, module_qualified_name)


def plain(model: nn.Module) -> nn.Module:
    """``model``, or a copy of it in float32 on the CPU where its numbers are narrower or lie elsewhere.

    Raises UnsupportedLayer, naming the parameter, for complex numbers and for numbers that do not exist yet, and,
    naming the type, for what is wrapped around a model.
    """
    inner = next((inner for kind, inner in WRAPPERS.items() if isinstance(model, kind)), None)
    if hasattr(model, "_orig_mod"):  # its type costs seconds to import
        inner = "the model that torch.compile was given, model._orig_mod"
    if inner:
        refuse(type_name(model), "a wrapper", inner)
    kinds: set[torch.dtype] = set()
    elsewhere = False
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            refuse(name, "a parameter without a shape", "lazy modules that have seen an image")
        if tensor.is_meta:
            refuse(name, "a tensor on the device 'meta', which has no values", "a model whose weights are loaded")
        if tensor.is_complex():
            refuse(name, f"a complex tensor ({tensor.dtype})", "real numbers")
        if tensor.is_quantized:
            refuse(name, f"a quantised tensor ({tensor.dtype})", "the float model, before torch quantised it")
        kinds |= {tensor.dtype} if tensor.is_floating_point() else set()
        elsewhere |= tensor.device.type != "cpu"
    narrow = not kinds <= set(COMPUTED)
    if not narrow and not elsewhere:
        return model
    try:
        other = copy.deepcopy(model).cpu()
    except Exception as error:  # deepcopy runs the user's code
        raise UnsupportedLayer(
            f"{type_name(model)}: cannot be copied to float32 numbers on the CPU ({error}); convert model.float().cpu()"
        ) from error
    return other.float() if narrow else other


@contextmanager
def evaluating(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Run code with all of ``model`` in evaluation (or in ``training``), without gradients or autocast.

    The flags and other plain values of the modules, their buffers and PyTorch's random numbers are those of before
    afterwards.
    """
    modules = list(model.modules())
    fields = [{k: v for k, v in vars(m).items() if isinstance(v, bool | int | float | str)} for m in modules]
    buffers = [(m, name, b, b.clone()) for m in modules for name, b in m.named_buffers(recurse=False)]
    with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.autocast("cpu", enabled=False):
        try:
            for module in modules:
                module.training = training
            yield
        finally:
            for module, values in zip(modules, fields, strict=True):
                vars(module).update(values)
            for module, name, buffer, value in buffers:
                setattr(module, name, buffer)
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def graph_of(model: nn.Module, *, training: bool = False) -> fx.Graph:
    """The graph of what ``model`` does in evaluation, or in ``training``. Raises UnsupportedLayer, naming the model."""
    fields = [(module, dict(vars(module))) for module in model.modules()]
    try:
        with evaluating(model, training=training):
            graph = _without_options(_Tracer().trace(model, _options(model)))
            for node in graph.nodes:
                if node.op == "get_attr" and str(node.target).startswith("_tensor_constant"):
                    node.op, node.target = "call_function", Constant(getattr(model, str(node.target)))
            return graph
    except Exception as error:  # torch.fx runs the user's code, so anything may come out of it
        raise UnsupportedLayer(
            f"{type_name(model)}: its forward cannot be traced ({error}); supported: a forward without branches on "
            f"its data"
        ) from error
    finally:
        for module, values in fields:  # what a forward keeps in its module would be a proxy now
            vars(module).clear()
            vars(module).update(values)


def _options(model: nn.Module) -> dict[str, Any]:
    """The defaults of all arguments of a forward that has some, but the first."""
    arguments = list(inspect.signature(type(model).forward).parameters.values())[2:]
    kinds = (type(None), bool, int, float, str)
    return {one.name: one.default for one in arguments if isinstance(one.default, kinds)}


def _without_options(graph: fx.Graph) -> fx.Graph:
    """``graph`` without those arguments, and without what torch.fx puts there to compare them with their defaults."""
    for given in [node for node in graph.nodes if node.op == "placeholder"][1:]:
        if all(_compares(taker) for taker in given.users):
            for taker in list(given.users):
                for check in [*taker.users, taker]:
                    graph.erase_node(check)
            graph.erase_node(given)
    return graph


def _compares(node: fx.Node) -> bool:
    """Whether ``node`` does nothing but hold an argument against its default."""
    if node.target is operator.eq:
        return all(_compares(taker) for taker in node.users)
    return word(node) in ("_assert", "_assert_is_none")


def type_name(module: nn.Module) -> str:
    """The name of a type as users write it, with its module where it is none of torch.nn."""
    kind = type(module)
    if kind.__module__.startswith("torch.ao"):
        return f"{kind.__module__}.{kind.__name__}"
    return kind.__name__


def call_name(node: fx.Node) -> str:
    """The path of a module; for a function its name, behind the path of the module that called it."""
    if node.op == "call_module":
        return str(node.target)
    path = list(node.meta.get("nn_module_stack", {"": None}))[-1]
    if not path:
        return node.name
    return f"{path}.{word(node)}"


def word(node: fx.Node) -> str:
    """The name of a function or method."""
    if node.target is operator.iadd:
        return "add"
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.name)
