"""From a user's ordinary ``nn.Module`` to a plain graph of layers, batch norm folded.

The model is traced with torch.fx. Every operation is either understood exactly (:mod:`~.reader`) or refused with the
name of the module and what is supported instead; nothing is skipped silently. Then the model is run, and compared with
what was read (:mod:`~.faithful`, :mod:`~.operations`).
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, fx, nn

from ..float_graph import FloatGraph
from ..float_graph import plain as rewritten
from ..layers import Layer, UnsupportedLayer
from ..repeat import repeated
from ..structure import check, fitting, size
from .faithful import as_map, check_forward, check_repeated, check_rewritten, images
from .operations import check_layers
from .reader import Reader
from .tracing import evaluating, graph_of, plain, type_name

__all__ = ["checked", "layers_of", "read", "trace"]


def read(model: nn.Module, shape: tuple[int, int, int] | None = None) -> FloatGraph:
    """The float graph of ``model``.

    ``shape`` (C, H, W) of the image is needed where a pool covers the whole map. The model is taken as it is in
    evaluation, and run on two images: layers that do not give what it gives there are refused (:mod:`~.faithful`).
    Raises UnsupportedLayer, naming the module, for everything without an integer counterpart, and NetworkError where
    the sizes of layers do not fit each other.
    """
    reader, _ = _checked(plain(model), shape)
    return FloatGraph.of(reader.whole, reader.answer, shape)


def trace(model: nn.Module, shape: tuple[int, int, int] | None = None) -> list[Layer]:
    """The layers of :func:`read`. Raises UnsupportedLayer where the model normalises the image, for they do not say so,
    and where it gives maps."""
    found = read(model, shape)
    if found.maps:
        raise UnsupportedLayer(
            f"{type_name(model)}: gives maps ({', '.join(found.maps)}), which no training here knows; supported: a "
            "Linear of classes as the last layer, or spikeloom convert --method ptq"
        )
    if found.normalised is not None:
        raise UnsupportedLayer(
            f"{type_name(model)}: normalises the image in its forward, which is not supported here; supported: images "
            f"that come normalised, or spikeloom convert --method ptq"
        )
    return found.layers


def checked(model: nn.Module, shape: tuple[int, int, int] | None = None) -> tuple[list[Layer], Tensor]:
    """The layers of ``model``, as :func:`~.tracing.plain` makes it, and images that it was compared with them on, of
    ``shape`` or of one that fits. Raises UnsupportedLayer and NetworkError as :func:`read` does."""
    reader, tried = _checked(model, shape)
    layers, answer, _ = rewritten(reader.whole, reader.answer, tried)
    return check(layers, answer), images(model, reader.layers, tried, lines=reader.reading.lines)


def layers_of(traced: fx.GraphModule) -> dict[fx.Node, Layer]:
    """The layer that each operation of ``traced`` gives the result of."""
    reading = _read(traced, traced.graph).reading
    return {node: reading.layers[name] for name, node in reading.nodes.items()}


def _checked(model: nn.Module, shape: tuple[int, int, int] | None) -> tuple[Reader, tuple[int, int, int]]:
    """The layers of a plain ``model``, compared with what it does, and the shape of the images for that."""
    graph = model.graph if isinstance(model, fx.GraphModule) else graph_of(model)
    reader = _read(model, graph)
    tried = shape or fitting(list(reader.layers.values()), lines=reader.reading.lines)
    if tried is None:
        raise UnsupportedLayer(
            f"{type_name(model)}: no image of up to 512x512 pixels fits its layers; supported: tracing with the shape "
            f"of the image"
        )
    rewritten_layers, answer, _ = rewritten(reader.whole, reader.answer, tried)
    check(rewritten_layers, answer)
    check_forward(model, graph, images(model, reader.layers, tried, lines=reader.reading.lines))
    # Only a forward brings the weights of hooks up to date, as those of torch.nn.utils.weight_norm are.
    reader = _read(model, graph)
    sized = {layer.name: layer for layer in size(reader.whole, tried)}
    x = images(model, sized, tried, lines=reader.reading.lines)
    without = {name: layer for name, layer in sized.items() if layer is not reader.heads}
    check_layers(model, graph, replace(reader.reading, layers=without), x)
    x = as_map(x)
    layers, answer, normalised = rewritten(reader.whole, reader.answer, tried)
    check_rewritten(list(sized.values()), layers, (reader.answer, answer), x, normalised)
    layers = size(check(layers, answer), tried)
    check_repeated(layers, repeated(layers), x)
    return reader, tried


def _read(model: nn.Module, graph: fx.Graph) -> Reader:
    reader = Reader(dict(model.named_modules(remove_duplicate=False)))
    reader.check_modules(graph)
    with evaluating(model):  # some weights are computed when they are looked at, and change in training
        for node in graph.nodes:
            if node.op == "output":
                reader.answers(node.args[0])
            else:
                reader.read(node)
    return reader
