"""What a conversion cost, as the texts of a network keep it: accuracy after each step, and what every layer lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .files.shapes import ListOf, Number, Table, TableOf, Text, check
from .files.texts import TextError, parse_json

__all__ = ["Account", "LayerLoss", "LostError", "kept", "kept_accuracy", "kept_layers"]


class LostError(ValueError):
    """Texts of a network that are not what a conversion or a training writes; the message names the text."""


@dataclass(frozen=True)
class LayerLoss:
    """A layer in integers beside its floats: ``name``; ``decibels``, signal to noise of what it gives, with the errors
    of all layers before it; ``before``, the least of what it takes; ``alone``, that of its floats put on its levels;
    ``clipped``, share of the results beyond its levels; ``silent``, share of the channels that give 0 for all
    images. None where nobody measured it."""

    name: str
    decibels: float
    before: float | None = None
    alone: float | None = None
    clipped: float | None = None
    silent: float | None = None

    @property
    def added(self) -> float:
        """The noise of its results less that of what it takes, both as shares of the signal."""
        return 10 ** (-self.decibels / 10) - (0.0 if self.before is None else 10 ** (-self.before / 10))


@dataclass(frozen=True, kw_only=True)
class Account:
    """The account of a conversion: by which ``method``; what its ``layers`` lost; ``accuracy`` (0..1) of "floats" and
    "integers" on labelled test images, empty without any; ``agreement``, the share of test images that both give one
    class, None without any; ``facts``, what the model was taken to be, by what it is called; ``notes``, what its user
    should know."""

    method: str = ""
    layers: tuple[LayerLoss, ...] = ()
    accuracy: Mapping[str, float] = field(default_factory=dict)
    agreement: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


_OF_RECIPES = {"integers_db": "decibels", "sources_db": "before", "quantised_db": "alone", "dead": "silent"}
"""What trainings by the recipe ``ptq`` call the same."""

_NUMBERS = ("decibels", "before", "alone", "clipped", "silent")


def kept(accuracy: Mapping[str, float], layers: Sequence[LayerLoss]) -> dict[str, str]:
    """Both as texts for ``Network.meta``, those of which something is known."""
    found = {}
    if accuracy:
        found["accuracy"] = json.dumps({name: round(share, 6) for name, share in accuracy.items()})
    if layers:
        rounded = [{k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(layer).items()
                    if v is not None} for layer in layers]  # fmt: skip
        found["layers"] = json.dumps(rounded)
    return found


def kept_accuracy(meta: Mapping[str, str]) -> dict[str, float]:
    """Accuracy (0..1) after each step, empty where ``meta`` has none. Raises LostError where it is none."""
    found = _value(meta, "accuracy", {})
    check(found, TableOf(Number(0)), "meta: accuracy", LostError)
    if any(share > 1 for share in found.values()):
        raise LostError(f"meta: accuracy must be shares in 0..1, not {max(found.values()):g}")
    return {name: float(share) for name, share in found.items()}


def kept_layers(meta: Mapping[str, str]) -> tuple[LayerLoss, ...]:
    """What every layer lost, empty where ``meta`` does not say it. Raises LostError where it is something else."""
    found, layers = _value(meta, "layers", []), list[LayerLoss]()
    check(found, ListOf(Table()), "meta: layers", LostError)
    for entry in found:
        known = {_OF_RECIPES.get(key, key): value for key, value in entry.items() if value is not None}
        known = {key: value for key, value in known.items() if key in ("name", *_NUMBERS)}
        shape = Table({"name": Text(), "decibels": Number(-1000)}, dict.fromkeys(_NUMBERS[1:], Number(-1000)))
        check(known, shape, f"meta: layers[{len(layers)}]", LostError)
        layers.append(LayerLoss(**known))
    return tuple(layers)


def _value(meta: Mapping[str, str], key: str, empty: Any) -> Any:
    if key not in meta:
        return empty
    try:
        return parse_json(meta[key])
    except TextError as error:
        raise LostError(f"meta: {key} is no JSON ({error})") from None
