"""The float model beside the network that was made of it: how often both are right, and what every layer lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..quant.lost import LayerLoss
from .source import ReportError

if TYPE_CHECKING:
    from ..quant.frontends.layers import Layer
    from ..quant.images import Images
    from ..quant.ir.network import Network
    from ..quant.seen import Seen

__all__ = ["Beside", "Model", "Opened", "beside", "opened"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A float model and what it sees, see :func:`spikeloom.api.report`: ``source``, its ``weights`` and ``arguments``;
    ``mean``, ``std`` and ``pixel_range``, None where nobody says them."""

    source: Any
    weights: str | Path | None = None
    arguments: Mapping[str, Any] | None = None
    mean: Sequence[float] | float | None = None
    std: Sequence[float] | float | None = None
    pixel_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Beside:
    """``layers``, what each lost; ``agreement`` and ``accuracy`` of "floats" and "integers", empty without labels,
    and none of maps;
    ``sees``, what the model was taken to see; ``notes`` for the user."""

    layers: tuple[LayerLoss, ...]
    agreement: float | None
    accuracy: dict[str, float]
    sees: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Opened:
    """A float model that was read: ``layers`` of its graph, what it has ``seen``, ``notes`` for the user."""

    layers: Sequence[Layer]
    seen: Seen
    notes: tuple[str, ...]


def opened(network: Network, model: Model) -> Opened:
    """Read ``model``, of which ``network`` was made. Raises ReportError, SeenError and what reading a model raises
    (:func:`spikeloom.api.convert`), naming the option or the layer."""
    from ..quant.frontends.layers import Heads, Weights

    layers = _layers(network, model)
    last = layers[-1]
    maps = sorted(last.outputs) if isinstance(last, Heads) else []
    if maps != sorted(node.name for node in network.maps):
        raise ReportError(f"--model: gives the maps {', '.join(maps) or 'none'}, but the network {network.gives}; give "
                          "the one that it was made of")
    if not maps and (not isinstance(last, Weights) or len(last.weight) != network.classes):
        has = f"{len(last.weight)} classes" if isinstance(last, Weights) else "no classes"
        raise ReportError(f"--model: has {has}, but the network {network.classes}; give the one that it was made of")
    seen, notes = _seen(network, model)
    return Opened(layers, seen.for_channels(network.input.shape[0]), tuple(notes))


def beside(
    network: Network, model: Opened, images: Images, progress: Callable[[int, int], None] | None = None
) -> Beside:
    """``model`` and ``network`` on ``images``."""
    from ..quant.tried import tried

    found, notes = tried(network, model.layers, images, model.seen, progress), list(model.notes)
    if not found.layers:
        notes.append("no layer of the model has the name and the shape of a node of the network: their answers alone "
                     "are compared")
    if found.warning:
        notes.append(found.warning)
    lost = tuple(LayerLoss(layer.name, layer.decibels, silent=layer.silent) for layer in found.layers)
    return Beside(lost, found.agreement, found.accuracy, str(model.seen), tuple(notes))


def _layers(network: Network, model: Model) -> list[Layer]:
    """The float graph, in single precision, in which images come."""
    import torch

    from ..quant.frontends.layers import Weights
    from ..quant.frontends.protocol import find
    from ..quant.ir.network import Network as Integers
    from ..quant.models.own import is_own, own_model
    from ..quant.models.weights import fill

    source, named = model.source, isinstance(model.source, str | Path)
    own = named and is_own(str(source))
    if own:
        source = own_model(str(source), model.arguments)
    elif model.arguments:
        raise ReportError("arguments (--arg) are for models that are called, file.py:NAME")
    front_end = find(source)
    if model.weights is not None:
        if not isinstance(source, torch.nn.Module):
            raise ReportError(f"{source}: has its own weights; leave out weights (--weights)")
        fill(source, model.weights)
    graph = front_end.read(source, network.input.shape)
    if isinstance(graph, Integers):
        raise ReportError("--model: is in integers already, so it has no floats to compare with; leave it out")
    return [replace(layer, weight=layer.weight.float(), bias=layer.bias.float()) if isinstance(layer, Weights) else
            layer for layer in graph.layers]


def _seen(network: Network, model: Model) -> tuple[Seen, list[str]]:
    """What the model sees: what is given, else what the network keeps of its conversion, else 0..1."""
    from ..quant.seen import Seen, as_numbers

    if model.mean is None and model.std is None and model.pixel_range is None:
        if text := network.meta.get("sees"):
            return Seen.of_text(text), []
        note = "the model is taken to see 0..1, for nobody says otherwise (--mean, --std, --pixel-range)"
        return Seen(assumed=True), [note]
    low, high = (0.0, 1.0) if model.pixel_range is None else model.pixel_range
    return Seen((float(low), float(high)), as_numbers(model.mean), as_numbers(model.std)), []
