"""The report of a network, whatever made it: what was found, as figures and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..quant.analysis.histograms import Histogram, Spread
from ..quant.ir.network import Network
from ..quant.ir.ops import Synapse
from ..quant.lost import LayerLoss
from . import page
from .floats import Beside
from .source import Source

if TYPE_CHECKING:
    from ..quant.images import Images

__all__ = ["Report"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found of a network.

    Attributes: ``source``, what it is of; ``images`` that it was measured on, ``invented`` where these are random ones;
    ``weights``, by node, and ``spread``, how its numbers are spread; ``floats``, what its float model says, None
    without one; ``notes``, what its reader should know; ``date``, ISO 8601 in UTC, and ``command``, which does it
    again.
    """

    source: Source
    images: Images
    invented: bool
    weights: dict[str, Histogram]
    spread: Spread
    floats: Beside | None = None
    notes: tuple[str, ...] = ()
    date: str = ""
    command: str = ""

    @property
    def network(self) -> Network:
        """The network."""
        return self.source.made.network

    @property
    def recorded(self) -> dict[str, float]:
        """Accuracy (0..1) after each step, as the network keeps it of its training or conversion."""
        return dict(self.source.made.accuracy)

    @property
    def measured(self) -> dict[str, float]:
        """Accuracy (0..1) on the images, of "floats" where there is a model and of "integers"; empty without labels."""
        labels = self.images.labels
        if labels is None:
            return {}
        floats = {} if self.floats is None else {"floats": self.floats.accuracy["floats"]}
        return floats | {"integers": float((self.spread.classes == labels).mean())}

    @property
    def over_time(self) -> list[float]:
        """Accuracy after t = 1..T steps, empty without labels or without time."""
        if self.images.labels is None or self.network.steps == 1:
            return []
        return [float((step == self.images.labels).mean()) for step in self.spread.over_time.T]

    @property
    def layers(self) -> tuple[LayerLoss, ...]:
        """What every layer lost: measured with the float model, else as the network keeps it of its conversion."""
        return self.floats.layers if self.floats is not None and self.floats.layers else self.source.made.layers

    @cached_property
    def confusion(self) -> np.ndarray | None:
        """Images by label and by the class that the network says (K, K); None without labels."""
        if self.images.labels is None:
            return None
        classes = self.network.classes
        pairs = self.images.labels * classes + self.spread.classes
        return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)

    def figures(self) -> dict[str, Any]:
        """All figures as JSON values."""
        network, made, contents = self.network, self.source.made, self.source.contents
        nodes = [
            {"name": node.name, "kind": type(node).__name__, "takes": list(node.sources),
             "shape": list(network.signals[node.name].shape), "gives": network.signals[node.name].kind,
             "low": network.signals[node.name].low, "high": network.signals[node.name].high,
             **({"weights": node.weight.size, "weight_bits": node.weight_bits} if isinstance(node, Synapse) else {}),
             **({"pad": node.around.tolist()} if isinstance(node, Synapse) and node.around is not None else {})}
            for node in network]
        membranes = {name: found.histogram for name, found in self.spread.tested.items()}
        spread = {"weights": self.weights, "activations": self.spread.activations, "membranes": membranes}
        design = None if self.source.design is None else {
            "folds": contents["folds"], **contents["predicted"], "boards": list(self.source.boards)}
        labels = self.images.labels is not None
        return {
            "network": self.source.name, "hash": network.hash, "steps": network.steps, "classes": network.classes,
            "maps": {node.name: list(network.signals[node.name].shape) for node in network.maps},
            "nodes": nodes,
            "images": {"name": self.images.name, "count": len(self.images.pixels), "labels": labels,
                       "random": self.invented},
            "accuracy": {"recorded": self.recorded, "measured": self.measured, "over_time": self.over_time},
            "agreement": made.agreement if self.floats is None else self.floats.agreement,
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "layers": [vars(layer) for layer in self.layers],
            "histograms": {kind: {name: found.figures() for name, found in each.items()}
                           for kind, each in spread.items()},
            "silent": self.spread.silent, "design": design, "notes": list(self.notes),
        }

    @cached_property
    def page(self) -> str:
        """The page, HTML that loads nothing. Needs the extra ``report``."""
        from .network_page import rendered

        return rendered(self)

    def save(self, path: str | Path) -> None:
        """Write the page, in one go."""
        page.write(path, self.page)
