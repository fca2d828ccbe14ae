"""From a layer and its fold to a stage: the window of its head, its cores, and what both must store."""

from __future__ import annotations

from dataclasses import replace

from ...hdl.cores.window.spec import WindowSpec
from ...hdl.streams.stage import StageSpec, latency_of, words_of_result
from ..folding.fold import Fold
from .fitting import ring_rows
from .layers import StageNodes
from .registry import head_of

__all__ = ["build_stage", "chunk_of", "fold_choices", "multiplies", "walk_of"]


def fold_choices(layer: StageNodes) -> list[Fold]:
    """All folds of a layer."""
    return head_of(layer).choices(layer)


def chunk_of(layer: StageNodes, inputs: int) -> int:
    """Window words of which zero-skipping looks at the flags together; 1 where it has no hardware."""
    return head_of(layer).chunk(layer, inputs)


def walk_of(layer: StageNodes, fold: Fold) -> int:
    """Cycles a frame of the walk of ``fold`` without skipping, found without building it; 0 where that is not known."""
    return head_of(layer).walk(layer, fold)


def multiplies(layer: StageNodes, fold: Fold) -> bool:
    """Whether multipliers can make the products of ``fold``."""
    return head_of(layer).multiplies(layer, fold)


def build_stage(layer: StageNodes, fold: Fold) -> StageSpec:
    """Make the stage of ``layer`` with ``fold``. Raises PlanError where the fold does not fit.

    The FIFOs of its shortcuts have no limit yet: how deep they must be follows from all stages together
    (:attr:`gen.design.Design.stages`).
    """
    head = head_of(layer)
    head.check(layer, fold)
    geometry, cores = head.lower(layer, fold)
    # As many results on their way as the latency needs, so that a ready receiver never makes the stage wait.
    # A stage that waits for its shortcuts may have to keep more rows (:attr:`gen.design.Design.stages`).
    window = WindowSpec.of(geometry, rows=ring_rows(geometry), credits=1, line=not layer.shortcuts)
    waiting, apart = latency_of(window, cores) + words_of_result(cores), geometry.scans * geometry.scan_cycles
    if geometry.blocked:  # a block is in the FIFO from its first result until its last word has left
        waiting += (geometry.groups - 1) * apart + geometry.groups * words_of_result(cores) - 1
        apart *= geometry.groups
    window = replace(window, credits=-(-waiting // apart))
    return StageSpec(name=layer.name, window=window, cores=tuple(cores))
