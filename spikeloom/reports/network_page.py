"""The page of a network's report: what its template shows, in words, rows and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from ..converted import Converted
from ..quant.analysis.histograms import Histogram
from ..quant.files.texts import TextError, parse_json
from ..quant.ir.addends import addends
from ..quant.ir.network import Network
from ..quant.ir.node import Node
from ..quant.ir.ops import Synapse
from ..quant.ir.summary import total
from . import page
from .bars import bars
from .graph import graph
from .network import Report

__all__ = ["rendered"]

PAIRS = 5
"""Pairs of classes that are listed, those that are taken for each other most often."""

TALL = 30
"""Nodes of a graph that has a window of its own to be scrolled in."""

SHORT = 18
"""Nodes of a graph that leaves room below it."""

LONGEST = 160
"""Letters of a text of a network that is shown."""


def rendered(found: Report) -> str:
    """The page as text. Needs the extra ``report``."""
    from .pictures import confusion, drawn, raster, timeline

    network, labels = found.network, found.images.labels
    made = Converted(network.nodes, network.steps, network.meta, layers=found.layers)
    design, contents = found.source.design, found.source.contents
    pictures = {
        "graph": graph(network),
        "confusion": None if found.confusion is None else Markup(confusion(found.confusion)),
        "errors": Markup(drawn(made.plot_layers, "errors")) if found.layers else None,
        "raster": Markup(raster(network, found.images.pixels[0], None if labels is None else int(labels[0]))),
        "timeline": None if design is None else Markup(timeline(design)),
    }
    return page.render(
        "network.html", f=found, network=network, total=total(network), facts=_facts(network), pictures=pictures,
        tall=len(network.nodes) > TALL, short=len(network.nodes) < SHORT,
        lost=_lost(found.recorded), measured_lost=_lost(found.measured),
        over_time=_some(found.over_time), pairs=_pairs(found.confusion), made=made, layers=list(_layers(found)),
        stages=[] if design is None else page.stages(design, contents), predicted=contents.get("predicted"),
        title=found.source.name, recorded_on=network.meta.get("tested", network.meta.get("data", "")))


def _lost(shares: dict[str, float]) -> dict[str, float]:
    """What every step lost against the one before it."""
    names = list(shares)
    return {b: shares[a] - shares[b] for a, b in zip(names, names[1:], strict=False)}


def _some(shares: list[float]) -> list[tuple[int, float]]:
    """(t, accuracy) after up to 8 time steps, the last one among them."""
    steps = np.unique(np.linspace(1, len(shares), min(8, len(shares))).round().astype(int)) if shares else []
    return [(int(t), shares[t - 1]) for t in steps]


def _facts(network: Network) -> dict[str, str]:
    """What the network says of itself, without its figures, which the page has elsewhere."""
    found = {key: text for key, text in network.meta.items() if key not in ("accuracy", "layers", "recipe", "tested")}
    try:
        recipe = parse_json(network.meta.get("recipe", "{}"))
    except TextError:
        recipe = {}
    for key in ("method", "model"):
        if isinstance(recipe, dict) and isinstance(recipe.get(key), str) and recipe[key]:
            found.setdefault(f"{key} of its recipe", recipe[key])
    return {key: text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for key, text in found.items()}


def _pairs(table: np.ndarray | None) -> list[tuple[int, int, int, int]]:
    """(label, class said, images, images of the label) of the most frequent mistakes."""
    if table is None:
        return []
    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    places = [divmod(int(k), len(table)) for k in order]
    return [(a, b, int(wrong[a, b]), int(table[a].sum())) for a, b in places if wrong[a, b]]


def _layers(found: Report) -> Iterator[dict[str, Any]]:
    """The histograms layer by layer, from the image on: pictures with a title and what they say."""
    network, done = found.network, set[str]()
    pixels = found.spread.activations[network.nodes[0].name]
    yield {"name": network.nodes[0].name, "kind": "", "pictures": [_picture(
        pixels, "activations", "pixels", f"0..{network.input.high}, {_share(pixels.at(0), pixels)} are 0")]}
    for node in network:
        takes = network.signals[node.sources[0]].kind if node.sources else ""
        if not node.activation and not (takes == "currents" and network.signals[node.name].kind != "currents"):
            continue
        summed = [each for each in addends(network, node.source) if isinstance(each, Synapse)]
        done.update(each.name for each in summed)
        pictures = [_weights(each, found.weights[each.name]) for each in summed]
        if node.activation:
            pictures += _of_activation(found, node)
        yield {"name": node.name, "kind": type(node).__name__, "pictures": pictures}
    for name, weights in found.weights.items():  # whose currents some other kind of node takes
        if name not in done:
            yield {"name": name, "kind": "", "pictures": [_weights(network[name], weights)]}


def _weights(node: Node, weights: Histogram) -> dict[str, Any]:
    bits = getattr(node, "weight_bits", 0)
    return _picture(weights, "weights", f"weights of {node.name}",
                    f"{weights.total:,} of {bits} bits, {_share(weights.at(0), weights)} are 0")


def _of_activation(found: Report, node: Node) -> Iterator[dict[str, Any]]:
    network, results = found.network, found.spread.activations[node.name]
    signal = network.signals[node.name]
    silent = round(found.spread.silent[node.name] * signal.shape[0])
    quiet = f", {silent} of {signal.shape[0]} channels silent" if silent else ""
    top = f", {_share(int(results.counts[-1]), results)} at the top"
    if signal.kind == "spikes":
        title, said = "spikes of a neuron and image", f"{_share(results.at(0), results)} have none{top}{quiet}"
    else:
        title, said = "values", f"{_share(results.at(0), results)} are 0{top}{quiet}"
    yield _picture(results, "activations", title, said)
    if (tested := found.spread.tested.get(node.name)) is not None:
        said = f"{100 * tested.share:.1f} % are {tested.beyond}"
        yield _picture(tested.histogram, "membranes", tested.title, said, (tested.mark,))


def _picture(found: Histogram, kind: str, title: str, said: str, marks: tuple[int, ...] = ()) -> dict[str, Any]:
    return {"title": title, "said": said, "svg": bars(found, kind, marks)}


def _share(count: int, found: Histogram) -> str:
    return f"{100 * count / max(1, found.total):.1f} %"
