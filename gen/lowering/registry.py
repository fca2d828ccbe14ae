"""Who lowers a kind of node: the head of a stage, which reads the window, or what stands behind its currents.

A stage is a head (weights, a pool) and, where it makes currents, the shortcuts that are added to them and a tail:
neurons, a quantiser, a read-out. A kind of node in ``quant/ir/ops/<op>.py`` has its :class:`Head` or its :class:`Tail`
in ``gen/lowering/kinds/``, in a module that registers it; no other file names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...hdl.cores.protocol import CoreSpec
from ...hdl.cores.synapse.spec import SynapseSpec
from ...hdl.cores.window.geometry import WindowGeometry
from ...quant.ir.node import Node
from ..folding.fold import Fold

if TYPE_CHECKING:
    from .chain import Chain
    from .layers import StageNodes

__all__ = ["Head", "Tail", "head", "head_of", "heads", "tail", "tail_of", "tails"]


class Head(ABC):
    """How a kind of node begins a stage."""

    currents: ClassVar[bool] = False
    """Whether it makes currents, which shortcuts and a tail follow."""

    @abstractmethod
    def choices(self, layer: StageNodes) -> list[Fold]:
        """All folds of ``layer``, without skipping words."""

    @abstractmethod
    def check(self, layer: StageNodes, fold: Fold) -> None:
        """Refuse what :meth:`choices` does not have, with a PlanError that names layer, rule and remedy."""

    def chunk(self, layer: StageNodes, inputs: int) -> int:
        """Window words of which zero-skipping looks at the flags together (``hdl.cores.window.geometry``); 1 where it
        has no hardware."""
        return 1

    def walk(self, layer: StageNodes, fold: Fold) -> int:
        """Cycles a frame of the walk of ``fold``, found without building it; 0 where that is not known."""
        return 0

    def multiplies(self, layer: StageNodes, fold: Fold) -> bool:
        """Whether multipliers can make the products of ``fold``."""
        return False

    @abstractmethod
    def lower(self, layer: StageNodes, fold: Fold) -> tuple[WindowGeometry, list[CoreSpec]]:
        """Window and cores of ``layer`` with a fold that was checked."""

    def outline(self, layer: StageNodes, fold: Fold) -> tuple[WindowGeometry, SynapseSpec | None]:
        """The window of :meth:`lower`, and the array of its weights where it has any: what a bound on the size and on
        the cycles of the stage is taken from (``gen.folding.floors``). Quick where weights are many."""
        return self.lower(layer, fold)[0], None


class Tail(ABC):
    """How a kind of node ends a stage, behind its currents."""

    then: ClassVar[tuple[type[Node], ...]] = ()
    """Kinds that may stand behind it in the same stage."""

    shares: ClassVar[bool] = True
    """Whether a unit of it is larger than the multiplexer through which channels would share it, even where its bias
    is left out."""

    def start(self, node: Any) -> np.ndarray | None:
        """The bias (Co,) with which the accumulators of the array may begin, None where it has none to give."""
        return None

    def moved(self, layer: StageNodes, node: Any, excess: np.ndarray) -> Any | None:
        """``node`` for currents that are larger by ``excess`` (Co,), with the same result; None where it has none."""
        return None

    def whole(self, chain: Chain, node: Any, cycles: int) -> bool:
        """Whether its core, where it follows the array directly, takes the currents of all outputs at once, and has
        time for them within ``cycles``, so that nothing hands them out in parts before it."""
        return False

    @abstractmethod
    def lower(self, chain: Chain, node: Any) -> None:
        """Append its cores to ``chain``."""


_HEADS: dict[type[Node], Head] = {}
_TAILS: dict[type[Node], Tail] = {}


def head(*kinds: type[Node]) -> Callable[[type[Head]], type[Head]]:
    """Register the decorated :class:`Head` for nodes of ``kinds``."""

    def register(found: type[Head]) -> type[Head]:
        _HEADS.update(dict.fromkeys(kinds, found()))
        return found

    return register


def tail(*kinds: type[Node]) -> Callable[[type[Tail]], type[Tail]]:
    """Register the decorated :class:`Tail` for nodes of ``kinds``."""

    def register(found: type[Tail]) -> type[Tail]:
        _TAILS.update(dict.fromkeys(kinds, found()))
        return found

    return register


@cache
def _all() -> tuple[dict[type[Node], Head], dict[type[Node], Tail]]:
    import_module(".kinds", __package__)
    return _HEADS, _TAILS


def heads() -> dict[type[Node], Head]:
    """The heads by kind of node."""
    return _all()[0]


def tails() -> dict[type[Node], Tail]:
    """The tails by kind of node."""
    return _all()[1]


def head_of(layer: StageNodes) -> Head:
    """The head of ``layer``."""
    return heads()[type(layer.nodes[0])]


def tail_of(node: Node) -> Tail:
    """The tail of ``node``."""
    return tails()[type(node)]
